//! Traffic as one encoded segment, the way a cluster at full speed writes it: a block per worker
//! whenever enough has come together, pings with true claims in between.

use logq_format::{
    BlockBuilder, BlockContext, BlockFlags, BlockHeader, Claims, Compressor, Dictionary,
    FileHeader, Id, LEVEL_DEFAULT, Member, Origin, Record, SyncMarker, Timestamp, VERSION,
    WorkerId, WriterId, encode_dictionary,
};

use crate::traffic::{TrafficOptions, generate};
