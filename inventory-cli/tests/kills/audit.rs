//! What the journal says, read without the server and added up without the state machine.

use std::collections::BTreeMap;
use std::path::Path;

use inventory_core::journal::Journal as _;
use inventory_core::{
    AccountId, Charge, Event, Hash, Line, LocationId, OrderKey, Refund, Returned, Units, Upc, Version,
};
use inventory_store::{FileJournal, FileJournalOptions};

/// How an order or return ended, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) version: Version,
    pub(crate) user: Box<str>,
    /// Units by item; none if it is no order or was refused.
    pub(crate) bought: Option<BTreeMap<Upc, u64>>,
    /// The account that paid, and how much; of a return, the one that was refunded.
    pub(crate) charged: Option<(Box<str>, i64)>,
    /// The order that a return is of, and units by item; none if it is none or was refused.
    pub(crate) returned: Option<(OrderKey, BTreeMap<Upc, u64>)>,
}

/// The journal's events, folded.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) outcomes: BTreeMap<OrderKey, Recorded>,
    items: Vec<Upc>,
    users: Vec<Box<str>>,
    initial: BTreeMap<Upc, u64>,
    on_hand: BTreeMap<Upc, u64>,
    /// Units by order and item that came back.
    came_back: BTreeMap<(OrderKey, Upc), u64>,
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
            Event::Returned { key, user, returned, .. } => self.take_back(key, version, user.0, &returned),
            Event::PostRefused { key, .. } => panic!("there is no floor, and {key} was refused"),
            Event::FloorSet { account, .. } => panic!("nobody set a floor of {account:?}"),
            Event::PurchaseRefused { key, user, .. } | Event::ReturnRefused { key, user, .. } => {
                self.decide(key, version, user.0, None, None);
            }
        }
    }

    /// Units of an order come back, none twice, and with them what an account paid for them: what is charged here costs all the
    /// same.
    fn take_back(&mut self, key: OrderKey, version: Version, user: u32, returned: &Returned) {
        let Returned { order, purchased, lines, refund } = returned;
        let Recorded { version: decided, bought, charged, .. } = self.outcomes[order].clone();
        assert_eq!(decided, *purchased, "return {key} is of another purchase");
        let bought = bought.unwrap_or_else(|| panic!("return {key} is of what was not bought"));
        let mut back = BTreeMap::new();
        for line in lines.iter() {
            let (upc, units) = (self.items[line.item.0 as usize], line.units.get());
            let so_far = self.came_back.entry((*order, upc)).or_default();
            *so_far += units;
            assert!(Some(&*so_far) <= bought.get(&upc), "{upc} of {order} came back twice, at {version}");
            *self.on_hand.get_mut(&upc).unwrap() += units;
            back.insert(upc, units);
        }
        let name =
            |refund: &Refund| (self.accounts[refund.account.0 as usize].clone(), refund.amount.minor());
        let refunded = refund.as_ref().map(name);
        let units = |of: &BTreeMap<Upc, u64>| i64::try_from(of.values().sum::<u64>()).unwrap();
        let paid = charged.map(|(account, total)| (account, total / units(&bought) * units(&back)));
        assert_eq!(refunded, paid, "return {key} refunds what was not paid");
        if let Some((account, minor)) = &refunded {
            self.change(account, *minor);
        }
        self.decide(key, version, user, None, refunded);
        self.outcomes.get_mut(&key).unwrap().returned = Some((*order, back));
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
        let before = self.outcomes.insert(key, Recorded { version, user, bought, charged, returned: None });
        assert!(before.is_none(), "order {key} has two outcomes, the second at {version}");
    }

    /// Units on hand of every item.
    pub(crate) const fn on_hand(&self) -> &BTreeMap<Upc, u64> {
        &self.on_hand
    }

    /// Units of an item that were sold and did not come back.
    pub(crate) fn sold(&self, upc: Upc) -> u64 {
        self.initial[&upc] - self.on_hand[&upc]
    }

    /// Units of an item that a user bought and did not return.
    pub(crate) fn sold_to(&self, user: &str, upc: Upc) -> u64 {
        let of_user = || self.outcomes.values().filter(|outcome| &*outcome.user == user);
        let bought: u64 = of_user().filter_map(|outcome| outcome.bought.as_ref()?.get(&upc)).sum();
        let back = of_user().filter_map(|outcome| outcome.returned.as_ref()?.1.get(&upc));
        bought - back.sum::<u64>()
    }
}
