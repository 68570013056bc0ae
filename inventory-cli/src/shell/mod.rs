//! The text interface: a menu, one request a line, and what it gives. An error is told, and the shell goes on.

mod completion;
mod input;
mod request;

use inventory_core::{OrderKey, OrderLine, Upc};
use tokio::runtime::Runtime;

use crate::args::ConnectArgs;
use crate::exit::{self, Exit};
use crate::output::{self, Format, LoggedInRow, LoggedOutRow, Output};
use crate::parse;
use crate::password;
use crate::serve::runtime;
use crate::shop::Shop;
use crate::state::StateDir;
use completion::Wanted;
use input::{Input, Typed};
use request::{MENU, Request};

/// Converses until `quit` or the end of the input.
///
/// On a terminal the shell then ends with exit code 0; on a pipe with that of the last request, so that scripts see
/// whether what they wanted last was done.
pub(crate) fn shell(args: &ConnectArgs) -> anyhow::Result<Exit> {
    let state = StateDir::find(args.state.clone())?;
    state.create()?;
    let mut shell = Shell {
        input: Input::open(state.history())?,
        shop: Shop::new(args)?,
        output: Output::new(Format::Table),
        runtime: runtime()?,
        last: Exit::Done,
    };
    shell.greet()?;
    let exit = shell.converse()?;
    shell.runtime.block_on(shell.shop.close());
    shell.input.close();
    Ok(exit)
}

struct Shell {
    input: Input,
    shop: Shop,
    output: Output,
    runtime: Runtime,
    last: Exit,
}

/// Carries out one request of a conversation; on a terminal, Ctrl-C drops it and not the shell.
async fn unless_interrupted<T>(
    on_terminal: bool,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    if !on_terminal {
        return work.await;
    }
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(parse::UsageError::new(
            "interrupted; an order that was on its way is settled by the next purchase, return or `mine`",
        ).into()),
    }
}

/// Whether the conversation goes on.
enum Next {
    GoOn,
    End,
}

/// What was asked for, or not.
enum Asked<T> {
    Given(T),
    /// Ctrl-C or Ctrl-D: the request is dropped.
    Dropped,
}

impl Shell {
    fn greet(&mut self) -> anyhow::Result<()> {
        output::text(&format!("inventory at {}\n{MENU}", self.shop.address()))?;
        if let Ok(user) = self.shop.saved_user() {
            output::text(&format!("logged in as {user}\n"))?;
            if let Err(error) = self.go_on_with_session() {
                exit::report(&error, self.output);
            }
        }
        Ok(())
    }

