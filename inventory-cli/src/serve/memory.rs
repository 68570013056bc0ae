//! How the memory that clients may make a server use is divided.

use inventory_core::EngineConfig;
use inventory_net::ledger_lines::BATCHES_BYTES_MAX;
use inventory_net::password::PasswordOptions;

/// The least that is of use, in bytes.
pub(crate) const MEMORY_BYTES_MIN: u64 = 96 << 20;
/// What the process takes with an empty shop and no clients, in bytes.
const PROCESS_BYTES: usize = 24 << 20;
/// About what a request that waits takes beside its lists, in bytes.
const REQUEST_BYTES: usize = 512;

/// Each part of the server gets its bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// For what connections keep, in bytes.
    pub(crate) connections_bytes_max: usize,
    /// For what clients keep that send lines, in bytes.
    pub(crate) lines_bytes_max: usize,
    /// For requests that wait.
    pub(crate) engine: EngineConfig,
}

impl Memory {
    /// Divides so many bytes. The process itself and the hashing of passwords come first, then lines if it takes any; an
    /// eighth of the rest is left over for what is copied, and for what the allocator cannot use.
    pub(crate) fn of(bytes: u64, passwords: &PasswordOptions, takes_lines: bool) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let rest = bytes.saturating_sub(PROCESS_BYTES).saturating_sub(passwords.bytes_max());
        let (lines_bytes_max, batches) = if takes_lines { (rest / 32, BATCHES_BYTES_MAX) } else { (0, 0) };
        let rest = rest.saturating_sub(lines_bytes_max).saturating_sub(batches);
        let (eighth, usual) = (rest / 8, EngineConfig::default());
        let engine = EngineConfig {
            inbox_requests_max: usual.inbox_requests_max.min(eighth / REQUEST_BYTES),
            undurable_bytes_max: usual.undurable_bytes_max.min(eighth),
            waiting_bytes_max: usual.waiting_bytes_max.min(eighth),
            ..usual
        };
        Self { connections_bytes_max: rest / 2, lines_bytes_max, engine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_to_less_than_the_whole() {
        let passwords = PasswordOptions::default();
        for (mebibytes, takes_lines) in
            [96, 128, 512, 4_096].into_iter().flat_map(|size| [(size, false), (size, true)])
        {
            let Memory { connections_bytes_max, lines_bytes_max, engine } =
                Memory::of(mebibytes << 20, &passwords, takes_lines);
            let requests = engine.inbox_requests_max * REQUEST_BYTES;
            let lines = if takes_lines { lines_bytes_max + BATCHES_BYTES_MAX } else { 0 };
            let parts = connections_bytes_max + lines + engine.undurable_bytes_max + engine.waiting_bytes_max;
            let whole = usize::try_from(mebibytes << 20).unwrap();
            assert!(PROCESS_BYTES + passwords.bytes_max() + parts + requests < whole, "{mebibytes} MiB");
            assert!(connections_bytes_max > 4 << 20, "{mebibytes} MiB");
            assert!(engine.undurable_bytes_max > inventory_core::limits::GROUP_BYTES_MAX, "{mebibytes} MiB");
        }
    }
}
