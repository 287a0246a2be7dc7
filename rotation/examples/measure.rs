//! scratch
#![allow(clippy::all, clippy::pedantic, missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]
use logq_format::*;
use logq_testkit::segment::{SegmentOptions, encode};
use logq_testkit::traffic::TrafficOptions;
use std::time::Instant;

fn samples(bytes: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let marker = FileHeader::decode(bytes).unwrap().marker;
    let mut d = Decompressor::new().unwrap();
    let mut blocks = Vec::new();
    let mut at = 256;
    while at < bytes.len() {
        let h = BlockHeader::decode(&bytes[at..], marker).unwrap();
        let len = h.block_len();
        if h.kind == BlockKind::Data { blocks.push(at); }
        at += len;
    }
    let mut out = Vec::new();
    let mut total = 0;
    for at in blocks.into_iter().rev() {
        let h = BlockHeader::decode(&bytes[at..], marker).unwrap();
        let b = StoredBlock::new(h, &bytes[at..]).unwrap();
        for s in [b.spine(&mut d).unwrap().into_owned(), b.body(&mut d).unwrap().into_owned()] {
            total += s.len();
            out.push(s);
        }
        if total > limit { break; }
    }
    out
}

fn main() {
    let n = 400_000;
    // 5 million records a day
    let span = 86_400_000_000 / 5_000_000 * n;
    let traffic = |seed| TrafficOptions { seed, records: n, span_us: span, ..Default::default() };
    for (name, delay) in [("paced", Some(200_000)), ("full", None)] {
        let base = |seed| SegmentOptions { traffic: traffic(seed), flush_delay_us: delay, ..Default::default() };
        let before = encode(&base(2)).unwrap();
        let plain = encode(&base(3)).unwrap();
        let s = plain.sizes;
        println!("{name}: plain {:.2} B/rec, {} blocks, raw {} spine {} body {}", plain.bytes.len() as f64 / n as f64, s.blocks, (s.spine_raw + s.body_raw)/s.blocks, s.spine_stored as f64/n as f64, s.body_stored as f64/n as f64);
        let samples = samples(&before.bytes, 2 << 20);
        for level in [1, 3] {
        for size in [0, 16 << 10, 32 << 10, 64 << 10] {
            let dict = if size == 0 { None } else { Dictionary::train(&samples, size) };
            let mut best = f64::MAX;
            let mut b = 0.0;
            let mut dl = 0;
            for _ in 0..3 {
                let t = Instant::now();
                let e = encode(&SegmentOptions { dictionary: dict.clone(), level, ..base(3) }).unwrap();
                best = best.min(t.elapsed().as_secs_f64());
                dl = dict.as_ref().map_or(0, |d| d.bytes().len());
                b = (e.bytes.len() - dl) as f64 / n as f64;
            }
            println!("  level {level} dict {} KiB: {:.2} B/rec, encode {:.2} s", dl >> 10, b, best);
        }
        }
    }
}
