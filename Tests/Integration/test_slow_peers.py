"""Peers that take nothing: closed in time, bounded in memory, and no trouble to the others."""

import socket
import threading
import time
from contextlib import suppress

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend, echo, switching
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.ends import SIDES
from harness.refusals import check_refusal, check_retry_after
from harness.wire import BINARY, CLOSE, TEXT, connect, frame, tunnel, upgrade_head

MIB = 1 << 20
SMALL = 64 * 1024
PATIENCE, SLACK = 5.0, 5.0
FLOOD = frame(BINARY, bytes(60_000))
MASKED_FLOOD = frame(BINARY, bytes(60_000), masked=True)
# What a tunnel may cost beside what is queued in it.
OCTETS_PER_TUNNEL = 16 * 1024


def flood(wire):
    """A thread that sends until nobody takes it any more."""
    octets = MASKED_FLOOD if wire.is_client else FLOOD

    def run():
        wire.socket.settimeout(60)
        with suppress(OSError):
            while True:
                wire.send(octets)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


# MARK: stall_timeout


@pytest.fixture
def stalling(tunnels):
    """`stalling(**settings)` is a tunnel whose peers are given a second to take something."""

    def start(seconds=1, *, tls=None, **settings):
        route = {"stall_timeout": f"{seconds}s", "heartbeat": "off"}
        held = tunnels(route=route, receive_buffer=SMALL, **settings)
        return held.open(receive_buffer=SMALL, tls=tls)

    return start


@pytest.mark.parametrize("deaf", SIDES)
def test_a_peer_that_never_reads(stalling, deaf):
    """The other one is told to try again later, soon after the timeout."""
    ends = stalling()
    talker = ends.across(deaf)
    begin = time.monotonic()
    thread = flood(talker)
    close = talker.read_close()
    took = time.monotonic() - begin
    assert close.code == 1013 and close.reason
    assert 0.9 < took < 1 + SLACK
    record = ends.record()
    assert (record["reason"], record["closed_by"]) == ("stall", "edge")
    assert record["close_code"] in (1013, 1008)
    # Nobody waits for a peer that takes nothing.
    assert time.monotonic() - begin < 1 + PATIENCE + SLACK
    ends.close()
    thread.join(10)


def test_a_client_that_never_reads_under_tls(stalling, authority, localhost):
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    ends = stalling(tls=authority.client_context(), listeners=listeners)
    thread = flood(ends.server)
    assert ends.server.read_close().code == 1013
    ends.check_record(reason="stall", closed_by="edge", close_code=(1013, 1008))
    ends.close()
    thread.join(10)


def test_a_client_that_reads_again_after_its_end(stalling):
    """It gets what its kernel holds, and whole frames or the end of the connection behind it."""
    ends = stalling()
    thread = flood(ends.server)
    assert ends.server.read_close().code == 1013
    ends.record()
    frames, code = 0, None
    with suppress(EOFError, ConnectionError):
        while code is None:
            each = ends.client.read_whole_frame()
            if each.opcode == CLOSE:
                code = each.code
            else:
                assert each.payload == bytes(60_000)
                frames += 1
    assert frames and code in (None, 1008)
    ends.close()
    thread.join(10)


def test_both_never_read(stalling):
    ends = stalling()
    threads = [flood(ends[side]) for side in SIDES]
    ends.check_record(reason="stall", closed_by="edge")
    ends.close()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize("slow", SIDES)
def test_a_slow_reader_is_no_dead_one(stalling, slow):
    """400,000 octets a second, for longer than the timeout: it lives."""
    ends = stalling(seconds=2)
    thread = flood(ends.across(slow))
    pace = threading.Event()
    for _ in range(50):
        ends[slow].read_exactly(40_000)
        pace.wait(0.1)
    ends.check_record_is_missing()
    ends.close()
    thread.join(10)


def test_silence_is_no_stall(tunnels):
    """Nobody is slow where nothing waits."""
    route = {"stall_timeout": "1s", "idle_timeout": "3s", "heartbeat": "off"}
    ends = tunnels(route=route).open()
    ends.check_passes()
    ends.check_closed(client=1001, server=1001, reason="idle_timeout")


def test_a_peer_may_be_deaf_for_less_than_the_timeout(stalling):
    """And then everything is there, in order."""
    ends = stalling(seconds=4)
    sent = b"".join(frame(BINARY, b"%06d" % n + bytes(50_000)) for n in range(100))
    thread = threading.Thread(target=ends.server.send, args=(sent,), daemon=True)
    thread.start()
    threading.Event().wait(2)
    assert ends.client.read_exactly(len(sent)) == sent
    thread.join(10)
    ends.check_passes()


# MARK: limits.queued


class Streams:
    """A backend that streams, except at /echo; it notes how it is told to end.

    Where the target begins with /told it waits for a frame before it does so.
    """

    def __init__(self):
        self.closes, self.lock = [], threading.Lock()

    def __call__(self, wire):
        # Little in the kernel, much in the edge.
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        if wire.request.target == "/echo":
            return echo(wire)
        wire.send(switching(wire.request))
        wire.socket.settimeout(120)
        if wire.request.target.startswith("/told"):
            wire.read_frame()
        thread = flood(wire)
        try:
            close = wire.read_close()
            with self.lock:
                self.closes.append(close.code)
        finally:
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.fixture
def crowded(enter, tmp_path):
    """`crowded(queued)` is an edge with one worker and this budget; the second listener is TCP.

    The first is a unix socket, since its kernel holds little and a known amount.
    """

    def start(queued):
        streams = Streams()
        backend = enter(ScriptedBackend(streams))
        listeners = [{"address": f"unix:{tmp_path / 'edge.sock'}"}, {"address": "127.0.0.1:0"}]
        route = {"heartbeat": "off", "stall_timeout": "120s"}
        limits = {"queued": queued}
        edge = enter(Edge(configuration(
            backend.url, listeners=listeners, workers=1, limits=limits, route=route
        )))  # fmt: skip
        edge.streams = streams
        return edge

    return start


