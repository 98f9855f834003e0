//! Facts in two times.

use std::path::Path;

use llmdb_engine::{Durability, Engine, Options};
use llmdb_temporal::{AsOf, At, History, Key, RowKey, Rows, Store, Timestamp, Valid, Value};

use super::{Force, Outcome, Question, Versions, key, sum, value};

pub struct Ours {
    engine: Engine,
    rows: Vec<RowKey>,
}

impl Ours {
    pub fn open(path: &Path, rows: usize) -> Outcome<Self> {
        let engine = Engine::open(path, Options::default())?;
        let mut txn = Store::new(&engine).begin_write()?;
        txn.create("rows", History::default())?;
        txn.commit()?;
        let rows = (0..rows).map(|row| RowKey::new(0, Key::from(key(row).as_str()))).collect();
        Ok(Self { engine, rows })
    }
}

fn at(valid: Option<i64>, known: Option<i64>) -> At {
    let system = known.map_or(AsOf::Now, |known| AsOf::Time(Timestamp::new(known)));
    At { valid: valid.map(Timestamp::new), system }
}

impl Versions for Ours {
    fn put(&mut self, rows: &[(usize, usize)], force: Force) -> Outcome<i64> {
        let mut txn = Store::new(&self.engine).begin_write()?;
        let mut collection = txn.collection("rows")?;
        for (row, version) in rows {
            collection.put(&self.rows[*row], Valid::Now, Value::raw(&value(*row, *version)))?;
        }
        let durability = if force == Force::Yes { Durability::Sync } else { Durability::Off };
        Ok(txn.commit_with(durability)?.timestamp.get())
    }

    fn settle(&mut self) -> Outcome<()> {
        Ok(self.engine.checkpoint().map(drop)?)
    }

    fn ask(&mut self, questions: &[Question]) -> Outcome<Vec<u64>> {
        let view = Store::new(&self.engine).view()?;
        let collection = view.collection("rows")?;
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            let fact = collection.get(&self.rows[question.row], at(question.valid, question.known))?;
            answers.push(fact.map_or(0, |fact| sum(fact.value.payload)));
        }
        Ok(answers)
    }

    fn scan(&mut self, valid: Option<i64>, known: Option<i64>, _: usize) -> Outcome<(usize, u64)> {
        let view = Store::new(&self.engine).view()?;
        let collection = view.collection("rows")?;
        let (mut count, mut total) = (0, 0);
        for fact in collection.scan(&Rows::all(), at(valid, known))? {
            count += 1;
            total += sum(fact?.value.payload);
        }
        Ok((count, total))
    }

    fn scan_ways(&self, _: Option<i64>, _: Option<i64>) -> usize {
        1
    }
}
