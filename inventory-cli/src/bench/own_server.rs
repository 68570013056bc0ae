//! A server of the bench's own: `inventory serve` as a process beside it, as anybody would run it.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use inventory_net::transport::Address;
use tempfile::TempDir;

/// A running server with demo data in a temporary directory. Both are gone when it is dropped.
#[derive(Debug)]
pub(super) struct OwnServer {
    child: Child,
    /// Kept open: what the server says there it says at its start, and it must not meet a closed pipe.
    _out: BufReader<ChildStdout>,
    address: Address,
    data: TempDir,
}

impl OwnServer {
    /// Starts it and waits until it listens.
    pub(super) fn start() -> anyhow::Result<Self> {
        let parent = directory_on_a_disk()?;
        let data = tempfile::Builder::new().prefix("inventory-bench-").tempdir_in(&parent);
        let data =
            data.with_context(|| format!("cannot make a temporary directory in {}", parent.display()))?;
        let program = env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(program)
            .args(["serve", "--demo-data", "--listen", "tcp://127.0.0.1:0", "--data"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a server")?;
        let out = child.stdout.take().context("the server has no standard output")?;
        let mut out = BufReader::new(out);
        let address = match listening(&mut out) {
            Ok(address) => address,
            Err(error) => {
                // It is of no use any more, and may have ended by itself.
                let _ = child.kill();
                return Err(error.context(format!("the server did not start: {}", child.wait()?)));
            }
        };
        Ok(Self { child, _out: out, address, data })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> &Address {
        &self.address
    }

    /// Where its data is.
    pub(super) fn data(&self) -> &Path {
        self.data.path()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Its data goes as well: nothing is to be saved. One that has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listening(out: &mut BufReader<ChildStdout>) -> anyhow::Result<Address> {
    let mut line = String::new();
    loop {
        line.clear();
        if out.read_line(&mut line).context("cannot read what it says")? == 0 {
            anyhow::bail!("it ended before it listened");
        }
        if let Some(address) = line.trim_end().strip_prefix("listening on ") {
            return Ok(address.parse()?);
        }
    }
}

/// The system's directory for temporary files; if that is in memory, where nothing is durable, the current one.
fn directory_on_a_disk() -> anyhow::Result<PathBuf> {
    let temporary = env::temp_dir();
    if is_in_memory(&temporary) {
        env::current_dir().context("there is no current directory")
    } else {
        Ok(temporary)
    }
}

#[cfg(target_os = "linux")]
fn is_in_memory(directory: &Path) -> bool {
    // statfs(2): TMPFS_MAGIC and RAMFS_MAGIC.
    const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];
    rustix::fs::statfs(directory)
        .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| IN_MEMORY.contains(&kind)))
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_directory: &Path) -> bool {
    false
}
