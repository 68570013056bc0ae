//! Returns: units of an order come back, each return exactly once as purchases are.

use anyhow::anyhow;
use inventory_core::{OrderKey, OrderLine, Refusal, Return, ReturnReceipt};
use inventory_net::client::{AnyReceipt, ClientError, new_order_key};

use super::Shop;
use super::orders::Names;
use crate::holdings::KeptOrder;

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
        // What came back is taken off what the order added, so that has to be known before.
        if store.load()?.open().contains_key(&order) {
            return Err(anyhow!(
                "it is not known yet whether order {order} was carried out, so nothing was returned: repeat this when the server \
                 can be asked"
            ));
        }
        let key = key.map_or_else(new_order_key, Ok)?;
        let wanted = KeptOrder::Return(Return { key, order, lines: lines.into(), evidence: None });
        let is_new = store.record_order(&wanted, |_| String::new())?;
        match self.place(&store, &wanted, is_new, Names::new()).await {
            Ok(AnyReceipt::Return(receipt)) => Ok(*receipt),
            Ok(_) => Err(anyhow!("return {key} has the receipt of something else: this is a defect")),
            // It speaks of an order key, which is not the one that was made here.
            Err(error) if is_not_kept(&error) => {
                Err(error.context(format!("nothing of order {order} came back")))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_not_kept(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Refused(Refusal::OutcomeNotKept)))
}
