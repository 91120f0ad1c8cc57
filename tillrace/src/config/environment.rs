//! Settings from the environment, laid over those of the file.
//!
//! `TILLRACE__INGEST__LISTEN=0.0.0.0:80` sets `ingest.listen`. A number is a place in a list, from 0, and the first one
//! after the last adds to it; a property of librdkafka has underscores for its dots. A value is what it would be in the
//! file without quotes, whatever is in it; only one that begins with `{`, `[` or a quote is read as YAML.

use std::ffi::OsString;

use tillrace_log::setting::SettingError;

use super::node::{Content, Node, Origin, Scalar};
use super::yaml;

const PREFIX: &str = "TILLRACE__";
/// What looks like the prefix and is none.
const NEARLY: &str = "TILLRACE_";
/// Keys of the top level.
const SECTIONS: [&str; 12] = [
    "aggregate",
    "books",
    "data",
    "domains",
    "ingest",
    "log",
    "namespace",
    "sinks",
    "status",
    "status_listener",
    "telemetry",
    "tenants",
];
const PROPERTIES: [&str; 3] = ["log", "kafka", "properties"];

/// A step of a path. Places sort by number, so that a list grows in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Place(usize, String),
    Key(String),
}

/// Lays every variable with the prefix over `tree`, and returns the ones that cannot be, by their names.
pub(super) fn overlay(
    tree: &mut Node,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<SettingError> {
    let mut errors = Vec::new();
    let mut overrides: Vec<(Vec<Step>, String, String)> = Vec::new();
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        match value.into_string() {
            Ok(value) => overrides.push((steps(path), name, value)),
            Err(_not_text) => errors.push(error(name, "is not UTF-8", "write it in UTF-8")),
        }
    }
    overrides.sort();
    for (steps, name, value) in overrides {
        let origin = Origin::Variable(name.clone());
        let set = read(&value, &origin).and_then(|value| set(tree, &steps, 0, value, &origin));
        if let Err(fault) = set {
            errors.push(error(name, fault, "see docs/configuration.md for names and values"));
        }
    }
    errors
}

/// Returns warnings of variables that were hardly meant to be ignored: `TILLRACE_INGEST_LISTEN`.
pub(super) fn nearly(names: impl Iterator<Item = OsString>) -> Vec<SettingError> {
    let mut warnings = Vec::new();
    for name in names.filter_map(|name| name.into_string().ok()) {
        let Some(rest) = name.strip_prefix(NEARLY).filter(|rest| !rest.starts_with('_')) else {
            continue;
        };
        let first = rest.split('_').next().unwrap_or_default().to_ascii_lowercase();
        if SECTIONS.contains(&first.as_str()) {
            let remedy = format!("put two underscores between keys, as in {PREFIX}INGEST__LISTEN");
            warnings.push(error(name, "is ignored", remedy));
        }
    }
    warnings.sort_by(|one, other| one.path.cmp(&other.path));
    warnings
}

fn error(name: String, fault: impl Into<String>, remedy: impl Into<String>) -> SettingError {
    SettingError { path: name, fault: fault.into().into(), remedy: remedy.into().into() }
}

fn steps(path: &str) -> Vec<Step> {
    let step = |name: &str| match name.parse() {
        Ok(place) => Step::Place(place, name.to_owned()),
        Err(_not_a_place) => Step::Key(name.to_ascii_lowercase()),
    };
    path.split("__").map(step).collect()
}

fn read(value: &str, origin: &Origin) -> Result<Node, String> {
    if value.trim_start().starts_with(['{', '[', '"', '\'']) {
        return yaml::parse(value, |_line| origin.clone()).map_err(|error| error.to_string());
    }
    let scalar = Scalar { text: value.trim().to_owned(), plain: true };
    Ok(Node::new(Content::Scalar(scalar), origin.clone()))
}

fn set(
    tree: &mut Node,
    steps: &[Step],
    depth: usize,
    value: Node,
    origin: &Origin,
) -> Result<(), String> {
    let Some(step) = steps.get(depth) else {
        *tree = value;
        return Ok(());
    };
    if tree.is_null() {
        let content = match step {
            Step::Place(..) => Content::List(Vec::new()),
            Step::Key(_) => Content::Map(Vec::new()),
        };
        *tree = Node::new(content, origin.clone());
    }
    let place = match (&mut tree.content, step) {
        (Content::Map(entries), Step::Key(name) | Step::Place(_, name)) => {
            let above = steps.get(..depth).unwrap_or_default();
            let name = if are_properties(above) { name.replace('_', ".") } else { name.clone() };
            entry(entries, name, origin)
        }
        (Content::List(items), Step::Place(place, _)) => {
            let count = items.len();
            if *place == count {
                items.push(null(origin));
            }
            items
                .get_mut(*place)
                .ok_or_else(|| format!("names place {place} of a list that has {count} so far"))?
        }
        (Content::List(_), Step::Key(name)) => {
            return Err(format!("has `{name}` where a list has a place, from 0"));
        }
        (Content::Scalar(_), Step::Key(name) | Step::Place(_, name)) => {
            return Err(format!("has `{name}` below a plain value"));
        }
    };
    set(place, steps, depth + 1, value, origin)
}

