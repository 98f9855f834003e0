//! Values of many pages, streamed in and out.

use std::io::{self, Read};

use llmdb::{Db, ErrorKind};

/// Bytes that differ from page to page, so that a swapped page shows.
struct Pattern(u64);

impl Read for Pattern {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        for byte in buf.iter_mut() {
            *byte = (self.0 ^ (self.0 >> 12)).to_le_bytes()[0];
            self.0 += 1;
        }
        Ok(buf.len())
    }
}

fn pattern(len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    Pattern(0).take(len).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn values_of_every_size_come_back_whole() {
    let home = super::Home::new();
    let db = home.open();
    let lens = [0, 1, 1_000, 2_100, 4_095, 4_096, 4_097, 65_536, 65_537, 300_000, 5 << 20];
    let mut txn = db.begin_write().unwrap();
    for len in lens {
        txn.put(format!("put {len}"), pattern(len)).unwrap();
        txn.tree("main").unwrap().put_reader(format!("streamed {len}"), len, &mut Pattern(0)).unwrap();
    }
    txn.commit().unwrap();
    db.close().unwrap();
    let db = home.open();
    let snapshot = db.snapshot().unwrap();
    for len in lens {
        for how in ["put", "streamed"] {
            let key = format!("{how} {len}");
            assert!(snapshot.get(&key).unwrap() == Some(&pattern(len)), "{key}");
            let mut reader = snapshot.main().unwrap().get_reader(&key).unwrap().unwrap();
            assert_eq!(reader.len(), len);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            assert!(bytes == pattern(len), "{key}, streamed out");
        }
    }
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn a_source_that_ends_early_fails_the_transaction_only() {
    let db = Db::in_memory().unwrap();
    super::put(&db, &[("a", "1")]);
    let mut txn = db.begin_write().unwrap();
    let mut short = Pattern(0).take(1 << 20);
    let error = txn.tree("main").unwrap().put_reader("b", 2 << 20, &mut short).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert_eq!(txn.put("c", "1").unwrap_err().kind(), ErrorKind::TxnFailed);
    assert_eq!(txn.commit().unwrap_err().kind(), ErrorKind::TxnFailed);
    super::put(&db, &[("d", "1")]);
    assert_eq!(super::keys(db.snapshot().unwrap().iter().unwrap()), ["a", "d"]);
    assert!(db.check().unwrap().problems.is_empty());
}

#[test]
fn space_of_overwritten_values_is_used_again() {
    let home = super::Home::new();
    let db = home.open();
    let mut sizes = Vec::new();
    for round in 0..12_u8 {
        let mut txn = db.begin_write().unwrap();
        txn.put("value", vec![round; 4 << 20]).unwrap();
        txn.commit().unwrap();
        db.checkpoint().unwrap();
        sizes.push(db.stats().unwrap().file_bytes);
    }
    assert_eq!(sizes[5], sizes[11], "the file must stop growing: {sizes:?}");
}
