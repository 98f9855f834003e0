//! Prints, for each layout of facts that change, how many pages its reads touch and how many bytes its puts write,
//! divided by the same figure of a plain collection with just the content that was asked for.
//!
//! `cargo run -p llmdb-bench-own --bin time_layouts`; `-- 10000` for at most as many versions of one key.

use llmdb_bench_own::{
    rows::Random,
    times::{Beside, Epochs, LOG_FRAME_BYTES, Layout, OneTree, Plain, Roots},
};

const VALUE: [u8; 256] = [0x5A; 256];

/// One put: commit and key. Commits count from 1.
type Puts = Vec<(u64, u32)>;

fn numbered(keys: impl IntoIterator<Item = u32>) -> Puts {
    (1..).zip(keys).collect()
}

fn shuffled(count: u32, random: &mut Random) -> Vec<u32> {
    let mut keys: Vec<u32> = (0..count).collect();
    for index in (1..keys.len()).rev() {
        keys.swap(index, random.below(index + 1));
    }
    keys
}

fn random_keys(count: usize, below: u32, random: &mut Random) -> Vec<u32> {
    (0..count).map(|_| u32::try_from(random.below(below as usize)).expect("below a u32")).collect()
}

fn load<L: Layout>(puts: &[(u64, u32)], value: &[u8]) -> L {
    let mut layout = L::new();
    for (commit, key) in puts {
        layout.put(*commit, *key, value);
    }
    layout
}

