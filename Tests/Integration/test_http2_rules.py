"""RFC 9113 rule by rule, by frames that no client library sends."""

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame

from harness.authority import pair
from harness.backends import ScriptedBackend
from harness.edge import Edge, configuration
from harness.http2 import LISTENERS, check_refusal, client
from harness.http2_frames import (
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, NO_ERROR, PADDED, PING, PREFACE,
    PRIORITIZED, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM,
    RST_STREAM, SETTINGS, STREAM_CLOSED,
    WINDOW_UPDATE, Frames, data, frames, get, ping, raw, reset, settings, window_update,
)  # fmt: skip
from harness.refusals import check_refusal as check_old_refusal
from harness.wire import connect, upgrade_head



def serve(wire):
    """Answers any request, on connections that are kept, with what it got."""
    while True:
        request = wire.request
        body = b""
        if "Content-Length" in request:
            body = wire.read_exactly(int(request["Content-Length"]))
        elif "Transfer-Encoding" in request:
            body = wire.read_chunks()
        octets = request.octets + body
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(octets))
        if request.method != "HEAD":
            wire.send(octets)
        wire.request = wire.read_request()


@pytest.fixture(scope="module")
def backend(enter_for_module):
    return enter_for_module(ScriptedBackend(serve))


@pytest.fixture(scope="module")
def edge(enter_for_module, backend):
    limits = {"head_size": "8KiB", "streams": 20, "handshake_timeout": "2s"}
    route = {"http": {"body_size": "100KiB"}}
    settings = configuration(backend.url, listeners=LISTENERS, limits=limits, route=route)
    return enter_for_module(Edge(settings))


@pytest.fixture
def peer(edge, enter):
    return enter(frames(edge.address))


# MARK: Heads (§8)


def less(*names, fields=()):
    return [pair for pair in get("/") if pair[0] not in names] + list(fields)


MALFORMED = {
    "a pseudo-field behind a field": [*less(":path"), ("x", "y"), (":path", "/")],
    "a method twice": [(":method", "GET"), *get("/")],
    "a path twice": less(fields=[(":path", "/")]),
    "a scheme twice": less(fields=[(":scheme", "http")]),
    "an authority twice": less(fields=[(":authority", "localhost")]),
    "an unknown pseudo-field": [*get("/"), (":version", "2")],
    "a pseudo-field of answers": [*get("/"), (":status", "200")],
    "no method": less(":method"),
    "no scheme": less(":scheme"),
    "no path": less(":path"),
    "an empty path": less(":path", fields=[(":path", "")]),
    "a path without its slash": less(":path", fields=[(":path", "a")]),
    "an absolute path": less(":path", fields=[(":path", "http://localhost/")]),
    "an asterisk": less(":path", fields=[(":path", "*")]),
    "a path with a space": less(":path", fields=[(":path", "/a b")]),
    "a path with a fragment": less(":path", fields=[(":path", "/a#b")]),
    "neither authority nor host": less(":authority"),
    "an empty authority": less(":authority", fields=[(":authority", "")]),
    "an authority with a user": less(":authority", fields=[(":authority", "me@localhost")]),
    "an authority with a space": less(":authority", fields=[(":authority", "local host")]),
    "another host beside the authority": less(fields=[("host", "elsewhere")]),
    "two hosts": less(":authority", fields=[("host", "localhost"), ("host", "localhost")]),
    "a scheme that is none here": less(":scheme", fields=[(":scheme", "ftp")]),
    "a method that is no token": less(":method", fields=[(":method", "GE T")]),
    "an empty method": less(":method", fields=[(":method", "")]),
    "a name in upper case": less(fields=[("X-Upper", "x")]),
    "a name with a space": less(fields=[("x y", "x")]),
    "a name with a colon": less(fields=[("x:y", "x")]),
    "an empty name": less(fields=[("", "x")]),
    "a value with a line break": less(fields=[("x", "a\r\nb: c")]),
    "a value with a NUL": less(fields=[("x", "a\0b")]),
    "a value that begins with a space": less(fields=[("x", " a")]),
    "a value that ends with a tab": less(fields=[("x", "a\t")]),
    "Connection": less(fields=[("connection", "close")]),
    "Keep-Alive": less(fields=[("keep-alive", "timeout=5")]),
    "Proxy-Connection": less(fields=[("proxy-connection", "close")]),
    "Transfer-Encoding": less(fields=[("transfer-encoding", "chunked")]),
    "Upgrade": less(fields=[("upgrade", "websocket")]),
    "TE of more than trailers": less(fields=[("te", "gzip, trailers")]),
    "a length that is no number": less(fields=[("content-length", "1x")]),
    "two lengths": less(fields=[("content-length", "1"), ("content-length", "2")]),
    "a negative length": less(fields=[("content-length", "-1")]),
    "a length of a body that never begins": less(fields=[("content-length", "5")]),
}  # fmt: skip


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_head(backend, peer, fields):
    """§8.1.1: a stream error, or 4xx; nothing of it reaches a server, and the connection lives."""
    before = len(backend.requests)
    peer.send(peer.head(1, fields))
    answer = peer.answer(1)
    if not isinstance(answer, int):
        check_refusal(answer, 400)
    else:
        assert answer == PROTOCOL_ERROR
    peer.ask(3, "/behind")
    assert b"GET /behind HTTP/1.1" in peer.answer(3).body
    assert len(backend.requests) - before <= 1


