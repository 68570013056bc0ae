//! Orders that have left the outcome window, found in the journal: the key's own time says where to look.

use alloc::boxed::Box;

use super::{Group, Journal, JournalError};
use crate::command::{Action, Actor, Command, Query};
use crate::event::OrderDigest;
use crate::id::{OrderKey, UserId, Version};
use crate::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_LINES_MAX, ORDER_WINDOW_AGE_US};
use crate::query;
use crate::refusal::Refusal;
use crate::reply::{Reply, Unavailable};
use crate::returns::{Evidence, Found};
use crate::state::{Lookup, OutcomeRow, State};
use crate::time::Time;

/// How many bytes of groups one step reads.
const STEP_BYTES: usize = 256 << 10;
/// The window leaves second by second: a key may be decided until the last microsecond of its own.
const SECOND_LEFT_US: u64 = 999_999;

/// A request about an order whose key is older than the outcome window: the engine answers it
/// [`KeyTooOld`](Refusal::KeyTooOld), and only the journal can say more.
#[derive(Clone, Copy, Debug)]
pub struct PastOrder {
    key: OrderKey,
    /// Whose it must be; anybody's if none.
    user: Option<UserId>,
    /// What it must be, if it was sent again.
    digest: Option<OrderDigest>,
}

/// What the journal says about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PastOutcome {
    /// It was decided, with this outcome.
    Decided(OutcomeRow),
    /// It was not decided and never will be: the journal holds all of the time in which that can have happened.
    NeverDecided {
        /// The version up to which this is so for certain: the last one of the journal, or the largest there can be if that goes on
        /// behind the time in which the order can have been decided. What an engine has decided and not yet written is behind it.
        read: Version,
    },
    /// What the journal still holds does not say.
    NotKept,
}

impl PastOrder {
    /// The order that this action of this actor is about, if there is one and its key is older than the window of this
    /// state at `now`.
    pub fn asked_for(state: &State, now: Time, actor: Actor, action: &Action) -> Option<Self> {
        let key = key_in(action)?;
        let is_past = key.time() < state.orders().start(now.max(state.now()));
        if is_past { Self::should_it_be_past(state, actor, action) } else { None }
    }

    /// The order that this action of this actor is about, whatever its age: it may leave the window while it waits.
    pub(crate) fn should_it_be_past(state: &State, actor: Actor, action: &Action) -> Option<Self> {
        let key = key_in(action)?;
        let digest = match action {
            Action::Command(Command::Purchase(order)) => Some(OrderDigest::of_order(order)),
            Action::Command(Command::PurchaseBulk(order)) => Some(OrderDigest::of_bulk(order)),
            Action::Command(Command::Return(wanted)) => Some(OrderDigest::of_return(wanted)),
            Action::Command(Command::Post(posting)) => Some(OrderDigest::of_entry(&posting.entry)),
            Action::Command(Command::PostBulk(batch)) => Some(OrderDigest::of_entries(batch)),
            _ => None,
        };
        let asks = state.user_of(actor).ok()?;
        // Whoever asks for a receipt as an administrator asks for anybody's; whoever buys, buys for himself.
        let user = (digest.is_some() || !state.is_administrator(asks)).then_some(asks);
        Some(Self { key, user, digest })
    }

    /// The order whose units this command is to return, if that is older than the window of this state at `now` and the return
    /// comes without what the journal says about it (what it says about another order does not count). The engine answers such a return
    /// [`OrderNotAtHand`](crate::Unavailable::OrderNotAtHand): look the order up, [`testify`](Self::testify) and submit the
    /// return then. None also if the return itself has an outcome or is too old to get one, or is refused whatever its order is:
    /// to nobody, to the system, with a key from the future, for too many lines or lines of no units.
    pub fn returned_by(state: &State, now: Time, actor: Actor, action: &Action) -> Option<Self> {
        let Action::Command(Command::Return(wanted)) = action else { return None };
        let now = now.max(state.now());
        let evidence = wanted.evidence.as_deref();
        let is_needed = evidence.is_none_or(|evidence| evidence.about(wanted.order).is_none())
            && state.user_of(actor).is_ok_and(|user| user != UserId::SYSTEM)
            && wanted.key.time() <= now.plus_micros(ORDER_KEY_FUTURE_US_MAX)
            && wanted.lines.iter().all(|line| !line.units.is_zero())
            && wanted.lines.len() <= ORDER_LINES_MAX
            && wanted.order.time() < state.orders().start(now)
            && state.orders().look_up(wanted.key, now) == Lookup::Undecided;
        is_needed.then_some(Self { key: wanted.order, user: None, digest: None })
    }

    /// Gives a return of this order what was found about it. Does nothing if either is of another order.
    pub fn testify(&self, found: &PastOutcome, action: &mut Action) {
        let Action::Command(Command::Return(wanted)) = action else { return };
        let found = match found {
            _ if wanted.order != self.key => return,
            PastOutcome::Decided(row) if row.key != self.key => return,
            PastOutcome::Decided(row) => row.found(),
            PastOutcome::NeverDecided { read } => Found::NeverDecided { read: *read },
            PastOutcome::NotKept => Found::NotKept,
        };
        wanted.evidence = Some(Box::new(Evidence::new(self.key, found)));
    }

