//! Damage is told beside the records.
#[test]
fn dbg_seed() {
    use logq_testkit::cluster::*;
    let options = ClusterOptions { seed: 140, damages: 3, ..ClusterOptions::default() };
    let segments = Cluster::generate(&options).segments;
    for (n, bytes) in &segments {
        println!(
            "segment {n} {} bytes header {:?}",
            bytes.len(),
            logq_format::FileHeader::decode(bytes).err()
        );
        let snap = crate::Snapshot::of_memory([std::sync::Arc::from(bytes.as_slice())]);
        let (lines, report) = super::equivalence::lines(&snap, &crate::Query::default());
        println!(
            "{} lines first {:?} gaps {:?}",
            lines.len(),
            lines.first().map(|l| l[..50].to_owned()),
            report.gaps
        );
        let mut hop_blocks = logq_testkit::naive::blocks(bytes);
        hop_blocks.truncate(200);
        for (o, h) in hop_blocks {
            println!(
                "  {o} {:?} {:?} {} {} len {} w {}",
                h.kind,
                h.flags,
                h.min,
                h.max,
                h.block_len(),
                h.origin.writer
            );
            if h.kind == logq_format::BlockKind::Ping && h.body.stored_len > 0 {
                let s = logq_format::StoredBlock::new(h.clone(), &bytes[o as usize..]).unwrap();
                if let Ok(Some(c)) = logq_format::Claims::decode_ping(&s) {
                    println!(
                        "     claims covered {} now {} wm {} roster {:?}",
                        c.covered,
                        c.now,
                        c.watermark,
                        c.roster
                            .iter()
                            .map(|m| (m.origin.writer.0, m.sequence))
                            .collect::<Vec<_>>()
                    );
                }
            }
        }
    }
}
