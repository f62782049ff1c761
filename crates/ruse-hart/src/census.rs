//! Counting what a hart executes: how often each block, and by that each kind of
//! instruction, and how often the ways that are to be quick were not.
//!
//! A hart that counts ([`Hart::count`]) decodes other blocks than one that does
//! not: they begin with an operation that counts, and end at every branch, so that
//! all of a block is executed whenever its start is, but for exceptions. A hart that
//! does not count pays nothing.

use std::collections::HashMap;

use ruse_isa::{Opcode, Xlen, decode};

use crate::engine::{Cursor, go};
use crate::hart::Hart;

/// Blocks that are told apart; the others are counted together.
const MOST: usize = 1 << 21;

/// A block that was decoded.
struct Site {
    va: u64,
    words: Box<[u32]>,
}

/// What a hart counts.
#[derive(Default)]
pub(crate) struct Census {
    /// One a block.
    counts: Vec<u64>,
    sites: Vec<Site>,
    /// Retired before counting began.
    since: u64,
    pub(crate) counters: Counters,
}

/// How often something happened that takes a hart longer than usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Loads and stores that did not find their page at hand.
    pub slow_loads: u64,
    /// Of stores.
    pub slow_stores: u64,
    /// Pages found in the second level of the TLB.
    pub refills: u64,
    /// Page-table walks.
    pub walks: u64,
    /// Pages that the TLB learnt.
    pub fills: u64,
    /// Times that control came to a block in another way than by a link or the cache
    /// of jumps.
    pub lookups: u64,
    /// Blocks that had to be decoded.
    pub decoded: u64,
}

/// How often a block was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockCount {
    /// Where it was when it was decoded.
    pub va: u64,
    /// Its instructions.
    pub words: Vec<u32>,
    /// How often it was executed.
    pub times: u64,
}

/// What a hart counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Instructions retired meanwhile.
    pub retired: u64,
    /// How often each kind of instruction was executed, most often first.
    pub mix: Vec<(Opcode, u64)>,
    /// How often each block was executed, in no order.
    pub blocks: Vec<BlockCount>,
    /// How often the slow ways were taken.
    pub counters: Counters,
}

impl Hart {
    /// From now on counts what it executes.
    pub fn count(&mut self) {
        self.census = Some(Box::new(Census {
            since: self.retired(),
            ..Census::default()
        }));
        self.forget_code();
    }

    /// What was counted, if it counts.
    pub fn tally(&self) -> Option<Tally> {
        let census = self.census.as_ref()?;
        let mut blocks: HashMap<(u64, &[u32]), u64> = HashMap::new();
        for (site, times) in census.sites.iter().zip(&census.counts) {
            if *times > 0 {
                *blocks.entry((site.va, &site.words)).or_default() += times;
            }
        }
        let mut mix: HashMap<Opcode, u64> = HashMap::new();
        for ((_, words), times) in &blocks {
            for word in *words {
                if let Some(inst) = decode(*word, self.xlen) {
                    *mix.entry(inst.op).or_default() += times;
                }
            }
        }
        let mut mix: Vec<_> = mix.into_iter().collect();
        mix.sort_by_key(|(op, times)| (std::cmp::Reverse(*times), op.info().mnemonic));
        let blocks = blocks.into_iter().map(|((va, words), times)| BlockCount {
            va,
            words: words.into(),
            times,
        });
        Some(Tally {
            retired: self.retired().wrapping_sub(census.since),
            mix,
            blocks: blocks.collect(),
            counters: census.counters,
        })
    }

    /// Something happened that is worth counting.
    #[inline]
    pub(crate) fn note(&mut self, what: impl FnOnce(&mut Counters)) {
        if let Some(census) = &mut self.census {
            what(&mut census.counters);
        }
    }
}

impl Census {
    /// The number of the counter for a block of these instructions.
    pub(crate) fn site(&mut self, va: u64, words: &[u32]) -> u32 {
        if self.sites.len() < MOST {
            self.sites.push(Site {
                va,
                words: words.into(),
            });
            self.counts.push(0);
        }
        self.sites.len() as u32 - 1
    }
}

/// Whether a block that is counted ends after this instruction.
pub(crate) fn ends_block(word: u32, xlen: Xlen) -> bool {
    decode(word, xlen).is_some_and(|inst| {
        matches!(
            inst.op,
            Opcode::Beq | Opcode::Bne | Opcode::Blt | Opcode::Bge | Opcode::Bltu | Opcode::Bgeu
        )
    })
}

/// The operation at the start of a block that is counted.
pub(crate) fn count(h: &mut Hart, c: Cursor) -> Cursor {
    let site = c.op().imm as u32 as usize;
    if let Some(census) = &mut h.census
        && let Some(times) = census.counts.get_mut(site)
    {
        *times += 1;
    }
    go!(h, c.next())
}
