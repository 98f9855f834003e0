//! Stored code: bytes under their hash. Nothing runs it yet.

use llmdb_temporal::{At, Kind, Valid, Value, View};
use sha2::{Digest, Sha256};

use crate::{
    Catalog, Error, Result,
    path::{META, MetaPath},
};

impl Catalog<'_> {
    /// Stores code, and answers its name: the SHA-256 of the bytes.
    ///
    /// # Errors
    /// [`Error::Temporal`].
    pub fn put_code(&self, bytes: &[u8]) -> Result<String> {
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let mut txn = self.store().begin_write()?;
        if self.code(&self.store().view_before(&txn)?, &sha256)?.is_some() {
            return Ok(sha256);
        }
        self.ensure_meta(&mut txn)?;
        let row = MetaPath::Code { sha256: sha256.clone() }.row();
        txn.collection(META)?.put(row, Valid::Now, Value::raw(bytes))?;
        txn.commit()?;
        Ok(sha256)
    }

    /// Stored code by its hash, which is compared.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the bytes have another hash; [`Error::Temporal`].
    pub fn code(&self, view: &View, sha256: &str) -> Result<Option<Vec<u8>>> {
        let path = MetaPath::Code { sha256: sha256.into() };
        let meta = match view.collection(META) {
            Ok(meta) => meta,
            Err(llmdb_temporal::Error::NoCollection(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(fact) = meta.get(path.row(), At::NOW)? else { return Ok(None) };
        let is: String =
            Sha256::digest(fact.value.payload).iter().map(|byte| format!("{byte:02x}")).collect();
        match fact.value.kind == Kind::Raw && is == sha256 {
            true => Ok(Some(fact.value.payload.to_vec())),
            false => Err(Error::Damaged {
                path: path.to_string(),
                what: format!("the SHA-256 of the bytes is {is}"),
            }),
        }
    }
}
