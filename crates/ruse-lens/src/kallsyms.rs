//! The symbols that a Linux kernel carries in itself, for its own backtraces
//! (`kernel/kallsyms.c`, `scripts/kallsyms.c`; since Linux 6.4 in this order): so
//! that the image that is booted, stripped as it is, has names.
//!
//! | what | how it is recognised |
//! |---|---|
//! | number of symbols, 32 bits | the names end where the markers begin |
//! | names: a length, then as many token numbers | |
//! | markers: where each 256th name begins, 32 bits each | start at 0, rise, end at the table |
//! | token table: 256 strings that end in zero | those of `0` to `9` follow each other |
//! | token index: where each token begins, 16 bits each | agrees with the table |
//! | offsets of the symbols, 32 bits each | rise |
//! | the address that offsets count from, 64 bits | |
//!
//! Each is aligned to 8 bytes. The first letter of a name is its kind.

use crate::symbols::Symbols;

/// The most symbols that a kernel is believed to have.
const MOST: usize = 1 << 22;
/// The longest name.
const LONGEST: usize = 1024;
/// Names a marker.
const GROUP: usize = 256;

fn align(at: usize) -> usize {
    at.next_multiple_of(8)
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    let raw = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*raw))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*raw))
}

fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    let raw = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*raw))
}

/// The token table: where it starts, the tokens, and where the index ends.
struct Tokens<'a> {
    start: usize,
    all: Vec<&'a [u8]>,
    end: usize,
}

/// The token for `0` is number 0x30, if digits have tokens of their own.
const DIGITS: &[u8] = b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\x00";

impl<'a> Tokens<'a> {
    /// The table around the tokens of the digits at `digits`.
    fn around(image: &'a [u8], digits: usize) -> Option<Self> {
        let mut start = digits;
        for _ in 0..b'0' {
            let before = image.get(..start.checked_sub(1)?)?;
            let zero = before
                .iter()
                .rev()
                .take(LONGEST)
                .position(|byte| *byte == 0)?;
            start = before.len() - zero;
        }
        // Before the first token there may be padding: zeroes like ends of tokens.
        let mut all = Vec::with_capacity(256);
        let mut at = start;
        for _ in 0..256 {
            let token = image.get(at..)?;
            let len = token.iter().take(LONGEST).position(|byte| *byte == 0)?;
            all.push(&token[..len]);
            at += len + 1;
        }
        let index = align(at);
        let mut begins = 0;
        for (n, token) in all.iter().enumerate() {
            if usize::from(le16(image, index + 2 * n)?) != begins {
                return None;
            }
            begins += token.len() + 1;
        }
        Some(Self {
            start,
            all,
            end: index + 512,
        })
    }

