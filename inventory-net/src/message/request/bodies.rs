//! The bodies of requests as they are on the wire: `…Out` to write, `…In` to read. Fields stand in the order of
//! deterministic CBOR: shorter names first, then by their bytes.

use bytes::BytesMut;
use inventory_core::{LocationId, Money, Refusal, Role, Units, Upc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteArray;

use crate::message::envelope;
use crate::message::error::EncodeError;
use crate::message::request::accounts::{
    self, BalanceIn, BalanceOut, BalancesIn, BalancesOut, EntriesIn, PostBulkIn, PostIn, SetFloorIn,
    SetFloorOut,
};
use crate::message::request::orders::{self, PurchaseBulkIn, PurchaseIn, ReceiptIn, ReturnIn};
use crate::message::request::{ClientHello, RequestBody};
use crate::message::value::{Checked, Value, present};
use crate::message::{Op, Password, Token, decode_body};

/// Appends a request.
pub(super) fn encode(to: &mut BytesMut, id: u32, body: &RequestBody) -> Result<(), EncodeError> {
    let op = body.op().code();
    match body {
        RequestBody::Hello(ClientHello { protocol, client, frame_bytes_max }) => {
            envelope::seal(to, id, op, &HelloOut { client, protocol, frame_bytes_max: *frame_bytes_max })
        }
        RequestBody::LogIn { user, password } => {
            envelope::seal(to, id, op, &LogInOut { user, password: password.reveal() })
        }
        RequestBody::Resume { token } => {
            envelope::seal(to, id, op, &ResumeOut { token: ByteArray::new(*token.reveal()) })
        }
        RequestBody::LogOut | RequestBody::WhoAmI => envelope::seal(to, id, op, &Empty {}),
        RequestBody::Levels { after, limit } => {
            envelope::seal(to, id, op, &LevelsOut { after: after.map(Upc::get), limit: *limit })
        }
        RequestBody::Item { upc } => envelope::seal(to, id, op, &ItemOut { upc: upc.get() }),
        RequestBody::Purchase(order) => orders::encode_purchase(to, id, op, order),
        RequestBody::PurchaseBulk(order) => orders::encode_purchase_bulk(to, id, op, order),
        RequestBody::Return(wanted) => orders::encode_return(to, id, op, wanted),
        RequestBody::Receipt { key } => orders::encode_receipt(to, id, op, *key),
        RequestBody::DefineItem { upc, name, price } => {
            let price = price.map(Money::minor);
            envelope::seal(to, id, op, &DefineItemOut { upc: upc.get(), name, price })
        }
        RequestBody::SetInitialLevel { upc, location, units } => {
            let location = (*location != LocationId::MAIN).then_some(location.0);
            envelope::seal(to, id, op, &SetInitialLevelOut { upc: upc.get(), units: units.get(), location })
        }
        RequestBody::AddUser { name, password, role } => {
            let password = password.reveal();
            envelope::seal(to, id, op, &AddUserOut { name, role: role.name(), password })
        }
        RequestBody::Post(posting) => accounts::encode_post(to, id, op, posting),
        RequestBody::PostBulk(batch) => accounts::encode_post_bulk(to, id, op, batch),
        RequestBody::SetFloor { account, floor } => {
            envelope::seal(to, id, op, &SetFloorOut { floor: floor.map(Money::minor), account })
        }
        RequestBody::Balance { account } => envelope::seal(to, id, op, &BalanceOut { account }),
        RequestBody::Balances { after, limit } => {
            envelope::seal(to, id, op, &BalancesOut { after: after.as_deref(), limit: *limit })
        }
        RequestBody::Entries { account, place, limit } => {
            accounts::encode_entries(to, id, op, (account, *place, *limit))
        }
    }
}

/// Reads the body of a request: itself, or the refusal that names a field out of range.
pub(super) fn decode(op: Op, body: &[u8]) -> Result<Result<RequestBody, Refusal>, String> {
    match op {
        Op::Hello => decode_body::<HelloIn>(body).and_then(HelloIn::check).map(Ok),
        Op::LogIn => decode_body::<LogInIn>(body).map(LogInIn::check),
        Op::Resume => decode_body::<ResumeIn>(body).map(ResumeIn::check),
        Op::LogOut => decode_body::<Empty>(body).map(|Empty {}| Ok(RequestBody::LogOut)),
        Op::WhoAmI => decode_body::<Empty>(body).map(|Empty {}| Ok(RequestBody::WhoAmI)),
        Op::Levels => decode_body::<LevelsIn>(body).map(LevelsIn::check),
        Op::Item => decode_body::<ItemIn>(body).map(ItemIn::check),
        Op::Purchase => decode_body::<PurchaseIn>(body).map(PurchaseIn::check),
        Op::PurchaseBulk => decode_body::<PurchaseBulkIn>(body).map(PurchaseBulkIn::check),
        Op::Return => decode_body::<ReturnIn>(body).map(ReturnIn::check),
        Op::Receipt => decode_body::<ReceiptIn>(body).map(ReceiptIn::check),
        Op::DefineItem => decode_body::<DefineItemIn>(body).map(DefineItemIn::check),
        Op::SetInitialLevel => decode_body::<SetInitialLevelIn>(body).map(SetInitialLevelIn::check),
        Op::AddUser => decode_body::<AddUserIn>(body).map(AddUserIn::check),
        Op::Post => decode_body::<PostIn>(body).map(PostIn::check),
        Op::PostBulk => decode_body::<PostBulkIn>(body).map(PostBulkIn::check),
        Op::SetFloor => decode_body::<SetFloorIn>(body).map(SetFloorIn::check),
        Op::Balance => decode_body::<BalanceIn>(body).map(BalanceIn::check),
        Op::Balances => decode_body::<BalancesIn>(body).map(BalancesIn::check),
        Op::Entries => decode_body::<EntriesIn>(body).map(EntriesIn::check),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Empty {}

#[derive(Serialize)]
struct HelloOut<'a> {
    client: &'a str,
    protocol: &'a [u32],
    frame_bytes_max: u32,
}

/// The one request whose unknown fields are ignored: a newer client may say more.
#[derive(Deserialize)]
struct HelloIn {
    client: Box<str>,
    protocol: Vec<AtMost32Bits>,
    frame_bytes_max: AtMost32Bits,
}

/// A version or a size; the largest for one beyond 32 bits, which is more than this program can do, but no mistake.
/// None if it is negative.
struct AtMost32Bits(Option<u32>);

impl<'de> Deserialize<'de> for AtMost32Bits {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = <u64 as Value>::deserialize(from)?;
        Ok(Self(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX))))
    }
}

