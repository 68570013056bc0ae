//! Completion of words and codes.

use std::collections::BTreeSet;

use rustyline::completion::Completer;
use rustyline::{Context, Helper, Highlighter, Hinter, Validator};

use super::request::WORDS;

/// Completes the first word to a request, and later ones to codes that were seen.
#[derive(Debug, Default, Helper, Highlighter, Hinter, Validator)]
pub(super) struct Completion {
    pub(super) codes: BTreeSet<String>,
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
        let before = typed.get(..start).unwrap_or_default().split_whitespace().next();
        let found = match before {
            None => WORDS
                .iter()
                .filter(|known| known.starts_with(word))
                .map(|known| format!("{known} "))
                .collect(),
            Some("buy" | "stock" | "purchase" | "return" | "2" | "4") => {
                let codes = self.codes.iter().filter(|code| code.starts_with(word));
                codes.map(|code| format!("{code} ")).collect()
            }
            Some(_) => Vec::new(),
        };
        (start, found)
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
        assert_eq!(completion.candidates("login a").1, Vec::<String>::new());
    }
}