PASSED = {
    "TE: trailers": (get("/") + [("te", "trailers")], [], [b"gzip"]),
    "a host like the authority": (get("/") + [("host", "localhost")], [b"Host: localhost"], []),
    "a host alone": (
        less(":authority", fields=[("host", "alone.example")]), [b"Host: alone.example"], [],
    ),
    "cookie crumbs": (
        get("/") + [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")], [b"ookie: a=1; b=2"], [],
    ),
    "an empty value": (get("/") + [("x-empty", "")], [b"x-empty:"], []),
    "octets beyond ASCII": (get("/") + [("x-high", b"\xe4\xff")], [b"\xe4\xff"], []),
    "an asterisk": (get("*", method="OPTIONS"), [b"OPTIONS * HTTP/1.1"], []),
    "a length of nothing": (get("/") + [("content-length", "0")], [], []),
    "another method": (get("/", method="PURGE"), [b"PURGE / HTTP/1.1"], []),
    "the other scheme": (get("/", scheme="https"), [b"GET / HTTP/1.1"], []),
    "priority": (get("/") + [("priority", "u=1")], [b"priority: u=1"], []),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "there", "absent"), PASSED.values(), ids=PASSED)
def test_a_head_that_is_right(peer, fields, there, absent):
    peer.send(peer.head(1, fields))
    answer = peer.answer(1)
    assert answer.status in (200, 404), answer.octets + answer.body
    if answer.status == 200:
        for octets in there:
            assert octets.lower() in answer.body.lower(), answer.body
        for octets in absent:
            assert octets not in answer.body


def test_head_too_large(peer):
    """§10.5.1: 431, and the connection goes on: what it has compressed stays known."""
    peer.send(peer.head(1, get("/") + [("x-large", "x" * 9_000)]))
    check_refusal(peer.answer(1), 431)
    peer.send(peer.head(3, get("/") + [("x-small", "known")]))
    assert peer.answer(3).status == 200
    peer.send(peer.head(5, get("/") + [("x-small", "known")]))
    assert b"x-small: known" in peer.answer(5).body


def test_too_many_fields(peer):
    peer.send(peer.head(1, get("/") + [(f"x-{n}", "y") for n in range(150)]))
    check_refusal(peer.answer(1), 431)
    assert peer.is_alive()


