//! The embedding API: the engine and its journal in one, for a program that wants no server.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use crate::bulk::BulkOrder;
use crate::command::{Action, Actor, Command, Order, Query, Role};
use crate::engine::{Engine, EngineConfig};
use crate::entry::{BulkEntries, Posting};
use crate::id::{AppendId, Hash, LocationId, OrderKey, Upc, UserId};
use crate::journal::{Commit, Group, Journal, PastOrder, ReplayError, commit, commit_again, replay};
use crate::money::Money;
use crate::quantity::Units;
use crate::refusal::Refusal;
use crate::reply::{
    Answer, BalanceRow, BalancesPage, BulkPostingReceipt, BulkReceipt, LevelRow, LevelsPage, PostingReceipt,
    Receipt, Reply, ReturnReceipt, Unavailable,
};
use crate::returns::Return;
use crate::time::Time;

/// How many bytes of another writer's groups are read at once.
const READ_BYTES: usize = 4 << 20;

/// Why a call of [`Inventory`] did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// The request was refused, for a reason of the domain.
    #[error("{0}")]
    Refused(Refusal),
    /// The journal did not take the write, for certain: nothing was done. The same call may go through later.
    #[error("the journal cannot be written, nothing was done: {0}")]
    NotWritten(String),
    /// It cannot be said whether the write happened. Open the inventory again and repeat the call; an order with the
    /// same key then gets its one outcome.
    #[error("a write to the journal failed in an unclear way, open the inventory again: {0}")]
    Poisoned(String),
    /// The journal cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// An inventory that a program embeds: every call is durable when it returns.
///
/// Time and randomness are arguments: the core has neither. One call is one durable write; a program that wants many
/// requests to share one drives an [`Engine`](crate::Engine) itself, as the server does.
///
/// ```
/// use inventory_core::journal::MemoryJournal;
/// use inventory_core::{Entry, Inventory, Order, OrderKey, OrderLine, Posting, Role, Time, Units};
///
/// # pollster::block_on(async {
/// let (now, random) = (Time::from_micros(1_795_219_200_000_000), 0x5eed); // from a clock and a random source
/// let mut shop = Inventory::open(MemoryJournal::new(), random).await?;
/// let soup = "036000291452".parse()?;
/// shop.define_item(now, soup, "Tomato soup", Some("1.89".parse()?)).await?;
/// shop.set_initial_level(now, soup, Units::new(100).unwrap()).await?;
/// let alice = shop.add_user(now, "alice", "", Role::Buyer).await?;
///
/// let order = Order {
///     key: OrderKey::from_parts(now, 42),
///     lines: OrderLine::new(soup, Units::new(2).unwrap()).into(),
///     charge: None,
/// };
/// let receipt = shop.purchase(now, alice, order.clone()).await?;
/// assert_eq!(receipt.total, Some("3.78".parse()?));
/// // The same order again is the same purchase.
/// assert_eq!(shop.purchase(now, alice, order).await?, receipt);
/// assert_eq!(shop.levels_of(soup).await?[0].on_hand.get(), 98);
///
/// // Money on an account, and an order that is paid from it.
/// let entry = Entry::Credit { account: "alice".into(), amount: "5.00".parse()? };
/// shop.post(now, Posting { key: OrderKey::from_parts(now, 43), entry }).await?;
/// let order = Order {
///     key: OrderKey::from_parts(now, 44),
///     lines: OrderLine::new(soup, Units::new(1).unwrap()).into(),
///     charge: Some("alice".into()),
/// };
/// shop.purchase(now, alice, order).await?;
/// assert_eq!(shop.balance("alice").await?.balance, "3.11".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Inventory<J> {
    journal: J,
    engine: Engine<u64>,
    /// The group being written: left behind by a call whose future was dropped, and finished by the next one.
    committing: Option<Group>,
    /// The next append id: a random sequence, since the first one is random.
    append_id: u128,
    ticket: u64,
}

