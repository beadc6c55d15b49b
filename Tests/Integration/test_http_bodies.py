"""Bodies: large, slow, endless, broken. What one side does not take stops the other side."""

import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge
from harness.http_bodies import Curl, Sender, Serving, digest, in_chunks, pieces, received
from harness.http_clients import LISTENER, VERSIONS, ask, curl, forwarding, head, read_answer
from harness.http_recorder import Recorder, answered, chunked
from harness.web import Answer, WebServer
from harness.wire import connect

MIB = 1 << 20
GIB = 1 << 30
# What the edge may grow by, whatever passes through it: its buffers, and what waits for slow peers.
GROWTH_MAX = 24 * MIB
WAYS = ["1.1", "2", "1.1 over TLS", "2 over TLS"]


@pytest.fixture
def through(enter, authority, localhost):
    """`through(script, route=…)` is an edge, plain and with TLS, before a scripted server."""
    listeners = [LISTENER, LISTENER | {"tls": {"certificates": [pair(localhost)]}}]

    def start(script, **settings):
        server = enter(ScriptedBackend(script))
        edge = enter(Edge(forwarding(server.url, listeners=listeners, **settings)))
        edge.server, edge.ca = server, authority.ca
        return edge

    return start


def way(edge, name, target="/"):
    """The URL, curl's version and its arguments for one of WAYS."""
    if not name.endswith("TLS"):
        return (edge.url(target, scheme="http"),), name
    url = edge.url(target, scheme="https", listener=1, host="localhost")
    return (url, "--cacert", edge.ca), "--http2" if name[0] == "2" else "--http1.1"


def underway(edge, name, *arguments):
    where, http = way(edge, name)
    return Curl(*where, *arguments, http=http)


HEADS = {
    "length": lambda count: answered(b"", ("Content-Length", count), length=False),
    "chunks": lambda count: answered(b"", ("Transfer-Encoding", "chunked"), length=False),
}
TO_THE_END = answered(b"", ("Connection", "close"), length=False)


def serving(count, framing="length"):
    return Serving(count, HEADS[framing](count), chunked=framing == "chunks")


# Large ones


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("framing", HEADS)
def test_a_gigabyte_down(through, name, framing):
    count = GIB if framing == "length" else GIB // 4
    edge = through(serving(count, framing))
    before = edge.resident
    edge.forget_peak()
    with underway(edge, name) as client:
        assert digest(client.read()) == digest(pieces(count))
        assert client.wait() == 0
    assert edge.peak_resident - before < GROWTH_MAX


@pytest.mark.parametrize("name", WAYS)
def test_a_gigabyte_up(through, name):
    """In chunks, or in the frames of HTTP/2."""
    def script(wire):
        wire.send(answered(digest(received(wire)).encode()))

    edge = through(script)
    before = edge.resident
    edge.forget_peak()
    with underway(edge, name, "-T", "-", "-H", "Expect:") as client:
        Sender(client.input, pieces(GIB)).await_end()
        client.input.close()
        assert b"".join(client.read()).decode() == digest(pieces(GIB))
        assert client.wait() == 0
    assert edge.peak_resident - before < GROWTH_MAX


