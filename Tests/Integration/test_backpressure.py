"""A peer that takes nothing stops its sender; the edge keeps a bounded amount for it."""

import hashlib
import threading

import pytest

from harness.authority import pair
from harness.backends import NginxBackend, ScriptedBackend, switching
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import BINARY, CLOSE, frame, tunnel

TUNNELS = 16
MIB = 1 << 20
# What all the stalled tunnels together may cost the process: 1 MiB each.
GROWTH = TUNNELS * MIB
SMALL = 64 * 1024
PAYLOAD = bytes(range(256)) * 256


class Flood:
    """A thread that sends frames until it is told to stop, then a close frame."""

    def __init__(self, wire, *, masked):
        self.wire, self.masked = wire, masked
        self.count = 0
        self.stop = threading.Event()
        self.digest = hashlib.sha256()
        self.failure = None
        wire.socket.settimeout(60)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stop.is_set():
                self.wire.send(frame(BINARY, PAYLOAD, masked=self.masked))
                self.digest.update(PAYLOAD)
                self.count += 1
            self.wire.send(frame(CLOSE, masked=self.masked))
        except OSError as failure:
            self.failure = failure


def drain(wire):
    """The digest of all payloads up to a close frame."""
    digest = hashlib.sha256()
    wire.socket.settimeout(60)
    while True:
        opcode, payload, _ = wire.read_frame()
        if opcode == CLOSE:
            return digest.hexdigest()
        digest.update(payload)


def wait_until_stuck(floods):
    """Returns when none of the floods has moved for a second: a window, not a wait for luck."""
    counts = []

    def is_still():
        nonlocal counts
        before, counts = counts, [flood.count for flood in floods]
        threading.Event().wait(1)
        return before == [flood.count for flood in floods] and all(counts)

    eventually(is_still, "the senders to be stopped", timeout=60)


@pytest.fixture(params=["plain", "TLS to the client", "TLS to the backend"])
def sides(request, enter, authority, localhost):
    """`sides(script)` is an edge before a scripted backend, and how to open a tunnel to it."""

    def start(script):
        backend = enter(ScriptedBackend(script, receive_buffer=SMALL))
        server, upstream, listeners, tls = backend.url, None, None, None
        if request.param == "TLS to the client":
            tls = authority.client_context()
            listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
        if request.param == "TLS to the backend":
            nginx = enter(NginxBackend(backend.address, localhost))
            server, upstream = f"wss://localhost:{nginx.port}", {"tls": {"ca": authority.ca}}
        edge = enter(Edge(configuration(server, upstream=upstream, listeners=listeners)))

        def open_tunnel(target="/"):
            return tunnel(edge.address, target, tls=tls, receive_buffer=SMALL)

        return edge, open_tunnel

    return start


def test_a_backend_that_never_reads(sides):
    go = threading.Event()
    digests = []

    def script(wire):
        wire.send(switching(wire.request))
        assert go.wait(60)
        digests.append(drain(wire))
        wire.send(frame(CLOSE))

    edge, open_tunnel = sides(script)
    wires = [open_tunnel() for _ in range(TUNNELS)]
    before = edge.resident
    floods = [Flood(wire, masked=True) for wire in wires]
    wait_until_stuck(floods)
    growth = edge.resident - before
    assert growth < GROWTH, f"{growth / MIB:.1f} MiB for {TUNNELS} stalled tunnels"
    for flood in floods:
        flood.stop.set()
    go.set()
    for flood in floods:
        flood.thread.join(60)
        assert flood.failure is None
    eventually(lambda: len(digests) == TUNNELS, "the backends to read everything", 60)
    assert sorted(digests) == sorted(flood.digest.hexdigest() for flood in floods)
    for wire in wires:
        wire.close()


def test_a_client_that_never_reads(sides):
    floods = []

    def script(wire):
        wire.send(switching(wire.request))
        flood = Flood(wire, masked=False)
        floods.append(flood)
        flood.thread.join()
        wire.read_to_end()

    edge, open_tunnel = sides(script)
    wires = [open_tunnel() for _ in range(TUNNELS)]
    before = edge.resident
    eventually(lambda: len(floods) == TUNNELS, "the backends to begin")
    wait_until_stuck(floods)
    growth = edge.resident - before
    assert growth < GROWTH, f"{growth / MIB:.1f} MiB for {TUNNELS} stalled tunnels"
    for flood in floods:
        flood.stop.set()
    digests = [drain(wire) for wire in wires]
    for flood in floods:
        flood.thread.join(60)
        assert flood.failure is None
    assert sorted(digests) == sorted(flood.digest.hexdigest() for flood in floods)
    for wire in wires:
        wire.close()


def test_a_stalled_tunnel_holds_up_no_other(sides):
    go = threading.Event()

    def script(wire):
        wire.send(switching(wire.request))
        if wire.request.target == "/stalled":
            go.wait(60)
            return
        while True:
            opcode, payload, _ = wire.read_frame()
            wire.send(frame(opcode, payload))

    edge, open_tunnel = sides(script)
    stalled = open_tunnel("/stalled")
    flood = Flood(stalled, masked=True)
    wait_until_stuck([flood])
    others = [open_tunnel() for _ in range(4)]
    for wire in others:
        assert wire.echoes(b"x" * 200_000)
        wire.close()
    go.set()
    flood.stop.set()
    stalled.close()
