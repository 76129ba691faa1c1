//! Loads and stores: in order, at random, and through pointers.

use crate::random::{Random, mix};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Sorts `size` numbers by a quicksort of our own.
pub fn quicksort(size: u32) -> u64 {
    fn sort(numbers: &mut [u32]) {
        if numbers.len() <= 12 {
            for end in 1..numbers.len() {
                let mut index = end;
                while index > 0 && numbers[index - 1] > numbers[index] {
                    numbers.swap(index - 1, index);
                    index -= 1;
                }
            }
            return;
        }
        let pivot = numbers[numbers.len() / 2];
        let (mut low, mut high) = (0, numbers.len() - 1);
        loop {
            while numbers[low] < pivot {
                low += 1;
            }
            while numbers[high] > pivot {
                high -= 1;
            }
            if low >= high {
                break;
            }
            numbers.swap(low, high);
            low += 1;
            high -= 1;
        }
        let (left, right) = numbers.split_at_mut(low);
        sort(left);
        sort(right);
    }
    let mut random = Random::new(size);
    let mut numbers: Vec<u32> = (0..size).map(|_| random.next() as u32).collect();
    sort(&mut numbers);
    numbers.iter().fold(0, |checksum, number| mix(checksum, u64::from(*number)))
}

/// Dijkstra's algorithm over a random graph with four edges from each node.
pub fn shortest_paths(size: u32) -> u64 {
    let mut random = Random::new(size);
    let edges: Vec<[(u32, u32); 4]> =
        (0..size).map(|_| [0; 4].map(|_| (random.below(size), random.below(1_000) + 1))).collect();
    let mut distances = vec![u32::MAX; size as usize];
    let mut open = BinaryHeap::from([Reverse((0u32, 0u32))]);
    distances[0] = 0;
    while let Some(Reverse((distance, node))) = open.pop() {
        if distance > distances[node as usize] {
            continue;
        }
        for (neighbour, length) in edges[node as usize] {
            let through_node = distance + length;
            if through_node < distances[neighbour as usize] {
                distances[neighbour as usize] = through_node;
                open.push(Reverse((through_node, neighbour)));
            }
        }
    }
    distances.iter().fold(0, |checksum, distance| mix(checksum, u64::from(*distance)))
}

/// Edit distance of two random strings, with two rows of the table.
pub fn levenshtein(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut text = || (0..size).map(|_| random.below(8) as u8).collect::<Vec<u8>>();
    let (left, right) = (text(), text());
    let mut row: Vec<u32> = (0..=size).collect();
    for (index, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = index as u32 + 1;
        for (column, b) in right.iter().enumerate() {
            let replaced = diagonal + u32::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.iter().fold(0, |checksum, distance| mix(checksum, u64::from(*distance)))
}

/// How often each byte occurs: a load that often waits for the store before it.
pub fn histogram(size: u32) -> u64 {
    let bytes = Random::new(size).bytes(1 << 16);
    let mut counts = [0u32; 256];
    for index in 0..size as usize {
        counts[bytes[index & 0xffff] as usize & 0x7f] += 1;
    }
    counts.iter().fold(0, |checksum, count| mix(checksum, u64::from(*count)))
}

/// Follows a chain through an array in random order, then reverses it, eight times.
pub fn linked_list(size: u32) -> u64 {
    let mut random = Random::new(size);
    let mut order: Vec<u32> = (0..size).collect();
    for index in (1..size).rev() {
        order.swap(index as usize, random.below(index + 1) as usize);
    }
    let mut next = vec![u32::MAX; size as usize];
    order.windows(2).for_each(|pair| next[pair[0] as usize] = pair[1]);
    let (mut first, mut checksum) = (order[0], 0);
    for _ in 0..8 {
        let (mut previous, mut node) = (u32::MAX, first);
        while node != u32::MAX {
            checksum = mix(checksum, u64::from(node));
            let following = std::mem::replace(&mut next[node as usize], previous);
            (previous, node) = (node, following);
        }
        first = previous;
    }
    checksum
}

/// Trees on the heap, made, walked and dropped: mostly the allocator, which is
/// dlmalloc in a module and the C library's natively.
pub fn binary_trees(size: u32) -> u64 {
    struct Tree(Option<Box<(Tree, Tree)>>);
    impl Tree {
        fn of_depth(depth: u32) -> Self {
            match depth {
                0 => Self(None),
                _ => Self(Some(Box::new((Self::of_depth(depth - 1), Self::of_depth(depth - 1))))),
            }
        }

        fn count(&self) -> u64 {
            self.0.as_ref().map_or(1, |children| 1 + children.0.count() + children.1.count())
        }
    }
    let kept = Tree::of_depth(size);
    let mut checksum = 0;
    for depth in (4..=size).step_by(3) {
        for _ in 0..1u32 << (size - depth) {
            checksum = mix(checksum, Tree::of_depth(depth).count());
        }
    }
    mix(checksum, kept.count())
}
