//! Reading the feed.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use llmdb_base::{
    Lsn, TxnId,
    plant::{Bug, planted},
    sync::{Mutex, lock},
};
use llmdb_vfs::BLOCK_SIZE;
use llmdb_wal::{LogError, LogFolders, LogReader, LogRecord};

use super::{CONSUMERS_TREE, Position, Transaction, names::Names, outline::Outline};
use crate::{Background, Commit, Engine, Error, Result, engine::Shared, open::Places};

/// Where to begin to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FeedFrom {
    /// The oldest transaction that is still there.
    Oldest,
    /// What is committed from now on.
    #[default]
    Now,
    /// Behind this position, which the feed, a snapshot or a commit gave.
    After(Position),
    /// Behind this transaction. Cost: reads the log to find it.
    AfterTx(TxnId),
    /// Behind this place in the log. Not checked against transaction ids, for want of one.
    AfterLsn(Lsn),
}

/// Committed transactions, one after the other, each exactly once, and only when they are durable. Reads beside the
/// writer, and waits for nobody.
///
/// While it lives, the log is kept from its position on, within the limits that the store keeps for the feed
/// ([`crate::Options::feed_log_bytes`]). A position that is to outlive the process is stored by
/// [`Engine::advance_consumer`], or by the consumer itself together with what it makes of the changes.
#[derive(Debug)]
pub struct Changes {
    shared: Arc<Shared>,
    reader: LogReader,
    place: Place,
    /// Everything that was durable up to here has been handed out.
    drained: Lsn,
    /// Whether the archive is read as well, because the log was given up where it was needed.
    from_archive: bool,
    names: Names,
    pin: Pin,
    record: Option<LogRecord>,
}

/// How far reading has come.
#[derive(Clone, Copy, Debug)]
struct Place {
    lsn: Lsn,
    /// The last transaction seen, if it is known: the next one must have a later id.
    after: Option<TxnId>,
    /// Transactions up to this one are passed over.
    pass_over: Option<TxnId>,
}

impl Engine {
    /// The committed transactions from a place on.
    ///
    /// # Errors
    /// [`Error::FeedGap`] if that place was given up; it names where the log begins now.
    /// [`Error::OutOfReach`] if it lies behind the last commit: the store was set back.
    /// [`Error::Misuse`] for a store in memory, which has no log. [`Error::Io`], [`Error::LogCorruption`].
    pub fn changes(&self, from: FeedFrom) -> Result<Changes> {
        Changes::open(&self.shared, from)
    }
}

impl Changes {
    pub(super) fn open(shared: &Arc<Shared>, from: FeedFrom) -> Result<Self> {
        if shared.log.is_none() {
            return Err(Error::Misuse("a store in memory has no log, and so no change feed".into()));
        }
        // Before looking for the oldest record: it must not go meanwhile.
        let pin = Pin::set(shared);
        let place = Place::find(shared, from)?;
        pin.move_to(place.lsn);
        let reader = shared.log_reader(place.lsn, None);
        let (shared, names) = (Arc::clone(shared), Names::default());
        let drained = Lsn::new(0);
        Ok(Self { shared, reader, place, drained, from_archive: false, names, pin, record: None })
    }

