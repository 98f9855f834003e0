use proptest::prelude::*;

use super::*;

/// A Wednesday, at 12:34:56.789 UTC.
fn now() -> Timestamp {
    parse("2024-05-15T12:34:56.789Z", Timestamp::new(0)).unwrap()
}

fn shown(text: &str) -> String {
    parse(text, now()).map_or_else(|error| panic!("{text:?}: {error}"), show)
}

#[test]
fn what_people_write_is_understood() {
    let cases = [
        ("now", "2024-05-15T12:34:56.789Z"),
        ("2024", "2024-01-01T00:00:00Z"),
        ("2024-03", "2024-03-01T00:00:00Z"),
        ("2024-03-01", "2024-03-01T00:00:00Z"),
        (" 2024-03-01 ", "2024-03-01T00:00:00Z"),
        ("2024-03-01 14:30", "2024-03-01T14:30:00Z"),
        ("2024-03-01 14:30 UTC", "2024-03-01T14:30:00Z"),
        ("2024-03-01T14:30:05.25", "2024-03-01T14:30:05.25Z"),
        ("2024-03-01t14:30:05z", "2024-03-01T14:30:05Z"),
        ("2024-03-01T14:30:05+02:00", "2024-03-01T12:30:05Z"),
        ("2024-03-01 at 14:30", "2024-03-01T14:30:00Z"),
        ("1 March 2024", "2024-03-01T00:00:00Z"),
        ("March 1, 2024", "2024-03-01T00:00:00Z"),
        ("1st of Mar 2024 at 9:05", "2024-03-01T09:05:00Z"),
        ("march 2024", "2024-03-01T00:00:00Z"),
        ("29 February 2024", "2024-02-29T00:00:00Z"),
        ("today", "2024-05-15T00:00:00Z"),
        ("Yesterday", "2024-05-14T00:00:00Z"),
        ("tomorrow", "2024-05-16T00:00:00Z"),
        ("yesterday at 14:30", "2024-05-14T14:30:00Z"),
        ("yesterday 14:30", "2024-05-14T14:30:00Z"),
        ("3 days ago", "2024-05-12T12:34:56.789Z"),
        ("a week ago", "2024-05-08T12:34:56.789Z"),
        ("2 weeks 1 day ago", "2024-04-30T12:34:56.789Z"),
        ("3 months ago", "2024-02-15T12:34:56.789Z"),
        ("an hour ago", "2024-05-15T11:34:56.789Z"),
        ("90 minutes ago", "2024-05-15T11:04:56.789Z"),
        ("in 2 weeks", "2024-05-29T12:34:56.789Z"),
        ("in 1 year", "2025-05-15T12:34:56.789Z"),
        ("last monday", "2024-05-13T00:00:00Z"),
        ("last wednesday", "2024-05-08T00:00:00Z"),
        ("next wed", "2024-05-22T00:00:00Z"),
        ("last friday at 8:00", "2024-05-10T08:00:00Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-30", "9999-12-30T00:00:00Z"),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text:?}");
    }
}

#[test]
fn what_is_shown_is_understood() {
    for us in [0, 1, -1, 951_782_400_000_000, 1_709_251_199_999_999, -62_135_596_800_000_000] {
        assert_eq!(parse(&show(Timestamp::new(us)), now()), Ok(Timestamp::new(us)));
    }
    assert_eq!(show(llmdb_temporal::FOREVER), "9223372036854775807us");
}

#[test]
fn what_may_mean_two_times_is_refused_with_both() {
    for (text, mend) in [
        ("03/04/2024", "2024-03-04 or 2024-04-03"),
        ("3.4.24", "2024-03-04 or 2024-04-03"),
        ("2024/3/4", "2024-03-04 or 2024-04-03"),
        ("monday", "last monday"),
        ("this friday", "next friday"),
        ("last week", "7 days ago"),
        ("March 1", "write the year"),
        ("1 march", "write the year"),
    ] {
        let error = parse(text, now()).unwrap_err();
        assert!(error.what.contains("may mean") && error.mend.contains(mend), "{text:?}: {error}");
    }
}

#[test]
fn what_is_no_time_is_refused_with_the_ways_to_write_one() {
    for text in [
        "",
        " ",
        "soon",
        "ago",
        "in",
        "days ago",
        "in -3 days",
        "-3 days ago",
        "3 days",
        "32 March 2024",
        "2023-02-29",
        "2024-13",
        "2024-03-01T25:00",
        "yesterday at noon",
        "20240301",
        "1709251200",
        "12345",
        "99999 years ago",
        "-0001-01-01",
        "2024-03-01T00:00[Europe/Berlin]",
        "last",
        "next",
        "of",
        "1 of 2",
    ] {
        let error = parse(text, now()).expect_err(text);
        assert!(!error.mend.is_empty(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_a_time_or_refused(text in "\\PC{0,30}") {
        let _ = parse(&text, now());
    }

    #[test]
    fn arbitrary_words_are_a_time_or_refused(
        words in proptest::collection::vec(
            prop_oneof!["last", "next", "in", "ago", "at", "of", "march", "mon", "days", "0", "1", "2024", "14:30", "-", "1st",
                        "99999999999999999999", "2024-03-01", "é", "yesterday"], 0..6)
    ) {
        let _ = parse(&words.join(" "), now());
    }

    #[test]
    fn moments_come_back(us in -62_135_596_800_000_000_i64..253_402_207_200_000_000) {
        prop_assert_eq!(parse(&show(Timestamp::new(us)), now()), Ok(Timestamp::new(us)));
    }
}
