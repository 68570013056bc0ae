//! `inventory serve`: the server in this process, until a signal.

mod first_start;
mod memory;
mod node;
mod signals;

pub(crate) use first_start::DEMO_USERS;
pub(crate) use memory::MEMORY_BYTES_MIN;
pub(crate) use node::{Node, open_service, runtime, socket_address};
pub(crate) use signals::{Signals, shutdown};

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context as _;
use inventory_net::transport::Address;

use crate::args::ServeArgs;

/// Runs the server. The first SIGINT or SIGTERM drains it: what was received is answered and durable, a snapshot is
/// saved. A second one ends the process at once, with exit code 4; what was acknowledged is durable all the same.
pub(crate) fn serve(args: &ServeArgs) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let shutdown = shutdown().context("cannot listen to signals")?;
        let mut node = Node::open(
            &args.data,
            args.memory_max,
            args.allow_plain_tcp,
            args.upkeep(),
            args.ledger_lines.is_some(),
        )
        .await?;
        let mut listening = String::new();
        // Writing to a string cannot fail.
        if let Some(address) = &args.ledger_lines {
            let actual = node.take_lines(address, args.allow_plain_tcp).await?;
            let _ = writeln!(listening, "taking lines on {actual}");
        }
        for address in &listen_addresses(args)? {
            let actual = node.bind(address).await?;
            let _ = writeln!(listening, "listening on {actual}");
        }
        // After the listeners: a start that fails for want of a port leaves no users behind.
        node.start_first_time(args.demo_data).await?;
        say(&listening)?;
        node.run(shutdown).await
    })
}

fn listen_addresses(args: &ServeArgs) -> anyhow::Result<Vec<Address>> {
    if !args.listen.is_empty() {
        return Ok(args.listen.clone());
    }
    let tcp = "tcp://127.0.0.1:7411".parse().context("the default address")?;
    Ok(vec![socket_address(&args.data)?, tcp])
}

/// Writes to standard output at once, so that whoever started the server can wait for it.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}
