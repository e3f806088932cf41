//! Field names that are known before a request comes.

use std::fmt;

use http::HeaderName;

/// Index of a field name among the [`FieldNames`] of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldId(u16);

impl FieldId {
    /// Of a name that no table lists; it is looked up by its text.
    const UNLISTED: FieldId = FieldId(u16::MAX);

    /// Where a table keeps what it knows of the name. `None`: nowhere, search for the text.
    pub fn index(self) -> Option<usize> {
        (self != FieldId::UNLISTED).then_some(self.0.into())
    }
}

/// A name that a request's fields are asked for.
///
/// Its id counts among the [`FieldNames`] of the configuration that it was compiled for. Two names are equal if their texts
/// are, whatever their ids.
#[derive(Clone, Debug)]
pub struct FieldName {
    id: FieldId,
    name: HeaderName,
}

impl FieldName {
    pub fn id(&self) -> FieldId {
        self.id
    }

    pub fn header_name(&self) -> &HeaderName {
        &self.name
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        self.name.as_str()
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for FieldName {}

impl PartialEq<HeaderName> for FieldName {
    fn eq(&self, other: &HeaderName) -> bool {
        self.name == *other
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name outside of any configuration: with the id that the code knows it by, or none.
impl From<HeaderName> for FieldName {
    fn from(name: HeaderName) -> Self {
        let known = WELL_KNOWN.iter().find(|known| known.name == name);
        FieldName { id: known.map_or(FieldId::UNLISTED, |known| known.id), name }
    }
}

/// Declares the names that the code itself asks for, with their ids from 0 on.
macro_rules! well_known {
    ($($name:ident = $id:literal $text:literal;)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub static $name: FieldName = FieldName { id: FieldId($id), name: HeaderName::from_static($text) };
        )*

        /// By id.
        static WELL_KNOWN: &[&FieldName] = &[$(&$name,)*];
    };
}

well_known! {
    AUTHORIZATION = 0 "authorization";
    COOKIE = 1 "cookie";
    ACCEPT = 2 "accept";
    HOST = 3 "host";
    CONTENT_LENGTH = 4 "content-length";
    CONTENT_TYPE = 5 "content-type";
    TRANSFER_ENCODING = 6 "transfer-encoding";
    CONNECTION = 7 "connection";
    EXPECT = 8 "expect";
    UPGRADE = 9 "upgrade";
    FORWARDED = 10 "forwarded";
    X_FORWARDED_FOR = 11 "x-forwarded-for";
    X_FORWARDED_HOST = 12 "x-forwarded-host";
    X_FORWARDED_PROTO = 13 "x-forwarded-proto";
    X_REQUEST_ID = 14 "x-request-id";
    USER_AGENT = 15 "user-agent";
    REFERER = 16 "referer";
    TE = 17 "te";
}

/// The names that requests are asked for under one configuration, by [`FieldId`]: those that the code knows, and behind them
/// those that the configuration mentions.
#[derive(Clone, Debug)]
pub struct FieldNames {
    names: Vec<HeaderName>,
    /// The ids of the names of each length in bytes.
    by_length: Vec<Vec<FieldId>>,
}

impl Default for FieldNames {
    /// The names that the code knows.
    fn default() -> Self {
        let mut names = FieldNames { names: Vec::new(), by_length: Vec::new() };
        WELL_KNOWN.iter().for_each(|known| names.push(known.id, known.name.clone()));
        names
    }
}

impl FieldNames {
    /// `name` with its id, a new one if it was not known before. The names beyond the first 65,535 get none: they are looked
    /// up by their text.
    pub fn add(&mut self, name: HeaderName) -> FieldName {
        let id = self.find(name.as_str().as_bytes()).or_else(|| {
            let next = FieldId(u16::try_from(self.names.len()).ok()?);
            (next != FieldId::UNLISTED).then(|| self.push(next, name.clone()))?;
            Some(next)
        });
        FieldName { id: id.unwrap_or(FieldId::UNLISTED), name }
    }

    /// The id of the name that was received as `name`, in whatever case.
    pub fn find(&self, name: &[u8]) -> Option<FieldId> {
        let same = |id: &&FieldId| self.names[usize::from(id.0)].as_str().as_bytes().eq_ignore_ascii_case(name);
        self.by_length.get(name.len())?.iter().find(same).copied()
    }

    /// How many names have an id: all ids are less.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: the names that the code knows are always there.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn push(&mut self, id: FieldId, name: HeaderName) {
        let length = name.as_str().len();
        if self.by_length.len() <= length {
            self.by_length.resize_with(length + 1, Vec::new);
        }
        self.by_length[length].push(id);
        self.names.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_indices() {
        for (index, known) in WELL_KNOWN.iter().enumerate() {
            assert_eq!(known.id().index(), Some(index), "{known}");
        }
        let mut names = FieldNames::default();
        assert_eq!(names.len(), WELL_KNOWN.len());
        let own = names.add(HeaderName::from_static("x-own"));
        assert_eq!(own.id().index(), Some(names.len() - 1));
        assert_eq!(names.add(HeaderName::from_static("x-own")).id(), own.id());
        assert_eq!(names.add(http::header::COOKIE).id(), COOKIE.id());
    }

    #[test]
    fn a_received_name_is_found_in_any_case() {
        let mut names = FieldNames::default();
        let own = names.add(HeaderName::from_static("x-own"));
        assert_eq!(names.find(b"X-Own"), Some(own.id()));
        assert_eq!(names.find(b"Content-LENGTH"), Some(CONTENT_LENGTH.id()));
        assert_eq!(names.find(b"x-owns"), None);
        assert_eq!(names.find(b""), None);
    }

    #[test]
    fn names_without_an_id_are_equal_by_their_text() {
        let mut names = FieldNames::default();
        let listed = names.add(HeaderName::from_static("x-own"));
        let unlisted = FieldName::from(HeaderName::from_static("x-own"));
        assert_eq!(listed, unlisted);
        assert_eq!(unlisted.id().index(), None);
        assert_eq!(FieldName::from(http::header::HOST).id(), HOST.id());
    }

    #[test]
    fn a_name_too_many_is_looked_up_by_its_text() {
        let mut names = FieldNames::default();
        for number in 0..=usize::from(u16::MAX) {
            // Of many lengths, by which they are looked up.
            let name = HeaderName::try_from(format!("x-{number}{}", "-".repeat(number % 512))).unwrap();
            assert_eq!(names.add(name.clone()), name);
        }
        assert_eq!(names.len(), usize::from(u16::MAX));
        assert_eq!(names.add(HeaderName::from_static("y")).id().index(), None);
    }
}
