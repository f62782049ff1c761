//! Fields of a word, drawn and listed.

use std::fmt;

/// Some neighbouring bits of a word, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the manual.
    pub name: String,
    /// Its highest bit.
    pub high: u32,
    /// Its lowest bit.
    pub low: u32,
    /// Its value.
    pub value: u64,
    /// What that means; empty if there is nothing to say.
    pub says: String,
}

impl Field {
    /// A field of `word`.
    pub(crate) fn of(word: u64, name: &str, high: u32, low: u32, says: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            high,
            low,
            value: bits(word, high, low),
            says: says.into(),
        }
    }

    /// The bits it is in, as the manual writes them.
    pub fn place(&self) -> String {
        match self.high == self.low {
            true => self.low.to_string(),
            false => format!("{}:{}", self.high, self.low),
        }
    }
}

/// Bits `high` to `low` of `word`.
pub(crate) fn bits(word: u64, high: u32, low: u32) -> u64 {
    word >> low & u64::MAX >> (63 - (high - low))
}

/// Writes a line for each field: place, name, value, meaning.
pub(crate) fn list(f: &mut fmt::Formatter<'_>, fields: &[Field]) -> fmt::Result {
    let name = fields
        .iter()
        .map(|field| field.name.len())
        .max()
        .unwrap_or(0);
    for field in fields {
        let value = match field.high - field.low {
            0..3 => format!(
                "{:0width$b}",
                field.value,
                width = (field.high - field.low + 1) as usize
            ),
            _ => format!("{:#x}", field.value),
        };
        let line = format!(
            "  {:>5}  {:name$}  {value:<12}  {}",
            field.place(),
            field.name,
            field.says
        );
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
