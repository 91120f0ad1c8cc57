//! The configuration as it was written: every value with its text and the place where it stands.
//!
//! What a value means is decided by the type that reads it ([`super::read`]): `0042` is text for an id and 42 for a
//! number. Nothing is resolved before that.

use std::fmt;

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    pub(super) origin: Origin,
    /// It was found to be wrong and is passed over, so that what stands beside it can be looked at too.
    pub(super) refused: bool,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file. A key stands once.
    Map(Vec<(String, Node)>),
}

/// A text, and whether it stood without quotes and so may be more than text.
#[derive(Clone)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) plain: bool,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A line of the file, from 1.
    Line(usize),
    /// A variable of the environment.
    Variable(String),
}

impl Node {
    pub(super) fn new(content: Content, origin: Origin) -> Self {
        Self { content, origin, refused: false }
    }

    /// Makes what an absent file amounts to.
    pub(super) fn empty() -> Self {
        Self::new(Content::Map(Vec::new()), Origin::Line(1))
    }

    /// Tells whether nothing was written: an empty value, `~` or `null` (YAML 1.2, section 10.3.2).
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar(scalar) if scalar.is_null())
    }

    /// Returns the value that stands at a path such as `sinks[0].name`, or the innermost one on the way to it. Places
    /// count what was not refused.
    pub(super) fn nearest(&self, path: &str) -> &Self {
        self.step(path).map_or(self, |(next, rest)| next.nearest(rest))
    }

    /// Returns a path with the places that its lists have in the file, those of what was refused counted.
    pub(super) fn written(&self, path: &str) -> String {
        let (step, next, rest) = match &self.content {
            Content::Scalar(_) => return path.to_owned(),
            Content::List(items) => {
                let live = items.iter().enumerate().filter(|(_, item)| !item.refused);
                let found =
                    place(path).and_then(|(place, rest)| Some((live.clone().nth(place)?, rest)));
                let Some(((place, item), rest)) = found else { return path.to_owned() };
                (format!("[{place}]"), item, rest)
            }
            Content::Map(entries) => {
                let live = entries.iter().filter(|(_, value)| !value.refused);
                let found =
                    live.clone().find_map(|(key, value)| Some((key, value, below(path, key)?)));
                let Some((key, value, rest)) = found else { return path.to_owned() };
                (key.clone(), value, rest)
            }
        };
        let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
        format!("{step}{dot}{}", next.written(rest))
    }

    /// Marks what stands at a path, or the innermost on the way to it, and tells whether that is new.
    pub(super) fn refuse(&mut self, path: &str) -> bool {
        let (next, rest): (&mut Self, &str) = match &mut self.content {
            Content::Scalar(_) => return !std::mem::replace(&mut self.refused, true),
            Content::List(items) => {
                let found = place(path).and_then(|(place, rest)| {
                    let item = items.iter_mut().filter(|item| !item.refused).nth(place)?;
                    Some((item, rest))
                });
                match found {
                    Some(found) => found,
                    None => return !std::mem::replace(&mut self.refused, true),
                }
            }
            Content::Map(entries) => {
                let found = entries
                    .iter_mut()
                    .filter(|(_, value)| !value.refused)
                    .find_map(|(key, value)| Some((value, below(path, key)?)));
                match found {
                    Some(found) => found,
                    None => return !std::mem::replace(&mut self.refused, true),
                }
            }
        };
        next.refuse(rest)
    }

    /// Tells whether something directly below was refused.
    pub(super) fn lacks_something(&self) -> bool {
        match &self.content {
            Content::Scalar(_) => false,
            Content::List(items) => items.iter().any(|item| item.refused),
            Content::Map(entries) => entries.iter().any(|(_, value)| value.refused),
        }
    }

    fn step<'p>(&self, path: &'p str) -> Option<(&Self, &'p str)> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => {
                let (place, rest) = place(path)?;
                Some((items.iter().filter(|item| !item.refused).nth(place)?, rest))
            }
            Content::Map(entries) => entries
                .iter()
                .filter(|(_, value)| !value.refused)
                .find_map(|(key, value)| Some((value, below(path, key)?))),
        }
    }
}

/// Takes `[3]` off the front of a path.
fn place(path: &str) -> Option<(usize, &str)> {
    let (place, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((place.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

/// Takes a key off the front of a path. Names of librdkafka's properties have dots in them.
fn below<'p>(path: &'p str, key: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(key)?;
    if rest.is_empty() || rest.starts_with('[') { Some(rest) } else { rest.strip_prefix('.') }
}

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl fmt::Debug for Scalar {
    /// Shows nothing of the text, which may be a secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scalar").field("plain", &self.plain).finish_non_exhaustive()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(formatter, "line {line}"),
            Self::Variable(name) => formatter.write_str(name),
        }
    }
}
