//! Plain TCP. On addresses that other machines reach only if that is allowed explicitly.

use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use super::{Address, BindError, BindOptions, Incoming, Listener, Stream, Transport, bind_error};

/// Connections that may wait to be accepted: a burst of clients must not meet a full queue.
const BACKLOG: u32 = 4_096;

pub(super) struct Tcp;

struct TcpAccept {
    listener: TcpListener,
    address: Address,
}

#[async_trait]
impl Transport for Tcp {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn form(&self) -> &'static str {
        "tcp://host:port"
    }

    fn check(&self, rest: &str) -> Result<(), &'static str> {
        let (host, port) = rest.rsplit_once(':').ok_or("the port is missing")?;
        if host.is_empty() {
            return Err("the host is missing");
        }
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err("an IPv6 address stands in brackets");
        }
        port.parse::<u16>().map_err(|_| "the port is no number from 0 to 65535").map(|_| ())
    }

    async fn bind(&self, address: &Address, options: BindOptions) -> Result<Box<dyn Listener>, BindError> {
        let (listener, address) = bind_tcp(address, options).await?;
        Ok(Box::new(TcpAccept { listener, address }))
    }

    async fn connect(&self, rest: &str) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(rest).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// A listener on an address of plain TCP, and where it really listens.
pub(crate) async fn bind_tcp(
    address: &Address,
    options: BindOptions,
) -> Result<(TcpListener, Address), BindError> {
    if address.scheme() != Tcp.scheme() {
        return Err(BindError::NotTcp(address.clone()));
    }
    let failed = |source| bind_error(address, source);
    let places: Vec<SocketAddr> = lookup_host(address.rest()).await.map_err(failed)?.collect();
    // All of them, so that a name that also means a public address is not taken by chance.
    if !options.allow_plain_tcp && places.iter().any(|place| !place.ip().is_loopback()) {
        return Err(BindError::PlainTcp(address.clone()));
    }
    let no_place = || io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    let place = places.first().copied().ok_or_else(no_place).map_err(failed)?;
    let listener = listen(place).map_err(failed)?;
    let actual = listener.local_addr().map_err(failed)?;
    Ok((listener, address.with_rest(actual.to_string())))
}

fn listen(place: SocketAddr) -> io::Result<TcpListener> {
    let socket = if place.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server takes its address back while old connections still linger in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    // Accepted connections have it from here. A peer whose machine has vanished would else keep its place for ever.
    socket.set_keepalive(true)?;
    socket.bind(place)?;
    socket.listen(BACKLOG)
}

/// One customer of a provider has a whole network of 64 bits of IPv6, and changes addresses in it at will.
fn origin(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[async_trait]
impl Listener for TcpAccept {
    async fn accept(&mut self) -> io::Result<Incoming> {
        let (stream, peer) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        let (origin, peer) = (origin(peer.ip()), format!("tcp://{peer}"));
        Ok(Incoming { stream: Box::new(stream), peer, origin })
    }

    fn address(&self) -> Address {
        self.address.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_has_vanished_is_noticed_by_the_system() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let accepted = TcpSocket::from_std_stream(accepted.into_std().unwrap());
        assert!(accepted.keepalive().unwrap());
    }

    #[test]
    fn neighbours_in_a_network_of_64_bits_are_one_origin_and_ipv4_in_ipv6_is_ipv4() {
        let of = |ip: &str| origin(ip.parse().unwrap());
        assert_eq!(of("10.0.0.1"), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
