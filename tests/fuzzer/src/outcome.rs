//! What became of an input, coarse enough that two alike are equal.

use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outcome(u64);

impl Outcome {
    /// An answer by its words: numbers and quoted text are left out, because an
    /// error at another byte is the same error.
    pub fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        for (index, part) in text.split('"').enumerate() {
            if index % 2 == 0 {
                let words = part.split(|c: char| !c.is_alphabetic());
                words.filter(|word| word.len() > 2).for_each(|word| word.hash(&mut hasher));
            }
        }
        Self(hasher.finish())
    }

    /// Something that is counted, in powers of two: twice as much is something new.
    pub fn sized(text: &str, size: usize) -> Self {
        Self::of(text).and(Self(size.checked_ilog2().map_or(0, |log| log + 1).into()))
    }

    pub fn and(self, other: Self) -> Self {
        let mut hasher = DefaultHasher::new();
        (self, other).hash(&mut hasher);
        Self(hasher.finish())
    }

    pub fn of_result<T, E: std::fmt::Display>(result: &Result<T, E>) -> Self {
        match result {
            Ok(_) => Self::of("accepted"),
            Err(error) => Self::of(&error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_at_another_place_is_the_same_outcome() {
        let outcome = |text| Outcome::of(text);
        assert_eq!(outcome("bad \"x\" at byte 0x1f"), outcome("bad \"yy\" at byte 7"));
        assert_ne!(outcome("bad byte"), outcome("bad name"));
        assert_eq!(Outcome::sized("f", 5), Outcome::sized("f", 7));
        assert_ne!(Outcome::sized("f", 5), Outcome::sized("f", 8));
    }
}
