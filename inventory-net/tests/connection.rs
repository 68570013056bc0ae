//! The two ends of a connection, without a socket: order, bounds, deadlines, sessions and lies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::BytesMut;
use inventory_core::{
    LevelRow, LevelsPage, LocationId, OneOrMany, Order, OrderKey, OrderLine, Receipt, Refusal, Role, Time,
    Units, Upc, Version,
};
use inventory_net::connection::{ClientConnection, ClientError, SendError, ServerConfig, ServerConnection};
use inventory_net::frame::{self, FrameError};
use inventory_net::limits::{
    ANONYMOUS_DEADLINE_US, ANONYMOUS_IN_FLIGHT_MAX, BUFFER_BYTES_MIN, FRAME_BYTES_MIN, FRAME_DEADLINE_US,
};
use inventory_net::message::{
    Account, ClientHello, Done, Op, Password, ProtocolError, ProtocolErrorCode, Reply, ReplyBody, Request,
    RequestBody, RequestId, Token, Unavailable, decode_reply, encode_reply, encode_request,
};
use proptest::prelude::*;

fn key(number: u128) -> OrderKey {
    OrderKey::from_parts(Time::from_micros(1_763_650_000_000_000), number)
}

fn purchase(number: u128) -> RequestBody {
    let line = OrderLine::new(Upc::new(36_000_291_452).unwrap(), Units::new(2).unwrap());
    RequestBody::Purchase(Order { key: key(number), lines: line.into(), charge: None })
}

fn receipt(number: u128) -> ReplyBody {
    ReplyBody::Done(Done::Receipt(Receipt {
        key: key(number),
        version: Version(9),
        user: "alice".into(),
        at: Time::from_micros(1_763_650_000_000_123),
        lines: OneOrMany::One(OrderLine::new(Upc::new(36_000_291_452).unwrap(), Units::new(2).unwrap())),
        total: None,
        charged: None,
    }))
}

fn log_in() -> RequestBody {
    RequestBody::LogIn { user: "alice".into(), password: Password::new("alice-demo").unwrap() }
}

fn logged_in() -> ReplyBody {
    let account = Account { user: "alice".into(), role: Role::Buyer };
    ReplyBody::Done(Done::LoggedIn { token: Token::new([7; 32]), account })
}

/// Both ends, and the wire between them.
struct Ends {
    client: ClientConnection,
    server: ServerConnection,
    now_us: u64,
}

impl Ends {
    /// Two ends that have said nothing yet.
    fn silent(config: ServerConfig) -> Self {
        Self {
            client: ClientConnection::new("test/1.0"),
            server: ServerConnection::new(config, 0),
            now_us: 0,
        }
    }

    /// Two ends that have said hello.
    fn greeted(config: ServerConfig) -> Self {
        let mut ends = Self::silent(config);
        assert_eq!(ends.at_server(), []);
        assert_eq!(ends.at_client(), []);
        assert!(ends.client.server().is_some());
        ends
    }

    /// Two ends with a session.
    fn with_session(config: ServerConfig) -> Self {
        let mut ends = Self::greeted(config);
        ends.exchange(&log_in(), &logged_in());
        assert!(ends.server.is_logged_in());
        ends
    }

    /// Carries the client's output over, and gives the requests that come out.
    fn at_server(&mut self) -> Vec<Request> {
        let bytes = self.client.output().to_vec();
        self.client.sent(bytes.len());
        self.server.read_buffer().extend_from_slice(&bytes);
        std::iter::from_fn(|| self.server.poll_request(self.now_us)).collect()
    }

    /// Carries the server's output over, and gives the replies that come out.
    fn at_client(&mut self) -> Vec<Reply> {
        let bytes = self.server.output().to_vec();
        self.server.sent(bytes.len(), self.now_us);
        self.client.read_buffer().extend_from_slice(&bytes);
        std::iter::from_fn(|| self.client.poll_reply().unwrap()).collect()
    }

