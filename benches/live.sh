#!/usr/bin/env bash
# Measures `logq serve` beside nginx on the same bytes, in the same run.
#
#   benches/live.sh [MEBIBYTES]
#
# nginx (Debian's package of that name) serves a finished stream's content as a file, from the page
# cache, with sendfile. Client and server share the machine, as they do for nginx.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=${1:-256}
cargo build --release --locked --package logq --package logq-benches --bins
PATH="$PWD/target/release:$PATH"
command -v nginx >/dev/null || { echo "missing peer: nginx" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/logq-live.XXXXXX")
trap 'kill $servers 2>/dev/null; wait; rm -rf "$work"' EXIT
servers=
put=127.0.0.1:60922 get=127.0.0.1:60923 peer=127.0.0.1:60924

logq-generate jsonl -n 1000000 | logq import -q --to "$work/shop" -
LIVELOG_PUT_PORT=60922 LIVELOG_GET_PORT=60923 logq serve --quiet --min-free 0 --dir "$work/data" "$work/shop" 2>"$work/serve.log" &
serve=$!
servers="$serve"
mkdir -p "$work/www" "$work/nginx"
cat >"$work/nginx.conf" <<CONF
user root;      # the files are in a directory that only their owner may read; without root it is ignored
worker_processes 2;
daemon off;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    server { listen $peer; root $work/www; }
}
CONF
nginx -c "$work/nginx.conf" -p "$work/nginx" 2>/dev/null &
servers="$servers $!"
for address in 60922 60923 60924; do
    until (exec 3<>"/dev/tcp/127.0.0.1/$address") 2>/dev/null; do sleep 0.1; done
done

number=0
stream() { number=$((number + 1)); path="/v1/streams/bench-$number"; }
# Content goes once it is measured, so that each stream finds the same memory free as the one before.
remove() { curl -s -X DELETE "http://$put$path"; sleep 0.5; }

logq-live-bench loopback
for readers in 0 1; do
    stream
    logq-live-bench put $put $get --path "$path" --mebibytes 1024 --readers $readers --pid $serve
    remove
done
# Readers of a stream share the processors with its writer here. Once they compete as equals, then as a process
# that stands back (--niceness), which is nearer to readers on other machines. Each has a writer
# without readers beside it.
for niceness in 0 10; do
    for readers in 0 1 0 10 0 100 0 1000; do
        stream
        printf 'niceness=%s ' $niceness
        logq-live-bench put $put $get --path "$path" --mebibytes "$mebibytes" --readers $readers \
            --niceness $niceness --pid $serve
        remove
    done
done

stream
logq-live-bench put $put $get --path "$path" --mebibytes "$mebibytes" --readers 0 --pid $serve >/dev/null
curl -s "http://$get$path" -o "$work/www/file"
for readers in 1 10 100; do
    printf 'logq  '; logq-live-bench get $get "$path" --readers $readers
    printf 'nginx '; logq-live-bench get $peer /file --readers $readers
done
stream
(printf 'line\n'; sleep 60) | curl -s -T - -H 'Expect:' "http://$put$path" >/dev/null &
servers="$servers $!"
sleep 0.5
logq-live-bench idle $get "$path" --pid $serve
for readers in 1 100; do
    stream
    logq-live-bench latency $put $get --path "$path" --readers $readers
done

# The records of a store over HTTP, and by the command from the same store: what comes out is the same.
for format in json text blocks; do
    output=${format/text/short}
    bytes=$(logq -o $output "$work/shop" | wc -c)
    for round in 1 2 3; do
        start=$EPOCHREALTIME
        logq -o $output "$work/shop" | cat >/dev/null
        awk -v bytes="$bytes" -v from="$start" -v to="$EPOCHREALTIME" -v format=$format \
            'BEGIN {printf "command %s MB/s=%.0f\n", format, bytes / (to - from) / 1e6}'
    done
    printf 'http %s ' $format
    logq-live-bench get $get "/v1/stores/shop/records?format=$format" --rounds 3
done
