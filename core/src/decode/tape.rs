//! Reading simd-json's tape: a flat list of nodes, each object and array knowing how many follow.
//!
//! The only file that knows a node. Nothing is indexed: a tape that did not hold what it says would
//! end an iteration early, not panic.

use simd_json::{Node, StaticNode};

use crate::content_hash::Scalar;

/// A value on the tape: a list of nodes of which it is the first, with what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'t, 'd> {
    head: &'t Node<'d>,
    rest: &'t [Node<'d>],
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Shape<'t, 'd> {
    Scalar(Scalar<'d>),
    Array(Elements<'t, 'd>),
    Object(Members<'t, 'd>),
}

impl<'t, 'd> Value<'t, 'd> {
    /// Returns the value that a list of nodes begins with.
    pub(super) fn first(nodes: &'t [Node<'d>]) -> Option<Self> {
        nodes.split_first().map(|(head, rest)| Self { head, rest })
    }

    pub(super) fn shape(self) -> Shape<'t, 'd> {
        match *self.head {
            Node::String(text) => Shape::Scalar(Scalar::Text(text)),
            Node::Object { len, count } => {
                Shape::Object(Members { left: len, nodes: self.inside(count) })
            }
            Node::Array { len, count } => {
                Shape::Array(Elements { left: len, nodes: self.inside(count) })
            }
            Node::Static(StaticNode::Null) => Shape::Scalar(Scalar::Null),
            Node::Static(StaticNode::Bool(value)) => Shape::Scalar(Scalar::Bool(value)),
            Node::Static(StaticNode::I64(value)) => Shape::Scalar(Scalar::Integer(value.into())),
            Node::Static(StaticNode::U64(value)) => Shape::Scalar(Scalar::Integer(value.into())),
            Node::Static(StaticNode::F64(value)) => Shape::Scalar(Scalar::Double(value)),
        }
    }

    pub(super) fn text(self) -> Option<&'d str> {
        if let Node::String(text) = *self.head { Some(text) } else { None }
    }

    pub(super) fn integer(self) -> Option<i128> {
        match *self.head {
            Node::Static(StaticNode::I64(value)) => Some(value.into()),
            Node::Static(StaticNode::U64(value)) => Some(value.into()),
            _ => None,
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(
            *self.head,
            Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_))
        )
    }

    pub(super) fn bool(self) -> Option<bool> {
        if let Node::Static(StaticNode::Bool(value)) = *self.head { Some(value) } else { None }
    }

    pub(super) fn is_null(self) -> bool {
        matches!(*self.head, Node::Static(StaticNode::Null))
    }

    pub(super) fn array(self) -> Option<Elements<'t, 'd>> {
        if let Shape::Array(elements) = self.shape() { Some(elements) } else { None }
    }

    pub(super) fn object(self) -> Option<Members<'t, 'd>> {
        if let Shape::Object(members) = self.shape() { Some(members) } else { None }
    }

    fn inside(self, count: usize) -> &'t [Node<'d>] {
        self.rest.get(..count).unwrap_or_default()
    }

    /// Nodes after the first that belong to this value.
    fn count(self) -> usize {
        match *self.head {
            Node::Object { count, .. } | Node::Array { count, .. } => count,
            Node::String(_) | Node::Static(_) => 0,
        }
    }
}

/// The elements of an array, in order.
#[derive(Debug, Clone)]
pub(super) struct Elements<'t, 'd> {
    left: usize,
    nodes: &'t [Node<'d>],
}

impl<'t, 'd> Iterator for Elements<'t, 'd> {
    type Item = Value<'t, 'd>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = Value::first(self.nodes)?;
        self.nodes = value.rest.get(value.count()..).unwrap_or_default();
        self.left = self.left.saturating_sub(1);
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_, '_> {}

/// The members of an object, in the order sent.
#[derive(Debug, Clone)]
pub(super) struct Members<'t, 'd> {
    left: usize,
    nodes: &'t [Node<'d>],
}

impl<'t, 'd> Iterator for Members<'t, 'd> {
    type Item = (&'d str, Value<'t, 'd>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, nodes) = self.nodes.split_first()?;
        let Node::String(name) = name else { return None };
        let value = Value::first(nodes)?;
        self.nodes = value.rest.get(value.count()..).unwrap_or_default();
        self.left = self.left.saturating_sub(1);
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Members<'_, '_> {}
