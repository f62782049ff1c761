//! New reference counts in place of ones that cannot be set right.

use std::collections::BTreeSet;

use super::check::Check;
use super::header::{AT_REFTABLE, MAX_REFTABLE};
use super::{Qcow2, refcount};
use crate::DiskError;

impl Qcow2 {
    /// Writes a new refcount table and new blocks behind the end of the file,
    /// and then makes the header name them: the old ones serve until the new
    /// ones are there.
    pub(super) fn rebuild(&mut self, found: &mut Check) -> Result<(), DiskError> {
        let header = &self.header;
        let (bits, order) = (header.cluster_bits, header.refcount_order);
        let block_bits = self.block_bits();
        let mut again = Check::default();
        let uses = self.count_data(&mut again, &mut |_, _| {})?;
        let first = self.medium.end().div_ceil(1 << bits);
        let mut indices: BTreeSet<u64> = uses
            .between(0, u64::MAX)
            .map(|(cluster, _)| cluster >> block_bits)
            .collect();
        // The new ones count themselves too.
        let (table, end) = loop {
            let entries = indices.last().map_or(0, |last| last + 1);
            let table = (entries * 8).div_ceil(1 << bits).max(1);
            let end = first + indices.len() as u64 + table;
            let before = indices.len();
            indices.extend(first >> block_bits..=(end - 1) >> block_bits);
            if indices.len() == before {
                break (table, end);
            }
        };
        if table << bits > MAX_REFTABLE {
            return Err(self.medium.damaged(
                first << bits,
                "the file has more clusters than a refcount table may count",
            ));
        }
        let max = refcount::max(order);
        let mut entries = vec![0u8; (table << bits) as usize];
        let mut bytes = vec![0; 1 << bits];
        for (number, &index) in indices.iter().enumerate() {
            bytes.fill(0);
            let from = index << block_bits;
            let to = from + (1 << block_bits);
            for (cluster, used) in uses.between(from, to) {
                if used > max {
                    found.corrupt(|| format!("{:#x} is used too often", cluster << bits));
                }
                refcount::set(&mut bytes, order, (cluster - from) as usize, used.min(max));
            }
            for cluster in from.max(first)..to.min(end) {
                refcount::set(&mut bytes, order, (cluster - from) as usize, 1);
            }
            let at = (first + number as u64) << bits;
            self.medium.write(at, &bytes)?;
            entries[index as usize * 8..][..8].copy_from_slice(&at.to_be_bytes());
        }
        let at = (end - table) << bits;
        self.medium.write(at, &entries)?;
        self.medium.sync()?;
        let mut fields = at.to_be_bytes().to_vec();
        fields.extend((table as u32).to_be_bytes());
        self.medium.write(AT_REFTABLE, &fields)?;
        self.medium.sync()?;
        self.header.reftable_offset = at;
        self.header.reftable_clusters = table as u32;
        self.reftable = super::read_table(&mut self.medium, at, (table << bits) / 8)?;
        self.blocks.clear();
        self.hint = 0;
        // All counts are right now; what else is wrong was counted again.
        found.corruptions_fixed += found.corruptions.saturating_sub(again.corruptions);
        found.corruptions = again.corruptions;
        found.leaks_fixed += found.leaks;
        found.leaks = 0;
        Ok(())
    }
}
