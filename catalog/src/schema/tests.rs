//! Schemas that are none, documents that do not fit, and both as hostile as they come.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn compile(schema: Json) -> Validator {
    Validator::of(schema).unwrap_or_else(|what| panic!("{what}"))
}

fn refused(schema: Json) -> String {
    Validator::of(schema.clone()).err().unwrap_or_else(|| panic!("{schema}"))
}

#[test]
fn violations_name_the_place_and_what_was_expected() {
    let person = compile(json!({
        "type": "object", "required": ["name", "age"], "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "minLength": 1}, "age": {"$ref": "#/$defs/age"},
            "born": {"format": "date-time"}, "nick": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "$defs": {"age": {"type": "integer", "minimum": 0}},
    }));
    let document = json!({"name": "", "age": -1, "x": 1, "born": "yesterday", "nick": 5});
    let violations = person.violations(&document);
    let told = |path: &str| {
        let found: Vec<_> = violations.iter().filter(|violation| violation.path == path).collect();
        assert_eq!(found.len(), 1, "{path}: {violations:?}");
        found[0].expected.clone()
    };
    assert!(told("/name").contains(">=1"), "{}", told("/name"));
    assert!(told("/age").contains(">=0") && told("/age").contains("-1"));
    assert!(told("").contains("'x'"));
    assert!(told("/born").contains("date-time"));
    assert!(told("/nick").contains("string") && told("/nick").contains("null"));
    assert!(violations.iter().any(|violation| violation.schema_path == "/$defs/age"), "{violations:?}");
    assert_eq!(person.violations(&json!({"name": "Ada", "age": 36, "nick": null})), []);
    let missing = person.violations(&json!({"age": 1}));
    assert!(missing[0].expected.contains("'name'"), "{missing:?}");
}

#[test]
fn no_more_is_told_than_a_person_reads() {
    let numbers = compile(json!({"items": {"type": "string", "maxLength": 3}}));
    let violations = numbers.violations(&json!(vec![json!("x".repeat(10_000)); 1_000]));
    assert!(violations.len() <= VIOLATIONS_MAX);
    let pattern = compile(json!({"pattern": "^a$"}));
    let violations = pattern.violations(&json!("b".repeat(1 << 20)));
    assert!(violations[0].expected.chars().count() < EXPECTED_LEN_MAX + 10);
}

#[test]
fn what_is_no_schema_is_refused_with_the_place() {
    assert!(refused(json!({"properties": {"a": {"minimum": "x"}}})).contains("/properties/a/minimum"));
    assert!(refused(json!({"type": "foo"})).contains("/type"));
    for schema in [json!(5), json!("x"), json!(null), json!([])] {
        refused(schema);
    }
    for pattern in ["(a", "(?=a)", "((a{1000}){1000}){1000}"] {
        assert!(refused(json!({"pattern": pattern})).len() < 1_000);
    }
    for reference in ["#/$defs/none", "#none", "#/type/0/x"] {
        refused(json!({"$ref": reference, "type": "string"}));
    }
    assert!(Validator::compile(b"{").is_err());
    assert!(Validator::compile(&vec![b' '; SCHEMA_LEN_MAX + 1]).is_err());
}

#[test]
fn nothing_is_fetched() {
    for reference in
        ["https://example.com/x.json", "http://example.com/", "file:///etc/hostname", "other.json", "urn:x"]
    {
        let what = refused(json!({"$ref": reference}));
        assert!(what.contains("not in it"), "{what}");
    }
    refused(json!({"$schema": "https://example.com/meta.json"}));
}

#[test]
fn references_that_lead_back_to_themselves_end() {
    for schema in [
        json!({"$ref": "#"}),
        json!({"allOf": [{"$ref": "#"}]}),
        json!({"not": {"$ref": "#"}}),
        json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}),
        json!({"if": {"$ref": "#"}}),
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
    ] {
        if let Ok(validator) = Validator::of(schema) {
            validator.violations(&json!({"a": [1, {"b": 2}]}));
        }
    }
}

fn nested(depth: usize) -> Json {
    (0..depth).fold(json!(1), |inner, _| json!({"a": inner}))
}

#[test]
fn deep_documents_and_long_chains_of_references() {
    let tree = compile(json!({"properties": {"a": {"$ref": "#"}}}));
    assert_eq!(tree.violations(&nested(120)), []);
    // Each place of the document calls all of the chain, one inside of the other.
    for len in [1, 40, 400, 4_000] {
        let mut schemas: serde_json::Map<String, Json> = (0..len)
            .map(|index| {
                (format!("s{index}"), json!({"allOf": [{"$ref": format!("#/$defs/s{}", index + 1)}]}))
            })
            .collect();
        schemas.insert(
            format!("s{len}"),
            json!({"properties": {"a": {"$ref": "#/$defs/s0"}}, "type": ["object", "integer"]}),
        );
        let chain = compile(json!({"$ref": "#/$defs/s0", "$defs": schemas}));
        for depth in [1, 10, 120] {
            let violations = chain.violations(&nested(depth));
            let is_refused = violations.iter().any(|violation| violation.expected.contains("too deep"));
            assert!(violations.is_empty() || is_refused, "{len} {depth}: {violations:?}");
            assert!(!is_refused || len * depth > 10_000, "{len} {depth}");
        }
    }
}

fn any_schema() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!({"type": "object"})),
        Just(json!({"type": ["integer", "null"]})),
        Just(json!({"$ref": "#"})),
        Just(json!({"$ref": "#/$defs/a"})),
        Just(json!({"$ref": "#/properties/b"})),
        Just(json!({"minimum": -1.5, "multipleOf": 0.1})),
        Just(json!({"multipleOf": 0})),
        Just(json!({"enum": [1, "a", null, [1]]})),
        Just(json!({"pattern": "^[a-c]+$", "maxLength": 2})),
        Just(json!({"format": "uri"})),
        Just(json!({"$id": "other"})),
        Just(json!({"$anchor": "x"})),
        Just(json!({"uniqueItems": true, "minItems": 18_446_744_073_709_551_615_u64})),
        Just(json!(7)),
    ];
    let keyword = prop::sample::select(vec![
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "items",
        "contains",
        "properties",
        "patternProperties",
        "additionalProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
        "prefixItems",
        "dependentSchemas",
        "$defs",
        "propertyNames",
        "dependencies",
        "$dynamicRef",
    ]);
    leaf.prop_recursive(4, 24, 3, move |inner| {
        prop::collection::vec((keyword.clone(), prop::collection::vec(inner, 1..3)), 1..3).prop_map(
            |fields| {
                let fields = fields.into_iter().map(|(keyword, schemas)| {
                    let value = match keyword {
                        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Json::Array(schemas),
                        "properties" | "patternProperties" | "dependentSchemas" | "$defs"
                        | "dependencies" => ["a", "b", "("]
                            .iter()
                            .zip(schemas)
                            .map(|(name, schema)| ((*name).to_owned(), schema))
                            .collect(),
                        "$dynamicRef" => json!("#x"),
                        _ => schemas.into_iter().next().unwrap_or_default(),
                    };
                    (keyword.to_owned(), value)
                });
                fields.collect()
            },
        )
    })
}

fn any_document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-d]{0,3}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::Array),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_nothing_panics(schema in any_schema(), document in any_document()) {
        if let Ok(validator) = Validator::of(schema) {
            validator.violations(&document);
        }
    }
}
