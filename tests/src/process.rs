//! Processes that end with us, whatever happens to us.

use std::{
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

/// A process on a leash. What it prints goes to a file.
pub(crate) struct Process {
    child: Child,
    leash: Child,
    output: PathBuf,
}

impl Process {
    /// Starts it, with what it prints in a file of this folder.
    pub(crate) fn start(command: &mut Command, folder: &Path, output: &str) -> Self {
        let output = &folder.join(output);
        let file =
            || -> File { OpenOptions::new().create(true).append(true).open(output).expect("a file for the output") };
        let child = command.stdin(Stdio::null()).stdout(file()).stderr(file()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?} cannot be started: {error}", command.get_program()));
        Self { leash: leash(child.id(), folder), child, output: output.to_owned() }
    }

    /// What it has printed so far.
    pub(crate) fn output(&self) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&self.output) {
            let _ = file.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a process")
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        self.child.wait().expect("the end of a process")
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The leash first: later the number may be another process's.
        let _ = self.leash.kill();
        let _ = self.leash.wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that only root may run: through `sudo` when we are not root ourselves.
pub fn as_root(program: &str) -> Command {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|us| us.uid() == 0);
    let mut command = Command::new(if is_root { program } else { "sudo" });
    if !is_root {
        command.args(["-n", program]);
    }
    command
}

/// Kills the process when we are gone, and clears up: then the leash's standard input ends. Shared shops live in statics,
/// which Rust does not drop, and a test run may be killed.
fn leash(process: u32, folder: &Path) -> Child {
    on_our_end("kill -9 \"$1\"; rm -rf \"$2\"", &[process.to_string().as_ref(), folder.as_os_str()])
}

/// Runs this in a shell when we are gone, however we went. Whoever kills what is returned calls it off.
pub(crate) fn on_our_end(script: &str, arguments: &[&OsStr]) -> Child {
    Command::new("sh")
        .args(["-c", &format!("trap '' INT TERM; read _; {script}"), "leash"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}
