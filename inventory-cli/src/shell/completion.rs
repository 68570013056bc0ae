//! Completion of words and codes.

use std::collections::BTreeSet;

use rustyline::completion::Completer;
use rustyline::{Context, Helper, Highlighter, Hinter, Validator};

use super::request::WORDS;

/// What is being typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    #[default]
    Request,
    /// The code of an item.
    Code,
    /// What nothing here completes: a name, a quantity, a key.
    Other,
}

/// Completes the first word of a request to one, and the codes in it to those that were seen.
#[derive(Debug, Default, Helper, Highlighter, Hinter, Validator)]
pub(super) struct Completion {
    pub(super) codes: BTreeSet<String>,
    pub(super) wanted: Wanted,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(line.get(..at).unwrap_or_default()))
    }
}

impl Completion {
    /// Where the word begins that is being typed, and what it may become.
    fn candidates(&self, typed: &str) -> (usize, Vec<String>) {
        let start = typed.rfind(char::is_whitespace).map_or(0, |blank| blank.saturating_add(1));
        let word = typed.get(start..).unwrap_or_default();
        let known: Vec<&str> = match self.wanted_behind(typed.get(..start).unwrap_or_default()) {
            Wanted::Request => WORDS.to_vec(),
            Wanted::Code => self.codes.iter().map(String::as_str).collect(),
            Wanted::Other => Vec::new(),
        };
        let found = known.into_iter().filter(|known| known.starts_with(word));
        (start, found.map(|known| format!("{known} ")).collect())
    }

    /// What the word behind these words is.
    fn wanted_behind(&self, words: &str) -> Wanted {
        if self.wanted != Wanted::Request {
            return self.wanted;
        }
        let words: Vec<&str> = words.split_whitespace().collect();
        match (words.first().copied(), words.len() % 2) {
            (None, _) => Wanted::Request,
            // Codes and quantities take turns; the key of what is returned goes before them.
            (Some("stock" | "2"), _) | (Some("buy" | "purchase" | "4"), 1) | (Some("return"), 0) => {
                Wanted::Code
            }
            _ => Wanted::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_then_codes_are_completed() {
        let mut completion = Completion::default();
        completion.codes.extend(["036000291452".to_owned(), "012345678905".to_owned()]);
        assert_eq!(completion.candidates("sto"), (0, vec!["stock ".to_owned()]));
        assert_eq!(completion.candidates("log"), (0, vec!["login ".to_owned(), "logout ".to_owned()]));
        assert_eq!(completion.candidates("buy 03"), (4, vec!["036000291452 ".to_owned()]));
        assert_eq!(completion.candidates("buy 036000291452 1 01"), (19, vec!["012345678905 ".to_owned()]));
        assert_eq!(completion.candidates("re").1, ["return ", "receipt "]);
        let key = "019a9d7c-6a00-7abc-8def-0123456789ab";
        assert_eq!(completion.candidates(&format!("return {key} 03")).1, ["036000291452 "]);
        for nothing in ["login a", "return ", "receipt ", "receipt 0", "buy 036000291452 "] {
            assert_eq!(completion.candidates(nothing).1, Vec::<String>::new(), "{nothing}");
        }
        assert_eq!(completion.candidates(&format!("return {key} 036000291452 ")).1, Vec::<String>::new());
    }

    #[test]
    fn what_is_asked_for_is_no_request() {
        let codes = ["036000291452".to_owned()].into();
        let mut completion = Completion { codes, wanted: Wanted::Other };
        assert_eq!((completion.candidates("").1, completion.candidates("re").1), (vec![], vec![]));
        completion.wanted = Wanted::Code;
        assert_eq!(completion.candidates("0").1, ["036000291452 "]);
        assert_eq!(completion.candidates("re").1, Vec::<String>::new());
    }
}
