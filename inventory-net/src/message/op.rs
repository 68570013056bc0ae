//! Operations and their permanent numbers.

/// What a request asks for. The numbers are permanent: none is ever given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Agrees on a protocol version and tells the limits. The first request of every connection.
    Hello = 0,
    /// Starts a session by name and password.
    LogIn = 1,
    /// Binds the connection to a session that exists.
    Resume = 2,
    /// Ends the session.
    LogOut = 3,
    /// Tells whose session it is.
    WhoAmI = 4,
    /// A page of levels.
    Levels = 10,
    /// The levels of one item.
    Item = 11,
    /// Buys.
    Purchase = 20,
    /// The outcome of an order.
    Receipt = 21,
    /// Buys a batch of independent rows.
    PurchaseBulk = 22,
    /// Creates or changes an item.
    DefineItem = 30,
    /// Sets what a location starts with.
    SetInitialLevel = 31,
    /// Adds a user.
    AddUser = 32,
    /// Posts an entry.
    Post = 40,
    /// Posts a batch of independent entries.
    PostBulk = 41,
    /// Says what an account's balance never goes below.
    SetFloor = 42,
    /// One account's balance.
    Balance = 43,
    /// A page of balances.
    Balances = 44,
    /// A page of one account's entries.
    Entries = 45,
    /// Gives units of an order back.
    Return = 46,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 20] = [
        Self::Hello,
        Self::LogIn,
        Self::Resume,
        Self::LogOut,
        Self::WhoAmI,
        Self::Levels,
        Self::Item,
        Self::Purchase,
        Self::Receipt,
        Self::PurchaseBulk,
        Self::DefineItem,
        Self::SetInitialLevel,
        Self::AddUser,
        Self::Post,
        Self::PostBulk,
        Self::SetFloor,
        Self::Balance,
        Self::Balances,
        Self::Entries,
        Self::Return,
    ];

    /// The permanent number.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The operation of this number.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|op| u64::from(op.code()) == code)
    }

    /// Whether its request carries a password or a token: such bytes are wiped after use.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::LogIn | Self::Resume | Self::AddUser)
    }

    /// The operation's name, as PROTOCOL.md spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::LogIn => "log_in",
            Self::Resume => "resume",
            Self::LogOut => "log_out",
            Self::WhoAmI => "who_am_i",
            Self::Levels => "levels",
            Self::Item => "item",
            Self::Purchase => "purchase",
            Self::Receipt => "receipt",
            Self::PurchaseBulk => "purchase_bulk",
            Self::DefineItem => "define_item",
            Self::SetInitialLevel => "set_initial_level",
            Self::AddUser => "add_user",
            Self::Post => "post",
            Self::PostBulk => "post_bulk",
            Self::SetFloor => "set_floor",
            Self::Balance => "balance",
            Self::Balances => "balances",
            Self::Entries => "entries",
            Self::Return => "return",
        }
    }
}
