//! Texts in HTML, and numbers as people read them.

use std::fmt;

/// A text from outside, as it may stand between tags and in a quoted attribute.
pub(super) struct Text<'t>(pub &'t str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let mut letters = piece.chars();
            let last = letters.next_back();
            let escaped = match last {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                Some('\'') => "&#39;",
                _ => {
                    f.write_str(piece)?;
                    continue;
                }
            };
            f.write_str(letters.as_str())?;
            f.write_str(escaped)?;
        }
        Ok(())
    }
}

/// A whole number with a thin space between groups of three: `1 234 567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// A rate: one decimal where it is small.
pub(super) fn rate(per_second: f64) -> String {
    if per_second < 9.95 { format!("{per_second:.1}") } else { grouped(per_second.round() as u64) }
}

/// Milliseconds, with as many decimals as say something.
pub(super) fn milliseconds(value: f64) -> String {
    match value {
        ..1.0 => format!("{value:.2}"),
        1.0..10.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, grouped, milliseconds, rate};

    /// Planted: `'"'` left as it is; told.
    #[test]
    fn no_text_leaves_its_place() {
        let hostile = "é<script>alert(\"1\")</script> & 'x'";
        assert_eq!(Text(hostile).to_string(), "é&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;");
        assert_eq!(Text("").to_string(), "");
        assert_eq!(Text("u-1ü").to_string(), "u-1ü");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
        assert_eq!([0.0, 9.94, 9.96, 1999.6].map(rate), ["0.0", "9.9", "10", "2\u{202f}000"]);
        assert_eq!([0.123, 1.25, 12.6].map(milliseconds), ["0.12", "1.2", "13"]);
    }
}
