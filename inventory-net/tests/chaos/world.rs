//! One world: servers, each in a runtime of its own, clients and network in another, all turned by hand in one thread. Their
//! time is paused, and moves only as the world says; a kill drops a server's runtime, and so every task of it where it waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use inventory_core::{Command, EngineConfig, LocationId, Money, OrderKey, Role, Time};
use inventory_net::client::{Client, ClientOptions};
use inventory_net::clock::Clock;
use inventory_net::password::Passwords;
use inventory_net::server::Server;
use inventory_net::service::{CloseError, Service, ServiceOptions};
use inventory_net::transport::{Address, BindOptions, bind};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use zeroize::Zeroizing;

use super::audit;
use super::common::{add_user, done, options, units, upc};
use super::journal::{Access, Storage};
use super::network::Network;
use super::shopper::{ITEMS, Shopper, Street};
use super::{Mistake, Rates, Seen};

/// Simulated time after which something hangs.
const STORM_MAX: Duration = Duration::from_mins(10);
const QUIET_MAX: Duration = Duration::from_mins(30);
/// How often at most a runtime gets its turn before the next one has it.
const POLLS: usize = 8;
const LOGIN_TURN: Duration = Duration::from_micros(100);
const SHOPPERS: [&str; 3] = ["alice", "bob", "carol"];
/// Two worlds never share an address, also in one process.
static WORLDS: AtomicU64 = AtomicU64::new(0);

/// The time of day, the same for all.
pub(super) struct WorldClock(AtomicU64);

impl WorldClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for WorldClock {
    fn now(&self) -> Time {
        Time::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl WorldClock {
    pub(super) fn key(&self, rng: &mut Rng) -> OrderKey {
        OrderKey::from_parts(self.now(), rng.u128(..))
    }
}

/// A server that runs.
struct Node {
    runtime: Runtime,
    shutdown: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), CloseError>>,
}

pub(super) struct World {
    rng: Rng,
    rates: Rates,
    clock: Arc<WorldClock>,
    storage: Arc<Storage>,
    addresses: Vec<Address>,
    nodes: Vec<Option<Node>>,
    outside: Runtime,
    seen: Seen,
}

/// A runtime whose time stands, and that looks around after a few polls.
fn runtime(rng: &mut Rng) -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .event_interval(rng.u32(1..8))
        .build()
        .unwrap()
}

/// Runs one seed; an error says what was promised and not held.
pub(super) fn run(seed: u64, mistake: Option<Mistake>) -> Result<Seen, String> {
    let mut world = World::new(seed, mistake);
    let (entrance, shoppers, cuts) = world.open();
    let street = Arc::clone(&shoppers[0].street);
    world.storage.storm.store(true, Ordering::Relaxed);
    let rounds = world.rng.usize(3..10);
    let shopping = shoppers.into_iter().map(|shopper| world.outside.spawn(shopper.shop(rounds))).collect();
    let shoppers = world.finish(shopping, STORM_MAX).map_err(|_| "a shopper hangs in the storm")?;

    world.calm_down()?;
    let settling = shoppers.into_iter().map(|shopper| world.outside.spawn(shopper.settle())).collect();
    world.finish(settling, QUIET_MAX).map_err(|_| "a shopper hangs when all is quiet")?;
    world.close()?;
    drop(entrance);

    if let Some(violation) = street.violations.lock().unwrap().first() {
        return Err(violation.clone());
    }
    let (asked, looks) = (street.asked.lock().unwrap(), street.looks.lock().unwrap());
    let decided = audit::check(&world.storage.groups(), &asked, &looks, world.nodes.len() == 1)?;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Seen {
        orders: asked.len() as u64,
        decided: decided as u64,
        unclear: asked.iter().filter(|order| order.unclear).count() as u64,
        looks: looks.len() as u64,
        cuts: count(&cuts),
        failed: count(&world.storage.failed),
        unknown: count(&world.storage.unknown),
        conflicts: count(&world.storage.conflicts),
        landed_late: count(&world.storage.landed_late),
        ..world.seen
    })
}

