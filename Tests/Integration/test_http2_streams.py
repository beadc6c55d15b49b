"""Many streams on one connection: none stops another, and each keeps to its window."""

import hashlib
import random
import socket
import subprocess
import threading
from contextlib import suppress

import pytest
from hyperframe.frame import DataFrame, PingFrame, WindowUpdateFrame

from harness.authority import pair
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.ends import Ends
from harness.http2 import LISTENERS, ErrorCodes, check_refusal, client
from harness.http2_backend import MixedBackend, content
from harness.http2_frames import Came, data, frames, get, ping, settings, window_update
from harness.http_recorder import answered, chunked
from harness.web import Answer, WebServer
from harness.wire import BINARY, frame, frame_of

KIB, MIB = 1 << 10, 1 << 20
# What one stream may hold in the edge: its window, what waits behind it, and the kernel's buffers.
HELD_MAX = 8 * MIB


@pytest.fixture(scope="module")
def backend(enter_for_module):
    """What it does not read soon waits in the edge, and not in its own kernel's buffers."""
    return enter_for_module(MixedBackend(receive_buffer=64 * KIB))


@pytest.fixture(scope="module")
def edge(enter_for_module, backend, localhost):
    tls = {"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}
    route = {"http": {"body_size": "24MiB"}, "heartbeat": "off"}
    settings = configuration(backend.url, listeners=[*LISTENERS, tls], route=route)
    return enter_for_module(Edge(settings))


@pytest.fixture
def connection(edge, enter):
    return enter(client(edge.address))


@pytest.fixture(params=["plain", "tls"])
def either(edge, enter, authority, request):
    """A connection, once in clear and once under TLS."""
    if request.param == "plain":
        return enter(client(edge.address))
    return enter(client(edge.addresses[1], tls=authority.client_context()))


@pytest.fixture
def pairs(edge, backend):
    """`pairs(connection)` opens a tunnel, and gives both of its ends."""
    return lambda connection: Ends(edge, connection.tunnel(), backend.take())


# MARK: Side by side


def test_a_hundred_tunnels(either, pairs):
    """Each has what it was sent, in whatever order they are served."""
    opened = [pairs(either) for _ in range(100)]
    order = list(range(100)) * 5
    random.Random(7).shuffle(order)
    for number in order:
        opened[number].client.send_frame(BINARY, b"up %d" % number)
        opened[number].server.send_frame(BINARY, b"down %d" % number * 50)
    for number, ends in enumerate(opened):
        for _ in range(5):
            assert ends.server.read_frame()[1] == b"up %d" % number
            assert ends.client.read_frame()[1] == b"down %d" % number * 50


def test_tunnels_and_requests(either, pairs):
    opened = [pairs(either) for _ in range(20)]
    asked = [either.request(f"/bytes/{number * 1_000}") for number in range(60)]
    for number, ends in enumerate(opened):
        ends.client.send_frame(BINARY, b"%d" % number)
    for number, stream in enumerate(asked):
        assert stream.answer().body == content(number * 1_000)
    for number, ends in enumerate(opened):
        assert ends.server.read_frame()[1] == b"%d" % number
    either.round_trip()


def test_a_thousand_requests_one_after_the_other(connection):
    """A stream leaves nothing behind on its connection."""
    for number in range(1_000):
        assert connection.ask(f"/bytes/{number}").body == content(number)
    assert connection.settings.max_concurrent_streams == 128


def test_a_download_beside_a_tunnel(either, pairs):
    ends = pairs(either)
    stream = either.request(f"/bytes/{20 * MIB}")
    for _ in range(10):
        ends.check_passes()
    assert hashlib.sha256(stream.answer().body).digest() == hashlib.sha256(
        content(20 * MIB)
    ).digest()
    ends.check_passes()


def test_an_upload_beside_a_tunnel(either, pairs):
    ends, body = pairs(either), content(20 * MIB)
    stream = either.request("/digest", method="POST", ends=False)
    for start in range(0, len(body), MIB):
        stream.send(body[start : start + MIB])
        ends.check_passes()
    stream.shutdown_write()
    assert stream.answer().body.decode() == hashlib.sha256(body).hexdigest()


def test_uploads_with_a_length(either):
    for count in (0, 1, 16_384, 65_535, 65_536, 300_000):
        body = content(count)
        length = [("content-length", str(count))]
        answer = either.ask("/digest", method="POST", body=body, fields=length)
        assert answer.body.decode() == hashlib.sha256(body).hexdigest()


def test_a_body_that_turns_out_too_large(enter, backend):
    """413 while it is still being sent, and the rest is given up without an error."""
    route = {"http": {"body_size": "1MiB"}}
    edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, route=route)))
    connection = enter(client(edge.address))
    stream = connection.request("/digest", method="POST", ends=False)
    with pytest.raises(ConnectionResetError):
        for _ in range(100):
            stream.send(bytes(100_000))
    check_refusal(stream.answer(), 413)
    assert stream.code == ErrorCodes.NO_ERROR
    connection.round_trip()


