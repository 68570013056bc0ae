//! What the journal says, read without the server and added up without the state machine.

use std::collections::BTreeMap;
use std::path::Path;

use inventory_core::journal::Journal as _;
use inventory_core::{AccountId, Charge, Event, Hash, Line, LocationId, OrderKey, Units, Upc, Version};
use inventory_store::{FileJournal, FileJournalOptions};

/// How an order ended, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) version: Version,
    pub(crate) user: Box<str>,
    /// Units by item; none if the order was refused.
    pub(crate) bought: Option<BTreeMap<Upc, u64>>,
    /// The account that paid, and how much.
    pub(crate) charged: Option<(Box<str>, i64)>,
}

/// The journal's events, folded.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) outcomes: BTreeMap<OrderKey, Recorded>,
    items: Vec<Upc>,
    users: Vec<Box<str>>,
    initial: BTreeMap<Upc, u64>,
    on_hand: BTreeMap<Upc, u64>,
    accounts: Vec<Box<str>>,
    balances: BTreeMap<Box<str>, i64>,
    /// What each posting changed, and at which version.
    pub(crate) posted: BTreeMap<OrderKey, (Version, BTreeMap<Box<str>, i64>)>,
}

impl Ledger {
    /// Reads the whole journal of a server that is not running. Its groups follow each other without a gap, no order
    /// has two outcomes, and no level is ever below zero.
    pub(crate) async fn read(data: &Path) -> Self {
        let journal = FileJournal::open(data, FileJournalOptions::default()).unwrap();
        let mut ledger = Self::default();
        let (mut version, mut hash) = (Version::ZERO, Hash::ZERO);
        loop {
            let groups = journal.read(version, 1 << 20).await.unwrap();
            if groups.is_empty() {
                return ledger;
            }
            for group in groups {
                assert_eq!((group.base(), group.previous()), (version, hash), "a gap in the journal");
                for record in group.records() {
                    let (version, record) = record.unwrap();
                    ledger.fold(version, record.event);
                }
                (version, hash) = (group.last(), group.hash());
            }
        }
    }

    pub(crate) fn fold(&mut self, version: Version, event: Event) {
        match event {
            Event::ItemDefined { upc, .. } if self.items.contains(&upc) => {}
            Event::ItemDefined { upc, .. } => self.items.push(upc),
            Event::InitialLevelSet { item, location, units, .. } => {
                assert_eq!(location, LocationId::MAIN);
                let upc = self.items[item.0 as usize];
                assert!(self.initial.insert(upc, units.get()).is_none(), "{upc} has two initial levels");
                self.on_hand.insert(upc, units.get());
            }
            Event::UserAdded { name, .. } => self.users.push(name),
            Event::LoggedIn { .. } | Event::LoggedOut { .. } => {}
            Event::Purchased { key, user, lines, .. } => {
                let bought = self.take_all(version, &lines);
                self.decide(key, version, user.0, Some(bought), None);
            }
            Event::PurchaseCharged { key, user, lines, charge, .. } => {
                let Charge { account, total, .. } = *charge;
                let bought = self.take_all(version, &lines);
                let name = self.accounts[account.0 as usize].clone();
                self.change(&name, -total.minor());
                self.decide(key, version, user.0, Some(bought), Some((name, total.minor())));
            }
            Event::Posted { key, posted, added, .. } => {
                self.accounts.extend(added);
                let minor = posted.entry.amount().minor();
                let first = (*posted.entry.account(), posted.entry.change().minor());
                let second = posted.entry.counterpart().map(|account| (*account, minor));
                self.post(key, version, std::iter::once(first).chain(second));
            }
            Event::BulkPosted { key, rows, .. } => {
                self.accounts.extend(rows.added().iter().map(|name| str::from_utf8(name).unwrap().into()));
                self.post(key, version, rows.accepted().map(|(_, account, minor)| (account, minor)));
            }
            Event::BulkPurchased { key, .. } => panic!("nobody sent the batch {key}"),
            Event::Returned { key, .. } | Event::ReturnRefused { key, .. } => {
                panic!("nobody sent the return {key}")
            }
            Event::PostRefused { key, .. } => panic!("there is no floor, and {key} was refused"),
            Event::FloorSet { account, .. } => panic!("nobody set a floor of {account:?}"),
            Event::PurchaseRefused { key, user, .. } => self.decide(key, version, user.0, None, None),
        }
    }

    fn post(&mut self, key: OrderKey, version: Version, changes: impl Iterator<Item = (AccountId, i64)>) {
        let mut sums = BTreeMap::new();
        for (account, minor) in changes {
            let name = self.accounts[account.0 as usize].clone();
            self.change(&name, minor);
            *sums.entry(name).or_default() += minor;
        }
        let before = self.posted.insert(key, (version, sums));
        assert!(before.is_none(), "posting {key} has two outcomes, the second at {version}");
    }

    fn change(&mut self, account: &str, minor: i64) {
        *self.balances.entry(account.into()).or_default() += minor;
    }

    /// What the entries of each account add up to.
    pub(crate) const fn balances(&self) -> &BTreeMap<Box<str>, i64> {
        &self.balances
    }

    fn take_all(&mut self, version: Version, lines: &[Line]) -> BTreeMap<Upc, u64> {
        let mut bought = BTreeMap::new();
        for line in lines {
            let upc = self.items[line.item.0 as usize];
            self.take(version, upc, line.units);
            *bought.entry(upc).or_default() += line.units.get();
        }
        bought
    }

    fn take(&mut self, version: Version, upc: Upc, units: Units) {
        let level = self.on_hand.get_mut(&upc).unwrap();
        *level = level.checked_sub(units.get()).unwrap_or_else(|| panic!("{upc} oversold at {version}"));
    }

    fn decide(
        &mut self,
        key: OrderKey,
        version: Version,
        user: u32,
        bought: Option<BTreeMap<Upc, u64>>,
        charged: Option<(Box<str>, i64)>,
    ) {
        // Users are numbered from 1.
        let user = self.users[user as usize - 1].clone();
        let before = self.outcomes.insert(key, Recorded { version, user, bought, charged });
        assert!(before.is_none(), "order {key} has two outcomes, the second at {version}");
    }

    /// Units on hand of every item.
    pub(crate) const fn on_hand(&self) -> &BTreeMap<Upc, u64> {
        &self.on_hand
    }

    /// Units of an item that were sold.
    pub(crate) fn sold(&self, upc: Upc) -> u64 {
        self.initial[&upc] - self.on_hand[&upc]
    }

    /// Units of an item that a user bought.
    pub(crate) fn sold_to(&self, user: &str, upc: Upc) -> u64 {
        let of_user = self.outcomes.values().filter(|outcome| &*outcome.user == user);
        of_user.filter_map(|outcome| outcome.bought.as_ref()?.get(&upc)).sum()
    }
}
