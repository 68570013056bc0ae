//! The client: asks a server, many requests at a time over one connection, and asks again where that is safe.
//!
//! A reader's way: what can be asked, here; when it is asked again, in `retry`; the task that owns the connection,
//! in `driver`; the connection, in `link`.

mod driver;
mod error;
mod link;
mod options;
mod retry;

pub use error::ClientError;
pub use options::ClientOptions;

use inventory_core::journal::ScanPlace;
use inventory_core::{
    BalanceRow, BalancesPage, BulkEntries, BulkOrder, BulkPostingReceipt, BulkReceipt, LevelRow, LevelsPage,
    LocationId, Money, Order, OrderKey, Posting, PostingReceipt, Receipt, Refusal, Return, ReturnReceipt,
    Role, Units, Upc, Version,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::{Clock, SystemClock};
use crate::message::{Account, Done, EntriesPage, Op, Password, ReplyBody, RequestBody, Token};
use crate::transport::Address;
use driver::{Attempt, Driver, Job, passes, timed_out};
use link::LinkError;
use retry::{Pauses, is_repeatable, settles};

/// Requests that may wait to be sent; whoever makes one more waits.
const WAITING_MAX: usize = 1_024;

/// A session that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its secret: resumes it on another connection. Keep it where only its user can read.
    pub token: Token,
    /// Whose it is.
    pub account: Account,
}

/// The receipt of an order, a return or a posting, of whichever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyReceipt {
    /// Of a purchase, all or nothing.
    Order(Receipt),
    /// Of a bulk purchase, each row for itself.
    Bulk(BulkReceipt),
    /// Of a return.
    Return(Box<ReturnReceipt>),
    /// Of an entry.
    Posting(PostingReceipt),
    /// Of a batch of entries, each row for itself.
    BulkPosting(BulkPostingReceipt),
}

/// A client of one server. Cheap to clone; clones share one connection, and use it at the same time.
///
/// If the connection ends, the next request makes a new one and resumes the session. A request is repeated while
/// [`retry_for`](ClientOptions::retry_for) lasts, if that is safe: if it was never sent, if the server said that nothing
/// was done, or if it can be done twice without harm, as a purchase under its order key.
///
/// The connection ends when the last clone is dropped.
///
/// ```no_run
/// use inventory_core::{Order, OrderLine, Units};
/// use inventory_net::client::{Client, ClientOptions, new_order_key};
///
/// # async fn shop() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::connect(&"tcp://127.0.0.1:7411".parse()?, ClientOptions::default()).await?;
/// client.log_in("alice", "alice-demo").await?;
/// let two = OrderLine::new("036000291452".parse()?, "2".parse()?);
/// let order = Order { key: new_order_key()?, lines: two.into(), charge: None };
/// let receipt = client.purchase(&order).await?;
/// println!("bought at version {}", receipt.version);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    options: ClientOptions,
    jobs: mpsc::Sender<Job>,
}

