//! The naive accounts' entries: every change of a balance in the order of the events, and the pages that clients get of them.

use inventory_core::journal::ScanPlace;
use inventory_core::{Event, Money, OrderKey, Record, UserId, Version};
use inventory_net::message::{EntriesPage, EntryRow};

use super::{Asked, Auditor, Check, ensure};

impl Auditor {
    /// Enters the changes that an event made.
    pub(super) fn enter(&mut self, version: Version, record: &Record, changes: Vec<(Box<str>, i64)>) {
        let Some((reason, key, user)) = cause(&record.event) else { return };
        let user = Some(user).filter(|user| *user != UserId::SYSTEM).map(|user| (*self.name_of(user)).into());
        for (account, change) in changes {
            let (reason, user, change) = (reason.into(), user.clone(), Money::from_minor(change));
            let row = EntryRow { version, at: record.at, reason, change, user, key };
            self.entries.entry(account).or_default().push(row);
        }
    }

    /// A page has the entries from its place on, none left out, none twice; if it is the last one, all that were acknowledged. A
    /// server may read what is durable and not acknowledged to anybody yet: that is not looked at.
    pub(super) fn check_entries(
        &mut self,
        asked: &Asked,
        account: &str,
        place: ScanPlace,
        limit: Option<u32>,
        page: &EntriesPage,
    ) -> Check {
        ensure(page.start.is_none_or(|start| start <= self.discarded && place.after < start), || {
            "it begins behind what must be kept".into()
        })?;
        let place = page.start.map_or(place, |after| ScanPlace { after, skip: 0 });
        let all: &[EntryRow] = self.entries.get(account).map_or(&[], Vec::as_slice);
        let from = index(all, place);
        let known = page.entries.iter().filter(|row| row.version <= self.version()).count();
        let right = all.iter().skip(from).take(known);
        ensure(right.eq(page.entries.iter().take(known)), || format!("its entries are {all:?}"))?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(256).max(1);
        ensure(page.entries.len() <= limit, || "there are more than were asked for".into())?;
        if known < page.entries.len() {
            return Ok(());
        }
        match page.next {
            Some(next) if next.after <= self.version() => {
                ensure(index(all, next) == from + known, || "the next page begins elsewhere".into())
            }
            Some(_) => Ok(()),
            None => {
                let acknowledged = all.iter().filter(|row| row.version <= asked.floor).count();
                ensure(from + known >= acknowledged, || "entries that were acknowledged are missing".into())
            }
        }
    }
}

/// How many entries are in front of this place.
fn index(all: &[EntryRow], place: ScanPlace) -> usize {
    all.iter().filter(|row| row.version <= place.after).count() + usize::try_from(place.skip).unwrap_or(0)
}

/// Why an event changes balances, under which key, and through whom.
fn cause(event: &Event) -> Option<(&'static str, OrderKey, UserId)> {
    match event {
        Event::PurchaseCharged { key, user, .. } => Some(("purchase", *key, *user)),
        Event::Posted { key, user, .. } | Event::BulkPosted { key, user, .. } => {
            Some(("posting", *key, *user))
        }
        Event::Returned { user, returned, .. } => Some(("refund", returned.order, *user)),
        _ => None,
    }
}
