//! Addresses: URLs such as `tcp://127.0.0.1:7411`. The scheme names the transport; the transport knows the rest.

use std::fmt;
use std::str::FromStr;

use super::{TRANSPORTS, Transport};

/// Where a server listens, as a URL: `tcp://host:port`, `unix:///path` or `memory://name`.
///
/// ```
/// use inventory_net::transport::Address;
///
/// let address: Address = "tcp://127.0.0.1:7411".parse()?;
/// assert_eq!(address.scheme(), "tcp");
/// assert_eq!(address.to_string(), "tcp://127.0.0.1:7411");
/// # Ok::<(), inventory_net::transport::AddressError>(())
/// ```
#[derive(Clone)]
pub struct Address {
    transport: &'static dyn Transport,
    rest: Box<str>,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It has no scheme.
    #[error("`{text}` is no address: an address begins with its scheme, such as {known}")]
    NoScheme {
        /// The text.
        text: String,
        /// Forms of the addresses that are known.
        known: String,
    },
    /// Its scheme is none that is known.
    #[error("`{scheme}` is no known scheme: an address is {known}")]
    UnknownScheme {
        /// The scheme.
        scheme: String,
        /// Forms of the addresses that are known.
        known: String,
    },
    /// What follows the scheme is wrong.
    #[error("`{text}` is no address: {why}; write it as {form}")]
    Malformed {
        /// The text.
        text: String,
        /// What is wrong.
        why: &'static str,
        /// The right form.
        form: &'static str,
    },
}

impl Address {
    /// The name of its transport, such as `tcp`.
    pub fn scheme(&self) -> &'static str {
        self.transport.scheme()
    }

    /// What follows `scheme://`.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// The address of a listener that knows better where it is.
    pub(super) fn with_rest(&self, rest: String) -> Self {
        Self { transport: self.transport, rest: rest.into() }
    }

    pub(super) fn transport(&self) -> &'static dyn Transport {
        self.transport
    }
}

fn known() -> String {
    TRANSPORTS.iter().map(|transport| transport.form()).collect::<Vec<_>>().join(", ")
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(AddressError::NoScheme { text: text.into(), known: known() });
        };
        let Some(transport) = TRANSPORTS.iter().find(|transport| transport.scheme() == scheme) else {
            return Err(AddressError::UnknownScheme { scheme: scheme.into(), known: known() });
        };
        let form = transport.form();
        transport.check(rest).map_err(|why| AddressError::Malformed { text: text.into(), why, form })?;
        Ok(Self { transport: *transport, rest: rest.into() })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.rest)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        (self.scheme(), &self.rest) == (other.scheme(), &other.rest)
    }
}

impl Eq for Address {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_as_it_was_written() {
        for text in ["tcp://localhost:0", "tcp://[::1]:7411", "unix:///run/shop/server.sock", "memory://shop"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_is_no_address_says_what_to_write() {
        for (text, told) in [
            ("localhost:7411", "begins with its scheme, such as tcp://host:port"),
            (
                "http://localhost:7411",
                "`http` is no known scheme: an address is tcp://host:port, unix:///path",
            ),
            ("tcp://localhost", "the port is missing"),
            ("tcp://:7411", "the host is missing"),
            ("tcp://localhost:port", "the port is no number from 0 to 65535"),
            ("tcp://localhost:70000", "the port is no number from 0 to 65535"),
            ("tcp://::1:7411", "an IPv6 address stands in brackets"),
            ("unix://run/server.sock", "the path is not absolute"),
            ("memory://", "the name is missing"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
