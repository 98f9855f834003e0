//! Roots, and the images they vouch for.

use std::{io, path::Path, sync::Arc};

use llmdb_base::{
    checksum::crc32c,
    codec::{get_u32, get_u64, put_u32, put_u64},
};
use llmdb_vfs::{AlignedBuf, BLOCK_SIZE, Create, File, Vfs, crash::CrashVfs, read_exact_at};

use crate::{Contents, Failure, RootSlot};

use super::{Bug, FOLDER, Log, Toy, open_failure, open_file, path_of, wire};

const MAGIC: u32 = 0x524F_4F54;
const LEN: usize = 48;

/// A checkpoint: its number, the newest transaction in it, and its image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Root {
    pub(super) generation: u64,
    pub(super) txid: u64,
    image_len: u64,
    image_checksum: u32,
}

/// The file with the two places.
#[derive(Debug)]
pub(super) struct Roots {
    file: Arc<dyn File>,
    slots: [Option<Root>; 2],
}

impl Roots {
    /// Opens the roots; makes the first two if the store does not exist yet.
    pub(super) fn open(vfs: &dyn Vfs) -> Result<Self, Failure> {
        let path = Path::new(FOLDER).join("roots");
        if !vfs.exists(&path).map_err(|e| open_failure(&e))? {
            Self::create(vfs).map_err(|e| Failure::Io(e.to_string()))?;
        }
        let file = open_file(vfs, &path, Create::Never).map_err(|e| open_failure(&e))?;
        let mut slots = [None; 2];
        for (slot, index) in slots.iter_mut().zip(0..) {
            let mut bytes = [0; LEN];
            match read_exact_at(&*file, &mut bytes, index * BLOCK_SIZE as u64) {
                Ok(()) => *slot = Root::decode(&bytes),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(open_failure(&error)),
            }
        }
        Ok(Self { file, slots })
    }

    /// An empty store of two generations. It is there once its roots have their name.
    fn create(vfs: &dyn Vfs) -> io::Result<()> {
        let folder = Path::new(FOLDER);
        vfs.create_dir(folder)?;
        vfs.sync_dir(Path::new("/"))?;
        let temporary = folder.join("roots.new");
        let file = open_file(vfs, &temporary, Create::IfMissing)?;
        let image = encode_image(&Contents::default());
        let mut log_end = 0;
        for generation in 0..2 {
            let root = Root::new(generation, 0, &image);
            root.write_image(vfs, &image)?;
            log_end = Log::create(vfs, generation, log_end)?.end();
            file.write_durable_at(&root.encode(), generation * BLOCK_SIZE as u64)?;
        }
        vfs.sync_dir(folder)?;
        vfs.rename(&temporary, &folder.join("roots"))?;
        vfs.sync_dir(folder)
    }

    pub(super) fn newest_first(&self) -> Vec<Root> {
        let mut roots: Vec<Root> = self.slots.iter().flatten().copied().collect();
        roots.sort_by_key(|root| std::cmp::Reverse(root.generation));
        roots
    }

    /// Writes a root in place of the older one. Returns the generation that is the older one now.
    pub(super) fn write(&mut self, toy: &Toy, root: Root) -> io::Result<u64> {
        let generation = |index: usize| self.slots[index].map(|root| root.generation);
        let newest = usize::from(generation(1) > generation(0));
        let kept = generation(newest).unwrap_or(root.generation);
        let slot = if toy.has(Bug::LoseOlderRoot) { newest } else { 1 - newest };
        self.file.write_durable_at(&root.encode(), (slot * BLOCK_SIZE) as u64)?;
        self.slots[slot] = Some(root);
        Ok(kept)
    }
}

impl Root {
    /// The root of a checkpoint with this image.
    pub(super) fn new(generation: u64, txid: u64, image: &[u8]) -> Self {
        Self { generation, txid, image_len: image.len() as u64, image_checksum: crc32c(0, image) }
    }