def test_a_head_as_large_as_announced(peer):
    assert peer.announced[SettingsFrame.MAX_HEADER_LIST_SIZE] == 8 * 1024
    spare = 8 * 1024 - sum(len(n) + len(v) + 32 for n, v in get("/")) - len("x-large") - 32
    peer.send(peer.head(1, get("/") + [("x-large", "x" * spare)]))
    assert peer.answer(1).status == 200
    peer.send(peer.head(3, get("/") + [("x-large", "x" * (spare + 1))]))
    check_refusal(peer.answer(3), 431)


def test_a_target_too_long(edge, enter, backend):
    other = enter(Edge(configuration(backend.url, listeners=LISTENERS, route={"http": True})))
    peer = enter(frames(other.address))
    peer.ask(1, "/" + "x" * 9_000)
    check_refusal(peer.answer(1), 414)
    assert peer.is_alive()


def test_a_head_in_several_frames(peer):
    """CONTINUATION (§6.10), with padding and a priority that means nothing."""
    block = peer.block(get("/continued") + [("x", "y" * 500)])
    third = len(block) // 3
    first = bytes([7]) + bytes([0, 0, 0, 0, 15]) + block[:third] + bytes(7)
    peer.send(
        raw(HEADERS, 1, first, flags=END_STREAM | PADDED | PRIORITIZED),
        raw(CONTINUATION, 1, block[third : 2 * third]),
        raw(CONTINUATION, 1, block[2 * third :], flags=END_HEADERS),
    )
    assert b"GET /continued HTTP/1.1" in peer.answer(1).body


# MARK: Bodies


LENGTHS = {
    "too long": [data(1, b"123456", ends=True)],
    "too long in pieces": [data(1, b"1234"), data(1, b"5678", ends=True)],
    "too short": [data(1, b"1234", ends=True)],
    "nothing": [data(1, b"", ends=True)],
}


@pytest.mark.parametrize("parts", LENGTHS.values(), ids=LENGTHS)
def test_a_length_that_is_not_kept(peer, parts):
    """§8.1.1: malformed. No server takes it for a whole request, and none is answered with 200."""
    fields = get("/", method="POST") + [("content-length", "5")]
    peer.send(peer.head(1, fields, ends=False), *parts)
    answer = peer.answer(1)
    assert answer == PROTOCOL_ERROR if isinstance(answer, int) else answer.status == 400
    peer.ask(3)
    assert peer.answer(3).status == 200


def test_a_body_with_and_without_its_length(peer):
    fields = get("/", method="POST")
    peer.send(peer.head(1, [*fields, ("content-length", "5")], ends=False))
    peer.send(data(1, b"12345", ends=True))
    assert peer.answer(1).body.endswith(b"\r\n\r\n12345")
    peer.send(peer.head(3, fields, ends=False), data(3, b"123"), data(3, b"45", ends=True))
    answer = peer.answer(3)
    assert b"chunked" in answer.body.lower() and answer.body.endswith(b"12345")


def test_trailers(peer):
    """They end the stream; those with pseudo-fields are malformed (§8.1)."""
    fields = get("/", method="POST")
    peer.send(
        peer.head(1, fields, ends=False), data(1, b"12345"), peer.head(1, [("x-sum", "7")])
    )
    assert peer.answer(1).status == 200
    for number, bad in ((3, [(":path", "/")]), (5, [("X-Upper", "x")]), (7, [("te", "gzip")])):
        peer.send(peer.head(number, fields, ends=False), data(number, b"1"))
        peer.send(peer.head(number, bad))
        answer = peer.answer(number)
        assert answer == PROTOCOL_ERROR if isinstance(answer, int) else answer.status == 400
    assert peer.is_alive()


def test_trailers_that_do_not_end_the_stream(peer):
    peer.send(peer.head(1, get("/", method="POST"), ends=False), data(1, b"1"))
    peer.send(peer.head(1, [("x", "y")], ends=False))
    assert peer.answer(1) == PROTOCOL_ERROR
    assert peer.is_alive()


