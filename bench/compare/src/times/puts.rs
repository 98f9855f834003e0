//! Puts to rows drawn by chance, in commits of different sizes.

use std::path::Path;

use super::{Args, Force, Outcome, Random, Versions, head, line, load, median, stores, timed};

/// Name, puts to a commit, commits in a turn, whether they wait for the disk.
const CASES: [(&str, usize, usize, Force); 4] = [
    ("one to a durable commit", 1, 50, Force::Yes),
    ("16 to a durable commit", 16, 20, Force::Yes),
    ("1,000 to a durable commit", 1_000, 2, Force::Yes),
    ("1,000 to a commit that waits for nothing", 1_000, 2, Force::No),
];

/// Turns in a round: short ones, so that what the disk does otherwise meets all.
const TURNS: usize = 4;

pub fn measure(args: &Args, folder: &Path) -> Outcome<()> {
    let mut stores = stores(args, folder)?;
    let two = Args { versions: 2, folder: None, ..*args };
    for store in &mut stores {
        load(&two, args.rows, &mut **store)?;
    }
    println!("{} rows; microseconds a put, medians of {} turns", args.rows, args.rounds * TURNS);
    head("LLMDB");
    for (name, puts, commits, force) in CASES {
        let mut times = vec![Vec::new(); stores.len()];
        let mut random = Random(11);
        for turn in 0..args.rounds * TURNS {
            let batches: Vec<Vec<(usize, usize)>> = (0..commits)
                .map(|_| (0..puts).map(|_| (random.below(args.rows), 2 + turn)).collect())
                .collect();
            for (store, times) in stores.iter_mut().zip(&mut times) {
                let ((), time) = timed(|| put(&mut **store, &batches, force))?;
                times.push(time / (puts * commits) as f64);
            }
        }
        line(name, &times.into_iter().map(median).collect::<Vec<_>>());
    }
    Ok(())
}

fn put(store: &mut dyn Versions, batches: &[Vec<(usize, usize)>], force: Force) -> Outcome<()> {
    batches.iter().try_for_each(|batch| store.put(batch, force).map(drop))
}
