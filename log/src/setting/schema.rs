//! How quantities with a unit look in the JSON Schema of the configuration.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Stands for a time in the schema: whole numbers, each with its unit, as `humantime` reads them.
#[derive(Debug)]
pub struct DurationText;

/// Stands for a number of bytes in the schema, as `bytesize` reads them.
#[derive(Debug)]
pub struct SizeText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "time-span",
            "pattern": "^(0|[0-9]+ *[a-zA-Zµ]+( *[0-9]+ *[a-zA-Zµ]+)*)$",
            "examples": ["500ms", "1m 30s", "3days"],
        })
    }
}

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "format": "byte-size",
            "pattern": "^[0-9]+(\\.[0-9]+)? *([kKmMgGtT][iI]?)?[bB]?$",
            "minimum": 0,
            "examples": ["64KiB", "256MiB"],
        })
    }
}
