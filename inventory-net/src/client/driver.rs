//! The task that owns a client's connection: makes it when there is something to send, logs it in again, matches replies
//! with requests, and says of each request whether it was answered, lost, or never sent.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use inventory_core::Refusal;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::ClientOptions;
use super::link::{Link, LinkError};
use crate::connection::SendError;
use crate::message::{Done, Reply, ReplyBody, RequestBody, RequestId, Token, Unavailable};
use crate::transport::Address;

/// Something for the driver to do.
pub(super) enum Job {
    /// Be connected.
    Connect(oneshot::Sender<Attempt>),
    /// Send this once.
    Request(RequestBody, oneshot::Sender<Attempt>),
    /// Give the connection up: it does not answer.
    GiveUp,
    /// Wait for what is in flight, and end.
    Close,
}

/// What came of sending a request once.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The server answered.
    Replied(ReplyBody),
    /// There is a connection.
    Connected,
    /// It was not sent: there is no connection.
    NotSent(LinkError),
    /// It was not sent: it cannot be.
    Unsendable(SendError),
    /// It was sent, and the connection ended before the answer.
    Lost(LinkError),
}

pub(super) struct Driver {
    address: Address,
    options: ClientOptions,
    jobs: mpsc::Receiver<Job>,
    /// The session to resume on a new connection.
    session: Option<Token>,
    in_flight: HashMap<RequestId, InFlight>,
    /// A request that waits until fewer are in flight.
    held: Option<Job>,
    closing: bool,
}

struct InFlight {
    caller: oneshot::Sender<Attempt>,
    /// The session that the connection has if the answer is good.
    resumes: Option<Token>,
    logs_out: bool,
}

impl Driver {
    pub(super) fn new(address: Address, options: ClientOptions, jobs: mpsc::Receiver<Job>) -> Self {
        let (session, in_flight, held) = (None, HashMap::new(), None);
        Self { address, options, jobs, session, in_flight, held, closing: false }
    }

    pub(super) async fn run(mut self) {
        while !self.closing {
            // What was held when a connection ended comes first.
            let job = match self.held.take() {
                Some(job) => Some(job),
                None => self.jobs.recv().await,
            };
            let Some(job) = job else { return };
            match job {
                Job::Close => return,
                Job::GiveUp => {}
                job => {
                    self.held = Some(job);
                    self.connect_and_serve().await;
                }
            }
        }
    }

    async fn connect_and_serve(&mut self) {
        let connected = timeout(self.options.connect_timeout, self.connect()).await;
        match connected.unwrap_or_else(|_| Err(timed_out())) {
            Ok(link) => self.serve(link).await,
            Err(error) => self.fail_waiting(&error),
        }
    }

    async fn connect(&mut self) -> Result<Link, LinkError> {
        let mut link = Link::open(&self.address, &self.options.name).await?;
        if let Some(token) = &self.session {
            match link.resume(token).await? {
                ReplyBody::Refused(Refusal::NotLoggedIn) => self.session = None,
                ReplyBody::Unavailable(reason) => return Err(io::Error::other(reason.to_string()).into()),
                _ => {}
            }
        }
        Ok(link)
    }

    /// Tells all who wait that there is no connection. They decide whether to try again.
    fn fail_waiting(&mut self, error: &LinkError) {
        let waiting = self.held.take().into_iter().chain(std::iter::from_fn(|| self.jobs.try_recv().ok()));
        for job in waiting {
            match job {
                Job::Connect(caller) | Job::Request(_, caller) => {
                    tell(caller, Attempt::NotSent(error.clone()));
                }
                Job::GiveUp => {}
                Job::Close => self.closing = true,
            }
        }
    }

    /// Serves jobs on this connection until it ends.
    async fn serve(&mut self, mut link: Link) {
        let ended = poll_fn(|cx| self.poll_serve(&mut link, cx)).await;
        let error = match ended {
            Ok(()) => {
                link.close().await;
                timed_out()
            }
            Err(error) => error,
        };
        // The connection may have ended before it took the request that it was made for.
        if let Some(Job::Connect(caller) | Job::Request(_, caller)) = self.held.take() {
            tell(caller, Attempt::NotSent(error.clone()));
        }
        for (_, InFlight { caller, .. }) in self.in_flight.drain() {
            tell(caller, Attempt::Lost(error.clone()));
        }
    }

    fn poll_serve(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            // Reading comes first: a request is not sent into a connection that is known to have ended.
            let read = link.poll_read(cx)?;
            while let Some(reply) = link.wire.poll_reply()? {
                self.settle(reply);
            }
            if !self.take_jobs(link, cx) || (self.closing && self.is_waited_for_by_nobody(cx)) {
                return Poll::Ready(Ok(()));
            }
            link.poll_write(cx)?;
            if read.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Whether nobody waits for an answer any more; to be woken when that changes. Some have lost their patience, and the
    /// server may never answer.
    fn is_waited_for_by_nobody(&mut self, cx: &mut Context<'_>) -> bool {
        self.in_flight.values_mut().all(|asked| asked.caller.poll_closed(cx).is_ready())
    }

    /// Sends requests while more may be in flight. False if the connection is to be given up.
    fn take_jobs(&mut self, link: &mut Link, cx: &mut Context<'_>) -> bool {
        loop {
            let job = match self.held.take() {
                Some(job) => job,
                None if self.closing => return true,
                None => match self.jobs.poll_recv(cx) {
                    Poll::Ready(Some(job)) => job,
                    Poll::Ready(None) => Job::Close,
                    Poll::Pending => return true,
                },
            };
            match job {
                Job::Connect(caller) => tell(caller, Attempt::Connected),
                Job::GiveUp => return false,
                Job::Close => self.closing = true,
                // Whoever no longer waits is not worth a purchase.
                Job::Request(_, caller) if caller.is_closed() => {}
                Job::Request(body, caller) => match link.wire.request(&body) {
                    Ok(id) => {
                        let resumes = match &body {
                            RequestBody::Resume { token } => Some(token.clone()),
                            _ => None,
                        };
                        let logs_out = matches!(body, RequestBody::LogOut);
                        self.in_flight.insert(id, InFlight { caller, resumes, logs_out });
                    }
                    Err(SendError::InFlight) => {
                        self.held = Some(Job::Request(body, caller));
                        return true;
                    }
                    Err(error) => tell(caller, Attempt::Unsendable(error)),
                },
            }
        }
    }

    fn settle(&mut self, reply: Reply) {
        let Some(InFlight { caller, resumes, logs_out }) = reply.id.and_then(|id| self.in_flight.remove(&id))
        else {
            return;
        };
        match &reply.body {
            ReplyBody::Done(Done::LoggedIn { token, .. }) => self.session = Some(token.clone()),
            ReplyBody::Done(_) if resumes.is_some() => self.session = resumes,
            ReplyBody::Done(_) if logs_out => self.session = None,
            _ => {}
        }
        tell(caller, Attempt::Replied(reply.body));
    }
}

/// A caller that no longer waits does not want to know.
fn tell(caller: oneshot::Sender<Attempt>, attempt: Attempt) {
    drop(caller.send(attempt));
}

/// Whether asking again soon may help.
pub(super) fn passes(reason: &Unavailable) -> bool {
    matches!(reason, Unavailable::Overloaded | Unavailable::NotWritten | Unavailable::Draining)
}

/// How a connection that does not answer in time ends.
pub(super) fn timed_out() -> LinkError {
    LinkError::Io(Arc::new(io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time")))
}