    fn encode(&self) -> AlignedBuf {
        let mut block = AlignedBuf::new(BLOCK_SIZE);
        put_u32(&mut block, 0, MAGIC);
        put_u64(&mut block, 8, self.generation);
        put_u64(&mut block, 16, self.txid);
        put_u64(&mut block, 24, self.image_len);
        put_u32(&mut block, 32, self.image_checksum);
        let checksum = crc32c(0, &block[8..LEN]);
        put_u32(&mut block, 4, checksum);
        block
    }

    fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let is_valid = get_u32(bytes, 0) == MAGIC && get_u32(bytes, 4) == crc32c(0, &bytes[8..]);
        is_valid.then(|| Self {
            generation: get_u64(bytes, 8),
            txid: get_u64(bytes, 16),
            image_len: get_u64(bytes, 24),
            image_checksum: get_u32(bytes, 32),
        })
    }

    /// Writes the image, several writes at a time; it is durable when this returns, its name is not.
    pub(super) fn write_image(&self, vfs: &dyn Vfs, image: &[u8]) -> io::Result<()> {
        let path = path_of("image", self.generation);
        let file = open_file(vfs, &path, Create::IfMissing)?;
        let mut ring = vfs.ring(4)?;
        let mut result = Ok(());
        for (part, offset) in image.chunks(2 * BLOCK_SIZE).zip((0..).step_by(2 * BLOCK_SIZE)) {
            if ring.in_flight() == 4 {
                result = result.and(ring.wait().map_or(Ok(()), |completion| completion.result));
            }
            let mut buffer = AlignedBuf::new(part.len().next_multiple_of(BLOCK_SIZE));
            buffer[..part.len()].copy_from_slice(part);
            let len = buffer.len();
            ring.submit(&file, buffer, len, offset, 0)?;
        }
        while let Some(completion) = ring.wait() {
            result = result.and(completion.result);
        }
        result
    }

    pub(super) fn read_image(&self, toy: &Toy, vfs: &dyn Vfs) -> Result<Contents, Failure> {
        let path = path_of("image", self.generation);
        let file = open_file(vfs, &path, Create::Never).map_err(|e| open_failure(&e))?;
        let corrupt = || Failure::Corrupt(format!("{} is not what its root says", path.display()));
        let len = file.len().map_err(|e| open_failure(&e))?.min(self.image_len);
        let mut image = vec![0; usize::try_from(len).map_err(|_| corrupt())?];
        read_exact_at(&*file, &mut image, 0).map_err(|e| open_failure(&e))?;
        if crc32c(0, &image) != self.image_checksum && !toy.has(Bug::SkipChecksum) {
            return Err(corrupt());
        }
        decode_image(&image).ok_or_else(corrupt)
    }
}

/// Everything, as bytes.
pub(super) fn encode_image(contents: &Contents) -> Vec<u8> {
    let mut out = b"everything".to_vec();
    for (tree, key, value) in contents.entries() {
        [tree.as_bytes(), key, value].into_iter().for_each(|bytes| wire::encode_bytes(&mut out, bytes));
    }
    out
}

fn decode_image(bytes: &[u8]) -> Option<Contents> {
    let mut bytes = bytes.strip_prefix(b"everything")?;
    let mut contents = Contents::default();
    while !bytes.is_empty() {
        let tree = std::str::from_utf8(wire::decode_bytes(&mut bytes)?).ok()?;
        let key = wire::decode_bytes(&mut bytes)?.to_vec();
        contents.put(tree, key, wire::decode_bytes(&mut bytes)?.into());
    }
    Some(contents)
}

/// The valid roots on a disk, and where they are.
pub(super) fn slots(disk: &CrashVfs) -> Vec<RootSlot> {
    let path = Path::new(FOLDER).join("roots");
    let Ok(file) = open_file(disk, &path, Create::Never) else { return Vec::new() };
    let root_at = |offset| {
        let mut bytes = [0; LEN];
        read_exact_at(&*file, &mut bytes, offset).ok()?;
        let generation = Root::decode(&bytes)?.generation;
        Some(RootSlot { path: path.clone(), offset, len: BLOCK_SIZE, generation })
    };
    [0, BLOCK_SIZE as u64].into_iter().filter_map(root_at).collect()
}
