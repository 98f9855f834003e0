//! The tour, in a checkout, in a folder, and where there is nothing.

use std::process::Command;

use super::Desk;

fn run(desk: &Desk) -> serde_json::Value {
    let tour = desk.json(&["tour"]);
    let crash = &tour["crash"];
    let number = |name: &str| crash[name].as_u64().unwrap();
    assert!(number("acknowledged") > 0 && number("found") >= number("acknowledged"), "{tour}");
    assert!(number("replayed") > 0, "{tour}");
    assert_eq!(tour["snapshot"]["unchanged"], true);
    assert!(tour["learned"]["facts"].as_u64().is_some_and(|count| count > 1), "{tour}");
    assert!(tour["times"]["files"].as_u64().is_some_and(|count| count > 0), "{tour}");
    assert!(tour["corrected"]["versions"].as_u64().is_some_and(|count| count > 1), "{tour}");
    assert_eq!(tour["check"]["problems"], 0);
    assert_eq!(tour["backup"]["same_rows"], true);
    assert!(tour["seconds"].as_f64().unwrap() < 60.0);
    tour
}

#[test]
fn where_there_is_nothing_data_is_made() {
    let desk = Desk::new();
    let tour = run(&desk);
    assert_eq!(tour["import"]["files"], 2_000);
    let folder = std::path::Path::new(tour["open"]["path"].as_str().unwrap()).parent().unwrap();
    assert!(!folder.exists(), "the folder is removed");
}

#[test]
fn in_a_folder_its_files_are_taken() {
    let desk = Desk::new();
    desk.write("a/b.txt", "alpha");
    desk.write("c.txt", "gamma");
    desk.write(".hidden/d.txt", "delta");
    assert_eq!(run(&desk)["import"]["files"], 2);
}

#[test]
fn in_a_checkout_the_history_too() {
    let desk = Desk::new();
    desk.write("a.txt", "alpha");
    desk.write("untracked.txt", "not this one");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(desk.folder.path()).args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
        ]);
        command.args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if !git(&["init"]) {
        return; // no git here: the other tests show the rest
    }
    assert!(git(&["add", "a.txt"]) && git(&["commit", "-m", "first", "--date", "2024-01-01T10:00:00Z"]));
    let tour = run(&desk);
    let import = &tour["import"];
    assert_eq!((import["files"].as_u64(), import["commits"].as_u64()), (Some(1), Some(1)));
    assert_eq!(tour["learned"]["origin"], "a past made on the spot", "one day is no past");

    for (date, text) in [("2024-03-01T10:00:00Z", "alpha\nbeta\n"), ("2024-06-01T10:00:00Z", "alpha\n")] {
        desk.write("a.txt", text);
        desk.write("b \u{e9}.txt", text);
        assert!(git(&["add", "."]) && git(&["commit", "-m", "more", "--date", date]));
    }
    let tour = run(&desk);
    assert!(
        tour["learned"]["origin"].as_str().is_some_and(|origin| origin.contains("history of this checkout"))
    );
}

#[test]
fn it_is_told_as_a_story_and_can_be_kept() {
    let desk = Desk::new();
    desk.write("a.txt", "alpha");
    let text = desk.ok(&["tour", "--keep"]);
    for words in [
        "kill -9",
        "All",
        "Two times",
        "taken back",
        "acknowledged commits are there",
        "A snapshot does not move",
        "No damage",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let kept = text.split("The folder is kept: ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(desk.ok(&["check", "--db", &format!("{kept}/tour.llmdb")]).contains("no damage"));
    std::fs::remove_dir_all(kept).unwrap();
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_and_removes_its_folder() {
    let desk = Desk::new();
    let temporary = desk.path("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let child = desk.command(&["tour", "--json"]).env("TMPDIR", &temporary).spawn().unwrap();
    while !std::fs::read_dir(&temporary).unwrap().any(|entry| entry.is_ok()) {
        std::thread::yield_now();
    }
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
    let run: super::Run = child.wait_with_output().unwrap().into();
    assert_eq!((run.exit, run.error_code()), (130, "interrupted".into()));
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}
