//! Reading a segment from start to end: every intact record as a line of JSON, every gap.

use std::collections::HashSet;

use logq_format::{
    Block, BlockHeader, BlockKind, Claims, DecodeError, Decompressor, FILE_HEADER_LEN, FileHeader,
    Gap, GapCause, Member, Scan, Spine, Step, StoredBlock, SyncMarker, Window, decode_dictionary,
    json, recover_marker,
};

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    /// The records as lines of JSON, in the order of the file, each once.
    pub(crate) lines: Vec<String>,
    /// What is damaged.
    pub(crate) gaps: Vec<Gap>,
    /// Blocks of every kind that were intact, as their headers.
    pub(crate) headers: Vec<BlockHeader>,
    /// How many blocks store the sections of their requests.
    pub(crate) with_sections: usize,
}

impl Reading {
    /// One line a gap: its bytes and its cause.
    pub(crate) fn gap_lines(&self) -> Vec<String> {
        let line = |gap: &Gap| format!("{}..{}: {}\n", gap.range.start, gap.range.end, gap.cause);
        self.gaps.iter().map(line).collect()
    }
}

/// Reads all of a segment, its file header included.
pub(crate) fn read(bytes: &[u8]) -> Reading {
    let header = FileHeader::decode(bytes).ok();
    let marker = header.map(|header| header.marker).or_else(|| recover_marker(bytes));
    let Some(marker) = marker else { return Reading::default() };
    let mut reader = Reader {
        bytes,
        marker,
        decompressor: Decompressor::new().unwrap(),
        seen: HashSet::new(),
        reading: Reading::default(),
    };
    reader.walk(Scan::new(marker, FILE_HEADER_LEN as u64..bytes.len() as u64));
    reader.reading
}

struct Reader<'a> {
    bytes: &'a [u8],
    marker: SyncMarker,
    decompressor: Decompressor,
    seen: HashSet<(i64, u32, u64)>,
    reading: Reading,
}

impl Reader<'_> {
    fn walk(&mut self, mut scan: Scan) {
        loop {
            match scan.step(Window { offset: 0, bytes: self.bytes }) {
                Step::Block { offset, header } => self.block(offset, header),
                Step::Gap(gap) => self.reading.gaps.push(gap),
                Step::Need(range) => panic!("the window has the whole file, but needs {range:?}"),
                Step::End => return,
            }
        }
    }

    fn block(&mut self, offset: u64, header: BlockHeader) {
        let start = usize::try_from(offset).unwrap();
        let block = StoredBlock::new(header.clone(), &self.bytes[start..]).unwrap();
        match self.contents(&block) {
            Ok(lines) => {
                self.reading.headers.push(header);
                self.reading.lines.extend(lines);
            }
            Err(error @ DecodeError::Checksum { .. }) => {
                self.walk(Scan::inside(self.marker, offset, header, error));
            }
            Err(error) => {
                let range = offset..offset + header.block_len() as u64;
                let header = Some(Box::new(header));
                self.reading.gaps.push(Gap { range, cause: GapCause::Content(error), header });
            }
        }
    }

    fn contents(&mut self, block: &StoredBlock<'_>) -> Result<Vec<String>, DecodeError> {
        match block.header().kind {
            BlockKind::Data => return self.records(block),
            BlockKind::Ping => drop(Claims::decode_ping(block)?),
            BlockKind::Join => drop(Member::decode_join(block)?),
            BlockKind::Dictionary => {
                let dictionary = decode_dictionary(block)?;
                self.decompressor.set_dictionary(Some(&dictionary)).unwrap();
            }
            kind if kind.is_skippable() => {}
            kind => {
                let found = u64::from(kind.to_byte());
                return Err(DecodeError::Newer { what: "block kind", found });
            }
        }
        Ok(Vec::new())
    }

    fn records(&mut self, stored: &StoredBlock<'_>) -> Result<Vec<String>, DecodeError> {
        let origin = stored.header().origin;
        let spine = stored.spine(&mut self.decompressor)?;
        let body = stored.body(&mut self.decompressor)?;
        let spine = Spine::parse(stored.header(), stored.request_ids().collect(), &spine)?;
        let block = Block::new(spine, &body)?;
        block.check_url_sections()?;
        self.reading.with_sections += usize::from(block.spine().url_sections()?.is_some());
        let mut lines = Vec::new();
        for (record, sequence) in block.records().zip(block.spine().sequences()) {
            let record = record?;
            if self.seen.insert((record.time.as_micros(), origin.writer.0, sequence)) {
                let mut line = Vec::new();
                json::write_line(&mut line, &record, origin, sequence);
                lines.push(String::from_utf8(line).unwrap());
            }
        }
        Ok(lines)
    }
}
