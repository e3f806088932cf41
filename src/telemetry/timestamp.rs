//! Timestamps in logs, in UTC.

use std::time::SystemTime;

use time::OffsetDateTime;

/// A time as in RFC 3339 §5.6 with milliseconds: `2026-11-22T03:00:00.123Z`.
///
/// Written digit by digit, because each access log line has one and `format!` costs ten times as much.
pub struct Rfc3339([u8; 24]);

impl Rfc3339 {
    pub fn new(time: SystemTime) -> Self {
        let time = OffsetDateTime::from(time);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        digits(&mut text[0..4], time.year().unsigned_abs());
        digits(&mut text[5..7], u8::from(time.month()).into());
        digits(&mut text[8..10], time.day().into());
        digits(&mut text[11..13], time.hour().into());
        digits(&mut text[14..16], time.minute().into());
        digits(&mut text[17..19], time.second().into());
        digits(&mut text[20..23], time.millisecond().into());
        Rfc3339(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("BUG: only ASCII is written")
    }
}

/// A time in the NCSA format: `22/Nov/2026:03:00:00 +0000`.
pub struct Ncsa([u8; 26]);

impl Ncsa {
    pub fn new(time: SystemTime) -> Self {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let time = OffsetDateTime::from(time);
        let mut text = *b"00/Jan/0000:00:00:00 +0000";
        let month = usize::from(u8::from(time.month()) - 1) * 3;
        digits(&mut text[0..2], time.day().into());
        text[3..6].copy_from_slice(&MONTHS[month..month + 3]);
        digits(&mut text[7..11], time.year().unsigned_abs());
        digits(&mut text[12..14], time.hour().into());
        digits(&mut text[15..17], time.minute().into());
        digits(&mut text[18..20], time.second().into());
        Ncsa(text)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn digits(place: &mut [u8], mut value: u32) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn both_forms_are_in_utc_with_every_digit() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_316_400_007);
        assert_eq!(Rfc3339::new(time).as_str(), "2026-11-22T03:00:00.007Z");
        assert_eq!(Ncsa::new(time).as_bytes(), b"22/Nov/2026:03:00:00 +0000");
    }

    #[test]
    fn a_leap_day_is_a_day() {
        let time = UNIX_EPOCH + Duration::from_millis(951_868_799_999);
        assert_eq!(Rfc3339::new(time).as_str(), "2000-02-29T23:59:59.999Z");
    }
}
