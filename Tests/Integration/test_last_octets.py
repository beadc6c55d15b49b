"""What is owed at an end is paid: to slow readers, to clients in mid-handshake, at a failed start."""

import ssl
import threading
from contextlib import suppress

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend, switching
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import (
    BINARY, CLOSE, Response, close_payload, connect, frame, frame_of, is_refused, tunnel,
    upgrade_head,
)  # fmt: skip

# Around what a unix socket and the edge's queue hold together: some of it waits in the edge when
# the server has ended.
SIZES = (200_000, 230_000, 260_000, 290_000)
LAST = frame(CLOSE, close_payload(1000))
# Twenty thousand octets a second, for longer than a silent half-closed tunnel may live (5 s) and
# for fewer octets than make a full unix socket writable again.
STEP, PAUSE, STEPS = 2_048, 0.1, 65


def as_a_tunnel(wire):
    wire.send(switching(wire.request) + frame_of(int(wire.request.target[1:])) + LAST)
    wire.shutdown_write()
    wire.read_to_end()


def as_an_answer(wire):
    """All of it, and the end right behind."""
    length = int(wire.request.target[1:])
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    wire.send(head.encode() + bytes(length))


def read_head_alone(wire):
    """A head, and not one octet of what is behind it."""
    octets = b""
    while not octets.endswith(b"\r\n\r\n"):
        octets += wire.read_exactly(1)
    return Response(octets)


@pytest.mark.parametrize(("script", "status"), [(as_a_tunnel, 101), (as_an_answer, 200)])
def test_a_slow_reader_gets_all_of_what_was_sent_before_the_end(enter, tmp_path, script, status):
    """All sizes are read side by side; STEPS times PAUSE is what the test takes."""
    backend = enter(ScriptedBackend(script))
    listeners = [{"address": f"unix:{tmp_path / 'edge.sock'}"}]
    edge = enter(Edge(configuration(backend.url, listeners=listeners, workers=1)))
    wires = {size: enter(connect(edge.address)) for size in SIZES}
    for size, wire in wires.items():
        wire.send(upgrade_head(f"/{size}"))
        assert read_head_alone(wire).status == status
        if status != 101:
            wire.shutdown_write()
    pace = threading.Event()
    for _ in range(STEPS):
        pace.wait(PAUSE)
        for wire in wires.values():
            wire.read_exactly(STEP)
    for size, wire in wires.items():
        wire.read_exactly(size - STEPS * STEP)
        if status == 101:
            assert wire.read_close().code == 1000
            # It came late: the edge may have gone by now.
            with suppress(OSError):
                wire.send_close(1000)
        assert wire.read_to_end() == b""


def test_the_server_of_a_client_that_is_gone_is_let_go(enter):
    ended = threading.Event()

    def stream(wire):
        wire.send(switching(wire.request))
        with suppress(OSError):
            while True:
                wire.send(frame(BINARY, bytes(65_535)))
        ended.set()

    edge = enter(Edge(configuration(enter(ScriptedBackend(stream)).url)))
    tunnel(edge.address).reset()
    assert ended.wait(3), "the server goes on sending for nobody"
    assert int(edge.wait_for("tunnel")["octets_out"]) < 50_000_000


def test_a_client_in_mid_handshake_when_the_edge_stops(enter, authority, localhost):
    """It gets 503 or a clean end, and holds nothing up."""
    backend = enter(ScriptedBackend())
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    settings = configuration(backend.url, listeners=listeners, shutdown_grace="60s")
    edge = enter(Edge(settings))
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = authority.client_context()
    tls = context.wrap_bio(inbound, outbound, server_hostname="localhost")
    wire = enter(connect(edge.address))

    def receive():
        octets = wire.socket.recv(65_536)
        if not octets:
            raise EOFError("the edge ended it")
        inbound.write(octets)

    def until_done(step):
        while True:
            try:
                made = step()
                wire.send(outbound.read())
                return made
            except ssl.SSLWantReadError:
                wire.send(outbound.read())
                receive()

    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    wire.send(outbound.read())
    # The edge's half of the handshake has come: ours is missing.
    receive()
    edge.signal()
    # Each worker closes its listener when the order reaches it.
    eventually(lambda: is_refused(edge.address), "all workers to drain")
    # A reset is none of these, and fails the test.
    with suppress(EOFError, ssl.SSLZeroReturnError):
        until_done(tls.do_handshake)
        until_done(lambda: tls.write(upgrade_head()))
        answer = until_done(lambda: tls.read(65_536))
        assert answer.startswith(b"HTTP/1.1 503 "), answer
    wire.close()
    assert edge.wait_for_exit(5) == 0


@pytest.mark.parametrize("descriptors", [7, 9, 12])
def test_a_start_without_enough_descriptors(descriptors):
    """Four workers need more: one line says so, and nothing half-alive is left."""
    settings = configuration("ws://127.0.0.1:9", workers=4)
    with Edge(settings, descriptors=descriptors, awaits_ready=False) as edge:
        # A process that a signal ended has a negative status here.
        assert edge.wait_for_exit() > 0
    assert len(edge.lines) == 1, edge.text
    assert edge.lines[0].startswith("sluice: ")
