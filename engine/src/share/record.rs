//! What the holder of the turn leaves to the next one, as bytes behind the words of the area.
//!
//! ```text
//!   | log bytes since the checkpoint: 8 | length of the log's part: 8 | the log's part | the pager's part |
//! ```

use llmdb_wal::LogPosition;

/// The record of a hand-over.
pub(super) struct Record {
    pub log_bytes: u64,
    pub log: LogPosition,
    /// See [`llmdb_pager::Pager::hand_over`].
    pub pages: Vec<u8>,
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let log = self.log.encode();
        let mut bytes = Vec::with_capacity(16 + log.len() + self.pages.len());
        bytes.extend(self.log_bytes.to_le_bytes());
        bytes.extend((log.len() as u64).to_le_bytes());
        bytes.extend(log);
        bytes.extend(&self.pages);
        bytes
    }

    /// The record in these bytes; `None` if there is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (log_bytes, rest) = bytes.split_first_chunk()?;
        let (log_len, rest) = rest.split_first_chunk()?;
        let log_len = usize::try_from(u64::from_le_bytes(*log_len)).ok()?;
        let (log, pages) = rest.split_at_checked(log_len)?;
        Some(Self {
            log_bytes: u64::from_le_bytes(*log_bytes),
            log: LogPosition::decode(log)?,
            pages: pages.to_vec(),
        })
    }
}
