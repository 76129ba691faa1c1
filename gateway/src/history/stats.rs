//! Many values of one time as four: the smallest, the mean, the largest, and the one
//! that at most 5 % are above.

/// What was measured at one moment, or in one span, of everything that is measured.
/// One that was not is `NaN`, which takes the room of a number and no more.
pub type Values = [f32; METRICS];

/// As many as [`gateway_api::HistoryMetric::ALL`], in its order.
pub const METRICS: usize = gateway_api::HistoryMetric::ALL.len();

pub const NOTHING: Values = [f32::NAN; METRICS];

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    pub min: f32,
    pub avg: f32,
    pub max: f32,
    pub p95: f32,
}

impl Stats {
    pub fn constant(value: f32) -> Self {
        Self { min: value, avg: value, max: value, p95: value }
    }

    /// Of single values, in any order. None where there is none.
    pub fn of(values: &mut Vec<f32>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f32::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        // The smallest value with at most 5 % above it.
        let p95 = values[(values.len() * 95).div_ceil(100).max(1) - 1];
        Some(Self { min, avg: (sum / values.len() as f64) as f32, max, p95 })
    }
}

/// Spans that are put together, of which each counts by how many values it is of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Merged {
    weight: f64,
    sum: f64,
    found: Option<Stats>,
}

impl Merged {
    pub fn add(&mut self, stats: Stats, weight: u16) {
        let weight = f64::from(weight.max(1));
        self.weight += weight;
        self.sum += f64::from(stats.avg) * weight;
        let found = self.found.get_or_insert(stats);
        found.min = found.min.min(stats.min);
        found.max = found.max.max(stats.max);
        // Where in no span more than 5 % are above it, in all of them no more are.
        found.p95 = found.p95.max(stats.p95);
    }

    pub fn stats(&self) -> Option<Stats> {
        let found = self.found?;
        Some(Stats { avg: (self.sum / self.weight) as f32, ..found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_none_do_not_count() {
        let mut values: Vec<f32> = (1..=100).map(|n| n as f32).collect();
        values.push(f32::NAN);
        let stats = Stats::of(&mut values).unwrap();
        assert_eq!(stats, Stats { min: 1.0, avg: 50.5, max: 100.0, p95: 95.0 });
        assert_eq!(Stats::of(&mut vec![f32::NAN]), None);
        assert_eq!(Stats::of(&mut vec![7.0]), Some(Stats::constant(7.0)));
        assert_eq!(Stats::of(&mut vec![1.0, 2.0]).unwrap().p95, 2.0);
    }

    #[test]
    fn spans_count_by_how_much_is_in_them() {
        let mut merged = Merged::default();
        assert_eq!(merged.stats(), None);
        merged.add(Stats { min: 1.0, avg: 2.0, max: 3.0, p95: 3.0 }, 30);
        merged.add(Stats { min: 0.5, avg: 6.0, max: 9.0, p95: 8.0 }, 10);
        assert_eq!(merged.stats(), Some(Stats { min: 0.5, avg: 3.0, max: 9.0, p95: 8.0 }));
    }
}