    /// One request and its reply, all the way.
    fn exchange(&mut self, body: &RequestBody, answer: &ReplyBody) -> RequestId {
        let id = self.client.request(body).unwrap();
        assert_eq!(self.at_server(), [Request { id, body: body.clone() }]);
        self.server.reply(id, answer, self.now_us);
        assert_eq!(self.at_client(), [Reply { id: Some(id), body: answer.clone() }]);
        id
    }
}

fn request_frame(id: u32, body: &RequestBody) -> BytesMut {
    let mut out = BytesMut::new();
    let id = RequestId::new(id).unwrap();
    frame::append(&mut out, usize::MAX, |to| encode_request(to, id, body)).unwrap();
    out
}

fn protocol_error(server: &ServerConnection) -> String {
    assert!(server.is_closing());
    String::from_utf8_lossy(server.output()).into_owned()
}

#[test]
fn hello_then_requests_then_replies_in_any_order() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let ids: Vec<_> = (0..3).map(|number| ends.client.request(&purchase(number)).unwrap()).collect();
    let requests = ends.at_server();
    assert_eq!(requests.iter().map(|request| request.id).collect::<Vec<_>>(), ids);
    for number in [2, 0, 1] {
        ends.server.reply(ids[number], &receipt(number as u128), 0);
    }
    let answered: Vec<_> = ends.at_client().into_iter().map(|reply| reply.id).collect();
    assert_eq!(answered, [Some(ids[2]), Some(ids[0]), Some(ids[1])]);
    assert_eq!((ends.client.in_flight(), ends.server.in_flight()), (0, 0));
}

#[test]
fn a_client_waits_for_the_hello() {
    let mut client = ClientConnection::new("test/1.0");
    assert_eq!(client.request(&RequestBody::WhoAmI), Err(SendError::NotReady));
}

#[test]
fn hello_comes_first_and_once() {
    let mut server = ServerConnection::new(ServerConfig::default(), 0);
    server.read_buffer().extend_from_slice(&request_frame(1, &RequestBody::WhoAmI));
    assert_eq!(server.poll_request(0), None);
    assert!(protocol_error(&server).contains("the first request of a connection is hello"));

    let mut ends = Ends::greeted(ServerConfig::default());
    let hello = ClientHello { protocol: vec![1], client: "test/1.0".into(), frame_bytes_max: u32::MAX };
    ends.server.read_buffer().extend_from_slice(&request_frame(9, &RequestBody::Hello(hello)));
    assert_eq!(ends.server.poll_request(0), None);
    assert!(protocol_error(&ends.server).contains("hello is said once"));
}

#[test]
fn a_client_of_another_version_is_told_which_are_served() {
    let mut server = ServerConnection::new(ServerConfig::default(), 0);
    let hello = ClientHello { protocol: vec![2, 3], client: "new/2".into(), frame_bytes_max: 1 << 20 };
    server.read_buffer().extend_from_slice(&request_frame(1, &RequestBody::Hello(hello)));
    assert_eq!(server.poll_request(0), None);
    assert!(protocol_error(&server).contains("none of the client's protocol versions is served"));

    let mut client = ClientConnection::new("test/1.0");
    client.read_buffer().extend_from_slice(server.output());
    let error = client.poll_reply().unwrap_err();
    assert_eq!(error, ClientError::BrokenOff(ProtocolError::unsupported_protocol()));
    assert_eq!(client.request(&RequestBody::WhoAmI), Err(SendError::Ended));
}

#[test]
fn a_client_that_takes_too_small_frames_is_refused() {
    let mut server = ServerConnection::new(ServerConfig::default(), 0);
    let hello = ClientHello { protocol: vec![1], client: "tiny/1".into(), frame_bytes_max: 65_535 };
    server.read_buffer().extend_from_slice(&request_frame(1, &RequestBody::Hello(hello)));
    assert_eq!(server.poll_request(0), None);
    assert!(protocol_error(&server).contains("frame_bytes_max is at least 65536"));
}

