//! The dependency rules of ARCHITECTURE.md, held to the sources: crates by their manifests, rooms of the core by
//! their `use` lines.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the core in the order in which they may look at each other: each only at those before it.
const ROOMS: [&[&str]; 6] = [
    &["defect", "limits", "id", "quantity", "money", "time", "one_or_many", "column"],
    &["bulk", "command", "entry", "event", "refusal", "reply", "returns"],
    &["state"],
    &["query", "movement", "entries"],
    &["machine"],
    &["journal", "engine", "inventory", "testing"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn rooms_of_the_core_look_one_way() {
    let src = root().join("inventory-core/src");
    let mut checked = 0;
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let room = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let own = rank(room).unwrap_or_else(|| panic!("{room} has no place in ROOMS: give it one"));
        let text = fs::read_to_string(&path).unwrap();
        for line in text.lines() {
            let Some(used) = line.trim().strip_prefix("use crate::") else { continue };
            let used = used.split([':', ';']).next().unwrap();
            let other = rank(used).unwrap_or_else(|| panic!("{}: {line}: name the room", path.display()));
            assert!(other <= own, "{} must not use {used}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} lines seen");
}

#[test]
fn crates_depend_towards_the_core_only() {
    for (name, forbidden) in [
        ("inventory-core", &["inventory-store", "inventory-net", "inventory-cli"][..]),
        ("inventory-store", &["inventory-net", "inventory-cli"]),
        ("inventory-net", &["inventory-store", "inventory-cli"]),
    ] {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for other in forbidden {
            assert!(!manifest.contains(other), "{name} must not depend on {other}");
        }
    }
}

#[test]
fn the_core_has_no_clock_no_files_no_threads_and_no_randomness() {
    let src = root().join("inventory-core/src");
    for path in sources(&src) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for word in ["std::", "extern crate std", "getrandom", "SystemTime", "Instant"] {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}