impl Client {
    /// Connects to a server. This first connection is tried once, so that a server that is not there is told at once.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and IO enabled.
    pub async fn connect(address: &Address, options: ClientOptions) -> Result<Self, ClientError> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Driver::new(address.clone(), options.clone(), waiting).run());
        let client = Self { address: address.clone(), options, jobs };
        let (caller, attempt) = oneshot::channel();
        client.jobs.send(Job::Connect(caller)).await.map_err(|_| ClientError::Closed)?;
        match attempt.await {
            Ok(Attempt::Connected) => Ok(client),
            Ok(Attempt::NotSent(error) | Attempt::Lost(error)) => {
                Err(ClientError::unreachable(address, error))
            }
            _ => Err(ClientError::Closed),
        }
    }

    /// Where the server is.
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Starts a session and makes it this client's. Not repeated if the connection is lost: the session that it may
    /// have started would be nobody's.
    pub async fn log_in(&self, user: &str, password: &str) -> Result<Session, ClientError> {
        // No user has so long a password.
        let password = Password::new(password).ok_or(ClientError::Refused(Refusal::BadCredentials))?;
        match self.ask(RequestBody::LogIn { user: user.into(), password }).await? {
            Done::LoggedIn { token, account } => Ok(Session { token, account }),
            _ => Err(self.wrong_answer(Op::LogIn)),
        }
    }

    /// Makes a session that was started before this client's, and says whose it is.
    pub async fn resume(&self, token: &Token) -> Result<Account, ClientError> {
        self.ask_account(RequestBody::Resume { token: token.clone() }).await
    }

    /// Ends this client's session: its token is dead from now on, everywhere.
    pub async fn log_out(&self) -> Result<(), ClientError> {
        self.ask(RequestBody::LogOut).await.map(drop)
    }

    /// Who this client is logged in as.
    pub async fn who_am_i(&self) -> Result<Account, ClientError> {
        self.ask_account(RequestBody::WhoAmI).await
    }

    /// A page of at most `limit` items' levels, sorted by UPC, after this one or from the first.
    pub async fn levels(&self, after: Option<Upc>, limit: Option<u32>) -> Result<LevelsPage, ClientError> {
        self.ask_levels(RequestBody::Levels { after, limit }).await
    }

    /// All levels, sorted by UPC. Page after page: what is sold meanwhile may show in some and not in others.
    pub async fn all_levels(&self) -> Result<Vec<LevelRow>, ClientError> {
        let mut levels = Vec::new();
        let mut after = None;
        loop {
            let page = self.levels(after, None).await?;
            levels.extend(page.levels);
            // A page that does not get ahead is the last, whatever the server says.
            match page.next {
                Some(next) if Some(next) > after => after = Some(next),
                _ => return Ok(levels),
            }
        }
    }

    /// The levels of one item at all its locations.
    pub async fn item(&self, upc: Upc) -> Result<Vec<LevelRow>, ClientError> {
        Ok(self.ask_levels(RequestBody::Item { upc }).await?.levels)
    }

    /// Buys. However often it is repeated, here or later with the same order, it buys at most once.
    pub async fn purchase(&self, order: &Order) -> Result<Receipt, ClientError> {
        match self.ask_receipt(RequestBody::Purchase(order.clone())).await? {
            AnyReceipt::Order(receipt) => Ok(receipt),
            _ => Err(self.wrong_answer(Op::Purchase)),
        }
    }

    /// Buys a batch of independent rows: the receipt says which were accepted. However often it is repeated, here or later
    /// with the same order, it buys at most once.
    ///
    /// ```no_run
    /// use inventory_core::{BulkOrder, LocationId};
    /// use inventory_net::client::{Client, new_order_key};
    ///
    /// # async fn restock(client: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let (soup, tea) = ("036000291452".parse()?, "012345678905".parse()?);
    /// let order = BulkOrder::new(new_order_key()?, LocationId::MAIN, vec![soup, tea], vec![2, 1])?;
    /// let receipt = client.purchase_bulk(&order).await?;
    /// println!("{} of {} rows accepted", receipt.outcome.accepted_rows, receipt.outcome.rows);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn purchase_bulk(&self, order: &BulkOrder) -> Result<BulkReceipt, ClientError> {
        match self.ask_receipt(RequestBody::PurchaseBulk(order.clone())).await? {
            AnyReceipt::Bulk(receipt) => Ok(receipt),
            _ => Err(self.wrong_answer(Op::PurchaseBulk)),
        }
    }

    /// Gives units of an earlier purchase back; if an account paid for it, what it paid for them comes back to that account. However
    /// often it is repeated, here or later with the same return, they come back at most once.
    ///
    /// ```no_run
    /// use inventory_core::{OrderKey, Return};
    /// use inventory_net::client::{Client, new_order_key};
    ///
    /// # async fn regret(client: Client, order: OrderKey) -> Result<(), Box<dyn std::error::Error>> {
    /// let everything_left = Return { key: new_order_key()?, order, lines: Box::default(), evidence: None };
    /// let receipt = client.return_units(&everything_left).await?;
    /// println!("{} lines came back", receipt.lines.len());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn return_units(&self, wanted: &Return) -> Result<ReturnReceipt, ClientError> {
        match self.ask_receipt(RequestBody::Return(wanted.clone())).await? {
            AnyReceipt::Return(receipt) => Ok(*receipt),
            _ => Err(self.wrong_answer(Op::Return)),
        }
    }

    /// The outcome of an order: its receipt, or the refusal that it got. A batch's, a return's and a posting's are wrong answers: see
    /// [`any_receipt`](Self::any_receipt).
    pub async fn receipt(&self, key: OrderKey) -> Result<Receipt, ClientError> {
        match self.any_receipt(key).await? {
            AnyReceipt::Order(receipt) => Ok(receipt),
            _ => Err(self.wrong_answer(Op::Receipt)),
        }
    }

    /// The outcome of an order, a return, a posting, or a batch.
    pub async fn any_receipt(&self, key: OrderKey) -> Result<AnyReceipt, ClientError> {
        self.ask_receipt(RequestBody::Receipt { key }).await
    }

    /// Posts an entry. However often it is repeated, here or later with the same posting, it is posted at most once.
    pub async fn post(&self, posting: &Posting) -> Result<PostingReceipt, ClientError> {
        match self.ask_receipt(RequestBody::Post(posting.clone())).await? {
            AnyReceipt::Posting(receipt) => Ok(receipt),
            _ => Err(self.wrong_answer(Op::Post)),
        }
    }

    /// Posts a batch of independent entries: the receipt says which were accepted. However often it is repeated, here or later
    /// with the same batch, each is posted at most once.
    pub async fn post_bulk(&self, batch: &BulkEntries) -> Result<BulkPostingReceipt, ClientError> {
        match self.ask_receipt(RequestBody::PostBulk(batch.clone())).await? {
            AnyReceipt::BulkPosting(receipt) => Ok(receipt),
            _ => Err(self.wrong_answer(Op::PostBulk)),
        }
    }

    /// Says what an account's balance never goes below from now on; none takes it away.
    pub async fn set_floor(&self, account: &str, floor: Option<Money>) -> Result<Version, ClientError> {
        self.ask_version(RequestBody::SetFloor { account: account.into(), floor }).await
    }

    /// One account's balance and floor.
    pub async fn balance(&self, account: &str) -> Result<BalanceRow, ClientError> {
        match self.ask(RequestBody::Balance { account: account.into() }).await? {
            Done::Balance(row) => Ok(row),
            _ => Err(self.wrong_answer(Op::Balance)),
        }
    }

    /// A page of at most `limit` balances, sorted by the bytes of the accounts' names, after this name or from the first.
    pub async fn balances(
        &self,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<BalancesPage, ClientError> {
        match self.ask(RequestBody::Balances { after: after.map(Into::into), limit }).await? {
            Done::Balances(page) => Ok(page),
            _ => Err(self.wrong_answer(Op::Balances)),
        }
    }

    /// A page of at most `limit` entries of an account, oldest first, from the beginning (the default place) or from where the
    /// page before says. A page may be empty and not the last.
    pub async fn entries(
        &self,
        account: &str,
        place: ScanPlace,
        limit: Option<u32>,
    ) -> Result<EntriesPage, ClientError> {
        match self.ask(RequestBody::Entries { account: account.into(), place, limit }).await? {
            Done::Entries(page) => Ok(page),
            _ => Err(self.wrong_answer(Op::Entries)),
        }
    }

    /// Creates an item, or gives an existing one this name and price.
    pub async fn define_item(
        &self,
        upc: Upc,
        name: &str,
        price: Option<Money>,
    ) -> Result<Version, ClientError> {
        self.ask_version(RequestBody::DefineItem { upc, name: name.into(), price }).await
    }

    /// Says how many units a location starts with. Not repeated if the connection is lost.
    pub async fn set_initial_level(
        &self,
        upc: Upc,
        location: LocationId,
        units: Units,
    ) -> Result<Version, ClientError> {
        self.ask_version(RequestBody::SetInitialLevel { upc, location, units }).await
    }

    /// Adds a user. Not repeated if the connection is lost.
    pub async fn add_user(&self, name: &str, password: &str, role: Role) -> Result<Version, ClientError> {
        let password = Password::new(password)
            .ok_or(ClientError::Refused(Refusal::InvalidValue { field: "password" }))?;
        self.ask_version(RequestBody::AddUser { name: name.into(), password, role }).await
    }

    /// Waits for the answers to what was asked, and ends the connection. Later requests fail.
    pub async fn close(&self) {
        if self.jobs.send(Job::Close).await.is_ok() {
            self.jobs.closed().await;
        }
    }

    async fn ask_account(&self, body: RequestBody) -> Result<Account, ClientError> {
        let op = body.op();
        match self.ask(body).await? {
            Done::Account(account) => Ok(account),
            _ => Err(self.wrong_answer(op)),
        }
    }

    async fn ask_levels(&self, body: RequestBody) -> Result<LevelsPage, ClientError> {
        let op = body.op();
        match self.ask(body).await? {
            Done::Levels(page) => Ok(page),
            _ => Err(self.wrong_answer(op)),
        }
    }

    async fn ask_receipt(&self, body: RequestBody) -> Result<AnyReceipt, ClientError> {
        let op = body.op();
        match self.ask(body).await? {
            Done::Receipt(receipt) => Ok(AnyReceipt::Order(receipt)),
            Done::BulkReceipt(receipt) => Ok(AnyReceipt::Bulk(receipt)),
            Done::ReturnReceipt(receipt) => Ok(AnyReceipt::Return(receipt)),
            Done::PostingReceipt(receipt) => Ok(AnyReceipt::Posting(receipt)),
            Done::BulkPostingReceipt(receipt) => Ok(AnyReceipt::BulkPosting(receipt)),
            _ => Err(self.wrong_answer(op)),
        }
    }

    async fn ask_version(&self, body: RequestBody) -> Result<Version, ClientError> {
        let op = body.op();
        match self.ask(body).await? {
            Done::Version(version) => Ok(version),
            _ => Err(self.wrong_answer(op)),
        }
    }

    /// Asks, and asks again where that is safe and there is time.
    async fn ask(&self, body: RequestBody) -> Result<Done, ClientError> {
        let op = body.op();
        let mut lost = None;
        match (self.ask_repeatedly(body, &mut lost).await, lost) {
            // Why it went no further says nothing about the attempt whose answer was lost.
            (Err(error), Some(how)) if !settles(op, &error) => {
                Err(ClientError::unanswered(&self.address, op, how))
            }
            (result, _) => result,
        }
    }

    /// See [`ask`](Self::ask). `lost` tells how the last connection ended that a request was sent on without an answer.
    async fn ask_repeatedly(
        &self,
        body: RequestBody,
        lost: &mut Option<LinkError>,
    ) -> Result<Done, ClientError> {
        let op = body.op();
        let mut pauses = Pauses::new(self.options.retry_for);
        loop {
            let (error, repeatable) = match self.attempt(&body).await? {
                Attempt::Replied(ReplyBody::Done(done)) => return Ok(done),
                Attempt::Replied(ReplyBody::Refused(Refusal::NotLoggedIn))
                    if lost.is_some() && op == Op::LogOut =>
                {
                    return Ok(Done::LoggedOut);
                }
                Attempt::Replied(ReplyBody::Refused(refusal)) => return Err(ClientError::Refused(refusal)),
                Attempt::Replied(ReplyBody::RefusedOtherwise(unknown)) => {
                    return Err(ClientError::RefusedOtherwise(unknown));
                }
                Attempt::Replied(ReplyBody::Unavailable(reason)) => {
                    let again = passes(&reason);
                    (ClientError::Unavailable(reason), again)
                }
                Attempt::Replied(ReplyBody::ProtocolError(_)) | Attempt::Connected => {
                    return Err(self.wrong_answer(op));
                }
                Attempt::Unsendable(error) => return Err(ClientError::Unsendable(error)),
                Attempt::NotSent(error) => (ClientError::unreachable(&self.address, error), true),
                Attempt::Lost(error) => {
                    *lost = Some(error.clone());
                    (ClientError::unanswered(&self.address, op, error), is_repeatable(op))
                }
            };
            let hopeless = matches!(error, ClientError::Protocol { .. });
            if hopeless || !repeatable || !pauses.wait().await {
                return Err(error);
            }
        }
    }

    /// Sends a request once.
    async fn attempt(&self, body: &RequestBody) -> Result<Attempt, ClientError> {
        let (caller, attempt) = oneshot::channel();
        self.jobs.send(Job::Request(body.clone(), caller)).await.map_err(|_| ClientError::Closed)?;
        let Some(patience) = self.options.reply_timeout else {
            return attempt.await.map_err(|_| ClientError::Closed);
        };
        if let Ok(attempt) = timeout(patience, attempt).await {
            return attempt.map_err(|_| ClientError::Closed);
        }
        // A driver that has ended has given up already.
        let _ended = self.jobs.send(Job::GiveUp).await;
        Ok(Attempt::Lost(timed_out()))
    }

    fn wrong_answer(&self, op: Op) -> ClientError {
        ClientError::WrongAnswer { address: self.address.clone(), op }
    }
}

/// A new order key: a UUID of version 7 of this moment. An error if the system has no randomness to give.
pub fn new_order_key() -> Result<OrderKey, getrandom::Error> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(OrderKey::from_parts(SystemClock.now(), u128::from_le_bytes(random)))
}
