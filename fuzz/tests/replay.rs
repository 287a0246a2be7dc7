//! Replays the checked-in seeds, and changes of them, through every target: what fuzzing once found
//! stays found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use logq_fuzz::{TARGETS, Target};

fn seeds(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Names the seed when its target panics.
fn run(target: Target, seed: &Path, bytes: &[u8]) {
    if let Err(panic) = std::panic::catch_unwind(|| target(bytes)) {
        eprintln!("the seed was {}", seed.display());
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn every_seed_passes_its_target() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has seeds");
        for seed in seeds {
            run(target, &seed, &fs::read(&seed).unwrap());
        }
    }
}

/// A little fuzzing without a fuzzer: each byte of each seed in turn is changed and cut off at.
#[test]
fn every_changed_and_cut_seed_passes_its_target() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            let mut bytes = fs::read(&seed).unwrap();
            for index in 0..bytes.len().min(400) {
                let kept = bytes[index];
                for changed in [0, kept ^ 1, kept ^ 0x80, 0xFF] {
                    bytes[index] = changed;
                    run(target, &seed, &bytes);
                }
                bytes[index] = kept;
                run(target, &seed, &bytes[..index]);
            }
        }
    }
}

#[test]
fn every_target_has_its_binary_and_no_folder_of_seeds_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(root.join(folder)).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        entries.map(|entry| stem(entry.unwrap().path())).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
}
