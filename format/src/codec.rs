//! Compression of block sections: each its own zstd frame (RFC 8878), with the magic number, the
//! content size and the dictionary id left out, because the block header says all three.
//!
//! Contexts are kept and reused: making one costs more than compressing a small block.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use zstd::bulk;
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe::{CParameter, DParameter, FrameFormat};

use crate::error::DecodeError;
use crate::limits::{DICTIONARY_BYTES_MAX, SECTION_BYTES_MAX};

/// How a section is stored: four bits of a block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// As it is: 0.
    Raw,
    /// A zstd frame: 1.
    Zstd,
    /// A zstd frame that refers to the dictionary of its segment: 2.
    ZstdDictionary,
    /// A codec of a later version: 3 to 15.
    Other(u8),
}

impl Codec {
    pub(crate) const fn from_bits(bits: u8) -> Self {
        match bits & 0x0F {
            0 => Self::Raw,
            1 => Self::Zstd,
            2 => Self::ZstdDictionary,
            other => Self::Other(other),
        }
    }

    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
            Self::ZstdDictionary => 2,
            Self::Other(bits) => bits,
        }
    }
}

/// Bytes that zstd compresses and decompresses small blocks against.
///
/// A segment that uses one stores it in its first block. Cheap to clone and to share.
#[derive(Clone)]
pub struct Dictionary {
    bytes: Arc<[u8]>,
    id: u32,
}

impl Dictionary {
    /// Trains a dictionary of at most `bytes_max` bytes from sections of earlier blocks.
    ///
    /// Takes time in proportion to the samples: some 0.2 s for a megabyte. Returns `None` where
    /// there is too little to learn from; 100 times `bytes_max` is a good amount. Some of the samples
    /// are not learned from but put to the test: `None` as well if the dictionary does not make these
    /// smaller. Logs that repeat one long line are compressed better without.
    pub fn train<S: AsRef<[u8]>>(samples: &[S], bytes_max: usize) -> Option<Self> {
        let samples = || samples.iter().map(S::as_ref).enumerate();
        let is_tested = |place: usize| place % TESTED_EVERY >= TESTED_EVERY - TESTED;
        let taught: Vec<_> =
            samples().filter(|(place, _)| !is_tested(*place)).map(|(_, sample)| sample).collect();
        let bytes = zstd::dict::from_samples(&taught, bytes_max.min(DICTIONARY_BYTES_MAX)).ok()?;
        let dictionary = Self::new(&bytes).ok()?;
        let compressed_len = |dictionary| {
            let mut compressor = Compressor::new(LEVEL_DEFAULT, dictionary).ok()?;
            let tested = samples().filter(|(place, _)| is_tested(*place));
            Some(tested.map(|(_, sample)| compressor.compressed_len(sample)).sum::<usize>())
        };
        let with = compressed_len(Some(dictionary.clone()))?;
        (with < compressed_len(None)?).then_some(dictionary)
    }

    /// Uses these bytes as the dictionary.
    ///
    /// # Errors
    ///
    /// Refuses an empty dictionary, one over [`DICTIONARY_BYTES_MAX`], and one that zstd refuses to
    /// decompress with.
    pub fn new(bytes: &[u8]) -> Result<Self, DecodeError> {
        const WHAT: &str = "dictionary";
        if bytes.is_empty() || bytes.len() > DICTIONARY_BYTES_MAX {
            let found = bytes.len() as u64;
            return Err(DecodeError::Limit {
                what: WHAT,
                found,
                limit: DICTIONARY_BYTES_MAX as u64,
            });
        }
        let refused =
            |error: io::Error| DecodeError::Decompress { what: WHAT, reason: error.to_string() };
        // Checked here, so that making a context from it cannot fail later. What only compression would
        // refuse, and takes ten times as long to find out, [`Compressor::new`] tells.
        DecoderDictionary::try_copy(bytes).map_err(refused)?;
        Ok(Self { bytes: bytes.into(), id: dictionary_id(bytes) })
    }

    /// The dictionary's bytes, as the segment stores them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number that names the dictionary: the CRC-32C of its bytes, 1 if that is 0.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether both have the same bytes; costs nothing for a clone.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes) || self.bytes == other.bytes
    }
}

/// Of so many samples in a row, the last two test a dictionary: a spine and a body, where they alternate.
const TESTED_EVERY: usize = 16;
const TESTED: usize = 2;

/// The id of a dictionary; 0 in a file header means "none", so no dictionary has it.
pub(crate) fn dictionary_id(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).max(1)
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dictionary({:08x}, {} bytes)", self.id, self.bytes.len())
    }
}

/// zstd's level 1: measured on web logs it beats level 3 in size and speed from 32 KiB up.
pub const LEVEL_DEFAULT: i32 = 1;

