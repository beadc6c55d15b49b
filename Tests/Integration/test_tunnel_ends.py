"""How tunnels end: half-close, idle, dead peers; and what the record says about it."""

import threading

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend, switching
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import BINARY, CLOSE, TEXT, frame, tunnel


@pytest.fixture
def through(enter):
    def start(script, **settings):
        backend = enter(ScriptedBackend(script))
        edge = enter(Edge(configuration(backend.url, **settings)))
        edge.backend = backend
        return edge

    return start


def test_the_client_closes_its_sending_side_first(through):
    def script(wire):
        wire.send(switching(wire.request))
        received = wire.read_to_end()
        wire.send(frame(BINARY, b"%d" % len(received)) + frame(BINARY, b"z" * 500_000))

    edge = through(script)
    with tunnel(edge.address) as wire:
        sent = frame(TEXT, b"all I have to say", masked=True)
        wire.send(sent)
        wire.shutdown_write()
        assert wire.read_frame()[1] == b"%d" % len(sent)
        assert wire.read_frame()[1] == b"z" * 500_000
        # It listens still, and may be told that the server ended without a close frame.
        assert wire.finish() in (None, 1012)
    assert edge.wait_for("tunnel")["closed_by"] == "downstream"


def test_the_backend_closes_its_sending_side_first(through):
    """After its close frame it reads on until the client's has come (RFC 6455 §7.1.1)."""
    received = []

    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"all I have to say") + frame(CLOSE))
        wire.shutdown_write()
        received.append(wire.read_to_end())

    edge = through(script)
    with tunnel(edge.address) as wire:
        assert wire.read_frame()[1] == b"all I have to say"
        assert wire.read_frame() == (CLOSE, b"", True)
        sent = frame(BINARY, b"z" * 500_000, masked=True) + frame(CLOSE, masked=True)
        wire.send(sent)
        assert wire.read_to_end() == b""
    eventually(lambda: received == [sent], "the backend to get everything")
    assert edge.wait_for("tunnel")["closed_by"] == "upstream"


def test_the_backend_closes_its_sending_side_first_under_tls(enter, authority, localhost):
    """close_notify is the end of one direction (RFC 8446 §6.1)."""
    received = []

    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"last") + frame(CLOSE))
        wire.shutdown_write()
        received.append(wire.read_to_end())

    backend = enter(ScriptedBackend(script))
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    edge = enter(Edge(configuration(backend.url, listeners=listeners)))
    context = authority.client_context()
    wire = enter(tunnel(edge.address, tls=context))
    assert wire.read_frame()[1] == b"last"
    assert wire.read_frame() == (CLOSE, b"", True)
    sent = frame(BINARY, b"z" * 100_000, masked=True) + frame(CLOSE, masked=True)
    wire.send(sent)
    assert wire.socket.recv(1) == b"", "no close_notify came"
    wire.close()
    eventually(lambda: received == [sent], "the backend to get everything")


def test_a_tls_stream_that_is_cut(enter, authority, localhost):
    """Python's close sends no close_notify: the tunnel ends all the same, and is recorded."""
    backend = enter(ScriptedBackend())
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    edge = enter(Edge(configuration(backend.url, listeners=listeners)))
    tunnel(edge.address, tls=authority.client_context()).close()
    assert edge.wait_for("tunnel")["closed_by"] == "downstream"


def test_the_record_of_a_tunnel(through):
    def script(wire):
        wire.send(switching(wire.request))
        wire.read_frame()
        wire.send(frame(TEXT, b"four"))
        wire.read_to_end()

    edge = through(script)
    with tunnel(edge.address, "/room?x=1", host="chat.example.com") as wire:
        sent = frame(TEXT, b"fourteen", masked=True)
        wire.send(sent)
        received = wire.read_exactly(len(frame(TEXT, b"four")))
    record = edge.wait_for("tunnel")
    assert record["route"] == "chat"
    assert record["client"] == "127.0.0.1"
    assert edge.backend.address in record["upstream"]
    assert record["method"] == "GET"
    assert record["target"] == "/room?x=1"
    assert record["host"] == "chat.example.com"
    assert int(record["status"]) == 101
    assert int(record["octets_in"]) == len(sent)
    assert int(record["octets_out"]) == len(received)
    assert float(record["duration_ms"]) >= 0
    assert record["closed_by"] == "downstream"
    assert record["request_id"] and record["reason"]


