//! Migrations: dry run, steps, stops, failures, and the way back.

use llmdb_catalog::{Chunk, Definition, Error, META, MetaPath, Migration, State};
use llmdb_temporal::{At, History, Period, Rows, Timestamp, Valid, Value};

use super::{Desk, PEOPLE, UP_AND_DOWN, UP_ONLY, definition, write};

const SMALL: Chunk = Chunk { rows: 3, bytes: 1 << 20 };

fn with_rows(count: u64) -> Desk {
    let desk = Desk::with_people();
    for number in 0..count {
        desk.write(&format!("p{number:03}"), &format!(r#"{{"cm":{number}}}"#)).unwrap();
    }
    desk
}

fn run(desk: &Desk, id: &str) -> Migration {
    desk.catalog().run(id, SMALL, &mut |_| true).unwrap()
}

fn state(desk: &Desk, id: &str) -> State {
    let view = desk.catalog().store().view().unwrap();
    desk.catalog().migration(&view, id).unwrap().unwrap().stored.state
}

#[test]
pub fn every_document_is_rewritten_once_and_history_stays() {
    let desk = with_rows(10);
    let catalog = desk.catalog();
    let before = catalog.store().view().unwrap().snapshot().txid();
    let planned = catalog.propose("m", &definition(UP_ONLY)).unwrap();
    assert_eq!(planned.stored.state, State::Planned);
    let mut told = Vec::new();
    let done = catalog
        .run("m", SMALL, &mut |migration| {
            told.push((migration.stored.progress.rows, migration.fraction));
            true
        })
        .unwrap();
    assert_eq!(done.stored.state, State::Done);
    assert_eq!((done.stored.progress.rows, done.stored.progress.changed), (10, 10));
    assert!(told.is_sorted_by(|a, b| a <= b) && told.len() >= 4, "{told:?}");
    for number in 0..10 {
        assert_eq!(desk.read(&format!("p{number:03}")), Some(format!(r#"{{"mm":{}}}"#, number * 10)));
    }
    let view = catalog.store().view().unwrap();
    let old = At::NOW.as_of(llmdb_temporal::AsOf::Transaction(before));
    let people = view.collection(PEOPLE).unwrap();
    for fact in people.scan(&Rows::all(), old).unwrap() {
        assert!(String::from_utf8_lossy(fact.unwrap().value.payload).contains("cm"));
    }
    // Progress is a fact, too: one version for each step.
    let meta = view.collection(META).unwrap();
    let versions = meta.history(MetaPath::parse("migration/m").unwrap().row()).unwrap();
    assert!(versions.len() >= 5, "{}", versions.len());
    assert_eq!(catalog.binding(&view, PEOPLE).unwrap().unwrap().version, 2);
    assert!(matches!(catalog.begin("m"), Err(Error::State { .. })));
}

#[test]
fn the_dry_run_counts_shows_and_writes_nothing() {
    let desk = with_rows(10);
    desk.write("odd", r#"{"cm":5,"note":"keep"}"#).unwrap();
    let catalog = desk.catalog();
    let txid = catalog.store().view().unwrap().snapshot().txid();
    let some = UP_ONLY.replace(r#""up""#, r#""where":{"expression":"doc.cm >= 5"},"up""#);
    let plan = catalog.plan(&definition(&some), &mut |_| true).unwrap();
    assert_eq!((plan.rows, plan.documents, plan.matched, plan.changed, plan.failed), (11, 11, 6, 6, 5));
    assert!(
        plan.failures[0].what.contains("not rewritten") && plan.failures[0].what.contains("'mm'"),
        "{plan:?}"
    );
    assert_eq!(plan.obstacles, [""; 0]);
    let plan = catalog.plan(&definition(UP_ONLY), &mut |_| true).unwrap();
    assert_eq!((plan.changed, plan.failed), (11, 0));
    assert_eq!(plan.samples[0].before, r#"{"cm":5,"note":"keep"}"#);
    assert_eq!(plan.samples[0].after, r#"{"mm":50,"note":"keep"}"#);
    assert_eq!(catalog.store().view().unwrap().snapshot().txid(), txid);
    let wrong = UP_ONLY.replace(r#""from":1,"to":2"#, r#""from":2,"to":3"#);
    assert!(matches!(catalog.plan(&definition(&wrong), &mut |_| true), Err(Error::NoSchema { .. })));
}

#[test]
pub fn while_it_runs_writes_have_to_be_of_the_new_form() {
    let desk = with_rows(10);
    let catalog = desk.catalog();
    catalog.propose("m", &definition(UP_ONLY)).unwrap();
    catalog.begin("m").unwrap();
    let error = desk.write("p000", r#"{"cm":1}"#).unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("\"m\""), "{error}");
    desk.write("p001", r#"{"mm":7}"#).unwrap();
    catalog.step("m", SMALL).unwrap();
    desk.write("p000", r#"{"mm":8}"#).unwrap();
    desk.write("p009", r#"{"mm":9}"#).unwrap();
    let done = run(&desk, "m");
    assert_eq!(
        (done.stored.state, done.stored.progress.changed),
        (State::Done, 10),
        "of p001 and p009 what was so until then"
    );
    assert_eq!(desk.read("p001").unwrap(), r#"{"mm":7}"#, "not taken for centimetres");
    assert_eq!(desk.read("p009").unwrap(), r#"{"mm":9}"#);
    assert_eq!(desk.read("p002").unwrap(), r#"{"mm":20}"#);
}

#[test]
fn it_stops_at_what_cannot_be_rewritten_and_goes_on_when_that_is_mended() {
    let desk = with_rows(5);
    desk.write("p002", r#"{"cm":2,"note":"bad"}"#).unwrap();
    let catalog = desk.catalog();
    let fussy = UP_ONLY.replace("doc.cm * 10", "doc.cm * 10 if doc.note is not defined else doc.nothing");
    catalog.propose("m", &definition(&fussy)).unwrap();
    let failed = run(&desk, "m");
    assert_eq!(failed.stored.state, State::Failed);
    let failure = failed.stored.progress.failure.unwrap();
    assert!(failure.row.contains("p002") && failure.what.contains("mm"), "{failure:?}");
    assert_eq!(desk.read("p001").unwrap(), r#"{"mm":10}"#, "what is in front of it is done");
    assert_eq!(catalog.step("m", SMALL).unwrap().stored.state, State::Failed);
    assert_eq!(run(&desk, "m").stored.state, State::Failed, "trying again alone does not help");
    let mut txn = catalog.store().begin_write().unwrap();
    let always = Valid::During(Period::ALWAYS);
    txn.collection(PEOPLE).unwrap().put("p002", always, Value::json(r#"{"mm":22}"#)).unwrap();
    txn.commit().unwrap();
    assert_eq!(run(&desk, "m").stored.state, State::Done);
    assert_eq!(desk.read("p002").unwrap(), r#"{"mm":22}"#);
    assert_eq!(desk.read("p004").unwrap(), r#"{"mm":40}"#);
}

#[test]
fn it_is_paused_resumed_and_cancelled() {
    let desk = with_rows(10);
    let catalog = desk.catalog();
    catalog.propose("m", &definition(UP_ONLY)).unwrap();
    let stopped = catalog.run("m", SMALL, &mut |migration| migration.stored.progress.rows < 3).unwrap();
    assert_eq!((stopped.stored.state, stopped.stored.progress.rows), (State::Running, 3));
    catalog.pause("m").unwrap();
    catalog.pause("m").unwrap();
    assert_eq!(catalog.step("m", SMALL).unwrap().stored.progress.rows, 3);
    assert!(matches!(catalog.cancel("m"), Err(Error::State { .. })));
    catalog.propose("n", &definition(UP_ONLY)).unwrap();
    assert!(matches!(catalog.begin("n"), Err(Error::State { .. })));
    assert!(matches!(catalog.bind(PEOPLE, "person", Some(2)), Err(Error::State { .. })));
    assert!(matches!(catalog.unbind(PEOPLE), Err(Error::State { .. })));
    assert_eq!(run(&desk, "m").stored.state, State::Done);
    catalog.cancel("n").unwrap();
    assert!(matches!(catalog.begin("n"), Err(Error::State { .. })));
    assert!(matches!(catalog.pause("m"), Err(Error::State { .. })));
    for call in
        [catalog.begin("none"), catalog.step("none", SMALL), catalog.pause("none"), catalog.roll_back("none")]
    {
        assert!(matches!(call, Err(Error::NoMigration(_))));
    }
}

#[test]
fn the_way_back_with_and_without_down() {
    for (text, is_whole) in [(UP_AND_DOWN, true), (UP_ONLY, false)] {
        let desk = with_rows(8);
        let catalog = desk.catalog();
        catalog.propose("m", &definition(text)).unwrap();
        run(&desk, "m");
        desk.write("new", r#"{"mm":70}"#).unwrap();
        desk.write("p003", r#"{"mm":35}"#).unwrap();
        catalog.roll_back("m").unwrap();
        assert!(desk.write("late", r#"{"mm":1}"#).is_err());
        desk.write("late", r#"{"cm":1}"#).unwrap();
        let back = run(&desk, "m");
        if !is_whole {
            assert_eq!(back.stored.state, State::RollbackFailed);
            let failure = back.stored.progress.failure.unwrap();
            assert!(failure.row.contains("new") && failure.what.contains("`down`"), "{failure:?}");
            for (row, text) in [("new", r#"{"cm":7}"#), ("p003", r#"{"cm":3}"#)] {
                write(&catalog, row, Valid::During(Period::ALWAYS), text).unwrap();
            }
            assert_eq!(run(&desk, "m").stored.state, State::RolledBack);
        } else {
            assert_eq!(back.stored.state, State::RolledBack);
        }
        assert_eq!(desk.read("new").unwrap(), r#"{"cm":7}"#);
        assert_eq!(desk.read("p003").unwrap(), r#"{"cm":3}"#);
        assert_eq!(desk.read("p005").unwrap(), r#"{"cm":5}"#);
        assert_eq!(desk.read("late").unwrap(), r#"{"cm":1}"#);
        let view = catalog.store().view().unwrap();
        assert_eq!(catalog.binding(&view, PEOPLE).unwrap().unwrap().version, 1);
        assert!(matches!(catalog.roll_back("m"), Err(Error::State { .. })));
        // And once more, under another name.
        catalog.propose("again", &definition(text)).unwrap();
        assert_eq!(run(&desk, "again").stored.state, State::Done);
        assert_eq!(desk.read("p005").unwrap(), r#"{"mm":50}"#);
        assert!(matches!(catalog.roll_back("m"), Err(Error::State { .. })));
    }
}

#[test]
fn every_period_of_a_fact_keeps_its_bounds() {
    let desk = Desk::with_people();
    let catalog = desk.catalog();
    let now = catalog.store().view().unwrap().now().get();
    let at = |offset: i64| Timestamp::new(now + offset * 1_000_000_000);
    let put = |from, to, cm: i64| {
        write(&catalog, "ada", Valid::During(Period::new(at(from), at(to))), &format!(r#"{{"cm":{cm}}}"#))
            .unwrap();
    };
    put(-50, -40, 1);
    put(-40, 40, 2);
    put(60, 70, 3);
    write(&catalog, "ada", Valid::Since(at(80)), r#"{"cm":4}"#).unwrap();
    write(&catalog, "bob", Valid::Since(at(-30)), r#"{"cm":5}"#).unwrap();
    catalog.propose("m", &definition(UP_ONLY)).unwrap();
    assert_eq!(run(&desk, "m").stored.state, State::Done);
    let view = catalog.store().view().unwrap();
    let people = view.collection(PEOPLE).unwrap();
    let mm = |row: &str, offset: i64| {
        let fact = people.get(row, At::valid(at(offset))).unwrap();
        fact.map(|fact| String::from_utf8_lossy(fact.value.payload).into_owned())
    };
    for (offset, expected) in [
        (-51, None),
        (-50, Some(10)),
        (-41, Some(10)),
        (-40, Some(20)),
        (0, Some(20)),
        (39, Some(20)),
        (40, None),
        (60, Some(30)),
        (69, Some(30)),
        (70, None),
        (80, Some(40)),
        (1_000, Some(40)),
    ] {
        assert_eq!(mm("ada", offset), expected.map(|mm| format!(r#"{{"mm":{mm}}}"#)), "{offset}");
    }
    assert_eq!(mm("bob", -31), None);
    assert_eq!(mm("bob", -29).unwrap(), r#"{"mm":50}"#);
    assert_eq!(mm("bob", 500).unwrap(), r#"{"mm":50}"#);
}

#[test]
fn without_a_schema_documents_are_rewritten_where_they_are() {
    let desk = Desk::new();
    let catalog = desk.catalog();
    let mut txn = catalog.store().begin_write().unwrap();
    txn.create(PEOPLE, History::default()).unwrap();
    txn.create("plain", History::Plain).unwrap();
    let mut people = txn.collection(PEOPLE).unwrap();
    people.put("a", Valid::Now, Value::json(r#"{"x":1}"#)).unwrap();
    people.put("b", Valid::Now, Value::raw(b"raw stays")).unwrap();
    people.put("c", Valid::Now, Value::json("[1]")).unwrap();
    txn.commit().unwrap();
    let text = r#"{"collection":"people","where":{"fits":{"type":"object"}},"up":{"patch":[{"op":"move","from":"/x","path":"/y"}]}}"#;
    catalog.propose("m", &definition(text)).unwrap();
    let done = run(&desk, "m");
    assert_eq!((done.stored.state, done.stored.progress.changed), (State::Done, 1));
    assert_eq!(desk.read("a").unwrap(), r#"{"y":1}"#);
    assert_eq!(desk.read("b").unwrap(), "raw stays");
    assert_eq!(desk.read("c").unwrap(), "[1]");
    desk.write("late", r#"{"y":5}"#).unwrap();
    catalog.roll_back("m").unwrap();
    assert_eq!(run(&desk, "m").stored.state, State::RolledBack);
    assert_eq!(desk.read("a").unwrap(), r#"{"x":1}"#);
    assert_eq!(desk.read("late").unwrap(), r#"{"y":5}"#);

    let plain = definition(&text.replace("people", "plain"));
    let plan = catalog.plan(&plain, &mut |_| true).unwrap();
    assert!(plan.obstacles[0].contains("plain"), "{plan:?}");
    catalog.propose("p", &plain).unwrap();
    assert!(matches!(catalog.begin("p"), Err(Error::State { .. })));
    let nobody = definition(&text.replace("people", "nobody"));
    assert!(catalog.propose("q", &nobody).is_err());
}

#[test]
fn definitions_that_are_none_are_refused() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"collection":"a"}"#,
        r#"{"collection":"a","up":{"merge":{}},"from":1}"#,
        r#"{"collection":"a","up":{"merge":{}},"schema":"s","from":2,"to":2}"#,
        r#"{"collection":"a","up":{"merge":{}},"colour":1}"#,
        r#"{"collection":"a","up":{"merge":{}},"up":{"merge":{}}}"#,
        r#"{"collection":"a","up":{"merge":{},"patch":[]}}"#,
        r#"{"collection":"a","up":{"merge":{}},"where":{"expression":"doc.("}}"#,
        r#"{"collection":"a","up":{"merge":{}},"down":{"expression":"x"}}"#,
        r#"{"collection":"_meta","up":{"merge":{}}}"#,
    ] {
        assert!(matches!(Definition::parse(text.as_bytes()), Err(Error::Definition(_))), "{text}");
    }
}

#[test]
fn a_proposal_changes_until_it_has_begun() {
    let desk = with_rows(2);
    let catalog = desk.catalog();
    catalog.propose("m", &definition(UP_ONLY)).unwrap();
    catalog.propose("m", &definition(UP_AND_DOWN)).unwrap();
    catalog.begin("m").unwrap();
    catalog.propose("m", &definition(UP_AND_DOWN)).unwrap();
    assert!(matches!(catalog.propose("m", &definition(UP_ONLY)), Err(Error::State { .. })));
    assert!(matches!(catalog.propose("a/b", &definition(UP_ONLY)), Err(Error::Name(_))));
    assert_eq!(state(&desk, "m"), State::Running);
}

#[test]
fn two_who_make_steps_do_each_row_once() {
    let desk = with_rows(60);
    let catalog = desk.catalog();
    catalog.propose("m", &definition(UP_ONLY)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while desk
                    .catalog()
                    .run("m", SMALL, &mut |_| true)
                    .is_ok_and(|m| m.stored.state == State::Running)
                {}
            });
        }
    });
    let view = catalog.store().view().unwrap();
    let done = catalog.migration(&view, "m").unwrap().unwrap();
    assert_eq!((done.stored.state, done.stored.progress.changed), (State::Done, 60));
    assert_eq!(desk.read("p059").unwrap(), r#"{"mm":590}"#);
}
