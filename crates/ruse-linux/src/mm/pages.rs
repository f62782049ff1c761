//! Sets of pages: which ones a process has touched, which ones of a shared
//! object are loaded or dirty.

use std::collections::BTreeMap;
use std::ops::Range;

/// Pages in a node of the tree, as a bitmap.
const NODE: u64 = 512;
const WORDS: usize = (NODE / 64) as usize;

/// A set of page numbers.
#[derive(Clone, Default, Debug)]
pub(crate) struct PageSet {
    nodes: BTreeMap<u64, [u64; WORDS]>,
    len: u64,
}

/// The bits of word `word` of node `node` that belong to `range`.
fn mask(range: &Range<u64>, node: u64, word: usize) -> u64 {
    let base = node * NODE + word as u64 * 64;
    let from = range.start.clamp(base, base + 64) - base;
    let to = range.end.clamp(base, base + 64) - base;
    let below = |n: u64| if n >= 64 { !0 } else { (1u64 << n) - 1 };
    below(to) & !below(from)
}

/// The nodes that `range` touches.
fn nodes(range: &Range<u64>) -> Range<u64> {
    range.start / NODE..range.end.div_ceil(NODE).max(range.start / NODE)
}

impl PageSet {
    /// How many pages are in the set.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn contains(&self, page: u64) -> bool {
        let bit = page % NODE;
        self.nodes
            .get(&(page / NODE))
            .is_some_and(|node| node[(bit / 64) as usize] >> (bit % 64) & 1 != 0)
    }

    /// Adds all pages of `range`, which is to be small or dense: every node
    /// in it is made.
    pub(crate) fn insert(&mut self, range: Range<u64>) {
        for n in nodes(&range) {
            let node = self.nodes.entry(n).or_default();
            for (w, word) in node.iter_mut().enumerate() {
                let new = mask(&range, n, w) & !*word;
                *word |= new;
                self.len += u64::from(new.count_ones());
            }
        }
    }

    /// Takes out all pages of `range`, and tells how many there were.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> u64 {
        let mut gone = 0;
        let mut empty = Vec::new();
        for (&n, node) in self.nodes.range_mut(nodes(&range)) {
            for (w, word) in node.iter_mut().enumerate() {
                let old = *word & mask(&range, n, w);
                *word &= !old;
                gone += u64::from(old.count_ones());
            }
            if node.iter().all(|&word| word == 0) {
                empty.push(n);
            }
        }
        for n in empty {
            self.nodes.remove(&n);
        }
        self.len -= gone;
        gone
    }

    /// How many pages of `range` are in the set.
    pub(crate) fn count(&self, range: Range<u64>) -> u64 {
        self.runs(range).iter().map(|run| run.end - run.start).sum()
    }

    /// The pages of `range` in the set, as maximal runs in order.
    pub(crate) fn runs(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut push = |run: Range<u64>| match runs.last_mut() {
            Some(last) if last.end == run.start => last.end = run.end,
            _ => runs.push(run),
        };
        for (&n, node) in self.nodes.range(nodes(&range)) {
            for (w, word) in node.iter().enumerate() {
                let mut bits = word & mask(&range, n, w);
                let base = n * NODE + w as u64 * 64;
                while bits != 0 {
                    let from = u64::from(bits.trailing_zeros());
                    let ones = u64::from((!(bits >> from)).trailing_zeros()).min(64 - from);
                    push(base + from..base + from + ones);
                    if from + ones == 64 {
                        break;
                    }
                    bits &= !0 << (from + ones);
                }
            }
        }
        runs
    }

    /// The pages of `range` that are not in the set, as maximal runs in order.
    pub(crate) fn gaps(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for run in self.runs(range.clone()) {
            if run.start > at {
                gaps.push(at..run.start);
            }
            at = run.end;
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn like_a_set_of_numbers(
            steps in prop::collection::vec((any::<bool>(), 0u64..2000, 0u64..700), 1..60),
            probe in (0u64..2000, 0u64..1500),
        ) {
            let (mut set, mut model) = (PageSet::default(), BTreeSet::new());
            for (add, from, len) in steps {
                let range = from..from + len;
                if add {
                    set.insert(range.clone());
                    model.extend(range);
                } else {
                    let gone = range.filter(|page| model.remove(page)).count();
                    prop_assert_eq!(set.remove(from..from + len), gone as u64);
                }
                prop_assert_eq!(set.len(), model.len() as u64);
            }
            let range = probe.0..probe.0 + probe.1;
            let runs = set.runs(range.clone());
            let listed: Vec<u64> = runs.iter().cloned().flatten().collect();
            let expected: Vec<u64> = model.range(range.clone()).copied().collect();
            prop_assert_eq!(&listed, &expected);
            prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert_eq!(set.count(range.clone()), listed.len() as u64);
            let absent: Vec<u64> = set.gaps(range.clone()).into_iter().flatten().collect();
            let missing: Vec<u64> = range.filter(|page| !model.contains(page)).collect();
            prop_assert_eq!(absent, missing);
            prop_assert!((0..3000).all(|page| set.contains(page) == model.contains(&page)));
        }
    }
}
