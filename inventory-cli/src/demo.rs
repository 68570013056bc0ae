//! `inventory demo`: a server with demo data in this process, and the shell on top.

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use anyhow::Context as _;
use inventory_net::transport::Address;
use inventory_store::Upkeep;
use tokio::sync::oneshot;

use crate::args::{ConnectArgs, DemoArgs};
use crate::exit::Exit;
use crate::notice::note;
use crate::output;
use crate::serve::{DEMO_USERS, MEMORY_BYTES_MIN, Node, runtime, socket_address};
use crate::shell;

/// Runs the demo until the shell is left. The data stays for the next time; so does what the client keeps.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<Exit> {
    let server: Address = "memory://demo".parse()?;
    let (ready, when_ready) = mpsc::sync_channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let (data, address) = (args.data.clone(), server.clone());
    let demo_server = thread::Builder::new()
        .name("demo server".to_owned())
        .spawn(move || {
            runtime()?.block_on(async {
                let node = open(&data, &address).await?;
                // An error says that nobody waits any more.
                let _ = ready.send(());
                node.run(async {
                    // An error says that the shell is gone: stop as well.
                    let _ = stopped.await;
                })
                .await
            })
        })
        .context("cannot start the server's thread")?;

    let shell = when_ready.recv().is_ok().then(|| {
        introduce(&args.data)?;
        shell::shell(&ConnectArgs { server, state: Some(args.data.join("client")) })
    });
    drop(stop);
    let outcome: anyhow::Result<()> = demo_server
        .join()
        .unwrap_or_else(|_| Err(anyhow::anyhow!("the demo's server stopped by a mistake of its own")));
    match shell {
        // What the shell says is what the user asked for; a server that did not close in full is second to it.
        Some(Ok(exit)) => outcome.map(|()| exit),
        Some(Err(error)) => Err(error),
        None => Err(outcome.err().unwrap_or_else(|| anyhow::anyhow!("the demo's server did not start"))),
    }
}

async fn open(data: &Path, address: &Address) -> anyhow::Result<Node> {
    let mut node = Node::open(data, MEMORY_BYTES_MIN, false, Upkeep::default(), false).await?;
    node.bind(address).await?;
    let socket = socket_address(data)?;
    if let Err(error) = node.bind(&socket).await {
        note(format_args!("other terminals cannot join: {error}"));
    }
    node.start_first_time(true).await?;
    Ok(node)
}

fn introduce(data: &Path) -> anyhow::Result<()> {
    let users: Vec<String> =
        DEMO_USERS.iter().map(|(name, password, role)| format!("{name}/{password} ({role})")).collect();
    let joining = socket_address(data)
        .map(|socket| format!("other terminals join with: inventory shell --server {socket}\n"));
    output::text(&format!(
        "demo data in {}; log in as {}\n{}",
        data.display(),
        users.join(", "),
        joining.unwrap_or_default()
    ))?;
    Ok(())
}
