"""What a client can do within the grammar of HTTP/2 to make a server work for little: it is ended.

The limits are those of Sources/HTTP2/Restraints.swift; clients in use stay far below.
"""

import random
import socket
import threading
from contextlib import suppress

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame

from harness.admin import ANYWHERE, Admin, metric
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.ends import Ends
from harness.http2 import LISTENERS, client, websocket_fields
from harness.http2_backend import MixedBackend, content
from harness.http2_frames import (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PADDED, PRIORITY,
    frames, get, ping, raw, reset, settings, window_update,
)  # fmt: skip
from harness.http2_frames import settings as settings_frame
from harness.wire import BINARY, TEXT, tunnel

MIB = 1 << 20
# What one attack may cost the edge: it has ended by then, whatever is still sent.
SECONDS, GROWTH = 2.0, 24 * MIB
BATCH, BATCHES = 500, 200
WIDEST = (1 << 31) - 1


@pytest.fixture(scope="module")
def backend(enter_for_module):
    return enter_for_module(MixedBackend())


@pytest.fixture(scope="module")
def edge(enter_for_module, backend):
    """One worker: whoever is attacked beside the bystander is on its thread."""
    route = {"http": True, "heartbeat": "off"}
    settings = configuration(
        backend.url, listeners=LISTENERS, route=route, workers=1, admin=ANYWHERE
    )
    return enter_for_module(Edge(settings))


@pytest.fixture(scope="module")
def admin(edge):
    return Admin(edge)


@pytest.fixture
def bystander(edge, backend, enter):
    """A tunnel on another connection, whose messages are numbered."""
    connection = enter(client(edge.address))
    return Bystander(Ends(edge, connection.tunnel(), backend.take()))


class Bystander:
    def __init__(self, ends):
        self.ends, self.count = ends, 0

    def check(self):
        """Whether messages pass both ways; none is lost, or comes twice."""
        self.count += 1
        text = b"%d" % self.count
        for side in ("client", "server"):
            self.ends[side].send_frame(TEXT, text)
            assert self.ends.across(side).read_frame() == (TEXT, text, True)


@pytest.fixture
def attack(edge, admin, bystander, enter):
    """`attack(kind, make, …)`: sends `make(peer, number)` again and again until it is ended."""

    def run(kind, make, *, begin=None, reads=False, batch=BATCH):
        before = metric(admin.metrics(), "sluice_http2_faults_total", kind=kind)
        peer = enter(frames(edge.address))
        if begin:
            begin(peer)
        seconds, resident = edge.processor_seconds, edge.resident
        with suppress(OSError):
            for turn in range(BATCHES):
                peer.send(*(make(peer, turn * batch + number) for number in range(batch)))
                bystander.check()
                if reads and drained(peer):
                    break
        code = goaway_code(peer)
        bystander.check()
        assert edge.processor_seconds - seconds < SECONDS, "it cost too much"
        assert edge.resident - resident < GROWTH, "it took too much memory"
        counted = metric(admin.metrics(), "sluice_http2_faults_total", kind=kind)
        assert counted == before + 1, "the metric does not count it"
        assert code in (ENHANCE_YOUR_CALM, None)
        return peer

    return run


def goaway_code(peer):
    """The code of the GOAWAY; None where a reset has swallowed it."""
    with suppress(OSError):
        for each in peer.read_to_end():
            if isinstance(each, GoAwayFrame):
                return each.error_code
    return None


def drained(peer):
    """Reads what has come; whether the connection is over."""
    peer.send(ping())
    while (each := peer.read()) is not None:
        if isinstance(each, GoAwayFrame):
            peer.wire.shutdown_write()
            return True
        if getattr(each, "opaque_data", None) == b"sluice!!":
            return False
    return True


def number_of(index):
    return 2 * index + 1


def test_rapid_reset(attack, backend, edge):
    """CVE-2023-44487: streams that are taken back at once."""
    before, descriptors = len(backend.requests), edge.descriptor_count
    attack(
        "rapid_reset",
        lambda peer, n: peer.head(number_of(n), get("/held")) + reset(number_of(n)),
    )
    assert len(backend.requests) - before < 2_000
    eventually(lambda: edge.descriptor_count <= descriptors, "descriptors to be given back")


