//! Logging in and adding users: what needs a password, and so a place among the few that are hashed at once.

use inventory_core::{Actor, Answer, Command, Identity, Query, Refusal, Reply, Role};
use zeroize::Zeroizing;

use super::Shared;
use super::guessing::Guess;
use crate::message::{Password, ReplyBody, Token, Unavailable};
use crate::outbox::Outcome;
use crate::password::{Lane, PasswordError};

impl Shared {
    /// Starts a session.
    pub(super) async fn log_in(
        &self,
        actor: Actor,
        origin: &str,
        name: Box<str>,
        password: Password,
    ) -> Outcome {
        match self.try_log_in(actor, origin, name, password).await {
            Ok((token, identity)) => Outcome::LoggedIn(token, identity),
            Err(body) => Outcome::Other(body),
        }
    }

    /// Makes a session that exists the connection's.
    pub(super) async fn resume(&self, actor: Actor, origin: &str, token: Token) -> Outcome {
        match self.try_resume(actor, origin, &token).await {
            Ok(identity) => Outcome::Resumed(token.session(), identity),
            Err(body) => Outcome::Other(body),
        }
    }

    /// Adds a user.
    pub(super) async fn add_user(
        &self,
        actor: Actor,
        name: Box<str>,
        password: Password,
        role: Role,
    ) -> Outcome {
        match self.try_add_user(actor, name, password, role).await {
            Ok(reply) => Outcome::Engine(reply),
            Err(body) => Outcome::Other(body),
        }
    }

    /// Whoever is unknown waits as long, and is told the same, as whoever errs in the password.
    async fn try_log_in(
        &self,
        actor: Actor,
        origin: &str,
        name: Box<str>,
        password: Password,
    ) -> Result<(Token, Identity), ReplyBody> {
        self.expect_no_session(actor).await?;
        let guess = self.guessing.guess(&name, origin);
        self.check_pause(guess)?;
        let credential = match self.service.call(Actor::System, Query::Credential { name }).await {
            Reply::Answered(Answer::Credential(credential)) => credential,
            reply => return Err(not_done(reply)),
        };
        // A user without a password hash cannot log in.
        let hash = credential.as_ref().map(|found| found.password_hash.clone());
        let hash = hash.filter(|hash| !hash.is_empty());
        let turn = self.passwords.turn(self.lane(guess)).await.map_err(|error| unavailable(&error))?;
        // Those who waited together have not seen each other fail.
        self.check_pause(guess)?;
        // The place is held until a failure is counted.
        let (fits, place) =
            turn.verify(secret(&password), hash).await.map_err(|error| unavailable(&error))?;
        let Some(user) = credential.filter(|_| fits).map(|found| found.user) else {
            self.guessing.failed(guess, self.now_us());
            return Err(ReplyBody::Refused(Refusal::BadCredentials));
        };
        drop(place);
        self.guessing.succeeded(guess);
        let token = Token::generate().map_err(|error| {
            tracing::error!("no session can be started, the system gives no random bits: {error}");
            ReplyBody::Unavailable(Unavailable::Overloaded)
        })?;
        let command = Command::LogIn { user, session: token.session() };
        match self.service.call(Actor::System, command).await {
            Reply::Answered(Answer::Identity(identity)) => Ok((token, identity)),
            reply => Err(not_done(reply)),
        }
    }

    /// A token is proof enough that its user was here before: also after a restart, which forgets who was familiar.
    async fn try_resume(&self, actor: Actor, origin: &str, token: &Token) -> Result<Identity, ReplyBody> {
        self.expect_no_session(actor).await?;
        let identity = self.identity(Actor::Session(token.session())).await?;
        self.guessing.succeeded(self.guessing.guess(&identity.name, origin));
        Ok(identity)
    }

    /// A connection with a live session stays its user's until that user logs out.
    async fn expect_no_session(&self, actor: Actor) -> Result<(), ReplyBody> {
        if !matches!(actor, Actor::Session(_)) {
            return Ok(());
        }
        match self.identity(actor).await {
            Ok(_) => Err(ReplyBody::Refused(Refusal::AlreadyLoggedIn)),
            Err(ReplyBody::Refused(Refusal::NotLoggedIn)) => Ok(()),
            Err(unclear) => Err(unclear),
        }
    }

    fn lane(&self, guess: Guess) -> Lane {
        if self.guessing.is_familiar(guess) { Lane::Known } else { Lane::Strangers }
    }

    fn check_pause(&self, guess: Guess) -> Result<(), ReplyBody> {
        match self.guessing.pause_us(guess, self.now_us()) {
            0 => Ok(()),
            _ => Err(ReplyBody::Unavailable(Unavailable::TooManyAttempts)),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Asks for permission before it spends time on the password.
    async fn try_add_user(
        &self,
        actor: Actor,
        name: Box<str>,
        password: Password,
        role: Role,
    ) -> Result<Reply, ReplyBody> {
        if self.identity(actor).await?.role != Role::Administrator {
            return Err(ReplyBody::Refused(Refusal::NotPermitted));
        }
        let password_hash =
            self.passwords.hash(secret(&password)).await.map_err(|error| unavailable(&error))?;
        Ok(self.service.call(actor, Command::AddUser { name, password_hash, role }).await)
    }

    async fn identity(&self, actor: Actor) -> Result<Identity, ReplyBody> {
        match self.service.call(actor, Query::WhoAmI).await {
            Reply::Answered(Answer::Identity(identity)) => Ok(identity),
            reply => Err(not_done(reply)),
        }
    }
}

fn secret(password: &Password) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(password.reveal().into())
}

fn unavailable(error: &PasswordError) -> ReplyBody {
    if *error != PasswordError::Overloaded {
        tracing::error!("{error}");
    }
    ReplyBody::Unavailable(Unavailable::Overloaded)
}

/// The reply to a step that did not go as asked. An answer of another kind never happens.
fn not_done(reply: Reply) -> ReplyBody {
    ReplyBody::from_engine(reply).unwrap_or(ReplyBody::Unavailable(Unavailable::Poisoned))
}
