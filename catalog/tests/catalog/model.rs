//! The naive model: a list of assertions, resolved by definition. A migration changes nothing in it: it holds what documents
//! say, whatever form they have.

use std::collections::BTreeSet;

use llmdb_catalog::Catalog;
use llmdb_temporal::{AsOf, At, FOREVER, Period, Rows, Timestamp, TxnId, Valid, Value};
use proptest::{collection::vec, prelude::*};

use super::PEOPLE;

pub(crate) const ROWS: i64 = 5;
/// What one step of a time that the tests draw is worth.
const STEP_US: i64 = 700;

/// One assertion to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    row: i64,
    /// From and length, in steps from the commit; without length it has no end.
    period: (i64, Option<i64>),
    is_delete: bool,
}

pub(crate) fn writes(most: usize) -> impl Strategy<Value = Vec<Write>> {
    let period = prop_oneof![
        3 => Just((0, None)),
        1 => (-30i64..30).prop_map(|from| (from, None)),
        2 => (-30i64..30, 1i64..30).prop_map(|(from, len)| (from, Some(len))),
    ];
    let write = (0..ROWS, period, prop::bool::weighted(0.2));
    vec(write.prop_map(|(row, period, is_delete)| Write { row, period, is_delete }), 1..most)
}

#[derive(Clone, Debug)]
struct Assertion {
    row: i64,
    valid: Period,
    cm: Option<i64>,
    system: Timestamp,
    txid: TxnId,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model(Vec<Assertion>);

/// A document that says so many centimetres, in a version of the schema.
fn document(version: u32, cm: i64) -> String {
    if version == 1 { format!(r#"{{"cm":{cm}}}"#) } else { format!(r#"{{"mm":{}}}"#, cm * 10) }
}

impl Model {
    /// Commits one write, in the form of a version, in the store and in the model.
    pub(crate) fn commit(&mut self, catalog: &Catalog<'_>, version: u32, write: Write) {
        let mut txn = catalog.store().begin_write().unwrap();
        let (txid, system) = (txn.txid(), txn.timestamp());
        let at = |steps: i64| Timestamp::new(system.get() + steps * STEP_US);
        let valid = match write.period {
            (from, None) => Period::since(at(from)),
            (from, Some(len)) => Period::new(at(from), at(from + len)),
        };
        let cm = (!write.is_delete).then_some(i64::try_from(self.0.len()).unwrap());
        let mut people = txn.collection(PEOPLE).unwrap();
        match cm {
            Some(cm) => {
                people.put(write.row, Valid::During(valid), Value::json("[]")).unwrap_err();
                people.put(write.row, Valid::During(valid), Value::json(&document(version, cm))).unwrap();
            }
            None => people.delete(write.row, Valid::During(valid)).unwrap(),
        }
        txn.commit().unwrap();
        self.0.push(Assertion { row: write.row, valid, cm, system, txid });
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The model after those of its commits that a store shows.
    pub(crate) fn up_to(&self, shown: TxnId) -> Self {
        Self(self.0.iter().filter(|known| known.txid <= shown).cloned().collect())
    }

    fn get(&self, row: i64, valid: Timestamp, system: Timestamp) -> Option<i64> {
        let known = self.0.iter().rev().filter(|known| known.row == row && known.system <= system);
        known.filter(|known| known.valid.contains(valid)).find(|_| true)?.cm
    }

    fn scan(&self, version: u32, valid: Timestamp, system: Timestamp) -> Vec<String> {
        (0..ROWS).filter_map(|row| Some(document(version, self.get(row, valid, system)?))).collect()
    }

    /// Moments at which something may change, in either time.
    fn moments(&self) -> BTreeSet<Timestamp> {
        let edges = self.0.iter().flat_map(|known| [known.valid.from, known.valid.to, known.system]);
        edges.filter(|moment| *moment != FOREVER).collect()
    }

    /// What a reader in the form of a version sees at points of both times.
    pub(crate) fn check_reader(&self, catalog: &Catalog<'_>, version: u32) {
        let view = catalog.store().view().unwrap();
        let reader = catalog.reader(&view, PEOPLE, Some(version)).unwrap();
        let moments = self.moments();
        let systems = moments.iter().rev().step_by(7).take(5).map(|moment| (AsOf::Time(*moment), *moment));
        for (system, moment) in systems.chain([(AsOf::Now, FOREVER)]) {
            for valid in moments.iter().rev().step_by(3).take(12) {
                let at = At::valid(*valid).as_of(system);
                let shown: Vec<_> =
                    reader.scan(&Rows::all(), at).unwrap().map(|document| document.unwrap()).collect();
                let texts: Vec<_> = shown.iter().map(|document| document.text.clone()).collect();
                assert_eq!(texts, self.scan(version, *valid, moment), "version {version}, {at:?}");
                for document in shown {
                    assert_eq!(reader.get(&document.row, at).unwrap(), Some(document));
                }
            }
        }
    }

    /// What is stored and believed now, of any time, is in the form of a version.
    pub(crate) fn check_stored(&self, catalog: &Catalog<'_>, version: u32) {
        let view = catalog.store().view().unwrap();
        let people = view.collection(PEOPLE).unwrap();
        for valid in self.moments() {
            let facts = people.scan(&Rows::all(), At::valid(valid)).unwrap().map(Result::unwrap);
            let texts: Vec<_> =
                facts.map(|fact| String::from_utf8_lossy(fact.value.payload).into_owned()).collect();
            assert_eq!(texts, self.scan(version, valid, FOREVER), "{valid}");
        }
    }
}
