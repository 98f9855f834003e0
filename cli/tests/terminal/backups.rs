//! Backup sets, archives, points in time, and the change feed, as they are used by hand.

use std::{io::BufRead, process::Stdio};

use super::Desk;

#[test]
fn a_set_is_begun_added_to_verified_and_restored() {
    let desk = Desk::new();
    desk.ok(&["put", "day", "monday"]);
    let full = desk.json(&["backup", "--full", "set"]);
    assert_eq!((full["kind"].as_str(), full["txid"].as_u64()), (Some("full"), Some(1)));
    desk.ok(&["put", "day", "tuesday"]);
    let next = desk.json(&["backup", "--incremental", "set"]);
    assert_eq!((next["kind"].as_str(), next["number"].as_u64()), (Some("incremental"), Some(1)));
    let verified = desk.json(&["verify", "set"]);
    assert_eq!(verified["backups"].as_array().unwrap().len(), 2);
    assert!(desk.ok(&["verify", "set"]).contains("tx2"));

    let report = desk.json(&["restore", "set", "new.llmdb"]);
    assert_eq!((report["txid"].as_u64(), report["keys"].as_u64()), (Some(2), Some(1)));
    assert_eq!(desk.ok(&["get", "day", "--db", "new.llmdb"]), "tuesday");
    desk.ok(&["restore", "set", "old.llmdb", "--to-tx", "1"]);
    assert_eq!(desk.ok(&["get", "day", "--db", "old.llmdb"]), "monday");
    let text = desk.ok(&["restore", "set", "test.llmdb", "--to-tx", "1", "--force"]);
    assert!(text.contains("test.llmdb-replaced-1"), "{text}");
    assert_eq!(desk.ok(&["get", "day"]), "monday");
    assert_eq!(desk.ok(&["get", "day", "--db", "test.llmdb-replaced-1"]), "tuesday");
}

#[test]
fn what_cannot_be_done_with_a_set_is_said() {
    let desk = Desk::new();
    desk.ok(&["put", "day", "monday"]);
    let run = desk.run(&["backup", "--incremental", "set"]);
    assert_eq!(run.exit, 8);
    assert!(run.stderr.contains("--full set"), "{}", run.stderr);
    desk.ok(&["backup", "--full", "set"]);
    assert_eq!(desk.run(&["backup", "--full", "set"]).exit, 2);
    assert_eq!(desk.run(&["backup", "set"]).exit, 2);
    assert_eq!(desk.run(&["verify", "nowhere"]).exit, 8);
    let run = desk.run(&["restore", "set", "new.llmdb", "--to-tx", "7"]);
    assert_eq!(run.exit, 9);
    assert!(run.stderr.contains("up to tx1"), "{}", run.stderr);
    assert_eq!(desk.run(&["restore", "set", "new.llmdb", "--to-time", "2020-01-01"]).exit, 9);
    assert_eq!(desk.run(&["restore", "set", "new.llmdb", "--to-time", "soon"]).exit, 2);
    desk.ok(&["backup", "copy.llmdb"]);
    assert_eq!(desk.run(&["restore", "copy.llmdb", "new.llmdb", "--to-tx", "1"]).exit, 2);
    let mut pages = std::fs::read(desk.path("set/0000.pages")).unwrap();
    pages[5000] ^= 1;
    desk.write("set/0000.pages", pages);
    for command in [&["verify", "set"][..], &["restore", "set", "new.llmdb"]] {
        let run = desk.run(command);
        assert_eq!(run.exit, 3);
        assert!(run.stderr.contains("0000.pages was changed"), "{}", run.stderr);
    }
    assert!(!desk.exists("new.llmdb") && !desk.exists("new.llmdb-new"));
}

