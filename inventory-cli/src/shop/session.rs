//! Logging in and out, and going on with the session of an earlier run.

use inventory_core::{Refusal, Role};
use inventory_net::client::ClientError;
use inventory_net::message::Token;

use super::{Shop, not_logged_in};
use crate::exit::RefusedHere;
use crate::state::SavedSession;

impl Shop {
    /// Refuses if a live session is there already; forgets a dead one. Also makes sure that a session can be kept
    /// and that the server is there, before anybody is asked for a password.
    pub(crate) async fn check_can_log_in(&mut self) -> anyhow::Result<()> {
        self.state.check_writable()?;
        self.connected().await?;
        let Some(saved) = self.state.session()? else { return Ok(()) };
        match self.resume().await {
            Ok(_) => {}
            Err(_) if self.state.session()?.is_none() => return Ok(()),
            Err(error) => return Err(error),
        }
        // The connection may carry a session that was ended elsewhere since.
        let who = self.connected().await?.who_am_i().await;
        if let Err(ClientError::Refused(Refusal::NotLoggedIn)) = who {
            self.session_ended()?;
            return Ok(());
        }
        who?;
        let message =
            format!("already logged in as {} at {}: log out first (logout)", saved.user, self.address);
        Err(RefusedHere { refusal: Refusal::AlreadyLoggedIn, message }.into())
    }

    /// Logs in and keeps the session.
    pub(crate) async fn log_in(&mut self, user: &str, password: &str) -> anyhow::Result<Role> {
        self.check_can_log_in().await?;
        let session = self.connected().await?.log_in(user, password).await?;
        let saved = SavedSession { user: session.account.user.to_string(), token: session.token.to_hex() };
        self.state.save_session(&saved)?;
        self.carries(Some(saved));
        self.settle().await;
        Ok(session.account.role)
    }

    /// Ends the session; gives whose it was.
    pub(crate) async fn log_out(&mut self) -> anyhow::Result<String> {
        let user = self.resume().await?;
        let ended = self.connected().await?.log_out().await;
        self.seen(ended)?;
        self.state.forget_session()?;
        self.carries(None);
        Ok(user)
    }

    /// Who is logged in here, as far as the saved session tells.
    pub(crate) fn saved_user(&self) -> anyhow::Result<String> {
        let saved = self.state.session()?;
        saved.map(|saved| saved.user.clone()).ok_or_else(|| {
            not_logged_in(format!("not logged in at {}: log in first (login USER)", self.address))
        })
    }

    /// Makes the connection carry the saved session; gives the user.
    ///
    /// One that carries another user's is given up, and nothing is done: somebody logged in elsewhere in the meantime,
    /// and what was asked here was asked as the user of before.
    pub(super) async fn resume(&mut self) -> anyhow::Result<String> {
        let user = self.saved_user()?;
        let Some(saved) = self.state.session()? else { return self.saved_user() };
        let carried = self.connection.as_ref().and_then(|connection| connection.session.clone());
        match carried {
            Some(carried) if carried == saved => return Ok(user),
            Some(carried) => {
                self.connection = None;
                if carried.user != user {
                    return Err(not_logged_in(format!(
                        "{} was logged out elsewhere, and {user} has logged in at {}: nothing was done; from now on \
                         this is {user}'s",
                        carried.user, self.address
                    )));
                }
            }
            None => {}
        }
        let Ok(token) = saved.token.parse::<Token>() else { return Err(self.session_ended()?) };
        let resumed = self.connected().await?.resume(&token).await;
        self.seen(resumed)?;
        self.carries(Some(saved));
        Ok(user)
    }

    /// Forgets a session that the server no longer knows.
    pub(super) fn session_ended(&mut self) -> anyhow::Result<anyhow::Error> {
        let user = self.saved_user().unwrap_or_else(|_| "USER".to_owned());
        self.state.forget_session()?;
        self.carries(None);
        Ok(not_logged_in(format!("the session at {} has ended: log in again (login {user})", self.address)))
    }

    fn carries(&mut self, session: Option<SavedSession>) {
        if let Some(connection) = &mut self.connection {
            connection.session = session;
        }
    }
}
