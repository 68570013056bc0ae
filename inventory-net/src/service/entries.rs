//! The entries of an account: whether it may be asked for, the engine says; what they are, the journal.

use inventory_core::journal::{AccountScan, ScanPlace, ScannedEntry};
use inventory_core::{Actor, Query, Refusal, Reply};
use tokio::sync::oneshot;

use super::history::{Question, Unread};
use super::{Service, lock};
use crate::message::{Done, EntriesPage, EntryRow, ReplyBody, Unavailable};

impl Service {
    /// A page of at most `limit` entries of this account, from this place on.
    pub(crate) async fn entries(
        &self,
        actor: Actor,
        account: Box<str>,
        place: ScanPlace,
        limit: u32,
    ) -> ReplyBody {
        // Its answer waits until the account, if it is new, is durable.
        match self.call(actor, Query::Balance { account: account.clone() }).await {
            Reply::Answered(_) => {}
            Reply::Refused(refusal) => return ReplyBody::Refused(refusal),
            Reply::Unavailable(reason) => return ReplyBody::Unavailable(reason.into()),
        }
        let Some(id) = self.with_state(|state| state.accounts().id(account.as_bytes())) else {
            return ReplyBody::Refused(Refusal::UnknownAccount { account });
        };
        if place.after > self.version() {
            return ReplyBody::Refused(Refusal::InvalidValue { field: "after" });
        }
        let scan = AccountScan::new(id, place, usize::try_from(limit).unwrap_or(usize::MAX));
        let (reply_to, page) = oneshot::channel();
        self.shared.look_in_history(Question::Entries { reply_to, scan });
        match page.await {
            Ok(Ok(scan)) => ReplyBody::Done(Done::Entries(self.page(&scan))),
            Ok(Err(Unread::NoSuchPlace)) => ReplyBody::Refused(Refusal::InvalidValue { field: "after" }),
            // Nobody answers any more: the service was closed meanwhile.
            Ok(Err(Unread::Overloaded)) | Err(_) => ReplyBody::Unavailable(Unavailable::Overloaded),
        }
    }

    fn page(&self, scan: &AccountScan) -> EntriesPage {
        let desk = lock(&self.shared.desk);
        let users = desk.engine.state().users();
        let row = |entry: &ScannedEntry| {
            let ScannedEntry { version, at, reason, change, user, key } = *entry;
            let user = users.user(user).map(|user| (&*user.name).into());
            EntryRow { version, at, reason: reason.name().into(), change, user, key }
        };
        EntriesPage {
            entries: scan.entries().iter().map(row).collect(),
            next: scan.place(),
            start: scan.start(),
        }
    }
}
