//! PostgreSQL as it comes, fsync and synchronous commits included, and functions that make purchases happen once in
//! one round trip: the order's key is the primary key of a table.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use bytes::{Buf as _, BufMut as _, BytesMut};
use inventory_load::workload::{Picker, Skew};
use inventory_load::{Answer, Exchange, Lane, LoadError, Outcome};
use inventory_net::transport::{Address, Stream, connect};
use rustix::process::getuid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use super::{BOUGHT, InOrder, new_key};
use crate::process::{Process, find_program, free_port};
use crate::sample::Sample;

/// Where Debian keeps the server's programs.
const DIRECTORIES: [&str; 4] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
];
/// Rows of a bulk statement.
pub(crate) const ROWS: u32 = 1_000;

/// The order is kept first: its row is nobody else's, and the item's row is locked for as short as can be. Pages of
/// items keep room for new versions of their rows.
const SCHEMA: &str = "
create table items (item bigint primary key, on_hand bigint not null check (on_hand >= 0)) with (fillfactor = 50);
create table orders (key uuid primary key, item bigint not null, units bigint not null, accepted boolean not null);
create function purchase(k uuid, i bigint, n bigint) returns boolean language plpgsql as $$
begin
  insert into orders values (k, i, n, true) on conflict do nothing;
  if not found then
    return (select accepted from orders where key = k);
  end if;
  update items set on_hand = on_hand - n where item = i and on_hand >= n;
  if not found then
    update orders set accepted = false where key = k;
    return false;
  end if;
  return true;
end $$;
create function purchase_many(ks uuid[], rows bigint[]) returns boolean language sql as $$
  with fresh as (
    insert into orders select k, i, 1, true from unnest(ks, rows) as wanted(k, i) on conflict do nothing returning item, units
  ), sums as (select item, sum(units) as units from fresh group by item)
  update items set on_hand = on_hand - sums.units from sums where items.item = sums.item;
  select true
$$;
";

/// A running PostgreSQL with the items.
pub(crate) struct Postgres {
    _process: Process,
    /// Units of all purchases that it said were made.
    pub(crate) sold: u64,
    programs: PathBuf,
    dir: PathBuf,
    port: u16,
    address: Address,
    items: u64,
}

