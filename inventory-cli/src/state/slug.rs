//! File names made from addresses and user names.

use std::fmt::Write as _;

use inventory_core::Hash;

/// Longest file name made here, well below the 255 bytes that file systems take.
const SLUG_BYTES_MAX: usize = 120;

/// A file name for this text: letters, digits, dots and hyphens stay, every other byte becomes `_` and two
/// hexadecimal digits. Different texts get different names; a very long one is cut and ends in its hash.
pub(super) fn slug(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        let stays = byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && at > 0);
        if stays {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "_{byte:02x}");
        }
    }
    if name.len() > SLUG_BYTES_MAX {
        let hash = Hash::of(text.as_bytes()).to_string();
        name.truncate(SLUG_BYTES_MAX - 1 - hash.len());
        // No other name holds a double underscore: an escape is followed by a digit or a letter.
        name.push_str("__");
        name.push_str(&hash);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn addresses_become_legible_file_names() {
        assert_eq!(slug("tcp://127.0.0.1:7411"), "tcp_3a_2f_2f127.0.0.1_3a7411");
        assert_eq!(slug(".."), "_2e.");
        assert_eq!(slug("alice"), "alice");
    }

    #[test]
    fn different_texts_get_different_names_of_bounded_length() {
        let long = |last: char| format!("unix:///{}{last}", "é/".repeat(300));
        assert_ne!(slug(&long('a')), slug(&long('b')));
        assert!(slug(&long('a')).len() <= 130);
        assert_ne!(slug("a/b"), slug("a_2fb"));
    }
}
