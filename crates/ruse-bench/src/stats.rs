//! What many samples say.

use serde::Serialize;

/// The middle of samples, and how far they reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// `None` of no samples, or of one that is no number.
    pub fn of(samples: &[f64]) -> Option<Self> {
        if samples.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let median = match sorted.len() % 2 {
            1 => upper,
            _ => f64::midpoint(sorted[middle - 1], upper),
        };
        Some(Self {
            count: sorted.len(),
            median,
            min: *sorted.first()?,
            max: *sorted.last()?,
        })
    }

    /// The samples that there are.
    pub fn of_some(samples: &[Option<f64>]) -> Option<Self> {
        Self::of(&samples.iter().copied().flatten().collect::<Vec<_>>())
    }

    /// Ratios of samples of the same round: what slows the host down for a while then
    /// slows both.
    pub fn of_ratios(samples: &[Option<f64>], base: &[Option<f64>]) -> Option<Self> {
        let pairs = samples.iter().zip(base);
        let ratios = pairs.filter_map(|(&a, &b)| Some(a? / b.filter(|&b| b > 0.0)?));
        Self::of(&ratios.collect::<Vec<_>>())
    }
}

/// `None` of nothing, or if one is not above zero.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|&x| x.is_nan() || x <= 0.0) {
        return None;
    }
    let sum: f64 = values.iter().map(|x| x.ln()).sum();
    Some((sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_is_the_median() {
        let median = |samples: &[f64]| Summary::of(samples).map(|it| it.median);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), Some(3.0));
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[1.0, f64::INFINITY]), None);
    }

    #[test]
    fn an_outlier_moves_the_maximum_alone() {
        let summary = Summary::of_some(&[Some(10.0), None, Some(9.0), Some(50.0)]).unwrap();
        assert_eq!((summary.min, summary.max, summary.count), (9.0, 50.0, 3));
        assert_eq!(summary.median, 10.0);
    }

    #[test]
    fn ratios_pair_rounds() {
        // The host is half as fast in the second round; the third has no base.
        let ours = [Some(10.0), Some(20.0), Some(12.0), None];
        let base = [Some(2.0), Some(4.0), None, Some(1.0)];
        let summary = Summary::of_ratios(&ours, &base).unwrap();
        assert_eq!((summary.count, summary.min, summary.max), (2, 5.0, 5.0));
        assert_eq!(Summary::of_ratios(&ours, &[]), None);
        assert_eq!(Summary::of_ratios(&[Some(1.0)], &[Some(0.0)]), None);
    }

    #[test]
    fn geometric_means() {
        assert!((geometric_mean(&[1.0, 100.0]).unwrap() - 10.0).abs() < 1e-9);
        assert_eq!(geometric_mean(&[]), None);
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[1.0, f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn the_median_lies_between(samples in proptest::collection::vec(-1e9..1e9f64, 1..40)) {
            let it = Summary::of(&samples).unwrap();
            prop_assert!(it.min <= it.median && it.median <= it.max);
            let below = samples.iter().filter(|&&x| x < it.median).count();
            let above = samples.iter().filter(|&&x| x > it.median).count();
            prop_assert!(below <= samples.len() / 2 && above <= samples.len() / 2);
        }
    }
}
