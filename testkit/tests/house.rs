//! The rules of the house that no compiler checks: who may depend on whom, one place for versions,
//! what every source file begins with, how long it may get.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a check that cannot go on shall stop"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// For each package the packages of this workspace it may depend on. ARCHITECTURE.md draws this.
const ARROWS: &[(&str, &[&str])] = &[
    ("logq-format", &[]),
    ("logq-directory", &["logq-format"]),
    ("logq-writer", &["logq-format", "logq-directory"]),
    ("logq-rotation", &["logq-format", "logq-directory"]),
    ("logq-nodelogs", &["logq-format"]),
    ("logq-query", &["logq-format"]),
    ("logq-monitor", &["logq-format"]),
    ("logq-reader", &["logq-format", "logq-directory", "logq-query"]),
    ("logq-live", &["logq-format", "logq-directory", "logq-query", "logq-reader", "logq-monitor"]),
    (
        "logq",
        &[
            "logq-format",
            "logq-directory",
            "logq-live",
            "logq-monitor",
            "logq-nodelogs",
            "logq-query",
            "logq-writer",
            "logq-rotation",
            "logq-reader",
        ],
    ),
];

/// Packages of the development side, on which no other may depend except for its tests.
const DEVELOPMENT: &[&str] = &["logq-testkit", "logq-benches"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn table(path: &Path) -> Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The manifests of all members, by package name.
fn members() -> BTreeMap<String, Table> {
    let workspace = table(&root().join("Cargo.toml"));
    let members = workspace["workspace"]["members"].as_array().unwrap().clone();
    members
        .iter()
        .map(|folder| {
            let manifest = table(&root().join(folder.as_str().unwrap()).join("Cargo.toml"));
            (manifest["package"]["name"].as_str().unwrap().to_owned(), manifest)
        })
        .collect()
}

fn dependencies<'a>(manifest: &'a Table, section: &str) -> Vec<(&'a str, &'a Value)> {
    let section = manifest.get(section).and_then(Value::as_table);
    section.into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

#[test]
fn dependencies_follow_the_arrows() {
    let members = members();
    for (name, manifest) in &members {
        let Some((_, allowed)) = ARROWS.iter().find(|(package, _)| package == name) else {
            assert!(DEVELOPMENT.contains(&name.as_str()), "{name} has no place in the house");
            continue;
        };
        for section in ["dependencies", "build-dependencies"] {
            for (dependency, _) in dependencies(manifest, section) {
                let ours = members.contains_key(dependency);
                assert!(
                    !ours || allowed.contains(&dependency),
                    "{name} must not depend on {dependency}"
                );
            }
        }
    }
    assert_eq!(members.len(), ARROWS.len() + DEVELOPMENT.len());
}

#[test]
fn versions_and_lints_are_set_once() {
    for (name, manifest) in members() {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (dependency, value) in dependencies(&manifest, section) {
                let inherited = value.get("workspace").and_then(Value::as_bool) == Some(true);
                assert!(inherited, "{name}: {dependency} must be inherited from the workspace");
            }
        }
        assert_eq!(manifest["lints"]["workspace"].as_bool(), Some(true), "{name}");
    }
}

#[test]
fn development_packages_are_never_published() {
    let members = members();
    for name in DEVELOPMENT {
        assert_eq!(
            members[*name]["package"].get("publish"),
            Some(&Value::Boolean(false)),
            "{name}"
        );
    }
}

/// All Rust sources of the workspace.
fn sources() -> Vec<PathBuf> {
    let mut folders = vec![root()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                sources.push(path);
            }
        }
    }
    sources
}

#[test]
fn every_file_says_what_it_is_for_and_stays_readable() {
    let sources = sources();
    assert!(sources.len() > 50, "the sources are found");
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root()).unwrap().display().to_string();
        assert!(
            text.starts_with("//!") || text.starts_with("#!"),
            "{path} must begin with what it is for"
        );
        let lines = text.lines().count();
        assert!(lines <= 800, "{path} has {lines} lines: a second noun may live there");
        assert!(text.ends_with('\n'), "{path} must end with a line feed");
    }
}

#[test]
fn unsafe_code_is_confined_to_the_files_that_are_listed() {
    const ALLOWED: &[&str] = &[
        "cli/src/sigbus.rs",
        "reader/src/source/map.rs",
        "writer/src/endings/process.rs",
        "writer/tests/endings.rs",
        "writer/tests/segments.rs",
    ];
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root()).unwrap().display().to_string();
        let listed = ALLOWED.contains(&path.as_str());
        let lifts = text.contains("expect(unsafe_code") || text.contains("allow(unsafe_code");
        // This file names the attributes itself.
        if path != "testkit/tests/house.rs" {
            assert_eq!(lifts, listed, "{path}");
        }
    }
}

#[test]
fn every_dependency_is_explained() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let workspace = table(&root().join("Cargo.toml"));
    let dependencies = workspace["workspace"]["dependencies"].as_table().unwrap();
    for name in dependencies.keys() {
        assert!(
            architecture.contains(&format!("`{name}`")),
            "ARCHITECTURE.md does not say why {name}"
        );
    }
}
