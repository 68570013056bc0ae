//! What the clients were told: one outcome for each key, and the same one however often they ask.

use std::collections::BTreeMap;
use std::sync::Mutex;

use inventory_core::{OrderKey, Receipt, Refusal, ReturnReceipt};
use inventory_net::client::{AnyReceipt, ClientError};

use crate::random::Random;

/// How an order or return ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Bought(Receipt),
    Returned(Box<ReturnReceipt>),
    Refused(Refusal),
}

impl Outcome {
    /// What an answer says about an order or return; none if that has to be sent again.
    pub(crate) fn of(answer: Result<AnyReceipt, ClientError>) -> Option<Self> {
        use Refusal::{ExceedsPurchase, InsufficientStock};
        match answer {
            Err(ClientError::Refused(refusal @ (InsufficientStock { .. } | ExceedsPurchase { .. }))) => {
                Some(Self::Refused(refusal))
            }
            answer => Some(match unless_killed(answer)? {
                AnyReceipt::Order(receipt) => Self::Bought(receipt),
                AnyReceipt::Return(receipt) => Self::Returned(receipt),
                other => panic!("an answer to nothing that was asked: {other:?}"),
            }),
        }
    }
}

/// What was answered; none if the request has to be sent again.
pub(crate) fn unless_killed<T>(answer: Result<T, ClientError>) -> Option<T> {
    match answer {
        Ok(told) => Some(told),
        Err(ClientError::Unreachable { .. } | ClientError::OutcomeUnknown { .. }) => None,
        Err(ClientError::Unavailable(reason)) if reason.nothing_was_done() => None,
        // A session that was acknowledged and is gone, a key that is no longer known, a journal that failed:
        // none of it may come of a kill.
        Err(error) => panic!("an answer that no kill explains: {error:?}"),
    }
}

/// The outcomes that any client was told, in the order in which they were first told.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_key: BTreeMap<OrderKey, Outcome>,
    in_order: Vec<OrderKey>,
}

impl Outcomes {
    /// Takes in what a client was told. It must be what was told before.
    pub(crate) fn told(&self, key: OrderKey, outcome: Outcome) {
        let mut known = self.known.lock().unwrap();
        if let Some(before) = known.by_key.get(&key) {
            assert_eq!(*before, outcome, "two outcomes of order {key}");
            return;
        }
        known.by_key.insert(key, outcome);
        known.in_order.push(key);
    }

    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap().in_order.len()
    }

    /// One of those told so far.
    pub(crate) fn any(&self, random: &mut Random) -> Option<OrderKey> {
        let known = self.known.lock().unwrap();
        let count = u64::try_from(known.in_order.len()).unwrap();
        (count > 0).then(|| known.in_order[usize::try_from(random.below(count)).unwrap()])
    }

    /// A purchase of this user's that was told, if there is one among a few.
    pub(crate) fn any_bought_by(&self, user: &str, random: &mut Random) -> Option<Receipt> {
        (0..20).find_map(|_| {
            let key = self.any(random)?;
            match self.known.lock().unwrap().by_key.get(&key) {
                Some(Outcome::Bought(receipt)) if *receipt.user == *user => Some(receipt.clone()),
                _ => None,
            }
        })
    }

    /// Those told last, at most so many.
    pub(crate) fn latest(&self, count: usize) -> Vec<(OrderKey, Outcome)> {
        let known = self.known.lock().unwrap();
        let keys = known.in_order.iter().rev().take(count);
        keys.map(|key| (*key, known.by_key[key].clone())).collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<OrderKey, Outcome> {
        self.known.lock().unwrap().by_key.clone()
    }
}
