//! Records as bytes: what was asserted for a period of valid time, and during which system time it was believed.
//! See `docs/format/time.md`.

use llmdb_base::{Timestamp, codec};

use crate::{FOREVER, Period};

/// Bytes of a moment.
pub(crate) const MOMENT_LEN: usize = 8;
/// Marks the one record of a key without an end of its valid period.
const OPEN: u8 = 0;
/// Marks records with an end.
const BOUNDED: u8 = 1;
/// Marks closed records that follow each other in system time.
const CHAIN: u8 = 0;
/// Marks closed records that were believed beside others.
const CROSSING: u8 = 1;

const ABSENT: u8 = 1;
const HAS_VALID_TO: u8 = 2;
const HAS_SYSTEM_FROM: u8 = 4;
const HAS_VALID_FROM: u8 = 8;
const HAS_SYSTEM_TO: u8 = 16;
const KNOWN_FLAGS: u8 = 31;

/// A moment as bytes that sort as moments do.
pub(crate) fn ascending(moment: Timestamp) -> [u8; MOMENT_LEN] {
    ordinal(moment).to_be_bytes()
}

/// A moment as bytes that sort the other way round.
fn descending(moment: Timestamp) -> [u8; MOMENT_LEN] {
    (!ordinal(moment)).to_be_bytes()
}

/// A number that sorts, as unsigned, as moments do.
fn ordinal(moment: Timestamp) -> u64 {
    moment.get().cast_unsigned() ^ 1 << 63
}

fn moment(ordinal: u64) -> Timestamp {
    Timestamp::new((ordinal ^ 1 << 63).cast_signed())
}

fn big_endian(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|raw| u64::from_be_bytes(*raw))
}

/// What was believed of a key: a value, or its absence, for a period of valid time, during a period of system time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record<'a> {
    pub valid: Period,
    /// `to` is [`FOREVER`] for what is still believed.
    pub system: Period,
    /// Tag and payload; `None` for absence.
    pub stored: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    pub(crate) fn contains(&self, valid: Timestamp, system: Timestamp) -> bool {
        self.valid.contains(valid) && self.system.contains(system)
    }

    /// Where the record stands among those that are believed, behind the bytes of its row.
    pub(crate) fn believed_suffix(&self) -> Vec<u8> {
        match self.valid.to {
            FOREVER => vec![OPEN],
            _ => [&[BOUNDED][..], &descending(self.valid.from)].concat(),
        }
    }

    /// The value of the row of a believed record.
    pub(crate) fn believed_value(&self) -> Vec<u8> {
        let is_open = self.valid.to == FOREVER;
        self.encode(is_open.then_some(self.valid.from), (!is_open).then_some(self.valid.to), None)
    }

    /// Reads a believed record from what stands behind the bytes of its row, and from its value.
    pub(crate) fn decode_believed(suffix: &[u8], value: &'a [u8]) -> Option<Self> {
        let fields = Fields::decode(value)?;
        let valid = match suffix {
            [OPEN] => Period::since(fields.valid_from?),
            [BOUNDED, rest @ ..] if rest.len() == MOMENT_LEN => {
                Period::new(moment(!big_endian(rest)?), fields.valid_to?)
            }
            _ => return None,
        };
        fields.record(valid, FOREVER)
    }

    /// Where a closed record stands, behind the bytes of its row.
    pub(crate) fn closed_suffix(&self, is_chained: bool) -> Vec<u8> {
        match is_chained {
            true => [&[CHAIN][..], &ascending(self.system.to)].concat(),
            false => {
                let crossed = crossed(self.system);
                [&[CROSSING][..], &crossed.to_be_bytes(), &descending(self.valid.from)].concat()
            }
        }
    }

    /// The value of the row of a closed record.
    pub(crate) fn closed_value(&self, is_chained: bool) -> Vec<u8> {
        let valid_to = (self.valid.to != FOREVER).then_some(self.valid.to);
        match is_chained {
            true => self.encode(Some(self.valid.from), valid_to, None),
            false => self.encode(None, valid_to, Some(self.system.to)),
        }
    }

    /// Reads a closed record from what stands behind the bytes of its row, and from its value.
    pub(crate) fn decode_closed(suffix: &[u8], value: &'a [u8]) -> Option<Self> {
        let fields = Fields::decode(value)?;
        let to = fields.valid_to.unwrap_or(FOREVER);
        match suffix {
            [CHAIN, end @ ..] if end.len() == MOMENT_LEN => {
                fields.record(Period::new(fields.valid_from?, to), moment(big_endian(end)?))
            }
            [CROSSING, rest @ ..] if rest.len() == 2 * MOMENT_LEN => {
                let from = moment(!big_endian(&rest[MOMENT_LEN..])?);
                fields.record(Period::new(from, to), fields.system_to?)
            }
            _ => None,
        }
    }

    /// How the value of a row becomes `value`, another one of the same record: bytes to be cut off its end, and what
    /// comes instead.
    pub(crate) fn retail<'v>(&self, stored: &[u8], value: &'v [u8]) -> (u32, &'v [u8]) {
        let kept = self.stored.map_or(0, <[u8]>::len);
        match stored == value {
            true => (0, &[]),
            // Fields take some tens of bytes.
            false => (u32::try_from(stored.len().saturating_sub(kept)).unwrap_or(0), &value[kept..]),
        }
    }

    /// The value, behind it what the key does not say, behind it which of these there are: so a long value keeps the
    /// alignment of the page that it begins.
    fn encode(
        &self,
        valid_from: Option<Timestamp>,
        valid_to: Option<Timestamp>,
        system_to: Option<Timestamp>,
    ) -> Vec<u8> {
        let system_from = (self.system.from != self.valid.from).then_some(self.system.from);
        let mut bytes = self.stored.unwrap_or_default().to_vec();
        let mut flags = if self.stored.is_none() { ABSENT } else { 0 };
        let fields = [
            (HAS_VALID_TO, valid_to),
            (HAS_SYSTEM_FROM, system_from),
            (HAS_VALID_FROM, valid_from),
            (HAS_SYSTEM_TO, system_to),
        ];
        for (flag, moment) in fields {
            if let Some(moment) = moment {
                flags |= flag;
                bytes.extend(moment.get().to_le_bytes());
            }
        }
        bytes.push(flags);
        bytes
    }
}

