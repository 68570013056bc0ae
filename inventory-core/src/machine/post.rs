//! The decisions on entries and floors. A batch is decided row by row, each against what the rows before it left.
//!
//! They are never inlined where all commands meet, so that a purchase costs no more for them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3;

use super::decide::{administrator, nothing_to_do};
use super::{Decision, once::once};
use crate::bulk::RowCodes;
use crate::column;
use crate::command::Actor;
use crate::defect::{self, Defect};
use crate::entry::{BulkEntries, Entry, EntryRows, NameColumn, PostedEntry, Posting, account_name};
use crate::event::{Event, OrderDigest};
use crate::id::AccountId;
use crate::money::Money;
use crate::refusal::Refusal;
use crate::state::{Account, Accounts, State};
use crate::time::Time;

/// Keep the digests of an entry and of a batch of them apart from those of orders.
const DIGEST_SEED: u64 = 3;
const BULK_DIGEST_SEED: u64 = 4;

#[inline(never)]
pub(super) fn decide(state: &State, now: Time, actor: Actor, posting: &Posting) -> Result<Decision, Refusal> {
    let user = administrator(state, actor)?;
    let Posting { key, entry } = posting;
    if entry.amount() < Money::ZERO {
        return Err(Refusal::InvalidValue { field: "amount" });
    }
    let names = [Some(entry.account()), entry.counterpart()];
    if names.iter().flatten().any(|name| account_name(name.as_bytes()).is_none()) {
        return Err(Refusal::InvalidName);
    }
    if entry.counterpart() == Some(entry.account()) {
        return Err(Refusal::SameAccount);
    }
    let (key, digest) = (*key, OrderDigest::of_entry(entry));
    once(state, now, user, (key, digest), || {
        let event = match post(&state.accounts, entry) {
            Ok((posted, added)) => {
                Event::Posted { key, user, digest, posted: Box::new(posted), added: added.into() }
            }
            // As for items and users it leaves no trace.
            Err(Refusal::TableFull) => return Err(Refusal::TableFull),
            Err(refusal) => Event::PostRefused { key, user, digest, refusal },
        };
        Ok(Decision::Happens(event))
    })
}

#[inline(never)]
pub(super) fn decide_bulk(
    state: &State,
    now: Time,
    actor: Actor,
    batch: &BulkEntries,
) -> Result<Decision, Refusal> {
    let user = administrator(state, actor)?;
    let (key, digest) = (batch.key(), OrderDigest::of_entries(batch));
    once(state, now, user, (key, digest), || {
        let rows = Arc::new(post_rows(&state.accounts, batch));
        Ok(Decision::Happens(Event::BulkPosted { key, user, digest, rows }))
    })
}

#[inline(never)]
pub(super) fn set_floor(
    state: &State,
    actor: Actor,
    name: &str,
    floor: Option<Money>,
) -> Result<Decision, Refusal> {
    let by = administrator(state, actor)?;
    let unknown = || Refusal::UnknownAccount { account: name.into() };
    let (id, account) = state.accounts.find(name.as_bytes()).ok_or_else(unknown)?;
    // No balance is below the least amount: such a floor is none.
    let floor = floor.filter(|floor| floor.minor() != i64::MIN);
    if floor == account.floor() {
        return Ok(nothing_to_do(state));
    }
    if floor.is_some_and(|floor| floor > account.balance()) {
        return Err(Refusal::FloorAboveBalance { balance: account.balance() });
    }
    Ok(Decision::Happens(Event::FloorSet { by, account: id, floor }))
}

impl OrderDigest {
    /// The digest of an entry: XXH3-64 with seed 3 over its kind (1 byte: 0 credit, 1 debit, 2 transfer), its amount (8 bytes,
    /// little-endian) and the name of its account; for a transfer then a space, which no name has, and the name of the
    /// account that it gives to.
    pub fn of_entry(entry: &Entry) -> Self {
        let kind = match entry {
            Entry::Credit { .. } => 0,
            Entry::Debit { .. } => 1,
            Entry::Transfer { .. } => 2,
        };
        let mut hash = Xxh3::with_seed(DIGEST_SEED);
        hash.update(&[kind]);
        hash.update(&entry.amount().minor().to_le_bytes());
        hash.update(entry.account().as_bytes());
        if let Some(counterpart) = entry.counterpart() {
            hash.update(b" ");
            hash.update(counterpart.as_bytes());
        }
        Self(hash.digest())
    }

