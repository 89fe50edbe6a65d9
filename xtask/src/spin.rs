//! The Spin CLI, if there is one.

use std::{io::ErrorKind, process::Command};

use semver::Version;

/// The oldest Spin that knows what the components are built on (spin-sdk 7, WASI 0.3).
const OLDEST: Version = Version::new(4, 1, 0);

/// Whether the Spin on PATH can run the shop: its version, or why not.
pub fn usable() -> Result<String, String> {
    let output = match Command::new("spin").arg("--version").output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err("there is no `spin` on PATH".to_owned()),
        Err(error) => return Err(format!("`spin --version` did not start: {error}")),
    };
    judge(&String::from_utf8_lossy(&output.stdout))
}

fn judge(output: &str) -> Result<String, String> {
    let version = output.split_whitespace().find_map(|word| Version::parse(word.trim_start_matches('v')).ok());
    match version {
        None => Err(format!("`spin --version` printed no version but `{}`", output.trim())),
        Some(version) if version < OLDEST => {
            Err(format!("the `spin` on PATH is {version}, and the shop needs {OLDEST} or later"))
        }
        Some(version) => Ok(version.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn spin_4_1_and_later_will_do() {
        assert_eq!(judge("spin 4.1.0 (abc 2026-08-01)\n").unwrap(), "4.1.0");
        assert_eq!(judge("spin 4.2.0-pre0 (abc 2026-08-01)").unwrap(), "4.2.0-pre0");
        assert!(judge("spin 10.0.0").is_ok());
    }

    #[test]
    fn an_older_spin_is_named() {
        let reason = judge("spin 3.6.0 (abc 2026-01-01)").unwrap_err();
        assert_eq!(reason, "the `spin` on PATH is 3.6.0, and the shop needs 4.1.0 or later");
        assert!(judge("who knows").unwrap_err().contains("`who knows`"));
    }
}
