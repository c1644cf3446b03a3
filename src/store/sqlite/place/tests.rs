//! Against real files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::io::Errno;

use super::{check, refused};
use crate::core::error::StoreError;

/// A folder of the test's own, removed at its end.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("idempotency-place-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the folder can be made");
        Self(folder)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.file(name);
        fs::write(&file, bytes).expect("the file can be written");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        permit(&self.0, 0o755);
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

/// Runs this as somebody who is not the superuser, whom no permission binds.
pub(super) fn as_ordinary_user<T: Send>(deed: impl FnOnce() -> T + Send) -> T {
    const NOBODY: libc::uid_t = 65534;
    thread::scope(|scope| {
        let user = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                // SAFETY: the bare system call concerns this one thread, which ends with the deed.
                let answer = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
                assert_eq!(answer, 0, "the superuser may become anybody");
            }
            deed()
        });
        user.join().expect("the deed does not panic")
    })
}

/// The whole text of an error that is out of reach.
pub(super) fn unavailable(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(text) => text,
        other => panic!("{other:?} is no Unavailable"),
    }
}

/// The whole text of an error that is within reach.
pub(super) fn failed(error: StoreError) -> String {
    match error {
        StoreError::Failed(text) => text,
        other => panic!("{other:?} is no Failed"),
    }
}

pub(super) fn assert_says(text: &str, file: &Path, words: &[&str]) {
    assert!(text.contains(&format!("{file:?}")), "{text} does not name {}", file.display());
    for word in words {
        assert!(text.contains(word), "{text} does not say {word}");
    }
}

#[test]
fn a_file_that_is_there_and_one_that_will_be_are_fine() {
    let folder = Folder::new();
    assert_eq!(check(&folder.file("new.db")), Ok(()));
    assert_eq!(check(&folder.write("old.db", b"")), Ok(()));
    folder.write("old.db-wal", b"");
    assert_eq!(check(&folder.file("old.db")), Ok(()));
    assert_eq!(check(Path::new("new-here.db")), Ok(()));
}

#[test]
fn a_missing_folder_is_named_with_how_to_make_it() {
    let folder = Folder::new();
    let file = folder.file("missing/store.db");
    let text = unavailable(check(&file).expect_err("there is no folder"));
    assert_says(&text, &file, &["does not exist", "mkdir -p", &format!("{:?}", folder.file("missing"))]);
}

#[test]
fn a_relative_path_is_shown_from_the_root() {
    let text = unavailable(check(Path::new("no-such-folder/store.db")).expect_err("there is no folder"));
    assert_says(&text, &std::env::current_dir().expect("there is one").join("no-such-folder/store.db"), &[]);
}

#[test]
fn a_file_in_place_of_a_folder_is_named() {
    let folder = Folder::new();
    let file = folder.write("file", b"");
    let text = unavailable(check(&file.join("store.db")).expect_err("it is no folder"));
    assert_says(&text, &file, &["is a file and no folder", "correct the path"]);
    let text = unavailable(check(&file.join("folder/store.db")).expect_err("it is no folder"));
    assert_says(&text, &file.join("folder"), &["leads through a file", "correct the path"]);
}

#[test]
fn a_folder_is_no_database() {
    let folder = Folder::new();
    let text = unavailable(check(&folder.0).expect_err("it is a folder"));
    assert_says(&text, &folder.0, &["is a folder", "idempotency.db"]);
}

#[test]
fn what_is_no_file_is_no_database() {
    let folder = Folder::new();
    let socket = folder.file("socket");
    let _listener = UnixListener::bind(&socket).expect("it can be bound");
    let text = unavailable(check(&socket).expect_err("it is a socket"));
    assert_says(&text, &socket, &["a socket, and no file", "give the path of a file"]);
}