# MARK: Who takes nothing


def test_a_tunnel_whose_client_opens_no_window(edge, connection, pairs):
    """Its server is stopped, and nobody else is."""
    deaf, other = pairs(connection), pairs(connection)
    deaf.client.socket.opens_window = False
    deaf.server.socket.setblocking(False)
    sent = push(deaf.server, frame(BINARY, bytes(60_000)), other.check_passes)
    assert sent < HELD_MAX
    assert connection.ask("/bytes/500000").body == content(500_000)
    deaf.client.reset()


def test_tunnels_whose_server_does_not_read(connection, pairs):
    """Their windows close, and the connection's stays open for others."""
    stuck = [pairs(connection) for _ in range(3)]
    other = pairs(connection)
    for ends in stuck:
        assert stuff(ends.client, frame(BINARY, bytes(60_000), masked=True)) < HELD_MAX
    other.check_passes()
    body = content(3 * MIB)
    answer = connection.ask("/digest", method="POST", body=body)
    assert answer.body.decode() == hashlib.sha256(body).hexdigest()
    for ends in stuck:
        ends.client.reset()


def stuff(stream, octets):
    """How much a client gets rid of on a stream until it has to wait for half a second."""
    sent = 0
    stream.socket.settimeout(0.5)
    with suppress(TimeoutError):
        while sent < 2 * HELD_MAX:
            stream.send(octets)
            sent += len(octets)
    stream.socket.settimeout(10)
    return sent


def push(server, octets, meanwhile):
    """How much a server gets rid of until it has to wait for a while."""
    sent, refusals = 0, 0
    while refusals < 20 and sent < 10 * HELD_MAX:
        try:
            sent += server.socket.send(octets)
            refusals = 0
        except BlockingIOError:
            refusals += 1
            meanwhile()
    return sent


def test_a_download_that_nobody_reads(edge, backend, connection):
    """The server is stopped, and the edge's memory stays as it is."""
    connection.ask("/bytes/1000000")
    before, backend.sent = edge.resident, 0
    streams = [connection.request("/endless", opens_window=False) for _ in range(5)]
    for stream in streams:
        stream.response()
    levels = [-1]

    def stands_still():
        connection.round_trip()
        levels.append(backend.sent)
        return len(levels) > 40 and levels[-1] == levels[-40]

    eventually(stands_still, "the servers to be stopped", 30)
    assert backend.sent < 5 * HELD_MAX
    assert edge.resident - before < 20 * MIB
    for stream in streams:
        stream.reset()
    assert connection.ask("/bytes/10").status == 200
    eventually(lambda: backend.broken.count("/endless") >= 5, "the servers to see the end")


def test_an_upload_that_nobody_reads(connection, pairs):
    """The stream's window closes; that of the connection does not."""
    stream = connection.request("/deaf", method="POST", ends=False)
    assert 64 * KIB <= stuff(stream, bytes(16_000)) < HELD_MAX
    pairs(connection).check_passes()
    stream.reset()


def pour(peer, number, octets, total):
    """Sends a frame of content over and over, as much as the windows allow, until that is so much."""
    windows = {0: 65_535, number: peer.announced.get(4, 65_535)}
    piece, sent = data(number, octets), 0
    while sent < total:
        if count := min(windows.values()) // len(octets):
            peer.send(piece * count)
            sent += count * len(octets)
            windows = {key: each - count * len(octets) for key, each in windows.items()}
        else:
            each = peer.next(WindowUpdateFrame)
            windows[each.stream_id] += each.window_increment


def test_an_upload_that_is_never_quite_taken(enter):
    """A throttled client keeps its window full: what was taken of it is not kept as well."""
    backend = enter(MixedBackend())
    limits = {"bytes": {"rate": "4MiB/s", "burst": "4MiB", "exceed": "throttle"}}
    route = {"limits": limits, "heartbeat": "off"}
    edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, route=route)))
    peer = enter(frames(edge.address))
    peer.connect(1)
    server = backend.take()

    def take():
        with suppress(OSError):
            while server.socket.recv(1 << 20):
                pass

    threading.Thread(target=take, daemon=True).start()
    before = edge.resident
    pour(peer, 1, frame_of(16_384, masked=True), 48 * MIB)
    assert edge.resident - before < 20 * MIB


