//! Pure reads.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::bulk::BulkOutcome;
use crate::command::{Actor, OrderLine, Query};
use crate::entry::{EntriesOutcome, PostedEntry};
use crate::event::Line;
use crate::id::{AccountId, OrderKey, Upc, UserId, Version};
use crate::limits::{BALANCES_PAGE_MAX, BALANCES_PAGE_NAME_BYTES_TARGET, LEVELS_PAGE_MAX};
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::refusal::Refusal;
use crate::reply::{
    Answer, BalanceRow, BalancesPage, BulkPostingReceipt, BulkReceipt, Credential, Identity, LevelRow,
    LevelsPage, PostingReceipt, Receipt, Reply, ReturnReceipt,
};
use crate::returns::{Refund, Returned};
use crate::state::{Account, Item, Lookup, Outcome, OutcomeRow, State};
use crate::time::Time;

/// Answers a query from this state.
pub fn answer(state: &State, now: Time, actor: Actor, query: &Query) -> Reply {
    let reply = match query {
        Query::Levels { after, limit } => {
            state.user_of(actor).map(|_| Reply::Answered(Answer::Levels(levels(state, *after, *limit))))
        }
        Query::Item { upc } => state.user_of(actor).and_then(|_| item(state, *upc)),
        Query::WhoAmI => state
            .user_of(actor)
            .and_then(|user| identity(state, user))
            .map(|identity| Reply::Answered(Answer::Identity(identity))),
        Query::Receipt { key } => receipt(state, now, actor, *key),
        Query::Balance { account } => balance(state, actor, account),
        Query::Balances { after, limit } => balances(state, actor, after.as_deref(), *limit),
        Query::Credential { name } => credential(state, actor, name),
    };
    reply.unwrap_or_else(Reply::Refused)
}

/// A page of at most `limit` items' levels, after this code.
fn levels(state: &State, after: Option<Upc>, limit: u32) -> LevelsPage {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, LEVELS_PAGE_MAX);
    let mut items = state.catalogue.sorted_after(after).peekable();
    let mut page = LevelsPage::default();
    for item in items.by_ref().take(limit) {
        page.levels.extend(rows(state, item));
        // Items at many locations make a page full earlier.
        if page.levels.len() >= LEVELS_PAGE_MAX {
            break;
        }
    }
    if items.peek().is_some() {
        page.next = page.levels.last().map(|row| row.upc);
    }
    page
}

fn item(state: &State, upc: Upc) -> Result<Reply, Refusal> {
    let item = state.catalogue.find(upc).ok_or(Refusal::UnknownItem { upc })?;
    let levels: Vec<LevelRow> = rows(state, item).collect();
    Ok(Reply::Answered(Answer::Levels(LevelsPage { levels, next: None })))
}

fn rows<'a>(state: &'a State, item: Item<'a>) -> impl Iterator<Item = LevelRow> + 'a {
    state.stock.of_item(item.id).map(move |(location, level)| LevelRow {
        upc: item.upc,
        name: item.name.into(),
        location,
        on_hand: level.on_hand,
        reserved: level.reserved,
        price: item.price,
    })
}

/// Who this user is; the system is nobody.
pub(crate) fn identity(state: &State, id: UserId) -> Result<Identity, Refusal> {
    let user = state.users.user(id).ok_or(Refusal::NotLoggedIn)?;
    Ok(Identity { user: id, name: user.name.clone(), role: user.role })
}

fn receipt(state: &State, now: Time, actor: Actor, key: OrderKey) -> Result<Reply, Refusal> {
    let user = state.user_of(actor)?;
    match state.orders.look_up(key, now) {
        Lookup::Decided(row) if row.user == user || state.is_administrator(user) => Ok(outcome(state, row)),
        Lookup::Decided(_) | Lookup::Undecided => Err(Refusal::UnknownOrder),
        Lookup::TooOld => Err(Refusal::KeyTooOld),
    }
}

#[inline(never)]
fn balance(state: &State, actor: Actor, name: &str) -> Result<Reply, Refusal> {
    let user = state.user_of(actor)?;
    state.may_use(user, name)?;
    let unknown = || Refusal::UnknownAccount { account: name.into() };
    let (_, account) = state.accounts.find(name.as_bytes()).ok_or_else(unknown)?;
    Ok(Reply::Answered(Answer::Balance(balance_row(account))))
}

#[inline(never)]
fn balances(state: &State, actor: Actor, after: Option<&str>, limit: u32) -> Result<Reply, Refusal> {
    if !state.is_administrator(state.user_of(actor)?) {
        return Err(Refusal::NotPermitted);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, BALANCES_PAGE_MAX);
    let mut accounts = state.accounts.sorted_after(after).peekable();
    let mut page = BalancesPage::default();
    let mut name_bytes = 0usize;
    for account in accounts.by_ref().take(limit) {
        name_bytes = name_bytes.saturating_add(account.name().len());
        page.balances.push(balance_row(account));
        if name_bytes >= BALANCES_PAGE_NAME_BYTES_TARGET {
            break;
        }
    }
    if accounts.peek().is_some() {
        page.next = page.balances.last().map(|row| Arc::clone(&row.account));
    }
    Ok(Reply::Answered(Answer::Balances(page)))
}