def test_rapid_reset_of_tunnels(attack, backend, edge):
    descriptors = edge.descriptor_count
    attack(
        "rapid_reset",
        lambda peer, n: peer.head(number_of(n), websocket_fields(), ends=False)
        + reset(number_of(n)),
    )
    eventually(lambda: edge.descriptor_count <= descriptors, "descriptors to be given back")


def test_settings_flood(attack):
    """CVE-2019-9515."""
    attack("settings_flood", lambda peer, n: settings((3, n % 100)))


def test_settings_flood_with_an_initial_window_each(attack, backend):
    """Each touches all streams (§6.9.2)."""

    def begin(peer):
        for n in range(100):
            peer.send(peer.head(number_of(n), get("/held"), ends=True))

    attack("settings_flood", lambda peer, n: settings((4, n % 2 * 1_000)), begin=begin)


def test_ping_flood(attack):
    """CVE-2019-9512."""
    attack("ping_flood", lambda peer, n: ping(n.to_bytes(8, "big")))


def test_ping_flood_whose_answers_are_read(attack):
    attack("ping_flood", lambda peer, n: ping(n.to_bytes(8, "big")), reads=True)


def open_body(peer):
    peer.send(peer.head(1, get("/digest", method="POST"), ends=False))


EMPTY = [
    raw(DATA, 1), raw(DATA, 1, b"\0", flags=PADDED), raw(DATA, 1, b"\x07" + bytes(7), flags=PADDED),
]  # fmt: skip


@pytest.mark.parametrize("frame", EMPTY)
def test_empty_data(attack, frame):
    """CVE-2019-9518; padding alone is as empty."""
    attack("empty_data", lambda peer, n: frame, begin=open_body)


def test_priority_flood(attack):
    attack("priority_flood", lambda peer, n: raw(PRIORITY, number_of(n), b"\0\0\0\0\x10"))


def test_frames_of_unknown_types(attack):
    attack("priority_flood", lambda peer, n: raw(0xBB, 0, b"x"))


@pytest.mark.parametrize("number", [0, 1])
def test_window_update_flood(attack, number):
    attack("window_update_flood", lambda peer, n: window_update(1, number), begin=open_body)