def test_an_end_behind_a_window_that_is_used_up(enter):
    """It waits; and a request that goes on is no reason to reset the stream before it (§8.1)."""
    release = threading.Event()

    def script(wire):
        wire.send(answered(b"", ("Transfer-Encoding", "chunked"), length=False))
        wire.send(chunked(bytes(65_535)).removesuffix(b"0\r\n\r\n"))
        assert release.wait(10)
        wire.send(b"0\r\n\r\n")
        wire.read_to_end()

    backend = enter(ScriptedBackend(script))
    route = {"http": True}
    edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, route=route)))
    peer = enter(frames(edge.address))
    peer.send(peer.head(1, get("/", method="POST"), ends=False), window_update(1 << 20))
    while len(peer.streams.setdefault(1, Came()).content) < 65_535:
        assert peer.read()
    release.set()
    edge.wait_for("request", reason="answered")
    assert peer.is_alive() and not peer.streams[1].is_over
    peer.send(window_update(1, 1))
    assert peer.answer(1).status == 200
    assert peer.is_alive()


def test_a_connection_that_is_not_read_at_all(edge, enter, backend):
    """Nothing of it is taken any more, and others do not notice."""
    deaf = enter(client(edge.address, receive_buffer=16 * KIB))
    deaf.h2.increment_flow_control_window((1 << 31) - 1 - 65_535)
    deaf.announce(initial_window_size=(1 << 31) - 1)
    before, backend.sent = edge.resident, 0
    for _ in range(5):
        deaf.request("/endless")
    other = enter(client(edge.address))
    levels = [-1]

    def stands_still():
        other.ask("/bytes/1000")
        levels.append(backend.sent)
        return backend.sent and len(levels) > 40 and levels[-1] == levels[-40]

    eventually(stands_still, "the servers to be stopped", 30)
    assert backend.sent < 5 * HELD_MAX
    assert edge.resident - before < 30 * MIB


# MARK: Windows (RFC 9113 §5.2)


@pytest.fixture
def raw_peer(edge, enter):
    """`raw_peer(*pairs)`: a connection whose first settings are these."""
    return lambda *pairs: enter(frames(edge.address, first=settings(*pairs)))


def counted(peer, count):
    """The next content, `count` octets of it and not one more, as the PING behind them shows."""
    total = 0
    while total < count:
        each = peer.next(DataFrame)
        total += each.octet_count
    assert total == count
    assert not rest(peer), "more came than the window allows"


def rest(peer):
    """Octets of content that come before a second answer to a PING."""
    total, answers = 0, 0
    peer.send(ping())
    while answers < 2:
        each = peer.read()
        if isinstance(each, DataFrame):
            total += each.octet_count
        elif isinstance(each, PingFrame):
            answers += 1
            peer.send(ping())
    return total


@pytest.mark.parametrize("window", [1, 2, 10, 300, 16_384, 100_000])
def test_a_window_is_kept(raw_peer, window):
    """Whatever its size; and what it is opened by comes, no more."""
    peer = raw_peer((4, window))
    peer.send(window_update(1 << 20))
    peer.ask(1, "/bytes/300000")
    counted(peer, window)
    peer.send(window_update(window, 1))
    counted(peer, window)
    peer.send(window_update(300_000 - 2 * window, 1))
    assert peer.answer(1).body == content(300_000)


def test_a_window_of_one_octet_carries_an_answer(raw_peer):
    peer = raw_peer((4, 1))
    peer.ask(1, "/bytes/40")
    body = b""
    while len(body) < 40:
        body += peer.next(DataFrame, 1).data
        peer.send(window_update(1, 1))
    assert body == content(40)


def test_a_window_that_opens_a_little(raw_peer):
    """A sender may wait for more room, as in TCP (RFC 1122 §4.2.3.4), but not for ever."""
    peer = raw_peer((4, 10_000))
    peer.ask(1, "/bytes/10050")
    counted(peer, 10_000)
    peer.send(window_update(50, 1))
    assert peer.answer(1).body == content(10_050)


