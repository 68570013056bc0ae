//! Groups and snapshots: what can be read is written as the same bytes, and a state that they make is whole.

use bytes::Bytes;
use inventory_core::journal::{Auditor, Group, GroupBuilder, Replayer, Snapshot};

const GROUP_HEADER_BYTES: usize = 64;

/// If the first byte is odd, the rest is the events of a first group, the next byte their number; else it is a group.
pub(crate) fn group(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let bytes = if kind & 1 == 1 {
        let Some((count, events)) = bytes.split_first() else { return };
        let mut group = vec![1, 0, 0, 0, *count];
        group.resize(GROUP_HEADER_BYTES, 0);
        group.extend_from_slice(events);
        group
    } else {
        bytes.to_vec()
    };
    let Ok(group) = Group::from_bytes(Bytes::from(bytes)) else { return };
    let Ok(records) = group.records().collect::<Result<Vec<_>, _>>() else { return };
    let mut builder = GroupBuilder::new(group.base());
    for (_, record) in &records {
        builder.push(record);
    }
    assert_eq!(builder.seal(group.append_id(), group.previous()).as_ref(), Some(&group));

    let (mut replayer, mut audit) = (Replayer::new(1), Auditor::new(2));
    let followed = replayer.follow(&group);
    if audit.follow(&group).is_ok() {
        assert_eq!(followed, Ok(()), "the audit trusts less than replay does");
    }
    if followed.is_ok() {
        round_trip(&Snapshot::of(replayer.state(), group.hash()));
    }
}

/// If the first byte is odd, the rest is the content of a snapshot behind its format; else it is a snapshot.
pub(crate) fn snapshot(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let bytes = if kind & 1 == 1 {
        let mut snapshot = b"INVSNAP\0\x01\0".to_vec();
        snapshot.extend_from_slice(bytes);
        let hash = blake3::hash(&snapshot);
        snapshot.extend_from_slice(hash.as_bytes());
        snapshot
    } else {
        bytes.to_vec()
    };
    let Ok(snapshot) = Snapshot::from_bytes(Bytes::from(bytes)) else { return };
    let _ = snapshot.time();
    round_trip(&snapshot);
}

/// If this snapshot can be restored, the one of that state is the same, whatever order the first was written in.
fn round_trip(snapshot: &Snapshot) {
    let Ok(state) = snapshot.restore(3) else { return };
    let again = Snapshot::of(&state, snapshot.tip().hash);
    assert_eq!(again.tip(), snapshot.tip());
    let restored = again.restore(4).expect("what was written can be restored");
    assert_eq!(restored.digest(), state.digest());
}
