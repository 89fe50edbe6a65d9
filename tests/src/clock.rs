//! A clock that can be set while the shop runs: Debian's libfaketime.

use std::{ffi::OsString, path::PathBuf};
use tempfile::TempDir;

/// What time it is for the app's processes. It stays the system's clock; it is only off by some hours.
pub struct Clock {
    library: PathBuf,
    directory: TempDir,
}

impl Clock {
    /// One that is right; none where libfaketime is not installed. In CI it must be.
    pub fn find() -> Option<Self> {
        let libraries = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .map(|machine| PathBuf::from(format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1")));
        let library = libraries.into_iter().find(|library| library.is_file());
        assert!(
            library.is_some() || std::env::var("CI").is_err(),
            "in CI the Debian package `faketime` must be installed"
        );
        let directory = tempfile::Builder::new().prefix("mealkit-clock-").tempdir().expect("a folder for the clock");
        let clock = Self { library: library?, directory };
        clock.set(0);
        Some(clock)
    }

    /// What a process needs in its environment to go by this clock.
    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().into()),
            // Time-outs must not jump with it.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
        ]
    }

    /// So many hours off from now on (within a second).
    pub fn set(&self, hours: i32) {
        // Not written in place: a process may read it at this moment.
        let new = self.directory.path().join("new");
        std::fs::write(&new, format!("{hours:+}h\n")).expect("the clock's file");
        std::fs::rename(new, self.file()).expect("the clock's file");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }
}
