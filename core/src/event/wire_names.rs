//! The names on the wire of the enums of the schema.

/// Gives an enum of the schema its names on the wire.
macro_rules! wire_names {
    ($enum:ident { $($variant:ident = $name:literal,)* }) => {
        impl $enum {
            /// All, in the order of the schema.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// Returns the name on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Reads the name on the wire.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}
