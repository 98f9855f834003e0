//! Old and new readers see what they should, before, while, and after a migration.

use llmdb_catalog::{Chunk, Error};
use llmdb_temporal::{AsOf, At, Rows};

use super::{Desk, PEOPLE, UP_AND_DOWN, UP_ONLY, definition};

const SMALL: Chunk = Chunk { rows: 2, bytes: 1 << 20 };

/// Row and document of every row, in the form of a version; errors as their text.
fn read(desk: &Desk, version: u32, at: At) -> Vec<String> {
    let catalog = desk.catalog();
    let view = catalog.store().view().unwrap();
    let reader = catalog.reader(&view, PEOPLE, Some(version)).unwrap();
    let documents = reader.scan(&Rows::all(), at).unwrap();
    documents
        .map(|document| document.map_or_else(|error| error.to_string(), |document| document.text))
        .collect()
}

#[test]
fn both_forms_can_be_read_whatever_is_done_so_far() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    for number in 0..6 {
        desk.write(&format!("p{number}"), &format!(r#"{{"cm":{number}}}"#)).unwrap();
    }
    let before = AsOf::Transaction(catalog.store().view().unwrap().snapshot().txid());
    let old: Vec<_> = (0..6).map(|number| format!(r#"{{"cm":{number}}}"#)).collect();
    let new: Vec<_> = (0..6).map(|number| format!(r#"{{"mm":{}}}"#, number * 10)).collect();
    let check = |stage: &str| {
        for at in [At::NOW, At::NOW.as_of(before)] {
            assert_eq!(read(&desk, 1, at), old, "{stage}");
            if stage != "before" {
                assert_eq!(read(&desk, 2, at), new, "{stage}");
            }
        }
    };
    check("before");
    catalog.propose("m", &definition(UP_AND_DOWN)).unwrap();
    catalog.begin("m").unwrap();
    for stage in ["begun", "a chunk", "two chunks", "three", "done"] {
        check(stage);
        catalog.step("m", SMALL).unwrap();
    }
    let view = catalog.store().view().unwrap();
    let reader = catalog.reader(&view, PEOPLE, None).unwrap();
    assert_eq!(reader.form().version, 2);
    let document = reader.get("p3", At::NOW).unwrap().unwrap();
    assert_eq!((document.text.as_str(), document.stored_version), (r#"{"mm":30}"#, Some(2)));
    let document = reader.get("p3", At::NOW.as_of(before)).unwrap().unwrap();
    assert_eq!((document.text.as_str(), document.stored_version), (r#"{"mm":30}"#, Some(1)));
    assert!(reader.get("none", At::NOW).unwrap().is_none());

    catalog.roll_back("m").unwrap();
    for stage in ["rolling back", "a chunk", "two chunks", "three", "rolled back"] {
        check(stage);
        catalog.step("m", SMALL).unwrap();
    }
    check("all of it");
    // Once more, by another migration, which is the one that readers take then.
    catalog
        .propose("again", &definition(&UP_AND_DOWN.replace("* 10", "* 20").replace("// 10", "// 20")))
        .unwrap();
    catalog.run("again", SMALL, &mut |_| true).unwrap();
    assert_eq!(read(&desk, 2, At::NOW)[5], r#"{"mm":100}"#);
    assert_eq!(read(&desk, 1, At::NOW), old);
}

#[test]
fn what_has_no_way_back_says_so_and_the_rest_is_shown() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    desk.write("a", r#"{"cm":1}"#).unwrap();
    catalog.propose("m", &definition(UP_ONLY)).unwrap();
    catalog.run("m", SMALL, &mut |_| true).unwrap();
    desk.write("b", r#"{"mm":20}"#).unwrap();
    let shown = read(&desk, 1, At::NOW);
    assert_eq!(shown[0], r#"{"cm":1}"#);
    assert!(shown[1].contains("\"b\"") && shown[1].contains("`down`"), "{shown:?}");
    let view = catalog.store().view().unwrap();
    assert!(matches!(catalog.reader(&view, PEOPLE, Some(9)), Err(Error::NoSchema { .. })));
    assert!(matches!(catalog.reader(&view, "nobody", None), Err(Error::Unbound(_))));
}

#[test]
fn versions_in_a_row_are_walked_one_after_the_other() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    let v3 =
        r#"{"type":"object","required":["mm"],"properties":{"mm":{"type":"integer"},"by":{"const":"us"}}}"#;
    catalog.put_schema("person", None, v3).unwrap();
    desk.write("a", r#"{"cm":1}"#).unwrap();
    let first = AsOf::Transaction(catalog.store().view().unwrap().snapshot().txid());
    catalog.propose("m", &definition(UP_AND_DOWN)).unwrap();
    catalog.run("m", SMALL, &mut |_| true).unwrap();
    desk.write("b", r#"{"mm":20}"#).unwrap();
    let sign = r#"{"collection":"people","schema":"person","from":2,"to":3,
        "up":{"merge":{"by":"us"}},"down":{"merge":{"by":null}}}"#;
    catalog.propose("sign", &definition(sign)).unwrap();
    catalog.run("sign", SMALL, &mut |_| true).unwrap();
    desk.write("c", r#"{"mm":30,"by":"us"}"#).unwrap();
    assert_eq!(read(&desk, 1, At::NOW), [r#"{"cm":1}"#, r#"{"cm":2}"#, r#"{"cm":3}"#]);
    assert_eq!(read(&desk, 2, At::NOW), [r#"{"mm":10}"#, r#"{"mm":20}"#, r#"{"mm":30}"#]);
    assert_eq!(read(&desk, 3, At::NOW.as_of(first)), [r#"{"by":"us","mm":10}"#]);
    // Of two, the later one goes first.
    assert!(matches!(catalog.roll_back("m"), Err(Error::State { .. })));
    catalog.roll_back("sign").unwrap();
    catalog.run("sign", SMALL, &mut |_| true).unwrap();
    catalog.roll_back("m").unwrap();
    catalog.run("m", SMALL, &mut |_| true).unwrap();
    assert_eq!(desk.read("c").unwrap(), r#"{"cm":3}"#);
    assert_eq!(desk.read("a").unwrap(), r#"{"cm":1}"#);
}