class Fast:
    """A client that echoes all the time, and the longest that it has waited."""

    def __init__(self, address):
        self.wire = tunnel(address, "/echo")
        self.worst, self.count, self.failure = 0.0, 0, None
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.is_over.wait(0.02):
                begin = time.monotonic()
                assert self.wire.echoes(bytes(1_000))
                self.worst = max(self.worst, time.monotonic() - begin)
                self.count += 1
        except BaseException as failure:
            self.failure = failure

    def check(self):
        self.is_over.set()
        self.thread.join(20)
        self.wire.close()
        assert self.failure is None, f"a fast client suffered: {self.failure!r}"
        assert self.count > 10 and self.worst < 3, f"{self.count} echoes, {self.worst:.1f} s"


def open_deaf(enter, edge, count, target="/deaf"):
    """So many clients that never read: the wires of those admitted, and the refusals."""
    wires, refusals = [], []
    for _ in range(count):
        wire = enter(connect(edge.addresses[0]))
        wire.send(upgrade_head(target))
        head = wire.socket.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL)
        if head.endswith(b"101"):
            wires.append(wire)
        else:
            refusals.append(wire.read_response())
            wire.close()
    return wires, refusals


MANY, BUDGET = 300, 4 * MIB


@pytest.mark.timeout(240)
def test_the_budget_is_kept(enter, crowded):
    """Hundreds of clients that never read. Without a budget they took 38 MiB."""
    edge = crowded("4MiB")
    fast = [Fast(edge.addresses[1]) for _ in range(3)]
    edge.forget_peak()
    before = edge.resident
    wires, refusals = open_deaf(enter, edge, MANY, "/told")
    assert not refusals
    for wire in wires:
        wire.send_frame(TEXT, b"now")
    # What they would take in all is ten times the budget.
    eventually(lambda: len(edge.records("tunnel", reason="shed")) > MANY / 2, "half to be shed", 60)
    eventually(lambda: min(each.count for each in fast) > 10, "fast clients to have had time")
    for each in fast:
        each.check()
    grown = edge.peak_resident - before
    # What is queued may be over the budget by what comes in a turn, and chunks are not all full.
    allowed = 2 * BUDGET + MANY * OCTETS_PER_TUNNEL
    assert grown < allowed, f"{grown / MIB:.1f} MiB, of {allowed / MIB:.1f}"
    shed = edge.records("tunnel", reason="shed")
    assert all(record["closed_by"] == "edge" for record in shed)
    assert all(record["close_code"] in (1013, 1006) for record in shed)
    eventually(lambda: edge.streams.closes, "a server to be told")
    assert set(edge.streams.closes) == {1013}


@pytest.mark.timeout(240)
def test_upgrades_are_refused_over_the_budget(enter, crowded):
    """503 while there is room for those alone that are here, 101 when there is room again."""
    edge = crowded("1MiB")
    admitted, refusals = [], []

    def is_refused():
        wires, refused = open_deaf(enter, edge, 1)
        admitted.extend(wires)
        refusals.extend(refused)
        return refusals

    eventually(is_refused, "an upgrade to be refused", 60)
    for refusal in refusals:
        check_refusal(refusal, 503)
        check_retry_after(refusal)
    for wire in admitted:
        wire.close()

    def is_admitted():
        with connect(edge.addresses[1]) as wire:
            return wire.upgrade("/echo").status == 101 and wire.echoes()

    eventually(is_admitted, "upgrades to be admitted again", 30)


@pytest.mark.timeout(240)
def test_who_has_waited_longest_goes_first(enter, crowded):
    edge = crowded("2MiB")
    later, _ = open_deaf(enter, edge, 40, "/told/later")
    first, refusals = open_deaf(enter, edge, 8, "/first")
    assert (len(later), len(first), refusals) == (40, 8, [])
    # Their kernels are full, and their queues: the server has nobody to send to.
    threading.Event().wait(2)
    assert not edge.records("tunnel"), "eight are too many for the budget already"

    # One after the other, so that the budget is exceeded by little at a time.
    pace = threading.Event()
    while later and not edge.records("tunnel", reason="shed"):
        later.pop().send_frame(TEXT, b"now")
        pace.wait(0.1)
    # A record comes when the server has answered, so that their order says nothing.
    targets = [each["target"] for each in edge.records("tunnel", reason="shed")]
    if "/told/later" in targets:
        eventually(
            lambda: len(edge.records("tunnel", reason="shed", target="/first")) == len(first),
            "all of the first to be shed, since one of the later was",
        )


def test_a_budget_that_is_not_reached(enter, crowded):
    """Ten that never read are no reason to refuse anybody."""
    edge = crowded("16MiB")
    wires, refusals = open_deaf(enter, edge, 10)
    assert len(wires) == 10 and not refusals
    fast = Fast(edge.addresses[1])
    threading.Event().wait(2)
    fast.check()
    assert not edge.records("tunnel", reason="shed")
    with tunnel(edge.addresses[1], "/echo") as wire:
        wire.send_frame(TEXT, b"admitted")
        assert wire.read_frame()[1] == b"admitted"
