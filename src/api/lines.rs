//! Lines out of the pieces in which a body comes.

use axum::body::Bytes;
use std::mem;

/// Cuts pieces into lines. A line inside one piece is not copied; of one that is too long no more is kept than shows it.
#[derive(Debug)]
pub(super) struct Lines {
    piece: Bytes,
    /// The beginning of a line whose end is in a later piece.
    begun: Vec<u8>,
    bytes_max: usize,
}

impl Lines {
    /// Lines of up to `bytes_max` bytes; a longer one is cut to one byte more.
    pub(super) fn new(bytes_max: usize) -> Lines {
        Lines { piece: Bytes::new(), begun: Vec::new(), bytes_max }
    }

    /// Takes the next piece in. To be called when [`Lines::next`] has nothing more.
    pub(super) fn push(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty(), "a piece is taken when the one before it is used up");
        self.piece = piece;
    }

    /// The next whole line, without its end.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let Some(end) = self.piece.iter().position(|byte| *byte == b'\n') else {
            let piece = mem::take(&mut self.piece);
            self.keep(&piece);
            return None;
        };
        let line = self.piece.split_to(end);
        let _newline = self.piece.split_to(1);
        if self.begun.is_empty() {
            return Some(self.cut(line));
        }
        self.keep(&line);
        Some(self.whole())
    }

    /// What stands behind the last line end, when no more comes.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        (!self.begun.is_empty()).then(|| self.whole())
    }

    fn keep(&mut self, more: &[u8]) {
        // Room for a carriage return and for the byte that shows that the line is too long.
        let room = (self.bytes_max + 2).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&more[..more.len().min(room)]);
    }

    fn whole(&mut self) -> Bytes {
        let line = Bytes::from(mem::take(&mut self.begun));
        self.cut(line)
    }

    fn cut(&self, mut line: Bytes) -> Bytes {
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        line.truncate(self.bytes_max + 1);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use axum::body::Bytes;
    use proptest::prelude::*;

    fn lines(pieces: &[&[u8]], bytes_max: usize) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(bytes_max);
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(Bytes::copy_from_slice(piece));
            while let Some(line) = lines.next() {
                found.push(line.to_vec());
            }
        }
        found.extend(lines.rest().map(|line| line.to_vec()));
        found
    }

    #[test]
    fn a_line_that_is_too_long_stays_too_long() {
        assert_eq!(lines(&[b"12345\n", b"123456\n1234567890\n"], 5), [&b"12345"[..], b"123456", b"123456"]);
        assert_eq!(lines(&[b"1234", b"5\r\n123", b"45\r67\n12345\r"], 5), [&b"12345"[..], b"12345\r", b"12345"]);
    }

    proptest! {
        /// Planted: `room` without the byte for the carriage return; told.
        #[test]
        fn pieces_do_not_matter(text in "[ab\r\n]{0,60}", cuts in prop::collection::vec(0usize..60, 0..6), bytes_max in 1usize..8) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &text.as_bytes()[ends[0]..ends[1]]).collect();
            let mut expected: Vec<Vec<u8>> = text
                .split('\n')
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .map(|line| line.as_bytes()[..line.len().min(bytes_max + 1)].to_vec())
                .collect();
            // Behind the last line end nothing stands, or a line without one.
            if text.is_empty() || text.ends_with('\n') {
                expected.pop();
            }
            prop_assert_eq!(lines(&pieces, bytes_max), expected);
        }
    }
}
