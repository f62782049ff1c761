//! Where a guest spends its time: stacks that were seen, and how often.

use std::collections::HashMap;

use crate::symbols::Symbols;

/// Stacks that are told apart.
const MOST: usize = 1 << 18;
/// The deepest stack that is looked at.
pub const DEEPEST: usize = 64;

/// A stack: the mode, the address that was executed, and the return addresses from
/// there outwards.
pub type Stack = Vec<u64>;

/// Stacks, and how often each was seen.
#[derive(Default)]
pub struct Profile {
    seen: HashMap<(u8, Stack), u64>,
    /// Seen when there was no more room.
    lost: u64,
}

impl Profile {
    /// A stack was seen in mode `mode` (0 is U, 1 is S, 3 is M), innermost first.
    pub fn add(&mut self, mode: u8, stack: Stack) {
        let room = self.seen.len() < MOST;
        match self.seen.get_mut(&(mode, stack.clone())) {
            Some(times) => *times += 1,
            None if room => {
                self.seen.insert((mode, stack), 1);
            }
            None => self.lost += 1,
        }
    }

    /// How many samples there are.
    pub fn samples(&self) -> u64 {
        self.seen.values().sum::<u64>() + self.lost
    }

    /// The stacks by name, outermost first, with a semicolon between and the number of
    /// samples at the end: what `flamegraph.pl` and `inferno` call folded.
    pub fn folded(&self, symbols: &Symbols) -> Vec<String> {
        let mut lines: HashMap<String, u64> = HashMap::new();
        for ((mode, stack), times) in &self.seen {
            let mut names = vec![mode_name(*mode).to_owned()];
            let outwards = stack.iter().enumerate().rev();
            names.extend(outwards.map(|(depth, at)| {
                // A return address belongs to the call before it.
                let at = if depth == 0 { *at } else { at.wrapping_sub(1) };
                name(symbols, *mode, at)
            }));
            // Unknown code is one frame, however deep.
            names.dedup();
            *lines.entry(names.join(";")).or_default() += times;
        }
        if self.lost > 0 {
            lines.insert("(not told apart)".into(), self.lost);
        }
        let mut lines: Vec<_> = lines
            .into_iter()
            .map(|(names, times)| format!("{names} {times}"))
            .collect();
        lines.sort();
        lines
    }

    /// How often each function was at the top, most often first.
    pub fn tops(&self, symbols: &Symbols) -> Vec<(String, u64)> {
        let mut tops: HashMap<String, u64> = HashMap::new();
        for ((mode, stack), times) in &self.seen {
            let at = stack.first().copied().unwrap_or(0);
            *tops.entry(name(symbols, *mode, at)).or_default() += times;
        }
        let mut tops: Vec<_> = tops.into_iter().collect();
        tops.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        tops
    }
}

fn mode_name(mode: u8) -> &'static str {
    match mode {
        0 => "user",
        1 => "supervisor",
        _ => "machine",
    }
}

fn name(symbols: &Symbols, mode: u8, at: u64) -> String {
    match symbols.find(at) {
        // What separates frames and counts may not be in a name.
        Some((name, _)) => name.replace([';', ' ', '\n'], "_"),
        None if mode == 0 => "[unknown program]".into(),
        None => "[unknown]".into(),
    }
}

/// The return addresses of a stack whose frames are linked, as code is compiled with
/// `-fno-omit-frame-pointer` (RISC-V ELF psABI, "Frame Pointer Convention"): below the
/// address in `fp` lie the return address and the caller's `fp`. `read` loads a
/// register's worth of the guest's memory; `width` is its size.
pub fn unwind(pc: u64, mut fp: u64, width: u64, read: impl Fn(u64) -> Option<u64>) -> Stack {
    let mut stack = vec![pc];
    while stack.len() < DEEPEST && fp.is_multiple_of(width) && fp >= 2 * width {
        let (Some(ra), Some(next)) = (read(fp - width), read(fp - 2 * width)) else {
            break;
        };
        if ra == 0 {
            break;
        }
        stack.push(ra);
        // Frames grow downwards: callers are further up, but not far.
        if next <= fp || next - fp > 1 << 20 {
            break;
        }
        fp = next;
    }
    stack
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        [(0x1000, "main".into()), (0x2000, "work".into())]
            .into_iter()
            .collect()
    }

    #[test]
    fn stacks_fold_by_name() {
        let mut profile = Profile::default();
        profile.add(1, vec![0x2004, 0x1010]);
        profile.add(1, vec![0x2008, 0x1010]);
        profile.add(0, vec![0x9_0000_0000]);
        assert_eq!(
            profile.folded(&symbols()),
            ["supervisor;main;work 2", "user;[unknown program] 1"]
        );
        assert_eq!(profile.tops(&symbols())[0], ("work".into(), 2));
        assert_eq!(profile.samples(), 3);
    }

    #[test]
    fn a_stack_is_followed_while_it_makes_sense() {
        // Two frames, then one that leads back.
        let memory = HashMap::from([
            (0x8ff8, 0x1111),
            (0x8ff0, 0x9100),
            (0x90f8, 0x2222),
            (0x90f0, 0x9000),
        ]);
        let read = |at| memory.get(&at).copied();
        assert_eq!(unwind(1, 0x9000, 8, read), [1, 0x1111, 0x2222]);
        assert_eq!(unwind(1, 0x9001, 8, read), [1]);
        assert_eq!(unwind(1, 0, 8, read), [1]);
        let endless = |at: u64| Some(if at % 16 == 8 { 0x5555 } else { at + 0x20 });
        assert_eq!(unwind(1, 0x1000, 8, endless).len(), DEEPEST);
    }
}