def test_the_connections_window_is_kept(raw_peer):
    """It is 65,535 octets for all streams together, until it is opened."""
    peer = raw_peer((4, 1 << 20))
    for number in (1, 3, 5):
        peer.ask(number, "/bytes/50000")
    counted(peer, 65_535)
    peer.send(window_update(1_000))
    counted(peer, 1_000)
    peer.send(window_update(1 << 20))
    left = 150_000 - 66_535
    while left:
        left -= peer.next(DataFrame).octet_count


def test_the_initial_window_grows(raw_peer):
    """It holds for streams that are there (§6.9.2)."""
    peer = raw_peer((4, 0))
    peer.ask(1, "/bytes/5000")
    assert not rest(peer)
    peer.send(settings((4, 5_000)))
    counted(peer, 5_000)


def test_the_initial_window_shrinks_below_what_was_sent(raw_peer):
    """A window may be negative: nothing comes until it is positive again (§6.9.2)."""
    peer = raw_peer((4, 60_000))
    peer.send(window_update(1 << 20))
    peer.ask(1, "/bytes/100000")
    counted(peer, 60_000)
    peer.send(settings((4, 1_000)))
    assert not rest(peer)
    peer.send(window_update(59_000, 1))
    assert not rest(peer), "the window is 0"
    peer.send(window_update(5_000, 1))
    counted(peer, 5_000)
    peer.send(settings((4, 100_000)))
    assert peer.answer(1).body == content(100_000)


def test_answers_without_content_need_no_window(raw_peer):
    peer = raw_peer((4, 0))
    for number in (1, 3, 5):
        peer.ask(number, "/bytes/0")
        assert peer.answer(number).status == 200


def test_a_tunnel_with_a_window_of_one(edge, backend, enter):
    connection = enter(client(edge.address))
    connection.announce(initial_window_size=1)
    ends = Ends(edge, connection.tunnel(), backend.take())
    ends.check_passes()
    ends.server.send_frame(BINARY, b"x" * 100)
    assert ends.client.read_frame()[1] == b"x" * 100


def test_a_fast_uploader_gets_a_wider_window(connection):
    """It begins with what a slow server could cost, and grows where the server keeps up."""
    stream = connection.request("/digest", method="POST", ends=False)
    first = connection.h2.local_flow_control_window(stream.number)
    assert first <= 65_536
    widest = first
    for _ in range(20):
        stream.send(bytes(200_000))
        widest = max(widest, free_window(connection, stream))
    stream.shutdown_write()
    assert stream.answer().status == 200
    assert widest > 4 * first


def free_window(connection, stream):
    connection.round_trip()
    return connection.h2.streams[stream.number].outbound_flow_control_window


TRAILERS = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("window", [1_000, 65_535])
@pytest.mark.parametrize("count", [0, 10, 300_000])
def test_trailers_of_a_server(enter, window, count):
    """They come behind all content, however long that waits for the client's window."""

    def script(wire):
        chunk = b"%x\r\n%s\r\n" % (count, content(count)) if count else b""
        wire.send(TRAILERS + chunk + b"0\r\nX-Sum: 7\r\n\r\n")
        wire.read_to_end()

    backend = enter(ScriptedBackend(script))
    settings = configuration(backend.url, listeners=LISTENERS, route={"http": True})
    connection = enter(client(enter(Edge(settings)).address))
    connection.announce(initial_window_size=window)
    connection.round_trip()
    stream = connection.request(fields=[("te", "trailers")])
    assert stream.answer().body == content(count)
    assert stream.socket.trailers["x-sum"] == "7"


# MARK: Numbers


def test_the_last_stream(edge, enter):
    """A connection's numbers end at 2^31 - 1 (§5.1.1)."""
    peer = enter(frames(edge.address))
    peer.ask((1 << 31) - 3, "/bytes/10")
    assert peer.answer((1 << 31) - 3).status == 200
    peer.ask((1 << 31) - 1, "/bytes/10")
    assert peer.answer((1 << 31) - 1).status == 200
    assert peer.is_alive()


# MARK: Clients that take a stream back


def check_nothing_left(edge, connection, descriptors):
    """The connection goes on, and what the stream occupied is free."""
    assert connection.ask("/bytes/10").status == 200
    eventually(lambda: edge.descriptor_count <= descriptors + 2, "descriptors to be given back")


