//! Passwords: hashed and verified with argon2id away from the async threads, a few at a time, when nothing else wants the
//! processor.
//!
//! Whoever is known has a lane of his own: strangers who wait for theirs do not delay him.
//!
//! An unknown user costs what a wrong password costs, so that the time of a refusal does not tell which it was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// The nice value of a thread that runs when no other wants to.
#[cfg(target_os = "linux")]
const LEAST_PRIORITY: i32 = 19;

/// What one hash costs. The default is the OWASP Password Storage Cheat Sheet's: 19 MiB, 2 passes, 1 lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for PasswordCost {
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2, lanes: 1 }
    }
}

/// How passwords are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordOptions {
    /// What a new hash costs.
    pub cost: PasswordCost,
    /// Most hashes computed at once in each of the two [lanes](Lane), each on a thread of its own.
    pub at_once_max: usize,
    /// Most requests that may wait in a lane; one more is told [`PasswordError::Overloaded`].
    pub waiting_max: usize,
}

impl PasswordOptions {
    /// The most memory that all hashing together takes, in bytes.
    pub fn bytes_max(&self) -> usize {
        let one = usize::try_from(self.cost.memory_kib).unwrap_or(usize::MAX).saturating_mul(1 << 10);
        one.saturating_mul(self.at_once_max).saturating_mul(Lane::COUNT)
    }
}

/// Where a password waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// For whoever has logged in from there before, and for administrators.
    Known,
    /// For everybody else.
    Strangers,
}

impl Lane {
    const COUNT: usize = 2;
}

impl Default for PasswordOptions {
    fn default() -> Self {
        Self { cost: PasswordCost::default(), at_once_max: 1, waiting_max: 64 }
    }
}

/// Why a password could not be worked on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Too many wait already. Nothing was done.
    #[error("too many passwords wait to be verified: try again")]
    Overloaded,
    /// The cost is out of argon2's bounds, a stored hash is none of argon2's, or the system has no memory or
    /// randomness to give.
    #[error("the password cannot be hashed or verified: {0}")]
    Failed(String),
}

/// Hashes and verifies passwords. Cheap to clone; clones share the bounds.
#[derive(Clone, Debug)]
pub struct Passwords {
    hasher: Hasher,
    /// Stands in for the hash of a user that does not exist. No password fits it: its output is random.
    nobody: Arc<str>,
    known: Places,
    strangers: Places,
}

/// The places of one lane.
#[derive(Clone, Debug)]
struct Places {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Places {
    fn new(options: PasswordOptions) -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(options.at_once_max.saturating_add(options.waiting_max))),
            running: Arc::new(Semaphore::new(options.at_once_max)),
        }
    }
}

impl Passwords {
    /// Passwords under these bounds.
    pub fn new(options: PasswordOptions) -> Result<Self, PasswordError> {
        let PasswordCost { memory_kib, passes, lanes } = options.cost;
        let params = Params::new(memory_kib, passes, lanes, None).map_err(failed)?;
        let hasher = Hasher { params, workspaces: Arc::default() };
        let nobody = hasher.phc(&random::<16>()?, Output::new(&random::<32>()?).map_err(failed)?)?.into();
        let (known, strangers) = (Places::new(options), Places::new(options));
        Ok(Self { hasher, nobody, known, strangers })
    }

    /// The hash of a password, as a PHC string. Whoever may add users is known.
    pub async fn hash(&self, password: Zeroizing<Vec<u8>>) -> Result<Box<str>, PasswordError> {
        let hasher = self.hasher.clone();
        let work = move || {
            let salt = random::<16>()?;
            let output = hasher.output(&hasher.params, &password, &salt)?;
            Ok(hasher.phc(&salt, output)?.into())
        };
        let (hash, _) = self.turn(Lane::Known).await?.run(work).await?;
        Ok(hash)
    }

