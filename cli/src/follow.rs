//! Joins a list that was read with the events that follow it, without a line
//! twice and without a gap.
//!
//! The stream is opened first, then the list is read: what happened between is in
//! both. After a resync the list is read again, and holds what was shown before.

use std::collections::VecDeque;

/// More than the gateway keeps of one list between two reads.
const SHOWN_MAX: usize = 10_000;

pub struct Follow<T> {
    /// The last lines that were shown, oldest first.
    shown: VecDeque<T>,
    /// Lines of the last list whose event may still come.
    expected: Vec<T>,
}

impl<T: Clone + PartialEq> Follow<T> {
    pub fn new() -> Self {
        Self { shown: VecDeque::new(), expected: Vec::new() }
    }

    /// The lines of a list that were not shown. Equal lines count: two of them in
    /// the list and one shown leave one.
    pub fn take_list(&mut self, lines: Vec<T>) -> Vec<T> {
        let mut shown: Vec<T> = self.shown.drain(..).collect();
        let mut new_lines = Vec::new();
        for line in &lines {
            match shown.iter().position(|other| other == line) {
                Some(index) => drop(shown.swap_remove(index)),
                None => new_lines.push(line.clone()),
            }
        }
        self.shown = lines.iter().cloned().collect();
        self.expected.extend(new_lines.iter().cloned());
        let surplus = self.expected.len().saturating_sub(SHOWN_MAX);
        self.expected.drain(..surplus);
        new_lines
    }

    /// Whether an event's line is to be shown.
    pub fn is_new(&mut self, line: &T) -> bool {
        if let Some(index) = self.expected.iter().position(|other| other == line) {
            self.expected.swap_remove(index);
            return false;
        }
        if self.shown.len() == SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(line.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_in_list_and_stream_is_shown_once() {
        let mut follow = Follow::new();
        assert_eq!(follow.take_list(vec!["a", "b", "b"]), ["a", "b", "b"]);
        let seen: Vec<_> = ["b", "c", "b", "b"].map(|line| follow.is_new(&line)).to_vec();
        assert_eq!(seen, [false, true, false, true]);
    }

    #[test]
    fn a_second_list_brings_only_what_was_missed() {
        let mut follow = Follow::new();
        follow.take_list(vec!["a"]);
        assert!(follow.is_new(&"b"));
        assert_eq!(follow.take_list(vec!["b", "c", "c"]), ["c", "c"]);
        assert!(!follow.is_new(&"c"));
        assert!(follow.is_new(&"d"));
    }
}