#[test]
fn a_newer_client_may_say_more_in_its_hello() {
    let hello =
        b"\x83\x01\x00\xa4\x66client\x61n\x68protocol\x83\x01\x02\x1b\xff\xff\xff\xff\xff\xff\xff\xff\
        \x6fframe_bytes_max\x1b\xff\xff\xff\xff\xff\xff\xff\xff\x69languages\x82\x62en\x62de";
    let mut server = ServerConnection::new(ServerConfig::default(), 0);
    let length = u32::try_from(hello.len()).unwrap().to_be_bytes();
    server.read_buffer().extend_from_slice(&[&length[..], hello].concat());
    assert_eq!(server.poll_request(0), None);
    assert!(!server.is_closing() && !server.output().is_empty());
}

#[test]
fn no_more_is_read_while_too_many_wait() {
    let config = ServerConfig { in_flight_max: 2, ..ServerConfig::default() };
    let mut ends = Ends::with_session(config);
    let bytes: Vec<u8> = (11..14).flat_map(|id| request_frame(id, &purchase(id.into()))).collect();
    ends.server.read_buffer().extend_from_slice(&bytes);
    let first = ends.server.poll_request(0).unwrap();
    assert!(ends.server.poll_request(0).is_some());
    assert!(ends.server.poll_request(0).is_none() && !ends.server.wants_read());
    ends.server.reply(first.id, &receipt(11), 0);
    assert_eq!(ends.server.poll_request(0).map(|request| request.id), RequestId::new(13));
}

#[test]
fn no_more_is_read_while_many_rows_are_still_to_come() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let levels = |limit| RequestBody::Levels { after: None, limit };
    let pages: Vec<u8> = (11..111).flat_map(|id| request_frame(id, &levels(None))).collect();
    ends.server.read_buffer().extend_from_slice(&pages);
    let taken: Vec<Request> = std::iter::from_fn(|| ends.server.poll_request(0)).collect();
    assert!(taken.len() == 1 && !ends.server.wants_read(), "{}", taken.len());
    let page = ReplyBody::Done(Done::Levels(LevelsPage::default()));
    for request in taken {
        ends.server.reply(request.id, &page, 0);
        assert!(ends.server.poll_request(0).is_some(), "a reply makes room");
    }

    let mut ends = Ends::with_session(ServerConfig::default());
    let rows: Vec<u8> = (11..111).flat_map(|id| request_frame(id, &levels(Some(1)))).collect();
    ends.server.read_buffer().extend_from_slice(&rows);
    assert_eq!(std::iter::from_fn(|| ends.server.poll_request(0)).count(), 100, "short pages are cheap");
}

#[test]
fn no_page_is_made_for_a_peer_that_has_not_taken_the_one_before() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let page = |id| request_frame(id, &RequestBody::Levels { after: None, limit: None });
    ends.server.read_buffer().extend_from_slice(&[page(11), page(12)].concat());
    let first = ends.server.poll_request(0).unwrap();
    let levels = (1..=128).map(|code| long_row(code, 0)).collect();
    ends.server.reply(first.id, &ReplyBody::Done(Done::Levels(LevelsPage { levels, next: None })), 0);
    ends.server.sent(ends.server.output().len() / 10, 0);
    assert!(ends.server.poll_request(0).is_none() && !ends.server.wants_read());
    ends.server.sent(ends.server.output().len(), 0);
    assert_eq!(ends.server.poll_request(0).map(|request| request.id), RequestId::new(12));
}

