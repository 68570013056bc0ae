//! `inventory ledger`: entries, balances and floors.

use std::fs::File;

use anyhow::Context as _;

use crate::args::{AccountCommand, ConnectArgs, PostArgs};
use crate::entry_rows::read_entry_rows;
use crate::output::Output;
use crate::parse::{self, Floor, UsageError};
use crate::past;
use crate::serve::runtime;
use crate::shop::Shop;

/// Carries out one command on accounts.
pub(crate) fn accounts(command: AccountCommand, connect: &ConnectArgs, output: Output) -> anyhow::Result<()> {
    match &command {
        AccountCommand::Balances(wanted) if wanted.at.is_some() => return past::balances(wanted, output),
        AccountCommand::Balances(wanted) => {
            for account in &wanted.accounts {
                parse::account(account)?;
            }
        }
        AccountCommand::Entries(wanted) => {
            past::check_times(wanted.since, wanted.until)?;
            if let Some(data) = &wanted.data {
                return past::entries_of(data, wanted, output);
            }
            parse::account(&wanted.account)?;
        }
        _ => {}
    }
    let mut shop = Shop::new(connect)?;
    runtime()?.block_on(async {
        let done = carry_out(command, &mut shop, output).await;
        shop.close().await;
        done
    })
}

async fn carry_out(command: AccountCommand, shop: &mut Shop, output: Output) -> anyhow::Result<()> {
    match command {
        AccountCommand::Post(wanted) => post(wanted, shop, output).await?,
        AccountCommand::Balances(wanted) => {
            let balances = if wanted.accounts.is_empty() {
                shop.balances(wanted.after).await?
            } else {
                let mut balances = Vec::new();
                for account in &wanted.accounts {
                    balances.push(shop.balance(Some(account)).await?);
                }
                balances
            };
            output.balances(&balances)?;
        }
        AccountCommand::Entries(wanted) => {
            let entries = shop.entries(&wanted.account, wanted.since, wanted.until).await?;
            output.entries(entries.iter().map(|known| (&*wanted.account, known).into()))?;
        }
        AccountCommand::Floor { account, floor: Floor(floor) } => {
            let version = shop.set_floor(&account, floor).await?;
            let what = match floor {
                Some(floor) => format!("{account} never goes below {floor}"),
                None => format!("{account} has no floor"),
            };
            output.done(&what, version)?;
        }
    }
    Ok(())
}

async fn post(wanted: PostArgs, shop: &mut Shop, output: Output) -> anyhow::Result<()> {
    let PostArgs { entry, from, key } = wanted;
    match (entry, from) {
        (Some(entry), None) => output.posting(&shop.post(entry.entry(), key).await?)?,
        (None, Some(file)) => {
            let opened = File::open(&file)
                .map_err(|why| UsageError::new(format!("cannot read {}: {why}", file.display())))?;
            let rows = read_entry_rows(opened).with_context(|| file.display().to_string())?;
            let posted = shop.post_rows(&rows, key).await?;
            output.bulk_posting(&posted)?;
            posted.into_result()?;
        }
        _ => return Err(UsageError::new("post one entry, or those of a file: not both").into()),
    }
    Ok(())
}