impl World {
    fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (number, rates) = (WORLDS.fetch_add(1, Ordering::Relaxed), Rates::draw(&mut rng));
        let servers = rng.usize(1..=2);
        Self {
            rates,
            clock: Arc::new(WorldClock(AtomicU64::new(1_795_219_200_000_000))),
            storage: Storage::new(mistake),
            addresses: (0..servers)
                .map(|server| format!("memory://chaos-{number}-{server}").parse().unwrap())
                .collect(),
            nodes: (0..servers).map(|_| None).collect(),
            outside: runtime(&mut rng),
            seen: Seen::default(),
            rng,
        }
    }

    /// Stocks the shop, opens it, and logs everybody in, while nothing goes wrong.
    fn open(&mut self) -> (Address, Vec<Shopper>, Arc<AtomicU64>) {
        self.start(0);
        let entrance: Address = format!("{}-entrance", self.addresses[0]).parse().unwrap();
        let street = Arc::new(Street {
            entrance: entrance.clone(),
            clock: Arc::clone(&self.clock),
            storage: Arc::clone(&self.storage),
            asked: Mutex::default(),
            looks: Mutex::default(),
            violations: Mutex::default(),
            moment: AtomicU64::new(0),
        });
        let server = self.addresses[0].clone();
        let log_in = self.outside.spawn(async move {
            let mut tokens = Vec::new();
            for user in SHOPPERS {
                let client = Client::connect(&server, ClientOptions::default()).await.unwrap();
                tokens.push(client.log_in(user, "secret").await.unwrap().token);
            }
            tokens
        });
        // Passwords are hashed in threads: how often this turns is not the seed's, so nothing else may hang on it.
        while !log_in.is_finished() {
            self.let_run(0, POLLS, LOGIN_TURN);
            self.let_run(self.nodes.len(), POLLS, LOGIN_TURN);
        }
        let tokens = self.outside.block_on(log_in).expect("everybody is logged in");
        (1..self.nodes.len()).for_each(|server| self.start(server));

        let cuts = Arc::<AtomicU64>::default();
        let network = Network {
            servers: self.addresses.clone(),
            rates: self.rates,
            storage: Arc::clone(&self.storage),
            cuts: Arc::clone(&cuts),
        };
        let (rng, at) = (self.rng.fork(), entrance.clone());
        self.outside.block_on(async move {
            let listener = bind(&at, BindOptions::default()).await.unwrap();
            tokio::spawn(network.run(listener, rng));
        });
        let shopper = |(user, token): (&str, _)| Shopper {
            street: Arc::clone(&street),
            user: user.into(),
            token,
            rng: self.rng.fork(),
        };
        (entrance, SHOPPERS.into_iter().zip(tokens).map(shopper).collect(), cuts)
    }

    /// Starts a server on what is durable. If it cannot read that just now, it stays down.
    fn start(&mut self, server: usize) {
        let runtime = runtime(&mut self.rng);
        let journal = Arc::new(Access::new(Arc::clone(&self.storage), self.rates, self.rng.fork()));
        let engine = EngineConfig { groups_in_flight_max: self.rng.usize(1..=3), ..EngineConfig::default() };
        let settings = ServiceOptions { engine, clock: Arc::clone(&self.clock) as Arc<dyn Clock> };
        let (shutdown, stopped) = oneshot::channel();
        let address = &self.addresses[server];
        let ended = runtime.block_on(async {
            let service = Service::open(journal, settings).await.ok()?;
            if service.version().0 == 0 {
                stock(&service).await;
            }
            let mut server = Server::new(service, options()).unwrap();
            server.bind(address).await.unwrap();
            Some(tokio::spawn(server.run(async {
                // Whoever drops the sender wants it to end too.
                let _ = stopped.await;
            })))
        });
        self.nodes[server] = ended.map(|ended| Node { runtime, shutdown: Some(shutdown), ended });
    }

    /// Turns the world until all these tasks have ended; an error if that takes more than `at_most`.
    fn finish<T: Send + 'static>(
        &mut self,
        tasks: Vec<JoinHandle<T>>,
        at_most: Duration,
    ) -> Result<Vec<T>, Duration> {
        let mut passed = Duration::ZERO;
        while !tasks.iter().all(JoinHandle::is_finished) {
            if passed > at_most {
                return Err(passed);
            }
            passed += self.turn();
            if self.storage.storm.load(Ordering::Relaxed) {
                self.disturb();
            }
        }
        Ok(tasks.into_iter().map(|task| self.outside.block_on(task).expect("no panic")).collect())
    }

    /// Lets everybody do a little, and time pass; gives how much.
    fn turn(&mut self) -> Duration {
        let by = Duration::from_micros(match self.rng.u8(..8) {
            0..2 => 0,
            2..5 => self.rng.u64(0..1_000),
            5..7 => self.rng.u64(0..10_000),
            _ => self.rng.u64(0..60_000),
        });
        self.clock.advance(by);
        let first = self.rng.usize(..=self.nodes.len());
        for place in (0..=self.nodes.len()).map(|place| (first + place) % (self.nodes.len() + 1)) {
            let polls = self.rng.usize(..POLLS);
            self.let_run(place, polls, by);
        }
        // The journal is searched for old orders in threads, and simulated time must not run away from them.
        std::thread::yield_now();
        by
    }

    /// Lets a server that runs, or behind them the world outside, do a little, and its time pass.
    fn let_run(&self, place: usize, polls: usize, by: Duration) {
        let runtime = match self.nodes.get(place) {
            Some(Some(node)) => &node.runtime,
            Some(None) => return,
            None => &self.outside,
        };
        runtime.block_on(async {
            for _ in 0..polls {
                yield_now().await;
            }
            tokio::time::advance(by).await;
        });
    }

    fn happens(&mut self, rate: f64) -> bool {
        self.rng.f64() < rate
    }

    /// What may happen between two turns in the storm.
    fn disturb(&mut self) {
        for server in 0..self.nodes.len() {
            let (kill, stop) = (self.happens(self.rates.kill), self.happens(self.rates.stop));
            match &mut self.nodes[server] {
                None if self.rng.u8(..20) == 0 => self.start(server),
                Some(node) if node.ended.is_finished() => {
                    self.nodes[server] = None;
                    self.seen.stops += 1;
                }
                Some(_) if kill => self.kill(server),
                Some(node) if stop => drop(node.shutdown.take()),
                None | Some(_) => {}
            }
        }
        if self.happens(0.1) {
            self.storage.settle_late(&mut self.rng);
        }
        // A write that was sent a day ago, and by a server whose clock says so, is not waited for by anybody.
        if self.nodes.len() == 1 && self.happens(self.rates.day_passes) {
            self.storage.settle_late(&mut self.rng);
            self.clock.advance(Duration::from_hours(25));
            self.seen.days += 1;
        }
    }

    fn kill(&mut self, server: usize) {
        self.nodes[server] = None;
        self.storage.killed();
        self.seen.kills += 1;
    }

    /// From now on nothing goes wrong: the servers are killed once more and come back.
    fn calm_down(&mut self) -> Result<(), String> {
        for server in 0..self.nodes.len() {
            self.kill(server);
        }
        self.storage.storm.store(false, Ordering::Relaxed);
        self.storage.settle_late(&mut self.rng);
        for server in 0..self.nodes.len() {
            self.start(server);
            if self.nodes[server].is_none() {
                return Err("a server cannot be opened on what is durable".into());
            }
        }
        Ok(())
    }

    /// Stops the servers in good order.
    fn close(&mut self) -> Result<(), String> {
        for node in self.nodes.iter_mut().flatten() {
            node.shutdown = None;
        }
        let mut passed = Duration::ZERO;
        while !self.nodes.iter().flatten().all(|node| node.ended.is_finished()) {
            passed += self.turn();
            if passed > QUIET_MAX {
                return Err("a server hangs while it stops".into());
            }
        }
        for node in self.nodes.iter_mut().flatten() {
            let ended = node.runtime.block_on(&mut node.ended).expect("no panic");
            ended.map_err(|error| format!("a server could not be closed: {error}"))?;
        }
        Ok(())
    }
}

/// A few items, of which there are too few for all, and the users.
async fn stock(service: &Service) {
    for item in 1..=ITEMS {
        let price = (item > 1).then(|| Money::from_minor(100 + i64::try_from(item).unwrap()));
        done(service, Command::DefineItem { upc: upc(item), name: format!("Item {item}").into(), price })
            .await;
        let on_hand = units(10 * item * item);
        let location = LocationId::MAIN;
        done(service, Command::SetInitialLevel { upc: upc(item), location, units: on_hand }).await;
    }
    let passwords = Passwords::new(options().passwords).unwrap();
    for user in SHOPPERS {
        let hash = passwords.hash(Zeroizing::new(b"secret".to_vec())).await.unwrap();
        add_user(service, user, &hash, Role::Buyer).await;
    }
}
