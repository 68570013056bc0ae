//! Passwords: hashed and verified with argon2id away from the async threads, a few at a time.
//!
//! An unknown user costs what a wrong password costs, so that the time of a refusal does not tell which it was.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

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
    /// Most hashes computed at once, each on a thread of its own.
    pub at_once_max: usize,
    /// Most requests that may wait for one of them; one more is told [`PasswordError::Overloaded`].
    pub waiting_max: usize,
}

impl Default for PasswordOptions {
    fn default() -> Self {
        Self { cost: PasswordCost::default(), at_once_max: 2, waiting_max: 64 }
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
    argon2: Argon2<'static>,
    /// Stands in for the hash of a user that does not exist. No password fits it: its output is random.
    nobody: Arc<str>,
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Passwords {
    /// Passwords under these bounds.
    pub fn new(options: PasswordOptions) -> Result<Self, PasswordError> {
        let PasswordCost { memory_kib, passes, lanes } = options.cost;
        let params = Params::new(memory_kib, passes, lanes, None).map_err(failed)?;
        let nobody = hash_of_nobody(&params)?.into();
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobody,
            admitted: Arc::new(Semaphore::new(options.at_once_max.saturating_add(options.waiting_max))),
            running: Arc::new(Semaphore::new(options.at_once_max)),
        })
    }

    /// The hash of a password, as a PHC string.
    pub async fn hash(&self, password: Zeroizing<Vec<u8>>) -> Result<Box<str>, PasswordError> {
        let argon2 = self.argon2.clone();
        let work = move || {
            let hash = argon2.hash_password(&password).map_err(failed)?;
            Ok(hash.to_string().into())
        };
        let (hash, _) = self.turn().await?.run(work).await?;
        Ok(hash)
    }

    /// Whether the password is the one of this hash; with no hash, no, at the same cost.
    pub async fn verify(
        &self,
        password: Zeroizing<Vec<u8>>,
        hash: Option<Box<str>>,
    ) -> Result<bool, PasswordError> {
        let (fits, _) = self.turn().await?.verify(password, hash).await?;
        Ok(fits)
    }

    /// Waits until one more may be worked on: for whoever wants to look once more whether it is still worth it.
    pub(crate) async fn turn(&self) -> Result<Turn, PasswordError> {
        let admitted =
            Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| PasswordError::Overloaded)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(failed)?;
        let (argon2, nobody) = (self.argon2.clone(), Arc::clone(&self.nobody));
        Ok(Turn { argon2, nobody, place: Place([admitted, running]) })
    }
}

/// A place among the few that are worked on at once.
#[derive(Debug)]
pub(crate) struct Turn {
    argon2: Argon2<'static>,
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
        let argon2 = self.argon2.clone();
        let nobody = Arc::clone(&self.nobody);
        let work = move || {
            let hash = PasswordHash::new(hash.as_deref().unwrap_or(&nobody)).map_err(failed)?;
            match argon2.verify_password(&password, &hash) {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(failed(error)),
            }
        };
        self.run(work).await
    }

    /// Does the work on a thread of its own.
    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<(T, Place), PasswordError> {
        // The place goes with the work: a client that hangs up does not free one that is still computing.
        let place = self.place;
        let work = move || work().map(|result| (result, place));
        tokio::task::spawn_blocking(work).await.map_err(failed)?
    }
}

fn hash_of_nobody(params: &Params) -> Result<String, PasswordError> {
    let (mut salt, mut output) = ([0; 16], [0; 32]);
    getrandom::fill(&mut salt).map_err(failed)?;
    getrandom::fill(&mut output).map_err(failed)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(failed)?),
        hash: Some(Output::new(&output).map_err(failed)?),
    };
    Ok(hash.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "map_err passes by value")]
fn failed(error: impl ToString) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
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
        assert!(passwords.verify(secret("sesame"), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify(secret("simsim"), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn no_password_fits_nobody() {
        let passwords = Passwords::new(CHEAP).unwrap();
        assert!(passwords.nobody.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", passwords.nobody);
        assert!(!passwords.verify(secret(""), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_damaged_hash_is_a_failure_and_no_wrong_password() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let verified = passwords.verify(secret("sesame"), Some("sesame".into())).await;
        assert!(matches!(verified, Err(PasswordError::Failed(_))), "{verified:?}");
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_so_at_once() {
        let passwords = Passwords::new(CHEAP).unwrap();
        let _all_places = passwords.admitted.clone().try_acquire_many_owned(3).unwrap();
        assert_eq!(passwords.hash(secret("sesame")).await, Err(PasswordError::Overloaded));
    }
}
