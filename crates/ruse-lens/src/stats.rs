//! What harts counted, as tables.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use ruse_hart::{BlockCount, Tally};
use ruse_isa::Opcode;

use crate::listing;
use crate::symbols::Symbols;

/// Rows of the tables of instructions and of blocks.
const ROWS: usize = 16;

/// What ran: everything for a report.
pub struct Stats<'a> {
    /// What each hart counted.
    pub tallies: &'a [Tally],
    /// The width of their registers.
    pub xlen: ruse_isa::Xlen,
    /// How long it took.
    pub elapsed: Duration,
    /// Names of the guest's code.
    pub symbols: &'a Symbols,
}

fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".into(),
        _ => format!("{:.2} %", 100.0 * part as f64 / whole as f64),
    }
}

/// A number with a space every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table.add_rows(rows);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

impl Stats<'_> {
    fn sum(&self, of: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies.iter().map(of).sum()
    }

    fn mix(&self) -> Vec<(Opcode, u64)> {
        let mut mix: HashMap<Opcode, u64> = HashMap::new();
        for (op, times) in self.tallies.iter().flat_map(|tally| &tally.mix) {
            *mix.entry(*op).or_default() += times;
        }
        let mut mix: Vec<_> = mix.into_iter().collect();
        mix.sort_by_key(|(op, times)| (std::cmp::Reverse(*times), op.info().mnemonic));
        mix
    }

    fn blocks(&self) -> Vec<BlockCount> {
        let mut blocks: HashMap<(u64, &[u32]), u64> = HashMap::new();
        for block in self.tallies.iter().flat_map(|tally| &tally.blocks) {
            *blocks.entry((block.va, &block.words)).or_default() += block.times;
        }
        let mut blocks: Vec<_> = blocks
            .into_iter()
            .map(|((va, words), times)| BlockCount {
                va,
                words: words.to_vec(),
                times,
            })
            .collect();
        let work = |block: &BlockCount| block.times * block.words.len() as u64;
        blocks.sort_by_key(|block| (std::cmp::Reverse(work(block)), block.va));
        blocks
    }

    fn code(&self, at: u64) -> String {
        match self.symbols.find(at) {
            Some((name, 0)) => name.into(),
            Some((name, offset)) => format!("{name}+{offset:#x}"),
            None => format!("{at:#x}"),
        }
    }

    fn first(&self, block: &BlockCount) -> String {
        let Some(word) = block.words.first() else {
            return String::new();
        };
        listing::text(*word, self.xlen, block.va).unwrap_or_else(|| format!("{word:#x}"))
    }

    /// All of it as text.
    pub fn report(&self) -> String {
        let retired = self.sum(|tally| tally.retired);
        let mix = self.mix();
        let counted: u64 = mix.iter().map(|(_, times)| times).sum();
        let mut text = String::new();
        let seconds = self.elapsed.as_secs_f64();
        let _ = writeln!(
            text,
            "{} instructions in {seconds:.2} s: {:.0} million a second (counting slows them down)",
            grouped(retired),
            retired as f64 / seconds.max(1e-9) / 1e6
        );
        if self.tallies.len() > 1 {
            for (hart, tally) in self.tallies.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "  hart {hart}: {} ({})",
                    grouped(tally.retired),
                    share(tally.retired, retired)
                );
            }
        }

        let rows = mix.iter().take(ROWS).map(|(op, times)| {
            vec![
                op.info().mnemonic.into(),
                grouped(*times),
                share(*times, counted),
            ]
        });
        let _ = writeln!(
            text,
            "\nInstructions ({} kinds)\n{}",
            mix.len(),
            table(&["kind", "executed", "share"], rows.collect(), &[1, 2])
        );

        let mut extensions: HashMap<String, u64> = HashMap::new();
        for (op, times) in &mix {
            *extensions
                .entry(format!("{:?}", op.info().extension))
                .or_default() += times;
        }
        let mut extensions: Vec<_> = extensions.into_iter().collect();
        extensions.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let rows = extensions
            .into_iter()
            .map(|(name, times)| vec![name, grouped(times), share(times, counted)]);
        let _ = writeln!(
            text,
            "\nBy extension\n{}",
            table(&["extension", "executed", "share"], rows.collect(), &[1, 2])
        );

        let blocks = self.blocks();
        let rows = blocks.iter().take(ROWS).map(|block| {
            let work = block.times * block.words.len() as u64;
            vec![
                self.code(block.va),
                grouped(block.times),
                block.words.len().to_string(),
                share(work, counted),
                self.first(block),
            ]
        });
        let _ = writeln!(
            text,
            "\nBusiest blocks (of {} that were executed)\n{}",
            grouped(blocks.len() as u64),
            table(
                &["block", "executed", "length", "share", "begins with"],
                rows.collect(),
                &[1, 2, 3]
            )
        );

        let _ = writeln!(
            text,
            "\nThe slow ways\n{}",
            self.slow(&mix, counted, &blocks)
        );
        text
    }

    fn slow(&self, mix: &[(Opcode, u64)], counted: u64, blocks: &[BlockCount]) -> String {
        let accesses: u64 = mix
            .iter()
            .filter(|(op, _)| op.info().memory)
            .map(|(_, times)| times)
            .sum();
        let of = |of: fn(&ruse_hart::Counters) -> u64| self.sum(|tally| of(&tally.counters));
        let slow = of(|counters| counters.slow_loads + counters.slow_stores);
        let entered: u64 = blocks.iter().map(|block| block.times).sum();
        let lookups = of(|counters| counters.lookups);
        let row = |what: &str, times: u64, note: String| vec![what.into(), grouped(times), note];
        let rows = vec![
            row(
                "loads and stores",
                accesses,
                share(accesses, counted) + " of all instructions",
            ),
            row(
                "  not at hand in the TLB",
                slow,
                share(slow, accesses) + " of them",
            ),
            row(
                "  found in its second level",
                of(|counters| counters.refills),
                String::new(),
            ),
            row(
                "  page-table walks",
                of(|counters| counters.walks),
                "fetches included".into(),
            ),
            row(
                "  pages the TLB learnt",
                of(|counters| counters.fills),
                String::new(),
            ),
            row(
                "blocks entered",
                entered,
                format!(
                    "{:.1} instructions each",
                    counted as f64 / entered.max(1) as f64
                ),
            ),
            row(
                "  neither linked nor in the jump cache",
                lookups,
                share(lookups, entered) + " of them",
            ),
            row(
                "  decoded",
                of(|counters| counters.decoded),
                format!("{} different ones", grouped(blocks.len() as u64)),
            ),
        ];
        table(&["what", "times", ""], rows, &[1])
    }
}