/// The level of small sections with a dictionary: measured on web logs it stores blocks of some 8
/// records in 2 % fewer bytes than level 1, bodies alone in 6 %, in the same time. Higher ones gain
/// nothing.
const LEVEL_SMALL: i32 = 3;

/// The most raw bytes of a small section. From here on the gain is not worth a second context.
const SMALL_BYTES_MAX: usize = 8 << 10;

/// Compresses sections; keeps its context between calls.
pub struct Compressor {
    /// How sections are compressed, and the context for it; `None` to store them raw.
    context: Option<(Codec, bulk::Compressor<'static>)>,
    /// For small sections with a dictionary, once there was one.
    small: Option<bulk::Compressor<'static>>,
    level: i32,
    dictionary: Option<Dictionary>,
}

impl Compressor {
    /// A compressor of zstd level `level`, using `dictionary` where there is one.
    ///
    /// # Errors
    ///
    /// Fails where zstd cannot make a context: memory is short, or it refuses the dictionary.
    pub fn new(level: i32, dictionary: Option<Dictionary>) -> io::Result<Self> {
        let (codec, context) = match &dictionary {
            Some(used) => {
                let context = bulk::Compressor::with_dictionary(level, used.bytes())?;
                (Codec::ZstdDictionary, context)
            }
            None => (Codec::Zstd, bulk::Compressor::new(level)?),
        };
        Ok(Self { context: Some((codec, configured(context)?)), small: None, level, dictionary })
    }

    /// A compressor that stores sections as they are.
    pub const fn raw() -> Self {
        Self { context: None, small: None, level: LEVEL_DEFAULT, dictionary: None }
    }

    /// The dictionary in use.
    pub fn dictionary(&self) -> Option<&Dictionary> {
        self.dictionary.as_ref()
    }

    /// The bytes that `section` would take if it were stored.
    pub fn compressed_len(&mut self, section: &[u8]) -> usize {
        let mut out = Vec::new();
        self.compress(section, &mut out);
        out.len()
    }

    /// Appends `section` to `out` in whichever way is smaller and says which that was.
    ///
    /// A section that zstd fails on is stored raw: nothing is lost.
    pub(crate) fn compress(&mut self, section: &[u8], out: &mut Vec<u8>) -> Codec {
        let start = out.len();
        if let Some((codec, context)) = self.context_for(section.len()) {
            // Room for one byte less than the section: what does not fit is not worth it.
            out.resize(start + section.len().saturating_sub(1), 0);
            let room = out.get_mut(start..).unwrap_or_default();
            if let Ok(written) = context.compress_to_buffer(section, room) {
                out.truncate(start + written);
                return codec;
            }
        }
        out.truncate(start);
        out.extend_from_slice(section);
        Codec::Raw
    }

