//! Our server beside the reference memory server, on the same calls.
//!
//! The reference is a program for Node, pinned in `cli/tests/reference`, and installed by `npm ci` there, as `.ci/run` does.
//! Without it the tests say so and pass, unless `LLMDB_REFERENCE=required` is set.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Client;
use crate::Desk;

/// The program of the reference, if it is installed.
fn script() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let script = folder.join("node_modules/@modelcontextprotocol/server-memory/dist/index.js");
    let has_node = || std::process::Command::new("node").arg("--version").output().is_ok();
    if script.exists() && has_node() {
        return Some(script);
    }
    assert!(std::env::var_os("LLMDB_REFERENCE").is_none(), "{} is not there", script.display());
    eprintln!("skipped: the reference server is not installed; run `npm ci` in {}", folder.display());
    None
}

/// Both servers, asked the same.
struct Both {
    desk: Desk,
    ours: Client,
    reference: Client,
}

impl Both {
    fn start() -> Option<Self> {
        let script = script()?;
        let desk = Desk::new();
        let mut ours = Client::ours(&desk, "both.llmdb");
        let mut reference = Client::reference(&script, &desk.path("memory.jsonl"));
        for client in [&mut ours, &mut reference] {
            let answer = client.request("resources/subscribe", &json!({ "uri": "memory://knowledge-graph" }));
            assert_eq!(answer["result"], json!({}));
        }
        Some(Self { desk, ours, reference })
    }

    /// Calls a tool of both; the results must be the same, and so must be what subscribers were told.
    fn call(&mut self, tool: &str, arguments: &Value) -> Value {
        let results = [&mut self.ours, &mut self.reference].map(|client| {
            let result = client.call(tool, arguments);
            (result, std::mem::take(&mut client.notes))
        });
        let [ours, reference] = results;
        assert_eq!(ours, reference, "{tool} {arguments}");
        ours.0
    }
}

/// A generator of small numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn pick(&mut self, from: &[&str]) -> Value {
        let index = usize::try_from(self.throw(from.len() as u64)).unwrap();
        from[index].into()
    }

    fn some(&mut self, mut one: impl FnMut(&mut Self) -> Value) -> Value {
        (0..self.throw(4)).map(|_| one(self)).collect()
    }

    fn name(&mut self) -> Value {
        self.pick(&["Ada", "ada", "Bob", "Zoë", "\u{130}stanbul", "a b", "\"quoted\"", "𝕏", ""])
    }

    fn text(&mut self) -> Value {
        self.pick(&[
            "likes TEA",
            "Straße",
            "line\nbreak",
            "tab\tand \u{1} \u{7f}",
            "ΣΊΣΥΦΟΣ",
            "\u{2028}",
            "",
            "x",
        ])
    }

    fn relation(&mut self) -> Value {
        json!({ "from": self.name(), "to": self.name(), "relationType": self.text() })
    }

    fn call(&mut self) -> (&'static str, Value) {
        match self.throw(12) {
            0..=2 => {
                let entities = self.some(|dice| {
                    let observations = dice.some(Self::text);
                    json!({ "name": dice.name(), "entityType": dice.text(), "observations": observations })
                });
                ("create_entities", json!({ "entities": entities }))
            }
            3 | 4 => ("create_relations", json!({ "relations": self.some(Self::relation) })),
            5 | 6 => {
                let observations =
                    self.some(|dice| json!({ "entityName": dice.name(), "contents": dice.some(Self::text) }));
                ("add_observations", json!({ "observations": observations }))
            }
            7 => ("delete_entities", json!({ "entityNames": [self.name()] })),
            8 => {
                let deletions = self
                    .some(|dice| json!({ "entityName": dice.name(), "observations": dice.some(Self::text) }));
                ("delete_observations", json!({ "deletions": deletions }))
            }
            9 => ("delete_relations", json!({ "relations": self.some(Self::relation) })),
            10 => (
                "search_nodes",
                json!({ "query": self.pick(&["tea", "STRASSE", "straße", "ada", "σ", "", "\n", "i"]) }),
            ),
            _ => ("open_nodes", json!({ "names": self.some(Self::name) })),
        }
    }
}

