//! Getting out of a damaged tree what can still be read.

use llmdb_base::{ChildRef, PageError, Pgno, ReadPages};

use crate::{
    Tree, Value,
    fence::Fence,
    node::{Node, fetch},
};

/// Something that could not be read.
#[derive(Clone, Copy, Debug)]
pub struct Lost<'a> {
    /// The page that is missing or damaged.
    pub pgno: Pgno,
    /// Lost keys are not below this one; `None`: they may be the first of the tree.
    pub from: Option<&'a [u8]>,
    /// Lost keys are below this one; `None`: they may be the last of the tree.
    pub below: Option<&'a [u8]>,
    /// What is wrong with it.
    pub why: &'a PageError,
}

impl Tree {
    /// Calls `sink` with every entry that can be read and is where it belongs, in key order, and `lost` for
    /// everything that is not. A run is handed out as it is referred to; whether it can be read is for the caller
    /// to find out.
    ///
    /// Cost: reads every node once. Ends on arbitrary bytes, as [`Tree::check`] does.
    pub fn salvage<P: ReadPages>(
        &self,
        pages: &P,
        sink: &mut dyn FnMut(&[u8], Value<'_>),
        lost: &mut dyn FnMut(Lost<'_>),
    ) {
        let mut salvage = Salvage { tree: self, pages, sink, lost };
        if self.is_empty() {
            return;
        }
        match self.root_ref() {
            Ok(root) => salvage.visit(root, self.height - 1, Fence::ALL),
            Err(why) => salvage.lose(self.root.pgno(), Fence::ALL, &why),
        }
    }

    /// As [`Tree::salvage`], for a single leaf that need not be reachable: one below a branch that is lost.
    pub fn salvage_leaf<P: ReadPages>(
        &self,
        pages: &P,
        leaf: ChildRef,
        sink: &mut dyn FnMut(&[u8], Value<'_>),
        lost: &mut dyn FnMut(Lost<'_>),
    ) {
        Salvage { tree: self, pages, sink, lost }.visit(leaf, 0, Fence::ALL);
    }
}

struct Salvage<'a, 'p, P> {
    tree: &'a Tree,
    pages: &'p P,
    sink: &'a mut dyn FnMut(&[u8], Value<'_>),
    lost: &'a mut dyn FnMut(Lost<'_>),
}

impl<'p, P: ReadPages> Salvage<'_, 'p, P> {
    fn visit(&mut self, child: ChildRef, level: u8, fence: Fence<'p>) {
        match fetch(self.pages, self.tree.id, child, level) {
            Ok(leaf) if level == 0 => self.visit_entries(&leaf, fence),
            Ok(branch) => self.visit_children(&branch, level, fence),
            Err(why) => self.lose(child.pgno(), fence, &why),
        }
    }

    fn visit_entries(&mut self, leaf: &Node<'p>, fence: Fence<'p>) {
        let mut rest = fence;
        let mut last = None;
        for index in 0..leaf.count() {
            match leaf.entry(index) {
                Ok((key, value)) if rest.contains(key) && last.is_none_or(|last| last < key) => {
                    (self.sink)(key, value);
                    (last, rest.low) = (Some(key), Some(key));
                }
                Ok(_) => {
                    let why = leaf.damaged(&format!("the key of cell {index} is out of order"));
                    self.lose(leaf.pgno(), rest, &why);
                }
                Err(why) => self.lose(leaf.pgno(), rest, &why),
            }
        }
    }

    fn visit_children(&mut self, branch: &Node<'p>, level: u8, fence: Fence<'p>) {
        fence.divide(branch, |index, part| match (branch.child(index), part) {
            (Ok(child), Some(part)) => self.visit(child, level - 1, part),
            (Ok(child), None) => {
                let why = branch.damaged(&format!("child {index} has no keys of its own"));
                self.lose(child.pgno(), fence, &why);
            }
            (Err(why), part) => self.lose(branch.pgno(), part.unwrap_or(fence), &why),
        });
    }

    fn lose(&mut self, pgno: Pgno, fence: Fence<'_>, why: &PageError) {
        (self.lost)(Lost { pgno, from: fence.low, below: fence.high, why });
    }
}
