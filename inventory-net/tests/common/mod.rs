//! What the tests share: a small shop and journals that misbehave.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use inventory_core::journal::{Append, Group, Journal, JournalError, MemoryJournal, Snapshot, Tip};
use inventory_core::{
    Action, Actor, Answer, BulkOrder, Command, LocationId, Money, Order, OrderKey, OrderLine, Reply, Return,
    Role, Time, Units, Upc, UserId, Version,
};
use inventory_net::client::new_order_key;
use inventory_net::clock::{Clock, SystemClock};
use inventory_net::password::{PasswordCost, PasswordOptions, Passwords};
use inventory_net::server::{Server, ServerOptions};
use inventory_net::service::{CloseError, Service, ServiceOptions};
use inventory_net::transport::Address;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub const MILK: u64 = 36_000_291_452;
pub const BREAD: u64 = 12_345_678_905;

pub fn upc(value: u64) -> Upc {
    Upc::new(value).unwrap()
}

pub fn units(value: u64) -> Units {
    Units::new(value).unwrap()
}

/// A batch of these rows from the main location.
pub fn batch(key: OrderKey, rows: &[(u64, u32)]) -> BulkOrder {
    let upcs: Vec<Upc> = rows.iter().map(|(code, _)| upc(*code)).collect();
    let units: Vec<u32> = rows.iter().map(|(_, units)| *units).collect();
    BulkOrder::new(key, LocationId::MAIN, upcs, units).unwrap()
}

/// A journal that answers the next appends as it is told, and reads only what its gate lets in.
#[derive(Default)]
pub struct Scripted {
    pub inner: MemoryJournal,
    pub script: Mutex<VecDeque<Append>>,
    /// How often it was read.
    pub readings: AtomicUsize,
    gate: Mutex<Option<Arc<Semaphore>>>,
}

/// Lets so many readings in as it has permits; all of them once it is gone.
pub struct Gate(pub Arc<Semaphore>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Scripted {
    pub fn answer(&self, answers: impl IntoIterator<Item = Append>) {
        self.script.lock().unwrap().extend(answers);
    }

    /// From now on nothing is read but what the gate lets in.
    pub fn shut(&self) -> Gate {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        Gate(gate)
    }
}

#[async_trait]
impl Journal for Scripted {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.inner.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate
            && let Ok(permit) = gate.acquire().await
        {
            permit.forget();
        }
        self.inner.read(after, bytes_max).await
    }

    async fn append(&self, group: Group) -> Append {
        let scripted = self.script.lock().unwrap().pop_front();
        match scripted {
            None | Some(Append::Done) => self.inner.append(group).await,
            Some(answer) => answer,
        }
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.inner.tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.inner.save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.inner.discard_through(version).await
    }
}

/// A clock that stands until it is moved.
pub struct ManualClock(Mutex<Time>);

impl ManualClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Time::from_micros(1_795_219_200_000_000))))
    }

    pub fn advance_hours(&self, hours: u64) {
        let mut now = self.0.lock().unwrap();
        *now = now.plus_micros(hours * 3_600_000_000);
    }

    pub fn key(&self, random: u128) -> OrderKey {
        OrderKey::from_parts(*self.0.lock().unwrap(), random)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        *self.0.lock().unwrap()
    }
}

pub async fn open(journal: Arc<dyn Journal>) -> Service {
    Service::open(journal, ServiceOptions::default()).await.unwrap()
}

pub async fn open_at(journal: Arc<dyn Journal>, clock: Arc<dyn Clock>) -> Service {
    Service::open(journal, ServiceOptions { clock, ..ServiceOptions::default() }).await.unwrap()
}

pub async fn done(service: &Service, action: impl Into<Action>) {
    let reply = service.call(Actor::System, action).await;
    assert!(matches!(reply, Reply::Answered(Answer::Done(_))), "{reply:?}");
}

/// Milk, 100 units at 1.29, and bread, 3 units without a price.
pub async fn stock(service: &Service) {
    let price = Some(Money::from_minor(129));
    done(service, Command::DefineItem { upc: upc(MILK), name: "Milk".into(), price }).await;
    done(service, Command::DefineItem { upc: upc(BREAD), name: "Bread".into(), price: None }).await;
    for (item, on_hand) in [(MILK, 100), (BREAD, 3)] {
        let location = LocationId::MAIN;
        done(service, Command::SetInitialLevel { upc: upc(item), location, units: units(on_hand) }).await;
    }
}

pub async fn add_user(service: &Service, name: &str, password_hash: &str, role: Role) -> UserId {
    done(service, Command::AddUser { name: name.into(), password_hash: password_hash.into(), role }).await;
    service.with_state(|state| state.users().id(name).unwrap())
}

pub fn order(key: OrderKey, item: u64, count: u64) -> Order {
    Order { key, lines: OrderLine::new(upc(item), units(count)).into(), charge: None }
}

/// A return of all that is left of an order, under a new key of this moment.
pub fn everything_of(order: OrderKey) -> Return {
    Return { key: new_order_key().unwrap(), order, lines: Box::default(), evidence: None }
}

pub fn on_hand(service: &Service, item: u64) -> u64 {
    service.with_state(|state| {
        let id = state.catalogue().id(upc(item)).unwrap();
        state.stock().available(id, LocationId::MAIN).get()
    })
}

/// Server options with passwords that cost nothing.
pub fn options() -> ServerOptions {
    let cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
    ServerOptions {
        passwords: PasswordOptions { cost, ..PasswordOptions::default() },
        ..ServerOptions::default()
    }
}

/// A server that runs in a task of its own.
pub struct Running {
    pub address: Address,
    pub service: Service,
    shutdown: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), CloseError>>,
}

impl Running {
    pub async fn stop(self) {
        self.try_stop().await.unwrap();
    }

    pub async fn try_stop(self) -> Result<(), CloseError> {
        let _ = self.shutdown.send(());
        self.ended.await.unwrap()
    }

    /// Begins to stop, and gives what to wait for.
    pub fn begin_stop(self) -> JoinHandle<Result<(), CloseError>> {
        let _ = self.shutdown.send(());
        self.ended
    }
}

/// A server on this address and journal, stocked if the journal is new, with the users alice, bob and admin.
pub async fn serve(address: &str, journal: Arc<dyn Journal>, options: ServerOptions) -> Running {
    serve_at(address, journal, Arc::new(SystemClock), options).await
}

/// One with this clock.
pub async fn serve_at(
    address: &str,
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    options: ServerOptions,
) -> Running {
    let service = open_at(journal, clock).await;
    let users = Passwords::new(options.passwords).unwrap();
    let mut server = Server::new(service.clone(), options).unwrap();
    if service.version() == Version::ZERO {
        stock(&service).await;
        for (name, role) in [("alice", Role::Buyer), ("bob", Role::Buyer), ("admin", Role::Administrator)] {
            let password = Zeroizing::new(format!("{name}-secret").into_bytes());
            add_user(&service, name, &users.hash(password).await.unwrap(), role).await;
        }
    }
    let address = server.bind(&address.parse().unwrap()).await.unwrap();
    let (shutdown, stopped) = oneshot::channel();
    let ended = tokio::spawn(server.run(async move {
        let _ = stopped.await;
    }));
    Running { address, service, shutdown, ended }
}
