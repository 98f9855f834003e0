//! Keys: the bytes of the documentation, the order, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use llmdb_base::{
    Timestamp,
    key::{Element, Key, KeyError, TUPLE_DEPTH_MAX},
};
use proptest::{collection::vec, prelude::*};

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// Every example of `docs/format/keys.md`, with the key that it names.
fn examples() -> Vec<(&'static str, Key)> {
    vec![
        ("(0)", 0.into()),
        ("(1)", 1.into()),
        ("(255)", 255.into()),
        ("(256)", 256.into()),
        ("(-1)", (-1).into()),
        ("(-256)", (-256).into()),
        ("(0.0)", (-0.0).into()),
        ("(1.5)", 1.5.into()),
        ("(-1.5)", (-1.5).into()),
        ("(\"a\")", "a".into()),
        ("(\"\")", "".into()),
        ("(b\"\\x00\\x01\\x02\")", (&b"\x00\x01\x02"[..]).into()),
        ("(timestamp 0)", Timestamp::new(0).into()),
        ("(timestamp -1)", Timestamp::new(-1).into()),
        ("(uuid 1)", Element::Uuid(1).into()),
        ("(\"city\", 7)", Key::of(["city".into(), 7.into()])),
        ("((\"a\"), 1)", Key::of([Element::Tuple(vec!["a".into()]), 1.into()])),
        ("()", Key::of([])),
    ]
}

#[test]
fn the_examples_of_the_documentation_are_true() {
    let page = include_str!("../../docs/format/keys.md");
    let block = page.rsplit("```text\n").next().unwrap().split("```").next().unwrap();
    let examples = examples();
    assert_eq!(block.lines().count(), examples.len());
    for (line, (name, key)) in block.lines().zip(examples) {
        let bytes = hex(line.strip_prefix(name).unwrap());
        assert_eq!(key.as_bytes(), bytes, "{name}");
        assert_eq!(Key::from_encoded(bytes).unwrap(), key, "{name}");
    }
}

#[test]
fn bytes_that_are_no_key_are_refused_with_the_place() {
    let deep = [vec![0x60; TUPLE_DEPTH_MAX + 1], vec![0; TUPLE_DEPTH_MAX + 2]].concat();
    let cases: [(&[u8], usize, &str); 16] = [
        (&[], 0, "ends too early"),
        (&[0x21], 1, "ends too early"),
        (&[0x21, 1], 2, "ends too early"),
        (&[0x21, 0, 0], 1, "leading zero"),
        (&[0x1F, 0xFF, 0], 1, "leading zero"),
        (&[0x38, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0], 1, "negative zero"),
        (&[0x38, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0], 1, "another NaN"),
        (&[0x40, 0xC3, 0, 0], 1, "not UTF-8"),
        (&[0x40, 1, 1, 0xC3, 0, 0], 1, "not UTF-8"),
        (&[0x40, 0x61, 1, 3, 0, 0], 2, "neither 1 nor 2"),
        (&[0x48, 0x61, 1, 0, 0], 2, "neither 1 nor 2"),
        (&[0x40, 0x61, 0], 3, "ends too early"),
        (&[0x01, 0], 0, "no element has this tag"),
        (&[0xFF, 0], 0, "no element has this tag"),
        (&[0x20, 0, 0], 2, "bytes follow"),
        (&deep, TUPLE_DEPTH_MAX, "nested too deep"),
    ];
    for (bytes, offset, what) in cases {
        let error = Key::from_encoded(bytes).unwrap_err();
        assert_eq!(error.offset, offset, "{bytes:x?}: {error}");
        assert!(error.to_string().contains(what), "{bytes:x?}: {error}");
    }
    let beyond = [&[0x30][..], &[0x80], &[0; 16]].concat();
    assert!(Key::from_encoded(beyond).unwrap_err().to_string().contains("out of range"));
}

#[test]
fn the_ends_of_the_integers_are_keys() {
    for value in [i128::MIN, i128::MIN + 1, i128::from(i64::MIN), i128::from(u64::MAX), i128::MAX] {
        let key = Key::from(value);
        assert_eq!(Key::from_encoded(key.as_bytes()).unwrap().elements().next(), Some(value.into()));
    }
}

