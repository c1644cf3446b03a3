//! Which files are on a network file system.
//!
//! SQLite needs locks that hold and memory that every process on the file shares. A network file system gives neither to
//! processes on two machines.

use std::path::Path;

/// The name of the network file system that a path is on; `None` for a local one, or one that can't be told.
#[cfg(target_os = "linux")]
pub(super) fn name(path: &Path) -> Option<String> {
    linux::name(path)
}

/// The name of the network file system that a path is on: elsewhere than on Linux it is not told.
#[cfg(not(target_os = "linux"))]
pub(super) fn name(_path: &Path) -> Option<String> {
    None
}

#[cfg(target_os = "linux")]
pub(super) mod linux {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// A file system that some program serves: a local one or a network's. Its mount has the program's name.
    const FUSE: u32 = 0x6573_5546;

    /// See statfs(2).
    const NETWORK: [(u32, &str); 15] = [
        (0x6969, "NFS"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x517B, "SMB"),
        (0x5346_414F, "AFS"),
        (0x6B41_4653, "AFS"),
        (0x00C3_6400, "Ceph"),
        (0x0102_1997, "9P"),
        (0x0BD0_0BD0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x7375_7245, "Coda"),
        (0x564C, "NCP"),
        (0x0116_1970, "GFS2"),
        (0x7461_636F, "OCFS2"),
        (0x1983_0326, "BeeGFS"),
    ];

    /// Programs that serve a network's files through FUSE.
    const NETWORK_FUSE: [&str; 14] = [
        "sshfs",
        "s3fs",
        "gcsfuse",
        "rclone",
        "glusterfs",
        "ceph",
        "juicefs",
        "davfs",
        "davfs2",
        "goofys",
        "mount-s3",
        "blobfuse",
        "blobfuse2",
        "curlftpfs",
    ];

    pub(super) fn name(path: &Path) -> Option<String> {
        let kind = kernel_word(rustix::fs::statfs(path).ok()?.f_type);
        if kind == FUSE {
            let device = fs::metadata(path).ok()?.dev();
            let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
            return network_fuse(&mounts, rustix::fs::major(device), rustix::fs::minor(device));
        }
        network(kind).map(Into::into)
    }

    /// The low half of the word, however wide and whether signed or not it is on this machine.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "only these bits are the number")]
    fn kernel_word(word: rustix::fs::FsWord) -> u32 {
        word as u32
    }

    pub(in super::super) fn network(kind: u32) -> Option<&'static str> {
        NETWORK.iter().find(|&&(magic, _)| magic == kind).map(|&(_, name)| name)
    }

    /// The network program that serves this device, in the words of `/proc/self/mountinfo`: the device is the third field,
    /// the kind follows the lone dash as `fuse.sshfs`, and the source follows the kind.
    pub(in super::super) fn network_fuse(mounts: &str, major: u32, minor: u32) -> Option<String> {
        let device = format!("{major}:{minor}");
        let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some(&device))?;
        let mut fields = mount.split_once(" - ")?.1.split(' ');
        let (kind, source) = (fields.next()?, fields.next()?);
        let program = kind.strip_prefix("fuse.").unwrap_or(source);
        NETWORK_FUSE.contains(&program).then(|| program.into())
    }
}