/// What the value of a row holds.
struct Fields<'a> {
    stored: Option<&'a [u8]>,
    valid_to: Option<Timestamp>,
    system_from: Option<Timestamp>,
    valid_from: Option<Timestamp>,
    system_to: Option<Timestamp>,
}

impl<'a> Fields<'a> {
    fn decode(value: &'a [u8]) -> Option<Self> {
        let (flags, mut rest) = value.split_last()?;
        if flags & !KNOWN_FLAGS != 0 {
            return None;
        }
        let mut take = |flag: u8| {
            if flags & flag == 0 {
                return Some(None);
            }
            let (before, field) = rest.split_at_checked(rest.len().checked_sub(MOMENT_LEN)?)?;
            rest = before;
            Some(Some(Timestamp::new(codec::get_i64(field, 0))))
        };
        let system_to = take(HAS_SYSTEM_TO)?;
        let valid_from = take(HAS_VALID_FROM)?;
        let system_from = take(HAS_SYSTEM_FROM)?;
        let valid_to = take(HAS_VALID_TO)?;
        let is_absent = flags & ABSENT != 0;
        // A value has a tag, an absence has nothing.
        if is_absent != rest.is_empty() {
            return None;
        }
        Some(Self { stored: (!is_absent).then_some(rest), valid_to, system_from, valid_from, system_to })
    }

    fn record(&self, valid: Period, system_to: Timestamp) -> Option<Record<'a>> {
        let system = Period::new(self.system_from.unwrap_or(valid.from), system_to);
        let is_sound = !valid.is_empty() && !system.is_empty();
        is_sound.then_some(Record { valid, system, stored: self.stored })
    }
}

/// The moment of a system period that the most zeros end: the node of an endless binary tree over all moments at which
/// the period is split. All records of a key that cross one moment were believed at it, so their valid periods are
/// disjoint, and the one that holds a moment is found by one seek.
fn crossed(system: Period) -> u64 {
    let (first, last) = (ordinal(system.from), ordinal(system.to) - 1);
    match (first ^ last).checked_ilog2() {
        Some(bit) => last >> bit << bit,
        None => first,
    }
}

