//! A tree with gaps, and the rows that belong into them, joined to a new one.

use std::cell::RefCell;

use llmdb_base::ReadPages;
use llmdb_btree::{Loader, NewValue, Tree, Value};
use llmdb_pager::PageTxn;

use super::{Copied, Gap, copied};
use crate::Result;

/// Gaps in order, none of which touches another.
pub(super) fn joined(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort();
    let mut joined: Vec<Gap> = Vec::new();
    for (from, below) in gaps {
        match joined.last_mut() {
            Some((_, end)) if end.as_ref().is_none_or(|end| *end >= from) => {
                if end.is_some() && below.as_ref().is_none_or(|below| Some(below) > end.as_ref()) {
                    *end = below;
                }
            }
            _ => joined.push((from, below)),
        }
    }
    joined
}

fn is_in(key: &[u8], (from, below): &Gap) -> bool {
    from.as_slice() <= key && below.as_ref().is_none_or(|below| key < below.as_slice())
}

/// The rows of `tree` outside of `gaps`, and those of `whole` inside, as a new tree in `to`. Long values of `tree` stay
/// where they are; those of `whole` are copied.
pub(super) fn merge<P: ReadPages, Q: ReadPages>(
    pages: &P,
    tree: &Tree,
    gaps: &[Gap],
    others: &Q,
    whole: &Tree,
    to: &mut PageTxn,
) -> Result<Tree> {
    let state =
        RefCell::new(Filling { loader: Tree::loader(tree.id), to, gaps: gaps.iter(), failed: Ok(()) });
    let fill = |filling: &mut Filling<'_, '_>, below: Option<&[u8]>| filling.fill(others, whole, below);
    tree.salvage(
        pages,
        &mut |key, value| {
            let filling = &mut *state.borrow_mut();
            if filling.failed.is_ok() && !gaps.iter().any(|gap| is_in(key, gap)) {
                filling.failed = fill(filling, Some(key)).and_then(|()| filling.keep(key, &value));
            }
        },
        &mut |_| (),
    );
    let mut filling = state.into_inner();
    std::mem::replace(&mut filling.failed, Ok(()))?;
    fill(&mut filling, None)?;
    Ok(filling.loader.finish(filling.to)?)
}

struct Filling<'g, 't> {
    loader: Loader,
    to: &'t mut PageTxn,
    gaps: std::slice::Iter<'g, Gap>,
    failed: Result<()>,
}

impl Filling<'_, '_> {
    /// A row that could be read.
    fn keep(&mut self, key: &[u8], value: &Value<'_>) -> Result<()> {
        let value = match value {
            Value::Inline(bytes) => NewValue::Bytes(bytes),
            Value::Run(run) => NewValue::Run(*run),
        };
        Ok(self.loader.push(self.to, key, value)?)
    }

    /// Fills the gaps that begin below a key; all that are left for `None`.
    fn fill<Q: ReadPages>(&mut self, others: &Q, whole: &Tree, below: Option<&[u8]>) -> Result<()> {
        while let Some(gap) = self.gaps.as_slice().first() {
            if below.is_some_and(|below| gap.0.as_slice() >= below) {
                break;
            }
            self.gaps.next();
            let mut cursor = whole.cursor(others);
            let mut row = cursor.seek(&gap.0)?;
            while let Some((key, value)) = row.filter(|(key, _)| is_in(key, gap)) {
                match copied(others, self.to, &value)? {
                    Copied::Bytes(bytes) => self.loader.push(self.to, key, NewValue::Bytes(bytes))?,
                    Copied::Run(run) => self.loader.push(self.to, key, NewValue::Run(run))?,
                }
                row = cursor.next()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_joined() {
        let gap = |from: &str, below: Option<&str>| {
            (from.as_bytes().to_vec(), below.map(|key| key.as_bytes().to_vec()))
        };
        assert_eq!(
            joined(vec![gap("m", Some("p")), gap("a", Some("c")), gap("b", Some("f")), gap("f", Some("g"))]),
            [gap("a", Some("g")), gap("m", Some("p"))]
        );
        assert_eq!(
            joined(vec![gap("b", None), gap("c", Some("d")), gap("", Some("a"))]),
            [gap("", Some("a")), gap("b", None)]
        );
        assert_eq!(joined(vec![gap("a", Some("z")), gap("b", Some("c"))]), [gap("a", Some("z"))]);
        assert!(is_in(b"b", &gap("b", None)) && !is_in(b"c", &gap("a", Some("c"))));
    }
}