def test_a_large_upload_with_a_length(through):
    def script(wire):
        assert wire.request["Content-Length"] == str(GIB // 4)
        wire.send(answered(digest(received(wire)).encode()))

    edge = through(script)
    with connect(edge.address) as wire:
        wire.send(head("/", ("Content-Length", GIB // 4), method="PUT"))
        Sender(wire.socket, pieces(GIB // 4)).await_end()
        assert read_answer(wire).body.decode() == digest(pieces(GIB // 4))


# Slow ones


def check_another_request_is_answered(edge):
    with connect(edge.address) as wire:
        assert ask(wire, head("/other")).body == b"other"


def beside_others(script):
    """The script, but for requests of /other."""

    def both(wire):
        if wire.request.target == "/other":
            return wire.send(answered(b"other"))
        script(wire)

    return both


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("framing", HEADS)
def test_a_client_that_stops_reading(through, name, framing):
    """curl stands still: the server is stopped, and the edge keeps little of what it has sent."""
    count = 256 * MIB
    script = serving(count, framing)
    edge = through(beside_others(script))
    before = edge.resident
    with underway(edge, name) as client:
        first = client.output.read1(1)
        client.process.send_signal(signal.SIGSTOP)
        assert script.sender.await_standstill() < count // 2
        assert edge.resident - before < GROWTH_MAX
        check_another_request_is_answered(edge)
        client.process.send_signal(signal.SIGCONT)
        found = digest(part for parts in ([first], client.read()) for part in parts)
        assert found == digest(pieces(count))
        assert client.wait() == 0


@pytest.mark.parametrize("name", WAYS)
def test_a_server_that_stops_reading(through, name):
    count = 256 * MIB
    release = threading.Event()

    def script(wire):
        release.wait(30)
        wire.send(answered(digest(received(wire)).encode()))

    edge = through(beside_others(script))
    before = edge.resident
    with underway(edge, name, "-T", "-", "-H", "Expect:") as client:
        sender = Sender(client.input, pieces(count))
        assert sender.await_standstill() < count // 2
        assert edge.resident - before < GROWTH_MAX
        check_another_request_is_answered(edge)
        release.set()
        sender.await_end()
        client.input.close()
        assert b"".join(client.read()).decode() == digest(pieces(count))


def test_a_server_octet_by_octet(through):
    def script(wire):
        for octet in answered(b"", ("Transfer-Encoding", "chunked"), length=False):
            wire.send(bytes([octet]))
        for octet in chunked(b"slow", b"but whole"):
            wire.send(bytes([octet]))

    edge = through(script)
    for name in WAYS:
        where, http = way(edge, name)
        assert curl(*where, http=http).body == b"slowbut whole"


def test_both_ways_at_once(through):
    """An answer may begin before the request has ended, and both pass."""
    count = 8 * MIB

    def script(wire):
        wire.send(HEADS["chunks"](count))
        for part in received(wire):
            wire.send(b"%x\r\n%s\r\n" % (len(part), part))
        wire.send(b"0\r\n\r\n")

    edge = through(script)
    with connect(edge.address) as wire:
        wire.send(head("/", ("Transfer-Encoding", "chunked"), method="POST"))
        sender = Sender(wire.socket, in_chunks(pieces(count)))
        assert digest([read_answer(wire).body]) == digest(pieces(count))
        sender.await_end()


# Events


def events(silence):
    """A server of server-sent events: one, a silence, another one, and no end."""

    def script(wire):
        fields = [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")]
        wire.send(answered(b"", *fields, length=False) + b"a\r\ndata: 1\n\n\n\r\n")
        silence(wire)
        wire.send(b"a\r\ndata: 2\n\n\n\r\n")
        wire.read_to_end()

    return script


def test_events_with_long_silences(enter, through):
    """More than a minute, which ends answers elsewhere; on each kind of connection at once."""
    route = {"http": {"response_timeout": "1s", "silence_timeout": "70s"}, "idle_timeout": "1s"}
    limits = {"keepalive_timeout": "1s", "handshake_timeout": "1s"}
    over = threading.Event()
    edge = through(events(lambda wire: over.wait(100)), route=route, limits=limits)
    clients = [enter(underway(edge, name)) for name in WAYS]
    for client in clients:
        assert client.output.read1(100) == b"data: 1\n\n\n"
    assert not over.wait(62)
    over.set()
    for client in clients:
        assert client.output.read1(100) == b"data: 2\n\n\n"


@pytest.mark.parametrize("name", WAYS)
def test_a_silence_that_is_too_long(through, name):
    route = {"http": {"silence_timeout": "1s"}}
    edge = through(events(lambda wire: wire.read_to_end()), route=route)
    with underway(edge, name) as client:
        assert b"".join(client.read()) == b"data: 1\n\n\n"
        assert client.wait() != 0
    assert edge.wait_for("request")["reason"] == "timed out"


@pytest.mark.parametrize("name", WAYS)
def test_an_event_comes_at_once(through, name):
    """It is with the client while the server waits for what the client does then."""
    seen = threading.Event()
    edge = through(events(lambda wire: seen.wait(20)))
    with underway(edge, name) as client:
        assert client.output.read1(100) == b"data: 1\n\n\n"
        seen.set()
        assert client.output.read1(100) == b"data: 2\n\n\n"


# Ends in the middle


@pytest.mark.parametrize("name", WAYS)
def test_a_client_that_goes_while_it_is_answered(through, name):
    script = serving(GIB)
    edge = through(script)
    with underway(edge, name) as client:
        assert client.output.read(MIB)
    script.sender.await_end()
    assert script.sender.failure
    assert script.sender.count < GIB
    assert edge.wait_for("request")["closed_by"] == "downstream"


@pytest.mark.parametrize("name", WAYS)
def test_a_client_that_goes_while_it_waits(through, name):
    ended = threading.Event()

    def script(wire):
        wire.read_to_end()
        ended.set()

    edge = through(script)
    with underway(edge, name):
        eventually(lambda: edge.server.requests, "the request at the server")
    assert ended.wait(10)


@pytest.mark.parametrize("name", WAYS)
def test_a_client_that_goes_while_it_sends(through, name):
    """The server must not take what it has for the whole."""
    outcome = []

    def script(wire):
        try:
            outcome.append(sum(len(part) for part in received(wire)))
        except (EOFError, ConnectionError) as failure:
            outcome.append(failure)

    edge = through(script)
    with underway(edge, name, "-T", "-", "-H", "Expect:") as client:
        client.input.write(b"x" * MIB)
        client.input.flush()
        eventually(lambda: edge.server.requests, "the request at the server")
    eventually(lambda: outcome, "the end at the server")
    assert isinstance(outcome[0], Exception), outcome


BROKEN = {
    "a length": answered(b"", ("Content-Length", "100"), length=False) + b"half",
    "chunks": answered(b"", ("Transfer-Encoding", "chunked"), length=False) + b"4\r\nhalf\r\n",
    "a chunk": answered(b"", ("Transfer-Encoding", "chunked"), length=False) + b"8\r\nhalf",
    "the last chunk": answered(b"", ("Transfer-Encoding", "chunked"), length=False)
    + b"4\r\nhalf\r\n0\r\n",
    "a bad chunk": answered(b"", ("Transfer-Encoding", "chunked"), length=False)
    + b"4\r\nhalf\r\nx\r\n",
}


@pytest.mark.parametrize("http", VERSIONS)
@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN)
def test_a_server_that_goes_in_its_answer(through, octets, http):
    edge = through(lambda wire: wire.send(octets))
    found = curl(edge.url("/", scheme="http"), http=http)
    assert found.code != 0
    assert found.body in (b"half", b"")


@pytest.mark.parametrize("http", VERSIONS)
def test_a_server_that_is_reset_in_an_answer_without_a_length(through, http):
    """The end would be a right one; the reset is none."""
    seen = threading.Event()

    def script(wire):
        wire.send(TO_THE_END + b"half")
        seen.wait(10)
        wire.reset()

    edge = through(script)
    with Curl(edge.url("/", scheme="http"), http=http) as client:
        assert client.output.read1(10) == b"half"
        seen.set()
        assert client.wait() != 0


def test_a_server_over_tls_that_is_cut_off(enter, authority, localhost):
    """Without close_notify an end is not known to be the server's (RFC 9112 §9.8)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*localhost)

    def cut_off(wire):
        wire.socket = context.wrap_socket(wire.socket, server_side=True)
        wire.read_request()
        wire.send(TO_THE_END + b"half")
        # The socket's own: nothing is said before the end.
        socket.socket.shutdown(wire.socket, socket.SHUT_WR)
        wire.read_to_end()

    server = enter(ScriptedBackend(cut_off, reads_head=False))
    url = f"https://localhost:{server.port}"
    edge = enter(Edge(forwarding(url, upstream={"tls": {"ca": authority.ca}})))
    with connect(edge.address) as wire:
        wire.send(head("/", ("Connection", "close")))
        octets = wire.read_to_end()
    assert octets.startswith(b"HTTP/1.1 ")
    assert not octets.endswith(b"0\r\n\r\n")


# Limits


def too_large(name):
    """curl's arguments for a body of 2000 octets, with its length or without."""
    return ["--data-binary", "@-"] if name == "length" else ["-T", "-"]


@pytest.mark.parametrize("http", ["1.1", "2"])
@pytest.mark.parametrize("name", ["length", "no length"])
def test_a_body_beyond_the_limit(enter, name, http):
    server = enter(Recorder())
    edge = enter(Edge(forwarding(server.url, route={"http": {"body_size": "1KiB"}})))
    found = curl(
        edge.url("/", scheme="http"), *too_large(name), "-H", "Expect:", http=http,
        stdin=b"x" * 2000,
    )  # fmt: skip
    assert found.status == 413
    assert found.json["error"] == "body_too_large"
    assert not server.requests
    assert server.accepted == 0 or name != "length"


@pytest.mark.parametrize("name", ["length", "no length"])
def test_a_body_at_the_limit(enter, name):
    server = enter(Recorder())
    edge = enter(Edge(forwarding(server.url, route={"http": {"body_size": "2000B"}})))
    url = edge.url("/", scheme="http")
    assert curl(url, *too_large(name), stdin=b"x" * 2000).status == 200
    assert len(server.requests[0].body) == 2000


def test_a_body_beyond_the_limit_ends_the_connection(enter):
    server = enter(Recorder())
    edge = enter(Edge(forwarding(server.url, route={"http": {"body_size": "1KiB"}})))
    with connect(edge.address) as wire:
        response = ask(wire, head("/", ("Content-Length", 2000), method="POST") + head("/hidden"))
        assert (response.status, response["Connection"]) == (413, "close")
        assert wire.read_to_end() == b""
    assert server.accepted == 0


def saying_no(wire):
    """It reads a little, says 413, and ends its side."""
    wire.read_exactly(1000)
    wire.send(answered(b"too large", ("Connection", "close"), status="413 Content Too Large"))
    wire.shutdown_write()
    wire.read_to_end()


@pytest.mark.parametrize("http", ["1.0", "1.1"])
def test_a_server_that_answers_a_large_upload_early(through, http):
    edge = through(saying_no)
    found = curl(
        edge.url("/", scheme="http"), "--data-binary", "@-", "-H", "Expect:", http=http,
        stdin=b"x" * (8 * MIB),
    )  # fmt: skip
    assert (found.status, found.body) == (413, b"too large")


def test_a_server_that_answers_a_large_upload_early_over_http_2(through, tmp_path):
    """RFC 9113 §8.1: the answer, then RST_STREAM with NO_ERROR. curl 7.88 knows no such thing."""
    file = tmp_path / "upload"
    file.write_bytes(b"x" * (8 * MIB))
    edge = through(saying_no)
    command = ["nghttp", "--data", str(file), edge.url("/", scheme="http")]
    assert subprocess.run(command, capture_output=True, timeout=20).stdout == b"too large"


def test_a_server_that_does_not_answer(through):
    edge = through(lambda wire: wire.read_to_end(), route={"http": {"response_timeout": "500ms"}})
    for name in WAYS:
        where, http = way(edge, name)
        found = curl(*where, http=http)
        assert (found.status, found.json["error"]) == (504, "upstream_timed_out")


def test_a_server_that_only_says_that_it_works_on_it(through):
    """Interim answers are no answer: they give no more time."""
    ended = threading.Event()

    def script(wire):
        while not ended.wait(0.3):
            wire.send(b"HTTP/1.1 102 Processing\r\n\r\n")

    edge = through(script, route={"http": {"response_timeout": "1s"}})
    with connect(edge.address) as wire:
        response = ask(wire, head())
        ended.set()
    assert response.status == 504


def test_a_client_that_does_not_send_its_body(through):
    edge = through(lambda wire: wire.read_to_end(), route={"http": {"silence_timeout": "1s"}})
    for octets in (b"", b"some"):
        with connect(edge.address) as wire:
            wire.send(head("/", ("Content-Length", "10"), method="POST") + octets)
            response = read_answer(wire)
            assert (response.status, response.json["error"]) == (408, "body_timed_out")
            assert wire.read_to_end() == b""


def test_a_client_that_takes_nothing_is_given_up(through):
    script = serving(256 * MIB)
    edge = through(script, route={"http": {"silence_timeout": "1s"}})
    with connect(edge.address) as wire:
        wire.send(head())
        assert edge.wait_for("request")["reason"] == "stalled"
        script.sender.await_end()
        assert script.sender.failure


def test_a_slow_body_is_no_silent_one(through):
    """The time counts from octet to octet."""
    def script(wire):
        wire.read_exactly(8)
        wire.send(answered())

    route = {"http": {"silence_timeout": "2s", "response_timeout": "2s"}}
    edge = through(script, route=route)
    with connect(edge.address) as wire:
        wire.send(head("/", ("Content-Length", "8"), method="POST"))
        for _ in range(8):
            # What makes it slow, and in all longer than either time.
            time.sleep(0.4)
            wire.send(b"x")
        assert read_answer(wire).status == 200


# Octets a second, and how many: far longer than the times below, in which the kernel's buffers, of
# megabytes, do not say that there is room.
SLOW = 200_000, 1_800_000


def take_slowly(sock, count=SLOW[1]):
    """Takes so many octets at that pace, unless there is an end; the count."""
    taken = 0
    while taken < count and (octets := sock.recv(SLOW[0] // 10)):
        taken += len(octets)
        # What makes it slow.
        time.sleep(len(octets) / SLOW[0])
    return taken


@pytest.mark.parametrize("ends", [False, True], ids=["open", "half-closed"])
def test_a_client_that_takes_slowly_is_no_silent_one(through, ends):
    edge = through(serving(64 * MIB), route={"http": {"silence_timeout": "2s"}})
    with connect(edge.address, receive_buffer=64 << 10) as wire:
        wire.send(head())
        if ends:
            wire.shutdown_write()
        assert take_slowly(wire.socket) >= SLOW[1]


@pytest.mark.parametrize("count", [SLOW[1], 8 * SLOW[1]])
def test_a_server_that_takes_slowly_is_no_silent_one(enter, count):
    """Neither while it is given the body, nor while the kernel has the last of that for it."""

    def script(wire):
        taken = len(wire.buffer)
        taken += take_slowly(wire.socket, SLOW[1] - taken)
        while taken < count:
            taken += len(wire.socket.recv(1 << 20))
        wire.send(answered())

    server = enter(ScriptedBackend(script, receive_buffer=64 << 10))
    route = {"http": {"silence_timeout": "2s", "response_timeout": "2s"}}
    edge = enter(Edge(forwarding(server.url, route=route)))
    with connect(edge.address) as wire:
        wire.socket.settimeout(60)
        wire.send(head("/", ("Content-Length", count), method="POST") + bytes(count))
        assert read_answer(wire).status == 200


@pytest.mark.parametrize("state", ["admitted", "connected"])
def test_a_client_that_ends_its_side_while_it_waits(enter, authority, localhost, state):
    """It gets its answer, whatever is awaited when it does."""
    release = threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*localhost)

    def script(wire):
        assert state != "connected" or release.wait(10)
        wire.socket = context.wrap_socket(wire.socket, server_side=True)
        wire.read_request()
        wire.send(answered())

    server = enter(ScriptedBackend(script, reads_head=False))
    service = enter(WebServer(Answer(200, holds=release if state == "admitted" else None)))
    settings = forwarding(
        f"https://localhost:{server.port}", upstream={"tls": {"ca": authority.ca}},
        route={"auth": {"forward": {"url": service.url}}},
    )  # fmt: skip
    edge = enter(Edge(settings))
    with connect(edge.address) as wire:
        wire.send(head())
        eventually(lambda: service.count, "the service to be asked")
        eventually(lambda: state == "admitted" or server.accepted, "the server's connection")
        wire.shutdown_write()
        # Another one's end is seen behind this one's.
        with connect(edge.address) as other:
            other.send(b"x\r\n\r\n")
            assert other.read_response().status == 400
        release.set()
        assert read_answer(wire).status == 200
        assert wire.read_to_end() == b""
