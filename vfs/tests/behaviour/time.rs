//! Clocks and random numbers.

use std::collections::BTreeSet;

use llmdb_vfs::MemoryVfs;

use crate::*;

#[test]
fn clocks_are_after_2020_and_do_not_go_back() {
    on_every_disk(|disk| {
        assert!(disk.vfs.now().get() > 1_577_836_800_000_000);
        let looks: Vec<u64> = (0..1000).map(|_| disk.vfs.monotonic_us()).collect();
        assert!(looks.is_sorted());
    });
}

#[test]
fn random_numbers_differ_also_between_threads() {
    on_every_disk(|disk| {
        let draw = || (0..1000).map(|_| disk.vfs.random_u64()).collect::<Vec<_>>();
        let drawn = std::thread::scope(|scope| {
            let threads = [scope.spawn(draw), scope.spawn(draw), scope.spawn(draw)];
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 3000);
        let ones: u32 = drawn.iter().map(|number| number.count_ones()).sum();
        assert!((90_000..102_000).contains(&ones), "half of the bits should be set, not {ones} of 192000");
    });
}

#[test]
fn in_memory_time_and_chance_follow_from_the_seed() {
    let run = |seed| {
        let disk = MemoryVfs::new(seed);
        (disk.now(), disk.monotonic_us(), disk.random_u64(), disk.random_u64())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).2, run(8).2);
}