fn line(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn ratio(part: usize, whole: usize) -> String {
    format!("{:.2}", part as f64 / whole as f64)
}

/// The commit of the newest put of `key` up to `commit`.
fn expected(puts: &[(u64, u32)], key: u32, commit: u64) -> Option<u64> {
    let end = puts.partition_point(|put| put.0 <= commit);
    puts[..end].iter().rev().find(|put| put.1 == key).map(|put| put.0)
}

/// Pages of a read of one key as of random commits: mean and most.
fn point_reads<L: Layout>(puts: &[(u64, u32)], versions: u32, random: &mut Random) -> String {
    let layout: L = load(puts, &VALUE[..32]);
    let first = puts.len() - versions as usize;
    let (mut sum, mut most) = (0, 0);
    for _ in 0..200 {
        let commit = (first + random.below(versions as usize)) as u64 + 1;
        let count = layout.pages().count();
        let found = layout.get_as_of(&count, 5, commit);
        assert_eq!(found, expected(puts, 5, commit), "{}", L::NAME);
        sum += count.pages();
        most = most.max(count.pages());
    }
    format!("{:.1} ({most})", f64::from(u32::try_from(sum).unwrap_or(u32::MAX)) / 200.0)
}

/// Versions of one key among 10,000 others.
fn reads_of_one_key(versions_max: u32) {
    println!(
        "\nPages of a read of one key AS OF a random commit, mean (most); 10,000 other keys, values of 32 bytes\n"
    );
    let names = [OneTree::NAME, Beside::NAME, Epochs::<100>::NAME].map(String::from);
    line(&[&["versions".to_owned(), "plain, now".to_owned()][..], &names].concat());
    line(&vec!["---".to_owned(); 5]);
    for versions in [10, 1_000, 100_000, 1_000_000] {
        if versions > versions_max {
            continue;
        }
        let mut random = Random(7);
        let puts = numbered(shuffled(10_000, &mut random).into_iter().chain((0..versions).map(|_| 5)));
        let plain: Plain = load(&puts, &VALUE[..32]);
        let count = plain.pages().count();
        assert!(plain.get(&count, 5));
        line(&[
            versions.to_string(),
            count.pages().to_string(),
            point_reads::<OneTree>(&puts, versions, &mut random),
            point_reads::<Beside>(&puts, versions, &mut random),
            point_reads::<Epochs<100>>(&puts, versions, &mut random),
        ]);
    }
}

struct Scene {
    name: &'static str,
    puts: Puts,
    /// The commits as of which is read.
    asked: Vec<u64>,
}

fn scenes() -> Vec<Scene> {
    let mut random = Random(3);
    let loaded = shuffled(5_000, &mut random);
    let updates = |count, below, random: &mut Random| {
        numbered(loaded.iter().copied().chain(random_keys(count, below, random)))
    };
    let hot = updates(100_000, 50, &mut random);
    vec![
        Scene {
            name: "5,000 keys, 20 updates each",
            asked: vec![10_000, 55_000, 100_000],
            puts: updates(100_000, 5_000, &mut random),
        },
        Scene {
            name: "5,000 keys, 1 in 100 of them updated 2,000 times",
            asked: vec![10_000, 55_000, 100_000],
            puts: hot,
        },
        Scene {
            name: "grown from 1,000 to 100,000 keys",
            asked: vec![1_000, 3_000, 30_000],
            puts: numbered(shuffled(100_000, &mut random)),
        },
    ]
}

/// Pages of scans and bytes of puts, as ratios.
fn scene<L: Layout>(scene: &Scene) {
    let layout: L = load(&scene.puts, &VALUE);
    let plain: Plain = load(&scene.puts, &VALUE);
    let now = ratio(scan_pages(&layout, None), scan_pages(&plain, None));
    let mut cells = vec![L::NAME.to_owned(), now];
    for asked in &scene.asked {
        let end = scene.puts.partition_point(|put| put.0 <= *asked);
        let then: Plain = load(&scene.puts[..end], &VALUE);
        cells.push(ratio(scan_pages(&layout, Some(*asked)), scan_pages(&then, None)));
    }
    let frames = scene.puts.len() as u64 * LOG_FRAME_BYTES;
    let base = plain.pages().log_bytes + frames;
    let bytes = layout.pages().log_bytes + frames;
    let behind = layout.work_bytes();
    cells.push(format!("{:.2}", bytes as f64 / base as f64));
    cells.push(format!("{:.2}", (bytes + behind) as f64 / base as f64));
    cells.push(ratio(written_pages(layout, scene), written_pages(plain, scene)));
    line(&cells);
}

fn scan_pages<L: Layout>(layout: &L, commit: Option<u64>) -> usize {
    let count = layout.pages().count();
    let keys = match commit {
        Some(commit) => layout.scan_as_of(&count, commit),
        None => layout.scan(&count),
    };
    assert!(keys > 0, "{}", L::NAME);
    count.pages()
}

/// Pages written by 100 more commits of one put, each alone in its interval.
fn written_pages<L: Layout>(mut layout: L, scene: &Scene) -> usize {
    let mut random = Random(11);
    let last = scene.puts.len() as u64;
    let mut written = 0;
    for commit in last + 1..=last + 100 {
        let (_, key) = scene.puts[random.below(scene.puts.len())];
        layout.pages_mut().begin_interval();
        layout.put(commit, key, &VALUE);
        written += layout.pages_mut().written_pages();
    }
    written
}

/// Pages that the whole history takes, for the layout that keeps a root per commit.
fn kept_roots() {
    let mut random = Random(3);
    let puts =
        numbered(shuffled(1_000, &mut random).into_iter().chain(random_keys(5_000, 1_000, &mut random)));
    let (roots, beside): (Roots, Beside) = (load(&puts, &VALUE), load(&puts, &VALUE));
    assert_eq!(scan_pages(&roots, Some(3_000)), scan_pages(&load::<Plain>(&puts[..3_000], &VALUE), None));
    println!(
        "\nA root kept for each of {} commits of one put takes {:.1} times the pages of current beside history.",
        puts.len(),
        roots.pages().page_count() as f64 / beside.pages().page_count() as f64
    );
}

fn main() {
    let versions_max = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    reads_of_one_key(versions_max);
    for each in scenes() {
        println!("\n{}; values of 256 bytes; everything divided by plain\n", each.name);
        let asked = each.asked.iter().map(|commit| format!("scan as of {commit}"));
        let mut head = vec!["layout".to_owned(), "scan now".to_owned()];
        head.extend(asked);
        head.extend(["log bytes of puts", "with copies", "pages of a put"].map(String::from));
        line(&head);
        line(&vec!["---".to_owned(); head.len()]);
        scene::<OneTree>(&each);
        scene::<Beside>(&each);
        scene::<Epochs<50>>(&each);
        scene::<Epochs<100>>(&each);
        scene::<Epochs<200>>(&each);
    }
    kept_roots();
}