/// The moments that a period holding `system` may be filed under, ascending.
pub(crate) fn crossings(system: Timestamp) -> Vec<u64> {
    let at = ordinal(system);
    let above = |bit: u32| at.checked_shr(bit + 1).unwrap_or(0).checked_shl(bit + 1).unwrap_or(0) | 1 << bit;
    let mut all: Vec<u64> = (0..64).map(above).chain([at]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Suffix from which on the closed records of a row that ended after `system` follow, as a chain.
pub(crate) fn chain_after(system: Timestamp) -> [u8; 1 + MOMENT_LEN] {
    behind_mark(CHAIN, ordinal(system).saturating_add(1).to_be_bytes())
}

fn behind_mark(mark: u8, moment: [u8; MOMENT_LEN]) -> [u8; 1 + MOMENT_LEN] {
    let mut bytes = [mark; 1 + MOMENT_LEN];
    bytes[1..].copy_from_slice(&moment);
    bytes
}

/// Suffix of the first closed record of a row that crosses `crossing` and begins at `valid` or before.
pub(crate) fn crossing_at(crossing: u64, valid: Timestamp) -> Vec<u8> {
    [&[CROSSING][..], &crossing.to_be_bytes(), &descending(valid)].concat()
}

/// The moment under which a closed record is filed, if it is filed by crossing.
pub(crate) fn crossing_of(suffix: &[u8]) -> Option<u64> {
    match suffix {
        [CROSSING, rest @ ..] => big_endian(rest),
        _ => None,
    }
}

/// Suffix behind all closed records that form the chain of a row.
pub(crate) const CHAIN_END: &[u8] = &[CROSSING];
/// Suffix of the open record of a row.
pub(crate) const OPEN_SUFFIX: &[u8] = &[OPEN];
/// Suffix behind everything of a row.
pub(crate) const ROW_END: &[u8] = &[0xFF];

/// Suffix of the first bounded record of a row that begins at `valid` or before.
pub(crate) fn bounded_at(valid: Timestamp) -> [u8; 1 + MOMENT_LEN] {
    behind_mark(BOUNDED, descending(valid))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn period(from: i64, to: i64) -> Period {
        Period::new(Timestamp::new(from), Timestamp::new(to))
    }

    proptest! {
        #[test]
        fn a_period_is_filed_where_each_of_its_moments_looks(
            from in -9i64..9, len in 1i64..9, scale in 0u32..50, at in 0i64..9
        ) {
            let (from, to) = (from << scale, (from + len) << scale);
            let at = (from + (at << scale)).min(to - 1);
            let filed = crossed(period(from, to));
            prop_assert!(ordinal(Timestamp::new(from)) <= filed && filed < ordinal(Timestamp::new(to)));
            prop_assert!(crossings(Timestamp::new(at)).contains(&filed));
        }

        #[test]
        fn records_come_back(
            valid in (-5i64..5, 1i64..5), open in any::<bool>(), system in (-5i64..5, 1i64..5),
            stored in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..4))
        ) {
            let mut record = Record {
                valid: period(valid.0, valid.0 + valid.1),
                system: period(system.0, system.0 + system.1),
                stored: stored.as_deref(),
            };
            if open {
                record.valid.to = FOREVER;
            }
            for chained in [true, false] {
                let (suffix, value) = (record.closed_suffix(chained), record.closed_value(chained));
                prop_assert_eq!(Record::decode_closed(&suffix, &value), Some(record));
            }
            record.system.to = FOREVER;
            let (suffix, value) = (record.believed_suffix(), record.believed_value());
            prop_assert_eq!(Record::decode_believed(&suffix, &value), Some(record));
        }

        #[test]
        fn arbitrary_bytes_are_records_or_refused(
            suffix in proptest::collection::vec(0u8..3, 0..18), value in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            for record in [Record::decode_closed(&suffix, &value), Record::decode_believed(&suffix, &value)] {
                prop_assert!(record.is_none_or(|record| !record.valid.is_empty()));
            }
        }
    }

    #[test]
    fn the_ends_of_time_are_filed_too() {
        for at in [i64::MIN, -1, 0, i64::MAX - 1] {
            let filed = crossed(period(at, at + 1));
            assert!(crossings(Timestamp::new(at)).contains(&filed));
        }
        let all = crossed(Period::ALWAYS);
        for at in [i64::MIN, -1, 0, 7, i64::MAX - 1] {
            assert!(crossings(Timestamp::new(at)).contains(&all));
        }
    }

    #[test]
    fn the_example_of_the_documentation_is_true() {
        let page = include_str!("../../docs/format/time.md");
        let block = page.rsplit("```text\n").next().and_then(|rest| rest.split("```").next());
        let lines = block.unwrap_or_default().lines().map(|line| {
            let bytes = line[18..].split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
            bytes.collect::<Result<Vec<u8>, _>>().expect("hexadecimal bytes")
        });
        let row = crate::RowKey::from("ada").encode();
        let record = |valid, system, stored| Record { valid, system, stored: Some(stored) };
        let since = |from| Period::since(Timestamp::new(from));
        let now = record(since(200), since(200), b"\0P");
        let closed = record(since(100), period(100, 200), b"\0L");
        let past = record(period(50, 80), since(300), b"\0M");
        let expected = [
            [&row[..], &now.believed_suffix()].concat(),
            now.believed_value(),
            [&1u32.to_be_bytes()[..], &row, &closed.closed_suffix(true)].concat(),
            closed.closed_value(true),
            [&row[..], &past.believed_suffix()].concat(),
            past.believed_value(),
        ];
        assert!(lines.eq(expected));
    }
}
