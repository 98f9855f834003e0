//! Typed values: the bytes of the documentation, what is refused, and that no payload makes a check panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use llmdb_base::key::Key;
use llmdb_temporal::value::{Kind, Value, ValueError, edge::Edge, vectors::Vectors};
use proptest::{collection::vec, prelude::*};

/// The bytes of each example of `docs/format/values.md`.
fn examples() -> Vec<Vec<u8>> {
    let page = include_str!("../../../docs/format/values.md");
    let block = page.rsplit("```text\n").next().unwrap().split("```").next().unwrap();
    let mut examples: Vec<Vec<u8>> = Vec::new();
    for line in block.lines() {
        let (name, bytes) = line.split('|').next().unwrap().split_at(15);
        if !name.trim().is_empty() {
            examples.push(Vec::new());
        }
        let bytes = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap());
        examples.last_mut().unwrap().extend(bytes);
    }
    examples
}

fn edge() -> Edge<'static> {
    Edge { source: "a".into(), target: "b".into(), label: "knows", properties: Some(Value::json("{}")) }
}

#[test]
fn the_examples_of_the_documentation_are_true() {
    let edge = edge().encode().unwrap();
    let vectors = Vectors::encode(2, &[1.0, -2.0]).unwrap();
    let values = [
        Value::raw(&[1, 2]),
        Value::json("{\"a\":1}"),
        Value::new(Kind::MsgPack, &[0x81, 0xA1, 0x61, 1]),
        Value::new(Kind::Protobuf, &[0x08, 0x96, 0x01]),
        Value::new(Kind::Edge, &edge),
        Value::new(Kind::Vectors, &vectors),
    ];
    let examples = examples();
    assert_eq!(examples.len(), values.len());
    for (value, stored) in values.iter().zip(&examples) {
        assert_eq!(value.encode(), *stored);
        assert_eq!(Value::decode(stored).unwrap(), *value);
        assert_eq!(value.check(), Ok(()));
    }
}

#[test]
fn unknown_tags_are_refused() {
    assert!(Value::decode(&[]).unwrap_err().to_string().contains("no tag"));
    assert!(Value::decode(&[0x77, 1]).unwrap_err().to_string().contains("0x77"));
    for kind in Kind::ALL {
        assert_eq!(Kind::from_tag(kind.tag()), Some(kind));
    }
}

#[test]
fn edges_come_back_and_false_ones_are_refused() {
    let edge = edge();
    let payload = edge.encode().unwrap();
    assert_eq!(Edge::decode(&payload).unwrap(), edge);
    let plain = Edge { properties: None, ..edge.clone() };
    assert_eq!(Edge::decode(&plain.encode().unwrap()).unwrap(), plain);

    let refusal = |edge: Edge<'_>| edge.encode().unwrap_err().to_string();
    assert!(refusal(Edge { label: "", ..edge.clone() }).contains("label is empty"));
    let long = "x".repeat(70_000);
    assert!(refusal(Edge { label: &long, ..edge.clone() }).contains("longer than 65535"));
    let inner = edge.encode().unwrap();
    let nested = Edge { properties: Some(Value::new(Kind::Edge, &inner)), ..edge.clone() };
    assert!(refusal(nested).contains("cannot be of kind edge"));
    let bad = Edge { properties: Some(Value::json("{")), ..edge };
    let error = bad.encode().unwrap_err();
    assert!(error.to_string().contains("EOF while parsing"), "{error}");
}

#[test]
fn vectors_come_back_and_false_blocks_are_refused() {
    let payload = Vectors::encode(3, &[1.0, 2.0, 3.0, -0.5, f32::MIN_POSITIVE, f32::MAX]).unwrap();
    let vectors = Vectors::decode(&payload).unwrap();
    assert_eq!((vectors.dimension(), vectors.count()), (3, 2));
    assert_eq!(vectors.vector(1).collect::<Vec<_>>(), [-0.5, f32::MIN_POSITIVE, f32::MAX]);
    assert_eq!(vectors.vector(2).count(), 0);
    for (dimension, numbers) in [(0, vec![1.0]), (2, vec![1.0]), (2, vec![1.0; 3]), (1, vec![])] {
        assert!(Vectors::encode(dimension, &numbers).is_err(), "{dimension} {numbers:?}");
    }
    assert_eq!(Vectors::encode(1, &[0.0, f32::NAN]).unwrap_err().offset, 19);
    for (at, what) in [(0, "element type 1"), (1, "reserved"), (12, "reserved"), (3, "bytes of numbers")] {
        let mut payload = payload.clone();
        payload[at] = 1;
        let error = Value::new(Kind::Vectors, &payload).check().unwrap_err();
        assert!(error.to_string().contains(what), "{at}: {error}");
    }
}

#[test]
fn a_refusal_says_what_and_where() {
    let error = Value::json("{\"a\": tru}").check().unwrap_err();
    assert_eq!(error.kind, Some(Kind::Json));
    assert!(error.to_string().starts_with("not a value of kind JSON: byte 9: expected ident"), "{error}");
}

fn kinds() -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::ALL.to_vec())
}

fn sound(kind: Kind) -> Vec<u8> {
    let value = examples().into_iter().find(|stored| stored[0] == kind.tag()).unwrap();
    value[1..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn arbitrary_payloads_are_accepted_or_refused(kind in kinds(), payload in vec(any::<u8>(), 0..40)) {
        if let Err(ValueError { offset, .. }) = Value::new(kind, &payload).check() {
            prop_assert!(offset <= payload.len());
        }
    }

    #[test]
    fn damaged_payloads_are_accepted_or_refused(kind in kinds(), at in any::<usize>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut payload = sound(kind);
        let at = at % payload.len();
        payload[at] = byte;
        payload.truncate(if cut { at } else { payload.len() });
        if let Err(ValueError { offset, .. }) = Value::new(kind, &payload).check() {
            prop_assert!(offset <= payload.len());
        }
    }

    #[test]
    fn edges_between_any_keys_come_back(source in any::<i64>(), target in ".*", label in ".+") {
        let (source, target) = (Key::from(source), Key::from(target));
        let edge = Edge { source, target, label: &label, properties: None };
        let payload = edge.encode().unwrap();
        prop_assert_eq!(Edge::decode(&payload).unwrap(), edge);
    }
}
