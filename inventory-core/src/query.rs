//! Pure reads.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::bulk::BulkOutcome;
use crate::command::{Actor, OrderLine, Query};
use crate::event::Line;
use crate::id::{OrderKey, Upc, UserId, Version};
use crate::limits::LEVELS_PAGE_MAX;
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::refusal::Refusal;
use crate::reply::{Answer, BulkReceipt, Credential, Identity, LevelRow, LevelsPage, Receipt, Reply};
use crate::state::{Item, Lookup, Outcome, OutcomeRow, State};
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
    match &row.outcome {
        Outcome::Accepted { lines, total } => Reply::Answered(Answer::Receipt(build_receipt(
            state,
            row.key,
            row.version,
            row.user,
            row.at,
            lines,
            *total,
        ))),
        Outcome::Bulk(outcome) => {
            let outcome = BulkOutcome::clone(outcome);
            Reply::Answered(Answer::BulkReceipt(build_bulk_receipt(
                state,
                row.key,
                row.version,
                row.user,
                row.at,
                outcome,
            )))
        }
        Outcome::Refused(refusal) => Reply::Refused((**refusal).clone()),
    }
}

/// The receipt of a purchase, with rows named by their codes and names.
pub(crate) fn build_receipt(
    state: &State,
    key: OrderKey,
    version: Version,
    user: UserId,
    at: Time,
    lines: &OneOrMany<Line>,
    total: Option<Money>,
) -> Receipt {
    let order_line = |line: &Line| {
        let upc = state.catalogue.upc(line.item)?;
        Some(OrderLine { upc, location: line.location, units: line.units })
    };
    let lines = lines.iter().filter_map(order_line).collect();
    Receipt { key, version, user: name_of(state, user), at, lines, total }
}

/// The receipt of a bulk purchase.
pub(crate) fn build_bulk_receipt(
    state: &State,
    key: OrderKey,
    version: Version,
    user: UserId,
    at: Time,
    outcome: BulkOutcome,
) -> BulkReceipt {
    BulkReceipt { key, version, user: name_of(state, user), at, outcome }
}

fn name_of(state: &State, user: UserId) -> Arc<str> {
    state.users.user(user).map(|user| user.name.clone()).unwrap_or_default()
}
