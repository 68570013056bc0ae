//! The world of a run: machine, network and clients. A number of steps in which one thing happens at a time, then a last
//! power loss and a quiet end, in which every order must get its outcome.

mod quiet;
mod rates;

use inventory_core::{Command, EngineConfig, LocationId, Money, Role, Time, Units};
use inventory_net::message::{Op, RequestBody};
use inventory_store::FileJournalOptions;

use crate::auditor::{Auditor, Check, ensure, password_hash};
use crate::client::{Around, Client};
use crate::coverage::{Coverage, Fault};
use crate::defect::Defect;
use crate::machine::{Machine, MachineOptions, Watch};
use crate::network::{Link, LinkId, Network, take};
use crate::node::Node;
use crate::run::Options;
use crate::trace::Trace;
use crate::workload::{Workload, password, user_name};
use rates::Rates;

/// When a run begins: an ordinary day.
const BEGIN: Time = Time::from_micros(1_795_219_200_000_000);
/// See the top of this file.
#[derive(Debug)]
pub(crate) struct World {
    step: u64,
    now: Time,
    rng: fastrand::Rng,
    rates: Rates,
    workload: Workload,
    network: Network,
    machine: Machine,
    clients: Vec<Client>,
    auditor: Auditor,
    trace: Trace,
    defect: Option<Defect>,
    closing: bool,
    /// The step in which the machine falls over what went wrong before.
    falls_at: Option<u64>,
}

