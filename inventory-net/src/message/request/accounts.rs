//! The bodies of requests about accounts: see `bodies`.

use std::collections::HashMap;

use bytes::BytesMut;
use foldhash::fast::RandomState;
use inventory_core::journal::ScanPlace;
use inventory_core::limits::{ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX};
use inventory_core::{BulkEntries, BulkEntriesError, Money, NameColumn, OrderKey, Posting, Refusal, Version};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::message::columns::{
    AmountsColumn, PlacesColumn, amounts_of, amounts_to_column, units_of, units_to_column,
};
use crate::message::entries::EntryKind;
use crate::message::envelope;
use crate::message::error::EncodeError;
use crate::message::request::RequestBody;
use crate::message::value::{AccountName, Checked, present};

const fn invalid(field: &'static str) -> Refusal {
    Refusal::InvalidValue { field }
}

pub(super) fn encode_post(to: &mut BytesMut, id: u32, op: u32, posting: &Posting) -> Result<(), EncodeError> {
    let Posting { key, entry } = posting;
    let body = PostOut {
        to: entry.counterpart().map(|name| &**name),
        key: ByteArray::new(key.to_bytes()),
        kind: EntryKind::of(entry).name(),
        amount: entry.amount().minor(),
        account: entry.account(),
    };
    envelope::seal(to, id, op, &body)
}

pub(super) fn encode_post_bulk(
    to: &mut BytesMut,
    id: u32,
    op: u32,
    batch: &BulkEntries,
) -> Result<(), EncodeError> {
    let mut names = Vec::new();
    let mut known: HashMap<&[u8], u32, RandomState> = HashMap::default();
    let mut places = Vec::with_capacity(batch.amounts().len());
    for name in batch.names().iter() {
        let place = if let Some(place) = known.get(name) {
            *place
        } else {
            let text = core::str::from_utf8(name)
                .map_err(|_| EncodeError::Encoder("a name of the batch is not UTF-8".into()))?;
            let place = u32::try_from(names.len()).unwrap_or(u32::MAX);
            names.push(text);
            known.insert(name, place);
            place
        };
        places.push(place);
    }
    let body = PostBulkOut {
        key: ByteArray::new(batch.key().to_bytes()),
        names,
        amount: amounts_to_column(batch.amounts()),
        account: units_to_column(&places),
    };
    envelope::seal(to, id, op, &body)
}

pub(super) fn encode_entries(
    to: &mut BytesMut,
    id: u32,
    op: u32,
    (account, place, limit): (&str, ScanPlace, Option<u32>),
) -> Result<(), EncodeError> {
    let ScanPlace { after, skip } = place;
    let body = EntriesOut {
        skip: (skip > 0).then_some(skip),
        after: (after > Version::ZERO).then_some(after.0),
        limit,
        account,
    };
    envelope::seal(to, id, op, &body)
}

#[derive(Serialize)]
struct PostOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    key: ByteArray<16>,
    #[serde(rename = "type")]
    kind: &'static str,
    amount: i64,
    account: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostIn {
    #[serde(default, deserialize_with = "present")]
    to: Option<Checked<AccountName>>,
    key: Checked<OrderKey>,
    #[serde(rename = "type")]
    kind: Checked<EntryKind>,
    amount: Checked<Money>,
    account: Checked<AccountName>,
}

impl PostIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let to = self.to.map(|to| to.or_refuse("to")).transpose()?.map(|AccountName(name)| name);
        let key = self.key.or_refuse("key")?;
        let kind = self.kind.or_refuse("type")?;
        let amount = self.amount.or_refuse("amount")?;
        if amount < Money::ZERO {
            return Err(invalid("amount"));
        }
        let AccountName(account) = self.account.or_refuse("account")?;
        let entry = kind.entry(account, to, amount).ok_or(invalid("to"))?;
        Ok(RequestBody::Post(Posting { key, entry }))
    }
}

#[derive(Serialize)]
struct PostBulkOut<'a> {
    key: ByteArray<16>,
    names: Vec<&'a str>,
    amount: AmountsColumn,
    account: PlacesColumn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostBulkIn {
    key: Checked<OrderKey>,
    names: Vec<Box<str>>,
    amount: AmountsColumn,
    account: PlacesColumn,
}

impl PostBulkIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let key = self.key.or_refuse("key")?;
        let amounts = amounts_of(&self.amount).ok_or(invalid("amount"))?;
        let places = units_of(&self.account).ok_or(invalid("account"))?;
        let names = column_of(&self.names, &places)?;
        let batch = BulkEntries::new(key, names, amounts);
        batch.map(RequestBody::PostBulk).map_err(|why| match why {
            BulkEntriesError::Rows(_) => invalid("account"),
            BulkEntriesError::NameBytes(_) => invalid("names"),
            _ => invalid("amount"),
        })
    }
}

