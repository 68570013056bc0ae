//! What clients ask for, drawn so that every command reaches every outcome now and then.

use inventory_core::journal::ScanPlace;
use inventory_core::limits::{
    BULK_ROWS_MAX, ENTRIES_BATCH_MAX, ORDER_LINES_MAX, ORDER_WINDOW_AGE_US, UNITS_MAX,
};
use inventory_core::{
    BulkEntries, BulkOrder, Entry, LocationId, Money, NameColumn, Order, OrderKey, OrderLine, Posting,
    Return, Role, Time, Units, Upc,
};
use inventory_net::message::{Op, Password, RequestBody};

use crate::order::AnyOrder;

/// What a run is about.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) items: u64,
    pub(crate) locations: u16,
    pub(crate) users: u64,
    /// What is asked for more often than anything else: so that runs together ask for everything often enough.
    pub(crate) favourite: Op,
}

impl Workload {
    pub(crate) fn upc(item: u64) -> Upc {
        Upc::new(36_000_000_000 + item % 1_000).unwrap_or(FALLBACK)
    }

    /// An item that is probably defined.
    pub(crate) fn any_upc(&self, rng: &mut fastrand::Rng) -> Upc {
        let beyond = u64::from(rng.u8(..12) == 0);
        Self::upc(rng.u64(..self.items + beyond))
    }

    fn any_location(&self, rng: &mut fastrand::Rng) -> LocationId {
        if rng.u8(..4) > 0 { LocationId::MAIN } else { LocationId(rng.u16(..self.locations.max(1))) }
    }

    fn any_line(&self, rng: &mut fastrand::Rng) -> OrderLine {
        let units = match rng.u8(..40) {
            0 => 0,
            1 => UNITS_MAX,
            2..6 => rng.u64(5..40),
            _ => rng.u64(1..5),
        };
        let units = Units::new(units).unwrap_or_default();
        OrderLine { upc: self.any_upc(rng), location: self.any_location(rng), units }
    }

    /// A new order, entry or batch of the user of this number.
    pub(crate) fn order(&self, rng: &mut fastrand::Rng, user: u64, now: Time) -> AnyOrder {
        let key = Self::key(rng, now);
        // The first user is an administrator; others are mostly told that they may not.
        if rng.u8(..if user == 0 { 2 } else { 24 }) == 0 {
            return self.posting(rng, key);
        }
        if rng.u8(..4) == 0 {
            return AnyOrder::Bulk(self.batch(rng, key));
        }
        let lines = match rng.u16(..400) {
            0 => ORDER_LINES_MAX + 1,
            1..4 => 0,
            4..120 => rng.usize(2..5),
            _ => 1,
        };
        let lines = only_one_huge((0..lines).map(|_| self.any_line(rng)).collect()).into();
        let charge = match rng.u8(..12) {
            0..5 => Some(user_name(user)),
            5 => Some(self.account(rng)),
            _ => None,
        };
        AnyOrder::Lines(Order { key, lines, charge })
    }

    fn key(rng: &mut fastrand::Rng, now: Time) -> OrderKey {
        let time = match rng.u8(..50) {
            0 => now.plus_micros(rng.u64(30..200) * 1_000_000),
            1 => now.minus_micros(rng.u64(..30) * 3_600_000_000),
            // It leaves the window soon, perhaps before it is durable.
            2 => now.minus_micros(ORDER_WINDOW_AGE_US - rng.u64(..1_000_000)),
            _ => now,
        };
        OrderKey::from_parts(time, rng.u128(..))
    }

    /// A return of an order of which these lines were bought, if any were.
    pub(crate) fn give_back(
        &self,
        rng: &mut fastrand::Rng,
        now: Time,
        order: OrderKey,
        bought: &[OrderLine],
    ) -> AnyOrder {
        let count = match rng.u16(..200) {
            0 => ORDER_LINES_MAX + 1,
            1..80 => 0,
            80..120 => rng.usize(2..5),
            _ => 1,
        };
        let line = |rng: &mut fastrand::Rng| match rng.choice(bought) {
            Some(line) if rng.u8(..12) > 0 => {
                let beyond = u64::from(rng.u8(..8) == 0);
                let units = rng.u64(1..=line.units.get().saturating_add(beyond));
                OrderLine { units: Units::new(units).unwrap_or_default(), ..*line }
            }
            _ => self.any_line(rng),
        };
        let lines = only_one_huge((0..count).map(|_| line(rng)).collect()).into();
        AnyOrder::Return(Return { key: Self::key(rng, now), order, lines, evidence: None })
    }

    /// The name of an account: often a user's, now and then no name at all.
    fn account(&self, rng: &mut fastrand::Rng) -> Box<str> {
        match rng.u8(..40) {
            0 => "two words".into(),
            1 => "".into(),
            2..8 => "Zoë".into(),
            8..14 => "till".into(),
            _ => user_name(rng.u64(..=self.users)),
        }
    }

    /// An amount in minor units: seldom one that makes balances too large.
    fn amount(rng: &mut fastrand::Rng) -> i64 {
        match rng.u8(..60) {
            0 => i64::MAX,
            1 => i64::MAX / 2,
            2 => 0,
            _ => rng.i64(1..1_500),
        }
    }

    fn posting(&self, rng: &mut fastrand::Rng, key: OrderKey) -> AnyOrder {
        if rng.u8(..3) == 0 {
            return AnyOrder::Entries(self.entries(rng, key));
        }
        let (account, amount) = (self.account(rng), Money::from_minor(Self::amount(rng)));
        let entry = match rng.u8(..4) {
            0 | 1 => Entry::Credit { account, amount },
            2 => Entry::Debit { account, amount },
            _ => Entry::Transfer { from: account, to: self.account(rng), amount },
        };
        AnyOrder::Entry(Posting { key, entry })
    }

