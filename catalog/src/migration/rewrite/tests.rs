//! Each way of rewriting, and what none of them may do.

use serde_json::json;

use super::*;

fn rewriting(stored: Json) -> Result<Box<dyn Rewrite>, String> {
    serde_json::from_value::<Rewriting>(stored).map_err(|error| error.to_string())?.compile()
}

fn rewrite(stored: Json, document: Json) -> Result<Json, String> {
    rewriting(stored)?.rewrite(document)
}

#[test]
fn patches() {
    let patch = json!({"patch": [
        {"op": "test", "path": "/v", "value": 1},
        {"op": "move", "from": "/a", "path": "/b"},
        {"op": "add", "path": "/list/-", "value": 3},
    ]});
    assert_eq!(
        rewrite(patch.clone(), json!({"v": 1, "a": 2, "list": []})),
        Ok(json!({"v": 1, "b": 2, "list": [3]}))
    );
    let error = rewrite(patch, json!({"v": 2, "a": 2, "list": []})).unwrap_err();
    assert!(error.contains("operation 0"), "{error}");
    let merge = json!({"merge": {"a": null, "b": {"c": 1}}});
    assert_eq!(
        rewrite(merge, json!({"a": 1, "b": {"d": 2}, "e": 3})),
        Ok(json!({"b": {"c": 1, "d": 2}, "e": 3}))
    );
}

#[test]
fn fields_become_expressions_over_the_old_document() {
    let split = json!({"set": {
        "fields": {"first": "doc.name|split(' ')|first", "/address/city": "doc.city|upper", "age": "doc.age + 1"},
        "remove": ["name", "city", "none", "/list/0"],
    }});
    let document = json!({"name": "Ada Lovelace", "city": "London", "age": 35, "address": {}, "list": [1, 2], "kept": null});
    let expected =
        json!({"first": "Ada", "age": 36, "address": {"city": "LONDON"}, "list": [2], "kept": null});
    assert_eq!(rewrite(split.clone(), document), Ok(expected));
    let error = rewrite(split, json!({"name": "Ada", "age": 1, "address": {}})).unwrap_err();
    assert!(error.contains("city"), "{error}");
    let deep = json!({"set": {"fields": {"/a/b/c": "1"}}});
    assert!(rewrite(deep, json!({"a": {}})).unwrap_err().contains("/a/b"));
    let slash = json!({"set": {"fields": {"a/b~c": "1"}, "remove": ["x/y"]}});
    assert_eq!(rewrite(slash, json!({"x/y": 1})), Ok(json!({"a/b~c": 1})));
}

#[test]
fn whole_documents_as_expressions() {
    let whole = json!({"expression": "dict(doc, full=doc.first ~ ' ' ~ doc.last, n=doc.list|length)"});
    let document = json!({"first": "Ada", "last": "L", "list": [1, 2], "x": {"y": [null, 1.5, true]}});
    let mut expected = document.clone();
    expected["full"] = json!("Ada L");
    expected["n"] = json!(2);
    assert_eq!(rewrite(whole, document), Ok(expected));
}

#[test]
fn numbers_keep_their_kind_and_their_digits() {
    let same = json!({"expression": "doc"});
    let numbers = json!([0, -1, i64::MIN, i64::MAX, u64::MAX, 0.1, -2.5e-300, 1e300, 1.0]);
    assert_eq!(rewrite(same, numbers.clone()).unwrap().to_string(), numbers.to_string());
    for overflow in ["doc.n * doc.n", "doc.n * 10", "1.0 / 0.0", "0.0 / 0"] {
        assert!(rewrite(json!({"expression": overflow}), json!({"n": u64::MAX})).is_err(), "{overflow}");
    }
}

#[test]
fn what_is_no_rewriting_is_refused() {
    for stored in [
        json!({"patch": {"op": "add"}}),
        json!({"patch": [{"op": "jump", "path": "/a"}]}),
        json!({"patch": [{"op": "add", "path": "a", "value": 1}]}),
        json!({"patch": vec![json!({"op": "remove", "path": "/a"}); 1_001]}),
        json!({"set": {"fields": {"": "1"}}}),
        json!({"set": {"fields": {"a": "1 +"}}}),
        json!({"set": {"fields": {"a": "other.x"}}}),
        json!({"set": {"field": {}}}),
        json!({"expression": ""}),
        json!({"expression": "x".repeat(20_000)}),
        json!({"expression": "open('/etc/passwd')"}),
        json!({"expression": "(".repeat(5_000)}),
        json!({"wasm": "00"}),
        json!({"patch": [], "merge": {}}),
        json!("patch"),
    ] {
        let error = rewriting(stored.clone()).err().unwrap_or_else(|| panic!("{stored}"));
        assert!(error.len() < 500, "{error}");
    }
}

#[test]
fn what_would_fill_the_memory_or_never_end_is_stopped() {
    let doubling = json!({"patch": vec![json!({"op": "copy", "from": "", "path": "/a/-"}); 60]});
    assert!(rewrite(doubling, json!({"a": ["x".repeat(1_000)]})).unwrap_err().contains("becomes"));
    for expression in [
        "range(1000000000)|list",
        "[1] * 1000000000000",
        "(range(90000)|list) * 90000",
        "'x' * 1000000000000",
        "('x' * 9000000) ~ ('x' * 9000000)",
        "range(100000)|map('string')|join(',') * 10000",
        "[[doc.s] * 10000] * 10000",
        "{doc.n: 1}",
        "doc.missing",
        "doc.missing.more",
        "range",
        "doc.s.nothing()",
    ] {
        let error = rewrite(json!({"expression": expression}), json!({"s": "x".repeat(1_000), "n": 1}));
        let error = error.err().unwrap_or_else(|| panic!("{expression}"));
        assert!(error.len() < 500, "{error}");
    }
}

#[test]
fn deep_documents_go_through() {
    let deep = (0..126).fold(json!(1), |inner, _| json!([inner]));
    for same in [json!({"expression": "doc"}), json!({"merge": deep}), json!({"patch": []})] {
        assert_eq!(rewrite(same, deep.clone()), Ok(deep.clone()));
    }
    let deeper = json!({"expression": "[[doc]]"});
    assert!(rewrite(deeper, deep).is_err());
}

#[test]
fn predicates() {
    let matches = |stored: Json, document: Json| {
        let predicate: Predicate = serde_json::from_value(stored).map_err(|error| error.to_string())?;
        Matcher::compile(&predicate)?.matches(&document)
    };
    let adult = json!({"expression": "doc.age is defined and doc.age >= 18"});
    assert_eq!(matches(adult.clone(), json!({"age": 18})), Ok(true));
    assert_eq!(matches(adult.clone(), json!({"age": 17})), Ok(false));
    assert_eq!(matches(adult.clone(), json!({})), Ok(false));
    assert!(matches(adult, json!({"age": "old"})).is_ok());
    let fits = json!({"fits": {"required": ["name"]}});
    assert_eq!(matches(fits.clone(), json!({"name": 1})), Ok(true));
    assert_eq!(matches(fits, json!({})), Ok(false));
    assert!(matches(json!({"fits": {"type": "x"}}), json!(1)).is_err());
    assert!(matches(json!({"expression": "doc."}), json!(1)).is_err());
}