#[test]
fn a_turn_gives_only_so_many_requests_answered_inside_or_not_and_the_next_turn_gives_the_rest() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let mut given = Vec::new();
    let bytes: Vec<u8> = (11..511).flat_map(|id| request_frame(id, &RequestBody::WhoAmI)).collect();
    ends.server.read_buffer().extend_from_slice(&bytes);
    while given.last() != Some(&0) {
        ends.server.begin_turn();
        given.push(std::iter::from_fn(|| ends.server.poll_request(0)).count());
        assert_eq!(ends.server.turn_is_over(), ends.server.in_flight() < 500);
    }
    assert_eq!(given.iter().sum::<usize>(), 500);
    assert!(given.iter().all(|requests| *requests < 250), "{given:?}");

    // What is turned away is answered inside, and counts as well.
    let config = ServerConfig { output_bytes_target: 1 << 20, ..ServerConfig::default() };
    let mut ends = Ends::with_session(config);
    ends.server.set_reply_bytes_max(0);
    let page = RequestBody::Levels { after: None, limit: None };
    let turned_away: Vec<u8> = (11..511).flat_map(|id| request_frame(id, &page)).collect();
    ends.server.read_buffer().extend_from_slice(&turned_away);
    ends.server.begin_turn();
    assert!(ends.server.poll_request(0).is_none() && ends.server.turn_is_over());
    let answered = ends.server.output().len();
    ends.server.begin_turn();
    assert!(ends.server.poll_request(0).is_none() && ends.server.output().len() > answered);
}

#[test]
fn one_read_brings_the_rest_of_a_frame_or_a_few_small_ones() {
    let mut ends = Ends::with_session(ServerConfig::default());
    assert_eq!(ends.server.read_bytes_max(), BUFFER_BYTES_MIN);
    let frame = [&(100_000_u32).to_be_bytes()[..], &[0x81; 1_000]].concat();
    ends.server.read_buffer().extend_from_slice(&frame);
    assert_eq!(ends.server.read_bytes_max(), 99_000);
    let mut stranger = ServerConnection::new(ServerConfig::default(), 0);
    stranger.read_buffer().extend_from_slice(&[0xff; 4]);
    assert_eq!(stranger.read_bytes_max(), BUFFER_BYTES_MIN);
}

#[test]
fn when_memory_is_short_a_long_page_is_turned_away_and_the_rest_goes_on() {
    let mut ends = Ends::with_session(ServerConfig::default());
    ends.server.set_reply_bytes_max(8 << 10);
    for (id, limit, is_taken) in [(11, None, false), (12, Some(1), true)] {
        ends.server
            .read_buffer()
            .extend_from_slice(&request_frame(id, &RequestBody::Levels { after: None, limit }));
        assert_eq!(ends.server.poll_request(0).is_some(), is_taken, "{id}");
    }
    assert_eq!(ends.server.in_flight(), 1, "a request that was turned away was answered");
}

#[test]
fn a_peer_is_waited_for_from_its_first_unsent_byte_until_the_last_and_while_a_frame_is_incomplete() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let request = request_frame(11, &RequestBody::WhoAmI);
    let (first, rest) = request.split_at(3);
    ends.server.read_buffer().extend_from_slice(first);
    assert!(ends.server.poll_request(10).is_none());
    assert_eq!(ends.server.waits_since_us(), Some(10));
    ends.server.read_buffer().extend_from_slice(rest);
    let request = ends.server.poll_request(20).unwrap();
    assert!(ends.server.poll_request(20).is_none());
    assert_eq!(ends.server.waits_since_us(), None);
    ends.server.reply(request.id, &ReplyBody::Refused(Refusal::NotLoggedIn), 30);
    ends.server.sent(1, 40);
    assert_eq!(ends.server.waits_since_us(), Some(30), "a byte now and then is not enough");
    ends.server.sent(ends.server.output().len(), 50);
    assert_eq!(ends.server.waits_since_us(), None);
}