#[test]
fn a_link_is_as_good_as_what_it_leads_to() {
    let folder = Folder::new();
    let link = |name: &str, target: PathBuf| {
        symlink(target, folder.file(name)).expect("the link can be made");
        folder.file(name)
    };
    assert_eq!(check(&link("old", folder.write("old.db", b""))), Ok(()));
    assert_eq!(check(&link("new", folder.file("new.db"))), Ok(()));
    let nowhere = folder.file("missing/store.db");
    let text = unavailable(check(&link("nowhere", nowhere.clone())).expect_err("it leads nowhere"));
    assert_says(&text, &nowhere, &["does not exist"]);
    let round = link("round", folder.file("round"));
    let text = unavailable(check(&round).expect_err("it leads to itself"));
    assert_says(&text, &round, &["symbolic link"]);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let folder = Folder::new();
    let file = folder.write("store.db", b"");
    permit(&file, 0o666);
    permit(&folder.0, 0o555);
    let text = failed(as_ordinary_user(|| check(&file)).expect_err("the folder is read-only"));
    assert_says(&text, &file, &["the folder", "permission denied", "uid", "change its owner"]);
}

#[test]
fn a_folder_that_cannot_be_entered_is_named() {
    let folder = Folder::new();
    let file = folder.write("store.db", b"");
    permit(&folder.0, 0o444);
    let text = unavailable(as_ordinary_user(|| check(&file)).expect_err("the folder is closed"));
    assert_says(&text, &file, &["permission denied", "uid"]);
    let below = folder.file("below/store.db");
    let text = unavailable(as_ordinary_user(|| check(&below)).expect_err("the folder is closed"));
    assert_says(&text, &below, &["may not be entered", "uid"]);
}

#[test]
fn a_file_that_cannot_be_written_to_or_read_is_named() {
    let folder = Folder::new();
    let file = folder.write("store.db", b"");
    permit(&folder.0, 0o777);
    for mode in [0o444, 0o222, 0] {
        permit(&file, mode);
        let text = failed(as_ordinary_user(|| check(&file)).expect_err("the file is not for all"));
        assert_says(&text, &file, &["can't be read and written", "permission denied", "change its owner"]);
    }
}

#[test]
fn a_companion_that_somebody_else_left_is_named() {
    let folder = Folder::new();
    let file = folder.write("store.db", b"");
    permit(&folder.0, 0o777);
    permit(&file, 0o666);
    for suffix in ["-wal", "-shm"] {
        let companion = folder.write(&format!("store.db{suffix}"), b"");
        permit(&companion, 0o444);
        let text = failed(as_ordinary_user(|| check(&file)).expect_err("the companion is not for all"));
        assert_says(&text, &companion, &["belongs to the SQLite file", "change its owner"]);
        fs::remove_file(companion).expect("it is ours");
    }
}

#[test]
fn a_read_only_mount_is_told_from_a_missing_permission() {
    assert!(refused(Errno::ROFS).contains("mounted read-only; mount it writable"));
    assert!(!refused(Errno::ACCESS).contains("mounted"));
    assert!(refused(Errno::PERM).contains("operation not permitted"));
}

#[cfg(target_os = "linux")]
mod network {
    use super::super::network::linux::{network, network_fuse};

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        let of = |kind| network(kind);
        assert_eq!([0x6969, 0xFF53_4D42, 0x0102_1997].map(of), [Some("NFS"), Some("CIFS"), Some("9P")]);
        let local = [0xEF53, 0x5846_5342, 0x9123_683E, 0x2FC1_2FC1, 0x0102_1994, 0x794C_7630, 0xF2F5_2010, 0x858_4584];
        assert_eq!(local.map(of), [None; 8]);
    }

    #[test]
    fn network_file_systems_behind_a_program_are_known_by_its_name() {
        let mounts = "\
            24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            31 24 0:45 / /mnt/far rw,nosuid master:2 shared:3 - fuse.sshfs user@far:/srv rw,user_id=0\n\
            32 24 0:46 / /mnt/s3 rw,nosuid - fuse s3fs rw,user_id=0\n\
            33 24 0:47 / /mnt/near rw - fuse.fuse-overlayfs fuse-overlayfs rw\n\
            34 24 0:48 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw\n";
        assert_eq!(network_fuse(mounts, 0, 45).as_deref(), Some("sshfs"));
        assert_eq!(network_fuse(mounts, 0, 46).as_deref(), Some("s3fs"));
        assert_eq!(
            [(0, 47), (0, 48), (0, 4), (254, 0)].map(|(major, minor)| network_fuse(mounts, major, minor)),
            [const { None }; 4]
        );
    }
}