    /// The next transaction; `None` if no other one is durable yet.
    ///
    /// # Errors
    /// [`Error::FeedGap`] if the log was given up meanwhile; [`Error::LogCorruption`], [`Error::BadRecord`],
    /// [`Error::Io`].
    pub fn next_txn(&mut self) -> Result<Option<Transaction<'_>>> {
        let Some((outline, end)) = self.advance()? else { return Ok(None) };
        let record = self.record.as_ref().expect("it has just been found");
        let commit = Commit { txid: outline.txid, timestamp: outline.timestamp, lsn: end };
        Ok(Some(Transaction::new(commit, outline, &self.names, self.reader.open(record)?)))
    }

    /// Behind the last transaction that was returned, and those after it that had nothing to show. To go on from
    /// here later is to miss nothing and to see nothing twice.
    ///
    /// `None` before the first transaction, if reading began at a place in the log without a transaction id.
    pub fn position(&self) -> Option<Position> {
        self.place.after.map(|txid| Position { txid, lsn: self.place.lsn })
    }

    /// Where reading begins, for who began without a transaction id: in front of the first transaction.
    pub(super) fn start_position(&mut self) -> Result<Position> {
        let (lsn, until) = (self.place.lsn, self.shared.feed_end());
        let mut before = lsn;
        while let Some(record) = self.next_record(until)? {
            let txid = Outline::of(self.reader.open(&record)?)?.txid;
            self.place.check_order(txid)?;
            if self.place.pass_over.is_none_or(|passed| passed < txid) {
                return Ok(Position { txid: TxnId::new(txid.get() - 1), lsn: before });
            }
            (self.place.after, before) = (Some(txid), record.end());
        }
        self.place.check_seen()?;
        let tip = self.shared.pager.published();
        Ok(Position { txid: tip.txid, lsn: tip.lsn })
    }

    /// Waits until there may be another transaction, but not longer than `timeout`. `false` if there is none.
    pub fn wait(&self, timeout: Duration) -> bool {
        let is_there = || self.shared.feed_end() > self.drained;
        if is_there() || self.shared.options.background == Background::Manual {
            return is_there();
        }
        self.shared.unpublished.wait_until(timeout, &is_there)
    }

    /// Goes on to the next record that has something to show.
    fn advance(&mut self) -> Result<Option<(Outline, Lsn)>> {
        loop {
            let until = self.shared.feed_end();
            let Some(record) = self.next_record(until)? else {
                self.drained = until;
                return self.place.check_seen().map(|()| None);
            };
            let mut outline = Outline::of(self.reader.open(&record)?)?;
            let (before, end) = (self.place.lsn, record.end());
            self.place.check_order(outline.txid)?;
            (self.place.after, self.place.lsn, self.record) = (Some(outline.txid), end, Some(record));
            self.pin.move_to(end);
            let passed_over = self.place.pass_over.is_some_and(|txid| outline.txid <= txid);
            if passed_over || (planted(Bug::SkipChange) && outline.txid.get().is_multiple_of(5)) {
                continue;
            }
            let ahead = self.shared.log_reader(before, self.archive());
            self.names.learn(&outline, &self.shared, ahead, until)?;
            self.hide_own(&mut outline)?;
            if !outline.visible.is_empty() {
                return Ok(Some((outline, end)));
            }
        }
    }

    fn next_record(&mut self, until: Lsn) -> Result<Option<LogRecord>> {
        match self.reader.next_record(until) {
            Err(LogError::Gap { .. }) if !self.from_archive && self.shared.options.archive.is_some() => {
                self.from_archive = true;
                self.reader = self.shared.log_reader(self.place.lsn, self.archive());
                self.reader.next_record(until).map_err(|error| self.gap(error))
            }
            found => found.map_err(|error| self.gap(error)),
        }
    }

    fn archive(&self) -> Option<PathBuf> {
        self.shared.options.archive.clone().filter(|_| self.from_archive)
    }

    /// Leaves out what consumers store about themselves.
    fn hide_own(&mut self, outline: &mut Outline) -> Result<()> {
        let own = outline.trees.iter().filter(|tree| self.names.get(**tree) == CONSUMERS_TREE);
        let own: Vec<_> = own.copied().collect();
        if own.is_empty() {
            return Ok(());
        }
        let record = self.record.as_ref().expect("it is the one of the outline");
        outline.hide(&own, self.reader.open(record)?)
    }

    fn gap(&self, error: LogError) -> Error {
        match error {
            LogError::Gap { wanted, oldest } => Error::FeedGap {
                after: self.place.after,
                wanted,
                oldest: oldest.unwrap_or_else(|| self.shared.pager.published().lsn),
            },
            other => other.into(),
        }
    }
}

