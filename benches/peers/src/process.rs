//! Servers as child processes, and where they live.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to listen: one that finds millions of items reads them first.
const START_PATIENCE: Duration = Duration::from_mins(2);

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

    /// Asks it to end, and waits until it has done so in good order.
    pub(crate) fn interrupt(&mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::INT)?;
        let status = self.0.wait()?;
        anyhow::ensure!(status.success(), "it ended badly: {status}");
        Ok(())
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

    /// Waits until it has done its work; ends it if it takes longer than this.
    pub(crate) fn wait_for_end(mut self, limit: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => anyhow::bail!("it ended: {status}"),
                None => anyhow::ensure!(began.elapsed() < limit, "it took more than {limit:?}"),
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Processor time that its threads have taken so far, as Linux counts it; threads that have ended are left out.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            // A thread may end meanwhile.
            let Ok(told) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let first = told.split(' ').next().unwrap_or_default();
            nanoseconds += first.parse::<u64>().with_context(|| format!("the kernel says {told:?}"))?;
        }
        Ok(Duration::from_nanos(nanoseconds))
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
