//! Files of entries: CSV with the columns `account,type,amount`, each row for itself.

use std::io;

use inventory_core::Money;
use serde::Deserialize;

use crate::csv_rows::{self, CsvError, wrong};
use crate::parse;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    account: String,
    #[serde(rename = "type")]
    kind: String,
    amount: String,
}

/// Reads and checks the whole file: names, and amounts that are negative for a debit.
pub(crate) fn read_entry_rows(file: impl io::Read) -> Result<Vec<(String, Money)>, CsvError> {
    csv_rows::read(file, &["account", "type", "amount"], |raw: Raw, line| {
        let account = parse::stored_account(&raw.account)
            .map_err(|_| wrong(line, "account", &raw.account, &parse::ACCOUNT))?;
        let amount =
            parse::amount(&raw.amount).map_err(|_| wrong(line, "amount", &raw.amount, &parse::AMOUNT))?;
        match &*raw.kind {
            "credit" => Ok((account, amount)),
            // An amount is not negative, so it has an opposite.
            "debit" => Ok((account, Money::from_minor(amount.minor().saturating_neg()))),
            _ => Err(wrong(line, "type", &raw.kind, &"a row is a credit or a debit")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_debits_are_negative() {
        let file = "type,account,amount\ncredit,Marc,2.50\ndebit, Zoë,1\ncredit,Marc,0\n";
        let rows = read_entry_rows(file.as_bytes()).unwrap();
        let rows: Vec<_> = rows.iter().map(|(name, amount)| (&**name, amount.minor())).collect();
        assert_eq!(rows, [("Marc", 250), ("Zoë", -100), ("Marc", 0)]);
    }

    /// White space beyond ASCII is part of a name as any other character.
    #[test]
    fn only_ascii_blanks_around_a_value_are_dropped() {
        for name in ["\u{a0}Marc", "Marc\u{3000}", "\u{2028}Marc\u{85}", "\u{feff}Marc"] {
            let file = format!("account, type\t,amount\n\t {name} \u{b}\u{c}, credit ,\t7 \r\n");
            let rows = read_entry_rows(file.as_bytes()).unwrap();
            assert_eq!(rows, [(name.to_owned(), Money::from_minor(700))]);
        }
    }

    #[test]
    fn a_wrong_row_is_named_with_its_line() {
        for (row, message) in [
            ("Marc,gift,1", "line 2: type \"gift\": a row is a credit or a debit"),
            ("Marc,Credit,1", "line 2: type \"Credit\""),
            ("Marc,credit,-1", "line 2: amount \"-1\": an amount is"),
            ("Marc,credit,1.234", "line 2: amount \"1.234\""),
            ("Marc,credit,$1", "line 2: amount \"$1\""),
            (",credit,1", "line 2: account \"\": a name is"),
            ("two words,credit,1", "line 2: account \"two words\""),
            ("Marc,credit", "not a file with the columns account,type,amount"),
        ] {
            let file = format!("account,type,amount\n{row}\n");
            let told = read_entry_rows(file.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(message), "{told}");
        }
    }
}
