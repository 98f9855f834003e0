//! A ring of writes through io_uring.
//!
//! ```text
//!   submit --> [ slot: buffer, file ] --> submission queue --enter--> kernel --> completion queue --> wait
//!                     |                                                                  |
//!                     +------------------ stays here, untouched, until ------------------+
//! ```
//!
//! A write that is alone when somebody waits for it goes past the ring: a plain call completes in the thread that waits,
//! where the ring needs another thread of the kernel to see that the bytes are forced. On a busy machine each change of
//! threads costs a turn of the scheduler.
#![expect(unsafe_code, reason = "door 3: calls of the kernel without a safe wrapper")]

use std::{collections::VecDeque, fmt, io, mem::ManuallyDrop, os::fd::AsRawFd, sync::Arc};

use io_uring::{IoUring, opcode, types};

use super::{
    file::OsFile,
    portable_ring::{PortableRing, check_room, write_durable},
};
use crate::{AlignedBuf, BLOCK_SIZE, Completion, File, Ring, RingKind, disk::check_blocks};

/// Invariants:
/// 1. A buffer whose write was queued, and the file it goes to, stay in their slot until the completion of that
///    write was taken from the ring; if it can never be taken, they are leaked.
/// 2. The index of the slot is the user data of the write, so a slot is used again only after its completion.
/// 3. Slots, done writes and the lone one together are at most `depth`, which both queues of the kernel have room for.
/// 4. While there is a lone write, nothing is under way or done.
pub(super) struct UringRing {
    ring: IoUring,
    /// The kernel has not been told of it yet.
    lone: Option<UnderWay>,
    slots: Vec<Option<ManuallyDrop<UnderWay>>>,
    done: VecDeque<Completion>,
    kind: RingKind,
}

struct UnderWay {
    token: u64,
    file: Arc<dyn File>,
    buffer: AlignedBuf,
    len: usize,
    offset: u64,
}

impl UringRing {
    /// A ring for `depth` writes.
    ///
    /// # Errors
    /// Whatever keeps this process from using io_uring: an old kernel, a rule of the container, limits.
    pub(super) fn new(depth: usize) -> io::Result<Self> {
        let entries = u32::try_from(depth.max(1)).map_err(|_| io::ErrorKind::InvalidInput)?;
        let ring = IoUring::builder().dontfork().build(entries.next_power_of_two())?;
        let slots = (0..depth).map(|_| None).collect();
        let done = VecDeque::with_capacity(depth);
        Ok(Self { ring, lone: None, slots, done, kind: RingKind::IoUring })
    }

    fn started(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Queues the lone write, if there is one: there will be others beside it.
    fn queue_lone(&mut self) {
        if let Some(lone) = self.lone.take() {
            self.queue(lone);
        }
    }

    /// Queues a write, or makes it at once if its file has meanwhile turned out to be none for this ring.
    fn queue(&mut self, write: UnderWay) {
        let Some((descriptor, len)) = write.direct_descriptor().zip(u32::try_from(write.len).ok()) else {
            self.done.push_back(write.make());
            return;
        };
        let slot = self.slots.iter().position(Option::is_none).expect("there is room, as checked (3)");
        let entry = opcode::Write::new(types::Fd(descriptor), write.buffer.as_ptr(), len)
            .offset(write.offset)
            .rw_flags(libc::RWF_DSYNC)
            .build()
            .user_data(slot as u64);
        self.slots[slot] = Some(ManuallyDrop::new(write));
        // SAFETY: the bytes and the descriptor stay valid until the completion has been taken (1); the slot owns
        // the buffer, so nobody changes it meanwhile.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        pushed.expect("the queue has room for every slot (3)");
    }

    /// Hands queued writes to the kernel and waits until `want` completions are there: one call, as a rule.
    fn enter(&mut self, want: usize) -> io::Result<()> {
        loop {
            let error = match self.ring.submit_and_wait(want) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The kernel is short of memory for the request; the write stays queued.
                Some(libc::EAGAIN | libc::EBUSY) => std::thread::yield_now(),
                _ => return Err(error),
            }
        }
    }

    /// Takes what has completed.
    fn reap(&mut self) {
        for entry in self.ring.completion() {
            let slot = usize::try_from(entry.user_data()).ok().and_then(|index| self.slots.get_mut(index));
            let write = slot.and_then(Option::take).expect("a completion belongs to a write under way (2)");
            self.done.push_back(ManuallyDrop::into_inner(write).complete(entry.result()));
        }
    }

