//! The simulated network: two queues of bytes for each connection. Bytes of one direction arrive in order, in pieces of
//! any size, whenever the simulator says; connections know nothing of each other, and end in the middle of anything.

use std::collections::{BTreeMap, VecDeque};

/// What names a connection.
pub(crate) type LinkId = u32;

/// One connection between a client and the server.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// The number of the server at its end.
    pub(crate) server: usize,
    pub(crate) to_server: VecDeque<u8>,
    pub(crate) to_client: VecDeque<u8>,
    /// The client sends and takes nothing more.
    pub(crate) client_gone: bool,
    /// The server sends and takes nothing more.
    pub(crate) server_gone: bool,
}

/// All connections that are not over.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: BTreeMap<LinkId, Link>,
    last: LinkId,
}

impl Network {
    pub(crate) fn open(&mut self, server: usize) -> LinkId {
        self.last += 1;
        self.links.insert(self.last, Link { server, ..Link::default() });
        self.last
    }

    pub(crate) fn link(&mut self, id: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&id)
    }

    /// The server at the end of this connection.
    pub(crate) fn server(&self, id: LinkId) -> usize {
        self.links.get(&id).map_or(0, |link| link.server)
    }

    pub(crate) fn ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Forgets connections that both ends have left.
    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| !(link.client_gone && link.server_gone));
    }

    /// These servers are gone from all their connections; of what they have sent, this much arrives on each.
    pub(crate) fn servers_vanish(
        &mut self,
        which: impl Fn(usize) -> bool,
        mut arrives: impl FnMut(usize) -> usize,
    ) {
        for link in self.links.values_mut().filter(|link| which(link.server)) {
            link.server_gone = true;
            link.to_server.clear();
            link.to_client.truncate(arrives(link.to_client.len()));
        }
    }
}

/// The first `count` bytes.
pub(crate) fn take(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    queue.drain(..count.min(queue.len())).collect()
}
