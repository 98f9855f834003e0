//! A store of pages over a `Vec`, for tests, fuzz targets and benches: it knows which pages are in use, can damage
//! them, and can run out of space.

use std::collections::BTreeMap;

use llmdb_base::{
    ChildRef, Corruption, Epoch, PAGE_SIZE, PageBytes, PageError, PageResult, Pgno, ReadPages, RunRef,
    RunWriter, TreeId, WritePages, checksum,
    header::{self, PageKind},
};

pub mod layout;

/// Number of the first run. Runs have numbers of their own here, far above those of pages.
const RUNS_FROM: u64 = 1 << 32;

/// How much a store looks at a page before it gives it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verify {
    /// The number is in range, the birth tag matches, the kind is leaf or branch.
    Header,
    /// Only that the number is in range: for arbitrary bytes.
    Nothing,
}

/// What is known about a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In use.
    Live,
    /// Freed, but visible to those who hold an older root.
    Held,
    /// May be given out.
    Free,
}

#[derive(Clone)]
#[repr(align(4096))]
struct Aligned(PageBytes);

#[derive(Clone)]
struct Run {
    bytes: Vec<u8>,
    birth: Epoch,
    state: State,
}

/// Pages in a `Vec`. Cloning it is taking a savepoint; assigning the clone is rolling back to it.
#[derive(Clone)]
pub struct VecPages {
    pages: Vec<Aligned>,
    states: Vec<State>,
    free: Vec<Pgno>,
    runs: BTreeMap<u64, Run>,
    run_end: u64,
    epoch: Epoch,
    verify: Verify,
    allocations_left: Option<u64>,
    rests_alike: u32,
    rests: u32,
}

impl Default for VecPages {
    fn default() -> Self {
        Self::new(Verify::Header)
    }
}

impl VecPages {
    /// A store without pages; page 0 is never given out.
    pub fn new(verify: Verify) -> Self {
        Self {
            pages: vec![Aligned([0; PAGE_SIZE])],
            states: vec![State::Held],
            free: Vec::new(),
            runs: BTreeMap::new(),
            run_end: RUNS_FROM,
            epoch: Epoch::new(1),
            verify,
            allocations_left: None,
            rests_alike: u32::MAX,
            rests: 0,
        }
    }

    /// A store whose pages have the bytes of `bytes`, from page 1 on, all of them live.
    pub fn from_bytes(bytes: &[u8], verify: Verify) -> Self {
        let mut store = Self::new(verify);
        for chunk in bytes.chunks(PAGE_SIZE) {
            let mut page = Aligned([0; PAGE_SIZE]);
            page.0[..chunk.len()].copy_from_slice(chunk);
            store.pages.push(page);
            store.states.push(State::Live);
        }
        store
    }

    /// Begins the next epoch: pages written so far are copied when they change.
    pub fn advance_epoch(&mut self) {
        self.epoch = self.epoch.next();
    }

    /// Says that nobody holds an older root: freed pages may be given out again.
    pub fn forget_old_roots(&mut self) {
        for (state, pgno) in self.states.iter_mut().zip(0..).skip(1) {
            if *state == State::Held {
                *state = State::Free;
                self.free.push(Pgno::new(pgno));
            }
        }
        self.runs.retain(|_, run| run.state == State::Live);
    }

    /// Lets the next `count` allocations succeed and all further ones fail; `None` lets all succeed.
    pub fn limit_allocations(&mut self, count: Option<u64>) {
        self.allocations_left = count;
    }

    /// Begins another epoch at each `count`-th rest from now on, as a transaction does that outgrows its memory.
    pub fn outgrow_memory(&mut self, count: u32) {
        self.rests_alike = count.max(1);
    }

    /// What the store verifies from now on.
    pub fn set_verify(&mut self, verify: Verify) {
        self.verify = verify;
    }

    /// Numbers of the pages and runs in use.
    pub fn live(&self) -> Vec<Pgno> {
        let pages =
            self.states.iter().zip(0..).filter(|(state, _)| **state == State::Live).map(|(_, pgno)| pgno);
        let runs = self.runs.iter().filter(|(_, run)| run.state == State::Live).map(|(pgno, _)| *pgno);
        pages.chain(runs).map(Pgno::new).collect()
    }

    /// Number of pages in use, runs left out.
    pub fn live_page_count(&self) -> usize {
        self.states.iter().filter(|state| **state == State::Live).count()
    }

    /// Number of pages that were ever given out, page 0 included.
    pub fn page_count(&self) -> usize {
        self.pages.len()
    }

    /// The bytes of page `pgno`, for looking or damaging.
    pub fn raw_mut(&mut self, pgno: Pgno) -> Option<&mut PageBytes> {
        self.pages.get_mut(slot(pgno)).map(|page| &mut page.0)
    }

    /// The bytes of page `pgno`, as they are.
    #[inline]
    pub fn raw(&self, pgno: Pgno) -> Option<&PageBytes> {
        self.pages.get(slot(pgno)).map(|page| &page.0)
    }

