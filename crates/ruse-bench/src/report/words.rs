//! Figures as people read them.

use crate::workload::Unit;

/// Three digits that count.
pub fn digits(value: f64) -> String {
    match value.abs() {
        x if x >= 99.95 => format!("{value:.0}"),
        x if x >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let (mut value, mut at) = (value, 0);
    while value.abs() >= step * 0.9995 && at + 1 < units.len() {
        value /= step;
        at += 1;
    }
    format!("{} {}", digits(value), units.get(at).unwrap_or(&""))
}

/// Nanoseconds.
pub fn time(nanos: f64) -> String {
    scaled(nanos, 1e3, &["ns", "µs", "ms", "s"])
}

/// Bytes.
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// Nanoseconds for so many bytes.
pub fn rate(nanos: f64, bytes: u64) -> String {
    let per_second = bytes as f64 / nanos * 1e9;
    scaled(per_second / 1e6, 1e3, &["MB/s", "GB/s", "TB/s"])
}

/// A figure.
pub fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Time => time(value),
        Unit::Rate(bytes) => rate(value, bytes),
        Unit::Bytes => bytes(value),
        Unit::Millionths => format!("{value:+.0} ppm"),
    }
}

/// How far figures reach: the better end first, for a rate the slower one.
pub fn spread(min: f64, max: f64, unit: Unit) -> String {
    let (low, high) = match unit {
        Unit::Rate(_) => (max, min),
        _ => (min, max),
    };
    let (low, high) = (figure(low, unit), figure(high, unit));
    // The unit stands once if it is the same.
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, one)), Some((_, other))) if one == other => format!("{number} to {high}"),
        _ => format!("{low} to {high}"),
    }
}

/// A ratio, and how far it reaches.
pub fn ratio(value: f64) -> String {
    format!("{}×", digits(value))
}

/// A share, in percent.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        x if x >= 99.5 => format!("{percent:.0} %"),
        x if x >= 1.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.2} %"),
    }
}

/// A moment, given by seconds since 1970, in UTC: proleptic Gregorian (H. Hinnant,
/// chrono-compatible low-level date algorithms, `civil_from_days`).
pub fn moment(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (rest / 3600, rest / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_the_size() {
        assert_eq!(time(0.8), "0.80 ns");
        assert_eq!(time(999.8), "1.00 µs");
        assert_eq!(time(12_345_678.0), "12.3 ms");
        assert_eq!(time(98e9), "98.0 s");
        assert_eq!(bytes(36.0 * 1024.0), "36.0 KiB");
        assert_eq!(rate(8.0, 8), "1.00 GB/s");
        assert_eq!(figure(-3.2, Unit::Millionths), "-3 ppm");
        assert_eq!(spread(1000.0, 2500.0, Unit::Time), "1.00 to 2.50 µs");
        assert_eq!(spread(900.0, 2500.0, Unit::Time), "900 ns to 2.50 µs");
        assert_eq!(spread(8.0, 16.0, Unit::Rate(8)), "500 MB/s to 1.00 GB/s");
        assert_eq!(ratio(31.46), "31.5×");
        assert_eq!(percent(0.0312), "3.1 %");
        assert_eq!(percent(2.5), "250 %");
    }

    #[test]
    fn moments() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(951_868_740), "2000-02-29 23:59 UTC");
        assert_eq!(moment(1_767_225_600), "2026-01-01 00:00 UTC");
        assert_eq!(moment(4_107_542_400), "2100-03-01 00:00 UTC");
    }
}
