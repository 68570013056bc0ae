//! The trace of a run as one number: two runs of one seed must have the same.

use xxhash_rust::xxh3::Xxh3Default;

/// XXH3-64 over everything that was noted, in order.
#[derive(Clone, Default)]
pub(crate) struct Trace(Xxh3Default);

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({:016x})", self.digest())
    }
}

impl Trace {
    /// Something happened: what kind of thing, and its details.
    pub(crate) fn note(&mut self, kind: &str, detail: u64) {
        self.0.update(kind.as_bytes());
        self.0.update(&detail.to_le_bytes());
    }

    /// These bytes went somewhere.
    pub(crate) fn note_bytes(&mut self, kind: &str, bytes: &[u8]) {
        self.note(kind, bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.0.digest()
    }
}
