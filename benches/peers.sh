#!/usr/bin/env bash
# Measures logq beside what one would use instead, on the same records in the same run.
#
#   benches/peers.sh [RECORDS] [DIRECTORY]
#
# Whole processes, page cache warm, the median of five runs. Peers that are not installed are said to
# be missing: ripgrep, zstd and jq are packages of those names in Debian.
set -euo pipefail
cd "$(dirname "$0")/.."
records=${1:-5000000}
work=${2:-$(mktemp -d "${TMPDIR:-/tmp}/logq-peers.XXXXXX")}

cargo build --release --locked --package logq --package logq-benches
PATH="$PWD/target/release:$PATH"
cd "$work"
for peer in rg zstd jq; do
    command -v "$peer" >/dev/null || { echo "missing peer: $peer" >&2; exit 2; }
done

[ -f day.jsonl ] || logq-generate jsonl --records "$records" > day.jsonl
[ -f day.jsonl.zst ] || zstd -q -3 -T0 day.jsonl -o day.jsonl.zst
[ -f access.log ] || logq-generate combined --records "$records" > access.log
rm -rf store web

# The median wall time of five runs of a shell command, in milliseconds.
median() {
    local runs=() start
    sh -c "$1" >/dev/null 2>&1 || true
    for _ in 1 2 3 4 5; do
        start=${EPOCHREALTIME/./}
        sh -c "$1" >/dev/null 2>&1 || true
        runs+=($(( (${EPOCHREALTIME/./} - start) )))
    done
    printf '%s\n' "${runs[@]}" | sort -n | sed -n 3p | awk '{printf "%.1f", $1 / 1000}'
}

# A row: the question, logq's command, the peer's command.
row() {
    local ours theirs
    ours=$(median "$2")
    theirs=$(median "$3")
    printf '| %s | %s | %s | %s |\n' "$1" "$ours" "$theirs" \
        "$(awk -v a="$theirs" -v b="$ours" 'BEGIN {printf "%.1f", a / b}')"
}

printf '%s records; %s bytes as JSON lines, %s with zstd -3\n' \
    "$records" "$(stat -c %s day.jsonl)" "$(stat -c %s day.jsonl.zst)"
for input in day.jsonl access.log; do
    case $input in day.jsonl) store=store ;; *) store=web ;; esac
    start=${EPOCHREALTIME/./}
    logq import -q --to "$store" "$input"
    awk -v us="$(( ${EPOCHREALTIME/./} - start ))" -v bytes="$(stat -c %s "$input")" -v name="$input" \
        'BEGIN {printf "import of %s: %.0f MB/s\n", name, bytes / us}'
done
stored=$(cat store/*.logq | wc -c)
awk -v b="$stored" -v n="$records" 'BEGIN {printf "stored: %d bytes, %.2f a record\n", b, b / n}'

id=$(sed -n "$((records / 2))p" day.jsonl | grep -o '"requestId":"[^"]*"' | cut -d'"' -f4 || true)
id=${id:-$(grep -m1 -o '"requestId":"[^"]*"' day.jsonl | cut -d'"' -f4)}

printf '\n| question | logq, ms | peer, ms | times faster |\n|---|---|---|---|\n'
row "one minute at noon, JSON; \`zstd -dc \\| rg\`" \
    "logq -o json -S 2026-02-03T12:00Z -U 2026-02-03T12:01Z store" \
    "zstd -dc day.jsonl.zst | rg '\"timestamp\":\"2026-02-03T12:00:'"
row "level error, JSON; \`zstd -dc \\| rg\`" \
    "logq -o json -l error store" \
    "zstd -dc day.jsonl.zst | rg '\"level\":\"(ERROR|CRITICAL)\"'"
row "level error, JSON; \`rg\` on plain text" \
    "logq -o json -l error store" \
    "rg '\"level\":\"(ERROR|CRITICAL)\"' day.jsonl"
row "count by status; \`zstd -dc \\| rg -o \\| sort \\| uniq -c\`" \
    "logq --by statusCode store" \
    "zstd -dc day.jsonl.zst | rg -o '\"statusCode\":[0-9]+' | sort | uniq -c"
row "one request id; \`zstd -dc \\| rg -F\`" \
    "logq -o json --request $id store" \
    "zstd -dc day.jsonl.zst | rg -F '$id'"
row "text that is nowhere; \`zstd -dc \\| rg -F\`" \
    "logq -o json -g nowhere-at-all store" \
    "zstd -dc day.jsonl.zst | rg -F nowhere-at-all"
row "everything as JSON; \`zstd -dc\`" \
    "logq -o json store | cat" \
    "zstd -dc day.jsonl.zst | cat"
row "everything as JSON; \`jq -c .\`" \
    "logq -o json store | cat" \
    "jq -c . day.jsonl | cat"

printf '\npeak memory of everything as JSON: '
/usr/bin/time -f '%M KiB' sh -c 'logq -o json store >/dev/null' 2>&1
printf 'the files stay in %s\n' "$work"
