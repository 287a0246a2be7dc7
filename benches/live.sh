#!/usr/bin/env bash
# Measures `logq serve` beside nginx on the same bytes, in the same run.
#
#   benches/live.sh [PART...]
#
# | part | what it measures |
# |---|---|
# | loopback | what one socket can do at best |
# | one | one writer, one reader, 1 GiB |
# | put N... | a PUT of 256 MiB with N readers connected before it, each beside one without; twice (see below) |
# | get | a finished stream, beside nginx's file |
# | tls | the same, encrypted, with curl as the reader |
# | ranges | random parts of 4 KiB over 50 connections that stay, beside nginx's file |
# | reconnects | 2,000 readers a second that come, go on and leave |
# | idle | memory of a thousand readers that wait |
# | latency | a line each millisecond, until readers have it |
# | store | the records of a store, beside the command |
# | soak | what is left when streams and readers have come and gone for LOGQ_SOAK_SECONDS (60) |
#
# All of them without arguments, apart from the last. nginx (Debian's package of that name) serves a finished stream's content as a
# file, from the page cache, with sendfile. Client and server share the machine, as they do for nginx.
# NICENESS=0 or NICENESS=10 leaves out half of `put`.
# LOGQ_BIN names a directory with logq, logq-live-bench and logq-generate where they need not be built.
set -euo pipefail
cd "$(dirname "$0")/.."
mebibytes=256
if [ -n "${LOGQ_BIN:-}" ]; then
    PATH="$LOGQ_BIN:$PATH"
else
    cargo build --release --locked --package logq --package logq-benches --bins
    PATH="$PWD/target/release:$PATH"
fi
for peer in nginx openssl; do
    command -v $peer >/dev/null || { echo "missing: $peer" >&2; exit 2; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/logq-live.XXXXXX")
trap 'kill $servers 2>/dev/null; wait; rm -rf "$work"' EXIT
servers=
put=127.0.0.1:60922 get=127.0.0.1:60923 peer=127.0.0.1:60924
tls_get=127.0.0.1:60926 tls_peer=127.0.0.1:60927

LIVELOG_PUT_PORT=60922 LIVELOG_GET_PORT=60923 logq serve --quiet --min-free 0 --dir "$work/data" "$work/shop" 2>"$work/serve.log" &
serve=$!
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
chmod 600 "$work/key.pem"
LIVELOG_PUT_PORT=60925 LIVELOG_GET_PORT=60926 SERVER_CRT_FILE="$work/cert.pem" SERVER_KEY_FILE="$work/key.pem" \
    logq serve --quiet --min-free 0 --dir "$work/tls-data" 2>"$work/serve-tls.log" &
servers="$serve $!"
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
    keepalive_requests 1000000;
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    server { listen $peer; root $work/www; }
    server {
        listen $tls_peer ssl;
        root $work/www;
        ssl_certificate $work/cert.pem;
        ssl_certificate_key $work/key.pem;
        ssl_protocols TLSv1.3;
    }
}
CONF
nginx -c "$work/nginx.conf" -p "$work/nginx" 2>/dev/null &
servers="$servers $!"
for address in 60922 60923 60924 60925 60926 60927; do
    until (exec 3<>"/dev/tcp/127.0.0.1/$address") 2>/dev/null; do sleep 0.1; done
done

number=0
stream() { number=$((number + 1)); path="/v1/streams/bench-$number"; }
# Content goes once it is measured, so that each stream finds the same memory free as the one before.
remove() { curl -s -X DELETE "http://$put$path"; sleep 0.5; }

loopback() { logq-live-bench loopback; }

one() {
    for readers in 0 1; do
        stream
        logq-live-bench put $put $get --path "$path" --mebibytes 1024 --readers $readers --pid $serve
        remove
    done
}

