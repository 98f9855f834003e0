//! Files made by hand, with their checksums right: see `llmdb_sim::crafted`. The fuzz target of this name goes on where
//! these few hundred end.
//!
//! ```sh
//! LLMDB_CRAFTED=100000 cargo test -p llmdb-sim --test crafted many      # as many as wanted
//! LLMDB_CRAFTED_SEED=4711 cargo test -p llmdb-sim --test crafted many   # one of them
//! ```
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use llmdb_base::plant::{Bug, plant};
use llmdb_sim::crafted::{Outcome, run};
use llmdb_vfs::crash::Chooser;

/// More than any store of a few hundred pages asks for, whatever it says of itself.
const MEMORY_MAX: usize = 256 << 20;

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "the only way to count what is allocated")]
// SAFETY: every call goes to the allocator of the system, unchanged; what is too much is refused, as it may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(in_use, Relaxed);
        if in_use > 2 * MEMORY_MAX {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(in_use, Relaxed);
        if in_use > 2 * MEMORY_MAX {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn many_crafted_stores() {
    let seeds = match number("LLMDB_CRAFTED_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LLMDB_CRAFTED").unwrap_or(600),
    };
    let (mut outcomes, mut failed, total) = (Vec::new(), Vec::new(), seeds.end - seeds.start);
    for seed in seeds {
        MOST.store(IN_USE.load(Relaxed), Relaxed);
        let run = AssertUnwindSafe(|| run(&mut Chooser::new(seed)));
        match catch_unwind(run) {
            Ok(outcome) => outcomes.push(outcome),
            Err(_) => {
                eprintln!("to see it again: LLMDB_CRAFTED_SEED={seed}");
                failed.push(seed);
            }
        }
        let most = MOST.load(Relaxed);
        assert!(most < MEMORY_MAX, "LLMDB_CRAFTED_SEED={seed} takes {most} bytes");
    }
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
    let kinds = [Outcome::Refused, Outcome::Damaged, Outcome::Sound, Outcome::Shared];
    println!("{:?}", kinds.map(|kind| (kind, count(kind))));
    assert!(failed.is_empty(), "seeds {failed:?}");
    // Each of them is worth something only if it happens.
    assert!(total < 500 || kinds.into_iter().all(|kind| count(kind) * 50 > total));
}

#[test]
fn planted_bugs_are_caught() {
    for bug in Bug::OF_FILES {
        let shows = |seed: &u64| {
            plant(Some(bug));
            let run = catch_unwind(AssertUnwindSafe(|| run(&mut Chooser::new(*seed))));
            plant(None);
            run.is_err()
        };
        let first = (400..4_000).find(shows);
        println!("{bug:?}: seed {first:?}");
        assert!(first.is_some(), "{bug:?} is not noticed");
    }
}
