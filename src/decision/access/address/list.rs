//! List files: one address or range a line; `#` or `;` begins a comment.

use std::fmt;

use ipnet::IpNet;

use super::{AddressRange, AddressSet, parse_range};

/// Most mistakes, and most inexact ranges, of one file that are told one by one. Beyond, the file is not a list.
pub const MAX_TOLD: usize = 20;

/// Longest part of a wrong line, in characters, that is shown.
const MAX_SHOWN: usize = 60;

/// A list file, read.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// The addresses that it names.
    pub set: AddressSet,
    /// The first ranges with address bits beyond their length, which count as zero.
    pub inexact: Vec<Inexact>,
}

/// A range such as `10.1.2.3/8`, which may be meant otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inexact {
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1.
    pub column: u32,
    /// As written.
    pub range: IpNet,
}

/// Why a file is not a list of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes {
    /// The first ones, in order; never empty.
    pub told: Vec<Mistake>,
    /// How many there are beyond those.
    pub untold: usize,
}

/// A line that is neither an address nor a range. Displayed without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counts from 1.
    pub line: u32,
    /// Counts from 1.
    pub column: u32,
    text: String,
}

/// Reads a list file: one address or range a line, in CIDR notation or by its ends; `#` or `;` begins a comment, and blank lines
/// mean nothing.
///
/// # Errors
/// The lines that are neither. Nothing of such a file is used: which half of a list its owner meant is not to be guessed.
pub fn parse(content: &[u8]) -> Result<Parsed, Mistakes> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut ranges = Vec::new();
    let mut inexact = Vec::new();
    let mut mistakes = Mistakes { told: Vec::new(), untold: 0 };
    for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
        let entry = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default();
        let text = entry.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
        let (line, column) = (count(index), count(entry.len() - entry.trim_ascii_start().len()));
        let written = std::str::from_utf8(text).ok();
        match (written.and_then(parse_range), written.and_then(AddressRange::parse)) {
            (Some(range), _) => {
                if range.trunc() != range && inexact.len() < MAX_TOLD {
                    inexact.push(Inexact { line, column, range });
                }
                ranges.push(AddressRange::from(range));
            }
            (None, Some(range)) => ranges.push(range),
            (None, None) if mistakes.told.len() < MAX_TOLD => {
                mistakes.told.push(Mistake { line, column, text: shown(text) })
            }
            (None, None) => mistakes.untold += 1,
        }
    }
    match mistakes.told.is_empty() {
        true => Ok(Parsed { set: ranges.into_iter().collect(), inexact }),
        false => Err(mistakes),
    }
}

/// The begin of a line that may hold anything, fit for a message of one line.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut shown: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an IP address or range", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comments_and_blank_lines_mean_nothing() {
        let text =
            "\u{feff}# partners\r\n\r\n10.0.0.0/8\r\n  192.0.2.1  # the office\n\t2001:db8::/32\n#\n198.51.100.7";
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.set.entries(), 4);
        assert_eq!(parsed.inexact, []);
        for inside in ["10.1.2.3", "192.0.2.1", "2001:db8::1", "198.51.100.7"] {
            assert!(parsed.set.contains(inside.parse().unwrap()), "{inside}");
        }
        assert_eq!(parse(b"").unwrap().set, AddressSet::default());
        assert_eq!(parse(b"# nobody\n").unwrap().set, AddressSet::default());
    }

    #[test]
    fn lists_of_others_are_read_as_they_are() {
        let text = "; Spamhaus DROP List 2026/11/30\n1.10.16.0/20 ; SBL256894\n10.0.0.1-10.0.0.9\n 10.1.0.1 - 10.1.0.2 # two\n";
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.set.entries(), 3);
        for inside in ["1.10.31.255", "10.0.0.9", "10.1.0.2"] {
            assert!(parsed.set.contains(inside.parse().unwrap()), "{inside}");
        }
        assert_eq!(parse(b"10.0.0.9-10.0.0.1").unwrap_err().told.len(), 1);
    }

    #[test]
    fn every_wrong_line_is_told_with_its_place() {
        let wrong =
            parse(b"10.0.0.0/8\n  ten\n10.0.0.0/33\n10.0.0.1 10.0.0.2\nexample.com # no\n\xff\x00\n").unwrap_err();
        let told: Vec<String> =
            wrong.told.iter().map(|mistake| format!("{}:{} {mistake}", mistake.line, mistake.column)).collect();
        assert_eq!(
            told,
            [
                "2:3 `ten` is not an IP address or range",
                "3:1 `10.0.0.0/33` is not an IP address or range",
                "4:1 `10.0.0.1 10.0.0.2` is not an IP address or range",
                "5:1 `example.com` is not an IP address or range",
                "6:1 `\u{fffd}\\0` is not an IP address or range",
            ]
        );
        assert_eq!(wrong.untold, 0);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let wrong = parse("x\n".repeat(1000).as_bytes()).unwrap_err();
        assert_eq!((wrong.told.len(), wrong.untold), (MAX_TOLD, 1000 - MAX_TOLD));
        let long = parse("é".repeat(100_000).as_bytes()).unwrap_err();
        assert_eq!(long.told[0].text, format!("{}…", "é".repeat(MAX_SHOWN)));
        assert_eq!(parse("10.0.0.1/8\n".repeat(1000).as_bytes()).unwrap().inexact.len(), MAX_TOLD);
    }

    #[test]
    fn bits_beyond_the_length_count_as_zero_and_are_told() {
        let parsed = parse(b"# test\n10.1.2.3/8\n").unwrap();
        assert_eq!(parsed.inexact, [Inexact { line: 2, column: 1, range: "10.1.2.3/8".parse().unwrap() }]);
        assert!(parsed.set.contains("10.255.0.0".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&content);
        }
    }
}
