//! What the host counts, always: how often guests use their databases, and how often that waits for the disk. With `--metrics`
//! it is told in Prometheus' text format; `cargo xtask bench` reads it there.

use std::{
    convert::Infallible,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rusqlite::Connection;
use tokio::net::TcpListener;

/// Something that is counted from the start of the host.
pub struct Counter {
    name: &'static str,
    help: &'static str,
    count: AtomicU64,
}

/// Opened by guests.
pub static CONNECTIONS: Counter =
    Counter::new("sqlite_connections_total", "Connections to a database that guests opened");
/// Started by guests, those that were refused as locked too.
pub static STATEMENTS: Counter = Counter::new("sqlite_statements_total", "Statements that guests started");
static COMMITS: Counter = Counter::new("sqlite_commits_total", "Transactions that wrote to a file and were committed");
static SYNCS: Counter = Counter::new("sqlite_syncs_total", "Waits of SQLite until a file was on the disk");

impl Counter {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, count: AtomicU64::new(0) }
    }

    /// One more.
    pub fn count(&self) {
        self.count.fetch_add(1, Relaxed);
    }
}

/// Counts what is committed on this connection.
pub fn count_commits(connection: &mut Connection) -> rusqlite::Result<()> {
    let commit = || {
        COMMITS.count();
        false
    };
    connection.commit_hook(Some(commit))
}

/// Tells whoever asks, whatever the path.
pub async fn serve(listener: TcpListener) {
    let answer = async |_| {
        let mut response = Response::new(Full::new(Bytes::from(text())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
        Ok::<_, Infallible>(response)
    };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

fn text() -> String {
    let mut text = String::new();
    for Counter { name, help, count } in [&CONNECTIONS, &STATEMENTS, &COMMITS, &SYNCS] {
        let count = count.load(Relaxed);
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}\n");
    }
    text
}

/// SQLite's file system with a sync that is counted. SQLite has no hook for it but this: a file system of one's own. Syncs of a
/// directory, where a rollback journal comes or goes, are not among them; databases in WAL mode make none.
#[expect(unsafe_code, reason = "SQLite's file systems are tables of C functions")]
pub mod syncs {
    use std::{
        ffi::{c_char, c_int},
        ptr,
        sync::{Mutex, OnceLock, PoisonError},
    };

    use anyhow::{Context, Result, ensure};
    use rusqlite::ffi::{
        SQLITE_CANTOPEN, SQLITE_OK, sqlite3_file, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
        sqlite3_vfs_register,
    };

    type Open = unsafe extern "C" fn(*mut sqlite3_vfs, *const c_char, *mut sqlite3_file, c_int, *mut c_int) -> c_int;
    type Sync = unsafe extern "C" fn(*mut sqlite3_file, c_int) -> c_int;

    /// How SQLite's own file system opens a file.
    static OPEN: OnceLock<Open> = OnceLock::new();

    /// The methods of files that were met so far. SQLite has a few tables of them: files with locks, files without.
    static KNOWN: Mutex<Vec<&Methods>> = Mutex::new(Vec::new());

    /// The methods of a file, with a sync that is counted. SQLite sees the first field only.
    #[repr(C)]
    struct Methods {
        counting: sqlite3_io_methods,
        own_sync: Sync,
        /// Where SQLite's own table is.
        own: usize,
    }

    impl Methods {
        fn of(own: &'static sqlite3_io_methods) -> Option<&'static Self> {
            let (at, own_sync) = (ptr::from_ref(own).addr(), own.xSync?);
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(methods) = known.iter().find(|methods| methods.own == at) {
                return Some(methods);
            }
            let counting = sqlite3_io_methods { xSync: Some(sync), ..*own };
            let methods: &Self = Box::leak(Box::new(Self { counting, own_sync, own: at }));
            known.push(methods);
            Some(methods)
        }
    }

    /// Counts them from now on. To be called once, before the first database is opened.
    pub fn count() -> Result<()> {
        // SAFETY: SQLite's file system is there until the process ends, and nobody changes it.
        let own = unsafe { sqlite3_vfs_find(ptr::null()).as_ref() }.context("SQLite has no file system")?;
        let _ = OPEN.set(own.xOpen.context("SQLite's file system opens no files")?);
        let counting = sqlite3_vfs { xOpen: Some(open), zName: c"counting".as_ptr(), pNext: ptr::null_mut(), ..*own };
        // SAFETY: It is leaked, so it is there until the process ends; all that it points to is, too.
        let registered = unsafe { sqlite3_vfs_register(Box::leak(Box::new(counting)), 1) };
        ensure!(registered == SQLITE_OK, "SQLite takes no other file system ({registered})");
        Ok(())
    }

    unsafe extern "C" fn open(
        vfs: *mut sqlite3_vfs,
        name: *const c_char,
        file: *mut sqlite3_file,
        flags: c_int,
        flags_out: *mut c_int,
    ) -> c_int {
        let Some(open) = OPEN.get() else { return SQLITE_CANTOPEN };
        // SAFETY: The arguments are SQLite's. `vfs` is ours, but for its name and this function a copy of SQLite's own.
        let code = unsafe { open(vfs, name, file, flags, flags_out) };
        // SAFETY: SQLite's `open` has set the methods: to null when it failed, or else to a table that is always there.
        let own: Option<&'static sqlite3_io_methods> = unsafe { (*file).pMethods.as_ref() };
        if let Some(methods) = own.and_then(Methods::of) {
            // SAFETY: As above; they are the methods of this file, but for one.
            unsafe { (*file).pMethods = ptr::from_ref(methods).cast() };
        }
        code
    }

    unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
        super::SYNCS.count();
        // SAFETY: SQLite calls this by the methods that `open` has set, which are the first field of a `Methods`; and the
        // arguments are those with which it would have called its own.
        unsafe {
            let methods: *const Methods = (*file).pMethods.cast();
            ((*methods).own_sync)(file, flags)
        }
    }
}