def test_a_reset_while_a_verifier_is_asked(enter, backend):
    hold = threading.Event()
    service = enter(WebServer(Answer(200, holds=hold)))
    auth = {"forward": {"url": service.url, "timeout": "20s"}}
    route = {"auth": auth, "http": True}
    edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, route=route)))
    connection = enter(client(edge.address))
    streams = [connection.connect(), connection.request("/bytes/10")]
    eventually(lambda: service.count == 2, "the service to be asked")
    before = len(backend.requests)
    for stream in streams:
        stream.reset()
    connection.round_trip()
    service.answers = Answer(200)
    hold.set()
    assert connection.ask("/bytes/10").status == 200
    assert len(backend.requests) == before + 1
    for method in ("CONNECT", "GET"):
        assert edge.wait_for("request", method=method)["closed_by"] == "downstream"


class Unreachable:
    """A server whose queue is full: nobody is refused, and nobody gets in."""

    def __enter__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(0)
        self.url = "ws://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.socket.getsockname())
            self.fillers.append(filler)
        return self

    def __exit__(self, *_):
        for each in (self.socket, *self.fillers):
            each.close()


def test_a_reset_while_a_server_is_connected(enter):
    server = enter(Unreachable())
    upstream = {"connect_timeout": "1m", "retries": 0}
    settings = configuration(
        server.url, listeners=LISTENERS, upstream=upstream, route={"http": True}
    )
    edge = enter(Edge(settings))
    connection = enter(client(edge.address))
    before = edge.descriptor_count
    streams = [connection.connect(), connection.request("/")]
    eventually(lambda: edge.descriptor_count == before + 2, "the edge to be connecting")
    for stream in streams:
        stream.reset()
    eventually(lambda: edge.descriptor_count == before, "the attempts to be given up")
    connection.round_trip()


def test_a_reset_before_the_server_has_answered(enter):
    """An upgrade and a request: both servers see the end."""
    seen, ended = [], []

    def script(wire):
        seen.append(wire.request.target)
        ended.append((wire.request.target, wire.read_to_end()))

    backend = enter(ScriptedBackend(script))
    settings = configuration(backend.url, listeners=LISTENERS, route={"http": True})
    connection = enter(client(enter(Edge(settings)).address))
    streams = [connection.connect("/upgrade"), connection.request("/request")]
    eventually(lambda: len(seen) == 2, "the servers to be asked")
    for stream in streams:
        stream.reset()
    eventually(lambda: len(ended) == 2, "the servers to see the end")
    assert sorted(ended) == [("/request", b""), ("/upgrade", b"")]
    connection.round_trip()


def test_a_reset_of_a_tunnel(edge, connection, pairs):
    descriptors = edge.descriptor_count
    ends = pairs(connection)
    ends.client.send_frame(BINARY, bytes(1_000))
    ends.client.reset()
    ends.server.finish()
    ends.server.close()
    check_nothing_left(edge, connection, descriptors)
    ends.check_record(closed_by="downstream")


def test_a_reset_inside_a_body(edge, backend, connection):
    """What the server has of it, it must not take for all: its connection ends."""
    backend.broken.clear()
    stream = connection.request("/digest/cut", method="POST", ends=False)
    stream.send(bytes(100_000))
    eventually(lambda: backend.requests[-1].target == "/digest/cut", "the server to be asked")
    stream.reset()
    eventually(lambda: "/digest/cut" in backend.broken, "the server to see the end")
    assert connection.ask("/bytes/10").status == 200


def test_a_reset_inside_an_answer(edge, backend, connection):
    backend.broken.clear()
    stream = connection.request("/endless")
    stream.read_exactly(300_000)
    stream.reset()
    eventually(lambda: "/endless" in backend.broken, "the server to see the end")
    assert connection.ask("/bytes/10").status == 200


def test_a_server_that_breaks_off_inside_its_answer(enter):
    """RST_STREAM: what has come must not be taken for all of it."""

    def script(wire):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(50_000))

    backend = enter(ScriptedBackend(script))
    settings = configuration(backend.url, listeners=LISTENERS, route={"http": True})
    connection = enter(client(enter(Edge(settings)).address))
    stream = connection.request()
    assert stream.response().status == 200
    assert stream.reset_code() not in (ErrorCodes.NO_ERROR, None)
    assert not stream.socket.has_ended
    connection.round_trip()


def test_a_connection_that_is_lost(edge, enter, pairs):
    """Fifty servers see the end, and nothing is left of it."""
    before = edge.descriptor_count
    connection = enter(client(edge.address))
    opened = [pairs(connection) for _ in range(50)]
    connection.request("/held")
    connection.request("/endless", opens_window=False)
    for ends in opened[:10]:
        ends.client.send_frame(BINARY, bytes(1_000))
    connection.wire.reset()
    for ends in opened:
        ends.server.read_to_end()
        ends.server.close()
    for ends in opened:
        ends.check_record(closed_by="downstream")
    eventually(lambda: edge.descriptor_count <= before + 2, "descriptors to be given back")