impl World {
    pub(crate) fn new(seed: u64, Options { defect, favourite, .. }: Options) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let rates = Rates::draw(&mut rng);
        let workload = Workload {
            items: rng.u64(1..6),
            locations: rng.u16(1..3),
            users: rng.u64(1..5),
            favourite: rng
                .choice(Coverage::commands())
                .into_iter()
                .chain(favourite)
                .last()
                .unwrap_or(Op::Purchase),
        };
        let options = MachineOptions {
            journal: FileJournalOptions {
                segment_bytes: 8 << (10 + rng.u32(..4).saturating_sub(1)),
                prepare_ahead: false,
            },
            engine: EngineConfig {
                groups_in_flight_max: rng.usize(1..4),
                inbox_requests_max: if rng.u8(..4) == 0 { rng.usize(2..6) } else { 1 << 16 },
                ..EngineConfig::default()
            },
            servers: if rng.u8(..3) == 0 { rng.usize(2..4) } else { 1 },
            recovery_fault_one_in: if rng.bool() { rng.u32(2..6) } else { 0 },
            defect,
        };
        let machine = Machine::new(options, rng.fork());
        let clients = (0..workload.users).map(|number| Client::new(number, rng.fork())).collect();
        Self {
            step: 0,
            now: BEGIN,
            rng,
            rates,
            workload,
            network: Network::default(),
            machine,
            clients,
            auditor: Auditor::new(),
            trace: Trace::default(),
            defect,
            closing: false,
            falls_at: None,
        }
    }

    pub(crate) fn step(&self) -> u64 {
        self.step
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.digest()
    }

    pub(crate) fn events(&self) -> u64 {
        self.auditor.tip().version.0
    }

    pub(crate) fn into_coverage(self) -> Coverage {
        self.machine.coverage
    }

    pub(crate) fn run(&mut self, steps: u64) -> Check {
        self.open_shop()?;
        while self.step < steps {
            self.step += 1;
            self.one_step()?;
        }
        self.quiet_end()
    }

    /// Users and items, put in by the operator. A fault left over from the first start may hit some of it: then they are
    /// missing, and clients find that out.
    fn open_shop(&mut self) -> Check {
        self.start_server()?;
        let mut requests: Vec<RequestBody> = Vec::new();
        for number in 0..self.workload.users {
            let role = if number == 0 { Role::Administrator } else { Role::Buyer };
            requests.push(RequestBody::AddUser { name: user_name(number), password: password(number), role });
        }
        for item in 0..self.workload.items {
            let upc = Workload::upc(item);
            let price = Some(Money::from_minor(self.rng.i64(1..900)));
            requests.push(RequestBody::DefineItem { upc, name: "an item".into(), price });
            for location in 0..self.workload.locations {
                let units = Units::new(self.rng.u64(..60)).unwrap_or_default();
                let location = LocationId(location);
                requests.push(RequestBody::SetInitialLevel { upc, location, units });
            }
        }
        for request in requests {
            self.auditor.sent(0, 0, "the operator", None, &request);
            let command = match request {
                RequestBody::AddUser { name, password, role } => {
                    Command::AddUser { name, password_hash: password_hash(password.reveal()), role }
                }
                RequestBody::DefineItem { upc, name, price } => Command::DefineItem { upc, name, price },
                RequestBody::SetInitialLevel { upc, location, units } => {
                    Command::SetInitialLevel { upc, location, units }
                }
                _ => continue,
            };
            if let Some(node) = self.machine.nodes.first_mut() {
                node.submit_as_system(self.now, command);
            }
            // With a bounded inbox one at a time gets in.
            self.turn();
            self.commit()?;
            self.turn();
        }
        self.catch_up()
    }

    fn one_step(&mut self) -> Check {
        // Time passes faster while everybody waits.
        let us = self.rng.u64(..if self.machine.is_slow(self.step) { 500_000 } else { 5_000 });
        self.pass_time(us);
        if self.falls_at.take_if(|step| *step <= self.step).is_some() {
            if self.rng.bool() { self.lose_power()? } else { self.kill()? }
        }
        if self.is_ill() && self.rng.u8(..24) == 0 {
            self.end_ill_server()?;
        }
        let faults: u32 = self.rates.faults.iter().map(|(_, rate)| rate).sum();
        let Rates { act, to_server, to_client, commit, probe, snapshot, .. } = self.rates;
        let mut at = self.rng.u32(..act + to_server + to_client + commit + probe + snapshot + faults);
        let mut is = |rate: u32| {
            let is = at < rate;
            at = at.wrapping_sub(if is { 0 } else { rate });
            is
        };
        if is(act) {
            let client = self.rng.usize(..self.clients.len());
            self.act(client);
            Ok(())
        } else if is(to_server) {
            self.deliver_to_server();
            Ok(())
        } else if is(to_client) {
            let client = self.rng.usize(..self.clients.len());
            self.deliver_to_client(client)
        } else if is(commit) {
            self.commit()?;
            self.turn();
            self.check_nothing_forgotten()
        } else if is(probe) {
            self.machine.probe(&self.auditor)?;
            self.catch_up()
        } else if is(snapshot) {
            let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
            if self.rng.bool() {
                self.machine.snapshot(&mut watch);
            } else {
                self.machine.keep_up(self.now, &mut watch)?;
            }
            self.see_end()
        } else {
            let faults = self.rates.faults.clone();
            let fault =
                faults.into_iter().find(|(_, rate)| is(*rate)).map_or(Fault::None, |(fault, _)| fault);
            self.trace.note("fault", fault as u64);
            self.inject(fault)
        }
    }

    fn inject(&mut self, fault: Fault) -> Check {
        match fault {
            Fault::None | Fault::Sync | Fault::PowerLossInRecovery | Fault::Conflict => Ok(()),
            Fault::Cut => {
                self.cut();
                Ok(())
            }
            Fault::GivenUp => {
                let client = self.rng.usize(..self.clients.len());
                if let Some(client) = self.clients.get_mut(client) {
                    client.give_up(&mut self.network);
                    self.machine.happens(self.step, Fault::GivenUp);
                }
                Ok(())
            }
            Fault::PowerLoss if self.rng.bool() => self.lose_power(),
            Fault::PowerLoss | Fault::Io | Fault::Short => {
                self.machine.plan_fault(fault);
                if self.rng.u8(..4) == 0 {
                    self.falls_at = Some(self.step + self.rng.u64(5..60));
                }
                Ok(())
            }
            Fault::Kill if self.rng.bool() => {
                let server = self.rng.usize(..self.machine.servers());
                self.end_server(Some(server).filter(|_| self.machine.servers() > 1))
            }
            Fault::Kill => {
                self.machine.plan_kill();
                Ok(())
            }
            Fault::Restart => self.restart(),
            Fault::Flip => {
                self.machine.flip(self.step);
                if self.rng.bool() { self.kill() } else { self.machine.read_rotten(&self.auditor) }
            }
            Fault::Slow => {
                self.machine.slow_down(self.step);
                Ok(())
            }
            Fault::Lost => {
                self.machine.lose(self.step);
                Ok(())
            }
            Fault::Full => {
                self.machine.set_full(self.step, self.machine.has_room());
                Ok(())
            }
            Fault::Clock => {
                self.machine.jump_clock(self.step);
                Ok(())
            }
            Fault::Pause => {
                let pause_us = self.rng.u64(1_000_000..3_600_000_000);
                let hours = if self.rng.bool() { self.rng.u64(..30) } else { 0 };
                self.pass_time(pause_us + hours * 3_600_000_000);
                self.machine.happens(self.step, Fault::Pause);
                Ok(())
            }
        }
    }

    fn pass_time(&mut self, us: u64) {
        self.now = self.now.plus_micros(us);
        self.auditor.see_time(self.now);
        for server in 0..self.machine.servers() {
            self.auditor.see_time(self.machine.server_time(server, self.now));
        }
        let now_us = self.now.as_micros();
        self.machine.nodes.iter_mut().for_each(|node| node.handle_timeouts(now_us));
    }

    /// The servers do what they can without the disk.
    fn turn(&mut self) {
        (0..self.machine.servers()).for_each(|server| self.turn_of(server));
    }

    fn turn_of(&mut self, server: usize) {
        let (time, now_us) = (self.machine.server_time(server, self.now), self.now.as_micros());
        let Some(node) = self.machine.nodes.get_mut(server) else { return };
        node.turn(time, now_us);
        // An answer may be what the next request of its connection waits for.
        node.turn(time, now_us);
        for id in self.network.ids() {
            let Some(link) = self.network.link(id) else { continue };
            let Some((bytes, closed)) = node.output(id, now_us) else { continue };
            link.server_gone |= closed;
            if !link.client_gone {
                link.to_client.extend(bytes);
            }
        }
    }

    /// Every request that a server took is answered or under way.
    fn check_nothing_forgotten(&self) -> Check {
        let forgotten = self.machine.nodes.iter().any(Node::has_forgotten_a_request);
        ensure(!forgotten, || "a request is neither answered nor under way".into())
    }

    fn act(&mut self, client: usize) {
        let (mut around, client) = self.around(client);
        if let Some(client) = client {
            client.act(&mut around);
        }
    }

    fn around(&mut self, client: usize) -> (Around<'_>, Option<&mut Client>) {
        let around = Around {
            step: self.step,
            now: self.now,
            network: &mut self.network,
            auditor: &mut self.auditor,
            coverage: &mut self.machine.coverage,
            workload: &self.workload,
            faults: &self.machine.about,
            servers: self.machine.nodes.len().max(1),
            defect: self.defect,
            closing: self.closing,
        };
        (around, self.clients.get_mut(client))
    }

    /// Some bytes, or all, arrive at the server on one connection.
    fn deliver_to_server(&mut self) {
        let has_news = |link: &Link| !link.server_gone && (!link.to_server.is_empty() || link.client_gone);
        let links = self.network.ids().into_iter();
        let waiting: Vec<LinkId> =
            links.filter(|id| self.network.link(*id).is_some_and(|link| has_news(link))).collect();
        if let Some(id) = self.rng.choice(waiting) {
            let all = self.closing || self.rng.u8(..4) > 0;
            self.deliver_on(id, all);
            self.turn();
        }
    }

    fn deliver_on(&mut self, id: LinkId, all: bool) {
        let now_us = self.now.as_micros();
        let server = self.network.server(id);
        let Some(node) = self.machine.nodes.get_mut(server) else { return };
        let Some(link) = self.network.link(id).filter(|link| !link.server_gone) else { return };
        node.accept(id, now_us);
        if !node.wants_read(id) {
            return;
        }
        let waits = link.to_server.len();
        let count = if all || waits == 0 { waits } else { self.rng.usize(1..=waits) };
        let bytes = take(&mut link.to_server, count);
        if !bytes.is_empty() || link.client_gone {
            self.trace.note_bytes("to server", &bytes);
            node.receive(id, &bytes);
        }
    }

    /// Some bytes, or all, arrive at a client.
    fn deliver_to_client(&mut self, client: usize) -> Check {
        let link = self.clients.get(client).and_then(|client| client.link);
        let Some(link) = link.and_then(|id| self.network.link(id)) else { return Ok(()) };
        let waits = link.to_client.len();
        let all = waits == 0 || self.closing || self.rng.u8(..4) > 0;
        let count = if all { waits } else { self.rng.usize(1..=waits) };
        for half in [link.to_client.as_slices().0, link.to_client.as_slices().1] {
            self.trace.note_bytes("to client", half);
        }
        let (mut around, client) = self.around(client);
        client.map_or(Ok(()), |client| client.receive(&mut around, count))?;
        self.network.sweep();
        Ok(())
    }

    /// A connection breaks: what was under way is lost, to the middle of a message.
    fn cut(&mut self) {
        let Some(id) = self.rng.choice(self.network.ids()) else { return };
        let server = self.network.server(id);
        if let Some(node) = self.machine.nodes.get_mut(server) {
            node.drop_link(id);
        }
        if let Some(link) = self.network.link(id) {
            link.server_gone = true;
            link.to_server.clear();
            let arrives = self.rng.usize(..=link.to_client.len());
            link.to_client.truncate(arrives);
            self.machine.happens(self.step, Fault::Cut);
        }
        self.network.sweep();
    }

    /// Writes the oldest group under way at one of the servers.
    fn commit(&mut self) -> Check {
        let busy = (0..).zip(&self.machine.nodes).filter(|(_, node)| node.has_work());
        let busy: Vec<usize> = busy.map(|(server, _)| server).collect();
        let Some(server) = self.rng.choice(busy) else { return Ok(()) };
        let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
        if self.machine.commit(server, self.now, &mut watch)? { self.see_end() } else { Ok(()) }
    }

    /// The servers read what others have written.
    fn catch_up(&mut self) -> Check {
        for server in 0..self.machine.servers() {
            let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
            self.machine.catch_up(server, self.now, &mut watch)?;
        }
        Ok(())
    }

    /// Writes until there is nothing to write.
    fn write_all(&mut self) -> Check {
        self.machine.speed_up();
        self.turn();
        while self.machine.nodes.iter().any(Node::has_work) {
            self.commit()?;
            self.turn();
        }
        Ok(())
    }

    /// Goes on after an end of the server within an operation, if there was one.
    fn see_end(&mut self) -> Check {
        match (self.machine.is_dark(), self.machine.is_killed()) {
            (true, _) => self.lose_power(),
            (false, true) => self.kill(),
            (false, false) => Ok(()),
        }
    }

    fn lose_power(&mut self) -> Check {
        let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
        self.machine.lose_power(&mut watch, Fault::PowerLoss);
        self.servers_vanish(None);
        self.start_server()
    }

    fn is_ill(&self) -> bool {
        self.machine.nodes.is_empty() || self.machine.nodes.iter().any(Node::is_poisoned)
    }

    /// What an operator does who sees that a server acknowledges nothing more.
    fn end_ill_server(&mut self) -> Check {
        let ill = self.machine.nodes.iter().position(Node::is_poisoned);
        self.end_server(ill)
    }

    /// Ends one server, or all.
    fn end_server(&mut self, server: Option<usize>) -> Check {
        let Some(server) = server else { return self.kill() };
        self.servers_vanish(Some(server));
        let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
        let replaced = self.machine.replace(server, &mut watch)?;
        match replaced {
            true => Ok(()),
            false if self.machine.is_dark() => self.lose_power(),
            false => self.kill(),
        }
    }

    fn kill(&mut self) -> Check {
        let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
        self.machine.kill(&mut watch);
        self.servers_vanish(None);
        self.start_server()
    }

    /// Stops the server in order, once everything is written and answered, and starts it again.
    fn restart(&mut self) -> Check {
        self.write_all()?;
        let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
        self.machine.stop(&mut watch);
        if self.machine.is_dark() {
            return self.lose_power();
        }
        self.network.servers_vanish(|_| true, |sent| sent);
        self.start_server()
    }

    /// One server is gone, or all.
    fn servers_vanish(&mut self, which: Option<usize>) {
        let rng = &mut self.rng;
        self.network
            .servers_vanish(|server| which.is_none_or(|which| which == server), |sent| rng.usize(..=sent));
        self.network.sweep();
    }

    fn start_server(&mut self) -> Check {
        let mut watch = Watch { step: self.step, auditor: &mut self.auditor, trace: &mut self.trace };
        self.machine.start(&mut watch)
    }
}
