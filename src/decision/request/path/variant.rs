//! What in a normal path origins read differently.
//!
//! Some decode reserved characters before they compare, some decode twice, some drop path parameters, as servlet containers
//! do, and some drop dots and spaces at the end of a name, as Windows does. Each of them loses a difference that the normal form keeps. The loosest reading loses them all, so that two paths which
//! any of these origins takes for the same have the same loosest reading.

use super::rebuild::{PLAIN, Pass, PathError, Slashes, rebuild};

/// What in a normal path origins are known to read differently. The default (nothing) is that of nearly every path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathVariant {
    /// The path holds `%2F` or `%5C`, or one of them escaped more than once (`%252F`).
    pub encoded_separators: bool,
    /// The path as the loosest origin reads it, where that differs: decoded until nothing changes, but for encoded
    /// separators, without path parameters (`;…`), and without dots and spaces at the end of a segment. In normal form, but that characters of `pchar` are never escaped.
    pub loosest: Option<String>,
    /// The path with its empty segments, where it was sent with some.
    pub unmerged: Option<Box<UnmergedPath>>,
}

/// A path with empty segments, as in `/a//b`, for routes that keep them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmergedPath {
    /// In normal form but for its empty segments.
    pub path: String,
    /// As the loosest origin reads it, where that differs.
    pub loosest: Option<String>,
    /// Whether merging gives the normal form. Not so where `..` may take an empty segment or another one away.
    pub agrees: bool,
}

/// `sent` with its empty segments, where it has some; `normal` is its normal form.
pub(super) fn unmerged(sent: &[u8], normal: &str) -> Option<Box<UnmergedPath>> {
    let path = rebuild(sent, Pass::Sent, Slashes::Keep).ok().filter(|path| path != normal)?;
    let merged = rebuild(path.as_bytes(), Pass::Sent, Slashes::Merge);
    let loosest = of(&path, Slashes::Keep).ok()?.loosest;
    Some(Box::new(UnmergedPath { agrees: merged.is_ok_and(|merged| merged == normal), loosest, path }))
}

/// Most times that a character may be escaped; every decoding costs a pass over the path.
const MAX_NESTING: usize = 4;

/// The spelling of `normal`, a path in normal form. Fails where the path says something else once it is decoded further.
pub(super) fn of(normal: &str, slashes: Slashes) -> Result<PathVariant, PathError> {
    if !has_other_readings(normal.as_bytes()) {
        return Ok(PathVariant::default());
    }
    let mut loosest = rebuild(normal.as_bytes(), Pass::Loosest, slashes)?;
    let mut nesting = 1;
    while let Some(unnested) = unnest(&loosest) {
        nesting += 1;
        if nesting > MAX_NESTING {
            return Err(PathError::NestedEscapes);
        }
        loosest = rebuild(unnested.as_bytes(), Pass::Loosest, slashes)?;
    }
    let encoded_separators = loosest.contains("%2F") || loosest.contains("%5C");
    if loosest.contains(';') || loosest.split('/').any(ends_loosely) {
        // Segments that become empty are merged.
        loosest = rebuild(bare_segments(&loosest)?.as_bytes(), Pass::Loosest, slashes)?;
    }
    Ok(PathVariant { encoded_separators, loosest: (loosest != normal).then_some(loosest), unmerged: None })
}

/// Whether `normal` holds a parameter, an escape that some origin may read as more than that character in a name (of a reserved
/// character, of a separator, of `%`), or a segment that ends in a dot or a space.
fn has_other_readings(normal: &[u8]) -> bool {
    let ends_at = |at: usize| matches!(normal.get(at), None | Some(b'/'));
    normal.iter().enumerate().any(|(at, &byte)| match byte {
        b';' => true,
        b'.' => ends_at(at + 1),
        b'%' => escaped(&normal[at..]).is_some_and(|byte| {
            matches!(byte, b'%' | b'/' | b'\\') || PLAIN[byte as usize] || byte == b' ' && ends_at(at + SPACE.len())
        }),
        _ => false,
    })
}

/// A space in normal form.
const SPACE: &str = "%20";

/// Whether a file system of Windows takes `segment` for a shorter name.
fn ends_loosely(segment: &str) -> bool {
    segment.ends_with('.') || segment.ends_with(SPACE)
}

/// Decodes every `%25` that begins another escape; `None` if there is none.
fn unnest(path: &str) -> Option<String> {
    let mut unnested = String::new();
    let mut rest = path;
    let mut from = 0;
    while let Some(at) = rest[from..].find("%25").map(|at| at + from) {
        let behind = &rest[at + "%25".len()..];
        if is_digits(behind.as_bytes()) {
            unnested.push_str(&rest[..=at]);
            (rest, from) = (behind, 0);
        } else {
            from = at + "%25".len();
        }
    }
    if unnested.is_empty() {
        return None;
    }
    unnested.push_str(rest);
    Some(unnested)
}

