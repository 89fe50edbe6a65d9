//! What components print: line by line on the console, with the component's name, and in a file for each.
//!
//! A thread of its own writes, so that no guest waits for a disk or a terminal.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// Where the lines of all components go.
#[derive(Clone)]
pub struct Logs {
    lines: Sender<Message>,
}

enum Message {
    Line { component: Arc<str>, stream: Stream, text: String },
    Host(String),
    Flush(SyncSender<()>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Stream {
    Stdout,
    Stderr,
}

impl Logs {
    /// Starts the writer. `quiet`: files only, nothing of the components on the console.
    pub fn start(directory: &Path, quiet: bool) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("the directory {} cannot be made", directory.display()))?;
        let (sender, receiver) = channel();
        let directory = directory.to_path_buf();
        std::thread::Builder::new()
            .name("logs".to_string())
            .spawn(move || Writer { directory, quiet, files: HashMap::new() }.run(&receiver))?;
        Ok(Self { lines: sender })
    }

    /// Something that the host itself has to say; on stderr, also when quiet.
    pub fn say(&self, text: impl Into<String>) {
        let _ = self.lines.send(Message::Host(text.into()));
    }

    /// The standard output of an instance of a component.
    pub fn stdout(&self, component: &Arc<str>) -> LogStream {
        self.stream(component, Stream::Stdout)
    }

    /// The standard error of an instance of a component.
    pub fn stderr(&self, component: &Arc<str>) -> LogStream {
        self.stream(component, Stream::Stderr)
    }

    fn stream(&self, component: &Arc<str>, stream: Stream) -> LogStream {
        LogStream(Arc::new(Mutex::new(LineBuffer {
            logs: self.clone(),
            component: component.clone(),
            stream,
            line: Vec::new(),
        })))
    }

    /// Waits until everything said so far is written.
    pub fn flush(&self) {
        let (sender, receiver) = sync_channel(1);
        if self.lines.send(Message::Flush(sender)).is_ok() {
            let _ = receiver.recv_timeout(Duration::from_secs(1));
        }
    }
}

struct Writer {
    directory: PathBuf,
    quiet: bool,
    files: HashMap<(Arc<str>, Stream), Option<File>>,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        // A closed console or a full disk must not stop the shop: what cannot be written is lost.
        for message in messages {
            match message {
                Message::Line { component, stream, text } => {
                    if !self.quiet {
                        let line = format!("[{component}] {text}\n");
                        let _ = match stream {
                            Stream::Stdout => std::io::stdout().lock().write_all(line.as_bytes()),
                            Stream::Stderr => std::io::stderr().lock().write_all(line.as_bytes()),
                        };
                    }
                    if let Some(file) = self.file(component, stream) {
                        let _ = file.write_all(format!("{text}\n").as_bytes());
                    }
                }
                Message::Host(text) => {
                    let _ = writeln!(std::io::stderr().lock(), "{text}");
                }
                Message::Flush(done) => {
                    let _ = std::io::stdout().lock().flush();
                    let _ = done.send(());
                }
            }
        }
    }

    fn file(&mut self, component: Arc<str>, stream: Stream) -> Option<&mut File> {
        let suffix = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let path = self.directory.join(format!("{component}_{suffix}.txt"));
        self.files
            .entry((component, stream))
            .or_insert_with(|| OpenOptions::new().create(true).append(true).open(path).ok())
            .as_mut()
    }
}

/// One output of one instance; whole lines are passed on.
#[derive(Clone)]
pub struct LogStream(Arc<Mutex<LineBuffer>>);

struct LineBuffer {
    logs: Logs,
    component: Arc<str>,
    stream: Stream,
    line: Vec<u8>,
}

impl LineBuffer {
    fn write(&mut self, mut bytes: &[u8]) {
        while let Some((line, rest)) =
            bytes.iter().position(|b| *b == b'\n').and_then(|end| bytes.split_at_checked(end))
        {
            self.line.extend_from_slice(line);
            self.pass_on();
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.line.extend_from_slice(bytes);
    }

    fn pass_on(&mut self) {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        let _ = self.logs.lines.send(Message::Line { component: self.component.clone(), stream: self.stream, text });
    }
}

impl Drop for LineBuffer {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.pass_on();
        }
    }
}

impl LogStream {
    fn write_now(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes);
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_now(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 * 1024)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.write_now(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
