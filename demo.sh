#!/usr/bin/env bash
# Builds logq, makes a store from logs and asks it five questions.
#
# The logs: an access log and an application log of a generated web cluster (a million records, one
# day), and whatever logs of this machine the user may read.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ask() { printf '\n$ %s\n' "$*"; time "$@" || true; }

cargo build --release --locked --package logq --package logq-benches
PATH="$PWD/target/release:$PATH"
TIMEFORMAT='  (%R s)'
work=$(mktemp -d "${TMPDIR:-/tmp}/logq-demo.XXXXXX")

say "Logs to import, in $work"
logq-generate jsonl --records 1000000 > "$work/cluster.jsonl"
logq-generate combined --records 300000 > "$work/access.log"
machine=()
for file in /var/log/dpkg.log /var/log/syslog /var/log/messages /var/log/auth.log /var/log/kern.log; do
    if [ -r "$file" ] && [ -s "$file" ]; then machine+=("$file"); fi
done
ls -sh "$work" "${machine[@]}"

say "Import"
ask logq import --to "$work/cluster" "$work/cluster.jsonl"
ask logq import --to "$work/web" "$work/access.log"
if [ "${#machine[@]}" -gt 0 ]; then ask logq import --to "$work/machine" "${machine[@]}"; fi

say "Questions"
ask logq --utc -S '2026-02-03 14:03' -U '2026-02-03 14:03:02' -l warn "$work/cluster"
ask logq --utc -n 3 -v -l error "$work/cluster"
ask logq --by statusCode "$work/cluster"
ask logq --utc -n 5 -g 'checkout|cart' "$work/web"
if [ "${#machine[@]}" -gt 0 ]; then ask logq --utc -n 3 "$work/machine"; fi
ask logq stats "$work/cluster"

say "The stores stay in $work; try: $PWD/target/release/logq --help"
