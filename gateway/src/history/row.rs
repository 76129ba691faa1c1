//! What one device, or the fleet, did in one minute or hour, as bytes.
//!
//! ```text
//! format u8 = 1, values u16, [block], modules u8, { name_len u8, name, [block] }…
//! block: which u16, which_vary u16, a code for each that does not vary and four for each
//!        that does: min, avg, max, p95
//! ```
//!
//! A code is 16 bits of the value's logarithm, which is 0.04 % at most from it: finer than
//! a chart shows, and a half of the room that a float takes. Whatever cannot be read is
//! nothing that was measured.

use super::stats::{METRICS, Merged, Stats};

const FORMAT: u8 = 1;
/// Modules in one row; a device has fewer.
pub const APPS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 64;

/// The smallest value above 0 is 0.0001, and the largest that has a code 1e16.
const LN_MIN: f64 = -9.210_340_371_976_182;
const LN_STEP: f64 = 46.051_701_859_880_914 / 65_534.0;

pub type Block = [Option<Stats>; METRICS];

#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// How many values each figure is of, for putting rows together.
    pub values: u16,
    pub whole: Block,
    /// By name, in its order.
    pub apps: Vec<(String, Block)>,
}

impl Row {
    pub fn is_empty(&self) -> bool {
        self.whole.iter().all(Option::is_none) && self.apps.is_empty()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.values.to_le_bytes());
        write_block(&mut bytes, &self.whole);
        let apps = || self.apps.iter().take(APPS_MAX).filter(|app| app.0.len() <= NAME_BYTES_MAX);
        bytes.push(apps().count() as u8);
        for (name, block) in apps() {
            bytes.push(name.len() as u8);
            bytes.extend(name.as_bytes());
            write_block(&mut bytes, block);
        }
        bytes
    }

    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take::<1>(&mut rest)? != [FORMAT] {
            return None;
        }
        let values = u16::from_le_bytes(take(&mut rest)?);
        let whole = read_block(&mut rest)?;
        let [count] = take(&mut rest)?;
        let mut apps = Vec::new();
        for _ in 0..usize::from(count).min(APPS_MAX) {
            let [len] = take(&mut rest)?;
            let (name, after) = rest.split_at_checked(usize::from(len))?;
            rest = after;
            let name = std::str::from_utf8(name).ok()?.to_owned();
            apps.push((name, read_block(&mut rest)?));
        }
        Some(Self { values, whole, apps })
    }

    /// Several spans as one.
    pub fn merged(rows: &[Self]) -> Self {
        let mut whole = [Merged::default(); METRICS];
        let mut apps = std::collections::BTreeMap::<&str, [Merged; METRICS]>::new();
        for row in rows {
            add(&mut whole, &row.whole, row.values);
            for (name, block) in &row.apps {
                add(apps.entry(name).or_default(), block, row.values);
            }
        }
        let values = rows.iter().fold(0_u16, |sum, row| sum.saturating_add(row.values));
        let close = |merged: [Merged; METRICS]| merged.map(|one| one.stats());
        let apps = apps.into_iter().map(|(name, merged)| (name.to_owned(), close(merged)));
        Self { values, whole: close(whole), apps: apps.collect() }
    }
}

fn add(merged: &mut [Merged; METRICS], block: &Block, values: u16) {
    for (merged, stats) in merged.iter_mut().zip(block) {
        if let Some(stats) = stats {
            merged.add(*stats, values);
        }
    }
}

fn write_block(bytes: &mut Vec<u8>, block: &Block) {
    let codes = block.map(|stats| stats.map(|s| [s.min, s.avg, s.max, s.p95].map(to_code)));
    let varies = |codes: &[u16; 4]| codes.iter().any(|code| *code != codes[0]);
    let (mut which, mut which_vary) = (0_u16, 0_u16);
    for (bit, codes) in codes.iter().enumerate() {
        which |= u16::from(codes.is_some()) << bit;
        which_vary |= u16::from(codes.as_ref().is_some_and(varies)) << bit;
    }
    bytes.extend(which.to_le_bytes());
    bytes.extend(which_vary.to_le_bytes());
    for codes in codes.iter().flatten() {
        let written = if varies(codes) { &codes[..] } else { &codes[..1] };
        bytes.extend(written.iter().flat_map(|code| code.to_le_bytes()));
    }
}

