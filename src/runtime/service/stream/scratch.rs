//! Texts of records that are too many for memory, in a file without a name.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

/// The file.
pub(super) struct Scratch {
    file: BufWriter<File>,
    end: u64,
}

/// Where a text stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) at: u64,
    pub(super) length: u32,
}

impl Scratch {
    pub(super) fn new() -> io::Result<Scratch> {
        Ok(Scratch { file: BufWriter::new(tempfile::tempfile()?), end: 0 })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<Piece> {
        let piece = Piece { at: self.end, length: bytes.len() as u32 };
        self.file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        Ok(piece)
    }

    pub(super) fn get(&mut self, piece: Piece) -> io::Result<Vec<u8>> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(piece.at))?;
        let mut bytes = vec![0; piece.length as usize];
        file.read_exact(&mut bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(bytes)
    }
}