impl<J: Journal> Inventory<J> {
    /// Opens the inventory that this journal holds; an empty journal holds an empty inventory.
    ///
    /// `random` is 128 random bits, new ones at every opening.
    pub async fn open(journal: J, random: u128) -> Result<Self, InventoryError> {
        // Append ids are written down: the seed must not be read off them.
        let hash_seed =
            Hash::of(&random.to_le_bytes()).0.first_chunk().map_or(0, |seed| u64::from_le_bytes(*seed));
        let (state, tip) = replay(&journal, hash_seed).await?;
        let engine = Engine::new(state, tip, EngineConfig::default());
        Ok(Self { journal, engine, committing: None, append_id: random, ticket: 0 })
    }

    /// Carries out a command or answers a query, on behalf of `actor`. Durable when it returns.
    ///
    /// If the future is dropped before that, the request may or may not be carried out, as after any crash.
    pub async fn execute(
        &mut self,
        now: Time,
        actor: Actor,
        action: impl Into<Action> + Send,
    ) -> Result<Answer, InventoryError> {
        let mut action = action.into();
        self.gather_evidence(now, actor, &mut action).await?;
        let again = matches!(action, Action::Command(Command::Return(_))).then(|| action.clone());
        let (mut reply, mut failure) = self.execute_once(now, actor, action).await?;
        // The order left the window while the return waited, or another writer sold it meanwhile.
        if let (Reply::Unavailable(Unavailable::OrderNotAtHand), Some(mut action)) = (&reply, again) {
            self.read_on(now).await?;
            self.gather_evidence(now, actor, &mut action).await?;
            (reply, failure) = self.execute_once(now, actor, action).await?;
        }
        self.result(reply, failure)
    }

    /// Lets a return know what the journal says about its order, if that has left the window.
    async fn gather_evidence(
        &mut self,
        now: Time,
        actor: Actor,
        action: &mut Action,
    ) -> Result<(), InventoryError> {
        if PastOrder::returned_by(self.engine.state(), now, actor, action).is_none() {
            return Ok(());
        }
        // The order may be in what a dropped call left to be written.
        self.settle(now).await?;
        if let Some(order) = PastOrder::returned_by(self.engine.state(), now, actor, action) {
            let found = order.look_up(&self.journal).await.map_err(ReplayError::from)?;
            order.testify(&found, action);
        }
        Ok(())
    }

    /// Finishes what dropped calls left behind: nothing is undurable afterwards.
    async fn settle(&mut self, now: Time) -> Result<(), InventoryError> {
        loop {
            while self.engine.poll_reply().is_some() {}
            if self.engine.is_idle() {
                return Ok(());
            }
            let failure = self.commit_next(now).await?;
            if self.engine.is_poisoned() {
                return Err(InventoryError::Poisoned(failure));
            }
        }
    }

    /// Applies what another writer has put into the journal meanwhile.
    async fn read_on(&mut self, now: Time) -> Result<(), InventoryError> {
        self.settle(now).await?;
        loop {
            let end = self.engine.durable().version;
            let theirs = self.journal.read(end, READ_BYTES).await.map_err(ReplayError::from)?;
            if theirs.is_empty() {
                return Ok(());
            }
            self.engine.conflicted(now, &theirs)?;
        }
    }

    /// The reply, and why the journal did not take the write if it did not.
    async fn execute_once(
        &mut self,
        now: Time,
        actor: Actor,
        action: Action,
    ) -> Result<(Reply, String), InventoryError> {
        let past_order = PastOrder::should_it_be_past(self.engine.state(), actor, &action);
        self.ticket = self.ticket.wrapping_add(1);
        let ticket = self.ticket;
        self.engine.submit(now, ticket, actor, action);
        let mut failure = String::new();
        loop {
            while let Some((answered, reply)) = self.engine.poll_reply() {
                match past_order {
                    _ if answered != ticket => {}
                    Some(order) if reply == Reply::Refused(Refusal::KeyTooOld) => {
                        return Ok((self.look_up(order).await?, failure));
                    }
                    _ => return Ok((reply, failure)),
                }
            }
            failure = self.commit_next(now).await?;
        }
    }

