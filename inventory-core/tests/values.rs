//! What the values of the vocabulary are, at the ends of their ranges, and how people see them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use inventory_core::{Hash, LevelRow, LocationId, Money, OneOrMany, OrderKey, Time, Units, Upc, Version};

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

#[test]
fn values_are_shown_as_people_type_them() {
    assert_eq!(units(1_234).to_string(), "1234");
    assert_eq!(Version(5).to_string(), "5");
    assert_eq!((LocationId::MAIN.to_string(), LocationId(3).to_string()), ("main".into(), "3".into()));
    assert_eq!(Hash([0xab; 32]).to_string(), "ab".repeat(32));
    for (minor, shown) in [(5, "0.05"), (0, "0.00"), (-5, "-0.05"), (-12_345, "-123.45")] {
        assert_eq!(Money::from_minor(minor).to_string(), shown);
    }
}

#[test]
fn a_upc_grows_at_the_ends_of_the_gtin_lengths() {
    for (last, width) in [(99_999_999, 8), (999_999_999_999, 12), (9_999_999_999_999, 13)] {
        assert_eq!(Upc::new(last).unwrap().width(), width);
        assert!(Upc::new(last + 1).unwrap().width() > width);
    }
    assert_eq!(Upc::new(99_999_999_999_999).map(Upc::width), Ok(14));
}

#[test]
fn a_check_digit_is_what_is_missing_to_the_next_ten() {
    for (code, digit) in [(36_000_291_450, 2), (0, 0), (10, 7), (70, 9), (550, 0), (99_999_999_999_990, 7)] {
        assert_eq!(Upc::new(code).unwrap().check_digit(), digit, "{code}");
    }
}

#[test]
fn a_key_keeps_times_up_to_the_end_of_its_48_bits() {
    const LAST_MS: u64 = (1 << 48) - 1;
    let kept = |us| OrderKey::from_parts(Time::from_micros(us), 0).time().as_micros();
    assert_eq!(kept(LAST_MS * 1_000), LAST_MS * 1_000);
    assert_eq!(kept(LAST_MS * 1_000 + 1_000), LAST_MS * 1_000);
    assert_eq!(kept(u64::MAX), LAST_MS * 1_000);
}

#[test]
fn a_day_is_read_up_to_its_last_microsecond() {
    let last = "2026-11-21T23:59:59.999999Z";
    assert_eq!(last.parse::<Time>().map(|time| time.to_string()), Ok(last.into()));
    for text in ["2026-11-21T23:59:60Z", "2026-11-21T00:00:00.+5Z", "2026-11-21T00:00:00.5xZ"] {
        assert!(text.parse::<Time>().is_err(), "{text}");
    }
}

#[test]
fn quantities_subtract_down_to_nothing_and_no_further() {
    assert_eq!(units(5).checked_sub(units(3)), Some(units(2)));
    assert_eq!(units(5).checked_sub(units(5)), Some(Units::ZERO));
    assert_eq!(units(5).checked_sub(units(6)), None);
    assert_eq!(units(5).saturating_sub(units(6)), Units::ZERO);
    assert!(Units::ZERO.is_zero() && !units(1).is_zero());
}

#[test]
fn what_is_available_is_what_nobody_has_reserved() {
    let row = LevelRow {
        upc: Upc::new(1).unwrap(),
        name: "soup".into(),
        location: LocationId::MAIN,
        on_hand: units(10),
        reserved: units(4),
        price: None,
    };
    assert_eq!(row.available(), units(6));
}

#[test]
fn one_and_many_are_equal_if_their_elements_are() {
    let many = |list: &[u8]| OneOrMany::Many(list.into());
    assert_eq!(OneOrMany::One(7), many(&[7]));
    assert_ne!(OneOrMany::One(7), OneOrMany::One(8));
    assert_ne!(OneOrMany::One(7), many(&[7, 7]));
    assert_eq!(OneOrMany::from(vec![1, 2, 3]), many(&[1, 2, 3]));
}