fn balance_row(account: &Account) -> BalanceRow {
    BalanceRow { account: Arc::clone(account.name()), balance: account.balance(), floor: account.floor() }
}

fn credential(state: &State, actor: Actor, name: &str) -> Result<Reply, Refusal> {
    if actor != Actor::System {
        return Err(Refusal::NotPermitted);
    }
    let credential = state.users.id(name).and_then(|user| {
        let password_hash = state.users.user(user)?.password_hash.clone();
        Some(Credential { user, password_hash })
    });
    Ok(Reply::Answered(Answer::Credential(credential)))
}

/// The reply that a recorded outcome is: the same one, however often it is asked for.
pub fn outcome(state: &State, row: &OutcomeRow) -> Reply {
    let OutcomeRow { key, version, at, user, .. } = *row;
    let decided = Decided { key, version, at, user };
    Reply::Answered(match &row.outcome {
        Outcome::Accepted { lines, total } => {
            Answer::Receipt(build_receipt(state, decided, lines, *total, None))
        }
        Outcome::Charged { lines, charge } => {
            Answer::Receipt(build_receipt(state, decided, lines, Some(charge.total), Some(charge.account)))
        }
        Outcome::Returned(returned) => return return_reply(state, decided, returned),
        Outcome::Bulk(outcome) => {
            Answer::BulkReceipt(build_bulk_receipt(state, decided, BulkOutcome::clone(outcome)))
        }
        Outcome::Posted(posted) => return posting_reply(state, decided, posted),
        Outcome::Entries(outcome) => Answer::BulkPostingReceipt(build_bulk_posting_receipt(
            state,
            decided,
            EntriesOutcome::clone(outcome),
        )),
        Outcome::Refused(refusal) => return Reply::Refused((**refusal).clone()),
    })
}

/// What was decided, when, and whose it was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decided {
    pub(crate) key: OrderKey,
    pub(crate) version: Version,
    pub(crate) at: Time,
    pub(crate) user: UserId,
}

/// The receipt of a purchase, with rows named by their codes and names.
pub(crate) fn build_receipt(
    state: &State,
    Decided { key, version, at, user }: Decided,
    lines: &OneOrMany<Line>,
    total: Option<Money>,
    charged: Option<AccountId>,
) -> Receipt {
    let lines = order_lines(state, lines);
    let charged = charged.and_then(|account| account_name(state, account));
    Receipt { key, version, user: name_of(state, user), at, lines, total, charged }
}

/// The reply that a return is: its receipt.
#[inline(never)]
pub(crate) fn return_reply(
    state: &State,
    Decided { key, version, at, user }: Decided,
    Returned { order, purchased: _, lines, refund }: &Returned,
) -> Reply {
    let refund = refund.and_then(|Refund { account, amount }| {
        Some(Refund { account: account_name(state, account)?, amount })
    });
    let (user, lines) = (name_of(state, user), order_lines(state, lines));
    let receipt = ReturnReceipt { key, version, user, at, order: *order, lines, refund };
    Reply::Answered(Answer::ReturnReceipt(Box::new(receipt)))
}

#[inline]
fn order_lines(state: &State, lines: &[Line]) -> OneOrMany<OrderLine> {
    let order_line = |line: &Line| {
        let upc = state.catalogue.upc(line.item)?;
        Some(OrderLine { upc, location: line.location, units: line.units })
    };
    lines.iter().filter_map(order_line).collect()
}

/// The receipt of a bulk purchase.
pub(crate) fn build_bulk_receipt(
    state: &State,
    Decided { key, version, at, user }: Decided,
    outcome: BulkOutcome,
) -> BulkReceipt {
    BulkReceipt { key, version, user: name_of(state, user), at, outcome }
}

/// The reply that a posted entry is: its receipt, with accounts named by their names.
#[inline(never)]
pub(crate) fn posting_reply(
    state: &State,
    Decided { key, version, at, user }: Decided,
    PostedEntry { entry, balance, counterpart_balance }: &PostedEntry,
) -> Reply {
    let Some(entry) = entry.map(|account| account_name(state, *account)) else {
        debug_assert!(false, "accounts are never removed");
        return Reply::Refused(Refusal::UnknownOrder);
    };
    let (balance, counterpart_balance) = (*balance, *counterpart_balance);
    let user = name_of(state, user);
    let receipt = PostingReceipt { key, version, user, at, entry, balance, counterpart_balance };
    Reply::Answered(Answer::PostingReceipt(receipt))
}

/// The receipt of a batch of entries.
#[inline(never)]
pub(crate) fn build_bulk_posting_receipt(
    state: &State,
    Decided { key, version, at, user }: Decided,
    outcome: EntriesOutcome,
) -> BulkPostingReceipt {
    BulkPostingReceipt { key, version, user: name_of(state, user), at, outcome }
}

#[inline(never)]
fn account_name(state: &State, account: AccountId) -> Option<Arc<str>> {
    state.accounts.account(account).map(|account| Arc::clone(account.name()))
}

fn name_of(state: &State, user: UserId) -> Arc<str> {
    state.users.user(user).map(|user| user.name.clone()).unwrap_or_default()
}
