//! Schemas are written, bound, and hold for every write.

use llmdb_catalog::{Catalog, Error, Keep, Keeper, META, MetaPath, Policy};
use llmdb_engine::{Background, Engine, ErrorKind, Options};
use llmdb_temporal::{At, History, Store, Valid, Value};

use super::{Desk, PEOPLE, V1, V2};

/// A raw write to the catalog, as any program could do it.
fn put_meta(desk: &Desk, path: &str, value: Value<'_>) -> Result<(), llmdb_temporal::Error> {
    let mut txn = desk.catalog().store().begin_write()?;
    let row = MetaPath::parse(path).unwrap_or_else(|| panic!("{path}")).row();
    txn.collection(META)?.put(row, Valid::Now, value)?;
    txn.commit()?;
    Ok(())
}

#[test]
pub fn a_document_that_does_not_fit_is_refused_with_place_schema_and_version() {
    let desk = Desk::with_people();
    desk.write("ada", r#"{"cm":170}"#).unwrap();
    let error = desk.write("bob", r#"{"cm":"tall","x":1}"#).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let text = error.to_string();
    for part in ["\"people\"", "(\"bob\")", "/cm", "integer", "'x'", "schema \"person\"", "version 1"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for other in [Value::raw(b"170"), Value::json("[]"), Value::json(r#"{"cm":1,"cm":2}"#)] {
        let mut txn = desk.catalog().store().begin_write().unwrap();
        assert!(txn.collection(PEOPLE).unwrap().put("bob", Valid::Now, other).is_err());
    }
    assert_eq!(desk.read("bob"), None);
    assert_eq!(desk.read("ada").as_deref(), Some(r#"{"cm":170}"#));
}

#[test]
fn versions_count_up_and_stay() {
    let desk = Desk::new();
    let catalog = desk.catalog();
    assert_eq!(catalog.put_schema("person", None, V1).unwrap(), 1);
    assert_eq!(catalog.put_schema("person", None, V1).unwrap(), 1, "the same again");
    assert_eq!(catalog.put_schema("person", Some(1), V1).unwrap(), 1);
    assert_eq!(catalog.put_schema("person", None, V2).unwrap(), 2);
    assert_eq!(catalog.put_schema("person", Some(5), "true").unwrap(), 5);
    let error = catalog.put_schema("person", Some(2), V1).unwrap_err();
    assert!(matches!(&error, Error::SchemaStays { version: 2, next: 6, .. }), "{error}");
    assert!(matches!(catalog.put_schema("a b", None, V1), Err(Error::Name(_))));
    assert!(matches!(catalog.put_schema("x", None, r#"{"type":7}"#), Err(Error::Schema(_))));
    assert!(matches!(
        catalog.put_schema("x", None, r#"{"$ref":"https://example.com/"}"#),
        Err(Error::Schema(_))
    ));
    let view = catalog.store().view().unwrap();
    let all: Vec<_> =
        catalog.schemas(&view).unwrap().iter().map(|info| (info.name.clone(), info.version)).collect();
    assert_eq!(all, [("person".into(), 1), ("person".into(), 2), ("person".into(), 5)]);
    assert_eq!(catalog.schema(&view, "person", None).unwrap().unwrap().version, 5);
    assert_eq!(catalog.schema(&view, "person", Some(1)).unwrap().unwrap().text, V1);
    assert_eq!(catalog.schema(&view, "person", Some(3)).unwrap(), None);
    assert_eq!(catalog.schema(&view, "none", None).unwrap(), None);
}

#[test]
fn binding_looks_at_what_is_there() {
    let desk = Desk::new();
    let catalog = desk.catalog();
    let mut txn = catalog.store().begin_write().unwrap();
    txn.create(PEOPLE, History::default()).unwrap();
    let now = txn.timestamp().get();
    let later = llmdb_temporal::Period::since(llmdb_temporal::Timestamp::new(now + 1_000_000_000));
    let mut people = txn.collection(PEOPLE).unwrap();
    people.put("ada", Valid::Now, Value::json(r#"{"cm":170}"#)).unwrap();
    people.put("bob", Valid::During(later), Value::json(r#"{"cm":"from tomorrow on"}"#)).unwrap();
    people.put("raw", Valid::Now, Value::raw(b"?")).unwrap();
    txn.commit().unwrap();
    catalog.put_schema("person", None, V1).unwrap();
    let error = catalog.bind(PEOPLE, "person", None).unwrap_err();
    let Error::Unfit { count: 2, samples, .. } = &error else { panic!("{error}") };
    assert_eq!(samples[0].violations[0].path, "/cm");
    assert!(error.to_string().contains("bob") && error.to_string().contains("raw"));
    desk.write("free", "[]").unwrap();

    let mut txn = catalog.store().begin_write().unwrap();
    let mut people = txn.collection(PEOPLE).unwrap();
    people.delete("bob", Valid::During(later)).unwrap();
    for row in ["raw", "free"] {
        people.delete(row, Valid::Now).unwrap();
    }
    txn.commit().unwrap();
    // What was true a moment ago still is believed of that moment.
    assert!(matches!(catalog.bind(PEOPLE, "person", None), Err(Error::Unfit { .. })));
    let mut txn = catalog.store().begin_write().unwrap();
    let mut people = txn.collection(PEOPLE).unwrap();
    for row in ["raw", "free"] {
        people.delete(row, Valid::During(llmdb_temporal::Period::ALWAYS)).unwrap();
    }
    txn.commit().unwrap();
    let bound = catalog.bind(PEOPLE, "person", None).unwrap();
    assert_eq!((bound.version, bound.documents), (1, 1));
    assert!(desk.write("free", "[]").is_err());
    let view = catalog.store().view().unwrap();
    assert_eq!(catalog.schemas(&view).unwrap()[0].bound_to, [PEOPLE]);
    assert!(catalog.unbind(PEOPLE).unwrap());
    assert!(!catalog.unbind(PEOPLE).unwrap());
    desk.write("free", "[]").unwrap();
    assert!(matches!(catalog.bind(PEOPLE, "none", None), Err(Error::NoSchema { .. })));
    assert!(catalog.bind("nobody", "person", None).is_err());
}

#[test]
fn plain_collections_can_have_a_schema() {
    let desk = Desk::new();
    let catalog = desk.catalog();
    let mut txn = catalog.store().begin_write().unwrap();
    txn.create(PEOPLE, History::Plain).unwrap();
    txn.commit().unwrap();
    catalog.put_schema("person", None, V1).unwrap();
    catalog.bind(PEOPLE, "person", None).unwrap();
    desk.write("ada", r#"{"cm":1}"#).unwrap();
    assert!(desk.write("ada", r#"{"mm":1}"#).is_err());
}

#[test]
fn whichever_call_writes_to_the_catalog_it_is_checked() {
    let desk = Desk::with_people();
    let json = |path: &str, text: &str| put_meta(&desk, path, Value::json(text));
    for (path, text) in [
        ("schema/person/3", r#"{"type":"wrong"}"#),
        ("schema/person/1", V2),
        ("binding/people", r#"{"schema":"person","version":9}"#),
        ("binding/people", r#"{"schema":"person"}"#),
        ("binding/nobody", r#"{"schema":"person","version":1}"#),
        ("migration/m", r#"{"definition":{"collection":"people","up":{"patch":[{"op":"x"}]}}}"#),
        ("migration/m", r#"{"definition":{"collection":"_meta","up":{"merge":{}}}}"#),
        ("migration/m", "{}"),
        ("retention/people", r#"{"keep":{"versions":0}}"#),
        ("retention/people", r#"{"keep":"nothing"}"#),
    ] {
        let error = json(path, text).err().unwrap_or_else(|| panic!("{path} {text}"));
        assert!(matches!(error, llmdb_temporal::Error::Refused { .. }), "{error}");
        assert!(error.to_string().contains(&format!("_meta/{path}")), "{error}");
    }
    json("schema/person/3", "true").unwrap();
    json("retention/people", r#"{"keep":{"days":30}}"#).unwrap();
    json("binding/people", r#"{"schema":"person","version":3}"#).unwrap();
    desk.write("free", "[]").unwrap();

    // sha256 of "abc"
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let code = format!("code/{hash}");
    put_meta(&desk, &code, Value::raw(b"abc")).unwrap();
    assert!(put_meta(&desk, &code, Value::raw(b"abd")).is_err());
    assert!(put_meta(&desk, &code, Value::json("1")).is_err());
    let catalog = desk.catalog();
    assert_eq!(catalog.put_code(b"abc").unwrap(), hash);
    let view = catalog.store().view().unwrap();
    assert_eq!(catalog.code(&view, hash).unwrap().as_deref(), Some(&b"abc"[..]));
    assert_eq!(catalog.code(&view, &"0".repeat(64)).unwrap(), None);

    let mut txn = catalog.store().begin_write().unwrap();
    let mut meta = txn.collection(META).unwrap();
    assert!(meta.put("anything", Valid::Now, Value::json("1")).is_err());
    assert!(meta.delete(MetaPath::parse("schema/person/1").unwrap().row(), Valid::Now).is_err());
    meta.delete(MetaPath::parse("retention/people").unwrap().row(), Valid::Now).unwrap();
    txn.commit().unwrap();
}

#[test]
fn the_catalog_is_in_both_times() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    let before = catalog.store().view().unwrap().snapshot().txid();
    catalog.set_retention(PEOPLE, &Policy { keep: Keep::Versions(3), note: None }).unwrap();
    let view = catalog.store().view().unwrap();
    let row = MetaPath::parse("retention/people").unwrap().row();
    let meta = view.collection(META).unwrap();
    assert!(meta.get(&row, At::NOW).unwrap().is_some());
    assert!(meta.get(&row, At::NOW.as_of(llmdb_temporal::AsOf::Transaction(before))).unwrap().is_none());
    assert_eq!(catalog.retention(&view, PEOPLE).unwrap().unwrap().keep, Keep::Versions(3));
    assert_eq!(catalog.retentions(&view).unwrap().len(), 1);
    assert!(catalog.unset_retention(PEOPLE).unwrap());
    assert!(!catalog.unset_retention(PEOPLE).unwrap());
    assert!(catalog.set_retention("nobody", &Policy { keep: Keep::All, note: None }).is_err());
}

#[test]
fn policies_are_applied_and_old_forms_are_gone_with_the_history() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    for cm in 0..50 {
        desk.write("ada", &format!(r#"{{"cm":{cm}}}"#)).unwrap();
    }
    let versions = |name: &str, row: llmdb_temporal::RowKey| {
        let view = catalog.store().view().unwrap();
        view.collection(name).unwrap().history(row).unwrap().len()
    };
    assert_eq!(catalog.apply_retention(&mut |_, _| true).unwrap(), []);
    let all = versions(PEOPLE, "ada".into());
    catalog.set_retention(PEOPLE, &Policy { keep: Keep::Versions(2), note: None }).unwrap();
    let applied = catalog.apply_retention(&mut |_, _| true).unwrap();
    assert!(applied.len() == 1 && applied[0].1.is_done, "{applied:?}");
    assert!(versions(PEOPLE, "ada".into()) < all);
    assert_eq!(desk.read("ada").unwrap(), r#"{"cm":49}"#);
    assert!(catalog.set_retention(META, &Policy { keep: Keep::Versions(1), note: None }).is_err());

    // Rewritten, and the old form purged: then only `down` leads back.
    catalog.propose("m", &super::definition(super::UP_AND_DOWN)).unwrap();
    catalog.run("m", llmdb_catalog::Chunk::default(), &mut |_| true).unwrap();
    catalog.set_retention(PEOPLE, &Policy { keep: Keep::Versions(1), note: None }).unwrap();
    catalog.apply_retention(&mut |_, _| true).unwrap();
    let view = catalog.store().view().unwrap();
    let old = catalog.reader(&view, PEOPLE, Some(1)).unwrap();
    assert_eq!(old.get("ada", At::NOW).unwrap().unwrap().text, r#"{"cm":49}"#);
    catalog.roll_back("m").unwrap();
    let back = catalog.run("m", llmdb_catalog::Chunk::default(), &mut |_| true).unwrap();
    assert_eq!(back.stored.state, llmdb_catalog::State::RolledBack);
    assert_eq!(desk.read("ada").unwrap(), r#"{"cm":49}"#);
}

#[test]
fn an_undo_may_not_bring_back_what_does_not_fit() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    desk.write("ada", r#"{"cm":1}"#).unwrap();
    let mut txn = catalog.store().begin_write().unwrap();
    txn.collection(PEOPLE).unwrap().delete("ada", Valid::Now).unwrap();
    let deleted = txn.commit().unwrap().txid;
    catalog.unbind(PEOPLE).unwrap();
    let mut txn = catalog.store().begin_write().unwrap();
    let always = Valid::During(llmdb_temporal::Period::new(llmdb_temporal::BEGINNING, txn.timestamp()));
    txn.collection(PEOPLE).unwrap().delete("ada", always).unwrap();
    txn.commit().unwrap();
    catalog.bind(PEOPLE, "person", Some(2)).unwrap();
    let mut txn = catalog.store().begin_write().unwrap();
    let error = catalog.store().undo(&mut txn, deleted).unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
}

#[test]
fn who_opens_the_store_again_or_without_a_keeper_is_bound_too() {
    let folder = std::env::temp_dir().join(format!("llmdb-catalog-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("test.llmdb");
    let open = || {
        let mut options = Options::default();
        options.background = Background::Manual;
        Engine::open(&path, options).unwrap()
    };
    let desk = Desk { engine: open(), keeper: Keeper::new() };
    super::set_up(&desk.catalog());
    drop(desk);
    let desk = Desk { engine: open(), keeper: Keeper::new() };
    assert!(desk.write("ada", "{}").is_err());
    desk.write("ada", r#"{"cm":1}"#).unwrap();
    let bare = Store::new(&desk.engine);
    let mut txn = bare.begin_write().unwrap();
    let error =
        txn.collection(PEOPLE).unwrap().put("ada", Valid::Now, Value::json(r#"{"cm":2}"#)).unwrap_err();
    assert!(error.to_string().contains("catalog"), "{error}");
    drop(txn);
    drop(desk);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_keeper_that_knew_another_text_compiles_again() {
    // Two stores, one keeper: the same name and version with other texts.
    let keeper = Keeper::new();
    let (one, two) = (Engine::in_memory().unwrap(), Engine::in_memory().unwrap());
    for (engine, text) in [(&one, V1), (&two, V2)] {
        let catalog = Catalog::new(Store::new(engine), &keeper);
        let mut txn = catalog.store().begin_write().unwrap();
        txn.create(PEOPLE, History::default()).unwrap();
        txn.commit().unwrap();
        catalog.put_schema("person", None, text).unwrap();
        catalog.bind(PEOPLE, "person", None).unwrap();
    }
    for _ in 0..2 {
        let catalog = Catalog::new(Store::new(&one), &keeper);
        super::write(&catalog, "a", Valid::Now, r#"{"cm":1}"#).unwrap();
        let catalog = Catalog::new(Store::new(&two), &keeper);
        super::write(&catalog, "a", Valid::Now, r#"{"mm":1}"#).unwrap();
        super::write(&catalog, "a", Valid::Now, r#"{"cm":1}"#).unwrap_err();
    }
}

#[test]
fn huge_and_deep_documents_are_refused_or_kept_and_never_end_the_program() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    catalog
        .put_schema("any", None, r##"{"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"}}"##)
        .unwrap();
    catalog.unbind(PEOPLE).unwrap();
    catalog.bind(PEOPLE, "any", None).unwrap();
    let deep = [r#"{"a":["#.repeat(60), "]}".repeat(60)].concat();
    desk.write("deep", &deep).unwrap();
    let long = format!("[{}1]", "1,".repeat(1_000_000));
    desk.write("long", &long).unwrap();
    let error = desk.write("longer", &format!("\"{}\"", "x".repeat(17 << 20))).unwrap_err();
    assert!(error.to_string().contains("bytes"), "{error}");
    assert_eq!(desk.read("long").map(|text| text.len()), Some(long.len()));
}
