//! Bytes of a map that the system cannot give: the file was cut, or the device cannot read them. The system tells
//! by SIGBUS, which ends a process that has no handler.
//!
//! The handler puts zeros in the place of a page of ours, having noted the loss, and lets the reader go on; whoever
//! reads finds out before an answer is given (`lost.rs`). What happens elsewhere goes to whom it went before.
#![expect(unsafe_code, reason = "door 6: the handler of SIGBUS")]

use std::{
    mem, ptr,
    sync::{
        Once,
        atomic::{AtomicPtr, Ordering},
    },
};

use libc::{c_int, c_void, sighandler_t, siginfo_t};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

use super::lost::{self, LossCause};
use crate::BLOCK_SIZE;

type Action = libc::sigaction;

/// What was done about SIGBUS before. Null: not known yet.
static PREVIOUS: AtomicPtr<Action> = AtomicPtr::new(ptr::null_mut());

/// Installs the handler, once in the life of the process. It stays: others may have chained themselves to it.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if let Err(error) = install_now() {
            log::warn!("files that are cut while they are open will end the process: {error}");
        }
    });
}

fn install_now() -> std::io::Result<()> {
    // SAFETY: all zero is a value of this struct of numbers: the default action.
    let mut previous: Action = unsafe { mem::zeroed() };
    // SAFETY: asks for the present action, into memory of ours.
    if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), &raw mut previous) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // Never freed: the handler may look at it at any time.
    PREVIOUS.store(Box::leak(Box::new(previous)), Ordering::Release);
    // SAFETY: as above.
    let mut ours: Action = unsafe { mem::zeroed() };
    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_bus_error;
    ours.sa_sigaction = handler as sighandler_t;
    // On the stack for signals where there is one, as the runtime's own handler for full stacks wants it.
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the action is whole, and its handler does nothing but what handlers may do.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const ours, ptr::null_mut()) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// Runs in the middle of anything: touches atomics, and calls the kernel.
extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: a handler with SA_SIGINFO is given what happened.
    let code = unsafe { (*info).si_code };
    let cause = match code {
        libc::BUS_ADRERR | libc::BUS_OBJERR => Some(LossCause::Unreadable),
        libc::BUS_MCEERR_AR | libc::BUS_MCEERR_AO => Some(LossCause::MemoryFailed),
        _ => None,
    };
    let is_ours = cause.is_some_and(|cause| {
        // SAFETY: signals with these codes carry an address.
        let address = unsafe { (*info).si_addr() };
        put_zeros(address as usize, cause)
    });
    if !is_ours {
        pass_on(signal, code, info, context);
    }
}

/// Puts zeros in the place of the page at `address`, if it is in a map of ours.
fn put_zeros(address: usize, cause: LossCause) -> bool {
    let Some(found) = lost::find(address) else { return false };
    // SAFETY: somebody is looking into the region, so that it is still mapped, and its list lives (`lost`, 1).
    let list = unsafe { &*found.lost };
    found.note(list, address, cause);
    if map_zeros(address & !(BLOCK_SIZE - 1), BLOCK_SIZE) {
        return true;
    }
    // A process can have so many pieces of map only. With all of the region in one piece there is room again.
    found.note_all(list);
    map_zeros(found.start, found.len)
}

/// Replaces pages of a map by memory.
fn map_zeros(start: usize, len: usize) -> bool {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
    // SAFETY: `errno` of this thread, which whoever is interrupted may be about to look at.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    let place = ptr::with_exposed_provenance_mut(start);
    // SAFETY: the range belongs to a region of ours, whose bytes there are gone.
    let mapped = unsafe { mmap_anonymous(place, len, ProtFlags::READ | ProtFlags::WRITE, flags) };
    // SAFETY: as above.
    unsafe { *errno = kept };
    mapped.is_ok()
}

/// Does what would have been done without this handler.
fn pass_on(signal: c_int, code: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: null, or leaked when the handler was installed, and never changed since.
    let previous = unsafe { previous.as_ref() };
    let (handler, flags) =
        previous.map_or((libc::SIG_DFL, 0), |previous| (previous.sa_sigaction, previous.sa_flags));
    // The kernel's own signals come back with the instruction that caused them; those of others do not.
    let comes_back = code > 0;
    match handler {
        libc::SIG_IGN if !comes_back => {}
        libc::SIG_DFL | libc::SIG_IGN => end_by_default(signal, comes_back),
        _ if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: an action with SA_SIGINFO that is neither of the two constants is a function of this type.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { mem::transmute(handler) };
            handler(signal, info, context);
        }
        _ => {
            // SAFETY: an action without SA_SIGINFO that is neither of the two constants is a function of this type.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(signal);
        }
    }
}

fn end_by_default(signal: c_int, comes_back: bool) {
    // SAFETY: all zero is the default action.
    let default: Action = unsafe { mem::zeroed() };
    // SAFETY: restores the default action of a signal.
    unsafe { libc::sigaction(signal, &raw const default, ptr::null_mut()) };
    if !comes_back {
        // SAFETY: sends a signal to this thread; it arrives when the handler returns.
        unsafe { libc::raise(signal) };
    }
}