    /// The kernel takes no more calls for this ring: nobody will ever know what became of this write, and whether
    /// its buffer is still being read.
    fn abandon(&mut self, error: io::Error) -> Option<Completion> {
        let write = self.slots.iter_mut().find_map(Option::take)?;
        let buffer = AlignedBuf::new(write.buffer.len());
        Some(Completion { token: write.token, buffer, result: Err(error) })
    }
}

impl UnderWay {
    /// Of its file, if that can be written past the page cache.
    fn direct_descriptor(&self) -> Option<i32> {
        let file = self.file.as_any().downcast_ref::<OsFile>()?;
        file.direct().map(AsRawFd::as_raw_fd)
    }

    /// Writes and forces it while we wait.
    fn make(self) -> Completion {
        let result = write_durable(&*self.file, &self.buffer[..self.len], self.offset);
        Completion { token: self.token, buffer: self.buffer, result }
    }

    /// The completion that follows from the kernel's answer: a count of bytes, or an error below zero.
    fn complete(self, answer: i32) -> Completion {
        let written = usize::try_from(answer).unwrap_or(0);
        let result = if written == self.len {
            Ok(())
        } else if answer >= 0 || is_worth_another_try(-answer) {
            self.finish(written)
        } else {
            Err(self.named(io::Error::from_raw_os_error(-answer)))
        };
        Completion { token: self.token, buffer: self.buffer, result }
    }

    fn named(&self, error: io::Error) -> io::Error {
        match self.file.as_any().downcast_ref::<OsFile>() {
            Some(file) => file.named(error),
            None => error,
        }
    }

    /// Writes, while we wait, what the kernel left out: rare, so that it need not be fast.
    fn finish(&self, written: usize) -> io::Result<()> {
        let written = written - written % BLOCK_SIZE;
        write_durable(&*self.file, &self.buffer[written..self.len], self.offset + written as u64)
    }
}

/// Whether an error is about the way and not about the media: interrupted, short of memory, cancelled because the
/// thread that submitted it ended, or a filesystem that does not do direct writes after all.
fn is_worth_another_try(errno: i32) -> bool {
    matches!(errno, libc::EINTR | libc::EAGAIN | libc::ECANCELED | libc::EINVAL | libc::EOPNOTSUPP)
}

impl Ring for UringRing {
    fn submit(
        &mut self,
        file: &Arc<dyn File>,
        buffer: AlignedBuf,
        len: usize,
        offset: u64,
        token: u64,
    ) -> io::Result<()> {
        check_blocks(offset, len, buffer.len())?;
        check_room(self.in_flight(), self.slots.len())?;
        let write = UnderWay { token, file: Arc::clone(file), buffer, len, offset };
        if write.direct_descriptor().is_none() {
            PortableRing::say_why("the file cannot be written past the page cache");
            self.kind = RingKind::Portable;
        }
        if self.in_flight() == 0 {
            self.lone = Some(write);
            return Ok(());
        }
        self.queue_lone();
        self.queue(write);
        self.kick();
        Ok(())
    }

    fn kick(&mut self) {
        self.queue_lone();
        if !self.ring.submission().is_empty() {
            // What could not be sent stays queued, and `wait` meets the error again.
            let _ = self.enter(0);
        }
    }

    fn wait(&mut self) -> Option<Completion> {
        if let Some(lone) = self.lone.take() {
            return Some(lone.make());
        }
        loop {
            self.reap();
            if let Some(done) = self.done.pop_front() {
                return Some(done);
            }
            if self.started() == 0 {
                return None;
            }
            if let Err(error) = self.enter(1) {
                return self.abandon(error);
            }
        }
    }

    fn in_flight(&self) -> usize {
        self.started() + self.done.len() + usize::from(self.lone.is_some())
    }

    fn kind(&self) -> RingKind {
        self.kind
    }
}

impl Drop for UringRing {
    /// Waits for every write, since the kernel reads their buffers until they complete.
    fn drop(&mut self) {
        self.queue_lone();
        while self.started() > 0 {
            if self.enter(1).is_err() {
                // What is left in the slots is leaked (1).
                return;
            }
            self.reap();
        }
    }
}

impl fmt::Debug for UringRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UringRing({} of {} under way)", self.in_flight(), self.slots.len())
    }
}

#[cfg(test)]
mod tests;