/// Tells whether properties of librdkafka stand below these steps: of the log, or of a domain's.
fn are_properties(above: &[Step]) -> bool {
    let of_log = match above {
        [Step::Key(section), Step::Place(..), rest @ ..] if section == "domains" => rest,
        rest => rest,
    };
    of_log.len() == PROPERTIES.len()
        && of_log.iter().zip(PROPERTIES).all(|(step, key)| *step == Step::Key(key.to_owned()))
}

fn entry<'a>(entries: &'a mut Vec<(String, Node)>, name: String, origin: &Origin) -> &'a mut Node {
    let place = entries.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
        entries.push((name, null(origin)));
        entries.len() - 1
    });
    &mut entries[place].1
}

fn null(origin: &Origin) -> Node {
    let scalar = Scalar { text: String::new(), plain: true };
    Node::new(Content::Scalar(scalar), origin.clone())
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn overlaid(yaml: &str, variables: &[(&str, &str)]) -> (Node, Vec<String>) {
        let mut tree = yaml::parse(yaml, Origin::Line).unwrap();
        let variables = variables.iter().map(|&(name, value)| (name.into(), value.into()));
        let errors = overlay(&mut tree, variables);
        (tree, errors.iter().map(ToString::to_string).collect())
    }

    fn text<'a>(tree: &'a Node, path: &str) -> &'a str {
        match &tree.nearest(path).content {
            Content::Scalar(scalar) => &scalar.text,
            _ => panic!("{path} is no scalar"),
        }
    }

    #[test]
    fn a_variable_reaches_sections_lists_and_what_was_not_there() {
        let (tree, errors) = overlaid(
            "ingest: {listen: a}\nsinks: [{name: erp}]",
            &[
                ("TILLRACE__INGEST__LISTEN", "0.0.0.0:80"),
                ("TILLRACE__SINKS__0__CONCURRENCY", "8"),
                ("TILLRACE__SINKS__1__NAME", "crm"),
                ("TILLRACE__TENANTS__0__ID", "0042"),
                ("TILLRACE__TENANTS__0__KEYS__0__STORES", "['*']"),
                ("TILLRACE__LOG__KAFKA__BROKERS", "b:9092"),
                ("TILLRACE__LOG__KAFKA__PROPERTIES__SASL_PASSWORD", "*a: #b, {c"),
                ("TILLRACE__DOMAINS__0__LOG__KAFKA__PROPERTIES__SASL_USERNAME", "u"),
                ("OTHER", "x"),
            ],
        );
        assert_eq!(errors, Vec::<String>::new());
        for (path, value) in [
            ("ingest.listen", "0.0.0.0:80"),
            ("sinks[0].name", "erp"),
            ("sinks[0].concurrency", "8"),
            ("sinks[1].name", "crm"),
            ("tenants[0].id", "0042"),
            ("tenants[0].keys[0].stores[0]", "*"),
            ("log.kafka.brokers", "b:9092"),
            ("log.kafka.properties.sasl.password", "*a: #b, {c"),
            ("domains[0].log.kafka.properties.sasl.username", "u"),
        ] {
            assert_eq!(text(&tree, path), value, "{path}");
        }
    }

    #[test]
    fn a_list_grows_in_the_order_of_its_places() {
        let names: Vec<_> =
            (0..12).map(|place| format!("TILLRACE__SINKS__{place}__NAME")).collect();
        let variables: Vec<_> = names.iter().rev().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(overlaid("", &variables).1, Vec::<String>::new());
    }

    #[test]
    fn a_path_that_leads_nowhere_is_named_by_its_variable() {
        let remedy = "see docs/configuration.md for names and values";
        for (yaml, name, fault) in [
            ("sinks: []", "TILLRACE__SINKS__3__NAME", "names place 3 of a list that has 0 so far"),
            ("sinks: []", "TILLRACE__SINKS__ERP", "has `erp` where a list has a place, from 0"),
            ("namespace: eu", "TILLRACE__NAMESPACE__X", "has `x` below a plain value"),
        ] {
            assert_eq!(overlaid(yaml, &[(name, "x")]).1, [format!("{name}: {fault}; {remedy}")]);
        }
        let error = overlaid("", &[("TILLRACE__SINKS", "[hunter2")]).1.remove(0);
        assert!(error.starts_with("TILLRACE__SINKS: line 1, "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_not_utf_8_is_refused_where_it_is_ours_and_passed_over_elsewhere() {
        let strange = || OsString::from_vec(vec![0xff]);
        let variables = [
            ("TILLRACE__DATA".into(), strange()),
            ("OTHER".into(), strange()),
            (strange(), "x".into()),
        ];
        let errors = overlay(&mut Node::empty(), variables.into_iter());
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["TILLRACE__DATA: is not UTF-8; write it in UTF-8"]);
    }

    #[test]
    fn a_single_underscore_is_noticed() {
        let schema = schemars::schema_for!(super::super::Settings).to_value();
        let known: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(known, SECTIONS);
        let names = ["TILLRACE_INGEST_LISTEN", "TILLRACE_DEV_KEY", "TILLRACE__DATA", "INGEST"];
        let warnings = nearly(names.into_iter().map(OsString::from));
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "TILLRACE_INGEST_LISTEN: is ignored; put two underscores between keys, as in TILLRACE__INGEST__LISTEN"
            ]
        );
    }
}
