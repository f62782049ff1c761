//! Sizes as people write them: `512M`, `1G`, `2GiB`.

/// Parses a number of bytes with an optional unit of 1024s.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        "t" | "tib" => 40,
        _ => return Err(format!("`{unit}` is no unit; try 512M or 2G")),
    };
    if number.is_empty() {
        return Err("no number; try 512M or 2G".into());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| *bytes < 1 << 55)
        .ok_or_else(|| "more than any machine has".into())
        .and_then(|bytes| match bytes {
            0 => Err("nothing at all".into()),
            _ if !bytes.is_multiple_of(4096) => Err("not a multiple of 4096 bytes".into()),
            _ => Ok(bytes),
        })
}

/// Parses a number with an optional unit of 1000s: `100M`.
///
/// # Errors
/// What is wrong with it, as a sentence.
pub fn count(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return Err(format!("`{unit}` is no unit; try 500M or 2G")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|&number| number != 0)
        .ok_or_else(|| "not a number; try 500M or 2G".into())
}

/// A number of bytes in at most five characters: `512M`, `1.5G`.
pub fn short(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    if bytes < 1024 {
        return bytes.to_string();
    }
    let (mut unit, mut size) = (0, bytes as f64 / 1024.0);
    // What would round to 1024 of one unit is 1 of the next.
    while size >= 1023.5 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let tenths = (size * 10.0).round();
    match tenths < 100.0 && tenths % 10.0 != 0.0 {
        true => format!("{:.1}{}", tenths / 10.0, UNITS[unit]),
        false => format!("{size:.0}{}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, parse, short};

    #[test]
    fn short_sizes() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (1536, "1.5K"),
            (10 << 20, "10M"),
            ((10 << 20) + (1 << 19), "10M"),
            ((1 << 30) - 1, "1G"),
            (50_000_000_000, "47G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(short(bytes), text);
        }
    }

    #[test]
    fn counts() {
        assert_eq!(count("7"), Ok(7));
        assert_eq!(count("100M"), Ok(100_000_000));
        assert_eq!(count("2t"), Ok(2_000_000_000_000));
        for text in [
            "",
            "M",
            "0",
            "-1",
            "1.5M",
            "1Mi",
            "99999999999999999999",
            "99999999T",
        ] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64k", 64 << 10),
            ("512M", 512 << 20),
            ("1GiB", 1 << 30),
            ("3g", 3 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "G",
            "-1G",
            "1.5G",
            "1 G",
            "1X",
            "0",
            "4097",
            "1GB",
            "99999999999999999999",
            "16777216T",
            "0x1000",
            "١G",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
