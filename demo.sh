#!/usr/bin/env bash
# Builds logq and lets it show what it does: `logq demo` runs a small cluster, kills a worker and asks
# what happened. Then the logs of this machine that the user may read become a store as well.
#
# Arguments go to `logq demo`: ./demo.sh --seconds 20 --workers 4 --dir /tmp/shop
set -euo pipefail

logs_of_this_machine() {
    for file in /var/log/dpkg.log /var/log/syslog /var/log/messages /var/log/auth.log /var/log/kern.log; do
        # What is larger takes longer than a demo should.
        if [ -r "$file" ] && [ -s "$file" ] && [ "$(stat -Lc %s "$file")" -lt 100000000 ]; then
            printf '%s\n' "$file"
        fi
    done
}

# An answer may also be that there is nothing; that ends no demo.
ask() {
    printf '\n$ %s\n' "$*"
    time "$@" || true
}

cargo build --release --locked --manifest-path "$(dirname "$0")/Cargo.toml" --package logq
target=${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")" && pwd)/target}
logq=$target/release/logq

"$logq" demo "$@"

mapfile -t files < <(logs_of_this_machine)
if [ "${#files[@]}" -gt 0 ]; then
    TIMEFORMAT='  (%R s)'
    store=$(mktemp -d "${TMPDIR:-/tmp}/logq-machine.XXXXXX")
    printf '\nAny log becomes a store, those of this machine, too:\n'
    ask "$logq" import --to "$store" "${files[@]}"
    ask "$logq" -n 3 "$store"
fi
