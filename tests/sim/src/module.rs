//! A module whose artifact for x86_64 has about a megabyte.

use std::fmt::Write;

const FUNCTIONS: u32 = 160;
/// About 23 bytes of machine code each.
const STATEMENTS: u32 = 239;

/// The same bytes for the same seed; others for another, all equally large.
pub fn megabyte_module(seed: u64) -> anyhow::Result<Vec<u8>> {
    let mut random = seed;
    let mut next = move || {
        // The generator of Knuth's MMIX.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 11
    };
    let mut text = String::from("(module (memory (export \"memory\") 1)\n");
    for function in 0..FUNCTIONS {
        writeln!(text, "(func (export \"f{function}\") (param i64 i64) (result i64)")?;
        for statement in 0..STATEMENTS {
            let (to, other) = (statement % 2, (statement + 1) % 2);
            let (factor, turn) = (next() | 1, next() % 63 + 1);
            writeln!(
                text,
                "(local.set {to} (i64.add (i64.mul (local.get {to}) (i64.const {factor})) \
                 (i64.rotl (local.get {other}) (i64.const {turn}))))"
            )?;
        }
        text.push_str("(i64.xor (local.get 0) (local.get 1)))\n");
    }
    text.push(')');
    Ok(wat::parse_str(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_modules_and_others_do_not() {
        assert!(megabyte_module(1).unwrap() == megabyte_module(1).unwrap());
        assert!(megabyte_module(1).unwrap() != megabyte_module(2).unwrap());
    }
}