    /// Whether the password is the one of this hash; with no hash, no, at the same cost.
    pub async fn verify(
        &self,
        password: Zeroizing<Vec<u8>>,
        hash: Option<Box<str>>,
        lane: Lane,
    ) -> Result<bool, PasswordError> {
        let (fits, _) = self.turn(lane).await?.verify(password, hash).await?;
        Ok(fits)
    }

    /// Waits until one more may be worked on: for whoever wants to look once more whether it is still worth it.
    pub(crate) async fn turn(&self, lane: Lane) -> Result<Turn, PasswordError> {
        let Places { admitted, running } = match lane {
            Lane::Known => &self.known,
            Lane::Strangers => &self.strangers,
        };
        let admitted = Arc::clone(admitted).try_acquire_owned().map_err(|_| PasswordError::Overloaded)?;
        let running = Arc::clone(running).acquire_owned().await.map_err(failed)?;
        let (hasher, nobody) = (self.hasher.clone(), Arc::clone(&self.nobody));
        Ok(Turn { hasher, nobody, place: Place([admitted, running]) })
    }
}

/// A place among the few that are worked on at once.
#[derive(Debug)]
pub(crate) struct Turn {
    hasher: Hasher,
    nobody: Arc<str>,
    place: Place,
}

/// Held until the next one may be worked on.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "held, not read")] [OwnedSemaphorePermit; 2]);

impl Turn {
    /// As [`Passwords::verify`]. The place is the caller's, who may want to make something of the answer before the next
    /// one is looked at.
    pub(crate) async fn verify(
        self,
        password: Zeroizing<Vec<u8>>,
        hash: Option<Box<str>>,
    ) -> Result<(bool, Place), PasswordError> {
        let (hasher, nobody) = (self.hasher.clone(), Arc::clone(&self.nobody));
        let work = move || hasher.fits(&password, hash.as_deref().unwrap_or(&nobody));
        self.run(work).await
    }

    /// Does the work on a thread of its own, which does not come back: a thread that gave way cannot ask for its old place
    /// among the others again, and the runtime's threads are not ours to hold back.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<(T, Place), PasswordError> {
        // The place goes with the work: a client that hangs up does not free one that is still computing.
        let place = self.place;
        let work = move || {
            give_way();
            work().map(|result| (result, place))
        };
        let aside = move || {
            let thread = thread::Builder::new().name("password".to_owned()).spawn(work).map_err(failed)?;
            thread.join().map_err(|_| failed("a bug ended the thread that worked on it"))?
        };
        // This one only waits.
        tokio::task::spawn_blocking(aside).await.map_err(failed)?
    }
}

/// Lets every other thread run first. Hashing takes a core for as long as a hundred purchases do.
fn give_way() {
    // On Linux a nice value is a thread's; elsewhere it would be the process's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, LEAST_PRIORITY) {
        tracing::debug!("passwords are hashed at the priority of everything else: {error}");
    }
}

/// Argon2id at one cost, with memory that is kept from one hash to the next. Given back each time, so large and so
/// aligned a piece is not always found again by the allocator (glibc before 2.38): every hash would add its own.
#[derive(Clone, Debug)]
struct Hasher {
    params: Params,
    /// As many as were used at once.
    workspaces: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Hasher {
    fn output(&self, params: &Params, password: &[u8], salt: &[u8]) -> Result<Output, PasswordError> {
        let mut buffer = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = buffer.get_mut(..length).ok_or_else(|| failed("the hash is too long"))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let mut blocks = self.workspaces().pop().unwrap_or_default();
        blocks.resize(params.block_count(), Block::new());
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks);
        // A stored hash may have been made at another cost.
        if blocks.len() == self.params.block_count() {
            self.workspaces().push(blocks);
        }
        hashed.map_err(failed)?;
        Output::new(output).map_err(failed)
    }

