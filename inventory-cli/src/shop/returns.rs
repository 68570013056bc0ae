//! Returns: units of an order come back, each return exactly once as purchases are.

use anyhow::anyhow;
use inventory_core::{OrderKey, OrderLine, Refusal, Return, ReturnReceipt};
use inventory_net::client::{AnyReceipt, ClientError, new_order_key};

use super::Shop;
use super::orders::Names;
use crate::holdings::{KeptOrder, OpenOrder};

/// What has to be known before a return is not.
#[derive(Debug, thiserror::Error)]
#[error(
    "it is not known yet whether {noun} {key} was carried out, so nothing was returned: repeat this when the server can be asked"
)]
pub(crate) struct NotSettled {
    noun: &'static str,
    key: OrderKey,
}

impl Shop {
    /// Gives these units of an order back, or all that is left of it if there are no lines. With a key that was used before, gives
    /// the outcome of then.
    pub(crate) async fn return_units(
        &mut self,
        order: OrderKey,
        lines: Vec<OrderLine>,
        key: Option<OrderKey>,
    ) -> anyhow::Result<ReturnReceipt> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;
        let holdings = store.load()?;
        // What came back is taken off what the order added, so that has to be known before.
        if holdings.open().contains_key(&order) {
            return Err(NotSettled { noun: "order", key: order }.into());
        }
        // Another return of the order may want the same units: it would be carried out beside this one.
        let is_another =
            |open: &OpenOrder| matches!(&open.kept, Some(KeptOrder::Return(r)) if r.order == order);
        if let Some((earlier, _)) =
            holdings.open().iter().find(|(open_key, open)| is_another(open) && key != Some(**open_key))
        {
            return Err(NotSettled { noun: "return", key: *earlier }.into());
        }
        let is_made_here = key.is_none();
        let key = key.map_or_else(new_order_key, Ok)?;
        let wanted = KeptOrder::Return(Return { key, order, lines: lines.into(), evidence: None });
        let is_new = store.record_order(&wanted, |_| String::new())?;
        match self.place(&store, &wanted, is_new, Names::new()).await {
            Ok(AnyReceipt::Return(receipt)) => Ok(*receipt),
            Ok(_) => Err(anyhow!("return {key} has the receipt of something else: this is a defect")),
            // It speaks of an order key, which is not the one that was made here.
            Err(error) if is_not_kept(&error) && is_made_here => {
                Err(error.context(format!("nothing of order {order} came back")))
            }
            // The key may be of long ago, and of a return that was carried out then.
            Err(error) if is_not_kept(&error) => Err(error.context(format!(
                "nothing of order {order} came back now; if return {key} was sent before, nobody can say what became of it"
            ))),
            Err(error) => Err(error),
        }
    }
}

fn is_not_kept(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Refused(Refusal::OutcomeNotKept)))
}
