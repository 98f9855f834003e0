//! What is left of a row that should be gone.

use llmdb_engine::Traces;

use super::{
    remove::prefixes,
    tombstone::{ERASED, Erasure, SALT, hash, salt},
};
use crate::{
    Error, Result, RowKey, Store, beside,
    catalog::{self, Info},
    epochs,
    record::ROW_END,
};

/// What is left of a row that should be gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErasedCheck {
    /// The erasures of the row, the last one last.
    pub erasures: Vec<Erasure>,
    /// Records that the newest state has of the row: it was never erased, or was put again.
    pub records: u64,
    /// Where its bytes were found.
    pub traces: Traces,
}

impl ErasedCheck {
    /// Whether nothing is left.
    pub fn is_clean(&self) -> bool {
        self.records == 0 && self.traces.count == 0
    }
}

impl Store<'_> {
    /// Looks for what is left of a row: in the newest state, in all pages of the data file as they are on the media,
    /// in the log and in the archive, if there is one. `also` are other bytes to look for, such as what its values
    /// said.
    ///
    /// Cost: reads everything once.
    ///
    /// # Errors
    /// [`Error::NoCollection`]; [`Error::Engine`], which may be that `progress` stopped it; [`Error::Corruption`].
    pub fn check_erased(
        &self,
        collection: &str,
        row: impl Into<RowKey>,
        also: &[Vec<u8>],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<ErasedCheck> {
        let row = row.into().encode();
        let view = self.view()?;
        let meta = view.meta()?.ok_or_else(|| Error::NoCollection(collection.into()))?;
        let info = meta.get(catalog::collection_key(collection))?;
        let info = Info::decode(collection, info.ok_or_else(|| Error::NoCollection(collection.into()))?)?;
        let mut records = 0;
        for part in info.parts() {
            let Some(tree) = view.snapshot().tree(&info.tree(*part))? else { continue };
            for prefix in prefixes(*part, epochs::numbers(meta, info.id)?) {
                let from = [&prefix[..], &row].concat();
                let to = [&from[..], ROW_END].concat();
                for entry in tree.range(from..to)? {
                    entry?;
                    records += 1;
                }
            }
        }
        records += beside::count(&view, info.id, &row)?;
        let mut erasures = self.erasures()?;
        if !erasures.is_empty() {
            let tree = view.snapshot().tree(ERASED)?;
            let salt = salt(tree.map(|tree| tree.get([SALT])).transpose()?.flatten())?;
            let hash = hash(&salt, info.id, &row);
            erasures.retain(|erasure| erasure.key_hash == hash);
        }
        drop(view);
        let needles: Vec<Vec<u8>> = [row].into_iter().chain(also.iter().cloned()).collect();
        let traces = self.engine.find_traces(&needles, progress)?;
        Ok(ErasedCheck { erasures, records, traces })
    }
}
