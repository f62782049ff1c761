//! The areas of an address space: what mmap(2) made and /proc/PID/maps lists.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use ruse_bus::{PAGE_SIZE, Prot};

use super::object::Object;
use crate::fs::Description;

/// What the pages of an area hold before they are written to.
#[derive(Clone)]
pub(crate) enum Backing {
    /// Zeroes.
    Anonymous,
    /// A private copy of a file from this offset on.
    File(Rc<Description>, u64),
    /// An object from this offset on, which others may map too.
    Shared(Rc<Object>, u64),
}

impl Backing {
    /// The same backing, seen from `by` bytes further on.
    fn skip(&self, by: u64) -> Self {
        match self {
            Self::Anonymous => Self::Anonymous,
            Self::File(file, offset) => Self::File(Rc::clone(file), offset.wrapping_add(by)),
            Self::Shared(object, offset) => {
                Self::Shared(Rc::clone(object), offset.wrapping_add(by))
            }
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anonymous, Self::Anonymous) => true,
            (Self::File(a, i), Self::File(b, j)) => i == j && Rc::ptr_eq(a, b),
            (Self::Shared(a, i), Self::Shared(b, j)) => i == j && Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What an area is besides addresses, protection and contents.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Kind {
    /// A stack: it grows downwards when the page below is touched.
    pub grows_down: bool,
    /// `MADV_DONTFORK`.
    pub dont_fork: bool,
    /// `MADV_WIPEONFORK`.
    pub wipe_on_fork: bool,
    /// It may be made writable: not a read-only file mapped shared.
    pub may_write: bool,
    /// Attached by shmat(2).
    pub segment: bool,
    /// A private file that could be written to at some time: its pages may
    /// differ from the file.
    pub written: bool,
    /// `[heap]`, `[stack]`, `[vdso]`.
    pub name: &'static str,
}

/// A range of addresses with the same protection and backing.
#[derive(Clone)]
pub(crate) struct Area {
    pub start: u64,
    pub end: u64,
    /// What the guest may do, once the page is there.
    pub prot: Prot,
    pub kind: Kind,
    pub backing: Backing,
}

impl Area {
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The numbers of its pages.
    pub(crate) fn pages(&self) -> Range<u64> {
        self.start / PAGE_SIZE..self.end / PAGE_SIZE
    }

    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.backing, Backing::Shared(..))
    }

    /// The backing at an address inside it.
    pub(crate) fn backing_at(&self, va: u64) -> Backing {
        self.backing.skip(va.wrapping_sub(self.start))
    }

    /// Whether `next`, which begins where this one ends, continues it.
    fn continued_by(&self, next: &Self) -> bool {
        self.end == next.start
            && self.prot == next.prot
            && self.kind == next.kind
            && self.backing.skip(self.len()).same(&next.backing)
    }
}

/// Areas that do not overlap, by address. Neighbours that continue each other
/// are one.
#[derive(Clone, Default)]
pub(crate) struct Areas {
    by_start: BTreeMap<u64, Area>,
    /// Bytes in all areas.
    total: u64,
    /// Where [`Areas::gap`] last found something; no gap above it is larger
    /// than `largest_above`.
    search_from: Option<u64>,
    largest_above: u64,
}

impl Areas {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Area> {
        self.by_start.values()
    }

    /// How many areas there are.
    pub(crate) fn count(&self) -> usize {
        self.by_start.len()
    }

    /// Bytes in all areas.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The area that holds `va`.
    pub(crate) fn find(&self, va: u64) -> Option<&Area> {
        self.at_or_below(va).filter(|area| va < area.end)
    }

    /// The last area that begins at `va` or below.
    pub(crate) fn at_or_below(&self, va: u64) -> Option<&Area> {
        self.by_start.range(..=va).next_back().map(|(_, area)| area)
    }

    /// The first area that begins at `va` or above.
    pub(crate) fn at_or_above(&self, va: u64) -> Option<&Area> {
        self.by_start.range(va..).next().map(|(_, area)| area)
    }

    /// The areas that `range` touches, in order.
    pub(crate) fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = &Area> {
        let first = self.find(range.start).map_or(range.start, |a| a.start);
        let end = range.end.max(first);
        self.by_start
            .range(first..end)
            .map(|(_, area)| area)
            .filter(move |area| range.start < area.end && area.start < range.end)
    }