    /// Takes up the session of an earlier run and what it left open.
    fn go_on_with_session(&mut self) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            self.shop.client().await?;
            self.shop.settle().await;
            anyhow::Ok(())
        })?;
        self.learn_codes();
        Ok(())
    }

    fn converse(&mut self) -> anyhow::Result<Exit> {
        loop {
            let line = match self.input.request()? {
                Typed::Line(line) => line,
                Typed::Cancelled => continue,
                Typed::End => break,
            };
            match self.carry_out(&line) {
                Ok(Next::GoOn) => self.last = Exit::Done,
                Ok(Next::End) => break,
                Err(error) => {
                    self.last = exit::report(&error, self.output);
                    if self.last == Exit::Done {
                        // Nobody reads the output any more.
                        break;
                    }
                }
            }
        }
        Ok(if self.input.is_terminal() { Exit::Done } else { self.last })
    }

    fn carry_out(&mut self, line: &str) -> anyhow::Result<Next> {
        let on_terminal = self.input.is_terminal();
        match request::parse(line)? {
            Request::Menu => output::text(MENU)?,
            Request::LogIn { user } => self.log_in(user)?,
            Request::Stock { upcs } => {
                let levels =
                    self.runtime.block_on(unless_interrupted(on_terminal, self.shop.stock(&upcs)))?;
                self.input.learn_codes(levels.iter().map(|level| level.upc.to_string()));
                self.output.levels(&levels)?;
            }
            Request::Mine => {
                let holdings = self.runtime.block_on(unless_interrupted(on_terminal, self.shop.mine()))?;
                self.output.holdings(holdings.items())?;
            }
            Request::Buy { lines, charge } => self.buy(lines, charge.as_deref())?,
            Request::Balance { account } => {
                let balance = self.shop.balance(account.as_deref());
                let row = self.runtime.block_on(unless_interrupted(on_terminal, balance))?;
                self.output.balances(&[row])?;
            }
            Request::Return { order, lines } => {
                if let Asked::Given(order) = self.key_or_ask(order, "order key: ")? {
                    let all = lines.is_empty();
                    let returned = self.shop.return_units(order, lines, None);
                    let receipt = self
                        .runtime
                        .block_on(unless_interrupted(on_terminal, returned))
                        .map_err(|error| if all { exit::of_all(error, order) } else { error })?;
                    self.output.return_receipt(&receipt)?;
                }
            }
            Request::Receipt { key } => {
                if let Asked::Given(key) = self.key_or_ask(key, "key of an order, return or entry: ")? {
                    let receipt =
                        self.runtime.block_on(unless_interrupted(on_terminal, self.shop.receipt(key)))?;
                    self.output.any_receipt(&receipt)?;
                }
            }
            Request::LogOut => {
                let user = self.runtime.block_on(unless_interrupted(on_terminal, self.shop.log_out()))?;
                self.output.logged_out(&LoggedOutRow { user })?;
            }
            Request::Quit => return Ok(Next::End),
        }
        Ok(Next::GoOn)
    }

    fn log_in(&mut self, user: Option<String>) -> anyhow::Result<()> {
        let on_terminal = self.input.is_terminal();
        let user = match user {
            Some(user) => user,
            None => match self.ask("user: ", Wanted::Other, |text| Ok(text.to_owned()))? {
                Asked::Given(user) => user,
                Asked::Dropped => return Ok(()),
            },
        };
        if on_terminal {
            // Nobody types a password to hear that it was not needed. On a pipe the line is there and has to be taken.
            self.runtime.block_on(unless_interrupted(on_terminal, self.shop.check_can_log_in()))?;
        }
        let given = password::given(None)?;
        let password = given.map_or_else(|| self.input.password("password: "), |given| Ok(Some(given)))?;
        let Some(password) = password else { return Ok(()) };
        let role = self
            .runtime
            .block_on(unless_interrupted(on_terminal, self.shop.log_in(&user, &password)))?
            .to_string();
        self.output.logged_in(&LoggedInRow { user, role, server: self.shop.address().to_string() })?;
        self.learn_codes();
        Ok(())
    }

    fn buy(&mut self, lines: Option<Vec<OrderLine>>, charge: Option<&str>) -> anyhow::Result<()> {
        let lines = match lines {
            Some(lines) => lines,
            None => match self.ask_line()? {
                Asked::Given(line) => vec![line],
                Asked::Dropped => return Ok(()),
            },
        };
        let on_terminal = self.input.is_terminal();
        let receipt =
            self.runtime.block_on(unless_interrupted(on_terminal, self.shop.buy(lines, charge, None)))?;
        self.output.receipt(&receipt)?;
        Ok(())
    }

    fn ask_line(&mut self) -> anyhow::Result<Asked<OrderLine>> {
        let Asked::Given(upc): Asked<Upc> = self.ask("UPC: ", Wanted::Code, parse::upc)? else {
            return Ok(Asked::Dropped);
        };
        let Asked::Given(units) = self.ask("quantity: ", Wanted::Other, parse::units)? else {
            return Ok(Asked::Dropped);
        };
        Ok(Asked::Given(OrderLine::new(upc, units)))
    }

    fn key_or_ask(&mut self, key: Option<OrderKey>, prompt: &str) -> anyhow::Result<Asked<OrderKey>> {
        key.map_or_else(|| self.ask(prompt, Wanted::Other, parse::order_key), |key| Ok(Asked::Given(key)))
    }

    /// Asks for something that a request left out.
    fn ask<T>(
        &mut self,
        prompt: &str,
        wanted: Wanted,
        read: impl FnOnce(&str) -> Result<T, parse::UsageError>,
    ) -> anyhow::Result<Asked<T>> {
        match self.input.line(prompt, wanted)? {
            Typed::Line(line) => Ok(Asked::Given(read(line.trim())?)),
            Typed::Cancelled | Typed::End => Ok(Asked::Dropped),
        }
    }

    /// Makes codes known to completion. Without them nothing is lost.
    fn learn_codes(&mut self) {
        if self.input.is_terminal() {
            let codes = self.runtime.block_on(self.shop.first_codes());
            self.input.learn_codes(codes.into_iter().map(|upc| upc.to_string()));
        }
    }
}