#[test]
fn an_archive_brings_back_every_commit() {
    let desk = Desk::new();
    let put = |day: &str| {
        let run = desk.command(&["put", "day", day]).env("LLMDB_ARCHIVE", "log").output().unwrap();
        assert!(run.status.success());
    };
    put("monday");
    desk.ok(&["backup", "--full", "set"]);
    for day in ["tuesday", "wednesday", "thursday"] {
        put(day);
    }
    let report = desk.json(&["archive", "log"]);
    assert_eq!((report["txid"].as_u64(), report["gaps"].as_u64()), (Some(4), Some(0)));
    assert!(desk.json(&["verify", "set", "--archive", "log"])["archive"]["parts"].as_u64().unwrap() >= 3);
    for (txid, day) in ["monday", "tuesday", "wednesday", "thursday"].iter().enumerate() {
        let (to, txid) = (format!("{day}.llmdb"), (txid + 1).to_string());
        desk.ok(&["restore", "set", &to, "--archive", "log", "--to-tx", &txid]);
        assert_eq!(desk.ok(&["get", "day", "--db", &to]), *day);
    }
    let report = desk.json(&["restore", "set", "newest.llmdb", "--archive", "log"]);
    assert_eq!(report["replayed_txns"].as_u64(), Some(3));
    assert_eq!(desk.ok(&["get", "day", "--db", "newest.llmdb"]), "thursday");
}

#[test]
fn changes_are_shown_once_and_gone_on_with() {
    let desk = Desk::new();
    desk.ok(&["put", "early", "1"]);
    assert!(desk.ok(&["changes", "--consumer", "mirror", "--create"]).contains("mirror"));
    desk.ok(&["put", "user/1", "Ada"]);
    desk.ok(&["del", "early"]);
    let lines = desk.ok(&["changes", "--consumer", "mirror"]);
    assert!(lines.contains("put\tmain\tuser/1\tAda") && lines.contains("delete\tmain\tearly"), "{lines}");
    assert_eq!(lines.matches("commit").count(), 2);
    assert_eq!(desk.ok(&["changes", "--consumer", "mirror"]), "");
    desk.ok(&["put", "bin", "0xff00"]);
    let lines = desk.ok(&["changes", "--consumer", "mirror", "--json"]);
    let mut lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let put = lines.next().unwrap();
    assert_eq!((put["op"].as_str(), put["value_base64"].as_str()), (Some("put"), Some("/wA=")));
    let commit = lines.next().unwrap();
    assert_eq!(commit["op"].as_str(), Some("commit"));
    let lsn = commit["lsn"].as_str().unwrap().to_owned();
    desk.ok(&["put", "later", "2"]);
    assert!(desk.ok(&["changes", "--from", &lsn]).starts_with("tx"));
    let list = desk.json(&["changes", "--list"]);
    assert_eq!(list["consumer"].as_str(), Some("mirror"));
    let run = desk.run(&["changes", "--consumer", "nobody"]);
    assert_eq!(run.exit, 1);
    assert!(run.stderr.contains("there are: mirror"), "{}", run.stderr);
    assert_eq!(desk.run(&["changes", "--tx", "999"]).exit, 9);
    assert_eq!(desk.run(&["changes", "--from", "soon"]).exit, 2);
    desk.ok(&["changes", "--consumer", "mirror", "--remove"]);
    assert_eq!(desk.run(&["changes", "--consumer", "mirror", "--remove"]).exit, 1);
    desk.ok(&["put", "x", "y"]);
    assert!(!desk.exists("test.llmdb-wal"), "nobody needs the log any more");
    assert_eq!(desk.run(&["changes", "--tx", "1"]).exit, 9);
}

#[cfg(target_os = "linux")]
#[test]
fn a_follower_sees_what_other_processes_commit() {
    let desk = Desk::new();
    desk.ok(&["put", "early", "1"]);
    desk.ok(&["changes", "--consumer", "mirror", "--create"]);
    let mut follower = desk
        .command(&["changes", "--consumer", "mirror", "--follow", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    desk.ok(&["put", "greeting", "hello"]);
    let stdout = std::io::BufReader::new(follower.stdout.take().unwrap());
    let first = stdout.lines().next().unwrap().unwrap();
    assert!(first.contains("\"key\":\"greeting\""), "{first}");
    follower.kill().unwrap();
    follower.wait().unwrap();
}