#[test]
fn few_requests_are_read_at_once_before_a_login() {
    let mut ends = Ends::greeted(ServerConfig::default());
    let bytes: Vec<u8> = (11..31).flat_map(|id| request_frame(id, &RequestBody::WhoAmI)).collect();
    ends.server.read_buffer().extend_from_slice(&bytes);
    let taken = std::iter::from_fn(|| ends.server.poll_request(0)).count();
    assert_eq!(taken, ANONYMOUS_IN_FLIGHT_MAX);
    assert!(!ends.server.wants_read());
    let not_logged_in = ReplyBody::Refused(Refusal::NotLoggedIn);
    ends.server.reply(RequestId::new(11).unwrap(), &not_logged_in, 0);
    assert!(ends.server.poll_request(0).is_some(), "an answer makes room for the next");
}

#[test]
fn a_client_keeps_to_what_the_server_allows() {
    let config = ServerConfig { in_flight_max: 1, ..ServerConfig::default() };
    let mut ends = Ends::greeted(config);
    let large = RequestBody::LogIn { user: "x".repeat(5_000).into(), password: Password::new("").unwrap() };
    assert!(matches!(ends.client.request(&large), Err(SendError::TooLarge(FrameError::TooLarge { .. }))));
    ends.client.request(&log_in()).unwrap();
    assert_eq!(ends.client.request(&RequestBody::WhoAmI), Err(SendError::InFlight));
}

#[test]
fn no_more_is_read_while_the_peer_leaves_its_replies() {
    let config = ServerConfig { output_bytes_target: 100, ..ServerConfig::default() };
    let mut ends = Ends::with_session(config);
    let bytes: Vec<u8> = (11..21).flat_map(|id| request_frame(id, &purchase(id.into()))).collect();
    ends.server.read_buffer().extend_from_slice(&bytes);
    let mut taken = 0;
    while let Some(request) = ends.server.poll_request(0) {
        taken += 1;
        ends.server.reply(request.id, &receipt(request.id.get().into()), 0);
    }
    assert!(taken < 10 && !ends.server.wants_read());
    let unsent = ends.server.output().len();
    ends.server.sent(unsent, 0);
    assert!(ends.server.wants_read() && ends.server.poll_request(0).is_some());
}

/// A level with the longest name.
fn long_row(code: u64, location: u16) -> LevelRow {
    LevelRow {
        upc: Upc::new(code).unwrap(),
        name: "x".repeat(256).into(),
        location: LocationId(location),
        on_hand: Units::ZERO,
        reserved: Units::ZERO,
        price: None,
    }
}

/// What a client that takes the smallest frames is answered with this page.
fn answer_in_small_frames(levels: Vec<LevelRow>, next: Option<Upc>) -> ReplyBody {
    let mut server = ServerConnection::new(ServerConfig::default(), 0);
    let least = u32::try_from(FRAME_BYTES_MIN).unwrap();
    let hello = ClientHello { protocol: vec![1], client: "small/1".into(), frame_bytes_max: least };
    let mut bytes = request_frame(1, &RequestBody::Hello(hello));
    bytes.extend_from_slice(&request_frame(2, &RequestBody::Levels { after: None, limit: None }));
    server.read_buffer().extend_from_slice(&bytes);
    let request = server.poll_request(0).unwrap();
    let hello_bytes = server.output().len();
    server.sent(hello_bytes, 0);
    server.reply(request.id, &ReplyBody::Done(Done::Levels(LevelsPage { levels, next })), 0);
    assert!(!server.is_closing());
    let payload = frame::first_payload(server.output(), FRAME_BYTES_MIN).unwrap().unwrap();
    decode_reply(payload, |_| Some(Op::Levels)).unwrap().body
}

#[test]
fn a_page_is_cut_between_items_to_what_the_client_takes() {
    let all: Vec<LevelRow> = (1..=1_000).flat_map(|code| [long_row(code, 0), long_row(code, 3)]).collect();
    let ReplyBody::Done(Done::Levels(page)) = answer_in_small_frames(all.clone(), None) else {
        panic!("a page")
    };
    assert_eq!(page.levels, all[..page.levels.len()]);
    assert!(page.levels.len() >= 100, "{} rows fill a good part of the frame", page.levels.len());
    assert_eq!(page.levels.len() % 2, 0, "both rows of each item");
    assert_eq!(page.next, page.levels.last().map(|row| row.upc));
}

