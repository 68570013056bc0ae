//! One journal at a time on a directory, which is its owner's alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use common::{append_all, open_dir, tip};
use inventory_core::Version;
use inventory_core::journal::Journal as _;
use inventory_core::testing::Chain;
use inventory_store::{FileJournal, FileJournalOptions, OpenError};

/// Tells the test below that it is the other process, and which directory to hold.
const HOLD_DIR: &str = "INVENTORY_STORE_TEST_HOLD_DIR";

#[test]
fn a_second_open_in_one_process_is_refused_until_the_first_is_dropped() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let first = open_dir(&dir).unwrap();
    let why = open_dir(&dir).unwrap_err();
    assert!(matches!(why, OpenError::InUse { holder: Some(pid), .. } if pid == std::process::id()));
    let message = why.to_string();
    assert!(message.contains(dir.to_str().unwrap()) && message.contains("this same process"), "{message}");
    drop(first);
    open_dir(&dir).unwrap();
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_directory() {
    if let Ok(dir) = env::var(HOLD_DIR) {
        return hold(Path::new(&dir));
    }
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let mut other = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_second_process_is_refused_and_told_who_holds_the_directory", "--nocapture"])
        .env(HOLD_DIR, &dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = io::BufReader::new(other.stdout.take().unwrap());
    let held = io::BufRead::lines(output).map(Result::unwrap).any(|line| line.contains("held"));
    assert!(held, "the other process opened the journal");
    let message = open_dir(&dir).unwrap_err().to_string();
    assert!(message.contains(&format!("process {}", other.id())), "{message}");
    drop(other.stdin.take());
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(tip(&open_dir(&dir).unwrap()).version.0, 3, "the kernel released it with the process");
}

/// What the other process does: opens the journal, says so, and waits to be killed or left alone.
fn hold(dir: &Path) {
    let journal = open_dir(dir).unwrap();
    append_all(&journal, &mut Chain::new(1), &[100; 3]);
    println!("held");
    io::stdin().read_line(&mut String::new()).unwrap();
    drop(journal);
}

#[test]
fn a_new_directory_and_its_files_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("above").join("data");
    let journal = open_dir(&dir).unwrap();
    append_all(&journal, &mut Chain::new(1), &[3_000; 3]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("lock")), 0o600);
    for inner in ["journal", "snapshots"] {
        assert_eq!(mode(&dir.join(inner)), 0o700, "{inner}");
        for file in fs::read_dir(dir.join(inner)).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }
}

#[test]
fn a_path_that_cannot_be_a_directory_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let message = open_dir(&dir).unwrap_err().to_string();
        assert!(message.contains(dir.to_str().unwrap()), "{message}");
    }
}

/// A reading that nobody waits for any more goes on for a while in its thread; it writes nothing.
#[test]
fn an_abandoned_reading_does_not_keep_the_directory() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let options = FileJournalOptions { segment_bytes: 8 << 20, prepare_ahead: false };
    let open = || FileJournal::open(&dir, options);
    let journal = open().unwrap();
    append_all(&journal, &mut Chain::new(1), &[500_000; 12]);
    for _ in 0..8 {
        drop(journal.read(Version::ZERO, usize::MAX));
    }
    drop(journal);
    drop(open().unwrap());
}