/// The name of each row. What the rows repeat is added up before it is copied: a few bytes can ask for a great deal.
fn column_of(names: &[Box<str>], places: &[u32]) -> Result<NameColumn, Refusal> {
    if places.len() > ENTRIES_BATCH_MAX {
        return Err(invalid("account"));
    }
    let mut bytes = 0usize;
    let mut rows = Vec::with_capacity(places.len());
    for place in places {
        let name = usize::try_from(*place).ok().and_then(|place| names.get(place));
        let name = name.ok_or(invalid("account"))?;
        bytes = bytes.saturating_add(name.len());
        rows.push(name);
    }
    if bytes > ENTRIES_NAME_BYTES_MAX {
        return Err(invalid("names"));
    }
    let mut column = NameColumn::with_capacity(places.len(), bytes);
    if rows.into_iter().all(|name| column.push(name.as_bytes())) { Ok(column) } else { Err(invalid("names")) }
}

#[derive(Serialize)]
pub(super) struct SetFloorOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<i64>,
    pub(super) account: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetFloorIn {
    #[serde(default, deserialize_with = "present")]
    floor: Option<Checked<Money>>,
    account: Checked<AccountName>,
}

impl SetFloorIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let floor = self.floor.map(|floor| floor.or_refuse("floor")).transpose()?;
        let AccountName(account) = self.account.or_refuse("account")?;
        Ok(RequestBody::SetFloor { account, floor })
    }
}

#[derive(Serialize)]
pub(super) struct BalanceOut<'a> {
    pub(super) account: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BalanceIn {
    account: Checked<AccountName>,
}

impl BalanceIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let AccountName(account) = self.account.or_refuse("account")?;
        Ok(RequestBody::Balance { account })
    }
}

#[derive(Serialize)]
pub(super) struct BalancesOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BalancesIn {
    /// As long as any name in a reply.
    #[serde(default, deserialize_with = "present")]
    after: Option<Box<str>>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<Checked<u32>>,
}

impl BalancesIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let limit = self.limit.map(|limit| limit.or_refuse("limit")).transpose()?;
        Ok(RequestBody::Balances { after: self.after, limit })
    }
}

#[derive(Serialize)]
struct EntriesOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    skip: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    account: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EntriesIn {
    #[serde(default, deserialize_with = "present")]
    skip: Option<Checked<u32>>,
    #[serde(default, deserialize_with = "present")]
    after: Option<Checked<Version>>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<Checked<u32>>,
    account: Checked<AccountName>,
}

impl EntriesIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let skip = self.skip.map(|skip| skip.or_refuse("skip")).transpose()?.unwrap_or_default();
        let after = self.after.map(|after| after.or_refuse("after")).transpose()?.unwrap_or_default();
        let limit = self.limit.map(|limit| limit.or_refuse("limit")).transpose()?;
        let AccountName(account) = self.account.or_refuse("account")?;
        Ok(RequestBody::Entries { account, place: ScanPlace { after, skip }, limit })
    }
}

#[cfg(test)]
mod tests {
    use inventory_core::Time;
    use proptest::prelude::*;

    use super::*;
    use crate::message::columns::units_to_column;
    use crate::message::{RequestId, decode_request, encode_request};

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn refused(known: &[&str], places: &[u32], amounts: &[i64]) -> Option<&'static str> {
        let batch = PostBulkIn {
            key: Checked(OrderKey::from_bytes(OrderKey::from_parts(Time::ZERO, 7).to_bytes()).ok()),
            names: names(known),
            amount: amounts_to_column(amounts),
            account: units_to_column(places),
        };
        match batch.check() {
            Err(Refusal::InvalidValue { field }) => Some(field),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    }

    #[test]
    fn columns_that_are_no_batch_are_refused_by_name() {
        assert_eq!(refused(&["a"], &[0, 0], &[1, 2]), None);
        assert_eq!(refused(&["a"], &[0, 1], &[1, 2]), Some("account"));
        assert_eq!(refused(&["a"], &[], &[]), Some("account"));
        assert_eq!(refused(&["a"], &[0], &[1, 2]), Some("amount"));
        assert_eq!(refused(&["a"], &[0], &[i64::MIN]), Some("amount"));
        let (places, amounts) = (vec![0; ENTRIES_BATCH_MAX + 1], vec![1; ENTRIES_BATCH_MAX + 1]);
        assert_eq!(refused(&["a"], &places, &amounts), Some("account"));
        let long = "x".repeat(ENTRIES_NAME_BYTES_MAX / 8_192 + 1);
        assert_eq!(refused(&[&long], &vec![0; 8_192], &vec![1; 8_192]), Some("names"));
    }

    proptest! {
        #[test]
        fn a_batch_comes_back_row_by_row(
            id in 1..=u32::MAX,
            rows in prop::collection::vec(("[a-c ]{0,2}", 1 - i64::MAX..i64::MAX), 1..50),
            random in any::<u128>(),
        ) {
            let mut names = NameColumn::default();
            prop_assert!(rows.iter().all(|(name, _)| names.push(name.as_bytes())));
            let amounts: Vec<i64> = rows.iter().map(|(_, amount)| *amount).collect();
            let batch = BulkEntries::new(OrderKey::from_parts(Time::ZERO, random), names, amounts).unwrap();
            let mut bytes = BytesMut::new();
            let body = RequestBody::PostBulk(batch);
            let id = RequestId::new(id).unwrap();
            encode_request(&mut bytes, id, &body).unwrap();
            prop_assert_eq!(decode_request(&bytes).unwrap().body, body);
        }
    }
}
