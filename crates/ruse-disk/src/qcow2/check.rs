//! Counting all clusters anew, and comparing.

use std::collections::{BTreeMap, HashMap};

use super::entry::{COMPRESSED, COPIED, Kind, OFFSET};
use super::header::{self, u16_at, u32_at, u64_at};
use super::{Access, Qcow2, read_table, refcount};
use crate::DiskError;

/// So many problems are described.
const MAX_MESSAGES: usize = 50;
/// Bits of an L1 entry that mean nothing.
const L1_RESERVED: u64 = 0x7f00_0000_0000_01ff;
/// Bits of an L2 entry that mean nothing.
const L2_RESERVED: u64 = 0x3f00_0000_0000_01fe;

/// What to do about what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    Nothing,
    /// Give back clusters that nothing refers to.
    Leaks,
    /// Repair all that can be.
    All,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Clusters that are counted more often than they are used: lost space.
    pub leaks: u64,
    /// Contradictions that may cost data.
    pub corruptions: u64,
    /// Leaks that were repaired, and are not among `leaks` any more.
    pub leaks_fixed: u64,
    /// Contradictions that were repaired.
    pub corruptions_fixed: u64,
    /// Clusters of the disk that are in the file.
    pub allocated: u64,
    /// Those of them that are compressed.
    pub compressed: u64,
    /// The clusters of the disk.
    pub clusters: u64,
    /// The first problems, in words.
    pub messages: Vec<String>,
}

impl Check {
    /// Whether the image may be used.
    pub fn is_sound(&self) -> bool {
        self.corruptions == 0
    }

    pub(super) fn corrupt(&mut self, message: impl FnOnce() -> String) {
        self.corruptions += 1;
        self.say(message);
    }

    pub(super) fn say(&mut self, message: impl FnOnce() -> String) {
        if self.messages.len() < MAX_MESSAGES {
            self.messages.push(message());
        }
    }
}

/// How often each cluster is used. Takes memory for those that are.
#[derive(Default)]
pub(super) struct Uses {
    pages: BTreeMap<u64, Box<[u32; Uses::PAGE as usize]>>,
}

impl Uses {
    const PAGE: u64 = 1024;

    pub fn get(&self, cluster: u64) -> u64 {
        let page = self.pages.get(&(cluster / Self::PAGE));
        page.map_or(0, |page| page[(cluster % Self::PAGE) as usize].into())
    }

    fn add(&mut self, cluster: u64, times: u32) {
        let page = self
            .pages
            .entry(cluster / Self::PAGE)
            .or_insert_with(|| Box::new([0; Self::PAGE as usize]));
        let count = &mut page[(cluster % Self::PAGE) as usize];
        *count = count.saturating_add(times);
    }

    /// All clusters in use from `from` up to before `to`, with their counts.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let pages = from / Self::PAGE..to.div_ceil(Self::PAGE);
        let all = self.pages.range(pages).flat_map(|(number, page)| {
            let first = number * Self::PAGE;
            (first..).zip(page.iter().copied().map(u64::from))
        });
        all.filter(move |(cluster, count)| *count != 0 && (from..to).contains(cluster))
    }
}

/// The uses of an L2 table.
#[derive(Clone, Copy, Default)]
struct TableUses {
    times: u32,
    /// The present state of the disk uses it.
    active: bool,
}

impl TableUses {
    fn add(&mut self, active: bool) {
        self.times = self.times.saturating_add(1);
        self.active |= active;
    }
}