fn read_block(rest: &mut &[u8]) -> Option<Block> {
    let which = u16::from_le_bytes(take(rest)?);
    let which_vary = u16::from_le_bytes(take(rest)?);
    let mut block = [None; METRICS];
    // Bits beyond ours are of a later format, which says so by its number.
    for (bit, stats) in block.iter_mut().enumerate() {
        let mut next = || Some(of_code(u16::from_le_bytes(take(rest)?)));
        *stats = match (which >> bit & 1 == 1, which_vary >> bit & 1 == 1) {
            (false, _) => None,
            (true, false) => Some(Stats::constant(next()?)),
            (true, true) => Some(Stats { min: next()?, avg: next()?, max: next()?, p95: next()? }),
        };
    }
    Some(block)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

/// 0 is 0, and what is less than nothing is it too: nothing that is measured is.
fn to_code(value: f32) -> u16 {
    if value <= 0.0 {
        return 0;
    }
    let step = ((f64::from(value).ln() - LN_MIN) / LN_STEP).round();
    1 + step.clamp(0.0, 65_534.0) as u16
}

fn of_code(code: u16) -> f32 {
    match code {
        0 => 0.0,
        code => (LN_MIN + f64::from(code - 1) * LN_STEP).exp() as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row() -> Row {
        let mut whole = [None; METRICS];
        whole[0] = Some(Stats { min: 1.0, avg: 2.5, max: 9.0, p95: 8.0 });
        whole[1] = Some(Stats::constant(4_096.0));
        let mut block = [None; METRICS];
        block[11] = Some(Stats::constant(0.0));
        Row { values: 60, whole, apps: vec![("filter".into(), block)] }
    }

    fn is_close(a: f32, b: f32) -> bool {
        (a - b).abs() <= 0.000_4 * b.abs()
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        let bytes = row().to_bytes();
        assert_eq!(bytes.len(), 3 + 4 + 8 + 2 + 1 + 7 + 4 + 2);
        let back = Row::of_bytes(&bytes).unwrap();
        // What is coded once more is the same.
        assert_eq!(back.to_bytes(), bytes);
        let (was, is) = (row().whole[0].unwrap(), back.whole[0].unwrap());
        assert!(is_close(is.avg, was.avg) && is_close(is.p95, was.p95), "{is:?}");
        assert_eq!(back.apps[0].1[11], Some(Stats::constant(0.0)));
        assert_eq!((back.values, back.whole[2]), (60, None));
    }

    #[test]
    fn a_row_that_was_cut_is_none_and_never_a_panic() {
        let bytes = row().to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(Row::of_bytes(&bytes[..len]), None, "{len}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_finite(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = FORMAT;
            }
            if let Some(row) = Row::of_bytes(&bytes) {
                prop_assert!(row.whole.iter().flatten().all(|s| s.max.is_finite()));
            }
        }

        #[test]
        fn a_code_is_close_to_its_value(value in 0.000_1_f32..9e15) {
            prop_assert!(is_close(of_code(to_code(value)), value));
        }
    }

    #[test]
    fn rows_are_put_together_by_module() {
        let mut other = row();
        other.apps[0].0 = "other".into();
        other.whole[0] = Some(Stats::constant(10.0));
        let merged = Row::merged(&[row(), other]);
        assert_eq!(merged.values, 120);
        let names: Vec<&str> = merged.apps.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["filter", "other"]);
        let expected = Stats { min: 1.0, avg: 6.25, max: 10.0, p95: 10.0 };
        assert_eq!(merged.whole[0], Some(expected));
    }
}
