//! Targets over whole structures as a segment stores them: file header, block, run of blocks.

use std::ops::Range;

use logq_format::{
    BLOCK_HEADER_LEN, Block, BlockHeader, BlockKind, Claims, DecodeError, Decompressor,
    FILE_HEADER_LEN, FileHeader, Member, Scan, Spine, Step, StoredBlock, SyncMarker, Window,
    decode_dictionary, find_block, find_last_block, recover_marker,
};

/// Writes the CRC-32C of the bytes before `offset` to `offset`.
fn put_crc(bytes: &mut [u8], offset: usize) {
    let crc = crc32c::crc32c(&bytes[..offset]).to_le_bytes();
    bytes[offset..offset + 4].copy_from_slice(&crc);
}

/// A file header decodes to something that encodes to a header of the same meaning.
pub fn file_header(data: &[u8]) {
    let _ = FileHeader::decode(data);
    let Some(bytes) = data.get(..FILE_HEADER_LEN) else { return };
    let mut bytes = bytes.to_vec();
    put_crc(&mut bytes, FILE_HEADER_LEN - 4);
    if let Ok(header) = FileHeader::decode(&bytes) {
        assert_eq!(FileHeader::decode(&header.encode()), Ok(header));
    }
}

/// A block with right checksums and any contents decodes or is refused, whatever its kind.
pub fn block(data: &[u8]) {
    let mut bytes = data.to_vec();
    let Some(marker) = mend_block(&mut bytes) else { return };
    let Ok(header) = BlockHeader::decode(&bytes, marker) else { return };
    assert!(header.min <= header.max);
    let Ok(stored) = StoredBlock::new(header, &bytes) else { return };
    assert_eq!(stored.check_front(), Ok(()));
    assert_eq!(stored.check_body(), Ok(()));
    match stored.header().kind {
        BlockKind::Data => drop(data_block(&stored)),
        BlockKind::Ping => check_claims(&stored),
        BlockKind::Join => check_join(&stored),
        BlockKind::Dictionary => drop(decode_dictionary(&stored)),
        _ => {}
    }
}

/// Puts right checksums into a block that may lack them.
fn mend_block(bytes: &mut [u8]) -> Option<SyncMarker> {
    let marker = SyncMarker::from_stored(*bytes.first_chunk::<8>()?)?;
    bytes.get(..BLOCK_HEADER_LEN)?;
    put_crc(bytes, BLOCK_HEADER_LEN - 4);
    let header = BlockHeader::decode(bytes, marker).ok()?;
    let front_end = BLOCK_HEADER_LEN + header.front_len();
    let front = crc32c::crc32c(bytes.get(BLOCK_HEADER_LEN..front_end)?);
    let body = crc32c::crc32c(bytes.get(front_end..header.block_len())?);
    bytes[60..64].copy_from_slice(&front.to_le_bytes());
    bytes[64..68].copy_from_slice(&body.to_le_bytes());
    put_crc(bytes, BLOCK_HEADER_LEN - 4);
    Some(marker)
}

fn data_block(stored: &StoredBlock<'_>) -> Result<(), DecodeError> {
    let mut decompressor = Decompressor::new().expect("there is memory");
    let spine = stored.spine(&mut decompressor)?;
    assert_eq!(spine.len(), stored.header().spine.raw_len as usize);
    let spine = Spine::parse(stored.header(), stored.request_ids().collect(), &spine)?;
    let body = stored.body(&mut decompressor)?;
    assert_eq!(body.len(), stored.header().body.raw_len as usize);
    let block = Block::new(spine, &body)?;
    assert_eq!(block.len(), stored.header().records as usize);
    block.records().for_each(drop);
    block.check_url_sections()
}

fn check_claims(stored: &StoredBlock<'_>) {
    let Ok(Some(claims)) = Claims::decode_ping(stored) else { return };
    let header = stored.header();
    let mut bytes = Vec::new();
    let marker = SyncMarker::from_random([1; 8]);
    claims.encode_ping(header.origin, header.min, header.sequence, marker, &mut bytes);
    let header = BlockHeader::decode(&bytes, marker).expect("an encoder's header is right");
    let again = StoredBlock::new(header, &bytes).expect("an encoder's block is whole");
    assert_eq!(Claims::decode_ping(&again), Ok(Some(claims)));
}

