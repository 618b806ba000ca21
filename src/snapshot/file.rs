//! What stands in a snapshot's file: a head, blocks of pieces, and an end.
//!
//! ```text
//! head    magic 8 | crc u32 | length u32 | what it is of (length bytes, see `Head`)
//! block   crc u32 | magic u32 | sequence u64 | number u32 | length u32 | kind u32 | zeros u32 | body (length bytes)
//! ```
//! Little-endian, but for the tables themselves, which lie as in memory: the head says in which order. A block's crc covers everything
//! behind it, the head's its length and what follows. The last block is of the kind `END` and holds the totals; nothing stands behind it.

use crate::engine::{Shape, TableShape};
use crate::event::{Sequence, Timestamp};
use crate::graph::{FamilyLimits, Limits};
use crate::memory::image::{BLOCK_HEADER, Totals};

/// Changes whenever the layout of the file does.
pub const FORMAT: u32 = 3;

const MAGIC: &[u8; 8] = b"weirimag";
const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"wblk");
/// Tells the order of bytes in a word: written as it lies in memory.
const ORDER: u64 = 0x0807_0605_0403_0201;

/// Bytes ahead of the head's content.
pub(super) const HEAD_START: usize = 16;
/// The head's content is never longer.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// No block is longer, its header included.
pub(super) const BLOCK_BYTES_MAX: usize = 16 << 20;

/// What a snapshot is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// [`crate::journal::ENGINE_VERSION`] of the writer.
    pub engine_version: u32,
    /// The first record that it does not know.
    pub sequence: Sequence,
    /// The runtime's clock when it was begun.
    pub taken_at: Timestamp,
    /// Stream time.
    pub now: Timestamp,
    pub shape: Shape,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pieces of tables.
    Pieces,
    /// The totals.
    End,
}

/// A block's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub crc: u32,
    pub kind: Kind,
    /// Bytes of the body.
    pub length: usize,
}

/// `N` bytes at `at`; the caller knows that they are there.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes")
}

/// Fills in the header of a block whose body stands behind it.
pub(super) fn seal(block: &mut [u8], sequence: Sequence, number: u32, kind: Kind) {
    let length = (block.len() - BLOCK_HEADER) as u32;
    block[4..8].copy_from_slice(&BLOCK_MAGIC.to_le_bytes());
    block[8..16].copy_from_slice(&sequence.0.to_le_bytes());
    block[16..20].copy_from_slice(&number.to_le_bytes());
    block[20..24].copy_from_slice(&length.to_le_bytes());
    block[24..28].copy_from_slice(&u32::from(kind == Kind::End).to_le_bytes());
    block[28..32].copy_from_slice(&[0; 4]);
    let crc = crc32fast::hash(&block[4..]);
    block[..4].copy_from_slice(&crc.to_le_bytes());
}

/// The header of the block with this number.
pub(super) fn open(header: &[u8; BLOCK_HEADER], sequence: Sequence, number: u32) -> Result<BlockHeader, String> {
    let word = |at| u32::from_le_bytes(part(header, at));
    let (found, length) = (u64::from_le_bytes(part(header, 8)), word(20) as usize);
    let kind = match word(24) {
        0 => Some(Kind::Pieces),
        1 => Some(Kind::End),
        _ => None,
    };
    match kind {
        Some(kind) if word(4) == BLOCK_MAGIC && found == sequence.0 && word(16) == number && length <= BLOCK_BYTES_MAX => {
            Ok(BlockHeader { crc: word(0), kind, length })
        }
        _ => Err(format!("found no header of block {number}")),
    }
}

/// The last block, whole.
pub(super) fn end(sequence: Sequence, number: u32, totals: Totals) -> Vec<u8> {
    let mut block = vec![0; BLOCK_HEADER];
    for total in [totals.pieces, totals.zeros, totals.copied] {
        block.extend_from_slice(&total.to_le_bytes());
    }
    seal(&mut block, sequence, number, Kind::End);
    block
}

/// The totals in the body of the last block.
pub(super) fn totals(body: &[u8]) -> Option<Totals> {
    let (totals, []) = body.as_chunks::<8>() else { return None };
    let [pieces, zeros, copied] = totals else { return None };
    let [pieces, zeros, copied] = [pieces, zeros, copied].map(|total| u64::from_le_bytes(*total));
    Some(Totals { pieces, zeros, copied })
}