impl Postgres {
    pub(crate) fn start(_runtime: &Runtime, dir: &Path, items: u64) -> anyhow::Result<Self> {
        let initdb = find_program("INITDB", "initdb", &DIRECTORIES).context("PostgreSQL is not installed")?;
        let programs = initdb.parent().context("initdb lies in no directory")?.to_owned();
        let (dir, port) = (dir.join("postgres"), free_port()?);
        std::fs::create_dir(&dir)?;
        if getuid().is_root() {
            done(Command::new("chown").arg("postgres").arg(&dir))?;
            // The server's user must reach its directory.
            for above in dir.ancestors().skip(1) {
                let reaches = unprivileged("test".as_ref()).arg("-x").arg(above).status()?.success();
                anyhow::ensure!(
                    reaches,
                    "the user postgres may not enter {}: start as another user",
                    above.display()
                );
            }
        }
        let data = dir.join("data");
        let options = ["--auth", "trust", "--username", "bench", "--encoding", "UTF8", "--locale", "C"];
        done(unprivileged(&initdb).args(options).arg(&data))?;
        let mut server = unprivileged(&programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        // Room for what a run writes: checkpoints in the middle of a round would count against it.
        for setting in
            ["shared_buffers=256MB", "max_wal_size=8GB", "checkpoint_timeout=30min", "max_connections=120"]
        {
            server.args(["-c", setting]);
        }
        let mut process = Process::start(&mut server, &dir.with_extension("log"))?;
        // It listens before it serves.
        let mut is_ready = Command::new(programs.join("pg_isready"));
        is_ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        process.wait_until(|| is_ready.status().is_ok_and(|status| status.success()))?;
        let address = format!("tcp://127.0.0.1:{port}").parse()?;
        let this = Self { _process: process, sold: 0, programs, dir, port, address, items };
        let fill = format!(
            "{SCHEMA} insert into items select i, 1000000000000 from generate_series(0, {items} - 1) i"
        );
        done(this.client("psql").args(["-q", "-v", "ON_ERROR_STOP=1", "-c", &fill, "-c", "vacuum analyze"]))?;
        Ok(this)
    }

    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "bench", "-d", "postgres"]);
        command
    }

    /// Connections that are ready to buy: one a statement, or [`ROWS`] of them.
    pub(crate) async fn lanes(
        &self,
        connections: usize,
        skew: Skew,
        rows: u32,
    ) -> anyhow::Result<Vec<Lane<Statements>>> {
        let mut lanes = Vec::new();
        for number in 0..connections {
            let mut stream = connect(&self.address).await?;
            prepare(&mut *stream, rows).await?;
            let picker = Picker::new(skew, self.items, number as u64);
            let exchange = Statements { picker, in_order: InOrder::default(), rows, key: new_key()? };
            lanes.push(Lane { stream, exchange });
        }
        Ok(lanes)
    }

    /// The same purchases by PostgreSQL's own load generator, which says whether ours holds it back.
    pub(crate) fn own_benchmark(&mut self, seconds: u64, hot: bool) -> anyhow::Result<Sample> {
        let last = if hot { 0 } else { self.items.saturating_sub(1) };
        let script = self.dir.with_extension("pgbench");
        std::fs::write(
            &script,
            format!("\\set i random(0, {last})\nselect purchase(gen_random_uuid(), :i, 1)\n"),
        )?;
        let output = Command::new(self.programs.join("pgbench"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "bench", "-n", "-M", "prepared"])
            .args(["-c", "50", "-j", "1", "-T", &seconds.to_string(), "-f"])
            .arg(&script)
            .arg("postgres")
            .output()
            .context("pgbench is not installed")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let told = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)?.split(' ').next());
        let per_s = told("tps = ").and_then(|per_s| per_s.parse().ok());
        let bought =
            told("number of transactions actually processed: ").and_then(|bought| bought.parse::<u64>().ok());
        let (per_s, bought) = per_s.zip(bought).with_context(|| format!("pgbench says {text:?}"))?;
        self.sold += bought;
        Ok(Sample::rate(per_s))
    }

    /// Fails unless an order that is repeated has the outcome that it had, and as many units are gone as were sold.
    pub(crate) fn check(mut self) -> anyhow::Result<()> {
        let (accepted, refused, many) = (new_key()?, new_key()?, [new_key()?, new_key()?, new_key()?]);
        let many = many.map(|key| format!("'{}'", uuid(key))).join(", ");
        for (sold, outcome, purchase) in [
            (1, "t", format!("purchase('{}', 0, 1)", uuid(accepted))),
            (0, "f", format!("purchase('{}', 0, 2000000000000)", uuid(refused))),
            (3, "t", format!("purchase_many(array[{many}]::uuid[], array[0, 1, 1])")),
        ] {
            for _ in 0..3 {
                let answer = self.answer(&format!("select {purchase}"))?;
                anyhow::ensure!(answer == outcome, "{purchase}: {answer} instead of {outcome}");
            }
            self.sold += sold;
        }
        let gone = self.answer("select sum(1000000000000 - on_hand) from items")?;
        anyhow::ensure!(
            gone == self.sold.to_string(),
            "{} units were sold and {gone} are gone: no figures",
            self.sold
        );
        Ok(())
    }

    /// The one value that a statement gives.
    fn answer(&self, statement: &str) -> anyhow::Result<String> {
        done(self.client("psql").args(["-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement]))
    }
}

/// A command as the user postgres if this is root: PostgreSQL does not run as root.
fn unprivileged(program: &Path) -> Command {
    if !getuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program).current_dir("/");
    command
}

/// Runs it to its end; gives what it printed.
fn done(command: &mut Command) -> anyhow::Result<String> {
    let output =
        command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), told.trim());
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The object ids of types in the catalogue.
const BIGINT: u32 = 20;
const UUID: u32 = 2950;
const BIGINT_ARRAY: u32 = 1016;
const UUID_ARRAY: u32 = 2951;

/// Starts a session and prepares the statement (PostgreSQL's protocol 3.0).
async fn prepare(stream: &mut dyn Stream, rows: u32) -> anyhow::Result<()> {
    let mut out = BytesMut::new();
    let start = out.len();
    out.put_u32(0);
    out.put_u32(3 << 16);
    out.put_slice(b"user\0bench\0database\0postgres\0\0");
    set_length(&mut out, start);
    stream.write_all(&out).await?;
    until_ready(stream).await?;

    out.clear();
    message(&mut out, b'P', |out| {
        let (statement, types): (&[u8], &[u32]) = if rows == 1 {
            (b"select purchase($1, $2, 1)\0", &[UUID, BIGINT])
        } else {
            (b"select purchase_many($1, $2)\0", &[UUID_ARRAY, BIGINT_ARRAY])
        };
        out.put_slice(b"p\0");
        out.put_slice(statement);
        out.put_u16(2);
        for kind in types {
            out.put_u32(*kind);
        }
    });
    message(&mut out, b'S', |_| {});
    stream.write_all(&out).await?;
    until_ready(stream).await
}

