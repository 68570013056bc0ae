//! Slows down whoever guesses passwords, by account and by address, and locks nobody out for long.
//!
//! A wrong password counts against the account that was named, whether there is one or not, and against the address it
//! came from. A few are free; after that each one starts a pause, twice as long each time up to a bound, in which no
//! password of that account or from that address is looked at. What is not looked at does not count: a pause ends by
//! itself, whatever is tried meanwhile, and failures are forgotten one by one.
//!
//! An attack on an account must not keep its owner out. So an account and an address that fitted together once are
//! familiar: their failures count for the two together and for nothing else, and other pauses do not hold for them.
//! Sessions that exist are not touched at all. An owner who comes from somewhere new waits only a little for what others did
//! elsewhere: for an address without a wrong password on record, an account's pause is a short one.
//!
//! Memory is fixed. Failures are counted in count-min sketches under a key that nobody outside knows: a counter is never
//! pushed out by others, and two names that share one, in both of its rows, can only be slowed down together.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::{ACCOUNT_GUESSES_FREE, ADDRESS_GUESSES_FREE, GUESS_PAUSE_US_MAX, NEWCOMER_PAUSE_US_MAX};

/// Counters in each row of a sketch.
const COLUMNS: usize = 1 << 13;
/// Rows of a sketch.
const ROWS: usize = 2;
/// Familiar pairs that are remembered; a new one may take the place of one other.
const FAMILIAR_MAX: usize = 1 << 14;

/// How wrong passwords are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuessingOptions {
    /// Wrong passwords for one account after which the first pause begins.
    pub account_free: u32,
    /// Wrong passwords from one address after which the first pause begins.
    pub address_free: u32,
    /// The first pause, in microseconds.
    pub pause_us_min: u64,
    /// The longest pause, in microseconds.
    pub pause_us_max: u64,
    /// The longest pause that an account has for an address without a wrong password on record, in microseconds.
    pub newcomer_pause_us_max: u64,
    /// In this time without a failure one is forgotten, in microseconds. Longer than the longest pause, or patient
    /// guessing would get ahead of it.
    pub forget_us: u64,
}

impl Default for GuessingOptions {
    fn default() -> Self {
        Self {
            account_free: ACCOUNT_GUESSES_FREE,
            address_free: ADDRESS_GUESSES_FREE,
            pause_us_min: 1_000_000,
            pause_us_max: GUESS_PAUSE_US_MAX,
            newcomer_pause_us_max: NEWCOMER_PAUSE_US_MAX,
            forget_us: 60 * 1_000_000,
        }
    }
}

/// What wrong passwords there were lately. Times are monotonic, in microseconds, from any one origin.
#[derive(Debug)]
pub(super) struct Guessing {
    options: GuessingOptions,
    hasher: RandomState,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    accounts: Sketch,
    addresses: Sketch,
    /// Familiar pairs only.
    pairs: Sketch,
    familiar: Box<[u64]>,
}

/// Somebody who says a password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    account: u64,
    address: u64,
    pair: u64,
}

impl Guessing {
    pub(super) fn new(options: GuessingOptions) -> Self {
        let memory = Memory {
            accounts: Sketch::new(),
            addresses: Sketch::new(),
            pairs: Sketch::new(),
            familiar: vec![0; FAMILIAR_MAX].into(),
        };
        Self { options, hasher: RandomState::new(), memory: Mutex::new(memory) }
    }

    /// Somebody at this address who says a password for this account.
    pub(super) fn guess(&self, account: &str, address: &str) -> Guess {
        Guess {
            account: self.hasher.hash_one((0u8, account)),
            address: self.hasher.hash_one((1u8, address)),
            pair: self.hasher.hash_one((2u8, account, address)),
        }
    }

    /// How long the password must not be looked at, in microseconds; zero if it may be.
    pub(super) fn pause_us(&self, guess: Guess, now_us: u64) -> u64 {
        let Guess { account, address, pair } = guess;
        let GuessingOptions { account_free, address_free, .. } = self.options;
        let memory = self.memory();
        if memory.is_familiar(pair) {
            return memory.pairs.pause_us(pair, account_free, &self.options, now_us);
        }
        let of_address = memory.addresses.pause_us(address, address_free, &self.options, now_us);
        let has_erred = memory.addresses.left(address, &self.options, now_us) > 0;
        let pause_us_max =
            if has_erred { self.options.pause_us_max } else { self.options.newcomer_pause_us_max };
        let options = GuessingOptions { pause_us_max, ..self.options };
        memory.accounts.pause_us(account, account_free, &options, now_us).max(of_address)
    }

    /// Whether this account and this address fitted together before.
    pub(super) fn is_familiar(&self, guess: Guess) -> bool {
        self.memory().is_familiar(guess.pair)
    }

