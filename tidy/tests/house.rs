//! The picture of the house, held by tests.

use std::collections::BTreeSet;

use llmdb_tidy::{BESIDE, ROOMS, files, own_dependencies, read, root};

#[test]
fn rooms_look_down_only() {
    for room in ROOMS {
        let manifest = read(format!("{}/Cargo.toml", room.folder));
        assert!(!manifest.is_empty(), "{} has no manifest", room.folder);
        for name in own_dependencies(&manifest) {
            assert!(
                room.may_name.contains(&name.as_str()),
                "{} names {name}, which it must not know: see docs/architecture.md",
                room.folder
            );
        }
    }
}

#[test]
fn every_member_stands_in_the_picture() {
    let manifest = read("Cargo.toml");
    let start = manifest.find("members = [").expect("the workspace lists its members");
    let list = &manifest[start..start + manifest[start..].find(']').expect("the list ends")];
    for member in list.split('"').skip(1).step_by(2) {
        let known = ROOMS.iter().any(|room| room.folder == member) || BESIDE.contains(&member);
        assert!(
            known,
            "{member} is a member of the workspace but not in the picture: add it to tidy/src/lib.rs"
        );
    }
}

#[test]
fn nobody_uses_what_stands_beside() {
    let beside: BTreeSet<_> = BESIDE.iter().map(|name| format!("llmdb-{}", name.replace('/', "-"))).collect();
    for room in ROOMS {
        for name in own_dependencies(&read(format!("{}/Cargo.toml", room.folder))) {
            assert!(!beside.contains(&name), "{} names {name}", room.folder);
        }
    }
}

#[test]
fn rooms_without_a_door_forbid_unsafe() {
    for room in ROOMS.iter().filter(|room| room.forbids_unsafe) {
        let entry = ["lib.rs", "main.rs"].map(|name| read(format!("{}/src/{name}", room.folder))).concat();
        assert!(entry.contains("#![forbid(unsafe_code)]"), "{} must forbid unsafe code", room.folder);
    }
}

#[test]
fn every_door_is_listed() {
    let listed = read("docs/unsafe.md");
    for room in ROOMS {
        for path in files(&format!("{}/src", room.folder), ".rs") {
            let opens = read(&path).lines().any(|line| line.starts_with("#![expect(unsafe_code"));
            let name = path.display().to_string();
            assert!(
                !opens || listed.contains(&name),
                "{name} is a door, but docs/unsafe.md does not list it"
            );
        }
    }
}

#[test]
fn files_hold_one_idea() {
    for path in files(".", ".rs") {
        let lines = read(&path).lines().count();
        assert!(lines <= 800, "{} has {lines} lines: which second idea has moved in?", path.display());
    }
}

#[test]
fn rooms_say_what_they_do_not_know() {
    for room in ROOMS.iter().filter(|room| root().join(room.folder).join("src/lib.rs").exists()) {
        let text = read(format!("{}/src/lib.rs", room.folder));
        let doc: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(
            doc.contains("not know"),
            "{}/src/lib.rs does not say what the room does not know",
            room.folder
        );
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for path in files(".", ".md") {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = path.parent().map(|folder| root().join(folder)).unwrap_or_else(root);
            assert!(folder.join(target).exists(), "{} links to {target}, which is not there", path.display());
        }
    }
}
