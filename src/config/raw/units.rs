//! Quantities as people write them: every one carries its unit, so that `timeout: 30` can't mean two things.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer, de, ser};

/// A length of time, written `250ms`, `5s`, `1m`, `2h` or `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes, written `512B`, `8KiB`, `10MiB` or `1GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Events per time, written `50/s`, `100/m`, `1000/h` or `10000/d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub count: u64,
    /// One second, minute, hour or day.
    pub per: Duration,
}

/// Bytes a second, written `500B/s` or `64KiB/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speed(pub NonZeroU64);

/// A part of the whole, written `5%` or `0.1%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    /// 0 to 1000000.
    pub millionths: u32,
}

/// A whole number, as a YAML number or (after `${VAR}` was put in) as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

/// The periods of a rate, in seconds.
const PERIODS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

impl Span {
    /// Reads a length of time.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(format!("`{text}` has no unit; write for example `{text}s` or `{text}ms`")),
            _ => return Err(format!("`{text}` is not a duration; the units are ms, s, m, h and d")),
        };
        whole(number).and_then(|n| n.checked_mul(millis)).map(|n| Span(Duration::from_millis(n))).ok_or_else(|| {
            format!("`{text}` is not a duration; write a whole number and a unit, such as `250ms` or `5s`")
        })
    }
}

impl Size {
    /// Reads a number of bytes.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split(text);
        let factor = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "" => return Err(format!("`{text}` has no unit; write for example `{text}KiB` or `{text}B`")),
            _ => return Err(format!("`{text}` is not a size; the units are B, KiB, MiB and GiB")),
        };
        whole(number)
            .and_then(|n| n.checked_mul(factor))
            .map(Size)
            .ok_or_else(|| format!("`{text}` is not a size; write a whole number and a unit, such as `8KiB`"))
    }
}

impl Rate {
    /// Reads events per time.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a rate; write a whole number and a period, such as `50/s` or `1000/h`");
        let Some((count, period)) = text.split_once('/') else {
            let what = if whole(text.trim()).is_some() { "has no unit" } else { "is not a rate" };
            return Err(format!("`{text}` {what}; write a whole number and a period, such as `50/s` or `1000/h`"));
        };
        let Some((_, seconds)) = PERIODS.iter().find(|(name, _)| *name == period.trim()) else {
            return Err(format!("`{text}` is not a rate; the periods are s, m, h and d"));
        };
        match whole(count.trim()) {
            Some(0) => Err(format!("`{text}` lets nothing through; to close a route, refuse it in `access` instead")),
            Some(count) if count <= 1_000_000_000 => Ok(Rate { count, per: Duration::from_secs(*seconds) }),
            Some(_) => Err(format!("`{text}` is more than 1000000000 a period, which is no limit")),
            None => Err(wrong()),
        }
    }
}

impl Speed {
    /// Reads bytes a second.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a speed; write a size a second, such as `500B/s`");
        let size = text.trim().strip_suffix("/s").ok_or_else(wrong)?;
        let Size(bytes) = Size::parse(size).map_err(|_| wrong())?;
        NonZeroU64::new(bytes).map(Speed).ok_or_else(|| format!("`{text}` is no bound"))
    }
}

impl Share {
    /// Reads a part of the whole.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a share; write a percentage such as `5%` or `0.1%`");
        let Some(number) = text.trim().strip_suffix('%') else {
            let bare = whole(text.trim()).is_some();
            return Err(if bare { format!("`{text}` has no unit; write for example `{text}%`") } else { wrong() });
        };
        let (percent, decimals) = number.trim_end().split_once('.').unwrap_or((number.trim_end(), "0"));
        let digits = percent.bytes().chain(decimals.bytes()).all(|b| b.is_ascii_digit());
        if !(1..=4).contains(&decimals.len()) || !digits {
            return Err(wrong());
        }
        let percent = whole(percent).and_then(|percent| u32::try_from(percent).ok()).ok_or_else(wrong)?;
        let parts: u32 = format!("{decimals:0<4}").parse().map_err(|_| wrong())?;
        match percent.checked_mul(10_000).and_then(|millionths| millionths.checked_add(parts)) {
            Some(millionths @ ..=1_000_000) => Ok(Share { millionths }),
            _ => Err(format!("`{text}` is more than the whole; write at most `100%`")),
        }
    }
}

impl Count {
    /// Reads a whole number.
    ///
    /// # Errors
    ///
    /// Says what is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        whole(text.trim()).map(Count).ok_or_else(|| format!("`{text}` is not a whole number"))
    }
}

/// As it could be written, to the millisecond.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
        write_exact(f, millis, units).unwrap_or_else(|| f.write_str("0s"))
    }
}

/// As it could be written.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];
        write_exact(f, self.0.into(), units).unwrap_or_else(|| f.write_str("0B"))
    }
}

/// As it could be written.
impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", Size(self.0.get()))
    }
}

/// As it could be written; a period that has no name, as its length.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = PERIODS.iter().find(|(_, seconds)| self.per == Duration::from_secs(*seconds));
        match period {
            Some((name, _)) => write!(f, "{}/{name}", self.count),
            None => write!(f, "{}/{:?}", self.count, self.per),
        }
    }
}

/// As it could be written.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.millionths / 10_000, self.millionths % 10_000) {
            (percent, 0) => write!(f, "{percent}%"),
            (percent, parts) => write!(f, "{percent}.{}%", format!("{parts:04}").trim_end_matches('0')),
        }
    }
}

