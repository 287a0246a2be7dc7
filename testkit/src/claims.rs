//! Checks what pings claim about a segment against every block of it, by brute force.

use std::collections::BTreeSet;

use logq_format::{
    BlockFlags, BlockHeader, BlockKind, Claims, Origin, StoredBlock, Timestamp, WriterId,
};

use crate::naive;

/// A ping whose claims are true.
#[derive(Clone, Debug)]
pub struct TrueClaims {
    /// The offset of the ping.
    pub offset: u64,
    /// What it claims.
    pub claims: Claims,
    /// The latest time of any block before `covered`. `now` is about those with records only.
    pub latest: Timestamp,
}

/// Says what is wrong with a ping or a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FalseClaim {
    /// A ping speaks of bytes behind itself.
    #[error("ping at {ping} covers {covered} bytes")]
    Covered {
        /// The offset of the ping.
        ping: u64,
        /// The offset it claims to cover.
        covered: u64,
    },
    /// A record before `covered` is later than `now`.
    #[error("ping at {ping} says now is {now}, but an earlier block reaches {found}")]
    Now {
        /// The offset of the ping.
        ping: u64,
        /// What it claims.
        now: Timestamp,
        /// The time of that block.
        found: Timestamp,
    },
    /// A block from `covered` on is earlier than the watermark.
    #[error("ping at {ping} says nothing is earlier than {watermark}, but the block at {block} is")]
    Watermark {
        /// The offset of the ping.
        ping: u64,
        /// What it claims.
        watermark: Timestamp,
        /// The offset of that block.
        block: u64,
    },
    /// A block from `covered` on is earlier than the roster says its writer will be.
    #[error("ping at {ping} gives writer {writer} a floor above the block at {block}")]
    Floor {
        /// The offset of the ping.
        ping: u64,
        /// The writer.
        writer: WriterId,
        /// The offset of its block.
        block: u64,
    },
    /// A claim takes back what a ping before it claimed.
    #[error("ping at {ping} takes back a time of the ping before it")]
    Backward {
        /// The offset of the ping.
        ping: u64,
    },
    /// A block from `covered` on is of a writer that was neither in the roster nor joins.
    #[error("block at {block} is of writer {writer}, whom the ping at {ping} does not list")]
    Stranger {
        /// The offset of the ping.
        ping: u64,
        /// The writer.
        writer: WriterId,
        /// The offset of its block.
        block: u64,
    },
    /// A writer's first block is not its JOIN.
    #[error("block at {block} is of writer {writer}, who has not joined")]
    NotJoined {
        /// The writer.
        writer: WriterId,
        /// The offset of its block.
        block: u64,
    },
    /// A writer went back in time.
    #[error("block at {block} is earlier than what writer {writer} wrote before")]
    WentBack {
        /// The writer.
        writer: WriterId,
        /// The offset of its block.
        block: u64,
    },
}

/// Checks every claim of an undamaged segment and what each block promises by its own times.
///
/// Takes time in proportion to blocks times pings.
///
/// # Errors
///
/// The first thing that is not true.
pub fn verify(bytes: &[u8]) -> Result<Vec<TrueClaims>, FalseClaim> {
    let blocks = naive::blocks(bytes);
    verify_writers(&blocks)?;
    let mut verified: Vec<TrueClaims> = Vec::new();
    for (offset, header) in blocks.iter().filter(|(_, header)| header.kind == BlockKind::Ping) {
        let rest = usize::try_from(*offset).ok().and_then(|offset| bytes.get(offset..));
        let stored = StoredBlock::new(header.clone(), rest.unwrap_or_default());
        let claims = stored.and_then(|stored| Claims::decode_ping(&stored));
        let Ok(Some(claims)) = claims else { continue };
        let latest = verify_ping(*offset, &claims, &blocks)?;
        if verified.last().is_some_and(|before| takes_back(&before.claims, &claims)) {
            return Err(FalseClaim::Backward { ping: *offset });
        }
        verified.push(TrueClaims { offset: *offset, claims, latest });
    }
    Ok(verified)
}

fn takes_back(before: &Claims, after: &Claims) -> bool {
    after.now < before.now || after.watermark < before.watermark
}

fn verify_writers(blocks: &[(u64, BlockHeader)]) -> Result<(), FalseClaim> {
    let mut joined: BTreeSet<Origin> = BTreeSet::new();
    let mut last = std::collections::BTreeMap::new();
    for (block, header) in blocks {
        let (block, writer) = (*block, header.origin.writer);
        if header.kind == BlockKind::Join {
            joined.insert(header.origin);
        } else if !joined.contains(&header.origin) {
            return Err(FalseClaim::NotJoined { writer, block });
        }
        // A block that is written again may come behind later ones.
        let again = [BlockFlags::RETRIED, BlockFlags::RECOVERED];
        let again = again.into_iter().any(|flag| header.flags.contains(flag));
        let latest = last.entry(writer).or_insert(Timestamp::MIN);
        if header.min < *latest && !again {
            return Err(FalseClaim::WentBack { writer, block });
        }
        *latest = header.max.max(*latest);
    }
    Ok(())
}

