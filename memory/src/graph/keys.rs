//! Rows of the graph: where each thing stands, so that what belongs together lies together.

use std::borrow::Cow;

use llmdb_temporal::{Element, Key, RowKey, Rows};
use sha2::{Digest, Sha256};

/// Entities, each followed by its observations.
pub(super) const NODES: u32 = 0;
/// Relations by where they start.
pub(super) const FROM: u32 = 1;
/// Relations by where they end: nothing but the way to the row in [`FROM`].
pub(super) const TO: u32 = 2;

/// Longest name in bytes that stands in a key as it is. Three of them fit, even if every byte has to be escaped.
const NAME_LEN_MAX: usize = 200;

/// A name as an element: text, or the digest of one that is too long.
fn name(name: &str) -> Element<'_> {
    match name.len() <= NAME_LEN_MAX {
        true => Element::Text(Cow::Borrowed(name)),
        false => Element::Bytes(Cow::Owned(Sha256::digest(name).to_vec())),
    }
}

/// What stands for an observation, which may be long.
fn digest(text: &str) -> Element<'static> {
    Element::Bytes(Cow::Owned(Sha256::digest(text).to_vec()))
}

fn number(number: u64) -> Element<'static> {
    Element::Integer(i128::from(number))
}

/// An entity. Almost always number 0: one call can make several of the same name, as the reference does.
pub(super) fn entity(entity: &str, n: u64) -> RowKey {
    RowKey::new(NODES, Key::of([name(entity), number(n)]))
}

/// An observation, the `k`th of those with the same digest.
pub(super) fn observation(entity: &str, n: u64, text: &str, k: u64) -> RowKey {
    RowKey::new(NODES, Key::of([name(entity), number(n), digest(text), number(k)]))
}

/// All entities of a name, with their observations.
pub(super) fn entities_called(entity: &str) -> Rows {
    Rows::prefix(NODES, [name(entity)])
}

/// The observations of an entity that may say `text`.
pub(super) fn observations_like(entity: &str, n: u64, text: &str) -> Rows {
    Rows::prefix(NODES, [name(entity), number(n), digest(text)])
}

/// A relation, the `n`th of those that say the same.
pub(super) fn relation(relation: &super::Relation, n: u64) -> RowKey {
    let super::Relation { from, to, relation_type } = relation;
    RowKey::new(FROM, Key::of([name(from), name(to), name(relation_type), number(n)]))
}

/// The relations that say this.
pub(super) fn relations_like(relation: &super::Relation) -> Rows {
    let super::Relation { from, to, relation_type } = relation;
    Rows::prefix(FROM, [name(from), name(to), name(relation_type)])
}

/// The relations that start, or end, at an entity.
pub(super) fn relations_at(partition: u32, entity: &str) -> Rows {
    Rows::prefix(partition, [name(entity)])
}

/// The row of a relation in the other of the two partitions; `None` if it is no row of a relation.
pub(super) fn turned(row: &RowKey) -> Option<RowKey> {
    let mut elements: Vec<_> = row.key.elements().collect();
    if elements.len() != 4 {
        return None;
    }
    elements.swap(0, 1);
    let partition = if row.partition == FROM { TO } else { FROM };
    Some(RowKey::new(partition, Key::of(elements)))
}

/// What a row of [`NODES`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Node {
    /// The entity of this number.
    Entity(u64),
    /// The `k`th observation of its digest.
    Observation(u64),
}

/// What a row of [`NODES`] is; `None` if this room never writes such a row.
pub(super) fn node(row: &RowKey) -> Option<Node> {
    let elements: Vec<_> = row.key.elements().collect();
    match elements.as_slice() {
        [_, Element::Integer(n)] => Some(Node::Entity(u64::try_from(*n).ok()?)),
        [_, _, _, Element::Integer(k)] => Some(Node::Observation(u64::try_from(*k).ok()?)),
        _ => None,
    }
}

/// The number at the end of a key; 0 if there is none.
pub(super) fn last_number(row: &RowKey) -> u64 {
    match row.key.elements().last() {
        Some(Element::Integer(number)) => u64::try_from(number).unwrap_or(0),
        _ => 0,
    }
}