def test_a_body_that_is_announced_too_large(peer):
    fields = get("/", method="POST") + [("content-length", "200000")]
    peer.send(peer.head(1, fields, ends=False))
    check_refusal(peer.answer(1), 413)
    assert peer.is_alive()


# MARK: Frames (§5, §6)


def on_stream(octets):
    """What follows a stream that is open for the client's octets."""
    return lambda peer: [peer.head(1, get("/", method="POST"), ends=False), octets]


def behind_end(octets):
    """What follows a stream that the client has ended."""
    return lambda peer: [peer.head(1, get("/")), octets]


def alone(*octets):
    return lambda peer: octets


def block_of(*octets):
    return alone(raw(HEADERS, 1, bytes(octets), flags=END_STREAM | END_HEADERS))


# What ends a connection, and the codes that are right for it.
CONNECTION_ERRORS = {
    "DATA on no stream": (alone(data(0, b"x")), {PROTOCOL_ERROR}),
    "DATA on an idle stream": (alone(data(1, b"x")), {PROTOCOL_ERROR, STREAM_CLOSED}),
    "DATA with too much padding": (
        on_stream(raw(DATA, 1, b"\x09123", flags=PADDED)), {PROTOCOL_ERROR},
    ),
    "HEADERS on no stream": (lambda peer: [peer.head(0, get("/"))], {PROTOCOL_ERROR}),
    "HEADERS on a stream of the server": (
        lambda peer: [peer.head(2, get("/"))], {PROTOCOL_ERROR},
    ),
    "HEADERS with too much padding": (
        alone(raw(HEADERS, 1, b"\x40\x82", flags=END_HEADERS | PADDED)), {PROTOCOL_ERROR},
    ),
    "HEADERS without room for its priority": (
        alone(raw(HEADERS, 1, b"\0\0\0", flags=END_HEADERS | PRIORITIZED)),
        {FRAME_SIZE_ERROR, PROTOCOL_ERROR},
    ),
    "PRIORITY on no stream": (alone(raw(PRIORITY, 0, bytes(5))), {PROTOCOL_ERROR}),
    "RST_STREAM on no stream": (alone(reset(0)), {PROTOCOL_ERROR}),
    "RST_STREAM on an idle stream": (alone(reset(1)), {PROTOCOL_ERROR}),
    "a short RST_STREAM": (on_stream(raw(RST_STREAM, 1, b"\0\0\0")), {FRAME_SIZE_ERROR}),
    "SETTINGS on a stream": (alone(raw(SETTINGS, 1)), {PROTOCOL_ERROR}),
    "SETTINGS of five octets": (alone(raw(SETTINGS, 0, bytes(5))), {FRAME_SIZE_ERROR}),
    "an acknowledgement with settings": (
        alone(settings((3, 100), flags=ACK)), {FRAME_SIZE_ERROR},
    ),
    "ENABLE_PUSH of 2": (alone(settings((2, 2))), {PROTOCOL_ERROR}),
    "INITIAL_WINDOW_SIZE of 2^31": (alone(settings((4, 1 << 31))), {FLOW_CONTROL_ERROR}),
    "MAX_FRAME_SIZE of 16383": (alone(settings((5, 16_383))), {PROTOCOL_ERROR}),
    "MAX_FRAME_SIZE of 2^24": (alone(settings((5, 1 << 24))), {PROTOCOL_ERROR}),
    "PUSH_PROMISE of a client": (
        on_stream(raw(PUSH_PROMISE, 1, b"\0\0\0\x02\x82", flags=END_HEADERS)), {PROTOCOL_ERROR},
    ),
    "PING on a stream": (alone(raw(PING, 1, bytes(8))), {PROTOCOL_ERROR}),
    "PING of seven octets": (alone(raw(PING, 0, bytes(7))), {FRAME_SIZE_ERROR}),
    "GOAWAY on a stream": (alone(raw(GOAWAY, 1, bytes(8))), {PROTOCOL_ERROR}),
    "a short GOAWAY": (alone(raw(GOAWAY, 0, bytes(7))), {FRAME_SIZE_ERROR}),
    "a short WINDOW_UPDATE": (alone(raw(WINDOW_UPDATE, 0, bytes(3))), {FRAME_SIZE_ERROR}),
    "WINDOW_UPDATE of nothing": (alone(window_update(0)), {PROTOCOL_ERROR}),
    "WINDOW_UPDATE beyond all windows": (
        alone(window_update((1 << 31) - 1)), {FLOW_CONTROL_ERROR},
    ),
    "WINDOW_UPDATE on an idle stream": (alone(window_update(1, 1)), {PROTOCOL_ERROR}),
    "CONTINUATION of nothing": (alone(raw(CONTINUATION, 1, b"\x82")), {PROTOCOL_ERROR}),
    "CONTINUATION of a head that is complete": (
        behind_end(raw(CONTINUATION, 1, b"\x82", flags=END_HEADERS)), {PROTOCOL_ERROR},
    ),
    "a PING inside a head": (alone(raw(HEADERS, 1, b"\x82"), ping()), {PROTOCOL_ERROR}),
    "an unknown frame inside a head": (
        alone(raw(HEADERS, 1, b"\x82"), raw(0xBB, 1, b"x")), {PROTOCOL_ERROR},
    ),
    "CONTINUATION of another stream": (
        alone(raw(HEADERS, 1, b"\x82"), raw(CONTINUATION, 3, b"\x84", flags=END_HEADERS)),
        {PROTOCOL_ERROR},
    ),
    "a frame larger than announced": (
        on_stream(raw(DATA, 1, bytes(16_385))), {FRAME_SIZE_ERROR},
    ),
    "a head larger than announced": (
        alone(raw(HEADERS, 1, bytes(16_385), flags=END_HEADERS)), {FRAME_SIZE_ERROR},
    ),
    "index 0": (block_of(0x80), {COMPRESSION_ERROR}),
    "an index beyond the tables": (block_of(0xFF, 0x80, 0x01), {COMPRESSION_ERROR}),
    "an index without end": (block_of(*[0xFF] * 12), {COMPRESSION_ERROR}),
    "a text that ends before its end": (block_of(0x00, 0x7F, 0x40), {COMPRESSION_ERROR}),
    "Huffman's end in a text": (
        block_of(0x00, 0x01, 0x78, 0x84, 0xFF, 0xFF, 0xFF, 0xFF), {COMPRESSION_ERROR},
    ),
    "a table larger than announced": (block_of(0x3F, 0xE1, 0xFF, 0x03), {COMPRESSION_ERROR}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "codes"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS
)
def test_a_connection_error(edge, peer, make, codes):
    """GOAWAY with the right code, and the end of the connection; the log says why."""
    before = len(edge.records("HTTP/2 connection ended"))
    peer.send(*make(peer))
    assert peer.goaway_code() in codes
    edge.wait_for("HTTP/2 connection ended", count=before + 1)


# What ends a stream; a connection may be ended for it, too (§5.4.2).
STREAM_ERRORS = {
    "DATA behind the end": (behind_end(data(1, b"x")), {STREAM_CLOSED}),
    "WINDOW_UPDATE of nothing": (on_stream(window_update(0, 1)), {PROTOCOL_ERROR}),
    "WINDOW_UPDATE beyond all windows": (
        on_stream(window_update((1 << 31) - 1, 1)), {FLOW_CONTROL_ERROR},
    ),
    "a stream that depends on itself": (
        lambda peer: [
            raw(HEADERS, 1, b"\0\0\0\1\x10" + peer.block(get("/")),
                flags=PRIORITIZED | END_STREAM | END_HEADERS)
        ],
        {PROTOCOL_ERROR, None},
    ),
    "PRIORITY of four octets": (on_stream(raw(PRIORITY, 1, bytes(4))), {FRAME_SIZE_ERROR}),
}  # fmt: skip


@pytest.mark.parametrize(("make", "codes"), STREAM_ERRORS.values(), ids=STREAM_ERRORS)
def test_a_stream_error(peer, make, codes):
    """None among the codes: it may mean nothing (RFC 9113 §5.3.2)."""
    peer.send(*make(peer))
    assert error_code(peer) in codes


def error_code(peer):
    """The code of the RST_STREAM or GOAWAY that comes; None where none does."""
    # The answer to a PING may overtake what was said on a stream before.
    for _ in range(2):
        peer.send(ping())
        while (each := peer.read()) is not None and not isinstance(each, PingFrame):
            if isinstance(each, RstStreamFrame | GoAwayFrame):
                return each.error_code
    return None


MEANS_NOTHING = {
    "an unknown frame": raw(0xBB, 0, b"anything"),
    "an unknown frame on an idle stream": raw(0xBB, 7, b"anything"),
    "an unknown setting": settings((0xBABA, 7)),
    "a reserved flag": raw(PING, 0, bytes(8), flags=0xF0),
    "the reserved bit of a stream's number": raw(PRIORITY, 0x8000_0001, bytes(5)),
    "a priority": raw(PRIORITY, 9, b"\0\0\0\x03\x10"),
    "a priority that depends on itself": raw(PRIORITY, 9, b"\0\0\0\x09\x10"),
    "an acknowledgement of nothing": raw(PING, 0, bytes(8), flags=ACK),
    "ALTSVC of a client": raw(0x0A, 0, b"\0\0x"),
    "PRIORITY_UPDATE": raw(0x10, 0, b"\0\0\0\1u=1"),
    "all good settings": settings((1, 0), (2, 0), (3, 0), (4, 0), (5, 16_384), (6, 1), (8, 1)),
}


@pytest.mark.parametrize("octets", MEANS_NOTHING.values(), ids=MEANS_NOTHING)
def test_what_means_nothing(peer, octets):
    peer.send(octets, window_update(1 << 20))
    peer.send(settings((4, 65_535)))
    peer.ask(1)
    assert peer.answer(1).status == 200
    assert peer.is_alive()


def test_frames_on_streams_that_are_over(peer):
    """Those that were on their way when it ended are no errors (§5.1)."""
    peer.ask(1)
    assert peer.answer(1).status == 200
    peer.send(window_update(100, 1), reset(1), raw(PRIORITY, 1, bytes(5)))
    peer.send(peer.head(3, get("/", method="POST"), ends=False), reset(3), reset(3))
    peer.send(window_update(100, 3))
    assert peer.is_alive()


def test_content_on_its_way_to_a_stream_that_the_edge_reset(peer):
    """§5.4.2: it is dropped, and counts against the connection's window, which is opened again."""
    peer.send(peer.head(1, get("/", method="POST") + [("content-length", "200000")], ends=False))
    check_refusal(peer.answer(1), 413)
    for _ in range(4):
        peer.send(data(1, bytes(16_000)))
    assert peer.is_alive()


def test_settings_are_acknowledged(peer):
    for _ in range(3):
        peer.send(settings((3, 50)))
        assert "ACK" in peer.next(SettingsFrame).flags


def test_pings_are_answered(peer):
    peer.send(ping(b"12345678"))
    answer = peer.next(PingFrame)
    assert answer.opaque_data == b"12345678" and "ACK" in answer.flags


def test_a_client_that_keeps_no_table(peer):
    """SETTINGS_HEADER_TABLE_SIZE of 0 (RFC 7541 §4.2): nothing of answers is remembered."""
    peer.send(settings((1, 0)))
    assert peer.is_alive()
    peer.decoder.max_allowed_table_size = 0
    for number in (1, 3, 5):
        peer.ask(number)
        assert peer.answer(number).status == 200
    assert peer.decoder.header_table_size == 0


def test_large_frames_are_for_clients_that_take_them(peer, backend):
    """SETTINGS_MAX_FRAME_SIZE is the client's to raise: 16 KiB otherwise (§4.2)."""
    body = bytes(60_000)
    fields = get("/", method="POST") + [("content-length", "60000")]
    peer.send(peer.head(1, fields, ends=False))
    for start in range(0, 60_000, 15_000):
        peer.send(data(1, body[start : start + 15_000], ends=start == 45_000))
    largest, ended = 0, False
    while not ended:
        each = peer.read()
        largest = max(largest, each.octet_count)
        ended = isinstance(each, DataFrame) and "END_STREAM" in each.flags
        if isinstance(each, DataFrame) and each.octet_count:
            peer.send(window_update(each.octet_count), window_update(each.octet_count, 1))
    assert 8_000 < largest <= 16_384


def test_a_stream_that_was_passed_over(backend, peer):
    """§5.1.1: it is closed. Nothing is asked on it; nghttp2 ignores it where it might be late."""
    peer.send(peer.head(5, get("/five")), peer.head(3, get("/three")))
    assert b"/five" in peer.answer(5).body
    peer.ask(7, "/seven")
    assert b"/seven" in peer.answer(7).body
    assert not any(request.target == "/three" for request in backend.requests)


def fill(peer):
    for number in range(1, 41, 2):
        peer.send(peer.head(number, get("/", method="POST"), ends=False))


def test_more_streams_than_announced(peer):
    """§5.1.2: who has acknowledged the limit breaks the protocol."""
    assert peer.announced[SettingsFrame.MAX_CONCURRENT_STREAMS] == 20
    fill(peer)
    assert peer.is_alive()
    peer.send(peer.head(41, get("/")))
    assert peer.goaway_code() == PROTOCOL_ERROR


def test_more_streams_before_the_limit_is_known(edge, enter):
    """They are refused, so that they can be tried again (§8.7); those that are there go on."""
    peer = enter(frames(edge.address, awaits_settings=False))
    fill(peer)
    peer.send(peer.head(41, get("/")))
    assert peer.answer(41) == REFUSED_STREAM
    peer.send(data(1, b"x", ends=True))
    assert peer.answer(1).status == 200
    peer.ask(43)
    assert peer.answer(43).status == 200


def test_a_goaway_of_the_client(edge, enter, backend):
    """What it has asked for is still answered."""
    peer = enter(frames(edge.address))
    peer.send(peer.head(1, get("/", method="POST"), ends=False), raw(GOAWAY, 0, bytes(8)))
    peer.send(data(1, b"x", ends=True))
    assert peer.answer(1).status == 200


# MARK: The beginning (§3.4)


def test_a_first_frame_that_is_no_settings(edge, enter):
    peer = enter(frames(edge.address, first=ping(), awaits_settings=False))
    assert peer.goaway_code() == PROTOCOL_ERROR


def test_the_preface_octet_by_octet(edge, enter):
    wire = enter(connect(edge.address))
    for octet in PREFACE[:-1]:
        wire.send(bytes([octet]))
    peer = enter(Frames(wire, preface=PREFACE[-1:]))
    peer.ask(1)
    assert peer.answer(1).status == 200


@pytest.mark.parametrize("count", [1, 3, 14, 16, 20, 23])
def test_a_preface_that_goes_wrong(edge, enter, count):
    """It is an HTTP/1.1 request then, and a bad one."""
    wire = enter(connect(edge.address))
    wire.send(PREFACE[:count] + b"?\r\n\r\n" * 8)
    response = wire.read_response()
    assert response.version == "HTTP/1.1" and response.status in (400, 405, 501, 505)
    check_old_refusal(response, response.status)


def test_a_preface_that_stops(edge, enter):
    wire = enter(connect(edge.address))
    wire.send(PREFACE[:20])
    octets = wire.read_to_end()
    assert octets == b"" or octets.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_never_asks(edge, enter):
    """It has as long as a client of HTTP/1.1 has for its head."""
    peer = enter(frames(edge.address))
    assert peer.goaway_code() == NO_ERROR


def test_the_preface_behind_a_request_of_http_11(edge, enter):
    """HTTP/2 begins with the connection, or not at all (§3.3): who shares it did not ask for it."""
    wire = enter(connect(edge.address))
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert wire.read_response().status == 200
    wire.send(PREFACE + settings())
    response = wire.read_response()
    assert response.status in (400, 405, 501, 505)


def test_http_11_on_the_same_port(edge, enter):
    for head in (b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"PUT / HTTP/1.1", b"PRIVATE / HTTP/1.1"):
        wire = enter(connect(edge.address))
        wire.send(head + b"\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert wire.read_response().status == 200


def test_upgrade_to_h2c_is_not_taken(edge, enter):
    """RFC 9113 §3.1: it is obsolete."""
    wire = enter(connect(edge.address))
    fields = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + fields + b"\r\n")
    response = wire.read_response()
    assert response.version == "HTTP/1.1" and response.status == 200
    assert b"h2c" not in response.body


def test_where_it_is_off(enter, backend):
    edge = enter(Edge(configuration(backend.url, route={"http": True})))
    wire = enter(connect(edge.address))
    wire.send(PREFACE + settings())
    response = wire.read_response()
    assert response.version == "HTTP/1.1" and response.status in (400, 405, 501, 505)


# MARK: ALPN


@pytest.fixture(scope="module")
def secure(enter_for_module, backend, localhost):
    """Listeners under TLS: as it is by default, and without HTTP/2."""
    tls = {"certificates": [pair(localhost)]}
    listeners = [
        {"address": "127.0.0.1:0", "tls": tls},
        {"address": "127.0.0.1:0", "tls": tls, "http2": False},
    ]
    route = {"http": True}
    return enter_for_module(Edge(configuration(backend.url, listeners=listeners, route=route)))


ALPN = {
    "both": (["h2", "http/1.1"], "h2", "http/1.1"),
    "both, the other way round": (["http/1.1", "h2"], "h2", "http/1.1"),
    "HTTP/2 alone": (["h2"], "h2", None),
    "HTTP/1.1 alone": (["http/1.1"], "http/1.1", "http/1.1"),
    "an unknown one before": (["spdy/3", "h2"], "h2", None),
    "none": ([], None, None),
}


@pytest.mark.parametrize(("offered", "by_default", "without"), ALPN.values(), ids=ALPN)
@pytest.mark.parametrize("listener", [0, 1])
def test_alpn(secure, authority, enter, offered, by_default, without, listener):
    tls = authority.client_context()
    if offered:
        tls.set_alpn_protocols(offered)
    chosen = without if listener else by_default
    try:
        wire = enter(connect(secure.addresses[listener], tls=tls))
    except OSError:
        assert chosen is None and offered, "RFC 7301 §3.2: no_application_protocol"
        return
    assert wire.socket.selected_alpn_protocol() == chosen
    if chosen == "h2":
        assert enter(client(secure.addresses[listener], tls=tls)).ask("/", scheme="https").body
    else:
        wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wire.read_response().status == 200


def test_http_11_where_http_2_was_chosen(secure, authority, enter):
    tls = authority.client_context()
    tls.set_alpn_protocols(["h2"])
    wire = enter(connect(secure.address, tls=tls))
    wire.send(upgrade_head())
    # It ends with a GOAWAY, not with an answer of HTTP/1.1.
    octets = wire.read_to_end()
    assert b"HTTP/1.1" not in octets and PROTOCOL_ERROR.to_bytes(4, "big") in octets


def test_http_2_where_http_11_was_chosen(secure, authority, enter):
    tls = authority.client_context()
    tls.set_alpn_protocols(["http/1.1"])
    wire = enter(connect(secure.address, tls=tls))
    wire.send(PREFACE + settings())
    assert wire.read_response().status in (400, 405, 501, 505)