impl Qcow2 {
    /// Counts all clusters anew, compares the counts with those in the file,
    /// and repairs. `progress` is told how many L2 tables of how many were
    /// looked at.
    ///
    /// # Errors
    /// [`DiskError`] if the image is not open for [`Access::Repair`], or the
    /// host fails.
    pub fn check(
        &mut self,
        repair: Repair,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Check, DiskError> {
        if self.access != Access::Repair {
            return Err(DiskError::Refused {
                path: self.path().to_path_buf(),
                problem: "must be opened for checking".into(),
            });
        }
        let mut found = Check {
            clusters: self.header.size.div_ceil(self.header.cluster()),
            ..Check::default()
        };
        let mut uses = self.count_data(&mut found, progress)?;
        let broken = self.count_blocks(&mut uses, &mut found)?;
        self.compare(&uses, repair, broken, &mut found)?;
        if repair == Repair::All && (broken || self.must_rebuild(&uses)?) {
            self.rebuild(&mut found)?;
        }
        self.check_copied(repair, &mut found)?;
        if repair != Repair::Nothing {
            self.write_blocks()?;
            self.medium.sync()?;
        }
        if repair == Repair::All && found.is_sound() {
            let marks = header::DIRTY | header::CORRUPT;
            self.set_incompatible(self.header.incompatible & !marks)?;
        }
        Ok(found)
    }

    /// Counts a use of `len` bytes of the file.
    pub(super) fn count_range(
        &self,
        uses: &mut Uses,
        found: &mut Check,
        range: (u64, u64),
        times: u32,
        what: &str,
    ) {
        let (at, len) = range;
        let end = self.medium.end();
        if len == 0 {
            return;
        }
        // The last cluster of the file may be cut off.
        if at.saturating_add(len) >= end.saturating_add(self.header.cluster()) {
            found.corrupt(|| format!("{what} at {at:#x} is past the end of the file"));
            return;
        }
        let bits = self.header.cluster_bits;
        for cluster in at >> bits..=(at + len - 1) >> bits {
            uses.add(cluster, times);
        }
    }

    /// Counts everything but the reference counts themselves.
    pub(super) fn count_data(
        &mut self,
        found: &mut Check,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Uses, DiskError> {
        let mut uses = Uses::default();
        let cluster = self.header.cluster();
        self.count_range(&mut uses, found, (0, cluster), 1, "the header");
        let mut tables: HashMap<u64, TableUses> = HashMap::new();
        let active = (self.header.l1_offset, self.header.l1_size);
        let kept: Vec<_> = self
            .snapshots
            .iter()
            .map(|snapshot| (snapshot.l1_offset, snapshot.l1_size))
            .collect();
        // Tables do not overlap, so all of them together fit the file.
        let mut left = self.medium.end().saturating_add(cluster);
        for (number, (at, entries)) in [active].into_iter().chain(kept).enumerate() {
            let len = u64::from(entries) * 8;
            self.count_range(&mut uses, found, (at, len), 1, "an L1 table");
            left = match left.checked_sub(len) {
                Some(left) => left,
                None => {
                    found.corrupt(|| format!("the L1 table at {at:#x} overlaps others"));
                    break;
                }
            };
            for (index, entry) in read_table(&mut self.medium, at, entries.into())?
                .into_iter()
                .enumerate()
            {
                let l2 = entry & OFFSET;
                if l2 == 0 {
                    continue;
                }
                if entry & L1_RESERVED != 0 {
                    found.corrupt(|| format!("reserved bits in L1 entry {index} at {at:#x}"));
                }
                if self.header.in_cluster(l2) != 0 {
                    found.corrupt(|| format!("L2 table at {l2:#x} is not aligned"));
                    continue;
                }
                self.count_range(&mut uses, found, (l2, cluster), 1, "an L2 table");
                if l2 < self.medium.end() {
                    tables.entry(l2).or_default().add(number == 0);
                }
            }
        }
        let mut order: Vec<(u64, TableUses)> = tables.into_iter().collect();
        order.sort_unstable_by_key(|(at, _)| *at);
        let total = order.len() as u64;
        for (done, (l2, table)) in order.into_iter().enumerate() {
            progress(done as u64, total);
            self.count_l2(&mut uses, found, l2, table)?;
        }
        progress(total, total);
        let len = super::snapshot::table_len(&self.snapshots);
        let at = self.header.snapshots_offset;
        self.count_range(&mut uses, found, (at, len), 1, "the snapshot table");
        self.count_bitmaps(&mut uses, found)?;
        Ok(uses)
    }

    fn count_l2(
        &mut self,
        uses: &mut Uses,
        found: &mut Check,
        l2: u64,
        table: TableUses,
    ) -> Result<(), DiskError> {
        let slot = self.l2_table(l2)?;
        let cluster = self.header.cluster();
        for index in 0..1usize << self.header.l2_bits() {
            let entry = self.entry(slot, index * self.entry_len());
            if entry.word == 0 && entry.parts == 0 {
                continue;
            }
            let place = || format!("L2 entry {index} at {l2:#x}");
            if entry.word & COMPRESSED != 0 {
                if entry.word & COPIED != 0 {
                    found.corrupt(|| format!("{}: compressed, yet to be written over", place()));
                }
                let range = entry.compressed(&self.header);
                self.count_range(uses, found, range, table.times, "a compressed cluster");
                if table.active {
                    found.allocated += 1;
                    found.compressed += 1;
                }
                continue;
            }
            let zero_bit = self.header.version < 3 || self.header.extended();
            if entry.word & (L2_RESERVED | u64::from(zero_bit)) != 0 {
                found.corrupt(|| format!("{}: reserved bits are set", place()));
            }
            let parts = if self.header.extended() { 32 } else { 1 };
            let mut kinds = (0..parts).map(|part| entry.kind(part, &self.header));
            if kinds.any(|kind| kind.is_none()) {
                found.corrupt(|| format!("{}: it contradicts itself", place()));
            }
            let host = entry.host();
            if host == 0 {
                continue;
            }
            if self.header.in_cluster(host) != 0 {
                found.corrupt(|| format!("{}: {host:#x} is not aligned", place()));
                continue;
            }
            if table.active && entry.kind(0, &self.header) != Some(Kind::Zero) {
                found.allocated += 1;
            }
            self.count_range(uses, found, (host, cluster), table.times, "a cluster");
        }
        Ok(())
    }

    /// Counts the clusters of dirty bitmaps ("Bitmaps"), which we otherwise
    /// leave alone.
    fn count_bitmaps(&mut self, uses: &mut Uses, found: &mut Check) -> Result<(), DiskError> {
        let Some(bitmaps) = self.header.bitmaps else {
            return Ok(());
        };
        // Whoever wrote without knowing of them has let go of them.
        if self.header.autoclear & header::BITMAPS == 0 {
            return Ok(());
        }
        let end = self.medium.end();
        let directory = (bitmaps.offset, bitmaps.size);
        self.count_range(uses, found, directory, 1, "the directory of bitmaps");
        let mut at = bitmaps.offset;
        for _ in 0..bitmaps.count.min(65535) {
            if at >= end || at >= bitmaps.offset.saturating_add(bitmaps.size) {
                found.corrupt(|| "the directory of bitmaps does not end".into());
                break;
            }
            let mut entry = [0; 24];
            self.medium.read(at, &mut entry)?;
            let (table, entries) = (u64_at(&entry, 0), u64::from(u32_at(&entry, 8)));
            if entries > header::MAX_L1 || table >= end {
                found.corrupt(|| format!("the bitmap at {at:#x} is not there"));
                break;
            }
            self.count_range(uses, found, (table, entries * 8), 1, "a table of a bitmap");
            for entry in read_table(&mut self.medium, table, entries)? {
                if entry & OFFSET != 0 {
                    let range = (entry & OFFSET, self.header.cluster());
                    self.count_range(uses, found, range, 1, "a bitmap");
                }
            }
            let more = u64::from(u16_at(&entry, 18)) + u64::from(u32_at(&entry, 20));
            at = at.saturating_add((24 + more).next_multiple_of(8));
        }
        Ok(())
    }

    /// Counts the refcount table and its blocks. True if they cannot be used
    /// as they are.
    fn count_blocks(&mut self, uses: &mut Uses, found: &mut Check) -> Result<bool, DiskError> {
        let cluster = self.header.cluster();
        let len = u64::from(self.header.reftable_clusters) << self.header.cluster_bits;
        let at = self.header.reftable_offset;
        self.count_range(uses, found, (at, len), 1, "the refcount table");
        let mut broken = false;
        for index in 0..self.reftable.len() {
            let at = self.reftable[index];
            if at == 0 {
                continue;
            }
            let end = self.medium.end();
            if self.header.in_cluster(at) != 0 || at >= end {
                found.corrupt(|| format!("no refcount block can be at {at:#x}"));
                self.reftable[index] = 0;
                broken = true;
                continue;
            }
            self.count_range(uses, found, (at, cluster), 1, "a refcount block");
            let count = uses.get(at >> self.header.cluster_bits);
            if count != 1 {
                found.corrupt(|| format!("the refcount block at {at:#x} is used {count} times"));
                // Its numbers are not to be trusted, and not to be changed.
                self.reftable[index] = 0;
                broken = true;
            }
        }
        Ok(broken)
    }

    /// Compares the counts in the file with what was counted, and sets them
    /// right where that is wanted.
    fn compare(
        &mut self,
        uses: &Uses,
        repair: Repair,
        broken: bool,
        found: &mut Check,
    ) -> Result<(), DiskError> {
        let bits = self.block_bits();
        let order = self.header.refcount_order;
        let clusters = self.medium.end().div_ceil(self.header.cluster());
        // What will be made anew need not be set right.
        let fix_leaks = repair != Repair::Nothing && !broken;
        let fix_all = repair == Repair::All && !broken;
        let mut beyond = 0;
        for index in 0..self.reftable.len() as u64 {
            let from = index << bits;
            let to = (from + (1 << bits)).min(clusters);
            beyond = from + (1 << bits);
            if from >= to {
                break;
            }
            if self.block(from)?.is_none() {
                for (cluster, used) in uses.between(from, to) {
                    self.not_counted(cluster, used, found);
                }
                continue;
            }
            for cluster in from..to {
                let Some((slot, number)) = self.block(cluster)? else {
                    break;
                };
                let count = refcount::get(self.blocks.bytes(slot), order, number);
                let used = uses.get(cluster);
                if count == used {
                    continue;
                }
                let at = cluster << self.header.cluster_bits;
                let message =
                    || format!("the cluster at {at:#x} is counted {count} times, and used {used}");
                let fixed = used <= refcount::max(order);
                if count > used {
                    match fix_leaks {
                        true => found.leaks_fixed += 1,
                        false => found.leaks += 1,
                    }
                    found.say(message);
                } else {
                    match fix_all && fixed {
                        true => found.corruptions_fixed += 1,
                        false => found.corruptions += 1,
                    }
                    found.say(message);
                }
                if (count > used && fix_leaks) || (fix_all && fixed) {
                    self.set_count(slot, number, used);
                }
            }
        }
        for (cluster, used) in uses.between(beyond, u64::MAX) {
            self.not_counted(cluster, used, found);
        }
        Ok(())
    }

    fn not_counted(&self, cluster: u64, used: u64, found: &mut Check) {
        let at = cluster << self.header.cluster_bits;
        found.corrupt(|| format!("the cluster at {at:#x} is used {used} times, and not counted"));
    }

    /// Whether a cluster in use has no block to be counted in.
    fn must_rebuild(&mut self, uses: &Uses) -> Result<bool, DiskError> {
        let bits = self.block_bits();
        let used = uses.between(0, u64::MAX);
        let mut last = None;
        for (cluster, _) in used {
            let index = cluster >> bits;
            if last != Some(index) {
                last = Some(index);
                if self.reftable.get(index as usize).is_none_or(|&at| at == 0) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Checks the flags that say what may be written over: bit 63 of L1 and
    /// L2 entries.
    fn check_copied(&mut self, repair: Repair, found: &mut Check) -> Result<(), DiskError> {
        let bits = self.header.cluster_bits;
        for index in 0..self.l1.len() {
            let entry = self.l1[index];
            let l2 = entry & OFFSET;
            if l2 == 0 || self.header.in_cluster(l2) != 0 || l2 >= self.medium.end() {
                continue;
            }
            let own = self.refcount(l2 >> bits)? == 1;
            if own != (entry & COPIED != 0) && self.flag_is_wrong(repair, found, l2) {
                self.l1[index] = entry ^ COPIED;
                let at = self.header.l1_offset + index as u64 * 8;
                self.medium.write(at, &self.l1[index].to_be_bytes())?;
            }
            for number in 0..1usize << self.header.l2_bits() {
                let slot = self.l2_table(l2)?;
                let place = number * self.entry_len();
                let mut entry = self.entry(slot, place);
                let host = entry.host();
                if host == 0 || self.header.in_cluster(host) != 0 {
                    continue;
                }
                let own = self.refcount(host >> bits)? == 1;
                if own != (entry.word & COPIED != 0) && self.flag_is_wrong(repair, found, host) {
                    entry.word ^= COPIED;
                    self.set_entry(slot, place, entry);
                    self.medium
                        .write(l2 + place as u64, &entry.word.to_be_bytes())?;
                    self.l2.written(slot);
                }
            }
        }
        Ok(())
    }

    /// Notes a wrong flag; true if it is to be repaired.
    fn flag_is_wrong(&self, repair: Repair, found: &mut Check, at: u64) -> bool {
        let fix = repair == Repair::All;
        match fix {
            true => found.corruptions_fixed += 1,
            false => found.corruptions += 1,
        }
        found.say(|| format!("the flag that {at:#x} may be written over is wrong"));
        fix
    }
}
