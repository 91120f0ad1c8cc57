//! Explanations of errors for operators: a stable code, what the error means, and what to do.
//!
//! An explanation is beside the enum that it explains, one entry for each variant, which the compiler checks; `docs/errors.md`
//! is generated from them. The error's own `Display` describes one occurrence (which topic, which file).

use std::error::Error;

/// The explanation of one kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Stable name, which a search of `docs/errors.md` finds.
    pub code: &'static str,
    /// What happened, and what it means for the data.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Explanation {
    /// Returns the remedy, and where the page of errors has the rest.
    pub fn remedy_and_page(&self) -> String {
        format!("{} See docs/errors.md, {}.", self.remedy, self.code)
    }
}

/// An error that an operator can meet.
pub trait Explained: Error {
    /// The explanations of all kinds, in the order of the variants.
    const EXPLANATIONS: &'static [Explanation];

    /// Returns the explanation of this one.
    fn explanation(&self) -> &'static Explanation;
}

/// Returns the code of an error, for a log line.
pub fn code_of(error: &impl Explained) -> &'static str {
    error.explanation().code
}

/// Explains the variants of an error enum.
///
/// `=>` lists tuple variants whose content has an explanation of its own. With `via METHOD` a method of the enum is
/// called first: it returns the explanation of a more specific cause, or `None`.
#[macro_export]
macro_rules! explain {
    ($enum:ident $(via $method:ident)? {
        $(=> $($inner:ident),+;)?
        $($variant:ident: $code:literal, $meaning:literal, $remedy:literal;)*
    }) => {
        impl $crate::explain::Explained for $enum {
            const EXPLANATIONS: &'static [$crate::explain::Explanation] = &[
                $($crate::explain::Explanation { code: $code, meaning: $meaning, remedy: $remedy }),*
            ];

            fn explanation(&self) -> &'static $crate::explain::Explanation {
                $(if let Some(explanation) = self.$method() {
                    return explanation;
                })?
                match self {
                    $($(Self::$inner(inner) => $crate::explain::Explained::explanation(inner),)+)?
                    $(Self::$variant { .. } => &$crate::explain::Explanation {
                        code: $code,
                        meaning: $meaning,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}
