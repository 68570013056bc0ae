//! Lines out of bytes that arrive in any pieces. It keeps at most one unfinished line.

use memchr::{memchr, memchr_iter, memrchr};

use super::line::{Discard, Entered, LINE_BYTES_MAX, read_line};

/// An unfinished line gives its memory back when it is finished, if it took more than this many bytes.
pub(super) const KEPT_BYTES: usize = 2 << 10;

/// Finds the lines in the bytes of one client. The same bytes give the same lines, however they are cut.
///
/// ```
/// # use inventory_net::ledger_lines::LineReader;
/// let mut reader = LineReader::default();
/// let mut sum = 0;
/// for piece in [&b"Marc cre"[..], b"dit $2\nMarc debit", b" $1"] {
///     reader.push(piece, |line| sum += line.map_or(0, |(_, minor)| minor));
/// }
/// reader.finish(|line| sum += line.map_or(0, |(_, minor)| minor));
/// assert_eq!(sum, 100);
/// ```
#[derive(Debug, Default)]
pub struct LineReader {
    /// The beginning of a line; empty if the line is too long.
    unfinished: Vec<u8>,
    is_too_long: bool,
}

impl LineReader {
    /// Takes the next bytes, and gives each line that they end: what it enters, or why it is discarded.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(Result<Entered<'_>, Discard>)) {
        let mut bytes = bytes;
        if self.is_within_a_line() {
            let Some((head, rest)) = memchr(b'\n', bytes).and_then(|end| cut(bytes, end)) else {
                return self.keep(bytes);
            };
            self.keep(head);
            self.finish(&mut line);
            bytes = rest;
        }
        let Some(end) = memrchr(b'\n', bytes) else { return self.keep(bytes) };
        let (whole, rest) = bytes.split_at_checked(end.saturating_add(1)).unwrap_or((bytes, &[]));
        read_lines(whole, line);
        self.keep(rest);
    }

    /// There are no more bytes: gives the last line, if it has no LF.
    pub fn finish(&mut self, mut line: impl FnMut(Result<Entered<'_>, Discard>)) {
        if self.is_too_long {
            line(Err(Discard::TooLong));
        } else if self.is_within_a_line() {
            line(checked(&self.unfinished));
        }
        self.is_too_long = false;
        self.unfinished.clear();
        self.unfinished.shrink_to(KEPT_BYTES);
    }

    /// What the unfinished line takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.unfinished.capacity()
    }

    /// Whether a line has begun and not ended.
    pub(super) fn is_within_a_line(&self) -> bool {
        self.is_too_long || !self.unfinished.is_empty()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let length = self.unfinished.len().saturating_add(bytes.len());
        if length > LINE_BYTES_MAX || self.is_too_long {
            self.is_too_long = true;
            self.unfinished = Vec::new();
        } else {
            // As a vector grows by itself, but never beyond the bound.
            if length > self.unfinished.capacity() {
                let capacity = self.unfinished.capacity().saturating_mul(2).clamp(length, LINE_BYTES_MAX);
                self.unfinished.reserve_exact(capacity.saturating_sub(self.unfinished.len()));
            }
            self.unfinished.extend_from_slice(bytes);
        }
    }
}

/// Whole lines, each with its LF.
fn read_lines(bytes: &[u8], mut line: impl FnMut(Result<Entered<'_>, Discard>)) {
    let all_utf8 = str::from_utf8(bytes).is_ok();
    let mut start = 0;
    for end in memchr_iter(b'\n', bytes) {
        let text = bytes.get(start..end).unwrap_or_default();
        line(if all_utf8 && text.len() <= LINE_BYTES_MAX { read_line(text) } else { checked(text) });
        start = end.saturating_add(1);
    }
}

fn checked(line: &[u8]) -> Result<Entered<'_>, Discard> {
    if line.len() > LINE_BYTES_MAX {
        return Err(Discard::TooLong);
    }
    str::from_utf8(line).map_err(|_| Discard::NotUtf8)?;
    read_line(line)
}

