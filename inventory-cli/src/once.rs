//! The commands that do one thing and end.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use inventory_core::Upc;

use crate::args::{ConnectArgs, ItemCommand, LevelCommand, OnceCommand, PasswordArgs, UserCommand};
use crate::exit;
use crate::import::import;
use crate::items::read_items;
use crate::order_rows::read_order_rows;
use crate::output::{LoggedInRow, LoggedOutRow, Output};
use crate::parse::{self, UsageError};
use crate::password::{self, Password};
use crate::past;
use crate::serve::runtime;
use crate::shop::Shop;

/// Carries out one command.
pub(crate) fn once(command: OnceCommand, connect: &ConnectArgs, output: Output) -> anyhow::Result<()> {
    if let OnceCommand::Stock { upcs, at: Some(at), data: Some(data) } = &command {
        return past::stock(data, *at, upcs, output);
    }
    let mut shop = Shop::new(connect)?;
    runtime()?.block_on(async {
        let done = carry_out(command, &mut shop, output).await;
        shop.close().await;
        done
    })
}

async fn carry_out(command: OnceCommand, shop: &mut Shop, output: Output) -> anyhow::Result<()> {
    match command {
        OnceCommand::Login { user, password, .. } => {
            shop.check_can_log_in().await?;
            let given = given_or_askable(&password)?;
            let password = given.map_or_else(|| password::ask(&format!("password of {user}: ")), Ok)?;
            let role = shop.log_in(&user, &password).await?.to_string();
            output.logged_in(&LoggedInRow { user, role, server: shop.address().to_string() })?;
        }
        OnceCommand::Logout => {
            let user = shop.log_out().await?;
            output.logged_out(&LoggedOutRow { user })?;
        }
        OnceCommand::Stock { upcs, .. } => output.levels(&shop.stock(&upcs).await?)?,
        OnceCommand::Buy { from: Some(file), key, .. } => {
            let rows = read_order_rows(open(&file)?).with_context(|| file.display().to_string())?;
            let purchase = shop.buy_rows(&rows, key).await?;
            output.bulk_purchase(&purchase)?;
            purchase.into_result()?;
        }
        OnceCommand::Buy { lines, key, charge, .. } => {
            let lines = parse::order_lines(&lines)?;
            output.receipt(&shop.buy(lines, charge.as_deref(), key).await?)?;
        }
        OnceCommand::Return { order, lines, key } => {
            let lines = parse::returned_lines(&lines)?;
            let all = lines.is_empty();
            let returned = shop.return_units(order, lines, key).await;
            let told = |error| if all { exit::of_all(error, order) } else { error };
            output.return_receipt(&returned.map_err(told)?)?;
        }
        OnceCommand::Mine => output.holdings(shop.mine().await?.items())?,
        OnceCommand::Receipt { key, .. } => output.any_receipt(&shop.receipt(key).await?)?,
        OnceCommand::Item(ItemCommand::Define { upc, name, price, no_check_digit, .. }) => {
            if !no_check_digit {
                check_digit(upc)?;
            }
            let version = shop.client().await?.define_item(upc, &name, price).await?;
            output.done(&format!("{upc} is {name}"), version)?;
        }
        OnceCommand::Level(LevelCommand::Set { upc, units, location, .. }) => {
            let version = shop.client().await?.set_initial_level(upc, location, units).await?;
            output.done(&format!("{upc} at {location} starts with {units}"), version)?;
        }
        OnceCommand::User(UserCommand::Add { name, role, password, .. }) => {
            let given = given_or_askable(&password)?;
            let client = shop.client().await?;
            let password = given.map_or_else(|| password::ask(&format!("password for {name}: ")), Ok)?;
            let version = client.add_user(&name, &password, role).await?;
            output.done(&format!("{name} is a user ({role})"), version)?;
        }
        OnceCommand::Import { file, .. } => {
            let items = read_items(open(&file)?).with_context(|| file.display().to_string())?;
            output.imported(&import(&items, shop.client().await?).await?)?;
        }
    }
    Ok(())
}

fn open(file: &Path) -> Result<File, UsageError> {
    File::open(file).map_err(|e| UsageError::new(format!("cannot read {}: {e}", file.display())))
}

/// The password, if it need not be asked for; an error if it must be and nobody is there.
fn given_or_askable(from: &PasswordArgs) -> Result<Option<Password>, UsageError> {
    let given = password::given(from.password_file.as_deref())?;
    if given.is_none() {
        password::check_can_ask()?;
    }
    Ok(given)
}

fn check_digit(upc: Upc) -> Result<(), UsageError> {
    if upc.has_valid_check_digit() {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "{upc}: the check digit should be {}: a typing error? For a code without one, say --no-check-digit",
        upc.check_digit()
    )))
}