#[test]
fn an_item_that_the_client_cannot_take_is_said_so() {
    let item: Vec<LevelRow> = (0..1_000).map(|location| long_row(7, location)).collect();
    let too_large = ReplyBody::Unavailable(Unavailable::ReplyTooLarge);
    assert_eq!(answer_in_small_frames(item.clone(), None), too_large);
    let behind_another = [vec![long_row(1, 0)], item].concat();
    let first = LevelsPage { levels: vec![long_row(1, 0)], next: Upc::new(1).ok() };
    assert_eq!(answer_in_small_frames(behind_another, None), ReplyBody::Done(Done::Levels(first)));
}

#[test]
fn a_frame_that_stays_half_is_given_up_at_its_deadline() {
    let mut ends = Ends::with_session(ServerConfig::default());
    assert_eq!(ends.server.deadline_us(), None, "a session may be idle");
    let whole = request_frame(11, &purchase(11));
    ends.server.read_buffer().extend_from_slice(&whole[..10]);
    assert_eq!(ends.server.poll_request(1_000), None);
    ends.server.read_buffer().extend_from_slice(&whole[10..20]);
    assert_eq!(ends.server.poll_request(2_000_000), None);
    assert_eq!(ends.server.deadline_us(), Some(1_000 + FRAME_DEADLINE_US), "counted from its first byte");
    ends.server.handle_timeout(FRAME_DEADLINE_US);
    assert!(!ends.server.is_closing());
    ends.server.handle_timeout(1_000 + FRAME_DEADLINE_US);
    assert!(protocol_error(&ends.server).contains("did not become complete in time"));
}

#[test]
fn a_frame_that_becomes_complete_has_no_deadline_left() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let whole = request_frame(11, &purchase(11));
    ends.server.read_buffer().extend_from_slice(&whole[..10]);
    assert_eq!(ends.server.poll_request(0), None);
    ends.server.read_buffer().extend_from_slice(&whole[10..]);
    assert!(ends.server.poll_request(5).is_some());
    assert!(ends.server.poll_request(5).is_none());
    assert_eq!(ends.server.deadline_us(), None);
}

#[test]
fn an_idle_connection_without_a_session_is_given_up() {
    let mut ends = Ends::silent(ServerConfig::default());
    assert_eq!(ends.server.deadline_us(), Some(ANONYMOUS_DEADLINE_US));
    ends.now_us = 7;
    ends.at_server();
    ends.at_client();
    assert_eq!(ends.server.deadline_us(), Some(7 + ANONYMOUS_DEADLINE_US));
    let id = ends.client.request(&log_in()).unwrap();
    ends.at_server();
    assert_eq!(ends.server.deadline_us(), None, "a request that waits for the server is not idle");
    ends.now_us = 100;
    ends.server.reply(id, &ReplyBody::Refused(Refusal::BadCredentials), 100);
    ends.at_client();
    assert_eq!(ends.server.deadline_us(), Some(100 + ANONYMOUS_DEADLINE_US));
    ends.server.handle_timeout(100 + ANONYMOUS_DEADLINE_US);
    assert!(protocol_error(&ends.server).contains("idle for too long"));
}

#[test]
fn a_peer_that_takes_nothing_is_cut_off() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let id = ends.client.request(&purchase(1)).unwrap();
    ends.at_server();
    ends.server.reply(id, &receipt(1), 50);
    assert_eq!(ends.server.deadline_us(), Some(50 + FRAME_DEADLINE_US));
    ends.server.sent(1, 60);
    assert_eq!(ends.server.deadline_us(), Some(60 + FRAME_DEADLINE_US), "one byte is a sign of life");
    ends.server.handle_timeout(60 + FRAME_DEADLINE_US);
    assert!(ends.server.is_finished());
}

