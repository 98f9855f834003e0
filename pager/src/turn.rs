//! Handing the right to write over to another process, and taking it up again.
//!
//! What the next one has to know goes two ways: the pages, the allocation map among them, through the file, where they
//! are written but not forced; and the rest as a record: the newest root, where the map is, the durable generations, and
//! what is held for whom.

use std::sync::Arc;

use llmdb_base::{ChildRef, Corruption, Epoch, PageError, PageResult, Pgno, StoreId, sync::lock};

use crate::{
    checkpoint::store_map,
    durable::Durable,
    map::MapPages,
    meta::{COUNT_MAX, FIXED_PAGES, Generations, META_LEN, Meta},
    open::{EPOCHS_SKIPPED, load},
    pager::Pager,
    range::PageRange,
    retention::{Batch, Freed, Retention},
    roots::{RootRecord, WORD_COUNT},
    share::Commons,
    writer::{Writer, WriterSlot},
};

impl Pager {
    /// What processes share, if they share the store.
    pub fn commons(&self) -> Option<&Commons> {
        self.commons.get()
    }

    /// Leaves everything to the next process that writes: every committed page is in the file, the newest root is
    /// published, and what is returned says the rest. Called under the writer gate, between transactions, while no
    /// checkpoint is under way; what was committed must be durable. Cost: writes the pieces of the allocation map that
    /// have changed, and the pages that are in private memory only; forces nothing.
    ///
    /// # Errors
    /// `NoSpace` if there is none for the map; I/O errors. This process must then keep the turn.
    pub fn hand_over(self: &Arc<Self>) -> PageResult<Vec<u8>> {
        let mut txn = self.begin_write();
        txn.use_reserve();
        let map = store_map(&mut txn)?;
        let tip = *txn.root();
        txn.writer_mut().set_map(map);
        let root = txn.seal(tip.state());
        drop(txn);
        self.write_out()?;
        self.publish(&root);
        let slot = lock(&self.writer);
        let WriterSlot::Idle(writer) = &*slot else { unreachable!("asked between write transactions") };
        let durable = lock(self.durable.as_ref().expect("only a store with a file is shared"));
        let epochs = self.counters.epochs();
        Ok(encode(self.space.file_pages(), epochs, &root, writer, &lock(&self.retention), &durable))
    }

    /// Goes on where another process left off.
    ///
    /// # Errors
    /// Corruption if the record or the allocation map is damaged; I/O errors. Nothing has changed that matters:
    /// [`Pager::take_over`] is another way.
    pub fn resume(&self, record: &[u8]) -> PageResult<()> {
        let file = self.store.file();
        let turn =
            Turn::decode(record, self.store.id).ok_or_else(|| damaged("the record of the last turn"))?;
        if turn.root.epoch < self.published().epoch.max(self.tip().epoch) {
            return Err(damaged("the epoch of the last turn"));
        }
        let len =
            file.len().map_err(|source| PageError::io("ask for the length of the data file", source))?;
        if len / (llmdb_base::PAGE_SIZE as u64) < turn.file_pages || turn.root.page_count > turn.file_pages {
            return Err(damaged("the length of the data file"));
        }
        let reserved = self.store.view.reserve(turn.file_pages);
        reserved.map_err(|source| PageError::io("reserve address space", source))?;
        let meta =
            Meta { map_root: turn.map_root, map_levels: turn.map_levels, root: turn.root, ..turn.newest };
        let (map, image) = load::read_map(file, turn.file_pages, &meta, &mut Default::default(), false)?;
        self.space.empty(turn.file_pages);
        let free = image.into_iter().flat_map(|range| self.space.free_part(range)).collect::<Vec<_>>();
        free.into_iter().for_each(|range| self.space.take(range));
        self.space.forget_changes();
        for page in turn.held.iter().flat_map(|batch| &batch.pages) {
            if self.space.free_part(page.range) != [page.range] {
                return Err(damaged("the list of held pages"));
            }
            self.space.hold_free(page.range);
        }
        let writer = Box::new(Writer::new(turn.last_epoch, map));
        *lock(&self.retention) = Retention::adopt(turn.held);
        let durable = Durable::new(Generations { newest: turn.newest, older: Some(turn.older) });
        self.begin_turn(writer, durable, turn.root, &turn.root, turn.epochs);
        Ok(())
    }
}