    /// The digest of a batch of entries: XXH3-64 with seed 4 over its column of amounts (8 bytes each), its column of the names'
    /// ends (4 bytes each), little-endian, and the names' bytes.
    pub fn of_entries(batch: &BulkEntries) -> Self {
        let mut hash = Xxh3::with_seed(BULK_DIGEST_SEED);
        column::write(batch.amounts(), i64::to_le_bytes, |block| hash.update(block));
        column::write(batch.names().ends(), u32::to_le_bytes, |block| hash.update(block));
        hash.update(batch.names().bytes());
        Self(hash.digest())
    }
}

/// What the entry does, and the names of the accounts that it makes.
fn post(accounts: &Accounts, entry: &Entry) -> Result<(PostedEntry, Vec<Box<str>>), Refusal> {
    let mut added: Vec<Box<str>> = Vec::new();
    let mut next = accounts.next_id();
    let posted = entry.map(|name| {
        Some(accounts.id(name.as_bytes()).unwrap_or_else(|| {
            added.push(name.clone());
            let id = next;
            next = AccountId(id.0.saturating_add(1));
            id
        }))
    });
    let posted = posted.ok_or(Refusal::InvalidName)?;
    if !added.is_empty() && !accounts.has_room(added.len(), added.iter().map(|name| name.len()).sum()) {
        return Err(Refusal::TableFull);
    }
    let balance = balance_with(accounts.account(*posted.account()), posted.change())
        .map_err(|why| why.refusal(entry.account()))?;
    let counterpart = entry.counterpart().zip(posted.counterpart());
    let counterpart_balance = counterpart
        .map(|(name, id)| {
            balance_with(accounts.account(*id), entry.amount()).map_err(|why| why.refusal(name))
        })
        .transpose()?;
    Ok((PostedEntry { entry: posted, balance, counterpart_balance }, added))
}

/// Why a balance cannot change by an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBalance {
    /// It would fall below the floor, by so much.
    BelowFloor(Money),
    /// It would not fit.
    OutOfRange,
}

impl BadBalance {
    pub(super) fn refusal(self, name: &str) -> Refusal {
        let account = name.into();
        match self {
            Self::BelowFloor(short_by) => Refusal::InsufficientFunds { account, short_by },
            Self::OutOfRange => Refusal::BalanceOutOfRange { account },
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::BelowFloor(_) => RowCodes::INSUFFICIENT_FUNDS,
            Self::OutOfRange => RowCodes::BALANCE_OUT_OF_RANGE,
        }
    }
}

/// The balance of an account (a new one, if none) after a change, if it may change so.
pub(super) fn balance_with(account: Option<&Account>, change: Money) -> Result<Money, BadBalance> {
    let balance = account.map_or(Money::ZERO, Account::balance);
    let floor = account.map_or(i64::MIN, Account::balance_min);
    with_change(balance.minor(), floor, change.minor()).map(Money::from_minor)
}

fn with_change(balance: i64, floor: i64, change: i64) -> Result<i64, BadBalance> {
    let after = i128::from(balance).saturating_add(i128::from(change));
    match i64::try_from(after) {
        Ok(after) if after >= floor || defect::is(Defect::FloorIgnored) => Ok(after),
        // A balance is not below its floor: what is short is at most the amount.
        _ if after < i128::from(floor) && floor != i64::MIN => {
            let short_by = i64::try_from(i128::from(floor).saturating_sub(after)).unwrap_or(i64::MAX);
            Err(BadBalance::BelowFloor(Money::from_minor(short_by)))
        }
        _ => Err(BadBalance::OutOfRange),
    }
}

