//! HTTP/2 against those who know it too well (E.1.8).

use super::frames::{
    CONTINUATION, Connection, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, get, get_frame,
};
use super::server::{SHORT, TestServer};

/// The error code for a client that makes too much work.
const ENHANCE_YOUR_CALM: u32 = 11;
/// The setting for how many streams there may be at a time.
const MAX_CONCURRENT_STREAMS: u16 = 3;
/// The setting for how many bytes a stream may send ahead.
const INITIAL_WINDOW_SIZE: u16 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_spoken_without_tls_too() {
    let server = TestServer::start(|_| {});
    let mut client = Connection::open(server.get, &[]).await;
    client.send(&get_frame(1, "/v1/streams/hello")).await;
    let headers = client.next_of(HEADERS).await.unwrap();
    assert_eq!((headers.stream, headers.payload[0]), (1, 0x88), "status 200");
    assert_eq!(client.next_of(DATA).await.unwrap().payload, b"hello\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets_end_the_connection() {
    let server = TestServer::start(|_| {});
    let mut client = Connection::open(server.get, &[]).await;
    let cancel = 8_u32.to_be_bytes();
    let attack: Vec<u8> = (0..10_000)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            [get_frame(stream, "/v1/streams/live"), frame(RST_STREAM, 0, stream, &cancel)].concat()
        })
        .collect();
    client.send(&attack).await;
    assert_eq!(client.goaway().await.unwrap_or(ENHANCE_YOUR_CALM), ENHANCE_YOUR_CALM);
    assert!(server.is_well().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_the_server_is_made_to_send_end_the_connection() {
    let server = TestServer::start(|_| {});
    let mut client = Connection::open(server.get, &[]).await;
    let too_much = 0x7fff_ffff_u32.to_be_bytes();
    let attack: Vec<u8> = (0..10_000)
        .flat_map(|n| {
            let stream = 2 * n + 1;
            // More room than there can be is an error of the stream.
            [get_frame(stream, "/v1/streams/live"), frame(WINDOW_UPDATE, 0, stream, &too_much)]
                .concat()
        })
        .collect();
    client.send(&attack).await;
    assert_eq!(client.goaway().await.unwrap_or(ENHANCE_YOUR_CALM), ENHANCE_YOUR_CALM);
    assert!(server.is_well().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_go_on_for_ever_end_the_connection() {
    let server = TestServer::start(|_| {});
    let mut client = Connection::open(server.get, &[]).await;
    client.send(&frame(HEADERS, END_STREAM, 1, &get("/v1/streams/hello"))).await;
    // A literal header of 100 bytes, never indexed.
    let more = [[0x10, 1, b'a', 100].as_slice(), &[b'b'; 100]].concat().repeat(100);
    let flood = frame(CONTINUATION, 0, 1, &more);
    let mut sent = 0;
    while client.send(&flood).await {
        sent += 1;
        assert!(sent < 10_000, "the server takes {sent} frames");
    }
    assert!(server.is_well().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_grow_when_unpacked_are_refused() {
    let server = TestServer::start(|_| {});
    let mut client = Connection::open(server.get, &[]).await;
    // A header of 3,000 bytes into the dynamic table, then the same a thousand times by its index.
    let mut block = get("/v1/streams/hello");
    block.extend([0x40, 1, b'a', 0x7f]);
    block.extend([0xb9, 0x16]); // 127 + 57 + 22 * 128 = 3,000
    block.extend([b'b'; 3_000]);
    block.extend([0xbe; 1_000]);
    client.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await;
    let answer = client.next_of(HEADERS).await;
    let refused = answer.is_none_or(|headers| headers.payload[0] != 0x88);
    assert!(refused, "a head of 3 MB is not served");
    assert!(server.is_well().await);
}

/// A flood whose answers nobody takes blocks itself, and then is a stall like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_control_frames_are_cut_and_others_are_served() {
    for kind in [PING, SETTINGS] {
        let server = TestServer::start(|options| options.timers.stall = SHORT);
        let mut client = Connection::open_narrow(server.get).await;
        let payload: &[u8] = if kind == PING { &[0; 8] } else { &[] };
        let flood = frame(kind, 0, 0, payload).repeat(1_000);
        let mut rounds = 0;
        while client.send(&flood).await {
            rounds += 1;
            if rounds % 500 == 0 {
                assert!(server.is_well().await);
            }
        }
        assert!(server.is_well().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_takes_nothing_is_reset_and_its_neighbour_goes_on() {
    let server = TestServer::start(|options| options.timers.stall = SHORT);
    let mut client = Connection::open(server.get, &[(INITIAL_WINDOW_SIZE, 1)]).await;
    // Room for the connection and for the second stream, so that only the first one stalls: as much as
    // there can be, since all of it is used up in less than a second.
    let room = 0x7fff_0000_u32.to_be_bytes();
    client.send(&frame(WINDOW_UPDATE, 0, 0, &room)).await;
    client.send(&get_frame(1, "/v1/streams/big")).await;
    client.send(&get_frame(3, "/v1/streams/big")).await;
    client.send(&frame(WINDOW_UPDATE, 0, 3, &room)).await;
    let reset = client.next_of(RST_STREAM).await.unwrap();
    assert_eq!(reset.stream, 1);
    let before = client.received[&3];
    for _ in 0..100 {
        assert_eq!(client.next_of(DATA).await.unwrap().stream, 3);
    }
    assert!(client.received[&3] > before);
    assert_eq!(client.received[&1], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_limited() {
    for (limit, told) in [(None, 128_u32), (Some(10), 10)] {
        let server = TestServer::start(|options| {
            options.limits.h2_streams_max = limit.unwrap_or(options.limits.h2_streams_max);
        });
        let settings = Connection::open(server.get, &[]).await.next_of(SETTINGS).await.unwrap();
        let mut settings = settings.payload.chunks(6);
        let value = settings.find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes());
        assert_eq!(value.unwrap()[2..], told.to_be_bytes());
    }
    let server = TestServer::start(|options| options.limits.h2_streams_max = 10);
    let mut client = Connection::open(server.get, &[]).await;
    let many: Vec<u8> = (0..20).flat_map(|n| get_frame(2 * n + 1, "/v1/streams/live")).collect();
    client.send(&many).await;
    let refused = client.next_of(RST_STREAM).await.unwrap();
    assert_eq!(refused.payload, 7_u32.to_be_bytes(), "REFUSED_STREAM");
    assert!(server.is_well().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_ended() {
    let server = TestServer::start(|options| {
        options.timers.head = SHORT;
        options.timers.idle = SHORT;
        options.timers.patrol = SHORT / 10;
        options.timers.stall = SHORT;
    });
    let mut silent = Connection::open(server.get, &[]).await;
    while silent.next().await.is_some() {}
    let mut client = Connection::open(server.get, &[]).await;
    client.send(&get_frame(1, "/v1/streams/hello")).await;
    assert_eq!(client.goaway().await, Some(0));
    // It never answers the ping that goes before the end.
    while client.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_streams_are_reset() {
    let server = TestServer::start(|_| {});
    let mut client = Connection::open(server.get, &[]).await;
    client.send(&get_frame(1, "/v1/streams/live")).await;
    assert_eq!(client.next_of(DATA).await.unwrap().payload, b"line\n");
    server.handle.shutdown();
    let mut kinds = Vec::new();
    while let Some(frame) = client.next().await {
        assert!(frame.kind != DATA || frame.flags & END_STREAM == 0, "no clean end");
        if frame.kind == PING && frame.flags == 0 {
            client.send(&super::frames::frame(PING, 1, 0, &frame.payload)).await;
        }
        kinds.push(frame.kind);
    }
    assert!(kinds.contains(&super::frames::GOAWAY), "{kinds:?}");
    assert!(kinds.contains(&RST_STREAM), "{kinds:?}");
}