# Readers of a stream share the processors with its writer here. Once they compete as equals, then as a process
# that stands back (--niceness), which is nearer to readers on other machines. Each has a writer
# without readers beside it.
put() {
    for niceness in ${NICENESS:-0 10}; do
        for readers in "$@"; do
            for now in 0 "$readers"; do
                stream
                printf 'niceness=%s ' $niceness
                logq-live-bench put $put $get --path "$path" --mebibytes "$mebibytes" \
                    --readers "$now" --niceness $niceness --pid $serve
                remove
            done
        done
    done
}

# A finished stream at $path of a server whose port for writers is $1, and the same bytes as nginx's file.
finish() {
    stream
    logq-live-bench put "$1" $get --path "$path" --mebibytes "$mebibytes" --readers 0 >/dev/null
    find "$work/data" "$work/tls-data" -type f -size "${mebibytes}M" -exec cp {} "$work/www/file" \;
}

get() {
    finish $put
    for readers in 1 10 100; do
        printf 'logq  '; logq-live-bench get $get "$path" --readers $readers
        printf 'nginx '; logq-live-bench get $peer /file --readers $readers
    done
    remove
}

ranges() {
    finish $put
    for round in 1 2 3; do
        printf 'logq  '; logq-live-bench ranges $get "$path"
        printf 'nginx '; logq-live-bench ranges $peer /file
    done
    remove
}

# A stream whose writer says a line, and then nothing for so many seconds.
write_slowly() {
    stream
    (printf 'line\n'; sleep "$1") | curl -s -T - -H 'Expect:' "http://$put$path" >/dev/null &
    servers="$servers $!"
    sleep 0.5
}

reconnects() {
    write_slowly 40
    logq-live-bench reconnects $get "$path" --pid $serve
}

soak() {
    logq-live-bench soak $put $get "$work/data" --pid $serve --seconds "${LOGQ_SOAK_SECONDS:-60}"
}

tls() {
    finish 127.0.0.1:60925
    for round in 1 2 3; do
        for readers in 1 10; do
            printf 'logq  '; encrypted "https://$tls_get$path" $readers
            printf 'nginx '; encrypted "https://$tls_peer/file" $readers
        done
    done
    curl -s -X DELETE "http://127.0.0.1:60925$path"
}

# Reads an address with so many readers at once; MB/s of all together.
encrypted() {
    local start=$EPOCHREALTIME readers=
    for _ in $(seq "$2"); do
        curl -sS -k --http1.1 --tlsv1.3 -o /dev/null "$1" &
        readers="$readers $!"
    done
    wait $readers
    awk -v bytes=$((mebibytes << 20)) -v readers="$2" -v from="$start" -v to="$EPOCHREALTIME" \
        'BEGIN {printf "tls readers=%d MB/s=%.0f\n", readers, bytes * readers / (to - from) / 1e6}'
}

idle() {
    write_slowly 20
    logq-live-bench idle $get "$path" --pid $serve
}

latency() {
    for readers in 1 100; do
        stream
        logq-live-bench latency $put $get --path "$path" --readers $readers
    done
}

# The records of a store over HTTP, and by the command from the same store: what comes out is the same.
store() {
    logq-generate jsonl -n 1000000 | logq import -q --to "$work/shop" -
    for format in json text blocks; do
        local output=${format/text/short} bytes
        bytes=$(logq -o $output "$work/shop" | wc -c)
        for round in 1 2 3; do
            local start=$EPOCHREALTIME
            logq -o $output "$work/shop" | cat >/dev/null
            awk -v bytes="$bytes" -v from="$start" -v to="$EPOCHREALTIME" -v format=$format \
                'BEGIN {printf "command %s MB/s=%.0f\n", format, bytes / (to - from) / 1e6}'
        done
        printf 'http %s ' $format
        logq-live-bench get $get "/v1/stores/shop/records?format=$format" --rounds 3
    done
}

case "${1:-all}" in
    all) loopback; one; put 1 10 100 1000; get; ranges; reconnects; tls; idle; latency; store ;;
    put) put "${@:2}" ;;
    *) for part; do "$part"; done ;;
esac