/// What becomes of each row of a batch.
fn post_rows(accounts: &Accounts, batch: &BulkEntries) -> EntryRows {
    let mut till = Till::new(accounts, batch.amounts().iter().copied());
    let mut newcomers = Newcomers::new(accounts);
    let mut ids = Vec::with_capacity(batch.amounts().len());
    let mut codes = Vec::new();
    for (name, amount) in batch.rows() {
        let decided = match accounts.find(name) {
            Some((id, account)) => (id, till.post_to(id, account, amount)),
            None => newcomers.post(&mut till, name, amount),
        };
        let (id, posted) = decided;
        if let Err(code) = posted {
            codes.resize(ids.len(), RowCodes::ACCEPTED);
            codes.push(code);
        }
        ids.push(id);
    }
    if !codes.is_empty() {
        codes.resize(ids.len(), RowCodes::ACCEPTED);
    }
    EntryRows::of(ids.into(), batch.amounts().into(), RowCodes::of(codes), newcomers.names)
}

/// The accounts that a batch makes.
struct Newcomers<'a> {
    accounts: &'a Accounts,
    names: NameColumn,
    ids: HashMap<&'a [u8], AccountId, FixedState>,
}

impl<'a> Newcomers<'a> {
    fn new(accounts: &'a Accounts) -> Self {
        Self { accounts, names: NameColumn::default(), ids: HashMap::with_hasher(accounts.hasher()) }
    }

    /// Posts a row to an account that was not there before the batch.
    fn post(&mut self, till: &mut Till<'_>, name: &'a [u8], amount: i64) -> (AccountId, Result<(), u8>) {
        if let Some(id) = self.ids.get(name) {
            return (*id, till.post(*id, amount));
        }
        if account_name(name).is_none() {
            return (EntryRows::NO_ACCOUNT, Err(RowCodes::INVALID_NAME));
        }
        let count = self.names.len().saturating_add(1);
        let name_bytes = self.names.bytes().len().saturating_add(name.len());
        if !self.accounts.has_room(count, name_bytes) || !self.names.push(name) {
            return (EntryRows::NO_ACCOUNT, Err(RowCodes::TABLE_FULL));
        }
        let id = self.accounts.next_id().plus(self.ids.len());
        self.ids.insert(name, id);
        // Nothing but zero is there yet: any amount fits.
        (id, till.post(id, amount))
    }
}

/// The balances while a batch changes them, beside the accounts, which stay as they are.
///
/// An account that stays above its floor and in 64 bits when all amounts of the batch come together, with either sign,
/// does so at each row, whatever the others do. So only those near a bound need to be followed.
#[derive(Debug)]
pub(super) struct Till<'a> {
    accounts: &'a Accounts,
    /// The sum of all amounts without their signs; none if it does not fit.
    whole: Option<i64>,
    near_bounds: HashMap<AccountId, i64, FixedState>,
}

impl<'a> Till<'a> {
    /// The till of a batch with these amounts in minor units.
    pub(super) fn new(accounts: &'a Accounts, amounts: impl Iterator<Item = i64>) -> Self {
        let whole = amounts.fold(0u128, |sum, amount| sum.saturating_add(amount.unsigned_abs().into()));
        Self { accounts, whole: i64::try_from(whole).ok(), near_bounds: HashMap::default() }
    }

    /// Posts an amount to an account, which may be one that the batch makes.
    pub(super) fn post(&mut self, id: AccountId, amount: i64) -> Result<(), u8> {
        match self.accounts.account(id) {
            Some(account) => self.post_to(id, account, amount),
            None if self.whole.is_some() => Ok(()),
            None => self.post_near_bounds(id, 0, i64::MIN, amount),
        }
    }

    #[inline]
    fn post_to(&mut self, id: AccountId, account: &Account, amount: i64) -> Result<(), u8> {
        let (balance, floor) = (account.balance().minor(), account.balance_min());
        if let Some(whole) = self.whole
            && balance.checked_add(whole).is_some()
            && balance.checked_sub(whole).is_some_and(|lowest| lowest >= floor)
        {
            return Ok(());
        }
        self.post_near_bounds(id, balance, floor, amount)
    }

