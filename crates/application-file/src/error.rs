//! What is wrong, and where.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;

/// Longest piece of the file that a message repeats.
const EXCERPT_CHARS_MAX: usize = 80;

/// Where something begins. Both count from 1; a column is a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    pub at: Place,
    pub what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl std::error::Error for FileError {}

/// Collects errors while a text is read.
pub struct Errors<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    errors: Vec<FileError>,
    /// Where the last place was, and its column: whoever goes through a long line from
    /// the left has not to count it from its begin each time.
    last: Cell<(usize, u32)>,
    /// Pieces that were wrong are missing from what is judged: what has gone with them
    /// is not complained of as well.
    pub is_partial: bool,
}

impl<'a> Errors<'a> {
    pub fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(index, _)| index + 1)).collect();
        Self { text, lines, errors: Vec::new(), last: Cell::default(), is_partial: false }
    }

    pub fn place_of(&self, span: &Range<usize>) -> Place {
        let offset = span.start.min(self.text.len());
        let line = self.lines.partition_point(|begin| *begin <= offset);
        // There is always a first line, at 0.
        let begin = self.lines[line - 1];
        let (known, column) = match self.last.get() {
            (last, column) if (begin..=offset).contains(&last) => (last, column.max(1)),
            _ => (begin, 1),
        };
        let before = self.text.get(known..offset).unwrap_or_default();
        // Neither can reach 32 bits: the text's length is bounded.
        let column = column + before.chars().count() as u32;
        self.last.set((offset, column));
        Place { line: line as u32, column }
    }

    pub fn add(&mut self, span: &Range<usize>, what: impl Into<String>) {
        let at = self.place_of(span);
        self.add_at(at, what);
    }

    pub fn add_at(&mut self, at: Place, what: impl Into<String>) {
        if !self.is_full() {
            self.errors.push(FileError { at, what: what.into() });
        }
    }

    /// Something should be there, and is not.
    pub fn add_absence(&mut self, span: &Range<usize>, what: impl Into<String>) {
        if !self.is_partial {
            self.add(span, what);
        }
    }

    pub fn is_full(&self) -> bool {
        self.errors.len() >= crate::ERRORS_MAX
    }

    /// By place, each once.
    pub fn into_sorted(mut self) -> Vec<FileError> {
        self.errors.sort_by(|a, b| (a.at, &a.what).cmp(&(b.at, &b.what)));
        self.errors.dedup();
        self.errors
    }
}

/// Text of the file, fit for a message.
pub fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a\näb\n";
        let errors = Errors::new(text);
        let place = |offset: usize| errors.place_of(&(offset..offset)).to_string();
        assert_eq!(place(0), "1:1");
        assert_eq!(place(2), "2:1");
        assert_eq!(place(4), "2:2", "a letter of two bytes is one column");
        assert_eq!(place(6), "3:1");
        assert_eq!(place(99), "3:1", "beyond the end is the end");
    }

    #[test]
    fn no_more_errors_are_told_than_anybody_reads() {
        let mut errors = Errors::new("");
        (0..1000).for_each(|n| errors.add(&(0..0), format!("{n:04}")));
        assert_eq!(errors.into_sorted().len(), crate::ERRORS_MAX);
    }
}