class Mixture:
    """Connections, tunnels and requests that come and go at random."""

    def __init__(self, seed, edge, backend, enter):
        self.random, self.edge, self.backend = random.Random(seed), edge, backend
        self.connections = [enter(client(edge.address)) for _ in range(3)]
        for connection in self.connections:
            # Answers that nobody reads yet are not to be in the way of tunnels.
            connection.h2.increment_flow_control_window(1 << 24)
        self.tunnels, self.requests = [], []

    def step(self):
        connection = self.random.choice(self.connections)
        action = self.random.choice(
            [self.open, self.open, self.talk, self.talk, self.talk, self.end, self.ask, self.leave]
        )
        action(connection)

    def open(self, connection):
        if len(self.tunnels) < 60:
            self.tunnels.append(Ends(self.edge, connection.tunnel(), self.backend.take()))

    def talk(self, _):
        if not self.tunnels:
            return
        ends = self.random.choice(self.tunnels)
        size = self.random.choice([0, 1, 125, 126, 5_000, 40_000])
        side = self.random.choice(["client", "server"])
        payload = self.random.randbytes(size)
        ends[side].send_frame(BINARY, payload)
        assert ends.across(side).read_frame() == (BINARY, payload, True)

    def end(self, _):
        """A tunnel ends, from one of its sides and in one of the ways."""
        if not self.tunnels:
            return
        ends = self.tunnels.pop(self.random.randrange(len(self.tunnels)))
        side = self.random.choice(["client", "server"])
        way = self.random.choice(["reset", "shutdown_write", "send_close"])
        getattr(ends[side], way)()
        ends.across(side).finish()
        ends.close()

    def ask(self, connection):
        target = f"/bytes/{self.random.choice([0, 10, 70_000])}"
        self.requests.append((connection.request(target), target))

    def leave(self, _):
        if not self.requests:
            return
        stream, target = self.requests.pop(self.random.randrange(len(self.requests)))
        if self.random.random() < 0.5:
            return stream.reset()
        assert stream.answer().body == content(int(target.rpartition("/")[2]))


@pytest.mark.parametrize("seed", range(3))
def test_a_mixture(backend, enter, seed):
    """Everything at once, in an order that its seed decides; nothing is left of it."""
    parts = {"route": {"http": True, "heartbeat": "off"}, "upstream": {"keepalive": False}}
    edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, **parts)))
    before = edge.descriptor_count
    mixture = Mixture(seed, edge, backend, enter)
    for _ in range(400):
        mixture.step()
    for connection in mixture.connections:
        connection.round_trip()
        assert not connection.goaways
        connection.close()
    for ends in mixture.tunnels:
        ends.server.reset()
    # The program's own threads may have begun to wait meanwhile.
    eventually(lambda: edge.descriptor_count <= before + 2, "descriptors to be given back")


# MARK: Clients that others wrote


def test_h2load(edge):
    """2,000 requests over four connections, fifty at a time on each."""
    command = ["h2load", "-n2000", "-c4", "-m50", f"http://{edge.address}/bytes/1000"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert "2000 succeeded, 0 failed" in told and "status codes: 2000 2xx" in told, told


def test_h2load_under_tls(edge):
    command = ["h2load", "-n500", "-c2", "-m20", f"https://{edge.addresses[1]}/bytes/100000"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    assert "Application protocol: h2" in told
    assert "500 succeeded, 0 failed" in told and "status codes: 500 2xx" in told, told


def test_nghttp_with_a_small_window(edge, tmp_path):
    """2^10 - 1 octets for the stream and 2^12 - 1 for the connection, and an upload."""
    body = tmp_path / "body"
    body.write_bytes(content(200_000))
    download = ["nghttp", "-w10", "-W12", f"http://{edge.address}/bytes/100000"]
    told = subprocess.run(download, capture_output=True, timeout=60)
    assert told.returncode == 0 and told.stdout == content(100_000), told.stderr
    upload = ["nghttp", "-d", str(body), f"http://{edge.address}/digest"]
    told = subprocess.run(upload, capture_output=True, timeout=60)
    assert told.stdout.decode() == hashlib.sha256(content(200_000)).hexdigest(), told.stderr