    fn post_near_bounds(&mut self, id: AccountId, balance: i64, floor: i64, amount: i64) -> Result<(), u8> {
        if defect::is(Defect::RowsApart) {
            return with_change(balance, floor, amount).map(|_| ()).map_err(BadBalance::code);
        }
        let balance = self.near_bounds.entry(id).or_insert(balance);
        *balance = with_change(*balance, floor, amount).map_err(BadBalance::code)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::event::Record;
    use crate::id::OrderKey;
    use crate::machine::{Impossible, apply, decide, verify};
    use alloc::vec;

    fn key(number: u128) -> OrderKey {
        OrderKey::from_parts(Time::ZERO, number << 8)
    }

    fn post(number: u128, entry: Entry) -> Command {
        Command::Post(Posting { key: key(number), entry })
    }

    fn credit(name: &str) -> Entry {
        Entry::Credit { account: name.into(), amount: Money::ZERO }
    }

    fn batch(number: u128, rows: &[&str]) -> Command {
        let mut names = NameColumn::default();
        assert!(rows.iter().all(|name| names.push(name.as_bytes())));
        Command::PostBulk(BulkEntries::new(key(number), names, vec![1; rows.len()]).unwrap())
    }

    fn decided(state: &State, command: &Command) -> Decision {
        decide(state, Time::ZERO, Actor::System, command)
    }

    /// Carries it out, and gives what happened.
    fn happens(state: &mut State, command: &Command) -> Event {
        let Decision::Happens(event) = decided(state, command) else { panic!("there is room") };
        apply(state, &Record { at: Time::ZERO, event: event.clone() });
        event
    }

    fn codes(event: &Event) -> &[u8] {
        let Event::BulkPosted { rows, .. } = event else { panic!("it was a batch") };
        rows.codes().bytes()
    }

    #[test]
    fn a_full_table_takes_entries_of_what_it_holds_and_no_new_account() {
        let mut state = State::new(1);
        state.accounts.hold_at_most(2, usize::MAX);
        happens(&mut state, &post(1, credit("Marc")));
        let event = happens(&mut state, &batch(2, &["Marc", "Anna", "Marc", "Zoe", "Anna"]));
        assert_eq!(codes(&event), [0, 0, 0, RowCodes::TABLE_FULL, 0]);
        happens(&mut state, &post(3, credit("Anna")));
        assert_eq!(decided(&state, &post(4, credit("Zoe"))), Refusal::TableFull.into());
        // It leaves no trace: the key may still be used.
        assert!(matches!(decided(&state, &post(4, credit("Anna"))), Decision::Happens(_)));
    }

    #[test]
    fn a_table_full_of_names_takes_entries_of_what_it_holds_and_no_name_that_does_not_fit() {
        let mut state = State::new(1);
        state.accounts.hold_at_most(usize::MAX, 10);
        happens(&mut state, &post(1, credit("Marc")));
        let transfer =
            |from: &str, to: &str| Entry::Transfer { from: from.into(), to: to.into(), amount: Money::ZERO };
        // Each alone would fit.
        assert_eq!(decided(&state, &post(2, transfer("Anna", "Zoe"))), Refusal::TableFull.into());
        assert_eq!(decided(&state, &post(2, credit("Siegrid"))), Refusal::TableFull.into());
        // A name that fits is taken after one that does not, and counts once.
        let rows = ["Marc", "Anna", "Anna", "Zoe", "Li", "Al", "Anna", "Li", "Marc"];
        let full = RowCodes::TABLE_FULL;
        let event = happens(&mut state, &batch(3, &rows));
        assert_eq!(codes(&event), [0, 0, 0, full, 0, full, 0, 0, 0]);
        assert_eq!(decided(&state, &post(4, credit("B"))), Refusal::TableFull.into());
        assert_eq!(codes(&happens(&mut state, &batch(5, &["B", "Li"]))), [full, 0]);
        happens(&mut state, &post(6, transfer("Anna", "Li")));
        assert_eq!(state.accounts.len(), 3);
    }

    #[test]
    fn names_beyond_what_the_table_holds_were_never_added() {
        for command in [post(1, credit("Zoe")), batch(1, &["Zoe"]), batch(1, &["Z", "oe"])] {
            let mut state = State::new(1);
            let event = happens(&mut State::new(1), &command);
            let record = Record { at: Time::ZERO, event };
            state.accounts.hold_at_most(usize::MAX, 3);
            assert_eq!(verify(&state, &record), Ok(()));
            state.accounts.hold_at_most(usize::MAX, 2);
            assert_eq!(verify(&state, &record), Err(Impossible::AccountAdded));
        }
    }
}