impl Head {
    /// The head as it stands in the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; HEAD_START];
        out[..8].copy_from_slice(MAGIC);
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        put(&FORMAT.to_le_bytes());
        put(&self.engine_version.to_le_bytes());
        put(&ORDER.to_ne_bytes());
        put(&self.sequence.0.to_le_bytes());
        put(&self.taken_at.0.to_le_bytes());
        put(&self.now.0.to_le_bytes());
        put(&self.shape.layout.to_le_bytes());
        let Shape { topology, policy, policy_before, model, model_before, id_key, .. } = &self.shape;
        for hash in [topology, policy, policy_before, model, model_before, id_key] {
            put(hash);
        }
        let limits = &self.shape.limits;
        put(&limits.nodes_max.to_le_bytes());
        put(&limits.ids_max.to_le_bytes());
        for of in &limits.families {
            for limit in [of.rows_max, of.warm_nodes_max, of.pairs_max, of.late_rows_max] {
                put(&limit.to_le_bytes());
            }
        }
        put(&(self.shape.tables.len() as u32).to_le_bytes());
        for table in &self.shape.tables {
            put(&(table.name.len() as u32).to_le_bytes());
            put(table.name.as_bytes());
            put(&table.bytes.to_le_bytes());
            put(&table.used.to_le_bytes());
        }
        let length = (out.len() - HEAD_START) as u32;
        out[12..16].copy_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&out[12..]);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Bytes of the content behind the first [`HEAD_START`].
    pub(super) fn length(start: &[u8; HEAD_START]) -> Result<usize, String> {
        if &start[..8] != MAGIC {
            return Err("found no snapshot".to_owned());
        }
        let length = u32::from_le_bytes(part(start, 12)) as usize;
        if length <= HEAD_BYTES_MAX { Ok(length) } else { Err(format!("its head is said to be {length} bytes long")) }
    }

    /// The head whose bytes are these. An inner error: it is whole, and not ours to read.
    pub(super) fn read(bytes: &[u8]) -> Result<Result<Head, String>, String> {
        if crc32fast::hash(&bytes[12..]) != u32::from_le_bytes(part(bytes, 8)) {
            return Err("the head's checksum is wrong".to_owned());
        }
        let mut fields = Fields(&bytes[HEAD_START..]);
        let format = fields.u32().ok_or("its head is cut")?;
        if format != FORMAT {
            return Ok(Err(format!("found format {format}, expected {FORMAT}")));
        }
        let (version, order) = (fields.u32(), fields.take::<8>());
        if order.map(u64::from_ne_bytes) != Some(ORDER) {
            return Ok(Err("found another order of bytes than this machine's".to_owned()));
        }
        let head = version.and_then(|version| fields.head(version)).ok_or("its head is cut")?;
        Ok(Ok(head))
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(|word| Timestamp(word as i64))
    }

    fn family(&mut self) -> Option<FamilyLimits> {
        let (rows_max, warm_nodes_max, pairs_max, late_rows_max) = (self.u32()?, self.u32()?, self.u32()?, self.u32()?);
        Some(FamilyLimits { rows_max, warm_nodes_max, pairs_max, late_rows_max })
    }

    fn head(&mut self, engine_version: u32) -> Option<Head> {
        let (sequence, taken_at, now) = (Sequence(self.u64()?), self.time()?, self.time()?);
        let layout = self.u64()?;
        let (topology, policy, policy_before) = (self.take()?, self.take()?, self.take()?);
        let (model, model_before, id_key) = (self.take()?, self.take()?, self.take()?);
        let (nodes_max, ids_max) = (self.u32()?, self.u32()?);
        let limits = Limits { nodes_max, ids_max, families: [self.family()?, self.family()?, self.family()?] };
        let mut tables = Vec::new();
        for _ in 0..self.u32()? {
            let length = self.u32()? as usize;
            let (name, rest) = self.0.split_at_checked(length)?;
            self.0 = rest;
            let name = String::from_utf8(name.to_vec()).ok()?;
            tables.push(TableShape { name, bytes: self.u64()?, used: self.u64()? });
        }
        let shape = Shape { layout, limits, topology, policy, policy_before, model, model_before, id_key, tables };
        self.0.is_empty().then_some(Head { engine_version, sequence, taken_at, now, shape })
    }
}
