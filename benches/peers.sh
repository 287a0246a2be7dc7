#!/usr/bin/env bash
# Measures logq beside what one would use instead, on the same records in the same run, and prints
# tables that can be pasted into RESULTS.md.
#
#   benches/peers.sh [RECORDS] [DIRECTORY]
#
# Whole processes, page cache warm, output into a pipe that is read to its end, the median of up to
# five runs; a side that takes longer than eight seconds is run once. Peers are packages of Debian:
# ripgrep, zstd, jq, lnav. One that is not installed is said to be missing, loudly, and its rows are
# left out. LOGQ_BIN names a directory of built programs, for machines without cargo.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
records=${1:-5000000}
work=${2:-$(mktemp -d "${TMPDIR:-/tmp}/logq-peers.XXXXXX")}
mkdir -p "$work"

if [ -z "${LOGQ_BIN:-}" ]; then
    cargo build --release --locked --package logq --package logq-benches
    LOGQ_BIN=$PWD/target/release
fi
PATH="$(cd "$LOGQ_BIN" && pwd):$PATH"
cd "$work"
export HOME="$work/home" LOGQ_CONFIG=- LOGQ_TZ=UTC
mkdir -p "$HOME"

missing=()
for peer in rg:ripgrep zstd:zstd jq:jq lnav:lnav; do
    command -v "${peer%%:*}" >/dev/null && continue
    missing+=("${peer%%:*}")
    echo "!!! MISSING PEER: ${peer%%:*}. Its rows are left out. In Debian: apt-get install ${peer##*:}" >&2
done
has() { [[ " ${missing[*]-} " != *" $1 "* ]]; }

# The records in every form that somebody needs; what is there already is kept.
[ -f day.jsonl ] || { logq-generate jsonl --records "$records" > day.part; mv day.part day.jsonl; }
[ -f access.log ] || { logq-generate combined --records "$records" > access.part; mv access.part access.log; }
if has zstd && [ ! -f day.jsonl.zst ]; then zstd -q -3 -T0 day.jsonl -o day.jsonl.zst; fi
rm -rf store web

# The wall time of a shell command in microseconds.
once() {
    local start=${EPOCHREALTIME/./}
    bash -c "$1" 2>/dev/null | cat >/dev/null || true
    echo $(( ${EPOCHREALTIME/./} - start ))
}

# The median of up to five runs behind one that warms up, in milliseconds.
median() {
    local runs
    runs=$(once "$1")
    if [ "$runs" -lt 8000000 ]; then
        runs=$(for _ in 1 2 3 4 5; do once "$1"; done)
    fi
    sort -n <<< "$runs" | awk '{all[NR] = $1} END {printf "%.1f", all[int((NR + 1) / 2)] / 1000}'
}

# A row: the question, the ratio to reach or -, logq's command, the peers it needs, their command.
row() {
    local ours theirs peer
    for peer in $4; do has "$peer" || { echo "| $1 | | missing: $peer | | $2 |"; return; }; done
    ours=$(median "$3")
    theirs=$(median "$5")
    awk -v q="$1" -v a="$theirs" -v b="$ours" -v want="$2" 'BEGIN {
        ratio = a / b
        verdict = want == "-" ? "" : (ratio >= want ? want : want " NOT REACHED")
        printf "| %s | %s | %s | %.1f | %s |\n", q, b, a, ratio, verdict
    }'
}

# A row: what is asked, logq's command; its time and its peak memory, of which 64 MiB are allowed.
cost() {
    local peak
    peak=$(bash -c "/usr/bin/time -f %M -o peak $2 2>/dev/null | cat >/dev/null"; cat peak | tail -1)
    awk -v q="$1" -v ms="$(median "$2")" -v kib="$peak" 'BEGIN {
        printf "| %s | %s | %.1f%s |\n", q, ms, kib / 1024, (kib > 65536 ? " OVER 64" : "")
    }'
}

# The time to the first byte of a command's output in microseconds.
first_once() {
    local start=${EPOCHREALTIME/./} now
    exec 3< <(exec bash -c "exec $1" 2>/dev/null)
    IFS= read -r -N 1 -u 3 _ || true
    now=${EPOCHREALTIME/./}
    exec 3<&-
    wait "$!" || true
    echo $(( now - start ))
}

# A row: what is asked, logq's command; the time to the first byte, of which 50 ms are allowed.
first() {
    for _ in 1 2 3 4 5; do first_once "$2"; done | sort -n | awk -v q="$1" '{all[NR] = $1 / 1000} END {
        ms = all[3]
        printf "| %s | %.1f%s |\n", q, ms, (ms > 50 ? " OVER 50" : "")
    }'
}

printf '%s records; %s bytes as JSON lines%s; load %s\n' "$records" "$(stat -c %s day.jsonl)" \
    "$(has zstd && echo ", $(stat -c %s day.jsonl.zst) with zstd -3")" "$(cut -d' ' -f1 /proc/loadavg)"
printf 'rg %s, zstd %s, jq %s, lnav %s\n' \
    "$(has rg && rg --version | awk 'NR == 1 {print $2}')" \
    "$(has zstd && zstd --version | grep -o 'v[0-9.]*')" \
    "$(has jq && jq --version)" "$(has lnav && lnav -V | awk '{print $2}')"