/// What stands before this place, and what behind it.
fn cut(bytes: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(at)?;
    Some((head, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;

    type Outcome = Result<(Vec<u8>, i64), Discard>;

    fn owned(line: Result<Entered<'_>, Discard>) -> Outcome {
        line.map(|(name, minor)| (name.to_vec(), minor))
    }

    fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Outcome> {
        let (mut reader, mut lines) = (LineReader::default(), Vec::new());
        for piece in pieces {
            reader.push(piece, |line| lines.push(owned(line)));
            assert!(reader.unfinished.len() <= LINE_BYTES_MAX);
        }
        reader.finish(|line| lines.push(owned(line)));
        lines
    }

    /// The rules of the protocol, one after the other, written without a thought of speed.
    fn naive(bytes: &[u8]) -> Vec<Outcome> {
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        if lines.last().is_some_and(|last| last.is_empty()) {
            lines.pop();
        }
        lines.into_iter().map(naive_line).collect()
    }

    fn naive_line(line: &[u8]) -> Outcome {
        if line.len() > 65_536 {
            return Err(Discard::TooLong);
        }
        let text = String::from_utf8(line.to_vec()).map_err(|_| Discard::NotUtf8)?;
        let fields: Vec<&str> =
            text.split([' ', '\t', '\r', '\u{b}', '\u{c}']).filter(|field| !field.is_empty()).collect();
        let [name, kind, amount] = fields[..] else { return Err(Discard::Fields) };
        let sign = match kind {
            "credit" => 1,
            "debit" => -1,
            _ => return Err(Discard::Type),
        };
        let amount = amount.strip_prefix('$').unwrap_or(amount);
        let (major, minor) = amount.split_once('.').unwrap_or((amount, "0"));
        let all_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        if major.is_empty() || !all_digits(major) || !all_digits(minor) || ![1, 2].contains(&minor.len()) {
            return Err(Discard::Amount);
        }
        let digits = format!("{major}{minor:0<2}");
        let digits = digits.trim_start_matches('0');
        let units = if digits.is_empty() { "0" } else { digits };
        let units: i64 = units.parse().map_err(|_| Discard::TooLarge)?;
        Ok((name.into(), sign * units))
    }

    /// Lines that are mostly well-formed, and bytes that mostly are no line at all.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let field = prop_oneof![
            4 => select(vec!["Marc", "Zoë", "credit", "debit", "a\u{a0}b", "$2", "1.5", "92233720368547758.08", "."])
                .prop_map(|text| text.as_bytes().to_vec()),
            1 => "[$]?[0-9]{0,32}[.]?[0-9]{0,3}".prop_map(String::into_bytes),
            1 => vec(any::<u8>(), 0..4),
        ];
        let gap = "[ \t\r\u{b}\u{c}]{0,2}".prop_map(String::into_bytes);
        let valid = ("[a-c]{1,3}", select(vec!["credit", "debit"]), "[$]?[0-9]{1,4}([.][0-9]{1,2})?")
            .prop_map(|(name, kind, amount)| format!("{name} {kind} {amount}").into_bytes());
        let line = prop_oneof![
            2 => valid,
            2 => vec((field, gap), 0..5)
                .prop_map(|parts| parts.into_iter().flat_map(|(field, gap)| [field, gap]).flatten().collect()),
        ];
        (vec(line, 0..6), any::<bool>()).prop_map(|(lines, is_ended)| {
            let mut bytes = lines.join(&b'\n');
            bytes.extend(is_ended.then_some(b'\n'));
            bytes
        })
    }

    proptest! {
        #[test]
        fn every_cut_gives_what_the_rules_say(bytes in stream()) {
            let wanted = naive(&bytes);
            prop_assert_eq!(&in_pieces([&bytes[..]]), &wanted);
            prop_assert_eq!(&in_pieces(bytes.chunks(1)), &wanted);
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                prop_assert_eq!(&in_pieces([head, tail]), &wanted, "cut at {}", at);
            }
        }

        #[test]
        fn many_cuts_give_the_same(bytes in stream(), cuts in vec(any::<Index>(), 1..12)) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(in_pieces(pieces), naive(&bytes));
        }
    }

    #[test]
    fn a_line_of_64_kib_counts_and_one_byte_more_does_not() {
        for (spare, counts) in [(0, true), (1, false), (200_000, false)] {
            let mut bytes = b"Marc credit".to_vec();
            bytes.resize(65_536 - 1 + spare, b' ');
            bytes.extend_from_slice(b"2\nZoe debit 1\n");
            let wanted = naive(&bytes);
            assert_eq!(wanted[0].is_ok(), counts);
            assert_eq!(wanted.len(), 2);
            for size in [1, 1_000, 65_535, 65_536, 65_537, bytes.len()] {
                assert_eq!(in_pieces(bytes.chunks(size)), wanted, "{spare} bytes more, in pieces of {size}");
            }
        }
    }

    #[test]
    fn an_endless_line_takes_no_memory_and_is_one_discarded_line() {
        let mut reader = LineReader::default();
        for _ in 0..100 {
            reader.push(&[b'x'; 10_000], |line| panic!("{line:?}"));
            assert!(reader.unfinished.capacity() <= LINE_BYTES_MAX);
        }
        assert_eq!(reader.unfinished.capacity(), 0);
        let mut lines = Vec::new();
        reader.push(b" credit 1\na credit 1", |line| lines.push(owned(line)));
        reader.finish(|line| lines.push(owned(line)));
        assert_eq!(lines, [Err(Discard::TooLong), Ok((b"a".to_vec(), 100))]);
    }

    #[test]
    fn a_long_line_gives_its_memory_back() {
        let mut reader = LineReader::default();
        reader.push(&vec![b'x'; 60_000], |_| {});
        reader.push(b"\na", |_| {});
        assert!(reader.unfinished.capacity() <= KEPT_BYTES);
    }

    #[test]
    fn one_line_that_is_not_utf8_spoils_no_other() {
        let wanted = [Ok((b"a".to_vec(), 100)), Err(Discard::NotUtf8), Ok(("Zoë".into(), -100))];
        assert_eq!(in_pieces([&b"a credit 1\n\xff credit 1\nZo\xc3\xab debit 1"[..]]), wanted);
    }
}
