//! Things go wrong: the exit code, the code for programs, and what the person is told.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::Desk;

#[test]
fn a_missing_database_is_not_made_by_reading() {
    let desk = Desk::new();
    for arguments in
        [&["get", "a"][..], &["scan"], &["stat"], &["check"], &["del", "a"], &["backup", "b"], &["export"]]
    {
        let run = desk.run(&[arguments, &["--json"]].concat());
        assert_eq!((run.exit, run.error_code()), (8, "missing".into()), "{arguments:?}");
        assert!(!desk.db().exists());
    }
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let desk = Desk::new();
    let text = "just text\n".repeat(20_000);
    desk.write("test.llmdb", &text);
    for arguments in [&["get", "a"][..], &["put", "a", "b"], &["check"]] {
        let run = desk.run(&[arguments, &["--json"]].concat());
        assert_eq!((run.exit, run.error_code()), (7, "not_a_database".into()), "{arguments:?}");
    }
    assert_eq!(std::fs::read_to_string(desk.db()).unwrap(), text);
}

#[test]
fn a_truncated_database_is_damaged() {
    let desk = Desk::new();
    desk.write("value", vec![1; 1 << 20]);
    desk.ok(&["put", "large", "--file", "value"]);
    let file = std::fs::File::options().write(true).open(desk.db()).unwrap();
    file.set_len(500_000).unwrap();
    let run = desk.run(&["get", "large", "--json"]);
    assert_eq!((run.exit, run.error_code()), (3, "corruption".into()));
}

#[test]
fn a_key_that_is_too_long_is_a_mistake_of_the_caller() {
    let desk = Desk::new();
    let run = desk.run(&["put", &"k".repeat(5_000), "v", "--json"]);
    assert_eq!((run.exit, run.error_code()), (2, "too_long".into()));
    let run = desk.run(&["put", &"k".repeat(5_000), "v"]);
    assert!(run.stderr.contains("5000"), "{}", run.stderr);
}

#[test]
fn a_database_in_use_names_its_user() {
    let desk = Desk::new();
    desk.ok(&["put", "a", "1"]);
    // An import that waits for the rest of its input holds the database.
    let import = ["import", "-", "--format", "jsonl", "--batch-rows", "1"];
    let alone = |arguments: &[&str]| {
        let mut command = desk.command(arguments);
        command.env("LLMDB_SHARING", "exclusive");
        command
    };
    let mut holder = alone(&import).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = holder.stdin.take().unwrap();
    input.write_all(b"{}\n").unwrap();
    while !desk.exists("test.llmdb-wal") {
        std::thread::yield_now();
    }
    let run = desk.run(&["get", "a", "--json"]);
    assert_eq!((run.exit, run.error_code()), (6, "locked".into()));
    let run: crate::Run = alone(&["get", "a", "--json"]).output().unwrap().into();
    assert_eq!((run.exit, run.error_code()), (6, "locked".into()));
    assert!(run.stderr.contains(&format!("process {}", holder.id())), "{}", run.stderr);
    drop(input);
    assert!(holder.wait().unwrap().success());
    assert_eq!(desk.ok(&["get", "a"]), "1");
}

#[cfg(target_os = "linux")]
#[test]
fn a_database_in_use_is_read_and_written_by_others() {
    let desk = Desk::new();
    desk.ok(&["put", "a", "1"]);
    let import = ["import", "-", "--format", "jsonl", "--batch-rows", "1"];
    let mut importer = desk.command(&import).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = importer.stdin.take().unwrap();
    input.write_all(b"{}\n").unwrap();
    while !desk.exists("test.llmdb-share") {
        std::thread::yield_now();
    }
    assert_eq!(desk.ok(&["get", "a"]), "1");
    desk.ok(&["put", "b", "2"]);
    input.write_all(b"{}\n").unwrap();
    assert_eq!(desk.ok(&["get", "b"]), "2");
    drop(input);
    assert!(importer.wait().unwrap().success());
    assert_eq!(desk.ok(&["get", "b"]), "2");
    assert!(!desk.exists("test.llmdb-share") && !desk.exists("test.llmdb-wal"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let desk = Desk::new();
    let lines: String = (0..20_000).map(|number| format!("{{\"n\":\"{number:0>100}\"}}\n")).collect();
    desk.write("in.jsonl", lines);
    desk.ok(&["import", "in.jsonl"]);
    for arguments in [&["scan"][..], &["export"]] {
        let mut child = desk.command(arguments).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        std::io::Read::read_exact(&mut stdout, &mut [0; 10]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn usage_is_exit_code_2() {
    let desk = Desk::new();
    for arguments in [
        &["fly"][..],
        &["put", "a"],
        &["scan", "--prefix", "a", "--from", "b"],
        &["put", "0xq", "1", "--hex"],
    ] {
        assert_eq!(desk.run(arguments).exit, 2, "{arguments:?}");
    }
    let bare =
        Command::new(env!("CARGO_BIN_EXE_llmdb")).env_remove("LLMDB_DB").args(["get", "a"]).output().unwrap();
    assert_eq!(bare.status.code(), Some(2));
}

#[test]
fn every_command_explains_itself_with_examples() {
    let desk = Desk::new();
    assert!(desk.ok(&["--help"]).contains("Exit codes"));
    let commands = [
        "tour", "import", "export", "put", "get", "del", "scan", "stat", "check", "recover", "backup",
        "restore", "bench",
    ];
    for command in commands {
        let help = desk.ok(&[command, "--help"]);
        assert!(help.contains("Examples:") && help.contains("--json"), "{command}: {help}");
    }
    assert!(!desk.ok(&["--help"]).contains("tour-writer"));
}

#[test]
fn a_folder_that_is_not_there_is_named_once() {
    let desk = Desk::new();
    let run = desk.run(&["put", "a", "1", "--db", "none/x.llmdb"]);
    assert_eq!(run.exit, 8);
    assert_eq!(run.stderr.matches("none/x.llmdb").count(), 1, "{}", run.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_stdout_is_said() {
    let desk = Desk::new();
    desk.ok(&["put", "a", "1"]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = desk.command(&["scan"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
}