fn damaged(what: &str) -> PageError {
    Corruption::new(Pgno::new(0), format!("{what} is not what the process before has left")).into()
}

/// A record, decoded.
struct Turn {
    root: RootRecord,
    last_epoch: Epoch,
    file_pages: u64,
    map_root: ChildRef,
    map_levels: u8,
    epochs: u64,
    newest: Meta,
    older: Meta,
    held: Vec<Batch>,
}

fn encode(
    file_pages: u64,
    epochs: u64,
    root: &RootRecord,
    writer: &Writer,
    retention: &Retention,
    durable: &Durable,
) -> Vec<u8> {
    let map: &MapPages = &writer.map;
    let mut words: Vec<u64> = root.to_words().into();
    words.extend([
        writer.last_epoch().get(),
        file_pages,
        map.root().raw(),
        map.index_levels().into(),
        epochs,
    ]);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for meta in [durable.newest, durable.older] {
        bytes.extend(meta.encode(meta.slots()[0]));
    }
    for batch in retention.batches() {
        let words = [batch.freed.get(), batch.pages.len() as u64].into_iter();
        let pages = batch.pages.iter().flat_map(|page| [page.range.raw(), page.born.get()]);
        bytes.extend(words.chain(pages).flat_map(u64::to_le_bytes));
    }
    bytes
}

impl Turn {
    fn decode(mut bytes: &[u8], store: StoreId) -> Option<Self> {
        let mut words = [0; WORD_COUNT];
        for word in &mut words {
            *word = take_word(&mut bytes)?;
        }
        let root = RootRecord::from_words(words);
        root.state().check_room().ok()?;
        let mut head = [0; 5];
        for word in &mut head {
            *word = take_word(&mut bytes)?;
        }
        let [last_epoch, file_pages, map_root, map_levels, epochs] = head;
        let (newest, older) = (take_meta(&mut bytes, store)?, take_meta(&mut bytes, store)?);
        let is_possible = root.epoch.get() <= last_epoch
            && last_epoch < COUNT_MAX
            && newest.generation >= older.generation
            && root.page_count <= file_pages
            && file_pages <= Pgno::MAX.get() + 1;
        if !is_possible {
            return None;
        }
        let mut held = Vec::new();
        while !bytes.is_empty() {
            held.push(take_batch(&mut bytes, file_pages, Epoch::new(last_epoch))?);
        }
        Some(Self {
            root,
            last_epoch: Epoch::new(last_epoch),
            file_pages,
            map_root: ChildRef::from_raw(map_root),
            map_levels: u8::try_from(map_levels)
                .ok()
                .filter(|levels| *levels <= crate::map::INDEX_LEVELS_MAX)?,
            epochs: epochs.min(EPOCHS_SKIPPED),
            newest,
            older,
            held,
        })
    }
}

fn take_word(bytes: &mut &[u8]) -> Option<u64> {
    let (word, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*word))
}

fn take_meta(bytes: &mut &[u8], store: StoreId) -> Option<Meta> {
    let (meta, rest) = bytes.split_first_chunk::<META_LEN>()?;
    *bytes = rest;
    let meta = FIXED_PAGES[..2].iter().find_map(|pgno| Meta::decode(meta, *pgno).ok())?;
    (meta.store == store).then_some(meta)
}

fn take_batch(bytes: &mut &[u8], file_pages: u64, last_epoch: Epoch) -> Option<Batch> {
    let mut batch = Batch::new(Some(Epoch::new(take_word(bytes)?)).filter(|freed| *freed <= last_epoch)?);
    for _ in 0..take_word(bytes)? {
        let range = PageRange::from_raw(take_word(bytes)?, file_pages)?;
        batch.pages.push(Freed { range, born: Epoch::new(take_word(bytes)?) });
    }
    Some(batch)
}