#[test]
fn every_call_answers_as_the_reference_does() {
    let Some(mut both) = Both::start() else { return };
    let mut dice = Dice(7);
    for number in 0..400 {
        let (tool, arguments) = dice.call();
        both.call(tool, &arguments);
        if number % 20 == 0 {
            both.call("read_graph", &json!({}));
        }
    }
    let read = both.call("read_graph", &json!({ "unknown": 1 }));
    assert!(read["structuredContent"]["entities"].as_array().unwrap().len() > 2);

    let uri = json!({ "uri": "memory://knowledge-graph" });
    let resources =
        [&mut both.ours, &mut both.reference].map(|client| client.request("resources/read", &uri));
    assert_eq!(resources[0]["result"], resources[1]["result"]);

    // The file of the reference, and what we write instead of it.
    both.desk.ok(&["graph", "export", "--to", "ours.jsonl", "--db", "both.llmdb"]);
    let files =
        ["ours.jsonl", "memory.jsonl"].map(|name| std::fs::read_to_string(both.desk.path(name)).unwrap());
    assert_eq!(files[0], files[1]);
    both.desk.ok(&["graph", "import", "memory.jsonl", "--db", "imported.llmdb"]);
    let mut imported = Client::ours(&both.desk, "imported.llmdb");
    assert_eq!(imported.call("read_graph", &json!({})), both.ours.call("read_graph", &json!({})));
}

#[test]
fn wrong_arguments_are_refused_in_the_words_of_the_reference() {
    let Some(mut both) = Both::start() else { return };
    for (tool, arguments) in [
        ("create_entities", json!({})),
        ("create_entities", json!({ "entities": "Ada" })),
        (
            "create_entities",
            json!({ "entities": [{ "name": 5 }, null, "a", { "name": "a", "entityType": null, "observations": [1, "x", true] }] }),
        ),
        ("create_relations", json!({ "relations": [{ "from": "a", "to": {}, "relationType": [] }] })),
        ("add_observations", json!({ "observations": [{ "entityName": "nobody", "contents": ["x"] }] })),
        ("add_observations", json!({ "observations": { "entityName": "a" } })),
        ("delete_entities", json!({ "entityNames": [["a"]] })),
        ("delete_observations", json!({ "deletions": [{}] })),
        ("delete_relations", json!({ "relations": [1.5] })),
        ("search_nodes", json!({ "query": 5 })),
        ("open_nodes", json!({ "names": null })),
    ] {
        let result = both.call(tool, &arguments);
        assert_eq!(result["isError"], true, "{tool} {arguments}");
    }
}

#[test]
fn the_nine_tools_have_the_shapes_of_the_reference() {
    let Some(mut both) = Both::start() else { return };
    let [ours, reference] = [&mut both.ours, &mut both.reference].map(|client| {
        client.request("tools/list", &json!({}))["result"]["tools"].as_array().unwrap().clone()
    });
    assert_eq!(reference.len(), 9);
    for expected in reference {
        let name = &expected["name"];
        let tool = ours.iter().find(|tool| tool["name"] == *name).unwrap_or_else(|| panic!("{name}"));
        for part in ["title", "annotations", "inputSchema", "outputSchema"] {
            assert_eq!(bare(&tool[part]), bare(&expected[part]), "{name}: {part}");
        }
    }
}

/// A schema without the words that only describe it.
fn bare(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let words = ["description", "$schema", "additionalProperties"];
            let members =
                members.iter().filter(|(name, value)| !words.contains(&name.as_str()) || value.is_object());
            members
                .map(|(name, value)| (name.clone(), bare(value)))
                .filter(|(_, value)| *value != json!([]))
                .collect()
        }
        Value::Array(items) => items.iter().map(bare).collect(),
        other => other.clone(),
    }
}
