//! What must not be shown or left behind in memory: passwords and session tokens.

use core::fmt;

use zeroize::Zeroize;

use crate::limits::{PASSWORD_BYTES_MAX, TOKEN_BYTES};

/// A password as its user gave it: at most [`PASSWORD_BYTES_MAX`] bytes. Wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Box<str>);

impl Password {
    /// This password, if it is not too long.
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= PASSWORD_BYTES_MAX).then(|| Self(text.into()))
    }

    /// The password itself, to hash or to send.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The secret that stands for a session: whoever shows it is the session's user. Wiped when dropped, never
/// shown.
///
/// Comparing takes a time that depends on the bytes: a server looks tokens up by their hash instead.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// The token of these bytes.
    pub const fn new(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// The token itself, to hash, to keep or to send.
    pub const fn reveal(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