impl Place {
    fn find(shared: &Arc<Shared>, from: FeedFrom) -> Result<Self> {
        // What was published without being durable could still be lost, and its ids be given again.
        if !shared.options.read_only && !shared.is_away() {
            shared.sync_to(shared.pager.tip().lsn)?;
        }
        let tip = shared.pager.published();
        let oldest = || -> Result<Lsn> { Ok(shared.log_reader(tip.lsn, None).oldest()?.unwrap_or(tip.lsn)) };
        let ahead = |what: &dyn fmt::Display| {
            let what = format!("{what} lies behind the last commit, {} at {}", tip.txid, tip.lsn);
            Err(Error::OutOfReach(what))
        };
        let at_tip = Self { lsn: tip.lsn, after: Some(tip.txid), pass_over: None };
        match from {
            FeedFrom::Oldest => Ok(Self { lsn: oldest()?, after: None, pass_over: None }),
            FeedFrom::Now => Ok(at_tip),
            FeedFrom::After(Position { txid, .. }) | FeedFrom::AfterTx(txid) if txid > tip.txid => {
                ahead(&txid)
            }
            // Nothing was committed since: wherever the log is now, it goes on from the tip.
            FeedFrom::After(Position { txid, .. }) | FeedFrom::AfterTx(txid) if txid == tip.txid => {
                Ok(at_tip)
            }
            FeedFrom::After(Position { lsn, .. }) if lsn > tip.lsn => ahead(&lsn),
            FeedFrom::After(Position { txid, lsn }) => Ok(Self { lsn, after: Some(txid), pass_over: None }),
            FeedFrom::AfterTx(txid) => Ok(Self { lsn: oldest()?, after: None, pass_over: Some(txid) }),
            FeedFrom::AfterLsn(lsn) if lsn > tip.lsn => ahead(&lsn),
            FeedFrom::AfterLsn(lsn) => Ok(Self { lsn, after: None, pass_over: None }),
        }
    }

    /// Transactions were committed behind the one that reading begins at: that the log has none of them, nor that one,
    /// is a gap.
    fn check_seen(&self) -> Result<()> {
        match (self.after, self.pass_over) {
            (None, Some(wanted)) => {
                Err(Error::FeedGap { after: Some(wanted), wanted: self.lsn, oldest: self.lsn })
            }
            _ => Ok(()),
        }
    }

    /// Ids ascend. (They may leave out what was seen by others and lost before it was durable.)
    fn check_order(&self, found: TxnId) -> Result<()> {
        match (self.after, self.pass_over) {
            (Some(after), _) if found <= after => {
                Err(Error::BadRecord(format!("{found} follows {after} in the log")))
            }
            (None, Some(wanted)) if found > wanted.next() => {
                Err(Error::FeedGap { after: Some(wanted), wanted: self.lsn, oldest: self.lsn })
            }
            _ => Ok(()),
        }
    }
}

/// Positions of readers of this process, from which the log is kept.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<PinTable>);

#[derive(Debug, Default)]
struct PinTable {
    next: u64,
    pins: BTreeMap<u64, Lsn>,
}

impl Pins {
    /// The oldest.
    pub(crate) fn oldest(&self) -> Option<Lsn> {
        lock(&self.0).pins.values().min().copied()
    }
}

#[derive(Debug)]
struct Pin {
    id: u64,
    shared: Arc<Shared>,
}

impl Pin {
    /// Keeps all of the log that there is.
    fn set(shared: &Arc<Shared>) -> Self {
        let mut table = lock(&shared.pins.0);
        table.next += 1;
        let id = table.next;
        table.pins.insert(id, Lsn::new(0));
        Self { id, shared: Arc::clone(shared) }
    }

    /// Keeps the log from `lsn` on.
    fn move_to(&self, lsn: Lsn) {
        lock(&self.shared.pins.0).pins.insert(self.id, lsn);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        lock(&self.shared.pins.0).pins.remove(&self.id);
    }
}

impl Shared {
    /// Up to where the feed can be read: the log is durable, and nothing behind it is looked at.
    pub(crate) fn feed_end(&self) -> Lsn {
        let Some(log) = &self.log else { return Lsn::new(0) };
        match &self.company {
            Some(company) if self.is_away() => {
                // Another process writes. What it tells is not believed beyond what it has shown.
                let shown = self.pager.published().lsn.get().next_multiple_of(BLOCK_SIZE as u64);
                company.durable().min(Lsn::new(shown)).max(log.durable())
            }
            _ => log.durable(),
        }
    }

    /// Tells other processes how far the log is durable, for their readers of the feed.
    pub(crate) fn tell_durable(&self) {
        if let (Some(company), Some(log)) = (&self.company, &self.log)
            && !self.is_away()
        {
            company.tell_durable(log.durable());
        }
    }

    /// Reads records from `from` on: those of the log, and of an archive if one is given.
    pub(crate) fn log_reader(&self, from: Lsn, archive: Option<PathBuf>) -> LogReader {
        let folders = LogFolders { archive, log: Some(Places::of(&self.path).log) };
        LogReader::new(self.vfs.clone(), folders, self.pager.store_id(), from)
    }
}