    fn take_allocation(&mut self) -> PageResult<()> {
        match &mut self.allocations_left {
            Some(0) => Err(PageError::no_space(PAGE_SIZE as u64)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A page to write to, with whatever bytes it has.
    fn take_page(&mut self) -> PageResult<Pgno> {
        self.take_allocation()?;
        let pgno = self.free.pop().unwrap_or(Pgno::new(self.pages.len() as u64));
        if slot(pgno) == self.pages.len() {
            self.pages.push(Aligned([0; PAGE_SIZE]));
            self.states.push(State::Free);
        }
        self.states[slot(pgno)] = State::Live;
        Ok(pgno)
    }

    fn is_mine(&self, child: ChildRef) -> bool {
        let index = slot(child.pgno());
        self.states.get(index) == Some(&State::Live) && header::birth(&self.pages[index].0) == self.epoch
    }

    fn live_run(&mut self, first: Pgno) -> PageResult<&mut Run> {
        match self.runs.get_mut(&first.get()) {
            Some(run) if run.state == State::Live => Ok(run),
            _ => Err(Corruption::new(first, "no run in use begins here").into()),
        }
    }

    fn drop_run(&mut self, first: Pgno) -> PageResult<()> {
        let epoch = self.epoch;
        let run = self.live_run(first)?;
        run.state = State::Held;
        if run.birth == epoch {
            self.runs.remove(&first.get());
        }
        Ok(())
    }
}

/// Index of page `pgno`; of no page if the number makes no sense.
fn slot(pgno: Pgno) -> usize {
    usize::try_from(pgno.get()).unwrap_or(usize::MAX)
}

fn verify_header(page: &PageBytes, child: ChildRef) -> PageResult<()> {
    if header::birth(page).tag() != child.tag() {
        return Err(Corruption::new(child.pgno(), format!("birth is {}", header::birth(page))).into());
    }
    match header::kind(page) {
        Some(PageKind::Leaf | PageKind::Branch) => Ok(()),
        kind => Err(Corruption::new(child.pgno(), format!("kind is {kind:?}")).into()),
    }
}

impl ReadPages for VecPages {
    #[inline]
    fn page(&self, child: ChildRef) -> PageResult<&PageBytes> {
        let Some(page) = self.raw(child.pgno()) else {
            return Err(Corruption::new(child.pgno(), "the store has no such page").into());
        };
        if self.verify == Verify::Header {
            verify_header(page, child)?;
        }
        Ok(page)
    }

    fn ready_page(&self, child: ChildRef) -> Option<&PageBytes> {
        self.page(child).ok()
    }

    fn run(&self, run: &RunRef) -> PageResult<&[u8]> {
        match self.runs.get(&run.first.get()) {
            Some(stored) if stored.bytes.len() as u64 == run.len && stored.birth == run.birth => {
                Ok(&stored.bytes)
            }
            _ => Err(Corruption::new(run.first, "no such run").into()),
        }
    }

    fn run_part(&self, run: &RunRef, offset: u64, len: usize) -> PageResult<&[u8]> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.run(run).ok()?.get(offset..));
        match rest.and_then(|rest| rest.get(..len)) {
            Some(part) => Ok(part),
            None => Err(Corruption::new(run.first, "no such part of a run").into()),
        }
    }
}

impl WritePages for VecPages {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn rest(&mut self) -> PageResult<()> {
        self.rests = self.rests.wrapping_add(1);
        if self.rests.is_multiple_of(self.rests_alike) {
            self.advance_epoch();
        }
        Ok(())
    }

    fn allocate(&mut self, kind: PageKind, level: u8, tree: TreeId) -> PageResult<ChildRef> {
        let pgno = self.take_page()?;
        header::init(&mut self.pages[slot(pgno)].0, kind, level, tree, self.epoch);
        Ok(ChildRef::new(pgno, self.epoch))
    }

    fn own(&mut self, child: ChildRef) -> PageResult<ChildRef> {
        let mut copy = *self.page(child)?;
        if self.is_mine(child) {
            return Ok(child);
        }
        header::set_birth(&mut copy, self.epoch);
        self.free(child)?;
        let pgno = self.take_page()?;
        self.pages[slot(pgno)].0 = copy;
        Ok(ChildRef::new(pgno, self.epoch))
    }

    fn page_mut(&mut self, child: ChildRef) -> PageResult<&mut PageBytes> {
        if self.is_mine(child) {
            return Ok(&mut self.pages[slot(child.pgno())].0);
        }
        Err(Corruption::new(child.pgno(), "not a page of this epoch").into())
    }

    fn free(&mut self, child: ChildRef) -> PageResult<()> {
        let index = slot(child.pgno());
        if self.states.get(index) != Some(&State::Live) {
            return Err(Corruption::new(child.pgno(), "freed, but not in use").into());
        }
        if self.is_mine(child) {
            // Whoever still reads it must notice.
            self.pages[index].0.fill(0xDD);
            self.states[index] = State::Free;
            self.free.push(child.pgno());
        } else {
            self.states[index] = State::Held;
        }
        Ok(())
    }

    fn begin_run(&mut self, len: u64) -> PageResult<RunWriter> {
        self.take_allocation()?;
        let first = Pgno::new(self.run_end);
        self.run_end += len.div_ceil(PAGE_SIZE as u64);
        self.runs.insert(first.get(), Run { bytes: Vec::new(), birth: self.epoch, state: State::Live });
        Ok(RunWriter { first, len, written: 0, checksum: 0, page_checksums: Vec::new() })
    }

    fn append_run(&mut self, writer: &mut RunWriter, bytes: &[u8]) -> PageResult<()> {
        writer.written += bytes.len() as u64;
        writer.checksum = checksum::crc32c(writer.checksum, bytes);
        self.live_run(writer.first)?.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish_run(&mut self, writer: RunWriter) -> PageResult<RunRef> {
        if writer.written != writer.len {
            return Err(Corruption::new(writer.first, "a run was finished too early").into());
        }
        let RunWriter { first, len, checksum, .. } = writer;
        let birth = self.live_run(first)?.birth;
        Ok(RunRef { first, len, birth, checksum })
    }

    fn free_run(&mut self, run: &RunRef) -> PageResult<()> {
        self.drop_run(run.first)
    }

    fn abandon_run(&mut self, writer: RunWriter) -> PageResult<()> {
        self.drop_run(writer.first)
    }
}
