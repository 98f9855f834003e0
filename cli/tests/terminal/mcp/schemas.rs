//! The tools for schemas and migrations: a proposal, a dry run, and what then holds for everybody.

use serde_json::json;

use super::Client;
use crate::Desk;

#[test]
fn a_schema_is_proposed_met_by_a_migration_and_holds_from_then_on() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    client.ok("remember", &json!({ "facts": [{ "key": "alice/employer", "text": "Acme Corp" }] }));
    assert_eq!(
        client.ok("list_schemas", &json!({})),
        json!({ "schemas": [], "migrations": [], "schema": null })
    );

    let schema = json!({ "type": "object", "required": ["source"] });
    let proposal = json!({ "name": "sourced", "schema": schema, "collection": "facts" });
    let proposed = client.ok("propose_schema", &proposal);
    assert_eq!(
        (&proposed["version"], &proposed["unfit_count"], &proposed["bound"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert!(proposed["unfit"][0]["row"].as_str().unwrap().contains("employer"), "{proposed}");
    let mut binding = proposal.clone();
    binding["bind"] = true.into();
    let error = client.error("propose_schema", &binding);
    assert!(error.contains("employer"), "it names what does not fit: {error}");

    let migration = json!({ "collection": "facts", "up": { "merge": { "source": "unknown" } } });
    let call = json!({ "id": "add-source", "migration": migration });
    let dry = client.ok("apply_migration", &call);
    assert_eq!((&dry["dry_run"], &dry["plan"]["changed"]), (&json!(true), &json!(1)), "{dry}");
    assert!(client.ok("recall", &json!({}))["facts"][0].get("source").is_none(), "nothing was written");
    let done = client
        .ok("apply_migration", &json!({ "id": "add-source", "migration": migration, "dry_run": false }));
    assert_eq!(done["migration"]["fraction"], 1.0, "{done}");
    assert_eq!(client.ok("recall", &json!({}))["facts"][0]["source"], "unknown");

    assert_eq!(client.ok("propose_schema", &binding)["bound"], true);
    let error = client.error("remember", &json!({ "facts": [{ "key": "bob/x", "text": "no source" }] }));
    assert!(error.contains("source") && error.contains("sourced"), "{error}");
    let listed = client.ok("list_schemas", &json!({ "name": "sourced" }));
    assert_eq!(listed["schemas"][0]["bound_to"], json!(["facts"]));
    assert!(listed["schema"]["text"].as_str().unwrap().contains("required"));
}

#[test]
fn what_makes_no_sense_is_refused_with_the_mend() {
    let desk = Desk::new();
    let mut client = Client::ours(&desk, "a.llmdb");
    for (tool, arguments, expected) in [
        ("propose_schema", json!({ "name": "x", "schema": { "type": "nonsense" } }), "type"),
        ("propose_schema", json!({ "name": "x", "schema": [] }), "expected object, received array at schema"),
        ("propose_schema", json!({ "name": "x", "schema": {}, "bind": true }), "collection: say which one"),
        ("propose_schema", json!({ "name": "x", "schema": {}, "collection": "nowhere" }), "nowhere"),
        ("apply_migration", json!({ "id": "x" }), "there is none called"),
        ("apply_migration", json!({ "id": "x", "migration": {} }), "collection"),
        ("list_schemas", json!({ "name": "nobody" }), "there is no schema"),
    ] {
        let error = client.error(tool, &arguments);
        assert!(error.contains(expected), "{tool} {arguments}: {error}");
    }
}
