//! RocksDB, linked from the system.
//!
//! `WriteOptions::sync` makes commits durable; RocksDB groups concurrent ones by itself. The other settings are those
//! of its own "basic tuning" page (dynamic levels, background jobs, bytes per sync, bloom filter of 10 bits, index and
//! filter blocks in the cache, format version 5), except for 4 KiB blocks, which favour point gets over memory.
//! No compression: the values cannot be compressed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, DB, DBCompressionType, Options, WriteBatch, WriteOptions,
};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

/// RocksDB with synced writes.
pub const PEER: Peer = Peer {
    name: "rocksdb",
    crates: &["rocksdb", "librocksdb-sys"],
    abilities: Abilities { multi_get: true, append_hint: false, pipeline: false },
    settings: |settings| {
        let cache_mib = settings.cache_bytes >> 20;
        format!(
            "sync=true; block cache {cache_mib} MiB with index and filter; bloom 10 bits; 4 KiB blocks; dynamic levels; \
             6 background jobs; bytes_per_sync 1 MiB; no compression"
        )
    },
    open,
};

struct Rocks {
    db: DB,
    dir: PathBuf,
}

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(usize::try_from(settings.cache_bytes)?)?);
    table.set_bloom_filter(10.0, false);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_compression_type(DBCompressionType::None);
    options.set_level_compaction_dynamic_level_bytes(true);
    options.set_max_background_jobs(6);
    options.set_bytes_per_sync(1 << 20);
    options.set_block_based_table_factory(&table);
    let db = DB::open_cf(&options, &settings.dir, ["default"])?;
    Ok(Box::new(Rocks { db, dir: settings.dir.clone() }))
}

impl Rocks {
    fn busy(&self) -> Outcome<bool> {
        const SIGNS: [&str; 4] = [
            "rocksdb.num-running-flushes",
            "rocksdb.num-running-compactions",
            "rocksdb.compaction-pending",
            "rocksdb.mem-table-flush-pending",
        ];
        let mut busy = false;
        for sign in SIGNS {
            busy |= self.db.property_int_value(sign)?.unwrap_or(0) > 0;
        }
        Ok(busy)
    }
}

impl Engine for Rocks {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        let mut sync = WriteOptions::default();
        sync.set_sync(true);
        let family = self.db.cf_handle("default").ok_or("RocksDB always has a default column family")?;
        Ok(Box::new(RocksSession { db: &self.db, family, sync }))
    }

    fn settle(&self) -> Outcome<()> {
        self.db.flush()?;
        while self.busy()? {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.db.cancel_all_background_work(true);
        Ok(())
    }

    // The binding has no call for it, but RocksDB writes it into the file that holds its options.
    fn library_version(&self) -> Option<String> {
        let files = fs::read_dir(&self.dir).ok()?;
        let options =
            files.flatten().find(|file| file.file_name().to_string_lossy().starts_with("OPTIONS-"))?;
        let text = fs::read_to_string(options.path()).ok()?;
        let version = text.lines().find_map(|line| line.trim().strip_prefix("rocksdb_version="))?;
        Some(format!("RocksDB {version}"))
    }
}

struct RocksSession<'e> {
    db: &'e DB,
    family: &'e ColumnFamily,
    sync: WriteOptions,
}

impl Session for RocksSession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        let mut batch = WriteBatch::default();
        for pair in pairs {
            batch.put(pair.key, pair.value);
        }
        Ok(self.db.write_opt(batch, &self.sync)?)
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        let view = self.db.snapshot();
        let value = view.get_pinned(key)?;
        if let Some(value) = &value {
            rows.value(key, value);
        }
        Ok(value.is_some())
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let view = self.db.snapshot();
        body(&mut RocksSnapshot { db: self.db, family: self.family, view: &view })
    }
}

struct RocksSnapshot<'e> {
    db: &'e DB,
    family: &'e ColumnFamily,
    view: &'e rocksdb::Snapshot<'e>,
}

impl Snapshot for RocksSnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        let value = self.view.get_pinned(key)?;
        if let Some(value) = &value {
            rows.value(key, value);
        }
        Ok(value.is_some())
    }

    // The binding keeps a snapshot's read options to itself, so this call reads the newest state: it does what the
    // engine does anyway, without the snapshot's sequence number.
    fn multi_get(&mut self, keys: &[Key], rows: &mut Rows<'_>) -> Outcome<usize> {
        let values = self.db.batched_multi_get_cf(self.family, keys, false);
        let mut found = 0;
        for (key, value) in keys.iter().zip(values) {
            if let Some(value) = value? {
                rows.value(key, &value);
                found += 1;
            }
        }
        Ok(found)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let mut iter = self.view.raw_iterator();
        match from {
            Some(key) => iter.seek(key),
            None => iter.seek_to_first(),
        }
        for _ in 0..rows_max {
            let Some((key, value)) = iter.item() else { break };
            rows.row(key, value);
            iter.next();
        }
        Ok(iter.status()?)
    }
}
