//! Whose claim it is, and whether that process is known to be dead.
//!
//! A pid names a process only for a while and only to some: pids are given again, start anew with each boot, and mean
//! another process in each pid namespace. So a claim keeps a [`ProcessIdentity`] beside `host:pid`, and a
//! process is dead only where that is certain. A living owner that is taken for dead runs its action twice; a dead one
//! that is taken for living costs no more than the rest of its lease. Whatever is in doubt here is "not known dead".

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

#[cfg(target_os = "linux")]
#[path = "process/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "process/other.rs"]
mod system;

#[cfg(all(test, target_os = "linux"))]
mod tests;

/// What tells a process from every other one that has or had its pid, as text. It is kept with a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity(Arc<str>);

/// The text of a process that the system tells nothing about. It is never known to be dead.
const UNKNOWN: &str = "unknown";

/// A pid and its parent's. A process that `fork` made differs from the one it was copied from in the first, and where it
/// got the pid of a dead ancestor again, in the second.
type Place = (u32, i32);

thread_local! {
    /// Of a thread and not of the process, since a lock could be held by another thread at the instant of a `fork`.
    static CURRENT: RefCell<Option<(Place, ProcessIdentity)>> = const { RefCell::new(None) };
}

impl ProcessIdentity {
    /// That of the process which asks, after a `fork` too. A thread reads it from the system once.
    pub fn current() -> Self {
        let place = (std::process::id(), rustix::process::Pid::as_raw(rustix::process::getppid()));
        CURRENT
            .try_with(|current| match &mut *current.borrow_mut() {
                Some((known, identity)) if *known == place => identity.clone(),
                stale => stale.insert((place, Self::read(place.0))).1.clone(),
            })
            .unwrap_or_else(|_| Self::read(place.0))
    }

    fn read(pid: u32) -> Self {
        Self(system::identity(pid).map_or_else(|| UNKNOWN.into(), Into::into))
    }

    /// The text that is kept with a claim.
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for ProcessIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who can reach the store that a claim is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One machine at a time: what another boot left there, it left before this one.
    OneMachine,
    /// Any machine. Two may bear the same name and, copied from one image, the same machine id.
    ManyMachines,
}

/// Whether the owner of a claim (`host:pid`, and the text of its [`ProcessIdentity`]) is certain to be gone: a process of
/// this boot and this pid namespace that has ended, reaped or not, or whose pid is another process's by now.
pub fn is_known_dead(owner: &str, owner_process: Option<&str>) -> bool {
    judge(owner, owner_process, Reach::ManyMachines)
}

/// The same for a claim in a store that only one machine can reach at a time, such as a file on a local disk. There a
/// process is gone also if this machine was started anew since, which its machine id and its host name vouch
/// for, outside of containers: images share machine ids, and a container's life is not the machine's.
pub fn is_known_dead_on_this_machine(owner: &str, owner_process: Option<&str>) -> bool {
    judge(owner, owner_process, Reach::OneMachine)
}

/// The same for a store of this reach.
pub(super) fn judge(owner: &str, owner_process: Option<&str>, reach: Reach) -> bool {
    let (Some((host, pid)), Some(theirs)) = (owner.rsplit_once(':'), owner_process) else { return false };
    let Some(pid) = pid.parse().ok().filter(|&pid| pid > 0).and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    let ours = ProcessIdentity::current();
    host == rustix::system::uname().nodename().to_string_lossy() && system::is_dead(pid, theirs, &ours.0, reach)
}

/// Whether there is no process of this pid in this pid namespace. One that may not be signalled is there.
fn is_absent(pid: rustix::process::Pid) -> bool {
    rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}