#[test]
fn a_logout_makes_the_connection_anonymous_and_it_may_not_be_idle_any_more() {
    let mut ends = Ends::with_session(ServerConfig::default());
    ends.exchange(&RequestBody::LogOut, &ReplyBody::Done(Done::LoggedOut));
    assert!(!ends.server.is_logged_in() && !ends.client.is_logged_in());
    assert_eq!(ends.server.deadline_us(), Some(ANONYMOUS_DEADLINE_US));
    ends.exchange(&log_in(), &logged_in());
    assert_eq!(ends.server.deadline_us(), None);
}

#[test]
fn large_frames_are_taken_from_the_first_login_to_the_end_of_the_connection() {
    let large =
        RequestBody::DefineItem { upc: Upc::new(1).unwrap(), name: "x".repeat(5_000).into(), price: None };
    let mut ends = Ends::greeted(ServerConfig::default());
    assert!(matches!(ends.client.request(&large), Err(SendError::TooLarge(_))));
    ends.exchange(&log_in(), &logged_in());
    let first = ends.client.request(&RequestBody::WhoAmI).unwrap();
    let second = ends.client.request(&large).unwrap();
    let on_its_way = ends.client.output().to_vec();
    let (before, after) = on_its_way.split_at(on_its_way.len() - 1_000);
    ends.server.read_buffer().extend_from_slice(before);
    assert_eq!(ends.server.poll_request(0).map(|request| request.id), Some(first));
    ends.server.reply(first, &ReplyBody::Refused(Refusal::NotLoggedIn), 0);
    assert!(!ends.server.is_logged_in(), "the session was ended elsewhere");
    ends.server.read_buffer().extend_from_slice(after);
    assert_eq!(ends.server.poll_request(0).map(|request| request.id), Some(second));
    ends.server.reply(second, &ReplyBody::Refused(Refusal::NotLoggedIn), 0);
    assert!(!ends.server.is_closing());
    ends.client.sent(on_its_way.len());
    assert_eq!(ends.at_client().len(), 2);
    ends.exchange(&large, &ReplyBody::Refused(Refusal::NotLoggedIn));
}

#[test]
fn a_session_that_ended_elsewhere_is_noticed_but_not_by_an_older_refusal() {
    let mut ends = Ends::greeted(ServerConfig::default());
    let early = ends.client.request(&RequestBody::WhoAmI).unwrap();
    let login = ends.client.request(&log_in()).unwrap();
    ends.at_server();
    ends.server.reply(login, &logged_in(), 0);
    ends.server.reply(early, &ReplyBody::Refused(Refusal::NotLoggedIn), 0);
    assert!(ends.server.is_logged_in(), "that was asked before the login");
    ends.at_client();
    ends.exchange(&RequestBody::WhoAmI, &ReplyBody::Refused(Refusal::NotLoggedIn));
    assert!(!ends.server.is_logged_in());
}

#[test]
fn nothing_is_said_after_a_protocol_error() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let id = ends.client.request(&purchase(1)).unwrap();
    ends.at_server();
    ends.server.read_buffer().extend_from_slice(&[0; 4]);
    assert_eq!(ends.server.poll_request(0), None);
    let said = ends.server.output().to_vec();
    ends.server.reply(id, &receipt(1), 0);
    assert_eq!(ends.server.output(), said);
    ends.client.read_buffer().extend_from_slice(&said);
    let error = ends.client.poll_reply().unwrap_err();
    assert!(matches!(error, ClientError::BrokenOff(error) if error.is(ProtocolErrorCode::FrameEmpty)));
}

#[test]
fn what_was_received_is_answered_after_reading_has_stopped() {
    let mut ends = Ends::with_session(ServerConfig::default());
    let bytes = [request_frame(11, &purchase(11)), request_frame(12, &purchase(12))].concat();
    ends.server.read_buffer().extend_from_slice(&bytes);
    ends.server.stop_reading();
    assert!(!ends.server.wants_read() && !ends.server.is_finished());
    for id in [11, 12] {
        let request = ends.server.poll_request(0).unwrap();
        assert!(!ends.server.is_finished());
        ends.server.reply(request.id, &receipt(id), 0);
    }
    assert!(!ends.server.is_finished(), "there is output");
    let bytes = ends.server.output().len();
    ends.server.sent(bytes, 0);
    assert!(ends.server.is_finished());
}