#[cfg(test)]
mod tests {
    use ruse_hart::Counters;
    use ruse_isa::Xlen;

    use super::*;

    #[test]
    fn harts_are_added_up() {
        let tally = Tally {
            retired: 1_500_000,
            mix: vec![(Opcode::Addi, 1_000_000), (Opcode::Lw, 500_000)],
            blocks: vec![BlockCount {
                va: 0x8000_0010,
                words: vec![0x0010_0093, 0x0000_2083, 0x0010_0093],
                times: 500_000,
            }],
            counters: Counters {
                slow_loads: 5,
                decoded: 1,
                ..Counters::default()
            },
        };
        let symbols = [(0x8000_0000, "main".into())].into_iter().collect();
        let text = Stats {
            tallies: &[tally.clone(), tally],
            xlen: Xlen::Rv64,
            elapsed: Duration::from_secs(2),
            symbols: &symbols,
        }
        .report();
        assert!(
            text.starts_with("3 000 000 instructions in 2.00 s: 2 million"),
            "{text}"
        );
        let has = |words: &str| {
            let found = text.lines().any(|line| {
                line.split_whitespace()
                    .collect::<Vec<_>>()
                    .join(" ")
                    .contains(words)
            });
            assert!(found, "{words}\n{text}");
        };
        has("addi 2 000 000 66.67 %");
        has("main+0x10 1 000 000 3 100.00 % addi ra,zero,1");
        has("not at hand in the TLB 10 0.00 %");
    }
}
