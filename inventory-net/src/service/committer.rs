//! The task that writes groups and delivers replies. While a group is under way, requests gather in the next one:
//! under load groups grow by themselves, and a lone request waits for nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use inventory_core::journal::{Commit, Group, commit, commit_again};
use inventory_core::{AppendId, Refusal, Reply, Unavailable};
use tokio::time::Instant;

use super::history::Question;
use super::{Shared, Ticket, lock};

/// One message about failing writes in this time: a full disk must not fill the log too.
const FAILURE_LOG_INTERVAL: Duration = Duration::from_secs(1);

type Commits = FuturesOrdered<Pin<Box<dyn Future<Output = (Group, Commit)> + Send>>>;

struct Committer {
    shared: Arc<Shared>,
    commits: Commits,
    /// Random at first, then counted up: never twice the same.
    next_append: u128,
    replies: Vec<(Ticket, Reply)>,
    failure_logged: Option<Instant>,
}

pub(super) async fn run(shared: Arc<Shared>, first_append: u128) {
    let mut committer = Committer {
        shared,
        commits: FuturesOrdered::new(),
        next_append: first_append,
        replies: Vec::new(),
        failure_logged: None,
    };
    committer.run().await;
}

impl Committer {
    async fn run(&mut self) {
        loop {
            self.start_commits();
            // The journal gets to work before the replies leave.
            let committed = self.poll_commits().await;
            self.deliver();
            let (group, commit) = match committed {
                Some(committed) => committed,
                None if self.is_done() => return,
                None => tokio::select! {
                    Some(committed) = self.commits.next() => committed,
                    () = self.shared.work.notified() => continue,
                },
            };
            self.settle(group, commit).await;
        }
    }

    fn start_commits(&mut self) {
        let mut desk = lock(&self.shared.desk);
        while let Some(group) = desk.engine.poll_append(AppendId(self.next_append)) {
            self.next_append = self.next_append.wrapping_add(1);
            let journal = Arc::clone(&self.shared.journal);
            self.commits.push_back(Box::pin(async move {
                let committed = commit(&*journal, &group).await;
                (group, committed)
            }));
        }
    }

    /// The outcome of the oldest commit, if it is there at once; in any case all have begun, oldest first.
    async fn poll_commits(&mut self) -> Option<(Group, Commit)> {
        std::future::poll_fn(|cx| match self.commits.poll_next_unpin(cx) {
            Poll::Ready(committed) => Poll::Ready(committed),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Tells the engine what became of the oldest group.
    async fn settle(&mut self, group: Group, committed: Commit) {
        if committed == Commit::Done {
            return lock(&self.shared.desk).engine.appended();
        }
        let mut behind = Vec::new();
        while let Some(answered) = self.commits.next().await {
            behind.push(answered);
        }
        let verdict = match committed {
            Commit::Unknown(_) => self.find_out(group, behind).await,
            // A journal compares and sets: nothing can stand behind a group that is not there.
            definite if behind.iter().all(|(_, committed)| *committed != Commit::Done) => definite,
            _ => Commit::Unknown("the journal took a group whose predecessor it had refused".into()),
        };
        self.tell_not_written(verdict);
    }

    /// Sends a group whose outcome is unknown again, then those behind it, until one is not written; gives what became of
    /// that one. One that is there already is done.
    async fn find_out(&mut self, group: Group, behind: Vec<(Group, Commit)>) -> Commit {
        let behind = behind.into_iter().map(|(group, _)| group);
        for group in std::iter::once(group).chain(behind) {
            let committed = commit_again(&*self.shared.journal, &group).await;
            if committed != Commit::Done {
                return committed;
            }
            lock(&self.shared.desk).engine.appended();
        }
        Commit::Done
    }

    fn tell_not_written(&mut self, committed: Commit) {
        let now = self.shared.clock.now();
        let mut desk = lock(&self.shared.desk);
        match committed {
            Commit::Done => {}
            Commit::Conflict(theirs) => {
                if let Err(error) = desk.engine.conflicted(now, &theirs) {
                    tracing::error!(
                        "another server's events cannot be applied, writing has stopped: {error}"
                    );
                }
            }
            Commit::Failed(why) => {
                desk.engine.append_failed();
                drop(desk);
                self.log_failure(&why);
            }
            Commit::Unknown(why) => {
                desk.engine.poison();
                drop(desk);
                tracing::error!(
                    "a write to the journal failed in an unclear way, nothing more is acknowledged; \
                     restart to recover: {why}"
                );
            }
        }
    }

    fn log_failure(&mut self, why: &str) {
        if self.failure_logged.is_none_or(|at| at.elapsed() >= FAILURE_LOG_INTERVAL) {
            tracing::error!("the journal cannot be written, requests are turned away: {why}");
            self.failure_logged = Some(Instant::now());
        }
    }

    fn deliver(&mut self) {
        {
            let mut desk = lock(&self.shared.desk);
            self.replies.extend(std::iter::from_fn(|| desk.engine.poll_reply()));
        }
        for (ticket, reply) in self.replies.drain(..) {
            let Ticket { reply_to, past_order } = ticket;
            match (reply, past_order) {
                (Reply::Refused(Refusal::KeyTooOld), Some(order)) => {
                    self.shared.look_in_history(Question::Order { reply_to, order: *order });
                }
                // It grew too old while it waited: asked again, it is looked for.
                (Reply::Refused(Refusal::KeyTooOld), None) => {
                    reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
                }
                (reply, _) => reply_to.deliver(reply),
            }
        }
    }

    fn is_done(&self) -> bool {
        let desk = lock(&self.shared.desk);
        desk.closing && (desk.engine.is_idle() || desk.engine.is_poisoned())
    }
}

/// Whoever waits is answered also if the task ends before its time: by a panic, or with its runtime. Nobody else would
/// ever answer.
impl Drop for Committer {
    fn drop(&mut self) {
        if self.is_done() {
            return;
        }
        if std::thread::panicking() {
            tracing::error!("writing has stopped by a bug, nothing more is acknowledged; restart to recover");
        }
        {
            let mut desk = lock(&self.shared.desk);
            desk.closing = true;
            desk.engine.poison();
        }
        self.deliver();
    }
}
