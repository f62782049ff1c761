//! The store of decoded blocks: by guest-physical address, and by virtual
//! address for jumps.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use ruse_bus::PAGE_SIZE;

use crate::base::Base;
use crate::engine::{Cursor, Slot};

/// log2 of the entries of the jump cache.
const JUMP_BITS: u32 = 12;
/// Host memory for decoded code, in bytes, before all of it is dropped.
const CAPACITY: usize = 32 << 20;

/// What a slot of a block stands for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// The instruction's offset from the block's start, in bytes.
    pub offset: u16,
    /// The instructions of the block before it.
    pub before: u8,
    /// Its length in bytes.
    pub len: u8,
}

/// A run of decoded code.
pub(crate) struct Block {
    pub slots: Box<[Slot]>,
    /// One a slot.
    pub marks: Box<[Mark]>,
}

/// What a block is found by: its guest-physical address, that of its second
/// page if its only instruction lies across two (else 0, which no second page
/// is), and whether floating point was off.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub pa: u64,
    pub second: u64,
    pub fs_off: bool,
}

/// Multiplicative hashing: the keys are addresses.
#[derive(Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

type AddressMap<K, V> = HashMap<K, V, BuildHasherDefault<AddressHasher>>;

/// What the meaning of a virtual address depends on when it is executed:
/// address space, privilege, floating point off. Code on pages that all address
/// spaces share is found in any of them, by `global`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Context {
    pub local: u64,
    pub global: u64,
}

impl Context {
    /// Whether what was found in context `ctx` holds here.
    #[inline(always)]
    pub(crate) fn includes(self, ctx: u64) -> bool {
        ctx == self.local || ctx == self.global
    }
}

#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Jump {
    pc: u64,
    target: Cursor,
    ctx: u64,
}

/// All zero, so that a new cache costs what is used of it; no context is 0.
const NO_JUMP: Jump = Jump {
    pc: 0,
    target: Cursor::LEAVE,
    ctx: 0,
};

/// The decoded code of one hart.
pub(crate) struct Code {
    jumps: Box<[Jump; 1 << JUMP_BITS]>,
    by_key: AddressMap<Key, Cursor>,
    pages: AddressMap<u64, Vec<Key>>,
    /// By the host address of the first slot.
    blocks: BTreeMap<usize, Block>,
    /// A block that is used once: code outside RAM, or a single step.
    single: Option<Block>,
    bytes: usize,
    /// Counts the occasions on which blocks were freed.
    generation: u64,
}

#[allow(unsafe_code)]
// SAFETY: the cursors point into the blocks that the structure owns.
unsafe impl Send for Code {}

impl Code {
    #[allow(unsafe_code)]
    pub(crate) fn new() -> Self {
        // SAFETY: zeroes are a valid `Jump`, namely `NO_JUMP`.
        let jumps = unsafe { Box::new_zeroed().assume_init() };
        Self {
            jumps,
            by_key: AddressMap::default(),
            pages: AddressMap::default(),
            blocks: BTreeMap::new(),
            single: None,
            bytes: 0,
            generation: 0,
        }
    }

    /// Changes whenever blocks are freed: cursors and links kept from before
    /// are then dead.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The block at virtual address `pc` in context `ctx`, if remembered.
    #[inline(always)]
    pub(crate) fn jump<X: Base>(&self, pc: u64, ctx: Context) -> Option<Cursor> {
        let jump = &self.jumps[(pc >> 1) as usize & ((1 << JUMP_BITS) - 1)];
        (jump.pc == pc && X::holds(ctx, jump.ctx)).then_some(jump.target)
    }

    /// Remembers where `pc` leads in `ctx`.
    pub(crate) fn remember_jump(&mut self, pc: u64, ctx: u64, target: Cursor) {
        self.jumps[(pc >> 1) as usize & ((1 << JUMP_BITS) - 1)] = Jump { pc, ctx, target };
    }

    pub(crate) fn find(&self, key: Key) -> Option<Cursor> {
        self.by_key.get(&key).copied()
    }

    /// Keeps a block. When memory is used up, all others are freed first.
    pub(crate) fn insert(&mut self, key: Key, block: Block) -> Cursor {
        // Per block: slots, marks, map nodes.
        let bytes = block.slots.len() * (size_of::<Slot>() + size_of::<Mark>()) + 192;
        if self.bytes + bytes > CAPACITY {
            self.clear();
        }
        self.bytes += bytes;
        let start = block.slots.as_ptr();
        let cursor = Cursor::start(start);
        self.by_key.insert(key, cursor);
        let second = (key.second != 0).then_some(key.second);
        for page in std::iter::once(key.pa).chain(second) {
            self.pages
                .entry(page & !(PAGE_SIZE - 1))
                .or_default()
                .push(key);
        }
        self.blocks.insert(start as usize, block);
        cursor
    }

    /// Keeps a block until the next one of this kind.
    pub(crate) fn insert_single(&mut self, block: Block) -> Cursor {
        self.generation += 1;
        let block = self.single.insert(block);
        Cursor::start(block.slots.as_ptr())
    }

    /// What the slot at `cursor` stands for.
    pub(crate) fn mark(&self, cursor: Cursor) -> Mark {
        let address = cursor.address();
        let within = |block: &Block| {
            let at = address.wrapping_sub(block.slots.as_ptr() as usize) / size_of::<Slot>();
            block.marks.get(at).copied()
        };
        self.single
            .as_ref()
            .and_then(within)
            .or_else(|| {
                let (_, block) = self.blocks.range(..=address).next_back()?;
                within(block)
            })
            .unwrap_or_default()
    }

    /// Frees the blocks that lie in the guest-physical page at `page`. Whether
    /// there were any.
    pub(crate) fn drop_page(&mut self, page: u64) -> bool {
        let Some(keys) = self.pages.remove(&page) else {
            return false;
        };
        self.generation += 1;
        for key in keys {
            if let Some(cursor) = self.by_key.remove(&key)
                && let Some(block) = self.blocks.remove(&cursor.address())
            {
                self.bytes -= block.slots.len() * (size_of::<Slot>() + size_of::<Mark>()) + 192;
            }
        }
        true
    }

    /// Frees everything.
    pub(crate) fn clear(&mut self) {
        self.jumps.fill(NO_JUMP);
        self.by_key.clear();
        self.pages.clear();
        self.blocks.clear();
        self.bytes = 0;
        self.generation += 1;
    }
}
