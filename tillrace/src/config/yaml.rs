//! Reads YAML into nodes. What it says of an error has a place and no text of the file, which may hold secrets.
//!
//! Tags are refused, since the types say what a value is; anchors and aliases are followed.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError};

use super::node::{Content, Node, Origin, Scalar};

/// Values that a document may have, aliases followed: far more than a configuration needs.
const MOST_NODES: usize = 1_000_000;

/// Why a text is no configuration, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {fault}")]
pub(super) struct YamlError {
    line: usize,
    column: usize,
    fault: String,
}

/// Reads one document. An empty one has no content.
///
/// # Errors
/// When it is not YAML, or uses of it what a configuration does not need.
pub(super) fn parse(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Node, YamlError> {
    let mut builder = Builder { open: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None };
    let options = granit_parser::options! { block_nesting_limit: 64, flow_nesting_limit: 64 };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| of_scanner(&error))?;
        let mark = (span.start.line(), span.start.col() + 1);
        let wrong = |fault: &str| YamlError { line: mark.0, column: mark.1, fault: fault.into() };
        builder.take(event, origin(mark.0)).map_err(wrong)?;
    }
    Ok(builder.root.unwrap_or_else(|| {
        Node::new(Content::Scalar(Scalar { text: String::new(), plain: true }), origin(1))
    }))
}

/// What is begun and not yet ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next.
    key: Option<String>,
}

struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, origin: Origin) -> Result<(), &'static str> {
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => {
                Err("a value has a tag (`!…`); remove it, or quote the text")
            }
            Event::Scalar(text, style, anchor, None) => {
                let scalar = Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                self.add(Node::new(Content::Scalar(scalar), origin), anchor, 1)
            }
            Event::SequenceStart(_, anchor, None) => {
                self.begin(Node::new(Content::List(Vec::new()), origin), anchor)
            }
            Event::MappingStart(_, anchor, None) => {
                self.begin(Node::new(Content::Map(Vec::new()), origin), anchor)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (node, nodes) = known.ok_or("an alias (`*…`) stands within what it names")?;
                self.add(node, 0, nodes)
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err("a second document begins; a configuration is one")
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), &'static str> {
        if matches!(self.open.last(), Some(Open { node, key: None, .. }) if is_map(node)) {
            return Err("a key is a list or a map; use text");
        }
        self.open.push(Open { node, anchor, key: None });
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let Some(Open { node, anchor, .. }) = self.open.pop() else { return Ok(()) };
        let nodes = count(&node);
        self.add(node, anchor, nodes)
    }

    /// Puts a whole value where it belongs.
    fn add(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), &'static str> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MOST_NODES {
            return Err("aliases make the configuration far too large");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        let Some(Open { node: outer, key, .. }) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut outer.content {
            Content::List(items) => items.push(node),
            Content::Map(entries) => match (key.take(), node.content) {
                (Some(name), content) => {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err("a key stands twice; remove one of them");
                    }
                    entries.push((name, Node::new(content, node.origin)));
                }
                (None, Content::Scalar(scalar)) => *key = Some(scalar.text),
                (None, _) => return Err("a key is a list or a map; use text"),
            },
            Content::Scalar(_) => {}
        }
        Ok(())
    }
}

fn is_map(node: &Node) -> bool {
    matches!(node.content, Content::Map(_))
}

fn count(node: &Node) -> usize {
    match &node.content {
        Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Content::Map(entries) => 1 + entries.iter().map(|(_, value)| count(value)).sum::<usize>(),
    }
}

fn of_scanner(error: &ScanError) -> YamlError {
    let mark = error.marker();
    YamlError { line: mark.line(), column: mark.col() + 1, fault: error.info() }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn fault(text: &str) -> String {
        parse(text, Origin::Line).unwrap_err().to_string()
    }

    #[test]
    fn a_value_keeps_its_text_its_quotes_and_its_line() {
        let node = parse("a: 0042\nb:\n  - 'NO'\n  - &x {c: }\n  - *x\n", Origin::Line).unwrap();
        let scalar = |path: &str| match node.nearest(path) {
            Node { content: Content::Scalar(scalar), origin, .. } => {
                (scalar.text.as_str(), scalar.plain, origin.clone())
            }
            _ => panic!("{path} is no scalar"),
        };
        assert_eq!(scalar("a"), ("0042", true, Origin::Line(1)));
        assert_eq!(scalar("b[0]"), ("NO", false, Origin::Line(3)));
        assert_eq!(scalar("b[1].c"), ("~", true, Origin::Line(4)));
        assert_eq!(scalar("b[2].c"), ("~", true, Origin::Line(4)));
    }

    #[test]
    fn an_error_has_a_place_and_shows_nothing_of_the_file() {
        for text in [
            "loyalty_secret: hunter2hunter2\nids: [1\nsecret: hunter2",
            "sasl.password: *hunter2",
            "sasl.password: \"hunter2\nb: c",
            "a: hunter2: b",
            "a: !hunter2 b",
            "hunter2: 1\nhunter2: 2",
            "[hunter2]: 1",
            "hunter2\n---\nb",
        ] {
            let fault = fault(text);
            assert!(fault.starts_with("line "), "{fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        assert_eq!(
            fault("a: 1\nb: 2\na: 3\n"),
            "line 3, column 4: a key stands twice; remove one of them"
        );
    }

    #[test]
    fn aliases_that_multiply_are_stopped() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let alias = format!("*a{}", level - 1);
            let ten = [alias.as_str(); 10].join(", ");
            writeln!(text, "a{level}: &a{level} [{ten}]").unwrap();
        }
        assert!(fault(&text).contains("far too large"), "{}", fault(&text));
    }
}