    fn entries(&self, rng: &mut fastrand::Rng, key: OrderKey) -> BulkEntries {
        let rows = match rng.u16(..400) {
            0 => ENTRIES_BATCH_MAX,
            1..300 => rng.usize(2..12),
            _ => 1,
        };
        let (mut names, mut amounts) = (NameColumn::default(), Vec::new());
        for _ in 0..rows {
            let amount = Self::amount(rng);
            if names.push(self.account(rng).as_bytes()) {
                amounts.push(if rng.bool() { amount } else { -amount });
            }
        }
        let batch = BulkEntries::new(key, names, amounts);
        batch.unwrap_or_else(|_| unreachable!("it has as many rows as it may"))
    }

    fn batch(&self, rng: &mut fastrand::Rng, key: OrderKey) -> BulkOrder {
        let rows = match rng.u16(..400) {
            0 => BULK_ROWS_MAX,
            1..200 => rng.usize(2..12),
            _ => 1,
        };
        let units = |rng: &mut fastrand::Rng| match rng.u8(..40) {
            0 => 0,
            1 => u32::MAX,
            _ => rng.u32(1..5),
        };
        let (upcs, units): (Vec<Upc>, Vec<u32>) = (0..rows).map(|_| (self.any_upc(rng), units(rng))).unzip();
        let order = BulkOrder::new(key, self.any_location(rng), upcs, units);
        order.unwrap_or_else(|_| unreachable!("it has as many rows as it may"))
    }

    /// A request that is no order and nothing about sessions.
    pub(crate) fn request(
        &self,
        rng: &mut fastrand::Rng,
        keys: &[OrderKey],
        place: ScanPlace,
        now: Time,
    ) -> RequestBody {
        match rng.u8(..32) {
            29.. => RequestBody::Entries {
                account: self.account(rng),
                place,
                limit: rng.bool().then(|| rng.u32(1..4)),
            },
            20..22 => RequestBody::Balance { account: self.account(rng) },
            22..29 => RequestBody::Balances {
                after: rng.bool().then(|| self.account(rng)),
                limit: rng.bool().then(|| rng.u32(1..4)),
            },
            0..6 => RequestBody::Levels {
                after: rng.bool().then(|| self.any_upc(rng)),
                limit: rng.bool().then(|| rng.u32(1..6)),
            },
            6..11 => RequestBody::Item { upc: self.any_upc(rng) },
            11..13 => RequestBody::WhoAmI,
            13..16 => {
                let ago_us = if rng.bool() { rng.u64(..30) * 3_600_000_000 } else { 0 };
                let other = OrderKey::from_parts(now.minus_micros(ago_us), rng.u128(..));
                let known = rng.choice(keys.iter().copied()).filter(|_| rng.u8(..6) > 0);
                RequestBody::Receipt { key: known.unwrap_or(other) }
            }
            _ => self.administration(rng),
        }
    }

    /// What only administrators may.
    pub(crate) fn administration(&self, rng: &mut fastrand::Rng) -> RequestBody {
        match rng.u8(..9) {
            5..8 => RequestBody::SetFloor {
                account: self.account(rng),
                floor: (rng.u8(..4) > 0).then(|| Money::from_minor(rng.i64(-300..200))),
            },
            0..3 => self.definition(rng),
            3..5 => RequestBody::SetInitialLevel {
                upc: self.any_upc(rng),
                location: LocationId(rng.u16(..self.locations.max(1) + 2)),
                units: Units::new(rng.u64(..50)).unwrap_or_default(),
            },
            _ => {
                let number = rng.u64(..self.users + 3);
                let name = match rng.u8(..8) {
                    0 => "two words".into(),
                    _ => user_name(number),
                };
                let role = if rng.bool() { Role::Buyer } else { Role::Administrator };
                RequestBody::AddUser { name, password: password(number), role }
            }
        }
    }

    fn definition(&self, rng: &mut fastrand::Rng) -> RequestBody {
        let item = rng.u64(..self.items + 2);
        let price = match rng.u8(..10) {
            0 => Some(Money::from_minor(-1)),
            1 => None,
            2 => Some(Money::from_minor(i64::MAX / 3)),
            _ => Some(Money::from_minor(rng.i64(1..900))),
        };
        let name = if rng.u8(..10) == 0 { String::new() } else { format!("item {item} {}", rng.u8(..3)) };
        RequestBody::DefineItem { upc: Self::upc(item), name: name.into(), price }
    }
}

const FALLBACK: Upc = match Upc::new(1) {
    Ok(upc) => upc,
    Err(_) => unreachable!(),
};

/// Only one line can be too much, and is so twice: which of two is named first is not part of any promise.
fn only_one_huge(mut lines: Vec<OrderLine>) -> Vec<OrderLine> {
    let mut huge = lines.iter_mut().filter(|line| line.units.get() > UNITS_MAX / 2);
    let first = huge.next().map(|line| *line);
    huge.for_each(|line| line.units = Units::new(1).unwrap_or_default());
    if let Some(line) = first.filter(|_| lines.len() > 1) {
        lines.push(line);
    }
    lines
}

/// The name of the user of this number.
pub(crate) fn user_name(number: u64) -> Box<str> {
    format!("user-{number}").into()
}

/// The password of the user of this number.
pub(crate) fn password(number: u64) -> Password {
    new_password(&format!("secret-{number}"))
}

/// A password that is no user's.
pub(crate) fn wrong_password() -> Password {
    new_password("wrong")
}

fn new_password(text: &str) -> Password {
    Password::new(text).unwrap_or_else(|| unreachable!("it is short"))
}