#[test]
fn a_lying_server_is_caught() {
    let answer = |id: u32, body: &ReplyBody| {
        let mut ends = Ends::with_session(ServerConfig::default());
        ends.client.request(&purchase(1)).unwrap();
        let mut frame = BytesMut::new();
        frame::append(&mut frame, usize::MAX, |to| encode_reply(to, RequestId::new(id), body)).unwrap();
        ends.client.read_buffer().extend_from_slice(&frame);
        match ends.client.poll_reply() {
            Err(ClientError::BadServer(error)) => error.message.into_owned(),
            other => panic!("{other:?} should be caught"),
        }
    };
    assert!(answer(99, &receipt(1)).contains("not in flight"));
    assert!(answer(0, &receipt(1)).contains("not in flight"));
    assert!(answer(3, &receipt(2)).contains("another order"));
    assert!(answer(3, &ReplyBody::Done(Done::LoggedOut)).contains("missing field"));
    assert!(answer(3, &ReplyBody::Done(Done::Version(Version(1)))).contains("missing field"));
}

fn script() -> (Vec<Request>, Vec<u8>) {
    let hello = ClientHello { protocol: vec![1], client: "test/1.0".into(), frame_bytes_max: 1 << 20 };
    let mut bytes = request_frame(1, &RequestBody::Hello(hello)).to_vec();
    let mut requests = Vec::new();
    for id in 2..10u32 {
        let body = match id % 4 {
            0 => log_in(),
            1 => RequestBody::WhoAmI,
            2 => RequestBody::Levels { after: None, limit: Some(id) },
            _ => purchase(id.into()),
        };
        bytes.extend_from_slice(&request_frame(id, &body));
        requests.push(Request { id: RequestId::new(id).unwrap(), body });
    }
    (requests, bytes)
}

proptest! {
    #[test]
    fn however_the_bytes_are_split_the_requests_are_the_same(
        mut cuts in proptest::collection::vec(0usize..600, 0..40),
    ) {
        let (expected, bytes) = script();
        cuts.retain(|cut| *cut < bytes.len());
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut server = ServerConnection::new(ServerConfig::default(), 0);
        let (mut requests, mut start) = (Vec::new(), 0);
        for cut in cuts {
            server.read_buffer().extend_from_slice(&bytes[start..cut]);
            requests.extend(std::iter::from_fn(|| server.poll_request(0)));
            start = cut;
        }
        prop_assert_eq!(requests, expected);
    }

    #[test]
    fn however_the_bytes_are_split_the_replies_are_the_same(
        mut cuts in proptest::collection::vec(0usize..400, 0..40),
    ) {
        let mut ends = Ends::with_session(ServerConfig::default());
        let ids: Vec<_> = (0..4).map(|number| ends.client.request(&purchase(number)).unwrap()).collect();
        ends.at_server();
        for (number, id) in ids.iter().enumerate() {
            ends.server.reply(*id, &receipt(number as u128), 0);
        }
        let bytes = ends.server.output().to_vec();
        cuts.retain(|cut| *cut < bytes.len());
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let (mut replies, mut start) = (Vec::new(), 0);
        for cut in cuts {
            ends.client.read_buffer().extend_from_slice(&bytes[start..cut]);
            replies.extend(std::iter::from_fn(|| ends.client.poll_reply().unwrap()));
            start = cut;
        }
        prop_assert_eq!(replies.iter().map(|reply| reply.id).collect::<Vec<_>>(), ids.into_iter().map(Some).collect::<Vec<_>>());
    }
}