/// Writes `number` in the largest of `units` that divides it. `None` for zero.
fn write_exact<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    number: u128,
    units: [(u128, &str); N],
) -> Option<fmt::Result> {
    let (factor, unit) = units.into_iter().find(|(factor, _)| number > 0 && number.is_multiple_of(*factor))?;
    Some(write!(f, "{}{unit}", number / factor))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

fn whole(digits: &str) -> Option<u64> {
    digits.parse().ok()
}

/// Serialises a quantity as its `Display` text, if that text is read as the same quantity: a `Span` of half a millisecond,
/// for example, has no text.
macro_rules! serialize_as_text {
    ($type:ident, $name:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text = self.to_string();
                if Self::parse(&text).as_ref() != Ok(self) {
                    let message = format!(concat!("{:?} can't be written as a ", $name), self);
                    return Err(ser::Error::custom(message));
                }
                serializer.serialize_str(&text)
            }
        }
    };
}

serialize_as_text!(Span, "duration");
serialize_as_text!(Size, "size");
serialize_as_text!(Rate, "rate");
serialize_as_text!(Speed, "speed");
serialize_as_text!(Share, "share");

/// As a number.
impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

/// Implements `Deserialize` from text (or a bare number, for a clear message) and `JsonSchema` for a quantity.
macro_rules! quantity {
    ($type:ident, $name:literal, $pattern:literal, $example:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct QuantityVisitor;
                impl Visitor<'_> for QuantityVisitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                        f.write_str(concat!("a ", $name, " such as `", $example, "`"))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::parse(text).map_err(E::custom)
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        $type::parse(&number.to_string()).map_err(E::custom)
                    }
                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        $type::parse(&number.to_string()).map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(QuantityVisitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                // A `${VAR}` is put in after an editor has looked at the file, so it must pass too.
                json_schema!({
                    "description": concat!("A ", $name, ", such as `", $example, "`."),
                    "type": ["string", "integer"],
                    "pattern": concat!($pattern, r"|\$\{"),
                })
            }
        }
    };
}

quantity!(Span, "duration", r"^\d+(ms|s|m|h|d)$", "5s");
quantity!(Size, "size", r"^\d+(B|KiB|MiB|GiB)$", "8KiB");
quantity!(Rate, "rate", r"^\d+/(s|m|h|d)$", "50/s");
quantity!(Speed, "speed", r"^\d+(B|KiB|MiB|GiB)/s$", "500B/s");
quantity!(Share, "share", r"^\d+(\.\d{1,4})?%$", "5%");
quantity!(Count, "whole number", r"^\d+$", "10");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(Span::parse("250ms"), Ok(Span(Duration::from_millis(250))));
        assert_eq!(Span::parse("2h"), Ok(Span(Duration::from_secs(7200))));
        assert!(Span::parse("30").unwrap_err().contains("no unit"));
        assert!(Span::parse("1.5s").is_err());
        assert!(Span::parse("99999999999999999999s").is_err());
        assert!(Span::parse("18446744073709551615d").is_err());
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(Size::parse("8KiB"), Ok(Size(8192)));
        assert!(Size::parse("8KB").is_err());
        assert!(Size::parse("8").unwrap_err().contains("no unit"));
    }

    #[test]
    fn a_speed_is_a_size_a_second() {
        assert_eq!(Speed::parse("2KiB/s").map(|speed| speed.0.get()), Ok(2048));
        for wrong in ["500", "500B", "500/s", "0B/s", "500B/m"] {
            assert!(Speed::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_displayed_can_be_read() {
        for written in ["250ms", "90s", "1m", "36h", "2d", "0s"] {
            assert_eq!(Span::parse(written).map(|span| span.to_string()), Ok(written.to_owned()));
        }
        for written in ["0B", "1B", "1000B", "8KiB", "3MiB", "1GiB"] {
            assert_eq!(Size::parse(written).map(|size| size.to_string()), Ok(written.to_owned()));
        }
        for written in ["50/s", "100/m", "1000/h", "10000/d"] {
            assert_eq!(Rate::parse(written).map(|rate| rate.to_string()), Ok(written.to_owned()));
        }
        for written in ["0%", "5%", "0.1%", "12.0625%", "0.0001%", "100%"] {
            assert_eq!(Share::parse(written).map(|share| share.to_string()), Ok(written.to_owned()));
        }
        assert_eq!(Speed::parse("2048B/s").map(|speed| speed.to_string()), Ok("2KiB/s".to_owned()));
    }

    #[test]
    fn a_share_is_a_percentage_of_at_most_the_whole() {
        let share = |text| Share::parse(text).map(|share| share.millionths);
        assert_eq!(share("5%"), Ok(50_000));
        assert_eq!(share("0%"), Ok(0));
        assert_eq!(share("0.1%"), Ok(1_000));
        assert_eq!(share("12.0625%"), Ok(120_625));
        assert_eq!(share("100%"), Ok(1_000_000));
        for wrong in
            ["101%", "100.0001%", "5.%", ".5%", "-5%", "+5%", "5.00001%", "0.+1%", "%", "5 percent", "99999999999%"]
        {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        assert!(share("5").unwrap_err().contains("`5%`"));
    }

    #[test]
    fn what_has_no_text_is_not_written() {
        fn refused(quantity: impl Serialize) -> bool {
            serde_json::to_value(quantity).is_err()
        }
        assert!(refused(Span(Duration::from_micros(1500))) && refused(Span(Duration::MAX)));
        assert!(refused(Rate { count: 1, per: Duration::from_secs(7) }));
        assert!(refused(Rate { count: 0, per: Duration::from_secs(1) }));
        assert!(refused(Share { millionths: 1_000_001 }));
    }

    #[test]
    fn a_rate_of_zero_is_refused() {
        assert_eq!(Rate::parse("50/s"), Ok(Rate { count: 50, per: Duration::from_secs(1) }));
        assert!(Rate::parse("0/s").is_err());
        assert!(Rate::parse("5").is_err());
    }
}
