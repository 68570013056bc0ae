//! What is typed in the shell, as requests: a word or the number of a menu entry, and what follows it.

use inventory_core::{OrderKey, OrderLine, Upc};

use crate::parse::{self, UsageError};

/// What the shell can be asked to do. What is left out is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Menu,
    LogIn { user: Option<String> },
    Stock { upcs: Vec<Upc> },
    Mine,
    Buy { lines: Option<Vec<OrderLine>>, charge: Option<String> },
    Return { order: Option<OrderKey>, lines: Vec<OrderLine> },
    Balance { account: Option<String> },
    Receipt { key: Option<OrderKey> },
    LogOut,
    Quit,
}

/// The words that begin a request.
pub(super) const WORDS: [&str; 11] =
    ["login", "stock", "mine", "buy", "return", "balance", "receipt", "logout", "menu", "help", "quit"];

/// What can be done, and how to say it.
pub(super) const MENU: &str = "  1  log in                  login USER
  2  view server inventory   stock [UPC...]
  3  view local inventory    mine
  4  purchase                buy UPC QTY [UPC QTY]...
  5  log out                 logout
  6  quit                    quit
     buy on an account       buy UPC QTY [UPC QTY]... charge ACCOUNT
     return an order         return ORDER [UPC QTY]...
     view a balance          balance [ACCOUNT]
     show a receipt          receipt KEY
     show this menu          menu
";

/// The request in a line.
pub(super) fn parse(line: &str) -> Result<Request, UsageError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some((first, rest)) = words.split_first() else { return Ok(Request::Menu) };
    match (first.to_ascii_lowercase().as_str(), rest) {
        ("log", ["out"]) => Ok(Request::LogOut),
        ("1" | "login", rest) | ("log", ["in", rest @ ..]) => log_in(rest),
        ("2" | "stock", rest) => rest
            .iter()
            .map(|word| parse::upc(word))
            .collect::<Result<_, _>>()
            .map(|upcs| Request::Stock { upcs }),
        ("3" | "mine", rest) => alone(first, rest, Request::Mine),
        ("4" | "buy" | "purchase", []) => Ok(Request::Buy { lines: None, charge: None }),
        ("4" | "buy" | "purchase", [words @ .., "charge", account]) => {
            let (lines, charge) = (Some(parse::order_lines(words)?), Some(parse::account(account)?));
            Ok(Request::Buy { lines, charge })
        }
        ("4" | "buy" | "purchase", words) => {
            parse::order_lines(words).map(|lines| Request::Buy { lines: Some(lines), charge: None })
        }
        ("return", []) => Ok(Request::Return { order: None, lines: Vec::new() }),
        ("return", [order, words @ ..]) => {
            let (order, lines) = (Some(parse::order_key(order)?), parse::returned_lines(words)?);
            Ok(Request::Return { order, lines })
        }
        ("balance", []) => Ok(Request::Balance { account: None }),
        ("balance", [account]) => Ok(Request::Balance { account: Some(parse::account(account)?) }),
        ("balance", _) => Err(UsageError::new("one account is wanted: balance ACCOUNT")),
        ("5" | "logout", rest) => alone(first, rest, Request::LogOut),
        ("6" | "quit" | "exit", rest) => alone(first, rest, Request::Quit),
        ("receipt", []) => Ok(Request::Receipt { key: None }),
        ("receipt", [key]) => parse::order_key(key).map(|key| Request::Receipt { key: Some(key) }),
        ("menu" | "help" | "?", rest) => alone(first, rest, Request::Menu),
        ("receipt", _) => Err(UsageError::new("one order key is wanted: receipt KEY")),
        _ => Err(UsageError::new(format!(
            "unknown command {first:?}: type a number from 1 to 6 or a word of the menu (type menu to see it)"
        ))),
    }
}

fn log_in(rest: &[&str]) -> Result<Request, UsageError> {
    match rest {
        [] => Ok(Request::LogIn { user: None }),
        [user] => Ok(Request::LogIn { user: Some((*user).to_owned()) }),
        _ => Err(UsageError::new("one user name is wanted, and no password: login USER")),
    }
}

fn alone(word: &str, rest: &[&str], request: Request) -> Result<Request, UsageError> {
    match rest {
        [] => Ok(request),
        [extra, ..] => Err(UsageError::new(format!("{word} stands alone: {extra:?} is too much"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_mean_the_same() {
        for (number, word) in [
            ("1", "login"),
            ("1 alice", "login alice"),
            ("1 alice", "log in alice"),
            ("2", "stock"),
            ("2 036000291452", "stock 36000291452"),
            ("3", "mine"),
            ("4", "buy"),
            ("4 036000291452 2", "buy 036000291452 2"),
            ("4 036000291452 2", "purchase 036000291452 2"),
            ("5", "log out"),
            ("6", "exit"),
            ("", "menu"),
            ("  ", "HELP"),
        ] {
            assert_eq!(parse(number), parse(word), "{number} {word}");
            assert!(parse(word).is_ok(), "{word}");
        }
    }

    #[test]
    fn what_is_no_request_says_what_is() {
        for (line, told) in [
            ("dance", "type menu"),
            ("7", "a number from 1 to 6"),
            ("login alice secret", "no password"),
            ("buy milk 1", "\"milk\" is no UPC"),
            ("buy 036000291452", "has no quantity"),
            ("buy 036000291452 -1", "\"-1\" is no quantity"),
            ("stock milk", "\"milk\" is no UPC"),
            ("mine all", "mine stands alone"),
            ("receipt x", "no order key"),
            ("buy 036000291452 1 charge", "\"charge\" is no UPC"),
            ("buy charge alice", "at least one UPC"),
            ("balance a b", "one account is wanted"),
            ("return 036000291452 1", "no order key"),
            ("return 019a9d7c-6a00-7abc-8def-0123456789ab 036000291452", "has no quantity"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(told), "{line}: {error}");
        }
    }
}