def test_early_octets_are_counted(through):
    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"early"))
        wire.read_frame()
        wire.send(frame(CLOSE))
        wire.read_frame()

    edge = through(script)
    early, end = frame(TEXT, b"earlier", masked=True), frame(CLOSE, masked=True)
    with tunnel(edge.address) as wire:
        wire.send(early)
        assert wire.read_exactly(9) == frame(TEXT, b"early") + frame(CLOSE)
        wire.send(end)
        assert wire.read_to_end() == b""
    record = edge.wait_for("tunnel")
    assert int(record["octets_in"]) == len(early + end)
    assert int(record["octets_out"]) == len(frame(TEXT, b"early") + frame(CLOSE))


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_backend_that_dies(through, ending):
    def script(wire):
        wire.send(switching(wire.request))
        wire.read_frame()
        getattr(wire, ending)()

    edge = through(script)
    with tunnel(edge.address) as wire:
        wire.send(frame(TEXT, b"die", masked=True))
        wire.finish()
    assert edge.wait_for("tunnel")["closed_by"] == "upstream"


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_client_that_dies(through, ending):
    ends = []

    def script(wire):
        wire.send(switching(wire.request))
        wire.read_to_end()
        ends.append(True)

    edge = through(script)
    wire = tunnel(edge.address)
    getattr(wire, ending)()
    eventually(lambda: ends, "the backend's connection to end")
    assert edge.wait_for("tunnel")["closed_by"] == "downstream"


def test_idle_timeout(through):
    ends = []

    def script(wire):
        wire.send(switching(wire.request))
        wire.finish()
        ends.append(True)

    edge = through(script, route={"idle_timeout": "1s"})
    with tunnel(edge.address) as wire:
        wire.finish()
    eventually(lambda: ends, "the backend's connection to end")
    record = edge.wait_for("tunnel")
    assert record["closed_by"] == "edge"
    assert "idle" in record["reason"].lower()
    assert 900 <= float(record["duration_ms"]) <= 3_000


@pytest.mark.parametrize("direction", ["from the client", "from the backend"])
def test_octets_in_either_direction_keep_a_tunnel(through, direction):
    """Eight frames over twice the timeout."""
    pause = threading.Event()

    def script(wire):
        wire.send(switching(wire.request))
        for _ in range(8):
            if direction == "from the backend":
                pause.wait(0.25)
                wire.send(frame(TEXT, b"tick"))
            else:
                wire.read_frame()
        wire.send(frame(CLOSE))

    edge = through(script, route={"idle_timeout": "1s"})
    with tunnel(edge.address) as wire:
        for _ in range(8):
            if direction == "from the client":
                pause.wait(0.25)
                wire.send(frame(TEXT, b"tick", masked=True))
            else:
                assert wire.read_frame()[1] == b"tick"
        assert wire.read_frame()[0] == CLOSE


def test_nothing_is_left_behind(through):
    """Descriptors are those of before, however the tunnels ended."""

    def script(wire):
        wire.send(switching(wire.request))
        if wire.request.target == "/dies":
            return wire.reset()
        wire.read_to_end()

    edge = through(script)
    tunnel(edge.address).close()
    edge.wait_for("tunnel")
    before = edge.descriptor_count
    for _ in range(20):
        tunnel(edge.address).close()
        tunnel(edge.address).reset()
        with tunnel(edge.address, "/dies") as wire:
            wire.finish()
    edge.wait_for("tunnel", count=61)
    eventually(lambda: edge.descriptor_count <= before, "the descriptors to be closed")