#[test]
fn a_prefix_is_that_of_exactly_the_keys_that_begin_so() {
    let prefix = Key::prefix_of(["a".into()]);
    assert!(Key::of(["a".into(), 1.into()]).as_bytes().starts_with(&prefix));
    assert!(Key::from("a").as_bytes().starts_with(&prefix));
    assert!(!Key::from("ab").as_bytes().starts_with(&prefix));
    assert!(!Key::from("a\0").as_bytes().starts_with(&prefix));
    assert_eq!(Key::from("a").as_prefix(), prefix);
}

#[test]
fn a_key_is_found_in_front_of_other_bytes() {
    let key = Key::of(["a\0b".into(), (-3).into()]);
    let bytes = [key.as_bytes(), &[0xFF, 0, 1]].concat();
    assert_eq!(Key::split_from(&bytes), Ok((key.clone(), key.as_bytes().len())));
    assert!(matches!(Key::split_from(&bytes[..3]), Err(KeyError { .. })));
}

fn floats() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), proptest::num::f64::ANY, Just(0.0), Just(-0.0), Just(f64::INFINITY)]
}

/// Bytes in which zeros, escapes and tags are frequent.
fn awkward() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(2), Just(0x20), Just(0x40), any::<u8>()], 0..6)
}

fn element() -> impl Strategy<Value = Element<'static>> {
    let leaf = prop_oneof![
        (-300i128..300).prop_map(Element::Integer),
        any::<i64>().prop_map(Element::from),
        any::<i128>().prop_map(Element::Integer),
        floats().prop_map(Element::Float),
        "[\\x00\\x01ab\u{7FF}\u{10FFFF}]{0,4}".prop_map(Element::from),
        awkward().prop_map(|bytes| Element::Bytes(bytes.into())),
        any::<i64>().prop_map(|time| Timestamp::new(time).into()),
        any::<u128>().prop_map(Element::Uuid),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| vec(inner, 0..3).prop_map(Element::Tuple))
}

fn elements() -> impl Strategy<Value = Vec<Element<'static>>> {
    vec(element(), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keys_sort_as_their_elements(a in elements(), b in elements(), tail in awkward()) {
        let (left, right) = (Key::of(a.clone()), Key::of(b.clone()));
        prop_assert_eq!(left.cmp(&right), a.cmp(&b));
        // And still do with something behind one of them.
        if a != b {
            let longer = [left.as_bytes(), &tail].concat();
            prop_assert_eq!(longer.as_slice().cmp(right.as_bytes()), a.cmp(&b));
        }
    }

    #[test]
    fn neighbours_sort_too(a in elements(), last in element(), next in element()) {
        let (mut left, mut right) = (a.clone(), a);
        left.push(last);
        right.push(next);
        prop_assert_eq!(Key::of(left.clone()).cmp(&Key::of(right.clone())), left.cmp(&right));
    }

    #[test]
    fn keys_come_back(elements in elements()) {
        let key = Key::of(elements.clone());
        let again = Key::from_encoded(key.as_bytes()).unwrap();
        prop_assert_eq!(again.elements().collect::<Vec<_>>(), elements);
    }

    #[test]
    fn arbitrary_bytes_are_the_one_form_of_a_key_or_refused(bytes in prop_oneof![
        vec(any::<u8>(), 0..24),
        elements().prop_flat_map(|elements| {
            let bytes = Key::of(elements).as_bytes().to_vec();
            let len = bytes.len();
            (Just(bytes), 0..len, any::<u8>()).prop_map(|(mut bytes, at, byte)| { bytes[at] = byte; bytes })
        }),
    ]) {
        if let Ok(key) = Key::from_encoded(bytes.clone()) {
            let elements: Vec<_> = key.elements().collect();
            let again = Key::of(elements);
            prop_assert_eq!(again.as_bytes(), &bytes[..]);
            prop_assert_eq!(Key::from_checked(&bytes), again);
        }
    }
}
