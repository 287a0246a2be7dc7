#!/usr/bin/env bash
# Runs all tests: of the workspace, and the replay of the fuzz targets' seeds.
set -euo pipefail
cd "$(dirname "$0")"
# One target directory for both workspaces, so that what they depend on is compiled once.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

cargo test --workspace --all-features --locked "$@"
cargo test --manifest-path fuzz/Cargo.toml --locked "$@"