    /// What the journal says about an order that has left the window.
    async fn look_up(&self, order: PastOrder) -> Result<Reply, InventoryError> {
        let outcome = order.look_up(&self.journal).await.map_err(ReplayError::from)?;
        Ok(order.reply(self.engine.state(), &outcome))
    }

    /// Writes the next group; gives the reason if that failed.
    async fn commit_next(&mut self, now: Time) -> Result<String, InventoryError> {
        let left_behind = self.committing.is_some();
        if !left_behind {
            self.append_id = self.append_id.wrapping_add(1);
            self.committing = self.engine.poll_append(AppendId(self.append_id));
        }
        let Some(group) = &self.committing else {
            debug_assert!(false, "a request without a reply waits for a group");
            self.engine.poison();
            return Ok(String::new());
        };
        let committed = if left_behind {
            commit_again(&self.journal, group).await
        } else {
            commit(&self.journal, group).await
        };
        self.committing = None;
        match committed {
            Commit::Done => self.engine.appended(),
            Commit::Conflict(theirs) => self.engine.conflicted(now, &theirs)?,
            Commit::Failed(why) => {
                self.engine.append_failed();
                return Ok(why);
            }
            Commit::Unknown(why) => {
                self.engine.poison();
                return Ok(why);
            }
        }
        Ok(String::new())
    }

    fn result(&self, reply: Reply, failure: String) -> Result<Answer, InventoryError> {
        match reply {
            Reply::Answered(answer) => Ok(answer),
            Reply::Refused(refusal) => Err(InventoryError::Refused(refusal)),
            Reply::Unavailable(_) if self.engine.is_poisoned() => Err(InventoryError::Poisoned(failure)),
            Reply::Unavailable(why @ Unavailable::OrderNotAtHand) => {
                Err(InventoryError::NotWritten(why.to_string()))
            }
            Reply::Unavailable(_) => Err(InventoryError::NotWritten(failure)),
        }
    }

    /// Creates an item, or gives an existing one this name and price.
    pub async fn define_item(
        &mut self,
        now: Time,
        upc: Upc,
        name: &str,
        price: Option<Money>,
    ) -> Result<(), InventoryError> {
        let command = Command::DefineItem { upc, name: name.into(), price };
        self.execute(now, Actor::System, command).await.map(drop)
    }

    /// Says how many units of an item the main location starts with.
    pub async fn set_initial_level(
        &mut self,
        now: Time,
        upc: Upc,
        units: Units,
    ) -> Result<(), InventoryError> {
        let command = Command::SetInitialLevel { upc, location: LocationId::MAIN, units };
        self.execute(now, Actor::System, command).await.map(drop)
    }

    /// Adds a user and gives the user's row. `password_hash` may be empty: then nobody can log in as this user.
    pub async fn add_user(
        &mut self,
        now: Time,
        name: &str,
        password_hash: &str,
        role: Role,
    ) -> Result<UserId, InventoryError> {
        let (name, password_hash) = (Box::<str>::from(name), password_hash.into());
        let command = Command::AddUser { name: name.clone(), password_hash, role };
        self.execute(now, Actor::System, command).await?;
        self.engine.state().users().id(&name).ok_or(InventoryError::Refused(Refusal::InvalidName))
    }

    /// The row of the user of this name; none if there is none.
    pub fn user(&self, name: &str) -> Option<UserId> {
        self.engine.state().users().id(name)
    }

    /// Buys. Keep the order and its key where they survive a crash *before* calling this, and repeat the call with them
    /// until it answers: that is what makes a purchase happen exactly once.
    ///
    /// Repeating the same order gives the same receipt and buys nothing more, however old it is: an order that left the
    /// outcome window ([`limits`](crate::limits)) is looked for in the journal. `KeyTooOld` says that it was never carried
    /// out and never will be, `OutcomeNotKept` that nobody can say any more whether it was.
    pub async fn purchase(
        &mut self,
        now: Time,
        user: UserId,
        order: Order,
    ) -> Result<Receipt, InventoryError> {
        expect_receipt(self.execute(now, Actor::User(user), Command::Purchase(order)).await?)
    }