    /// Spells the name at `at` of which `len` tokens follow.
    fn spell(&self, numbers: &[u8]) -> String {
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|number| self.all[usize::from(*number)].iter().copied())
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The tokens of the name at `at`, and where the next one is.
fn name(image: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let first = usize::from(*image.get(at)?);
    let (len, start) = match first & 0x80 {
        0 => (first, at + 1),
        _ => (first & 0x7f | usize::from(*image.get(at + 1)?) << 7, at + 2),
    };
    (len > 0 && len <= LONGEST).then_some(())?;
    Some((image.get(start..start + len)?, start + len))
}

/// Where the markers begin that end at `end`, and how many there are.
fn markers(image: &[u8], end: usize) -> Option<(usize, usize)> {
    // Padding may follow them.
    for end in [end, end.checked_sub(4)?] {
        let mut at = end.checked_sub(4)?;
        let mut later = le32(image, at)?;
        while later != 0 {
            let before = at.checked_sub(4)?;
            let value = le32(image, before)?;
            if value >= later || end - before > 4 * MOST / GROUP {
                break;
            }
            (at, later) = (before, value);
        }
        if later == 0 && end - at > 4 {
            return Some((at, (end - at) / 4));
        }
    }
    None
}

/// Where the names begin, and how many there are, whose `count` markers begin at
/// `markers`.
fn names(image: &[u8], markers: usize, count: usize) -> Option<(usize, usize)> {
    let last = le32(image, markers + 4 * (count - 1))? as usize;
    let latest = markers.checked_sub(last)?;
    let earliest = latest.saturating_sub(GROUP * LONGEST);
    let mut at = latest / 8 * 8;
    while at >= earliest.max(8) {
        let symbols = le32(image, at - 8)? as usize;
        if symbols.div_ceil(GROUP) == count && symbols <= MOST {
            // The last group has to end where the markers begin.
            let mut end = at + last;
            let rest = symbols - GROUP * (count - 1);
            let walked = (0..rest).try_for_each(|_| {
                end = name(image, end)?.1;
                (end <= markers).then_some(())
            });
            if walked.is_some() && align(end) == markers {
                return Some((at, symbols));
            }
        }
        at -= 8;
    }
    None
}

fn table(image: &[u8], tokens: &Tokens<'_>) -> Option<Symbols> {
    let (markers, count) = markers(image, tokens.start / 8 * 8)?;
    let (mut at, symbols) = names(image, markers, count)?;
    let offsets = align(tokens.end);
    let base = le64(image, align(offsets + 4 * symbols))?;
    let mut found = Vec::new();
    let mut before = 0;
    for n in 0..symbols {
        let (numbers, next) = name(image, at)?;
        let offset = le32(image, offsets + 4 * n)?;
        if offset < before {
            return None;
        }
        before = offset;
        at = next;
        let text = tokens.spell(numbers);
        let code = matches!(text.as_bytes().first(), Some(b't' | b'T' | b'w' | b'W'));
        if code && let Some(name) = text.get(1..).filter(|name| !name.starts_with('$')) {
            found.push((base.wrapping_add(offset.into()), name.to_owned()));
        }
    }
    Some(found.into_iter().collect())
}

/// The functions of the kernel in `image`, an uncompressed Image as it lies in
/// memory. None if it has no such table, or one in another order.
pub fn symbols(image: &[u8]) -> Option<Symbols> {
    let mut from = 0;
    while let Some(digits) = find(image.get(from..)?, DIGITS) {
        let found = Tokens::around(image, from + digits);
        if let Some(symbols) = found.and_then(|tokens| table(image, &tokens)) {
            return Some(symbols);
        }
        from += digits + 1;
    }
    None
}

fn find(image: &[u8], what: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let rest = image.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == what[0])?;
        if image[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of symbols as a kernel has it, and something before.
    fn image(symbols: &[(u32, &str)]) -> Vec<u8> {
        let mut image = vec![0xff; 4096];
        let pad = |image: &mut Vec<u8>| image.resize(align(image.len()), 0);
        image.extend((symbols.len() as u32).to_le_bytes());
        pad(&mut image);
        let start = image.len();
        let mut marks = Vec::new();
        for (n, (_, name)) in symbols.iter().enumerate() {
            if n % GROUP == 0 {
                marks.push((image.len() - start) as u32);
            }
            let len = name.len();
            match len {
                ..0x80 => image.push(len as u8),
                _ => image.extend([len as u8 & 0x7f | 0x80, (len >> 7) as u8]),
            }
            image.extend(name.bytes());
        }
        pad(&mut image);
        image.extend(marks.iter().flat_map(|mark| mark.to_le_bytes()));
        pad(&mut image);
        let (mut tokens, mut index) = (Vec::new(), Vec::new());
        for byte in 0..=255u8 {
            index.extend((tokens.len() as u16).to_le_bytes());
            // A token of two letters, to see that they are spelt.
            match byte {
                0 => tokens.extend(b"ab"),
                byte => tokens.push(byte),
            }
            tokens.push(0);
        }
        image.extend(tokens);
        pad(&mut image);
        image.extend(index);
        image.extend(symbols.iter().flat_map(|(offset, _)| offset.to_le_bytes()));
        pad(&mut image);
        image.extend(0xffff_ffff_8000_0000u64.to_le_bytes());
        image
    }

    #[test]
    fn names_come_out_as_they_went_in() {
        let long = format!("T{}", "x".repeat(300));
        let names: Vec<String> = (0..700).map(|n| format!("tfunction_{n}")).collect();
        let mut all: Vec<_> = names.iter().map(|name| name.as_str()).collect();
        all[3] = &long;
        all[4] = "Dvariable";
        all[5] = "T\0c";
        let table: Vec<_> = (0..).step_by(16).zip(all).collect();
        let found = symbols(&image(&table)).unwrap();
        assert_eq!(found.len(), 699);
        let base = 0xffff_ffff_8000_0000;
        assert_eq!(found.find(base + 16 * 600 + 4), Some(("function_600", 4)));
        assert_eq!(found.at(base + 48), Some(&long[1..]));
        assert_eq!(found.at(base + 80), Some("abc"));
        assert_eq!(found.at(base + 64), None, "no code");
    }

    #[test]
    fn whatever_is_broken_has_no_symbols_and_does_no_harm() {
        let table: Vec<_> = (0..300).map(|n| (n * 4, "tname")).collect();
        let whole = image(&table);
        assert!(symbols(&whole).is_some());
        for len in (0..whole.len()).step_by(7) {
            let _ = symbols(&whole[..len]);
        }
        let mut random = 1u64;
        for _ in 0..2000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let mut broken = whole.clone();
            let at = 4000 + (random >> 33) as usize % (broken.len() - 4000);
            broken[at] = (random >> 20) as u8;
            let _ = symbols(&broken);
        }
        assert_eq!(symbols(&[0; 10_000]), None);
    }
}
