//! From an append to a definite answer: a conflict is looked at, an unknown outcome is found out.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Append, Group, Journal, JournalError};

/// How often an append whose outcome is unknown is looked up and sent again.
const ATTEMPTS: usize = 3;
/// How many bytes of another writer's groups are read at once.
const READ_BYTES: usize = 4 << 20;

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is durable.
    Done,
    /// It never will be: these groups of another writer are in its place.
    Conflict(Vec<Group>),
    /// It was not written, for certain.
    Failed(String),
    /// It could not be found out.
    Unknown(String),
}

/// Appends a group and finds out what became of it, as the obligations of [`Journal`] allow: an unknown outcome is
/// resolved by reading the place the group wanted, and by sending the same bytes again while nothing is there.
///
/// For the first attempt only; [`commit_again`] is for a group whose earlier call was cancelled.
pub async fn commit(journal: &(impl Journal + ?Sized), group: &Group) -> Commit {
    resolve(journal, group, None).await
}

/// Like [`commit`], for a group that was sent before and whose outcome was not learned. A group that is there already
/// is done; since the earlier attempt may have taken effect, none is said to have failed.
pub async fn commit_again(journal: &(impl Journal + ?Sized), group: &Group) -> Commit {
    resolve(journal, group, Some("an earlier attempt to write was cancelled".into())).await
}

/// `unknown` says why an earlier attempt may have taken effect, if there was one.
async fn resolve(journal: &(impl Journal + ?Sized), group: &Group, mut unknown: Option<String>) -> Commit {
    for _ in 0..ATTEMPTS {
        let conflict = match journal.append(group.clone()).await {
            Append::Done => return Commit::Done,
            Append::Failed(why) if unknown.is_none() => return Commit::Failed(why),
            // An earlier attempt may still take effect: only the journal itself can tell.
            Append::Failed(why) | Append::Unknown(why) => {
                unknown = Some(why);
                false
            }
            Append::Conflict => true,
        };
        match journal.read(group.base(), READ_BYTES).await {
            Ok(groups) => match groups.first() {
                Some(first) if first.hash() == group.hash() => return Commit::Done,
                Some(_) => return Commit::Conflict(groups),
                None if conflict => {
                    let why =
                        "the journal ends elsewhere, or has another history: acknowledged writes are missing";
                    return Commit::Unknown(why.into());
                }
                None => {}
            },
            // It stays so until the snapshot is read: to say that this group failed would be to say it of all that follow.
            Err(error @ JournalError::Discarded { .. }) => {
                return Commit::Unknown(alloc::format!("another writer is far ahead, restart: {error}"));
            }
            Err(error) if conflict && unknown.is_none() => {
                let why = alloc::format!("another writer was first, and its groups cannot be read: {error}");
                return Commit::Failed(why);
            }
            Err(_) => {}
        }
    }
    Commit::Unknown(unknown.unwrap_or_default())
}
