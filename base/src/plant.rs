//! Bugs planted on purpose, to prove that the tests catch them.
//!
//! Each stands in the code beside the line that it would break. Without the feature `plant` the question is
//! constantly answered with no, and the compiler removes it.

/// A bug that can be planted. What each does is told in `docs/testing.md`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A commit is acknowledged before its record is durable.
    AckBeforeSync,
    /// Pages are not verified when they are first touched.
    SkipChecksum,
    /// A page is reused though a durable checkpoint still names it.
    ReuseTooEarly,
    /// A checkpoint overwrites the newest meta page instead of the older one.
    LoseOlderMeta,
    /// The log is dropped up to the newest checkpoint, not the older one.
    CutLogAtNewerMeta,
    /// The meta page is written before the pages that it names are durable.
    PublishBeforeWrite,
    /// Replay leaves out the last record.
    DropTailRecord,
    /// A page is reused though a reader can still see it.
    IgnoreReaders,
    /// A page that was freed is never used again.
    NeverReuse,
    /// The committer who is appointed to write the log next is not woken. Only more than one thread can show it.
    LostWakeup,
    /// The change feed leaves out a transaction. No crash is needed to see it.
    SkipChange,
    /// The turn to write is taken though a living process holds it. Takes two processes to see.
    StealTurn,
    /// A page is reused though a reader of another process can still see it.
    IgnoreForeignReaders,
    /// Replay makes trees under ids and names that are taken. Takes a log made by hand to see.
    AdmitAnyTree,
    /// A check takes pages that are younger than the state that names them. Takes a page made by hand to see.
    BelieveBirths,
    /// An erasure leaves the row in the copies of epochs.
    LeaveCopies,
    /// An erasure leaves the notes that the row was changed.
    LeaveChangeNotes,
    /// An erasure leaves the row in the trees that others keep beside the collection.
    LeaveBeside,
    /// A scrub does not overwrite the old log.
    LeaveOldLog,
    /// A purge does not store from when on it keeps.
    ForgetHorizon,
    /// A purge removes closed records that ended behind its horizon.
    PurgeYoungRecord,
    /// The index keeps words that no text of a row has any more.
    KeepPurgedWords,
    /// A sweep of an index takes a purge that went on meanwhile for followed.
    SweepTooEarly,
    /// A search reads what it proposes in the present, whatever was asked for.
    SearchThePresent,
    /// An entry of a word counts for every state, also for those before it was told.
    KnowWordsTooEarly,
    /// Facts as of an old state are read in the newest.
    RecallTheNewest,
    /// A fact that says something else of a period is taken for known.
    TakeForKnown,
    /// What a migration puts is not told to the index of the facts.
    LeaveFactsUntold,
    /// Tags of purged facts stay.
    KeepPurgedTags,
    /// Documents are not compared with the schema of their collection.
    AdmitAnyDocument,
    /// A step of a migration looks at documents in the new form, too.
    RewriteAgain,
    /// A step of a migration counts the row behind its last one as done.
    SkipRow,
    /// A token is right if it begins as the right one does.
    TakeBeginningOfToken,
    /// Pages of every origin may use the server.
    TakeAnyOrigin,
    /// A change of the graph by somebody else is not told.
    LoseNotification,
    /// What was stored is not marked as data.
    LeaveDataUnmarked,
}

impl Bug {
    /// All that one thread can show of crashes.
    pub const ALL: [Self; 9] = [
        Self::AckBeforeSync,
        Self::SkipChecksum,
        Self::ReuseTooEarly,
        Self::LoseOlderMeta,
        Self::CutLogAtNewerMeta,
        Self::PublishBeforeWrite,
        Self::DropTailRecord,
        Self::IgnoreReaders,
        Self::NeverReuse,
    ];

    /// What files made by hand can show.
    pub const OF_FILES: [Self; 2] = [Self::AdmitAnyTree, Self::BelieveBirths];

    /// What erasing and purging can show.
    pub const OF_LETTING_GO: [Self; 6] = [
        Self::LeaveCopies,
        Self::LeaveChangeNotes,
        Self::LeaveBeside,
        Self::LeaveOldLog,
        Self::ForgetHorizon,
        Self::PurgeYoungRecord,
    ];

    /// What several processes can show.
    pub const OF_PROCESSES: [Self; 2] = [Self::StealTurn, Self::IgnoreForeignReaders];
}

#[cfg(feature = "plant")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants `bug`, or none, for this thread.
#[cfg(feature = "plant")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether `test`, which passes as it is, fails when `bug` is planted.
#[cfg(feature = "plant")]
pub fn is_caught(bug: Bug, test: fn()) -> bool {
    test();
    plant(Some(bug));
    let is_caught = std::panic::catch_unwind(test).is_err();
    plant(None);
    is_caught
}

/// Whether `bug` is planted in this thread.
#[cfg(feature = "plant")]
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether `bug` is planted: no.
#[cfg(not(feature = "plant"))]
#[inline(always)]
pub const fn planted(_bug: Bug) -> bool {
    false
}