    /// The password was wrong.
    pub(super) fn failed(&self, guess: Guess, now_us: u64) {
        let Guess { account, address, pair } = guess;
        let GuessingOptions { account_free, address_free, .. } = self.options;
        let mut memory = self.memory();
        if memory.is_familiar(pair) {
            return memory.pairs.count(pair, account_free, &self.options, now_us);
        }
        memory.accounts.count(account, account_free, &self.options, now_us);
        memory.addresses.count(address, address_free, &self.options, now_us);
    }

    /// The password, or the token of a session, was right: account and address are familiar from now on. Failures stay counted, so that nobody
    /// wipes those of an address by logging in to an account of his own.
    pub(super) fn succeeded(&self, guess: Guess) {
        let mut memory = self.memory();
        if let Some(place) = memory.familiar.get_mut(place_in(FAMILIAR_MAX, guess.pair)) {
            *place = guess.pair;
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Each change is whole: whoever panicked meanwhile left nothing half done.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn is_familiar(&self, pair: u64) -> bool {
        self.familiar.get(place_in(FAMILIAR_MAX, pair)) == Some(&pair)
    }
}

/// Failures by a hash. Each counts in one counter of every row, and the least of them is right or too high.
#[derive(Debug)]
struct Sketch {
    rows: [Box<[Failures]>; ROWS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_us: u64,
}

impl Sketch {
    fn new() -> Self {
        Self { rows: std::array::from_fn(|_| vec![Failures::default(); COLUMNS].into()) }
    }

    fn pause_us(&self, of: u64, free: u32, options: &GuessingOptions, now_us: u64) -> u64 {
        self.counters(of).map(|failures| failures.pause_us(free, options, now_us)).min().unwrap_or(0)
    }

    fn left(&self, of: u64, options: &GuessingOptions, now_us: u64) -> u32 {
        self.counters(of).map(|failures| failures.left(options, now_us)).min().unwrap_or(0)
    }

    fn counters(&self, of: u64) -> impl Iterator<Item = &Failures> {
        self.rows.iter().zip(columns(of)).filter_map(|(row, column)| row.get(column))
    }

    fn count(&mut self, of: u64, free: u32, options: &GuessingOptions, now_us: u64) {
        for (row, column) in self.rows.iter_mut().zip(columns(of)) {
            if let Some(failures) = row.get_mut(column) {
                failures.count(free, options, now_us);
            }
        }
    }
}

/// One column in each row, from different bits of the hash.
fn columns(of: u64) -> [usize; ROWS] {
    [place_in(COLUMNS, of), place_in(COLUMNS, of.rotate_left(32))]
}

/// A place in a table of this size, a power of two below 2^32.
fn place_in(size: usize, hash: u64) -> usize {
    usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) % size
}

impl Failures {
    fn count(&mut self, free: u32, options: &GuessingOptions, now_us: u64) {
        let left = self.left(options, now_us);
        // Beyond the longest pause more failures would only take longer to forget.
        let is_longest = pause_after(left, free, options) >= options.pause_us_max;
        self.count = if is_longest { left } else { left.saturating_add(1) };
        self.last_us = now_us;
    }

    /// Those that are not forgotten.
    fn left(&self, options: &GuessingOptions, now_us: u64) -> u32 {
        let forgotten = now_us.saturating_sub(self.last_us) / options.forget_us.max(1);
        self.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }

    fn pause_us(&self, free: u32, options: &GuessingOptions, now_us: u64) -> u64 {
        let ends_us = self.last_us.saturating_add(pause_after(self.left(options, now_us), free, options));
        ends_us.saturating_sub(now_us)
    }
}

/// The pause after the last of so many failures.
fn pause_after(failures: u32, free: u32, options: &GuessingOptions) -> u64 {
    match failures.checked_sub(free.max(1)) {
        None => 0,
        Some(doubled) => {
            let pause = 1u64.checked_shl(doubled).and_then(|times| options.pause_us_min.checked_mul(times));
            pause.map_or(options.pause_us_max, |pause| pause.min(options.pause_us_max))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn guessing() -> Guessing {
        Guessing::new(GuessingOptions::default())
    }

    /// Guesses as soon as it may, so many times; gives when the last one failed.
    fn fails(guessing: &Guessing, guess: Guess, times: u32, mut now_us: u64) -> u64 {
        for _ in 0..times {
            now_us += guessing.pause_us(guess, now_us);
            assert_eq!(guessing.pause_us(guess, now_us), 0, "a pause ends by itself");
            guessing.failed(guess, now_us);
        }
        now_us
    }

    #[test]
    fn a_few_wrong_passwords_are_free_and_then_pauses_double_up_to_a_bound() {
        let guessing = guessing();
        let alice = guessing.guess("alice", "10.0.0.1");
        assert_eq!(fails(&guessing, alice, 4, 0), 0);
        let mut now_us = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            guessing.failed(alice, now_us);
            pauses.push(guessing.pause_us(alice, now_us) / SECOND);
            now_us += guessing.pause_us(alice, now_us);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn an_account_is_guessed_at_from_many_addresses_hardly_faster() {
        let guessing = guessing();
        let mut now_us = 0;
        for address in 0..100 {
            let guess = guessing.guess("alice", &format!("10.0.0.{address}"));
            now_us = fails(&guessing, guess, 1, now_us);
        }
        assert!(now_us > 7 * 60 * SECOND, "{now_us}");
    }

    #[test]
    fn an_owner_who_comes_from_somewhere_new_waits_a_moment_for_an_attack_that_never_ends() {
        let guessing = guessing();
        let mut now_us = 0;
        for attacker in (0..10).cycle().take(300) {
            let attacker = guessing.guess("alice", &format!("10.6.6.{attacker}"));
            now_us = fails(&guessing, attacker, 1, now_us);
            assert!(guessing.pause_us(guessing.guess("alice", "10.0.0.1"), now_us) <= 5 * SECOND);
        }
        // And one mistake makes it one of the others.
        let owner = guessing.guess("alice", "10.0.0.1");
        guessing.failed(owner, now_us + 5 * SECOND);
        assert!(guessing.pause_us(owner, now_us + 5 * SECOND) > 29 * SECOND);
    }

    #[test]
    fn one_address_guesses_at_many_accounts_no_faster() {
        let guessing = guessing();
        let mut now_us = 0;
        for account in 0..40 {
            let guess = guessing.guess(&format!("user-{account}"), "10.0.0.1");
            now_us = fails(&guessing, guess, 1, now_us);
        }
        assert!(now_us > 5 * 60 * SECOND, "{now_us}");
    }

    #[test]
    fn whoever_logged_in_from_there_before_is_not_kept_out_by_an_attack_from_elsewhere_or_next_door() {
        let guessing = guessing();
        let home = guessing.guess("alice", "10.0.0.1");
        guessing.succeeded(home);
        let elsewhere = guessing.guess("alice", "10.6.6.6");
        let next_door = guessing.guess("bob", "10.0.0.1");
        let mut now_us = 0;
        for attacker in [elsewhere, next_door] {
            now_us = fails(&guessing, attacker, 30, now_us);
            assert!(guessing.pause_us(attacker, now_us) > 0);
            assert_eq!(guessing.pause_us(home, now_us), 0);
        }
    }

    #[test]
    fn guessing_from_a_familiar_address_is_slowed_down_too_and_only_there() {
        let guessing = guessing();
        let home = guessing.guess("alice", "10.0.0.1");
        guessing.succeeded(home);
        let now_us = fails(&guessing, home, 30, 0);
        assert!(guessing.pause_us(home, now_us) > 29 * SECOND);
        for (account, address) in [("alice", "10.0.0.2"), ("bob", "10.0.0.1")] {
            assert_eq!(guessing.pause_us(guessing.guess(account, address), now_us), 0);
        }
    }

    #[test]
    fn a_login_of_ones_own_does_not_wipe_what_the_address_did() {
        let guessing = guessing();
        let mallory = guessing.guess("mallory", "10.6.6.6");
        let mut now_us = 0;
        for account in 0..20 {
            let guess = guessing.guess(&format!("user-{account}"), "10.6.6.6");
            now_us = fails(&guessing, guess, 1, now_us);
        }
        guessing.succeeded(mallory);
        assert!(guessing.pause_us(guessing.guess("alice", "10.6.6.6"), now_us) > 0);
    }

    #[test]
    fn no_pause_outlasts_its_bound_and_all_is_forgotten_in_time() {
        let guessing = guessing();
        let alice = guessing.guess("alice", "10.6.6.6");
        let now_us = fails(&guessing, alice, 1_000, 0);
        assert_eq!(guessing.pause_us(alice, now_us), GUESS_PAUSE_US_MAX);
        assert_eq!(guessing.pause_us(alice, now_us + GUESS_PAUSE_US_MAX), 0);
        // As many failures as the longest pause takes from an address are left, however many there were.
        let later_us = now_us + 26 * 60 * SECOND;
        assert_eq!(fails(&guessing, alice, 4, later_us), later_us);
        assert_eq!(guessing.pause_us(alice, later_us), 0);
    }

    #[test]
    fn guesses_at_other_names_do_not_wear_a_pause_away() {
        let guessing = guessing();
        let alice = guessing.guess("alice", "10.6.6.6");
        let now_us = fails(&guessing, alice, 30, 0);
        for number in 0..100_000 {
            guessing.failed(guessing.guess(&number.to_string(), &number.to_string()), now_us);
        }
        assert!(guessing.pause_us(alice, now_us) > 29 * SECOND);
    }
}
