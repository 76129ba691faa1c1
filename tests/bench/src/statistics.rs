//! Medians, quartiles and geometric means.

use serde::Serialize;

/// A median with the quartiles around it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// `None` for no samples.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quartile = |part: usize| {
            let last = sorted.len().checked_sub(1)?;
            let (index, rest) = (last * part / 4, last * part % 4);
            let above = sorted.get(index + 1).unwrap_or(&sorted[index]);
            Some(sorted[index] + (above - sorted[index]) * rest as f64 / 4.0)
        };
        Some(Self { low: quartile(1)?, median: quartile(2)?, high: quartile(3)? })
    }

    /// Of the quotients of samples that were taken in the same round.
    pub fn of_ratios(above: &[f64], below: &[f64]) -> Option<Self> {
        let ratios: Vec<f64> = above.iter().zip(below).map(|(a, b)| a / b).collect();
        Self::of(&ratios)
    }
}

/// `None` for no values.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) =
        values.into_iter().fold((0.0, 0u32), |(sum, count), value| (sum + value.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_samples_where_no_sample_is_there() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Some(Spread { low: 1.75, median: 2.5, high: 3.25 }));
        let single = Spread { low: 7.0, median: 7.0, high: 7.0 };
        assert_eq!(Spread::of(&[7.0]), Some(single));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        let ratios = Spread::of_ratios(&[10.0, 40.0, 30.0], &[5.0, 20.0, 10.0]);
        assert_eq!(ratios.map(|spread| spread.median), Some(2.0));
    }

    #[test]
    fn half_and_double_cancel_out() {
        assert!((geometric_mean([0.5, 2.0]).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), None);
    }
}