impl HelloIn {
    fn check(self) -> Result<RequestBody, String> {
        let protocol: Option<Vec<u32>> = self.protocol.into_iter().map(|version| version.0).collect();
        let protocol = protocol.ok_or("a protocol version is not negative")?;
        if protocol.is_empty() {
            return Err("protocol lists no version".into());
        }
        let frame_bytes_max = self.frame_bytes_max.0.ok_or("frame_bytes_max is not negative")?;
        Ok(RequestBody::Hello(ClientHello { protocol, client: self.client, frame_bytes_max }))
    }
}

#[derive(Serialize)]
struct LogInOut<'a> {
    user: &'a str,
    password: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogInIn {
    user: Box<str>,
    password: Checked<Password>,
}

impl LogInIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        Ok(RequestBody::LogIn { user: self.user, password: self.password.or_refuse("password")? })
    }
}

#[derive(Serialize)]
struct ResumeOut {
    token: ByteArray<32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeIn {
    token: Checked<Token>,
}

impl ResumeIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        Ok(RequestBody::Resume { token: self.token.or_refuse("token")? })
    }
}

#[derive(Serialize)]
struct LevelsOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelsIn {
    #[serde(default, deserialize_with = "present")]
    after: Option<Checked<Upc>>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<Checked<u32>>,
}

impl LevelsIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        let after = self.after.map(|after| after.or_refuse("after")).transpose()?;
        let limit = self.limit.map(|limit| limit.or_refuse("limit")).transpose()?;
        Ok(RequestBody::Levels { after, limit })
    }
}

#[derive(Serialize)]
struct ItemOut {
    upc: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemIn {
    upc: Checked<Upc>,
}

impl ItemIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        Ok(RequestBody::Item { upc: self.upc.or_refuse("upc")? })
    }
}

#[derive(Serialize)]
struct DefineItemOut<'a> {
    upc: u64,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefineItemIn {
    upc: Checked<Upc>,
    name: Box<str>,
    #[serde(default, deserialize_with = "present")]
    price: Option<Checked<Money>>,
}

impl DefineItemIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        let upc = self.upc.or_refuse("upc")?;
        let price = self.price.map(|price| price.or_refuse("price")).transpose()?;
        Ok(RequestBody::DefineItem { upc, name: self.name, price })
    }
}

#[derive(Serialize)]
struct SetInitialLevelOut {
    upc: u64,
    units: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetInitialLevelIn {
    upc: Checked<Upc>,
    units: Checked<Units>,
    #[serde(default, deserialize_with = "present")]
    location: Option<Checked<LocationId>>,
}

impl SetInitialLevelIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        let upc = self.upc.or_refuse("upc")?;
        let units = self.units.or_refuse("units")?;
        let location = location_or_main(self.location)?;
        Ok(RequestBody::SetInitialLevel { upc, location, units })
    }
}

pub(super) fn location_or_main(location: Option<Checked<LocationId>>) -> Result<LocationId, Refusal> {
    location.map_or(Ok(LocationId::MAIN), |location| location.or_refuse("location"))
}

#[derive(Serialize)]
struct AddUserOut<'a> {
    name: &'a str,
    role: &'a str,
    password: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddUserIn {
    name: Box<str>,
    role: Checked<Role>,
    password: Checked<Password>,
}

impl AddUserIn {
    fn check(self) -> Result<RequestBody, Refusal> {
        let role = self.role.or_refuse("role")?;
        // Whoever has no password would be logged in by anybody's mistake.
        let password = self.password.0.filter(|password| !password.reveal().is_empty());
        let password = password.ok_or(Refusal::InvalidValue { field: "password" })?;
        Ok(RequestBody::AddUser { name: self.name, password, role })
    }
}
