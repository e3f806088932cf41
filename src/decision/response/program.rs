//! Declared header operations, compiled to steps that edit any [`HeaderSection`].

use http::{HeaderName, HeaderValue};

use super::section::HeaderSection;

/// Operations on the headers of an answer, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// Take these away.
    pub remove: Vec<HeaderName>,
    /// Give every value of the first name to the second, after those that it has.
    pub rename: Vec<(HeaderName, HeaderName)>,
    /// Set, but only if present.
    pub replace: Vec<(HeaderName, HeaderValue)>,
    /// Set, but only if absent.
    pub default: Vec<(HeaderName, HeaderValue)>,
    /// Set, whatever the origin sent, however often.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Add a further value. Values are never joined: for `Set-Cookie` that would change their meaning (RFC 9110 §5.3).
    pub append: Vec<(HeaderName, HeaderValue)>,
}

/// [`Operations`] as a list of steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderProgram(Box<[HeaderStep]>);

/// One operation on one header; see [`Operations`].
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderStep {
    Remove(HeaderName),
    Rename(HeaderName, HeaderName),
    Replace(HeaderName, HeaderValue),
    Default(HeaderName, HeaderValue),
    Set(HeaderName, HeaderValue),
    Append(HeaderName, HeaderValue),
}

impl HeaderStep {
    /// The fields that it is about.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let (one, other) = match self {
            HeaderStep::Rename(old, new) => (old, Some(new)),
            HeaderStep::Remove(name)
            | HeaderStep::Replace(name, _)
            | HeaderStep::Default(name, _)
            | HeaderStep::Set(name, _)
            | HeaderStep::Append(name, _) => (name, None),
        };
        std::iter::once(one).chain(other)
    }
}

impl From<Operations> for HeaderProgram {
    fn from(operations: Operations) -> Self {
        let Operations { remove, rename, replace, default, set, append } = operations;
        let pairs = |list: Vec<(HeaderName, HeaderValue)>, step: fn(HeaderName, HeaderValue) -> HeaderStep| {
            list.into_iter().map(move |(name, value)| step(name, value))
        };
        let steps = remove
            .into_iter()
            .map(HeaderStep::Remove)
            .chain(rename.into_iter().map(|(old, new)| HeaderStep::Rename(old, new)))
            .chain(pairs(replace, HeaderStep::Replace))
            .chain(pairs(default, HeaderStep::Default))
            .chain(pairs(set, HeaderStep::Set))
            .chain(pairs(append, HeaderStep::Append));
        HeaderProgram(steps.collect())
    }
}

impl HeaderProgram {
    /// In the order in which they are applied.
    pub fn steps(&self) -> &[HeaderStep] {
        &self.0
    }

    /// Whether a step may give an answer a field `name`.
    pub fn writes(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|step| match step {
            HeaderStep::Remove(_) => false,
            HeaderStep::Rename(_, new) => new == name,
            HeaderStep::Replace(written, _)
            | HeaderStep::Default(written, _)
            | HeaderStep::Set(written, _)
            | HeaderStep::Append(written, _) => written == name,
        })
    }

    /// Applies the steps to `headers`.
    pub fn run(&self, headers: &mut impl HeaderSection) {
        for step in &self.0 {
            match step {
                HeaderStep::Remove(name) => headers.remove(name),
                HeaderStep::Rename(old, new) => headers.rename(old, new),
                HeaderStep::Replace(name, value) if headers.contains(name) => headers.set(name, value),
                HeaderStep::Default(name, value) if !headers.contains(name) => headers.set(name, value),
                HeaderStep::Replace(..) | HeaderStep::Default(..) => {}
                HeaderStep::Set(name, value) => headers.set(name, value),
                HeaderStep::Append(name, value) => headers.append(name, value),
            }
        }
    }
}
