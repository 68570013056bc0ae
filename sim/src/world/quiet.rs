//! The quiet end of a run: nothing goes wrong any more, every order gets its outcome, and the books must agree.

use inventory_core::Refusal;
use inventory_core::state::State;
use inventory_net::message::ReplyBody;

use super::World;
use crate::auditor::{Check, Violation, ensure};
use crate::client::Client;
use crate::node::Node;

/// Rounds in which the quiet end must settle everything.
const QUIET_ROUNDS_MAX: u32 = 400;
/// How long a round takes: orders from the future must come of age.
const QUIET_ROUND_US: u64 = 2_000_000;

impl World {
    /// The power fails once more; then nothing goes wrong, and every order gets its outcome.
    pub(super) fn quiet_end(&mut self) -> Check {
        self.closing = true;
        self.machine.heal();
        self.lose_power()?;
        for _ in 0..QUIET_ROUNDS_MAX {
            if self.clients.iter().all(Client::is_settled) {
                return self.final_checks();
            }
            self.quiet_round()?;
        }
        let open: Vec<_> = self.clients.iter().flat_map(Client::open_orders).collect();
        Err(Violation(format!("although nothing goes wrong any more these orders get no outcome: {open:?}")))
    }

    fn quiet_round(&mut self) -> Check {
        self.step += 1;
        self.pass_time(QUIET_ROUND_US);
        self.catch_up()?;
        if self.is_ill() {
            self.end_ill_server()?;
        }
        // One after the other: clients in step with each other could turn each other away from a small inbox for ever.
        for client in 0..self.clients.len() {
            self.act(client);
            for id in self.network.ids() {
                self.deliver_on(id, true);
            }
            self.write_all()?;
            self.deliver_to_client(client)?;
        }
        Ok(())
    }

    fn final_checks(&mut self) -> Check {
        self.check_holdings()?;
        self.catch_up()?;
        let states = self.machine.nodes.iter().filter_map(Node::durable_state);
        let state = states.max_by_key(|state| state.version());
        let digest = state.map(State::digest);
        let replayed = self.auditor.replayed_digest()?;
        ensure(digest == Some(replayed), || {
            format!("the state's digest is {digest:?}, that of its events {replayed}")
        })?;
        self.restart()
    }

    /// What clients know they have bought is what was sold to them.
    fn check_holdings(&self) -> Check {
        let intents = || self.clients.iter().flat_map(|client| &client.intents);
        for (key, reply) in self.auditor.outcomes() {
            let known = intents().filter(|intent| intent.order.key() == key).any(|intent| {
                matches!(
                    intent.outcome,
                    Some(ReplyBody::Refused(Refusal::KeyTooOld | Refusal::OutcomeNotKept))
                ) || intent.outcome.as_ref() == Some(reply)
            });
            ensure(known, || format!("order {key} ended as {reply:?}, and its client does not know"))?;
        }
        Ok(())
    }
}