/// Reads until the server waits for a command.
async fn until_ready(stream: &mut dyn Stream) -> anyhow::Result<()> {
    loop {
        let kind = stream.read_u8().await?;
        let length = usize::try_from(stream.read_u32().await?)?.saturating_sub(4);
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        match kind {
            b'E' => anyhow::bail!("PostgreSQL says {:?}", String::from_utf8_lossy(&body)),
            b'Z' => return Ok(()),
            _ => {}
        }
    }
}

fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let start = out.len();
    out.put_u32(0);
    body(out);
    set_length(out, start);
}

/// Fills in the length of everything from `start` on.
fn set_length(out: &mut BytesMut, start: usize) {
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
        *place = length.to_be_bytes();
    }
}

/// As SQL has it, without the dashes.
fn uuid(key: u128) -> String {
    format!("{key:032x}")
}

/// Executions of the prepared statement, with parameters in binary.
#[derive(Debug)]
pub(crate) struct Statements {
    picker: Picker,
    in_order: InOrder,
    rows: u32,
    /// Random at first, and counted up: keys that follow each other are what an index likes best.
    key: u128,
}

impl Statements {
    fn next_key(&mut self) -> u128 {
        self.key = self.key.wrapping_add(1);
        self.key
    }

    fn next_item(&mut self) -> i64 {
        i64::try_from(self.picker.next_item()).unwrap_or(i64::MAX)
    }

    fn parameters(&mut self, out: &mut BytesMut) {
        if self.rows == 1 {
            out.put_u32(16);
            out.put_u128(self.next_key());
            out.put_u32(8);
            out.put_i64(self.next_item());
            return;
        }
        self.array(out, UUID, 16, |this, out| out.put_u128(this.next_key()));
        self.array(out, BIGINT, 8, |this, out| out.put_i64(this.next_item()));
    }

    /// One dimension of so many elements, without nulls, numbered from 1.
    fn array(
        &mut self,
        out: &mut BytesMut,
        kind: u32,
        bytes: u32,
        mut element: impl FnMut(&mut Self, &mut BytesMut),
    ) {
        const HEADER_BYTES: u32 = 20;
        out.put_u32(HEADER_BYTES + self.rows * (4 + bytes));
        for number in [1, 0, kind, self.rows, 1] {
            out.put_u32(number);
        }
        for _ in 0..self.rows {
            out.put_u32(bytes);
            element(self, out);
        }
    }
}

impl Exchange for Statements {
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError> {
        self.in_order.sent(slot);
        message(out, b'B', |out| {
            // The unnamed portal of the statement `p`; all parameters in binary; results in binary.
            out.put_slice(b"\0p\0\0\x01\0\x01\0\x02");
            self.parameters(out);
            out.put_slice(b"\0\x01\0\x01");
        });
        message(out, b'E', |out| out.put_slice(b"\0\0\0\0\0"));
        message(out, b'S', |_| {});
        Ok(())
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError> {
        loop {
            let Some(([kind], length)) = input.get(..5).and_then(|head| head.split_first_chunk::<1>()) else {
                return Ok(None);
            };
            let length = length.iter().fold(0usize, |length, byte| (length << 8) | usize::from(*byte));
            let (kind, Some(body)) = (*kind, input.get(5..length.saturating_add(1))) else { return Ok(None) };
            // A row of one column of one byte: the outcome.
            let refused = kind == b'D' && body != b"\0\x01\0\0\0\x01\x01";
            if kind == b'E' || refused {
                return Err(LoadError::Unexpected(String::from_utf8_lossy(body).into_owned()));
            }
            input.advance(length.saturating_add(1));
            if kind == b'Z' {
                let rows = u64::from(self.rows);
                let bulk = Outcome::Bought { purchases: rows, units: rows, refused: 0 };
                let outcome = if self.rows == 1 { BOUGHT } else { bulk };
                return Ok(Some(Answer { slot: self.in_order.answered()?, outcome }));
            }
        }
    }
}