/// The character that an escape at the beginning of `text` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    Some((digit(1)? << 4 | digit(2)?) as u8)
}

fn is_digits(text: &[u8]) -> bool {
    text.len() >= 2 && text[..2].iter().all(u8::is_ascii_hexdigit)
}

/// Every segment without its parameters, and without dots and spaces at its end.
fn bare_segments(path: &str) -> Result<String, PathError> {
    let mut bare = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            bare.push('/');
        }
        let name = segment.split(';').next().unwrap_or_default();
        let mut kept = name;
        while let Some(shorter) = kept.strip_suffix('.').or_else(|| kept.strip_suffix(SPACE)) {
            kept = shorter;
        }
        if kept.is_empty() && name.starts_with('.') && name.contains(SPACE) {
            return Err(PathError::DotSpaces);
        }
        bare.push_str(kept);
    }
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::super::read;

    fn loosest(path: &str) -> Option<String> {
        read(path.as_bytes()).unwrap_or_else(|error| panic!("{path}: {error}")).spelling.loosest
    }

    #[test]
    fn the_loosest_reading_has_no_parameters_and_no_escapes_of_escapes() {
        for (path, expected) in [
            ("/admin;a=b/x", "/admin/x"),
            ("/admin%3Ba=b/x;y", "/admin/x"),
            ("/admin%253ba/x", "/admin/x"),
            ("/;x/admin", "/admin"),
            ("/a/;x", "/a/"),
            ("/a;x/", "/a/"),
            ("/%2561dmin", "/admin"),
            ("/%252561dmin", "/admin"),
            ("/%25%2536%2531dmin", "/admin"),
            ("/users/%40me", "/users/@me"),
            ("/a%2Cb%253Ac", "/a,b:c"),
            ("/a;%2Fb", "/a"),
            ("/a%252fb", "/a%2Fb"),
            ("/a%2520b", "/a%20b"),
            ("/a%25%31", "/a%251"),
            ("/admin.", "/admin"),
            ("/admin%20/x", "/admin/x"),
            ("/admin.%20.%20/x./", "/admin/x/"),
            ("/admin%2520", "/admin"),
            ("/admin%20;a=b/x", "/admin/x"),
            ("/%20/admin", "/admin"),
            ("/.../admin", "/admin"),
        ] {
            let reading = loosest(path).unwrap_or_else(|| read(path.as_bytes()).unwrap().path.into_owned());
            assert_eq!(reading, expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_all_origins_read_alike_has_no_other_reading() {
        for path in
            ["/a%20b", "/caf%C3%A9", "/100%25", "/50%25off", "/a%5Bb%5D", "/a,b=c:@d", "/a%2Fb", "/a.b/.c", "/a%20.b"]
        {
            assert_eq!(loosest(path), None, "{path}");
        }
    }

    #[test]
    fn empty_segments_are_kept_beside_the_normal_form() {
        let unmerged = |path: &str| read(path.as_bytes()).unwrap().spelling.unmerged;
        for (path, kept, loosest, agrees) in [
            ("/a//b", "/a//b", None, true),
            ("//a///b//", "//a///b//", None, true),
            ("/a//%62;x/./c", "/a//b;x/c", Some("/a//b/c"), true),
            ("/a//b/../c", "/a//c", None, true),
            // With or without the empty segment, `..` takes another one away.
            ("/a//../b", "/a/b", None, false),
        ] {
            let found = unmerged(path).unwrap_or_else(|| panic!("{path} has empty segments"));
            assert_eq!(
                (found.path.as_str(), found.loosest.as_deref(), found.agrees),
                (kept, loosest, agrees),
                "{path}"
            );
        }
        assert_eq!(unmerged("/a/b/"), None);
        assert_eq!(unmerged("/a/.//b"), unmerged("/a//b"));
    }

    #[test]
    fn encoded_separators_are_noticed_however_deep() {
        let noticed = |path: &str| read(path.as_bytes()).unwrap().spelling.encoded_separators;
        for path in ["/a%2fb", "/a%2Fb", "/a%5cb", "/a%252Fb", "/a%25255cb", "/a;x%2Fb", "/a%25%32Fb"] {
            assert!(noticed(path), "{path}");
        }
        for path in ["/a/b", "/a%20b", "/a;b", "/a%252b", "/2F%255"] {
            assert!(!noticed(path), "{path}");
        }
    }
}
