//! The server's planted defects: what it answers without asking the engine, and what it makes of the engine's answers.

use inventory_core::{Actor, Version};
use inventory_net::message::{Done, Op, ReplyBody, RequestBody};

use super::Node;
use crate::defect::Defect;
use crate::network::LinkId;

/// How often a stale read is shown before it is refreshed, under [`Defect::StaleReads`].
const STALE_READS: u32 = 3;

impl Node {
    /// An answer that a defect gives without asking the engine.
    pub(super) fn answer_wrongly(&self, actor: Actor, body: &RequestBody) -> Option<ReplyBody> {
        let Actor::Session(session) = actor else { return None };
        self.engine.state().users().session(session)?;
        match (self.defect?, body) {
            (Defect::ForgetLogout, RequestBody::LogOut) => Some(ReplyBody::Done(Done::LoggedOut)),
            _ => None,
        }
    }

    /// The connection that a reply goes to.
    pub(super) fn misdirect(&mut self, link: LinkId) -> LinkId {
        if self.defect != Some(Defect::CrossesReplies) || self.rng.u8(..8) > 0 {
            return link;
        }
        self.rng.choice(self.ends.keys().copied()).unwrap_or(link)
    }

    /// What a defect makes of a reply.
    pub(super) fn distort(&mut self, op: Op, body: ReplyBody) -> ReplyBody {
        match (self.defect, body) {
            (Some(Defect::VersionOffByOne), ReplyBody::Done(Done::Receipt(mut receipt))) => {
                receipt.version = Version(receipt.version.0.saturating_sub(1));
                ReplyBody::Done(Done::Receipt(receipt))
            }
            (Some(Defect::VersionOffByOne), ReplyBody::Done(Done::BulkReceipt(mut receipt))) => {
                receipt.version = Version(receipt.version.0.saturating_sub(1));
                ReplyBody::Done(Done::BulkReceipt(receipt))
            }
            (Some(Defect::StaleReads), ReplyBody::Done(Done::Levels(page))) => {
                let upcs: Vec<_> = page.levels.iter().map(|row| (row.upc, row.location)).collect();
                let body = ReplyBody::Done(Done::Levels(page));
                let shown = self.stale.entry(format!("{op:?} {upcs:?}")).or_insert((body.clone(), 0));
                if shown.1 >= STALE_READS {
                    *shown = (body, 0);
                }
                shown.1 += 1;
                shown.0.clone()
            }
            (_, body) => body,
        }
    }
}
