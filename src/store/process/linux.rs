//! What `/proc` knows about a process.

use std::fs;

use rustix::process::Pid;
use sha2::{Digest, Sha256};

use super::{Reach, is_absent};

/// The inode of the pid namespace that the kernel itself makes (`PROC_PID_INIT_INO`): the one outside all containers.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The parts of an identity. Its text is `linux/boot/pid namespace/time namespace/start/machine`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity<'a> {
    boot: &'a str,
    pid_namespace: u64,
    /// The start time is told on the clock of the time namespace of the process that asks; 0 where there are none.
    time_namespace: u64,
    /// In ticks since the boot.
    started: u64,
    /// A digest of the machine id, which is not to be shown; `-` where there is none.
    machine: &'a str,
}

impl<'a> Identity<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("linux/")?.split('/');
        let identity = Self {
            boot: parts.next().filter(|boot| boot.len() == 36)?,
            pid_namespace: parts.next()?.parse().ok()?,
            time_namespace: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
            machine: parts.next()?,
        };
        parts.next().is_none().then_some(identity)
    }

    /// Whether both are of one machine, and outside of its containers.
    fn shares_machine(&self, other: &Self) -> bool {
        let outside = [self, other].iter().all(|identity| identity.pid_namespace == INITIAL_PID_NAMESPACE);
        outside && self.machine == other.machine && self.machine != "-"
    }
}

/// The identity of a process of this pid namespace; `None` where `/proc` is missing or another namespace's.
pub(super) fn identity(pid: u32) -> Option<String> {
    let process = if pid == std::process::id() { "/proc/self".into() } else { format!("/proc/{pid}") };
    let status = Status::read(&process).filter(|status| status.pid == pid)?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let text = format!(
        "linux/{}/{}/{}/{}/{}",
        boot.trim_end(),
        namespace(&process, "pid")?,
        namespace("/proc/self", "time").unwrap_or(0),
        status.started,
        machine().unwrap_or_else(|| "-".into()),
    );
    Identity::parse(&text).is_some().then_some(text)
}

/// The inode of a process's namespace of this kind: the link reads `pid:[4026531836]`.
fn namespace(process: &str, kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("{process}/ns/{kind}")).ok()?;
    link.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

fn machine() -> Option<String> {
    let id = fs::read_to_string("/etc/machine-id").ok()?;
    let id = id.trim_end();
    let is_set =
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0');
    let digest: [u8; 32] = Sha256::digest(format!("idempotency_manager:{id}")).into();
    is_set.then(|| format!("{:016x}", digest[..8].iter().fold(0_u64, |word, &byte| word << 8 | u64::from(byte))))
}

/// Whether the process of this pid and this identity is gone, seen from the process of identity `ours`.
pub(super) fn is_dead(pid: Pid, theirs: &str, ours: &str, reach: Reach) -> bool {
    let (Some(theirs), Some(ours)) = (Identity::parse(theirs), Identity::parse(ours)) else { return false };
    if theirs.boot != ours.boot {
        return reach == Reach::OneMachine && theirs.shares_machine(&ours);
    }
    let started = (theirs.time_namespace == ours.time_namespace).then_some(theirs.started);
    theirs.pid_namespace == ours.pid_namespace && is_gone(pid, started)
}

/// Whether a process of this pid namespace is gone. `/proc` alone can't say: it may be mounted so that it
/// hides the processes of other users.
fn is_gone(pid: Pid, started: Option<u64>) -> bool {
    is_absent(pid)
        || Status::read(&format!("/proc/{}", pid.as_raw_nonzero()))
            .is_some_and(|status| status.has_ended() || started.is_some_and(|started| started != status.started))
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    pid: u32,
    state: char,
    threads: u64,
    started: u64,
}

impl Status {
    fn read(process: &str) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&fs::read(format!("{process}/stat")).ok()?))
    }

    /// The second field is a name in parentheses, which may itself hold anything; the third follows the last `)`.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (pid, _) = line.split_once(' ')?;
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            pid: pid.parse().ok()?,
            state: fields.first()?.chars().next()?,
            threads: fields.get(20 - 3)?.parse().ok()?,
            started: fields.get(22 - 3)?.parse().ok()?,
        })
    }

    /// A zombie, reaped or not. While other threads run on, only the first one has ended, and not the process.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}
