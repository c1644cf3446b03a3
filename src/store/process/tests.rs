//! Against real processes.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, waitid, waitpid};

use super::system::Status;
use super::{ProcessIdentity, is_known_dead, is_known_dead_on_this_machine};

/// A process of another program, killed and reaped at the end of the test.
struct Other(Child);

impl Other {
    fn start() -> Self {
        Self::running("sleep")
    }

    fn running(program: &str) -> Self {
        Self(Command::new(program).arg("600").stdin(Stdio::null()).spawn().expect("a process can be started"))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn owner(&self) -> String {
        owner(self.0.id())
    }

    fn identity(&self) -> String {
        ProcessIdentity::read(self.0.id()).to_string()
    }

    /// Kills it and waits until it has ended, without reaping it.
    fn kill(&self) {
        kill_process(self.pid(), Signal::KILL).expect("it runs");
        waitid(WaitId::Pid(self.pid()), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it is a child");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn owner(pid: u32) -> String {
    format!("{}:{pid}", rustix::system::uname().nodename().to_string_lossy())
}

/// The identity with another text in one of its parts.
fn with(identity: &str, part: usize, text: &str) -> String {
    let mut parts: Vec<&str> = identity.split('/').collect();
    parts[part] = text;
    parts.join("/")
}

const BOOT: usize = 1;
const PID_NAMESPACE: usize = 2;
const TIME_NAMESPACE: usize = 3;
const STARTED: usize = 4;
const MACHINE: usize = 5;

const INITIAL: &str = "4026531836";
const OTHER_BOOT: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn a_living_process_is_not_dead() {
    let other = Other::start();
    assert!(!is_known_dead(&other.owner(), Some(&other.identity())));
    assert!(!is_known_dead_on_this_machine(&other.owner(), Some(&other.identity())));
}

#[test]
fn this_very_process_is_not_dead() {
    let identity = ProcessIdentity::current();
    assert!(identity.text().starts_with("linux/"), "{identity}");
    assert_eq!(identity, ProcessIdentity::current());
    assert!(!is_known_dead(&owner(std::process::id()), Some(identity.text())));
}

#[test]
fn a_stopped_process_is_not_dead() {
    let other = Other::start();
    kill_process(other.pid(), Signal::STOP).expect("it runs");
    waitid(WaitId::Pid(other.pid()), WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT).expect("it is a child");
    assert!(!is_known_dead(&other.owner(), Some(&other.identity())));
}

#[test]
fn a_killed_process_that_nobody_reaped_is_dead() {
    let other = Other::start();
    let identity = other.identity();
    other.kill();
    assert!(is_known_dead(&other.owner(), Some(&identity)));
    assert!(is_known_dead_on_this_machine(&other.owner(), Some(&identity)));
}

#[test]
fn a_killed_process_that_was_reaped_is_dead() {
    let mut other = Other::start();
    let identity = other.identity();
    other.kill();
    other.0.wait().expect("it is a child");
    assert!(is_known_dead(&other.owner(), Some(&identity)));
    assert!(is_known_dead_on_this_machine(&other.owner(), Some(&identity)));
}

#[test]
fn a_process_whose_pid_is_anothers_by_now_is_dead() {
    let other = Other::start();
    assert!(is_known_dead(&other.owner(), Some(&with(&other.identity(), STARTED, "1"))));
}

#[test]
fn a_start_time_of_another_clock_proves_nothing() {
    let other = Other::start();
    let foreign = with(&with(&other.identity(), STARTED, "1"), TIME_NAMESPACE, "7");
    assert!(!is_known_dead(&other.owner(), Some(&foreign)));
    other.kill();
    assert!(is_known_dead(&other.owner(), Some(&foreign)));
}

#[test]
fn nothing_is_known_of_another_pid_namespace() {
    let other = Other::start();
    let foreign = with(&other.identity(), PID_NAMESPACE, "7");
    other.kill();
    assert!(!is_known_dead(&other.owner(), Some(&foreign)));
    assert!(!is_known_dead_on_this_machine(&other.owner(), Some(&foreign)));
}

#[test]
fn nothing_is_known_of_another_host() {
    let other = Other::start();
    other.kill();
    let elsewhere = format!("elsewhere:{}", other.0.id());
    assert!(!is_known_dead(&elsewhere, Some(&other.identity())));
    assert!(!is_known_dead_on_this_machine(&elsewhere, Some(&other.identity())));
}

/// `is_dead` for a process of another boot, where one sees both from outside of containers.
fn is_dead_since_the_boot(theirs: &str, reach: super::Reach) -> bool {
    let outside = |identity: &str| with(&with(identity, PID_NAMESPACE, INITIAL), MACHINE, "aa");
    let ours = outside(ProcessIdentity::current().text());
    let pid = rustix::process::getpid();
    super::system::is_dead(pid, theirs, &ours, reach)
}

#[test]
fn a_reboot_of_the_only_machine_ends_its_processes() {
    let before = format!("linux/{OTHER_BOOT}/{INITIAL}/0/1/aa");
    assert!(is_dead_since_the_boot(&before, super::Reach::OneMachine));
    assert!(!is_dead_since_the_boot(&before, super::Reach::ManyMachines));
    assert!(!is_dead_since_the_boot(&with(&before, MACHINE, "bb"), super::Reach::OneMachine));
    assert!(!is_dead_since_the_boot(&with(&before, PID_NAMESPACE, "7"), super::Reach::OneMachine));
}

#[test]
fn a_reboot_of_a_machine_without_an_id_proves_nothing() {
    let nameless = format!("linux/{OTHER_BOOT}/{INITIAL}/0/1/-");
    let ours = with(&nameless, BOOT, &OTHER_BOOT.replace('4', "5"));
    assert!(!super::system::is_dead(rustix::process::getpid(), &nameless, &ours, super::Reach::OneMachine));
}

#[test]
fn nothing_is_known_of_a_text_that_is_no_identity() {
    let other = Other::start();
    let identity = other.identity();
    other.kill();
    let unknown =
        [String::new(), "unknown".into(), "macos".into(), format!("{identity}/1"), with(&identity, STARTED, "")];
    for text in unknown {
        assert!(!is_known_dead_on_this_machine(&other.owner(), Some(&text)), "{text}");
    }
    assert!(!is_known_dead_on_this_machine(&other.owner(), None));
    for owner in ["", "host", &owner(0), &format!("{}:-5", other.owner()), &format!("{}:", other.owner())] {
        assert!(!is_known_dead_on_this_machine(owner, Some(&identity)), "{owner}");
    }
}

#[test]
fn a_program_may_bear_any_name() {
    let folder = std::env::temp_dir().join(format!("idempotency-process-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let program = folder.join("a) Z 1 (b");
    let _ = fs::remove_file(&program);
    std::os::unix::fs::symlink("/bin/sleep", &program).expect("the link can be made");
    let other = Other::running(program.to_str().expect("it is text"));
    // A program takes its name a moment after the memory of the process that started it, which is not awaited for longer.
    let name = || fs::read_to_string(format!("/proc/{}/comm", other.0.id())).expect("it runs");
    let is_named = std::iter::repeat_with(name)
        .take(100_000)
        .inspect(|_| std::thread::yield_now())
        .any(|name| name == "a) Z 1 (b\n");
    assert!(is_named);
    let identity = other.identity();
    assert!(!is_known_dead(&other.owner(), Some(&identity)), "{identity}");
    other.kill();
    assert!(is_known_dead(&other.owner(), Some(&identity)), "{identity}");
    fs::remove_dir_all(folder).expect("the folder can be removed");
}

#[test]
fn a_process_whose_first_thread_has_ended_lives_on() {
    let line = |threads: u8| format!("7 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 99 0 0");
    let ended = |threads| Status::parse(&line(threads)).expect("it is a status").has_ended();
    assert_eq!([0, 1, 2].map(ended), [true, true, false]);
}

/// Forks, and answers with how the child ended: 0 where it knows its own start from its parent's, 1 where it takes the
/// one for the other, 2 where both began in the same tick.
fn fork(parent: &ProcessIdentity) -> i32 {
    // SAFETY: the child reads a few files, which needs no more than the allocator, usable after a fork, and leaves by
    // `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let read = ProcessIdentity::read(std::process::id());
        let code = if ProcessIdentity::current() == read { 2 * i32::from(read == *parent) } else { 1 };
        // SAFETY: it only ends the process.
        unsafe { libc::_exit(code) };
    }
    let child = Pid::from_raw(child).expect("the process can be forked");
    let (_, status) = waitpid(Some(child), WaitOptions::empty()).expect("it is a child").expect("it has ended");
    status.exit_status().expect("it was not killed")
}

#[test]
fn a_forked_process_has_an_identity_of_its_own() {
    let parent = ProcessIdentity::current();
    let ends = std::iter::repeat_with(|| fork(&parent)).take(10_000).find(|&code| code != 2);
    assert_eq!(ends, Some(0));
    assert_eq!(ProcessIdentity::current(), parent);
}
