//! Names of addresses in code.

use std::collections::BTreeMap;

use goblin::elf::{Elf, sym};

use crate::kallsyms;

/// How far behind its symbol an address may be if nobody says how long the
/// function is.
const REACH: u64 = 1 << 20;

/// Names of addresses. Of several at one address the first global one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols(BTreeMap<u64, String>);

impl Symbols {
    /// The functions that a file has names for: an ELF file, a Linux Image, or a list
    /// such as `System.map`. None if it is none of them.
    pub fn of_file(bytes: &[u8]) -> Self {
        if let Ok(elf) = Elf::parse(bytes) {
            return Self::of_elf(&elf);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::of_map(text),
            Err(_) => kallsyms::symbols(bytes).unwrap_or_default(),
        }
    }

    /// The functions of an ELF file.
    pub fn of_elf(elf: &Elf<'_>) -> Self {
        let mut found: BTreeMap<u64, (u8, String)> = BTreeMap::new();
        let all = elf
            .syms
            .iter()
            .map(|symbol| (symbol, elf.strtab.get_at(symbol.st_name)))
            .chain(
                elf.dynsyms
                    .iter()
                    .map(|symbol| (symbol, elf.dynstrtab.get_at(symbol.st_name))),
            );
        for (symbol, name) in all {
            let code = matches!(
                symbol.st_type(),
                sym::STT_FUNC | sym::STT_NOTYPE | sym::STT_GNU_IFUNC
            );
            let Some(name) = name.filter(|name| !name.is_empty() && !name.starts_with('$')) else {
                continue;
            };
            if !code || symbol.st_shndx == 0 {
                continue;
            }
            let rank = match (symbol.st_type(), symbol.st_bind()) {
                (sym::STT_NOTYPE, _) => 2,
                (_, sym::STB_LOCAL) => 1,
                _ => 0,
            };
            let shown = format!("{:#}", rustc_demangle::demangle(name));
            match found.get(&symbol.st_value) {
                Some((old, _)) if *old <= rank => {}
                _ => {
                    found.insert(symbol.st_value, (rank, shown));
                }
            }
        }
        found
            .into_iter()
            .map(|(at, (_, name))| (at, name))
            .collect()
    }

    /// The functions of a list such as `System.map` or `/proc/kallsyms`: lines of
    /// an address, a letter and a name.
    pub fn of_map(text: &str) -> Self {
        text.lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let at = u64::from_str_radix(words.next()?, 16).ok()?;
                let kind = words.next()?;
                let code = matches!(kind, "t" | "T" | "w" | "W");
                let name = words.next()?;
                (code && at != 0 && !name.starts_with('$')).then(|| (at, name.to_owned()))
            })
            .collect()
    }

    /// Adds others, which count less where both have a name.
    pub fn add(&mut self, others: Self) {
        for (at, name) in others.0 {
            self.0.entry(at).or_insert(name);
        }
    }

    /// The function that `at` lies in, and how far from its start.
    pub fn find(&self, at: u64) -> Option<(&str, u64)> {
        let (start, name) = self.0.range(..=at).next_back()?;
        let offset = at - start;
        (offset < REACH).then_some((name.as_str(), offset))
    }

    /// What is called exactly so.
    pub fn named(&self, name: &str) -> Option<u64> {
        let found = self.0.iter().find(|(_, known)| known.as_str() == name);
        found.map(|(at, _)| *at)
    }

    /// The name of `at` itself.
    pub fn at(&self, at: u64) -> Option<&str> {
        self.0.get(&at).map(String::as_str)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u64, String)> for Symbols {
    fn from_iter<I: IntoIterator<Item = (u64, String)>>(all: I) -> Self {
        let mut symbols = BTreeMap::new();
        for (at, name) in all {
            symbols.entry(at).or_insert(name);
        }
        Self(symbols)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_names_the_code_it_lists() {
        let symbols = Symbols::of_map(
            "ffffffff80000000 T _start\nffffffff80000010 t local\nffffffff80000010 T other\n\
             ffffffff80000020 d data\nnonsense\n",
        );
        assert_eq!(symbols.len(), 2);
        assert_eq!(symbols.find(0xffff_ffff_8000_0014), Some(("local", 4)));
        assert_eq!(symbols.named("_start"), Some(0xffff_ffff_8000_0000));
        assert_eq!(symbols.find(0x1000), None);
        assert_eq!(symbols.find(u64::MAX), None, "too far from any");
    }
}
