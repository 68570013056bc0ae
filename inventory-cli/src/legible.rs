//! Text from elsewhere, made fit for a terminal: an account's name comes from anyone who may send a line, and what is shown of it
//! is not to colour, move, ring or turn round anything.

use std::borrow::Cow;

/// The text with its control characters, also those for the direction of writing, as `\u{1b}`.
pub(crate) fn legible(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

/// As [`legible`], of whole lines: line feeds stay.
pub(crate) fn legible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_control(c))
}

fn is_control(c: char) -> bool {
    // The line and paragraph separators, and those that Unicode says are for bidirectional text.
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, escapes: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escapes) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if escapes(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_turns_is_shown_as_its_code() {
        for (text, shown) in [
            ("Zoë", "Zoë"),
            ("\u{1b}[31mRED\u{7}", r"\u{1b}[31mRED\u{7}"),
            ("a\r\n\u{9b}2Jb\u{7f}", r"a\u{d}\u{a}\u{9b}2Jb\u{7f}"),
            ("\u{202e}cod\u{2066}\u{200f}", r"\u{202e}cod\u{2066}\u{200f}"),
            // A joiner makes one sign of several; a space that does not break is one.
            ("👩\u{200d}🔬\u{a0}שלום", "👩\u{200d}🔬\u{a0}שלום"),
        ] {
            assert_eq!(legible(text), shown);
        }
        assert_eq!(legible_lines("one\n\u{1b}two\n"), "one\n\\u{1b}two\n");
    }
}