    /// Whether the password is the one of this hash, a PHC string.
    fn fits(&self, password: &[u8], hash: &str) -> Result<bool, PasswordError> {
        let hash = PasswordHash::new(hash).map_err(failed)?;
        let is_argon2id = hash.algorithm == Algorithm::Argon2id.ident();
        let is_this_version = hash.version == Some(Version::V0x13.into());
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
            return Err(failed("the stored hash has no salt or no output"));
        };
        if !is_argon2id || !is_this_version {
            return Err(failed("the stored hash is not of argon2id version 19"));
        }
        let params = Params::try_from(&hash).map_err(failed)?;
        // Compared in constant time.
        Ok(self.output(&params, password, salt)? == *expected)
    }

    fn phc(&self, salt: &[u8], output: Output) -> Result<String, PasswordError> {
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&self.params).map_err(failed)?,
            salt: Some(Salt::new(salt).map_err(failed)?),
            hash: Some(output),
        };
        Ok(hash.to_string())
    }

    fn workspaces(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], PasswordError> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(failed)?;
    Ok(random)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes by value")]
fn failed(error: impl ToString) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    const CHEAP: PasswordOptions = PasswordOptions {
        cost: PasswordCost { memory_kib: 8, passes: 1, lanes: 1 },
        at_once_max: 2,
        waiting_max: 1,
    };

    fn secret(text: &str) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(text.into())
    }

    #[tokio::test]
    async fn only_the_right_password_fits_its_hash() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let hash = passwords.hash(secret("sesame")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(passwords.verify(secret("sesame"), Some(hash.clone()), Lane::Known).await.unwrap());
        assert!(!passwords.verify(secret("simsim"), Some(hash), Lane::Strangers).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_made_in_used_memory_or_by_another_program_fits() {
        let passwords = Passwords::new(CHEAP).unwrap();
        for number in 0..20 {
            let password = format!("sesame {number}");
            let hash = passwords.hash(secret(&password)).await.unwrap();
            Argon2::default().verify_password(password.as_bytes(), &*hash).unwrap();
            assert!(passwords.verify(secret(&password), Some(hash), Lane::Strangers).await.unwrap());
        }
        assert_eq!(passwords.hasher.workspaces().len(), 1, "one at a time, in the same memory");
        let salt = b"salt of another";
        let hash = Argon2::default().hash_password_with_salt(b"sesame", salt).unwrap();
        assert!(
            passwords.verify(secret("sesame"), Some(hash.to_string().into()), Lane::Known).await.unwrap()
        );
    }

    #[tokio::test]
    async fn no_password_fits_nobody() {
        let passwords = Passwords::new(CHEAP).unwrap();
        assert!(passwords.nobody.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", passwords.nobody);
        assert!(!passwords.verify(secret(""), None, Lane::Strangers).await.unwrap());
    }

    #[tokio::test]
    async fn a_damaged_hash_is_a_failure_and_no_wrong_password() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let verified = passwords.verify(secret("sesame"), Some("sesame".into()), Lane::Known).await;
        assert!(matches!(verified, Err(PasswordError::Failed(_))), "{verified:?}");
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_so_at_once_and_the_known_do_not_wait_for_strangers() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let hash = passwords.hash(secret("sesame")).await.unwrap();
        let _all_places = passwords.strangers.admitted.clone().try_acquire_many_owned(3).unwrap();
        let verify = async |lane| passwords.verify(secret("sesame"), Some(hash.clone()), lane).await;
        assert_eq!(verify(Lane::Strangers).await, Err(PasswordError::Overloaded));
        assert_eq!(verify(Lane::Known).await, Ok(true));
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn passwords_are_worked_on_when_nobody_else_wants_the_processor() {
        let turn = Passwords::new(CHEAP).unwrap().turn(Lane::Known).await.unwrap();
        let nice = || rustix::process::getpriority_process(None).map_err(failed);
        assert_eq!(turn.run(nice).await.unwrap().0, LEAST_PRIORITY);
        assert!(nice().unwrap() < LEAST_PRIORITY, "the others are not");
    }
}
