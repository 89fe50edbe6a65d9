//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::manifest::Manifest;

/// The workspace, and what its `spin.toml` says.
pub struct Project {
    /// The directory of `spin.toml`.
    pub root: PathBuf,
    /// The manifest of the shop.
    pub manifest: Manifest,
}

impl Project {
    /// Finds the workspace that this program belongs to.
    pub fn find() -> Result<Self> {
        // Set by `cargo run`, and right even if the folder was moved since this program was built.
        let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).parent().context("xtask has no parent folder; run it as `cargo xtask`")?;
        let path = root.join("spin.toml");
        ensure!(path.is_file(), "there is no {}; run `cargo xtask` inside the repository", path.display());
        Ok(Self { root: root.to_path_buf(), manifest: Manifest::read(&path)? })
    }

    /// Where cargo puts what it builds. `spin.toml` names this folder, so `CARGO_TARGET_DIR` does not count.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Where the databases of the shop are, if nobody says otherwise; so does Spin.
    pub fn state(&self) -> PathBuf {
        self.root.join(".spin")
    }

    /// The manifest of the shop.
    pub fn spin_toml(&self) -> PathBuf {
        self.root.join("spin.toml")
    }

    /// The bundled host.
    pub fn host(&self) -> PathBuf {
        self.target().join("release/mealkit-host")
    }

    /// The component that the host is tested and measured with.
    pub fn fixture(&self) -> PathBuf {
        self.target().join("wasm32-wasip2/component/fixture.wasm")
    }

    /// Writes the manifest without Redis, and says where.
    pub fn write_http_manifest(&self) -> Result<PathBuf> {
        let path = self.target().join("spin.http.toml");
        self.manifest.write_http_only(&self.root, &path)?;
        Ok(path)
    }
}
