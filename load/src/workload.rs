//! What is bought: which item, how often.

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, Zipf};

/// How often each item is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Skew {
    /// Each as often as any other.
    #[default]
    Uniform,
    /// Item k in proportion to 1 / k^0.99, as the YCSB benchmark has it: of 10,000 items the first gets a tenth.
    Zipf,
    /// Always the same one.
    Hot,
}

/// The exponent of [`Skew::Zipf`] (Cooper et al., Benchmarking Cloud Serving Systems with YCSB, 2010).
const ZIPF_EXPONENT: f64 = 0.99;

/// Chooses items by their numbers, the same ones for the same seed.
#[derive(Clone, Debug)]
pub struct Picker {
    random: SmallRng,
    items: u64,
    /// None: by the other two.
    zipf: Option<Zipf<f64>>,
    hot: bool,
}

impl Picker {
    /// One that chooses among this many items, at least one.
    pub fn new(skew: Skew, items: u64, seed: u64) -> Self {
        let items = items.max(1);
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 items")]
        let zipf = (skew == Skew::Zipf).then(|| Zipf::new(items as f64, ZIPF_EXPONENT).ok()).flatten();
        Self { random: SmallRng::seed_from_u64(seed), items, zipf, hot: skew == Skew::Hot }
    }

    /// The number of the next item, from 0.
    pub fn next_item(&mut self) -> u64 {
        match &self.zipf {
            _ if self.hot => 0,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rank is a whole number from 1 to the number of items"
            )]
            Some(zipf) => (zipf.sample(&mut self.random) as u64).clamp(1, self.items).saturating_sub(1),
            None => self.random.random_range(0..self.items),
        }
    }

    /// True in so many of 100 cases.
    pub fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.random.random_range(0..100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(skew: Skew) -> Vec<u32> {
        let mut picker = Picker::new(skew, 100, 7);
        let mut counts = vec![0; 100];
        for _ in 0..100_000 {
            counts[usize::try_from(picker.next_item()).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn uniform_wants_every_item_about_as_often() {
        assert!(counts(Skew::Uniform).iter().all(|count| (800..1_200).contains(count)));
    }

    #[test]
    fn zipf_wants_the_first_item_twice_as_often_as_the_second() {
        let counts = counts(Skew::Zipf);
        let ratio = f64::from(counts[0]) / f64::from(counts[1]);
        assert!((1.8..2.2).contains(&ratio), "{ratio}");
        assert!(counts[99] > 0, "and the last one now and then");
    }

    #[test]
    fn hot_wants_one_item_only() {
        assert_eq!(counts(Skew::Hot)[0], 100_000);
    }

    #[test]
    fn a_chance_of_0_is_never_and_of_100_always() {
        let mut picker = Picker::new(Skew::Uniform, 1, 1);
        assert!((0..1_000).all(|_| !picker.chance(0) && picker.chance(100)));
    }
}