    /// The order's key.
    pub const fn key(&self) -> OrderKey {
        self.key
    }

    /// Looks for the order from the first to the last moment at which it can have been decided.
    pub async fn look_up(&self, journal: &(impl Journal + ?Sized)) -> Result<PastOutcome, JournalError> {
        let mut search = PastOrderSearch::new(self.key);
        loop {
            if let Some(found) = search.step(journal).await? {
                return Ok(found);
            }
        }
    }

    /// The reply that this outcome is. `state` is of the same journal; if it is behind what was found there, because another
    /// writer was faster, nothing can be said yet.
    pub fn reply(&self, state: &State, outcome: &PastOutcome) -> Reply {
        match outcome {
            PastOutcome::Decided(row) if self.user.is_some_and(|user| user != row.user) => {
                Reply::Refused(Refusal::KeyTooOld)
            }
            PastOutcome::Decided(row) if self.digest.is_some_and(|digest| digest != row.digest) => {
                Reply::Refused(Refusal::KeyReused)
            }
            PastOutcome::Decided(row) if row.version > state.version() => {
                Reply::Unavailable(Unavailable::Overloaded)
            }
            PastOutcome::Decided(row) => query::outcome(state, row),
            PastOutcome::NeverDecided { .. } => Reply::Refused(Refusal::KeyTooOld),
            PastOutcome::NotKept => Reply::Refused(Refusal::OutcomeNotKept),
        }
    }
}

/// The key of the order that an action is about.
fn key_in(action: &Action) -> Option<OrderKey> {
    match action {
        Action::Command(Command::Purchase(order)) => Some(order.key),
        Action::Command(Command::PurchaseBulk(order)) => Some(order.key()),
        Action::Command(Command::Return(wanted)) => Some(wanted.key),
        Action::Command(Command::Post(posting)) => Some(posting.key),
        Action::Command(Command::PostBulk(batch)) => Some(batch.key()),
        Action::Query(Query::Receipt { key }) => Some(*key),
        _ => None,
    }
}

/// A search for the outcome of one order, in steps: between two of them others may use the journal's thread.
///
/// ```
/// use inventory_core::journal::{MemoryJournal, PastOrderSearch, PastOutcome};
///
/// # pollster::block_on(async {
/// let journal = MemoryJournal::new();
/// let mut search = PastOrderSearch::new("019a9d7c-6a00-7abc-8def-0123456789ab".parse()?);
/// let found = loop {
///     if let Some(found) = search.step(&journal).await? {
///         break found;
///     }
/// };
/// assert!(matches!(found, PastOutcome::NeverDecided { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct PastOrderSearch {
    key: OrderKey,
    /// When it can have been decided, first and last.
    between: (Time, Time),
    /// Where to go on; none before the first step.
    after: Option<Version>,
    /// Whether nothing that was to be looked at was discarded.
    is_complete: bool,
}

impl PastOrderSearch {
    /// Begins to look for the order with this key.
    pub const fn new(key: OrderKey) -> Self {
        Self { key, between: Self::decided_between(key), after: None, is_complete: true }
    }

    /// When an order with this key can have been decided, first and last.
    pub const fn decided_between(key: OrderKey) -> (Time, Time) {
        let first = key.time().minus_micros(ORDER_KEY_FUTURE_US_MAX);
        let last = key.time().plus_micros(ORDER_WINDOW_AGE_US).plus_micros(SECOND_LEFT_US);
        (first, last)
    }

    /// Goes on by one reading of the journal, of about 256 KiB; gives the answer once there is one.
    pub async fn step(
        &mut self,
        journal: &(impl Journal + ?Sized),
    ) -> Result<Option<PastOutcome>, JournalError> {
        let Some(after) = self.after else {
            return self.go_on(journal.position(self.between.0).await);
        };
        match journal.read(after, STEP_BYTES).await {
            Ok(groups) => self.look_at(&groups),
            Err(why) => self.go_on(Err(why)),
        }
    }

    /// Goes on at this place; behind what was discarded, if that is the answer.
    fn go_on(&mut self, place: Result<Version, JournalError>) -> Result<Option<PastOutcome>, JournalError> {
        let next = match place {
            Err(JournalError::Discarded { start, .. }) if self.after.is_none_or(|after| after < start) => {
                self.is_complete = false;
                start
            }
            place => place?,
        };
        self.after = Some(next);
        Ok(None)
    }

    fn look_at(&mut self, groups: &[Group]) -> Result<Option<PastOutcome>, JournalError> {
        let Some(end) = groups.last().map(Group::last) else {
            return Ok(Some(self.not_found(self.after.unwrap_or_default())));
        };
        for group in groups {
            for record in group.records() {
                let (version, record) = record?;
                if record.at > self.between.1 {
                    return Ok(Some(self.not_found(Version(u64::MAX))));
                }
                if record.event.order_key() == Some(self.key) {
                    return Ok(OutcomeRow::of(version, &record).map(PastOutcome::Decided));
                }
            }
        }
        self.after = Some(end);
        Ok(None)
    }

    const fn not_found(&self, read: Version) -> PastOutcome {
        if self.is_complete { PastOutcome::NeverDecided { read } } else { PastOutcome::NotKept }
    }
}