for input in day.jsonl access.log; do
    case $input in day.jsonl) store=store ;; *) store=web ;; esac
    start=${EPOCHREALTIME/./}
    logq import -q --to "$store" "$input"
    awk -v us="$(( ${EPOCHREALTIME/./} - start ))" -v bytes="$(stat -c %s "$input")" -v name="$input" \
        'BEGIN {printf "import of %s: %.0f MB/s\n", name, bytes / us}'
done
awk -v b="$(cat store/*.logq | wc -c)" -v n="$records" \
    'BEGIN {printf "stored: %d bytes, %.2f a record\n", b, b / n}'

# Some request in the middle, and a minute of access log.
id=$(logq -o json -t REQUEST -S 2026-02-03T12:00Z -m 1 --fields requestId store | cut -d'"' -f4)
minute='-S 2026-02-03T12:00Z -U 2026-02-03T12:01Z'

printf '\n| question; peer | logq, ms | peer, ms | times faster | to reach |\n|---|---|---|---|---|\n'
row "one minute of 24 hours, JSON; \`zstd -dc \\| rg\`" 100 \
    "logq -o json $minute store" \
    "zstd rg" "zstd -dc day.jsonl.zst | rg -F '\"timestamp\":\"2026-02-03T12:00:'"
row "level error, JSON; \`zstd -dc \\| rg\`" 4 \
    "logq -o json -l error store" \
    "zstd rg" "zstd -dc day.jsonl.zst | rg '\"level\":\"(ERROR|CRITICAL)\"'"
row "level error, JSON; \`rg\` on plain text" - \
    "logq -o json -l error store" \
    "rg" "rg '\"level\":\"(ERROR|CRITICAL)\"' day.jsonl"
row "one request id, place unknown; \`zstd -dc \\| rg -F\`" 4 \
    "logq -o json --request $id store" \
    "zstd rg" "zstd -dc day.jsonl.zst | rg -F '$id'"
row "count by status; \`zstd -dc \\| rg -o \\| awk\`" 8 \
    "logq --by statusCode store" \
    "zstd rg" "zstd -dc day.jsonl.zst | rg -o --no-unicode '\"statusCode\":[0-9]+' | awk '{n[\$0]++} END {for (s in n) print n[s], s}'"
row "text that is nowhere; \`zstd -dc \\| rg -F\`" - \
    "logq -o json -g nowhere-at-all store" \
    "zstd rg" "zstd -dc day.jsonl.zst | rg -F nowhere-at-all"
row "everything as JSON; \`jq -c .\`" 8 \
    "logq -o json store" \
    "jq" "jq -c . day.jsonl"
row "everything as JSON; \`zstd -dc\`" - \
    "logq -o json store" \
    "zstd" "zstd -dc day.jsonl.zst"
row "access log, count by status; \`lnav\` with SQL" - \
    "logq --by statusCode -o csv web" \
    "lnav" "lnav -n -q -c ';SELECT sc_status, count(*) FROM access_log GROUP BY sc_status' -c ':write-csv-to -' access.log"
row "access log, one minute; \`lnav\` with SQL" - \
    "logq $minute web" \
    "lnav" "lnav -n -q -c \";SELECT log_raw_text FROM access_log WHERE log_time >= '2026-02-03 12:00:00' AND log_time < '2026-02-03 12:01:00'\" -c ':write-raw-to -' access.log"
row "access log, status 500; \`rg\` on plain text" - \
    "logq -w 'status = 500' -o json web" \
    "rg" "rg '\" 500 [0-9]' access.log"

printf '\n| question | ms | peak memory, MiB |\n|---|---|---|\n'
cost "one minute as JSON" "logq -o json $minute store"
cost "level error as JSON" "logq -o json -l error store"
cost "one request" "logq -o json --request $id store"
cost "text that is nowhere" "logq -g nowhere-at-all store"
cost "newest ten" "logq -n 10 store"
cost "count" "logq -c store"
cost "count by status" "logq --by statusCode store"
cost "count by data.user" "logq --by data.user --top 10 store"
cost "count by url" "logq --by url --top 10 store"
cost "count by request, a million values" "logq --by requestId --top 10 store"
cost "latencies by section, joined" "logq --by section --quantile 50,95,99 store"
cost "urls of failures, joined" "logq top url -w 'status >= 500' store"
cost "quantiles by status" "logq --by statusCode --quantile 50,95,99 store"
cost "histogram by level" "logq --hist --by level store"
cost "requests with an error" "logq --request-where 'status >= 500' store"
cost "errors with their context" "logq -l error -C 2 store"
cost "errors, each trouble once" "logq errors store"
cost "newest first" "logq -r -o json store"
for format in json short full logfmt csv cat; do
    cost "everything as $format" "logq -o $format store"
done
cost "everything by a template" "logq --template '{timestamp} {level:5} {message}' store"

printf '\n| question | ms to the first byte |\n|---|---|\n'
first "everything" "logq store"
first "level error" "logq -l error store"
first "requests with an error" "logq --request-where 'status >= 500' store"
first "errors with their context" "logq -l error -C 2 store"
first "newest first" "logq -r store"
first "text that is rare, one record of 5,000" "logq -g deadlock store"

echo
logq-segments
printf '\nthe files stay in %s\n' "$work"
