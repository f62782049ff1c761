//! Medians, spreads and geometric means.

use serde::Serialize;

/// What a handful of measurements say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub count: usize,
    pub median: f64,
    /// Median absolute deviation from the median.
    pub deviation: f64,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    /// `None` of no samples, or of one that is not a number.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let median = median(samples)?;
        let deviations: Vec<f64> = samples.iter().map(|x| (x - median).abs()).collect();
        Some(Self {
            count: samples.len(),
            median,
            deviation: self::median(&deviations)?,
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// The ratios of two engines' samples, those of the same round paired: what
    /// slows the whole host for a while then slows both.
    pub fn of_ratios(samples: &[Option<f64>], base: &[Option<f64>]) -> Option<Self> {
        let ratios: Vec<f64> = samples
            .iter()
            .zip(base)
            .filter_map(|(&a, &b)| Some(a? / b.filter(|&b| b > 0.0)?))
            .collect();
        Self::of(&ratios)
    }

    /// Whether the samples disagree by more than a tenth of their median.
    pub fn noisy(&self) -> bool {
        self.deviation > 0.1 * self.median.abs()
    }
}

/// The middle sample, or the mean of the two in the middle.
pub fn median(samples: &[f64]) -> Option<f64> {
    if samples.iter().any(|x| x.is_nan()) {
        return None;
    }
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some((sorted[middle - 1] + upper) / 2.0)
}

/// `None` of nothing, or if a value is not above zero.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|&x| x.is_nan() || x <= 0.0) {
        return None;
    }
    let sum: f64 = values.iter().map(|x| x.ln()).sum();
    Some((sum / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), Some(3.0));
        assert_eq!(median(&[1.0, f64::NAN]), None);
    }

    #[test]
    fn an_outlier_moves_the_maximum_alone() {
        let summary = Summary::of(&[10.0, 11.0, 9.0, 10.0, 50.0]).unwrap();
        assert_eq!(summary.median, 10.0);
        assert_eq!(summary.deviation, 1.0);
        assert_eq!((summary.min, summary.max, summary.count), (9.0, 50.0, 5));
        assert!(!summary.noisy());
        assert!(Summary::of(&[1.0, 2.0, 3.0]).unwrap().noisy());
        assert_eq!(Summary::of(&[]), None);
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
}
