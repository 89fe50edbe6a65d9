//! A small disk of the shop's own, so that it can be full or read-only.

use crate::{
    eventually,
    process::{as_root, on_our_end},
};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command},
};
use tempfile::TempDir;

/// A tmpfs. It is unmounted when it is dropped.
pub struct Disk {
    directory: TempDir,
    leash: Child,
}

impl Disk {
    /// Mounts one of so many MB; none where this process may not mount. In CI it must be able to.
    pub fn mount(megabytes: u32) -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("mealkit-disk-").tempdir().expect("a folder to mount on");
        let options = format!("size={megabytes}m,mode=1777");
        if !run(as_root("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(directory.path())) {
            assert!(std::env::var("CI").is_err(), "in CI the tests must be able to mount a tmpfs, as root or by sudo");
            return None;
        }
        let leash =
            on_our_end("umount -l \"$1\" || sudo -n umount -l \"$1\"; rmdir \"$1\"", &[directory.path().as_os_str()]);
        Some(Self { directory, leash })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut ballast = File::options().append(true).create(true).open(self.ballast()).expect("a ballast file");
        let block = [0; 4096];
        while ballast.write_all(&block).is_ok() {}
    }

    /// Takes away what fills it.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast file can be removed");
    }

    /// Makes it read-only, or writable again. The former waits until nobody has a file of it open for writing.
    pub fn set_read_only(&self, read_only: bool) {
        let options = if read_only { "remount,ro" } else { "remount,rw" };
        eventually(options, || match run(as_root("mount").args(["-o", options]).arg(self.path())) {
            true => Ok(()),
            false => Err(format!("{} is busy", self.path().display())),
        });
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(as_root("umount").arg("-l").arg(self.directory.path()));
        let _ = self.leash.kill();
        let _ = self.leash.wait();
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
