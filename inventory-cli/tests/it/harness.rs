//! A server and clients as processes, in one temporary directory.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const TISSUES: &str = "036000291452";
pub(crate) const BANANAS: &str = "012345678905";

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn shows(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The command with nothing of the caller's environment.
pub(crate) fn inventory(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    clean(&mut command, home);
    command
}

pub(crate) fn clean(command: &mut Command, home: &Path) {
    command.env_clear().env("HOME", home).current_dir(home).stdin(Stdio::null());
}

/// Runs a command to its end, with these lines on its standard input.
pub(crate) fn piped(mut command: Command, lines: &str) -> Ran {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command may end without reading everything.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// A directory with a server's data and its clients' states.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// An address that stays the same when the server is started again.
    pub(crate) fn socket(&self) -> String {
        format!("unix://{}", self.path().join("s").display())
    }

    /// A server with demo data on the socket.
    pub(crate) fn serve(&self) -> Server {
        let socket = self.socket();
        Server::start(self.serve_command(&["--demo-data", "--listen", &socket])).unwrap()
    }

    pub(crate) fn serve_command(&self, args: &[&str]) -> Command {
        let mut command = inventory(self.path());
        command.arg("serve").arg("--data").arg(self.data()).args(args);
        command
    }

    /// A server with its data on a disk of 20 MiB, of which a ballast takes 13: room for one segment of 4 MiB. The disk is
    /// the server's own, in a mount namespace. Needs `unshare` (util-linux), and root or user namespaces.
    pub(crate) fn on_a_small_disk(&self, command_before_data: &str) -> Command {
        let data = self.data();
        fs::create_dir(&data).unwrap();
        let data = data.display();
        let script = format!(
            "mount -t tmpfs -o size=20m,mode=700 tmpfs {data} && head -c 13631488 /dev/zero > {data}/ballast && \
             exec {} {command_before_data} {data}",
            env!("CARGO_BIN_EXE_inventory"),
        );
        let mut command = Command::new("unshare");
        clean(&mut command, self.path());
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--mount", "sh", "-c", &script]);
        command
    }

    /// A client of the server on the socket.
    pub(crate) fn client(&self, name: &str) -> Client {
        Client { home: self.path().join(name), server: self.socket() }.made()
    }

    /// A client that is logged in as this demo user.
    pub(crate) fn logged_in(&self, user: &str) -> Client {
        let client = self.client(user);
        client.log_in(user).exits(0);
        client
    }
}

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    err: File,
    /// What it printed before it listened, and the addresses it listens on.
    pub(crate) before: Vec<String>,
    pub(crate) listening: Vec<String>,
}

impl Server {
    /// Starts a server and waits until it listens; gives what it did if it does not.
    pub(crate) fn start(mut command: Command) -> Result<Self, Ran> {
        let wanted = command.get_args().filter(|arg| *arg == OsStr::new("--listen")).count().max(1);
        // A file, because a log that nobody reads fills a pipe.
        let mut err = tempfile::tempfile().unwrap();
        command.stdout(Stdio::piped()).stderr(err.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut before, mut listening) = (Vec::new(), Vec::new());
        while listening.len() < wanted {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap() == 0 {
                let code = child.wait().unwrap().code().unwrap_or(-1);
                return Err(Ran { code, out: before.join("\n"), err: written(&mut err) });
            }
            let line = line.trim_end();
            match line.strip_prefix("listening on ") {
                Some(address) => listening.push(address.to_owned()),
                None => before.push(line.to_owned()),
            }
        }
        Ok(Self { child, out, err, before, listening })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// As a power loss would: no chance to do anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it says this on standard error.
    pub(crate) fn wait_until_it_tells(&self, text: &str) {
        while !self.has_told(text) {
            std::thread::yield_now();
        }
    }

    /// Whether it has said this on standard error.
    pub(crate) fn has_told(&self, text: &str) -> bool {
        // Not by reading on: the server writes at the same offset.
        let mut bytes = vec![0; usize::try_from(self.err.metadata().unwrap().len()).unwrap()];
        self.err.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8_lossy(&bytes).contains(text)
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ran {
        let mut out = String::new();
        self.out.read_to_string(&mut out).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ran { code, out, err: written(&mut self.err) }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(self) -> Ran {
        self.signal(Signal::TERM);
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn written(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// A client with its own state.
pub(crate) struct Client {
    pub(crate) home: PathBuf,
    pub(crate) server: String,
}

impl Client {
    fn made(self) -> Self {
        fs::create_dir_all(&self.home).unwrap();
        self
    }

    pub(crate) fn at(self, server: &str) -> Self {
        Self { server: server.to_owned(), ..self }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.home.join("state")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = inventory(&self.home);
        command.args(args).env("INVENTORY_STATE", self.state()).env("INVENTORY_SERVER", &self.server);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// With this password in the environment.
    pub(crate) fn run_with(&self, password: &str, args: &[&str]) -> Ran {
        self.command(args).env("INVENTORY_PASSWORD", password).output().unwrap().into()
    }

    pub(crate) fn log_in(&self, user: &str) -> Ran {
        self.run_with(&format!("{user}-demo"), &["login", user])
    }

    /// Units available of an item.
    #[track_caller]
    pub(crate) fn available(&self, upc: &str) -> u64 {
        self.run(&["stock", upc, "--format", "json"]).exits(0).json()[0]["available"].as_u64().unwrap()
    }

    /// Units held of an item.
    #[track_caller]
    pub(crate) fn held(&self, upc: &str) -> u64 {
        let mine = self.run(&["mine", "--format", "json"]).exits(0).json();
        let rows = mine.as_array().unwrap();
        rows.iter().find(|row| row["upc"] == upc).map_or(0, |row| row["units"].as_u64().unwrap())
    }

    /// The files below its state with this in their names.
    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut dirs = vec![self.state()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.file_name().unwrap().to_str().unwrap().contains(part) {
                    found.push(path);
                }
            }
        }
        found
    }
}
