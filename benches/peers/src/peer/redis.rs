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

/// How many units are gone of as many items as its argument says.
const GONE: &str = "\
local gone = 0 \
for item = 1, tonumber(ARGV[1]) do \
gone = gone + 1000000000000 - tonumber(redis.call('GET', string.format('%010d', item - 1))) \
end \
return gone";

/// A running Redis with the items.
pub(crate) struct Redis {
    _process: Process,
    /// Units of all purchases that it said were made.
    pub(crate) sold: u64,
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
        Ok(Self { _process: process, sold: 0, port, address, script, items })
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
    pub(crate) fn own_benchmark(&mut self, runtime: &Runtime, requests: u64) -> anyhow::Result<Sample> {
        let before = self.gone(runtime)?;
        let sample = self.run_own_benchmark(&"0".repeat(ITEM_DIGITS), requests)?;
        let bought = self.gone(runtime)?.saturating_sub(before);
        self.sold += bought;
        // Its random orders are the same now and then.
        anyhow::ensure!(bought * 100 >= requests * 99, "{requests} purchases bought only {bought} units");
        Ok(sample)
    }

    /// Fails unless an order that is repeated has the outcome that it had, and as many units are gone as were sold.
    pub(crate) fn check(mut self, runtime: &Runtime) -> anyhow::Result<()> {
        let item = "0".repeat(ITEM_DIGITS);
        for (order, units, outcome) in [("check accepted", "1", 1), ("check refused", "2000000000000", -1)] {
            for _ in 0..3 {
                let words = ["EVALSHA", &self.script, "2", &item, order, units];
                let answer = runtime.block_on(integer(&self.address, &words))?;
                anyhow::ensure!(answer == outcome, "{order}: {answer} instead of {outcome}");
            }
        }
        self.sold += 1;
        let (sold, gone) = (self.sold, self.gone(runtime)?);
        anyhow::ensure!(gone == sold, "{sold} units were sold and {gone} are gone: no figures");
        Ok(())
    }

    /// Units that are gone of all items.
    fn gone(&self, runtime: &Runtime) -> anyhow::Result<u64> {
        let words = ["EVAL", GONE, "0", &self.items.to_string()];
        Ok(u64::try_from(runtime.block_on(integer(&self.address, &words))?)?)
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

/// The number that a command is answered with.
async fn integer(address: &Address, words: &[&str]) -> anyhow::Result<i64> {
    let mut stream = connect(address).await?;
    let mut out = BytesMut::new();
    command(&mut out, words);
    stream.write_all(&out).await?;
    let mut reply = Vec::new();
    while !reply.ends_with(b"\r\n") {
        reply.push(stream.read_u8().await?);
    }
    let reply = std::str::from_utf8(&reply)?.trim_end();
    let number = reply.strip_prefix(':').and_then(|number| number.parse().ok());
    number.with_context(|| format!("Redis says {reply:?}"))
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
