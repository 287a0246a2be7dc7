#!/usr/bin/env bash
# Runs all tests: of the workspace, and the replay of the fuzz targets' seeds.
set -euo pipefail
cd "$(dirname "$0")"

cargo test --workspace --all-features --locked "$@"
cargo test --manifest-path fuzz/Cargo.toml --locked "$@"