    /// Buys a batch of independent rows. All that [`purchase`](Self::purchase) says of an order and its key holds for the batch
    /// and its key; which rows were refused, and why, is in the receipt.
    pub async fn purchase_bulk(
        &mut self,
        now: Time,
        user: UserId,
        order: BulkOrder,
    ) -> Result<BulkReceipt, InventoryError> {
        expect_bulk_receipt(self.execute(now, Actor::User(user), Command::PurchaseBulk(order)).await?)
    }

    /// Gives units of one of the user's orders back, of an administrator's return of anybody's; if an account paid for the order,
    /// what it paid for them comes back to it. The order may be of any age: one that left the outcome window is looked for in
    /// the journal. All that [`purchase`](Self::purchase) says of an order and its key holds for the return and its own key.
    pub async fn return_units(
        &mut self,
        now: Time,
        user: UserId,
        wanted: Return,
    ) -> Result<ReturnReceipt, InventoryError> {
        match self.execute(now, Actor::User(user), Command::Return(wanted)).await? {
            Answer::ReturnReceipt(receipt) => Ok(*receipt),
            other => Err(unexpected(&other)),
        }
    }

    /// Posts an entry, as the system. An account is made by its first entry. All that [`purchase`](Self::purchase) says of an order
    /// and its key holds for the posting and its key.
    pub async fn post(&mut self, now: Time, posting: Posting) -> Result<PostingReceipt, InventoryError> {
        match self.execute(now, Actor::System, Command::Post(posting)).await? {
            Answer::PostingReceipt(receipt) => Ok(receipt),
            other => Err(unexpected(&other)),
        }
    }

    /// Posts a batch of independent entries, as the system; which rows were refused, and why, is in the receipt.
    pub async fn post_bulk(
        &mut self,
        now: Time,
        batch: BulkEntries,
    ) -> Result<BulkPostingReceipt, InventoryError> {
        match self.execute(now, Actor::System, Command::PostBulk(batch)).await? {
            Answer::BulkPostingReceipt(receipt) => Ok(receipt),
            other => Err(unexpected(&other)),
        }
    }

    /// Says what an account's balance never goes below from now on; none to take that away.
    pub async fn set_floor(
        &mut self,
        now: Time,
        account: &str,
        floor: Option<Money>,
    ) -> Result<(), InventoryError> {
        let command = Command::SetFloor { account: account.into(), floor };
        self.execute(now, Actor::System, command).await.map(drop)
    }

    /// An account's balance and floor.
    pub async fn balance(&mut self, account: &str) -> Result<BalanceRow, InventoryError> {
        let query = Query::Balance { account: account.into() };
        match self.execute(Time::ZERO, Actor::System, query).await? {
            Answer::Balance(row) => Ok(row),
            other => Err(unexpected(&other)),
        }
    }