MALFORMED = {
    "a name in upper case": get("/") + [("X-Upper", "x")],
    "no path": [pair for pair in get("/") if pair[0] != ":path"],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests(attack, fields):
    """CVE-2025-8671 among others: streams that the edge itself has to reset."""
    make = lambda peer, n: peer.head(number_of(n), fields)  # noqa: E731
    attack("malformed_requests", make, reads=True, batch=50)


def test_streams_that_the_edge_is_made_to_reset(attack):
    """CVE-2025-8671: a good request, and a frame that is wrong for it."""
    attack(
        "malformed_requests",
        lambda peer, n: peer.head(number_of(n), get("/held")) + window_update(WIDEST, number_of(n)),
        reads=True, batch=50,
    )  # fmt: skip


def test_tiny_windows(edge, admin, enter, bystander):
    """CVE-2019-9511: an answer in frames of an octet each."""
    kind = {"kind": "tiny_windows"}
    before = metric(admin.metrics(), "sluice_http2_faults_total", **kind)
    peer = enter(frames(edge.address, first=settings((4, 1))))
    peer.ask(1, "/bytes/1000000")
    count = 0
    while not isinstance(each := peer.read(), GoAwayFrame):
        assert count < 1_000, "it goes on"
        if isinstance(each, DataFrame):
            count += 1
            peer.send(window_update(1, 1))
    assert each.error_code == ENHANCE_YOUR_CALM
    assert metric(admin.metrics(), "sluice_http2_faults_total", **kind) == before + 1
    bystander.check()


# MARK: Header blocks


def check_ended(edge, admin, peer, bystander, kind, octets):
    """What ends a connection at once, whatever else is sent."""
    before = metric(admin.metrics(), "sluice_http2_faults_total", kind=kind)
    seconds, resident = edge.processor_seconds, edge.resident
    with suppress(OSError):
        for each in octets:
            peer.send(each)
    assert goaway_code(peer) in (ENHANCE_YOUR_CALM, None)
    bystander.check()
    assert edge.processor_seconds - seconds < SECONDS
    assert edge.resident - resident < GROWTH
    assert metric(admin.metrics(), "sluice_http2_faults_total", kind=kind) == before + 1


def literal(fields):
    """Fields that nobody is to remember (RFC 7541 §6.2.2)."""
    pairs = [(name.encode(), value.encode()) for name, value in fields]
    return b"".join(b"\0%c%s%c%s" % (len(n), n, len(v), v) for n, v in pairs)


# A field of 4,000 octets, to be remembered, and an octet that stands for it.
MEMORY, REFERENCE = b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4_000, b"\xbe"


ENDLESS = {
    "nothing": (b"", b""),
    "the octets of a value": (b"\0\1x\x7f\x89\x26", b"y"),
    "fields": (b"", literal([("x", "y" * 100)]) * 140),
}


@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_continuation_flood(edge, admin, enter, bystander, begin, more):
    """CVE-2024-28182: a head without end."""
    peer = enter(frames(edge.address))
    octets = [raw(HEADERS, 1, literal(get("/")) + begin)] + [raw(CONTINUATION, 1, more)] * 2_000
    check_ended(edge, admin, peer, bystander, "continuation_flood", octets)


def test_a_header_bomb(edge, admin, enter, bystander):
    """RFC 7541 §7.3: 12 KiB on the wire stand for 32 MiB."""
    peer = enter(frames(edge.address))
    block = literal(get("/")) + MEMORY + REFERENCE * 8_000
    octets = raw(HEADERS, 1, block, flags=END_STREAM | END_HEADERS)
    check_ended(edge, admin, peer, bystander, "header_bomb", [octets] * 3)


def test_small_bombs_in_a_row(edge, enter, bystander):
    """Each within what is decoded: 431, and they cost what decoding them costs."""
    peer = enter(frames(edge.address))
    seconds, resident = edge.processor_seconds, edge.resident
    for n in range(200):
        block = literal(get("/")) + (REFERENCE * 200 if n else MEMORY + REFERENCE * 200)
        peer.send(raw(HEADERS, number_of(n), block, flags=END_STREAM | END_HEADERS))
        assert peer.answer(number_of(n)).status == 431
    bystander.check()
    assert edge.processor_seconds - seconds < SECONDS
    assert edge.resident - resident < GROWTH


# MARK: Clients that wait


def test_streams_that_are_opened_and_left(edge, enter, bystander):
    """Bodies that never come: 20 connections with 128 streams each cost what they hold."""
    resident = edge.resident
    peers = []
    for _ in range(20):
        peer = enter(frames(edge.address))
        for n in range(128):
            peer.send(peer.head(number_of(n), get("/digest", method="POST"), ends=False))
        assert peer.is_alive()
        peers.append(peer)
        bystander.check()
    assert (edge.resident - resident) / (20 * 128) < 40_000
    for peer in peers:
        peer.wire.reset()
    bystander.check()


def test_answers_that_are_never_read(edge, enter, backend, bystander):
    """Windows wide open, and a socket that nobody reads: the edge stops asking its servers."""
    resident = edge.resident
    for _ in range(5):
        peer = enter(frames(edge.address, first=settings((4, WIDEST))))
        peer.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        peer.send(window_update(WIDEST - 65_535))
        peer.send(*(peer.head(number_of(n), get("/bytes/1000000")) for n in range(60)))
        bystander.check()
    for _ in range(50):
        bystander.check()
    assert edge.resident - resident < 100 * MIB


@pytest.mark.timeout(120)
def test_answers_that_no_window_is_opened_for(enter):
    """They fill the budget: theirs goes then, not that of one who takes slowly, and not newcomers'."""
    backend = enter(MixedBackend())
    settings = configuration(
        backend.url, listeners=LISTENERS, route={"http": True, "heartbeat": "off"}, workers=1,
        limits={"queued": "8MiB"},
    )  # fmt: skip
    edge = enter(Edge(settings))
    slow = enter(tunnel(edge.address, receive_buffer=65_536))
    server = backend.take()
    is_over = threading.Event()

    def push():
        with suppress(OSError):
            while not is_over.is_set():
                server.send_frame(BINARY, bytes(60_000))

    def take():
        with suppress(OSError):
            while slow.socket.recv(20_000) and not is_over.wait(0.05):
                pass

    threads = [threading.Thread(target=each, daemon=True) for each in (push, take)]
    for each in threads:
        each.start()
    for _ in range(4):
        peer = enter(frames(edge.address, first=settings_frame((4, 0))))
        peer.send(*(peer.head(number_of(n), get("/bytes/1000000")) for n in range(128)))
    eventually(lambda: edge.records("request", reason="shed"), "some to be shed", 30)

    def is_served():
        with client(edge.address) as newcomer:
            return newcomer.ask("/bytes/10").status == 200

    eventually(is_served, "a newcomer to be served", 30)
    assert not edge.records("tunnel"), "one that takes something was cut off"
    is_over.set()


def test_acknowledgements_that_are_never_read(edge, enter, bystander):
    """A client that asks and asks without reading is not read, either."""
    resident = edge.resident
    peer = enter(frames(edge.address))
    peer.wire.socket.settimeout(1)
    with suppress(OSError):
        for n in range(100_000):
            peer.send(*(peer.head(number_of(n * 50 + k), get("/nothing")) for k in range(50)))
    bystander.check()
    assert edge.resident - resident < GROWTH


# MARK: Clients in use


def test_a_page_that_is_left_behind(edge, enter, bystander):
    """200 images are asked for and cancelled at once, and again a moment later."""
    connection = enter(client(edge.address))
    for _ in range(4):
        for _ in range(2):
            images = [connection.request("/held") for _ in range(100)]
            for image in images:
                image.reset()
        assert connection.ask("/bytes/100").body == content(100)
    assert not connection.goaways


def test_each_small_frame_is_acknowledged_twice(edge, backend, enter):
    """As Python's h2 does it: for the stream and for the connection."""
    connection = enter(client(edge.address))
    ends = Ends(edge, connection.tunnel(), backend.take())
    for number in range(5_000):
        ends.server.send_frame(TEXT, b"%d" % number)
        assert ends.client.read_frame() == (TEXT, b"%d" % number, True)
    connection.round_trip()
    assert not connection.goaways


def test_small_frames_at_once_that_are_acknowledged_late(edge, backend, enter):
    peer = enter(frames(edge.address))
    peer.connect(1)
    server = backend.take()
    for number in range(3_000):
        server.send_frame(TEXT, b"%04d" % number)
    count = total = 0
    while total < 6 * 3_000:
        each = peer.next(DataFrame)
        total, count = total + each.octet_count, count + 1
    peer.send(*([window_update(3), window_update(3, 1)] * count))
    assert peer.is_alive()


def test_pings_with_every_message(edge, backend, enter):
    """gRPC clients measure the path so."""
    connection = enter(client(edge.address))
    ends = Ends(edge, connection.tunnel(), backend.take())
    for number in range(1_000):
        ends.server.send_frame(TEXT, b"%d" % number)
        ends.client.read_frame()
        connection.h2.ping(b"measures")
        connection.flush()
    connection.round_trip()
    assert not connection.goaways


def test_reprioritising(edge, enter):
    """A browser of some years ago, scrolling."""
    peer = enter(frames(edge.address))
    for n in range(40):
        peer.send(*(raw(PRIORITY, number_of(k), b"\0\0\0\0\x10") for k in range(20)))
        peer.ask(number_of(n), "/bytes/10")
        assert peer.answer(number_of(n)).status == 200
    assert peer.is_alive()


def test_broken_requests_now_and_then(edge, enter):
    peer = enter(frames(edge.address))
    for n in range(50):
        peer.send(peer.head(number_of(n), get("/") + [("X-Upper", "x")]))
        assert peer.answer(number_of(n)) == 1
    assert peer.is_alive()


# MARK: Garbage


def junk(chance, peer):
    """A frame with a right header now and then, and anything in it."""
    kind = chance.choice([*range(10), 10, 16, chance.randrange(256)])
    number = chance.choice([0, 1, 1, 3, 5, 2, chance.randrange(1 << 31)])
    payload = chance.randbytes(chance.choice([0, 1, 4, 5, 6, 8, 8, 30, 300]))
    count = chance.choice([None] * 30 + [0, 1 << 14, (1 << 24) - 1])
    if kind == HEADERS and chance.random() < 0.7:
        return peer.head(chance.randrange(1, 99, 2), get("/bytes/10"), ends=chance.random() < 0.5)
    return raw(kind, number, payload, flags=chance.choice([0, 0, 1, 4, 5, 8, 32, 255]), count=count)


@pytest.mark.parametrize("seed", range(4))
def test_garbage(edge, enter, bystander, seed):
    """Whatever comes, others are not touched, and the edge lives."""
    chance = random.Random(seed)
    for _ in range(100):
        with frames(edge.address) as peer, suppress(OSError):
            for _ in range(chance.randrange(1, 40)):
                peer.send(junk(chance, peer))
        bystander.check()
