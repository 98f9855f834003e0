//! Sizes, times and counts as people read them.

use std::fmt;

/// A number of bytes: "4.2 MiB".
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = "B";
        for larger in ["KiB", "MiB", "GiB", "TiB"] {
            if value < 1024.0 {
                break;
            }
            value /= 1024.0;
            unit = larger;
        }
        if unit == "B" { write!(f, "{} B", self.0) } else { write!(f, "{value:.1} {unit}") }
    }
}

/// A time in seconds: "12.3 ms".
pub struct Seconds(pub f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds >= 1.0 => write!(f, "{seconds:.2} s"),
            seconds if seconds >= 1e-3 => write!(f, "{:.1} ms", seconds * 1e3),
            seconds if seconds >= 1e-6 => write!(f, "{:.1} us", seconds * 1e6),
            seconds => write!(f, "{:.0} ns", seconds * 1e9),
        }
    }
}

/// A count with its thousands apart: "12,345".
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// `count` per second over `seconds`, rounded.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate"
)]
pub fn rate(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds.max(1e-9)).round() as u64
}

/// Seconds for one of `count`.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
pub fn each(seconds: f64, count: u64) -> f64 {
    seconds / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(Bytes(900).to_string(), "900 B");
        assert_eq!(Bytes(4_404_020).to_string(), "4.2 MiB");
        assert_eq!(Seconds(0.012_34).to_string(), "12.3 ms");
        assert_eq!(Seconds(2.0).to_string(), "2.00 s");
        assert_eq!(Count(1_234_567).to_string(), "1,234,567");
        assert_eq!(Count(999).to_string(), "999");
        assert_eq!(rate(10, 2.0), 5);
    }
}
