//! A tree of two levels and a disk that crashes: what the tests of this room build on.
#![allow(dead_code, reason = "each test uses its part")]

pub mod disk;

use std::collections::{BTreeMap, BTreeSet};

use llmdb_base::{
    ChildRef, Epoch, Lsn, PAGE_SIZE, PageResult, Pgno, ReadPages, RunRef, Timestamp, TreeId, TxnId,
    WritePages,
    codec::{get_u32, get_u64, put_u32, put_u64},
    header::{self, PageKind},
};
use llmdb_pager::{ROOTS_LEN, RootState};

pub const NODE_SLOTS: usize = 24;
pub const RUN_SLOTS: usize = 8;
const RUNS_START: usize = header::PAYLOAD + NODE_SLOTS * 8;
const RUN_LEN: usize = 28;

/// What should be stored: a seed per node slot, length and seed per value slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Model {
    pub nodes: BTreeMap<usize, u64>,
    pub runs: BTreeMap<usize, (u64, u64)>,
}

/// A directory page that names nodes and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Directory(pub ChildRef);

impl Directory {
    pub fn decode(roots: &[u8; ROOTS_LEN]) -> Self {
        Self(ChildRef::from_raw(get_u64(roots, 0)))
    }

    pub fn state(self, txid: u64) -> RootState {
        let mut roots = [0; ROOTS_LEN];
        put_u64(&mut roots, 0, self.0.raw());
        RootState { txid: TxnId::new(txid), timestamp: Timestamp::new(0), lsn: Lsn::new(txid * 10), roots }
    }

    fn own<P: WritePages>(&mut self, pages: &mut P) -> PageResult<()> {
        self.0 = if self.0.is_none() {
            pages.allocate(PageKind::Branch, 1, TreeId::new(1))?
        } else {
            pages.own(self.0)?
        };
        Ok(())
    }

    pub fn node<P: ReadPages>(self, pages: &P, slot: usize) -> PageResult<ChildRef> {
        if self.0.is_none() {
            return Ok(ChildRef::NONE);
        }
        Ok(ChildRef::from_raw(get_u64(pages.page(self.0)?, header::PAYLOAD + slot * 8)))
    }

    pub fn run<P: ReadPages>(self, pages: &P, slot: usize) -> PageResult<Option<RunRef>> {
        if self.0.is_none() {
            return Ok(None);
        }
        let page = pages.page(self.0)?;
        let at = RUNS_START + slot * RUN_LEN;
        let run = RunRef {
            first: Pgno::new(get_u64(page, at)),
            len: get_u64(page, at + 8),
            birth: Epoch::new(get_u64(page, at + 16)),
            checksum: get_u32(page, at + 24),
        };
        Ok((run.len > 0).then_some(run))
    }

    pub fn put<P: WritePages>(&mut self, pages: &mut P, slot: usize, seed: u64) -> PageResult<()> {
        pages.rest()?;
        let old = self.node(pages, slot)?;
        let node = if old.is_none() {
            pages.allocate(PageKind::Leaf, 0, TreeId::new(1))?
        } else {
            pages.own(old)?
        };
        fill(&mut pages.page_mut(node)?[header::PAYLOAD..header::PAYLOAD_END], seed);
        self.own(pages)?;
        put_u64(pages.page_mut(self.0)?, header::PAYLOAD + slot * 8, node.raw());
        Ok(())
    }

    pub fn delete<P: WritePages>(&mut self, pages: &mut P, slot: usize) -> PageResult<()> {
        let old = self.node(pages, slot)?;
        if !old.is_none() {
            pages.rest()?;
            pages.free(old)?;
            self.own(pages)?;
            put_u64(pages.page_mut(self.0)?, header::PAYLOAD + slot * 8, 0);
        }
        Ok(())
    }

    pub fn put_run<P: WritePages>(
        &mut self,
        pages: &mut P,
        slot: usize,
        len: u64,
        seed: u64,
    ) -> PageResult<()> {
        pages.rest()?;
        let mut writer = pages.begin_run(len)?;
        let value = value(len, seed);
        // Pieces of odd lengths, so that pages end in the middle of them.
        for piece in value.chunks(10_007) {
            pages.append_run(&mut writer, piece)?;
        }
        let run = pages.finish_run(writer)?;
        self.delete_run(pages, slot)?;
        self.own(pages)?;
        self.store_run(pages, slot, Some(run))
    }

    pub fn delete_run<P: WritePages>(&mut self, pages: &mut P, slot: usize) -> PageResult<()> {
        if let Some(run) = self.run(pages, slot)? {
            pages.free_run(&run)?;
            self.own(pages)?;
            self.store_run(pages, slot, None)?;
        }
        Ok(())
    }

    fn store_run<P: WritePages>(self, pages: &mut P, slot: usize, run: Option<RunRef>) -> PageResult<()> {
        let page = pages.page_mut(self.0)?;
        let at = RUNS_START + slot * RUN_LEN;
        page[at..at + RUN_LEN].fill(0);
        if let Some(run) = run {
            put_u64(page, at, run.first.get());
            put_u64(page, at + 8, run.len);
            put_u64(page, at + 16, run.birth.get());
            put_u32(page, at + 24, run.checksum);
        }
        Ok(())
    }

    /// Compares everything stored with the model; returns the pages that are used.
    pub fn check<P: ReadPages>(self, pages: &P, model: &Model) -> BTreeSet<u64> {
        let mut used = BTreeSet::new();
        if self.0.is_none() {
            assert_eq!(*model, Model::default());
            return used;
        }
        used.insert(self.0.pgno().get());
        for slot in 0..NODE_SLOTS {
            let node = self.node(pages, slot).unwrap();
            assert_eq!(!node.is_none(), model.nodes.contains_key(&slot), "node {slot}");
            if let Some(seed) = model.nodes.get(&slot) {
                let mut expected = [0; PAGE_SIZE];
                fill(&mut expected[header::PAYLOAD..header::PAYLOAD_END], *seed);
                let page = pages.page(node).unwrap();
                assert!(page[header::PAYLOAD..] == expected[header::PAYLOAD..], "node {slot} at {node:?}");
                assert!(used.insert(node.pgno().get()), "{node:?} is named twice");
            }
        }
        for slot in 0..RUN_SLOTS {
            let run = self.run(pages, slot).unwrap();
            assert_eq!(run.is_some(), model.runs.contains_key(&slot), "value {slot}");
            if let (Some(run), Some((len, seed))) = (run, model.runs.get(&slot)) {
                let expected = value(*len, *seed);
                let middle = *len / 2;
                let part = pages.run_part(&run, middle, 1).unwrap();
                assert_eq!(part[0], expected[usize::try_from(middle).unwrap()], "value {slot}, {run:?}");
                assert!(pages.run(&run).unwrap() == expected, "value {slot}, {run:?}");
                for index in 0..run_pages(run.len) {
                    assert!(used.insert(run.first.get() + index), "a page of {run:?} is named twice");
                }
            }
        }
        used
    }
}

/// Pages of a run, counted independently of the code under test.
pub fn run_pages(len: u64) -> u64 {
    let pages = len.div_ceil(4096);
    if pages <= 16 { pages } else { (len.next_multiple_of(4) + 4 * pages).div_ceil(4096) }
}

pub fn value(len: u64, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    fill(&mut bytes, seed);
    bytes
}

/// Bytes that differ from one seed to the next, and from one place to the next.
fn fill(bytes: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

/// A small generator, so that one number reproduces a run.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x0123_4567_89AB_CDEF)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