fn check_join(stored: &StoredBlock<'_>) {
    let Ok(member) = Member::decode_join(stored) else { return };
    let mut bytes = Vec::new();
    let marker = SyncMarker::from_random([1; 8]);
    member.encode_join(marker, &mut bytes);
    let header = BlockHeader::decode(&bytes, marker).expect("an encoder's header is right");
    let again = StoredBlock::new(header, &bytes).expect("an encoder's block is whole");
    assert_eq!(Member::decode_join(&again), Ok(member));
}

/// A scan of any bytes ends, covers all of them, and says the same through windows of any size.
pub fn resync(data: &[u8]) {
    let _ = recover_marker(data);
    let Some((marker, bytes)) = data.split_first_chunk::<8>() else { return };
    let Some(marker) = SyncMarker::from_stored(*marker) else { return };
    let bytes = mend_headers(bytes, marker);
    let whole = Scan::new(marker, 0..bytes.len() as u64);
    let steps = check_scan(&whole, &bytes, marker, 0..bytes.len());
    let mut first_block = None;
    for step in steps {
        let Step::Block { offset, header } = step else { continue };
        let start = index(offset);
        first_block = first_block.or(Some(start));
        let range = start..start + header.block_len();
        let stored = StoredBlock::new(header.clone(), &bytes[start..]).expect("it is all there");
        if let Err(error) = stored.check_front().and_then(|()| stored.check_body()) {
            check_scan(&Scan::inside(marker, offset, header, error), &bytes, marker, range);
        }
    }

    let first = find_block(&bytes, 0, marker);
    let last = find_last_block(&bytes, marker);
    assert_eq!(first.is_some(), last.is_some());
    assert!(first <= last);
    assert!(first_block.is_none() || first <= first_block);
}

/// Checks a scan through windows of three sizes and answers its steps.
fn check_scan(scan: &Scan, bytes: &[u8], marker: SyncMarker, range: Range<usize>) -> Vec<Step> {
    let steps = drive(scan.clone(), bytes, bytes.len());
    assert_eq!(drive(scan.clone(), bytes, 0), steps);
    assert_eq!(drive(scan.clone(), bytes, 100), steps);
    check_cover(&steps, bytes, marker, range);
    steps
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("below the end")
}

/// Puts right checksums into all headers: whatever follows a marker.
fn mend_headers(bytes: &[u8], marker: SyncMarker) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for start in 0..bytes.len().saturating_sub(BLOCK_HEADER_LEN - 1) {
        let header = &mut bytes[start..start + BLOCK_HEADER_LEN];
        // A byte of a header says whether it stays wrong.
        if header.starts_with(marker.as_bytes()) && header[10] & 0x80 == 0 {
            put_crc(header, BLOCK_HEADER_LEN - 4);
        }
    }
    bytes
}

/// All steps through windows of what is needed and at least `window` bytes.
fn drive(mut scan: Scan, bytes: &[u8], window: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut start, mut end) = (0, window.min(bytes.len()));
    for _ in 0..=8 * bytes.len() + 8 {
        match scan.step(Window { offset: start as u64, bytes: &bytes[start..end] }) {
            Step::End => return steps,
            Step::Need(need) => {
                start = index(need.start);
                end = index(need.end).max(start + window).min(bytes.len());
            }
            step => steps.push(step),
        }
    }
    panic!("the scan makes no progress");
}

/// Blocks and gaps follow each other from start to end, and no header of a block was made up.
fn check_cover(steps: &[Step], bytes: &[u8], marker: SyncMarker, range: Range<usize>) {
    let mut at = range.start as u64;
    for step in steps {
        at = match step {
            Step::Block { offset, header } => {
                assert_eq!(*offset, at);
                assert_eq!(BlockHeader::decode(&bytes[index(at)..], marker).as_ref(), Ok(header));
                at + header.block_len() as u64
            }
            Step::Gap(gap) => {
                assert_eq!(gap.range.start, at);
                assert!(gap.range.end > at, "a gap has bytes");
                gap.range.end
            }
            step => panic!("{step:?}"),
        };
    }
    assert_eq!(at, range.end as u64);
}
