#!/usr/bin/env bash
# Measures `logq monitor` beside what one would use instead, on the same access logs in the same run.
#
#   benches/traffic.sh [MIB] [DIRECTORY]
#
# Two logs of MIB MiB (1024), combined and CSV, with millions of distinct urls. mawk counts sections and
# nothing else; logq prints summaries and alerts, and lists the top ten sections, urls, clients and
# statuses of every interval and of the run. GoAccess gets the first part of the log, a sixteenth, and its
# time is multiplied: that flatters it, since it slows down with every distinct url. Whole processes,
# page cache warm, the median of three runs; memory is the largest resident size. Then the same traffic
# out of a store, and a log with ten million distinct urls for memory and exactness.
set -euo pipefail
cd "$(dirname "$0")/.."
mib=${1:-1024}
work=${2:-$(mktemp -d "${TMPDIR:-/tmp}/logq-traffic.XXXXXX")}

cargo build --release --locked --package logq --package logq-benches
PATH="$PWD/target/release:$PATH"
mkdir -p "$work"
cd "$work"
for peer in mawk goaccess; do
    command -v "$peer" >/dev/null || echo "missing peer: $peer (a package of that name in Debian)" >&2
done
[ -x /usr/bin/time ] || { echo "missing: /usr/bin/time (package time in Debian)" >&2; exit 2; }

bytes=$((mib << 20))
for form in combined csv timed; do
    [ -f "$form.log" ] || logq-access write "$form" --bytes "$bytes" --truth "$form.truth" > "$form.log"
done
[ -f distinct.log ] || logq-access write csv --bytes $((mib * 13 / 10 << 20)) --truth distinct.truth > distinct.log
[ -d store ] || logq import --to store combined.log
cat ./*.log > /dev/null

# The median of three runs of a shell command: wall seconds, CPU seconds, resident MiB.
measure() {
    for _ in 1 2 3; do
        /usr/bin/time -o time.out -f '%e %U %S %M' sh -c "$1" > out.txt 2> err.txt || true
        awk '{ printf "%.2f %.2f %.0f\n", $1, $2 + $3, $4 / 1024 }' time.out
    done | sort -n | sed -n 2p
}

row() { printf '%-52s %8s s %8s s CPU %6s MiB\n' "$1" $2; }

monitor="logq monitor --no-follow -q"
for form in combined csv; do
    sections='{ split($7, p, "/"); n["/" p[2]]++ } END { for (s in n) print n[s], s }'
    separator=' '
    if [ "$form" = csv ]; then
        # The request is the eighth field between quotes.
        sections='{ split($8, w, " "); split(w[2], p, "/"); n["/" p[2]]++ } END { for (s in n) print n[s], s }'
        separator='"'
    fi
    echo "$form: $(wc -c < $form.log) bytes, $(wc -l < $form.log) lines"
    row "mawk, sections alone" "$(measure "mawk -F '$separator' '$sections' $form.log")"
    row "logq, summaries, alerts, top ten" "$(measure "$monitor --top 10 $form.log")"
    row "logq, the same, lines read by one thread" "$(measure "RAYON_NUM_THREADS=1 $monitor --top 10 $form.log")"
    row "logq, summaries and alerts" "$(measure "$monitor $form.log")"
    if command -v goaccess > /dev/null; then
        head -c $((bytes / 16)) "$form.log" | sed '$d' > part
        format=COMBINED
        [ "$form" = csv ] && format='"%h","%^","%^",%x,"%r",%s,%b' && sed -i 1d part
        row "GoAccess, a sixteenth" "$(measure "goaccess part --log-format='$format' --datetime-format=%s -o report.json")"
    fi
done
echo "the combined log out of a store ($(du -sm store | cut -f1) MiB)"
row "logq, summaries and alerts, text" "$(measure "$monitor combined.log")"
row "logq, summaries and alerts, store" "$(measure "$monitor store")"
row "logq, without sections, store" "$(measure "$monitor --no-sections store")"
row "logq, top ten, store" "$(measure "$monitor --top 10 store")"
echo "exactness and memory"
row "ten million distinct urls" "$(measure "$monitor --top 10 -o json distinct.log")"
logq-access check distinct.truth out.txt
# The format string of nginx, in the words of the shell.
timed="\$remote_addr - \$remote_user [\$time_local] \"\$request\" \$status \$body_bytes_sent \"\$http_referer\" \"\$http_user_agent\" \$request_time"
logq monitor --no-follow -q -o json --top 10 --format "$timed" timed.log > out.txt
logq-access check timed.truth out.txt