    /// A page of at most `limit` accounts, sorted by the bytes of their names, after this name or from the first.
    pub async fn balances(
        &mut self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<BalancesPage, InventoryError> {
        let query = Query::Balances { after: after.map(Box::from), limit };
        match self.execute(Time::ZERO, Actor::System, query).await? {
            Answer::Balances(page) => Ok(page),
            other => Err(unexpected(&other)),
        }
    }

    /// The outcome of one of the user's orders, found as for [`purchase`](Self::purchase). The key of a bulk order or of a return is
    /// refused `KeyReused`: ask for its [`bulk_receipt`](Self::bulk_receipt) or [`return_receipt`](Self::return_receipt).
    pub async fn receipt(
        &mut self,
        now: Time,
        user: UserId,
        key: OrderKey,
    ) -> Result<Receipt, InventoryError> {
        expect_receipt(self.execute(now, Actor::User(user), Query::Receipt { key }).await?)
    }

    /// The outcome of one of the user's returns, found as for [`purchase`](Self::purchase). The key of anything else is refused
    /// `KeyReused`.
    pub async fn return_receipt(
        &mut self,
        now: Time,
        user: UserId,
        key: OrderKey,
    ) -> Result<ReturnReceipt, InventoryError> {
        match self.execute(now, Actor::User(user), Query::Receipt { key }).await? {
            Answer::ReturnReceipt(receipt) => Ok(*receipt),
            Answer::Receipt(_)
            | Answer::BulkReceipt(_)
            | Answer::PostingReceipt(_)
            | Answer::BulkPostingReceipt(_) => Err(InventoryError::Refused(Refusal::KeyReused)),
            other => Err(unexpected(&other)),
        }
    }

    /// The outcome of one of the user's recent bulk orders. The key of another order is refused `KeyReused`.
    pub async fn bulk_receipt(
        &mut self,
        now: Time,
        user: UserId,
        key: OrderKey,
    ) -> Result<BulkReceipt, InventoryError> {
        expect_bulk_receipt(self.execute(now, Actor::User(user), Query::Receipt { key }).await?)
    }

    /// An item's levels at all its locations, the main one first.
    pub async fn levels_of(&mut self, upc: Upc) -> Result<Vec<LevelRow>, InventoryError> {
        let answer = self.execute(Time::ZERO, Actor::System, Query::Item { upc }).await?;
        Ok(expect_levels(answer)?.levels)
    }

    /// A page of at most `limit` items' levels, sorted by UPC, after this one or from the first.
    pub async fn levels(&mut self, after: Option<Upc>, limit: u32) -> Result<LevelsPage, InventoryError> {
        expect_levels(self.execute(Time::ZERO, Actor::System, Query::Levels { after, limit }).await?)
    }

    /// Saves a snapshot in the journal, so that the next opening need not replay what is in it.
    pub async fn save_snapshot(&mut self) -> Result<(), InventoryError> {
        let unfinished =
            || InventoryError::NotWritten("an earlier call was not finished: repeat it first".into());
        let snapshot = self.engine.snapshot().ok_or_else(unfinished)?;
        self.journal.save_snapshot(snapshot).await.map_err(|error| ReplayError::from(error).into())
    }

    /// Ends the use of the inventory and gives the journal back.
    pub fn into_journal(self) -> J {
        self.journal
    }
}

fn expect_receipt(answer: Answer) -> Result<Receipt, InventoryError> {
    match answer {
        Answer::Receipt(receipt) => Ok(receipt),
        Answer::BulkReceipt(_)
        | Answer::ReturnReceipt(_)
        | Answer::PostingReceipt(_)
        | Answer::BulkPostingReceipt(_) => Err(InventoryError::Refused(Refusal::KeyReused)),
        other => Err(unexpected(&other)),
    }
}

fn expect_bulk_receipt(answer: Answer) -> Result<BulkReceipt, InventoryError> {
    match answer {
        Answer::BulkReceipt(receipt) => Ok(receipt),
        Answer::Receipt(_)
        | Answer::ReturnReceipt(_)
        | Answer::PostingReceipt(_)
        | Answer::BulkPostingReceipt(_) => Err(InventoryError::Refused(Refusal::KeyReused)),
        other => Err(unexpected(&other)),
    }
}

fn expect_levels(answer: Answer) -> Result<LevelsPage, InventoryError> {
    match answer {
        Answer::Levels(page) => Ok(page),
        other => Err(unexpected(&other)),
    }
}

/// Never happens: the engine answers each request in its own kind.
fn unexpected(answer: &Answer) -> InventoryError {
    debug_assert!(false, "an answer of another kind: {answer:?}");
    InventoryError::Poisoned("the engine gave an answer of another kind: this is a defect".into())
}
