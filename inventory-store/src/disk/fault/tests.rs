//! The simulated disk loses what it should lose, and only that.

use super::*;

fn written(disk: &FaultDisk) -> Arc<dyn DiskFile> {
    let file = disk.create("dir/file").unwrap();
    disk.sync_dir("dir").unwrap();
    file.write_at(&[1; 2_000], 0).unwrap();
    file
}

#[test]
fn only_what_was_synced_is_certain_to_survive() {
    let disk = FaultDisk::new();
    let file = written(&disk);
    assert_eq!(disk.after_power_loss(Survives::Nothing).bytes("dir/file"), Some(vec![]));
    assert_eq!(disk.after_power_loss(Survives::Everything).bytes("dir/file"), Some(vec![1; 2_000]));
    file.sync_data().unwrap();
    assert_eq!(disk.after_power_loss(Survives::Nothing).bytes("dir/file"), Some(vec![1; 2_000]));
}

#[test]
fn a_write_that_was_not_synced_survives_in_any_part() {
    let disk = FaultDisk::new();
    let file = written(&disk);
    file.sync_data().unwrap();
    file.write_at(&[2; 2_000], 0).unwrap();
    let outcomes: BTreeSet<_> =
        (0..64).map(|seed| disk.after_power_loss(Survives::Some(seed)).bytes("dir/file")).collect();
    assert!(outcomes.len() > 8, "{} outcomes of 16", outcomes.len());
}

#[test]
fn what_a_failed_sync_should_have_saved_is_not_saved_by_the_next() {
    let disk = FaultDisk::new();
    let file = written(&disk);
    disk.fail_at(disk.operations(), Fault::Error(io::ErrorKind::Other));
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(disk.after_power_loss(Survives::Everything).bytes("dir/file"), Some(vec![0; 2_000]));
}

#[test]
fn names_survive_in_the_order_of_their_changes() {
    let disk = FaultDisk::new();
    written(&disk);
    disk.rename("dir/file", "dir/renamed").unwrap();
    disk.create("dir/later").unwrap();
    for seed in 0..64 {
        let names = disk.after_power_loss(Survives::Some(seed)).names();
        let possible = [vec!["dir/file"], vec!["dir/renamed"], vec!["dir/later", "dir/renamed"]];
        assert!(possible.iter().any(|list| names == *list), "{names:?}");
    }
    disk.sync_dir("dir").unwrap();
    assert_eq!(disk.after_power_loss(Survives::Nothing).names(), ["dir/later", "dir/renamed"]);
}

#[test]
fn without_power_nothing_goes() {
    let disk = FaultDisk::new();
    disk.fail_at(1, Fault::PowerLoss);
    disk.create("dir/file").unwrap();
    disk.sync_dir("dir").unwrap_err();
    disk.open_to_read("dir/file").unwrap_err();
    disk.list("dir").unwrap_err();
}

#[test]
fn bits_that_flip_at_rest_stay_until_they_are_put_right() {
    let disk = FaultDisk::new();
    let file = written(&disk);
    assert!(!disk.flip("dir/file", 700, 4), "these bytes are on their way to the disk");
    file.sync_data().unwrap();
    assert!(disk.flip("dir/file", 700, 4) && !disk.flip("dir/file", 2_000, 4));
    let mut flipped = vec![1; 2_000];
    flipped[700] = 5;
    for disk in [disk.clone(), disk.after_power_loss(Survives::Nothing), disk.after_kill()] {
        assert_eq!(disk.bytes("dir/file").as_ref(), Some(&flipped));
        assert_eq!(disk.flipped(), ["dir/file"]);
        disk.unflip();
        assert_eq!(disk.bytes("dir/file"), Some(vec![1; 2_000]));
        assert_eq!(disk.after_power_loss(Survives::Nothing).bytes("dir/file"), Some(vec![1; 2_000]));
    }
}

#[test]
fn a_write_to_the_sector_puts_flipped_bits_right() {
    let disk = FaultDisk::new();
    let file = written(&disk);
    file.sync_data().unwrap();
    disk.flip("dir/file", 700, 4);
    file.write_at(&[1], 1_000).unwrap();
    assert_eq!((disk.bytes("dir/file"), disk.flipped()), (Some(vec![1; 2_000]), vec![]));
}