    /// The context for a section of so many bytes.
    fn context_for(&mut self, len: usize) -> Option<(Codec, &mut bulk::Compressor<'static>)> {
        let (codec, context) = self.context.as_mut()?;
        let is_small = len <= SMALL_BYTES_MAX && self.level < LEVEL_SMALL;
        let Some(dictionary) = self.dictionary.as_ref().filter(|_| is_small) else {
            return Some((*codec, context));
        };
        if self.small.is_none() {
            let small = bulk::Compressor::with_dictionary(LEVEL_SMALL, dictionary.bytes());
            // Without memory for it, the other one does as well.
            self.small = small.and_then(configured).ok();
        }
        Some((*codec, self.small.as_mut().unwrap_or(context)))
    }
}

fn configured(mut context: bulk::Compressor<'static>) -> io::Result<bulk::Compressor<'static>> {
    context.set_parameter(CParameter::Format(FrameFormat::Magicless))?;
    context.set_parameter(CParameter::ContentSizeFlag(false))?;
    context.set_parameter(CParameter::ChecksumFlag(false))?;
    context.set_parameter(CParameter::DictIdFlag(false))?;
    Ok(context)
}

/// Decompresses sections; keeps its context between calls.
pub struct Decompressor {
    plain: bulk::Decompressor<'static>,
    with_dictionary: Option<(Dictionary, bulk::Decompressor<'static>)>,
}

impl Decompressor {
    /// A decompressor for segments without a dictionary; see [`Self::set_dictionary`].
    ///
    /// # Errors
    ///
    /// Fails where zstd cannot make a context, which means that memory is short.
    pub fn new() -> io::Result<Self> {
        let mut plain = bulk::Decompressor::new()?;
        plain.set_parameter(DParameter::Format(FrameFormat::Magicless))?;
        Ok(Self { plain, with_dictionary: None })
    }

    /// Uses `dictionary`, or none, from now on; costs nothing if it is the one in use.
    ///
    /// # Errors
    ///
    /// Fails where zstd cannot make a context, which means that memory is short.
    pub fn set_dictionary(&mut self, dictionary: Option<&Dictionary>) -> io::Result<()> {
        let Some(dictionary) = dictionary else {
            self.with_dictionary = None;
            return Ok(());
        };
        // By the bytes: ids are checksums, and a hostile segment can bring any id.
        if self.with_dictionary.as_ref().is_some_and(|(used, _)| used.is(dictionary)) {
            return Ok(());
        }
        let mut context = bulk::Decompressor::with_dictionary(dictionary.bytes())?;
        context.set_parameter(DParameter::Format(FrameFormat::Magicless))?;
        self.with_dictionary = Some((dictionary.clone(), context));
        Ok(())
    }

    /// The raw bytes of a section: exactly `raw_len` of them, borrowed if they are stored raw.
    pub(crate) fn decompress<'a>(
        &mut self,
        what: &'static str,
        codec: Codec,
        stored: &'a [u8],
        raw_len: usize,
    ) -> Result<Cow<'a, [u8]>, DecodeError> {
        if raw_len > SECTION_BYTES_MAX {
            let (found, limit) = (raw_len as u64, SECTION_BYTES_MAX as u64);
            return Err(DecodeError::Limit { what, found, limit });
        }
        let context = match codec {
            Codec::Raw if stored.len() == raw_len => return Ok(Cow::Borrowed(stored)),
            Codec::Raw => return Err(length_differs(what, raw_len, stored.len())),
            Codec::Zstd => &mut self.plain,
            Codec::ZstdDictionary => match &mut self.with_dictionary {
                Some((_, context)) => context,
                None => return Err(DecodeError::NoDictionary { what }),
            },
            Codec::Other(bits) => {
                return Err(DecodeError::Newer { what: "codec", found: u64::from(bits) });
            }
        };
        let mut raw = Vec::with_capacity(raw_len);
        context
            .decompress_to_buffer(stored, &mut raw)
            .map_err(|error| DecodeError::Decompress { what, reason: error.to_string() })?;
        if raw.len() == raw_len {
            Ok(Cow::Owned(raw))
        } else {
            Err(length_differs(what, raw_len, raw.len()))
        }
    }
}

fn length_differs(what: &'static str, expected: usize, found: usize) -> DecodeError {
    DecodeError::Decompress { what, reason: format!("{found} bytes instead of {expected}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..40)
            .flat_map(|_| format!("{{\"user\":{},\"cached\":true}}", random.u16(..)).into_bytes())
            .collect()
    }

    #[test]
    fn sections_round_trip_with_and_without_a_dictionary() {
        let samples: Vec<_> = (0..200).map(sample).collect();
        let dictionary = Dictionary::train(&samples, 4096).unwrap();
        let mut decompressor = Decompressor::new().unwrap();
        decompressor.set_dictionary(Some(&dictionary)).unwrap();
        let mut lengths = Vec::new();
        for dictionary in [None, Some(dictionary)] {
            let mut compressor = Compressor::new(LEVEL_DEFAULT, dictionary).unwrap();
            for section in [sample(1000), vec![7], Vec::new()] {
                let mut stored = Vec::new();
                let codec = compressor.compress(&section, &mut stored);
                let raw = decompressor.decompress("x", codec, &stored, section.len()).unwrap();
                assert_eq!(raw, section);
                lengths.push(stored.len());
            }
        }
        assert!(lengths[3] < lengths[0], "the dictionary helps: {lengths:?}");
    }

    #[test]
    fn a_dictionary_that_makes_sections_larger_is_none() {
        let section = |block: usize| {
            let lines = (0..800).map(|line| block * 800 + line);
            let lines = lines.map(|number| format!("{number} some text to fill the line 30545\0"));
            lines.collect::<String>().into_bytes()
        };
        let samples: Vec<_> = (1..80).map(section).collect();
        let bytes = zstd::dict::from_samples(&samples, 2048).unwrap();
        let sizes = [None, Some(Dictionary::new(&bytes).unwrap())].map(|dictionary| {
            Compressor::new(LEVEL_DEFAULT, dictionary).unwrap().compressed_len(&section(90))
        });
        assert!(sizes[1] > sizes[0], "{sizes:?}");
        assert!(Dictionary::train(&samples, 2048).is_none());
    }

    #[test]
    fn wrong_lengths_and_missing_dictionaries_are_errors() {
        let section = sample(1);
        let mut stored = Vec::new();
        let codec = Compressor::new(1, None).unwrap().compress(&section, &mut stored);
        assert_eq!(codec, Codec::Zstd);
        let mut decompressor = Decompressor::new().unwrap();
        for wrong in [0, section.len() - 1, section.len() + 1, SECTION_BYTES_MAX + 1] {
            assert!(decompressor.decompress("x", codec, &stored, wrong).is_err(), "{wrong}");
        }
        assert!(decompressor.decompress("x", Codec::Raw, &section, 1).is_err());
        let missing = decompressor.decompress("x", Codec::ZstdDictionary, &stored, section.len());
        assert_eq!(missing, Err(DecodeError::NoDictionary { what: "x" }));
    }
}