    /// Whether no area touches `range`.
    pub(crate) fn is_free(&self, range: Range<u64>) -> bool {
        self.overlapping(range).next().is_none()
    }

    /// Whether every byte of `range` lies in some area.
    pub(crate) fn covers(&self, range: Range<u64>) -> bool {
        let mut at = range.start;
        for area in self.overlapping(range.clone()) {
            if area.start > at {
                return false;
            }
            at = area.end;
        }
        at >= range.end
    }

    /// Cuts the area that holds `va` in two there.
    fn split(&mut self, va: u64) {
        let Some(low) = self.find(va).filter(|area| area.start < va).cloned() else {
            return;
        };
        let mut high = low.clone();
        high.start = va;
        high.backing = low.backing_at(va);
        if let Some(area) = self.by_start.get_mut(&low.start) {
            area.end = va;
        }
        self.by_start.insert(va, high);
    }

    /// Joins the areas that meet at `va`, if one continues the other.
    fn join(&mut self, va: u64) {
        let Some(high) = self.by_start.get(&va) else {
            return;
        };
        let end = high.end;
        let Some((&start, low)) = self.by_start.range(..va).next_back() else {
            return;
        };
        if low.continued_by(high) {
            self.by_start.remove(&va);
            if let Some(low) = self.by_start.get_mut(&start) {
                low.end = end;
            }
        }
    }

    /// Adds an area where there is none.
    pub(crate) fn insert(&mut self, area: Area) {
        let (start, end) = (area.start, area.end);
        debug_assert!(start < end && self.is_free(start..end));
        self.total += area.len();
        self.by_start.insert(start, area);
        self.join(end);
        self.join(start);
    }

    /// Takes out what lies in `range`, and returns it in order.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> Vec<Area> {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.overlapping(range.clone()).map(|a| a.start).collect();
        let gone: Vec<Area> = starts
            .iter()
            .filter_map(|start| self.by_start.remove(start))
            .collect();
        if !gone.is_empty() {
            self.total -= gone.iter().map(Area::len).sum::<u64>();
            let low = self.at_or_below(range.start).map_or(0, |area| area.end);
            let high = self.at_or_above(range.end).map_or(!0, |area| area.start);
            self.largest_above = self.largest_above.max(high.saturating_sub(low));
        }
        gone
    }

    /// Changes what lies in `range`.
    pub(crate) fn update(&mut self, range: Range<u64>, change: impl Fn(&mut Area)) {
        self.split(range.start);
        self.split(range.end);
        let starts: Vec<u64> = self.overlapping(range.clone()).map(|a| a.start).collect();
        for start in &starts {
            if let Some(area) = self.by_start.get_mut(start) {
                change(area);
            }
        }
        for start in starts {
            self.join(start);
        }
        self.join(range.end);
    }

    /// Lets the area that begins at `start` begin at `to`, below, instead.
    pub(crate) fn grow_down(&mut self, start: u64, to: u64) {
        if let Some(mut area) = self.by_start.remove(&start) {
            self.total += start - to;
            area.start = to;
            self.by_start.insert(to, area);
        }
    }

    /// The highest gap of `len` bytes inside `bounds`.
    pub(crate) fn gap(&mut self, len: u64, bounds: Range<u64>) -> Option<u64> {
        let top = match self.search_from {
            Some(from) if len > self.largest_above && from <= bounds.end => from,
            _ => {
                self.largest_above = 0;
                bounds.end
            }
        };
        let mut high = top;
        for area in self.by_start.range(..top).rev().map(|(_, area)| area) {
            let low = area.end.max(bounds.start);
            if high >= low && high - low >= len {
                self.search_from = Some(high);
                return Some(high - len);
            }
            self.largest_above = self.largest_above.max(high.saturating_sub(low));
            high = high.min(area.start);
            if high < bounds.start {
                return None;
            }
        }
        let found = high.checked_sub(len).filter(|&at| at >= bounds.start);
        if found.is_some() {
            self.search_from = Some(high);
        }
        found
    }
}

#[cfg(test)]
#[path = "area_tests.rs"]
mod tests;
