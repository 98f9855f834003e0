//! Single nodes, for the bench that compares layouts.

use llmdb_base::{ChildRef, Epoch, PAGE_SIZE, PageBytes, PageResult, Pgno, TreeId, header};

use crate::{
    edit::NodeMut,
    node::{Form, Node},
    search,
};

const PGNO: Pgno = Pgno::new(1);

/// A leaf with `rows`, which ascend; `None` if they do not fit.
pub fn leaf(rows: &[(&[u8], &[u8])]) -> Option<PageBytes> {
    let mut page = [0; PAGE_SIZE];
    header::init(&mut page, header::PageKind::Leaf, 0, TreeId::new(1), Epoch::new(1));
    let mut node = NodeMut::new(&mut page, PGNO).ok()?;
    for (index, (key, value)) in rows.iter().enumerate() {
        node.insert(index, key, value, Form::Inline).ok()?;
    }
    Some(page)
}

/// A branch over `separators`, which ascend; the child left of them has number 1, the others follow.
pub fn branch(separators: &[&[u8]]) -> Option<PageBytes> {
    let mut page = [0; PAGE_SIZE];
    header::init(&mut page, header::PageKind::Branch, 1, TreeId::new(1), Epoch::new(1));
    let mut node = NodeMut::new(&mut page, PGNO).ok()?;
    for (index, key) in std::iter::once(&&[][..]).chain(separators).enumerate() {
        let child = ChildRef::new(Pgno::new(index as u64 + 1), Epoch::new(1));
        node.insert(index, key, &child.raw().to_le_bytes(), Form::Inline).ok()?;
    }
    Some(page)
}

/// The value of `key` in a leaf.
#[inline]
pub fn leaf_get<'p>(page: &'p PageBytes, key: &[u8]) -> PageResult<Option<&'p [u8]>> {
    let node = Node::new(page, TreeId::new(1), PGNO, 0)?;
    let place = search::find(&node, key)?;
    if place.exact { Ok(Some(node.cell(place.index)?.payload)) } else { Ok(None) }
}

/// The child of a branch in whose range `key` falls.
#[inline]
pub fn branch_child(page: &PageBytes, key: &[u8]) -> PageResult<ChildRef> {
    let node = Node::new(page, TreeId::new(1), PGNO, 1)?;
    node.child(search::child_index(&node, key)?)
}

/// As [`leaf_get`], by comparing keys alone.
pub fn leaf_get_plain<'p>(page: &'p PageBytes, key: &[u8]) -> PageResult<Option<&'p [u8]>> {
    let node = Node::new(page, TreeId::new(1), PGNO, 0)?;
    let place = search::locate_plain(&node, 0, key)?;
    if place.exact { Ok(Some(node.cell(place.index)?.payload)) } else { Ok(None) }
}

/// As [`branch_child`], by comparing keys alone.
pub fn branch_child_plain(page: &PageBytes, key: &[u8]) -> PageResult<ChildRef> {
    let node = Node::new(page, TreeId::new(1), PGNO, 1)?;
    let place = search::locate_plain(&node, 1, key)?;
    node.child(place.index - usize::from(!place.exact))
}

/// Calls `each` with the values of a leaf, in key order.
#[inline]
pub fn leaf_values(page: &PageBytes, mut each: impl FnMut(&[u8])) -> PageResult<()> {
    let node = Node::new(page, TreeId::new(1), PGNO, 0)?;
    for index in 0..node.count() {
        each(node.cell(index)?.payload);
    }
    Ok(())
}
