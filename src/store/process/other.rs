//! Systems without `/proc`. macOS has neither containers nor pid namespaces, so a pid that is nobody's is
//! certain there, on one machine; a pid that is somebody's again is not told from the first.

use rustix::process::Pid;

use super::{Reach, is_absent};

const MACOS: &str = "macos";

/// The identity of a process, as far as it has one.
pub(super) fn identity(_pid: u32) -> Option<String> {
    cfg!(target_os = "macos").then(|| MACOS.into())
}

/// Whether the process of this pid is gone.
pub(super) fn is_dead(pid: Pid, theirs: &str, ours: &str, reach: Reach) -> bool {
    reach == Reach::OneMachine && theirs == MACOS && ours == MACOS && is_absent(pid)
}
