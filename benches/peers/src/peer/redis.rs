//! Redis with every write synced, and a script that makes a purchase happen once: it looks for the order's id, takes the
//! units and keeps the id with the outcome.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use inventory_load::workload::{Picker, Skew};
use inventory_load::{Answer, Exchange, Lane, LoadError};
use inventory_net::transport::{Address, connect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

use super::{BOUGHT, InOrder};
use crate::process::{Process, find_program, free_port};
use crate::sample::Sample;

/// Order ids are kept for ever: dropping old ones would cost Redis more.
const PURCHASE: &str = "\
local done = redis.call('GET', KEYS[2]) \
if done then return tonumber(done) end \
local left = tonumber(redis.call('GET', KEYS[1])) \
local units = tonumber(ARGV[1]) \
if not left or left < units then units = -1 else redis.call('DECRBY', KEYS[1], units) end \
redis.call('SET', KEYS[2], units) \
return units";

/// How many orders redis-benchmark tells apart: it reads this as 32 bits, and as none if there are more.
const ORDERS: &str = "2000000000";

/// A running Redis with the items.
pub(crate) struct Redis {
    _process: Process,
    port: u16,
    address: Address,
    /// What the server calls the script.
    script: String,
    items: u64,
}

impl Redis {
    pub(crate) fn start(runtime: &Runtime, dir: &Path, items: u64) -> anyhow::Result<Self> {
        let program =
            find_program("REDIS_SERVER", "redis-server", &[]).context("redis-server is not installed")?;
        let (data, port) = (dir.join("redis"), free_port()?);
        std::fs::create_dir(&data)?;
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(&data);
        // A rewrite of its log in the middle of a round would count against it.
        command.args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--auto-aof-rewrite-percentage",
            "0",
        ]);
        let mut process = Process::start(&mut command, &dir.join("redis.log"))?;
        process.wait_for_port(port)?;
        let address: Address = format!("tcp://127.0.0.1:{port}").parse()?;
        let script = runtime.block_on(fill(&address, items))?;
        Ok(Self { _process: process, port, address, script, items })
    }

    /// Connections that are ready to buy.
    pub(crate) async fn lanes(&self, connections: usize, skew: Skew) -> anyhow::Result<Vec<Lane<Evalsha>>> {
        let mut lanes = Vec::new();
        for number in 0..connections {
            let exchange = Evalsha::new(&self.script, Picker::new(skew, self.items, number as u64))?;
            lanes.push(Lane { stream: connect(&self.address).await?, exchange });
        }
        Ok(lanes)
    }

    /// The hot item by Redis's own load generator, which says whether ours holds it back. Its figure counts only if
    /// its orders were orders of their own: one that is there already costs nothing.
    pub(crate) fn own_benchmark(&self, runtime: &Runtime, requests: u64) -> anyhow::Result<Sample> {
        let item = "0".repeat(ITEM_DIGITS);
        let before = runtime.block_on(left(&self.address, &item))?;
        let sample = self.run_own_benchmark(&item, requests)?;
        let bought = before.saturating_sub(runtime.block_on(left(&self.address, &item))?);
        // Its random orders are the same now and then.
        anyhow::ensure!(bought * 100 >= requests * 99, "{requests} purchases bought only {bought} units");
        Ok(sample)
    }

    fn run_own_benchmark(&self, item: &str, requests: u64) -> anyhow::Result<Sample> {
        let program = find_program("REDIS_BENCHMARK", "redis-benchmark", &[]);
        let program: PathBuf = program.context("redis-benchmark is not installed")?;
        let output = Command::new(program)
            .args(["-p", &self.port.to_string(), "-c", "50", "-n", &requests.to_string(), "--csv"])
            .args(["-r", ORDERS, "EVALSHA", &self.script, "2", item, "order:__rand_int__", "1"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures = text.lines().last().unwrap_or_default().rsplit("\",\"").map(|f| f.trim_matches('"'));
        // From the end: max, p99, p95, p50, min, mean latency in ms, and the rate.
        let figures: Vec<f64> = figures.map_while(|figure| figure.parse().ok()).collect();
        match figures[..] {
            [max, p99, _, p50, _, _, per_s, ..] => Ok(Sample {
                per_s,
                p50_us: Some(p50 * 1e3),
                p99_us: Some(p99 * 1e3),
                max_us: Some(max * 1e3),
            }),
            _ => anyhow::bail!("redis-benchmark says {text:?}"),
        }
    }
}

/// Sets the items and loads the script; gives the script's name.
async fn fill(address: &Address, items: u64) -> anyhow::Result<String> {
    let mut stream = connect(address).await?;
    let mut replies = Vec::new();
    for first in (0..items).step_by(1_000) {
        let mut out = BytesMut::new();
        let last = items.min(first + 1_000);
        for item in first..last {
            command(&mut out, &["SET", &format!("{item:0ITEM_DIGITS$}"), "1000000000000"]);
        }
        stream.write_all(&out).await?;
        replies.resize(usize::try_from(last - first)? * b"+OK\r\n".len(), 0);
        stream.read_exact(&mut replies).await?;
    }
    let mut out = BytesMut::new();
    command(&mut out, &["SCRIPT", "LOAD", PURCHASE]);
    stream.write_all(&out).await?;
    let mut name = [0; b"$40\r\n".len() + 40 + b"\r\n".len()];
    stream.read_exact(&mut name).await?;
    let name = name.get(5..45).and_then(|name| std::str::from_utf8(name).ok());
    Ok(name.context("Redis did not take the script")?.to_owned())
}

/// Units left of an item.
async fn left(address: &Address, item: &str) -> anyhow::Result<u64> {
    let mut stream = connect(address).await?;
    let mut out = BytesMut::new();
    command(&mut out, &["GET", item]);
    stream.write_all(&out).await?;
    let mut reply = Vec::new();
    // The length in a line, and the number in another.
    while String::from_utf8_lossy(&reply).matches("\r\n").count() < 2 {
        reply.push(stream.read_u8().await?);
    }
    let units = std::str::from_utf8(&reply)?.lines().nth(1).context("Redis says nothing of the item")?;
    Ok(units.parse()?)
}

/// Appends a command as an array of strings (RESP).
fn command(out: &mut BytesMut, words: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

/// Purchases by the script. A request is a template with places for item and order, as redis-benchmark does it.
#[derive(Debug)]
pub(crate) struct Evalsha {
    picker: Picker,
    in_order: InOrder,
    template: BytesMut,
    item_at: usize,
    order_at: usize,
    /// Random, so that no other connection has it, and counted up.
    order: u64,
}

const ITEM_DIGITS: usize = 10;
const ORDER_DIGITS: usize = 20;

impl Evalsha {
    fn new(script: &str, picker: Picker) -> anyhow::Result<Self> {
        let (item, order) = ("i".repeat(ITEM_DIGITS), "o".repeat(ORDER_DIGITS));
        let mut template = BytesMut::new();
        command(&mut template, &["EVALSHA", script, "2", &item, &order, "1"]);
        let find = |word: &str| template.windows(word.len()).position(|window| window == word.as_bytes());
        let item_at = find(&item).context("a template without an item")?;
        let order_at = find(&order).context("a template without an order")?;
        let order = getrandom::u64()? >> 1;
        Ok(Self { picker, in_order: InOrder::default(), template, item_at, order_at, order })
    }
}

impl Exchange for Evalsha {
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError> {
        self.in_order.sent(slot);
        self.order += 1;
        let start = out.len();
        out.extend_from_slice(&self.template);
        let frame = out.get_mut(start..).unwrap_or_default();
        let item = frame.get_mut(self.item_at..).and_then(|rest| rest.get_mut(..ITEM_DIGITS));
        write_digits(item.unwrap_or_default(), self.picker.next_item());
        let order = frame.get_mut(self.order_at..).and_then(|rest| rest.get_mut(..ORDER_DIGITS));
        write_digits(order.unwrap_or_default(), self.order);
        Ok(())
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError> {
        match input.get(..4) {
            None => Ok(None),
            Some(b":1\r\n") => {
                input.advance(4);
                Ok(Some(Answer { slot: self.in_order.answered()?, outcome: BOUGHT }))
            }
            Some(_) => Err(LoadError::Unexpected(String::from_utf8_lossy(input).into_owned())),
        }
    }
}

/// Writes a number with leading zeros over all of the place.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789".get(usize::try_from(number % 10).unwrap_or_default()).copied().unwrap_or(b'0');
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_an_item_and_an_order_of_its_own() {
        let script = "a".repeat(40);
        let mut exchange = Evalsha::new(&script, Picker::new(Skew::Hot, 10, 1)).unwrap();
        let mut ask = || {
            let mut out = BytesMut::new();
            exchange.ask(0, &mut out).unwrap();
            String::from_utf8(out.to_vec()).unwrap()
        };
        let (first, second) = (ask(), ask());
        assert!(first.starts_with(&format!("*6\r\n$7\r\nEVALSHA\r\n$40\r\n{script}\r\n$1\r\n2\r\n")));
        assert!(first.contains("\r\n$10\r\n0000000000\r\n$20\r\n") && first.ends_with("\r\n$1\r\n1\r\n"));
        assert_ne!(first, second);
    }
}
