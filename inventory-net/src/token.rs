//! What programs do with session tokens beside sending them: make them, keep them as text, name their sessions.

use std::str::FromStr;

use inventory_core::SessionId;

use crate::limits::TOKEN_BYTES;
use crate::message::Token;

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session token is {} hexadecimal digits", TOKEN_BYTES * 2)]
pub struct TokenError;

impl Token {
    /// A new token of 256 bits from the system's randomness; an error if the system has none to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self::new(bytes))
    }

    /// What names its session in the engine: the BLAKE3 hash of its bytes.
    pub fn session(&self) -> SessionId {
        SessionId(*blake3::hash(self.reveal()).as_bytes())
    }

    /// The text form, for a client that keeps it: 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.reveal().iter().fold(String::with_capacity(TOKEN_BYTES * 2), |mut text, byte| {
            for digit in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
            }
            text
        })
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let mut bytes = [0; TOKEN_BYTES];
        if text.len() != TOKEN_BYTES * 2 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(TokenError);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| TokenError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| TokenError)?;
        }
        Ok(Self::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_text_form() {
        let token = Token::generate().unwrap();
        assert_eq!(token.to_hex().parse::<Token>().unwrap(), token);
        assert_ne!(token, Token::generate().unwrap());
    }

    #[test]
    fn a_text_that_is_no_token_is_refused() {
        for text in ["", "00", "zz", &"0".repeat(63), &"+0".repeat(32), &"é".repeat(32)] {
            assert_eq!(text.parse::<Token>(), Err(TokenError), "{text}");
        }
    }
}
