//! Records to blocks and back, in memory. Throughput is in records.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on shall stop")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logq_benches::{RawBlock, decompress, decompressor, stored_blocks};
use logq_format::{
    Block, BlockBuilder, BlockContext, BlockFlags, Compressor, Dictionary, LEVEL_DEFAULT, Origin,
    Record, Spine, SyncMarker, WorkerId, WriterId, json,
};
use logq_testkit::segment::{SegmentOptions, encode, train};
use logq_testkit::traffic::TrafficOptions;

const RECORDS: u64 = 100_000;
const BLOCK_BYTES: usize = 32 << 10;

fn options(dictionary: Option<Dictionary>) -> SegmentOptions {
    let traffic = TrafficOptions { records: RECORDS, ..Default::default() };
    SegmentOptions { traffic, block_bytes: BLOCK_BYTES, dictionary, ..Default::default() }
}

fn trained() -> Dictionary {
    let mut day_before = options(None);
    day_before.traffic.seed = 2;
    train(&day_before, 64 << 10).unwrap()
}

fn encode_records(criterion: &mut Criterion) {
    let segment = encode(&options(None)).unwrap();
    let mut decompressor = decompressor(&options(None)).unwrap();
    let stored = stored_blocks(&segment.bytes).unwrap();
    let raw: Vec<RawBlock> =
        stored.iter().map(|block| decompress(block, &mut decompressor).unwrap()).collect();
    let blocks: Vec<Block<'_>> = raw.iter().map(|raw| raw.decode().unwrap()).collect();
    // As a worker logs them: each block's records are in order.
    let records: Vec<Vec<Record<'_>>> =
        blocks.iter().map(|block| block.records().map(Result::unwrap).collect()).collect();

    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(RECORDS));
    let compressors = [
        ("push only", None),
        ("raw", Some(Compressor::raw())),
        ("zstd", Some(Compressor::new(LEVEL_DEFAULT, None).unwrap())),
        ("dictionary", Some(Compressor::new(LEVEL_DEFAULT, Some(trained())).unwrap())),
    ];
    for (name, mut compressor) in compressors {
        let mut builder = BlockBuilder::new();
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                for block in &records {
                    encode_block(&mut builder, block, compressor.as_mut(), &mut out);
                }
                black_box(out.len())
            });
        });
        if !out.is_empty() {
            eprintln!("encode/{name}: {:.2} bytes a record", out.len() as f64 / RECORDS as f64);
        }
    }
    group.finish();
}

fn encode_block(
    builder: &mut BlockBuilder,
    records: &[Record<'_>],
    compressor: Option<&mut Compressor>,
    out: &mut Vec<u8>,
) {
    for record in records {
        builder.push(record).unwrap();
    }
    let Some(compressor) = compressor else {
        // What remains of a block that is thrown away is taken from the next one's time.
        *builder = BlockBuilder::new();
        return;
    };
    let context = BlockContext {
        marker: SyncMarker::from_random([7; 8]),
        origin: Origin { writer: WriterId(1), worker: WorkerId::new(1) },
        sequence: 0,
        flags: BlockFlags::NONE,
        lost: 0,
    };
    builder.finish(&context, compressor, out);
}

fn decode_records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, dictionary) in [("zstd", None), ("dictionary", Some(trained()))] {
        let options = options(dictionary);
        let segment = encode(&options).unwrap();
        let blocks = stored_blocks(&segment.bytes).unwrap();
        let mut decompressor = decompressor(&options).unwrap();
        group.bench_function(format!("{name}, spine"), |bencher| {
            bencher.iter(|| {
                for block in &blocks {
                    let raw = block.spine(&mut decompressor).unwrap();
                    let ids = block.request_ids().collect();
                    let spine = Spine::parse(block.header(), ids, &raw).unwrap();
                    black_box(spine.statuses().filter(|status| *status == 500).count());
                }
            });
        });
        group.bench_function(format!("{name}, all records"), |bencher| {
            bencher.iter(|| {
                for block in &blocks {
                    let raw = decompress(block, &mut decompressor).unwrap();
                    let block = raw.decode().unwrap();
                    block.records().for_each(|record| {
                        black_box(record.unwrap());
                    });
                }
            });
        });
    }
    let segment = encode(&options(None)).unwrap();
    let blocks = stored_blocks(&segment.bytes).unwrap();
    let mut decompressor = decompressor(&options(None)).unwrap();
    group.bench_function("zstd, as JSON lines", |bencher| {
        bencher.iter_batched_ref(
            || Vec::with_capacity(1 << 20),
            |line| {
                for stored in &blocks {
                    let raw = decompress(stored, &mut decompressor).unwrap();
                    let block = raw.decode().unwrap();
                    line.clear();
                    for (sequence, record) in (0..).zip(block.records()) {
                        let origin = stored.header().origin;
                        json::write_line(line, &record.unwrap(), origin, sequence);
                    }
                    black_box(line.len());
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, encode_records, decode_records);
criterion_main!(benches);
