//! Short notes to the person at the terminal, on standard error, beside the result.

use std::fmt;
use std::io::Write as _;

use crate::legible::legible;

/// Writes one line to standard error. A note that cannot be written is lost: the result matters more.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr().lock(), "inventory: {}", legible(&text.to_string()));
}