/// Checks the claims of one ping; answers the latest time before `covered`.
fn verify_ping(
    ping: u64,
    claims: &Claims,
    blocks: &[(u64, BlockHeader)],
) -> Result<Timestamp, FalseClaim> {
    if claims.covered > ping {
        return Err(FalseClaim::Covered { ping, covered: claims.covered });
    }
    let (before, behind) = blocks.split_at(blocks.partition_point(|(o, _)| *o < claims.covered));
    let latest = |is_wanted: fn(&BlockHeader) -> bool| {
        let wanted = before.iter().filter(|(_, header)| is_wanted(header));
        wanted.map(|(_, header)| header.max).max().unwrap_or(Timestamp::MIN)
    };
    let found = latest(|header| header.kind == BlockKind::Data);
    if found > claims.now {
        return Err(FalseClaim::Now { ping, now: claims.now, found });
    }
    let mut joined = BTreeSet::new();
    for (block, header) in behind {
        let (block, writer) = (*block, header.origin.writer);
        if header.min < claims.watermark {
            return Err(FalseClaim::Watermark { ping, watermark: claims.watermark, block });
        }
        if header.kind == BlockKind::Join {
            joined.insert(header.origin);
        }
        let member = claims.roster.iter().find(|member| member.origin == header.origin);
        match member {
            Some(member) if header.min < member.floor => {
                return Err(FalseClaim::Floor { ping, writer, block });
            }
            None if !joined.contains(&header.origin) => {
                return Err(FalseClaim::Stranger { ping, writer, block });
            }
            _ => {}
        }
    }
    Ok(latest(|_| true))
}

#[cfg(test)]
mod tests {
    use logq_format::{FILE_HEADER_LEN, FileHeader, Member};

    use super::*;
    use crate::cluster::{Cluster, ClusterOptions};

    /// A segment with some blocks, and the members of its last ping.
    fn segment() -> (Vec<u8>, TrueClaims) {
        let found = (0..).find_map(|seed| {
            let cluster = Cluster::generate(&ClusterOptions { seed, ..Default::default() });
            let (_, bytes) = cluster.segments.into_iter().next()?;
            let claims = verify(&bytes).unwrap().pop()?;
            (claims.claims.watermark > Timestamp::MIN && bytes.len() > 5_000)
                .then_some((bytes, claims))
        });
        found.unwrap()
    }

    fn check(claims: Claims, bytes: &[u8], expected: fn(&FalseClaim) -> bool) {
        let marker = FileHeader::decode(bytes).unwrap().marker;
        let mut bytes = bytes.to_vec();
        let master = claims.roster[0];
        claims.encode_ping(master.origin, Timestamp::MAX, master.sequence, marker, &mut bytes);
        let error = verify(&bytes).unwrap_err();
        assert!(expected(&error), "{error}");
    }

    #[test]
    fn every_kind_of_false_claim_is_found() {
        let (bytes, TrueClaims { claims, .. }) = segment();
        let later = |time: Timestamp| time.saturating_add_micros(3_600_000_000);
        let end = bytes.len() as u64;
        let claims = Claims { covered: end, now: later(later(claims.now)), ..claims };
        let first = FILE_HEADER_LEN as u64;

        let covered = Claims { covered: end + 1, ..claims.clone() };
        check(covered, &bytes, |e| matches!(e, FalseClaim::Covered { .. }));
        let now = Claims { now: Timestamp::MIN, ..claims.clone() };
        check(now, &bytes, |e| matches!(e, FalseClaim::Now { .. }));
        let watermark = Claims { covered: first, watermark: Timestamp::MAX, ..claims.clone() };
        check(watermark, &bytes, |e| matches!(e, FalseClaim::Watermark { .. }));
        let backward = Claims { watermark: Timestamp::MIN, ..claims.clone() };
        check(backward, &bytes, |e| matches!(e, FalseClaim::Backward { .. }));
        let high = |member: &Member| Member { floor: Timestamp::MAX, ..*member };
        let roster: Vec<_> = claims.roster.iter().map(high).collect();
        let floor = Claims { covered: first, watermark: Timestamp::MIN, roster, ..claims.clone() };
        check(floor, &bytes, |e| matches!(e, FalseClaim::Floor { .. }));

        let worker = naive::blocks(&bytes)
            .into_iter()
            .rfind(|(_, header)| header.kind == BlockKind::Data && header.origin.worker.is_some());
        let covered = worker.unwrap().0;
        let roster = vec![claims.roster[0]];
        let stranger = Claims { covered, roster, watermark: claims.watermark, ..claims.clone() };
        check(stranger, &bytes, |e| matches!(e, FalseClaim::Stranger { .. }));

        let nobody = Origin { writer: WriterId(1), worker: None };
        let roster = vec![Member { origin: nobody, ..claims.roster[0] }];
        check(Claims { roster, ..claims }, &bytes, |e| matches!(e, FalseClaim::NotJoined { .. }));
    }
}
