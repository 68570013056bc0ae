//! Servers as child processes, and where they live.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

/// How long a server may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts it without input; what it prints goes to this file.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let out = std::fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let command = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        Ok(Self(
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?,
        ))
    }

    /// Waits until it listens on this port of the loopback interface.
    pub(crate) fn wait_for_port(&mut self, port: u16) -> anyhow::Result<()> {
        self.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    /// Waits until it serves.
    pub(crate) fn wait_until(&mut self, mut serves: impl FnMut() -> bool) -> anyhow::Result<()> {
        let began = Instant::now();
        while !serves() {
            if let Some(status) = self.0.try_wait()? {
                anyhow::bail!("it ended at its start: {status}");
            }
            anyhow::ensure!(began.elapsed() < START_PATIENCE, "it does not serve");
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A temporary directory on the disk that holds the build, where the system's own may be in memory.
pub(crate) fn disk_dir() -> anyhow::Result<TempDir> {
    let build = std::env::current_exe()?;
    let build = build.parent().context("this program lies in no directory")?;
    tempfile::Builder::new().prefix("peers-").tempdir_in(build).context("cannot make a temporary directory")
}

/// Where a program is: what this environment variable names, or the first of that name in these directories or in
/// those of PATH.
pub(crate) fn find_program(variable: &str, name: &str, directories: &[&str]) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = directories.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    places.map(|directory| directory.join(name)).find(|program| program.is_file())
}
