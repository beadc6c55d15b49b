"""What one connection leaves behind is nothing to the next: octets, time, the order of ends."""

import signal
import socket
import ssl
import threading
from contextlib import suppress

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend, switching
from harness.conditions import Frozen, eventually
from harness.edge import Edge, configuration, sluice
from harness.refusals import check_refusal
from harness.wire import (
    BINARY, CLOSE, Request, Wire, close_payload, connect, frame, tunnel, upgrade_head,
)  # fmt: skip

FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: forged=1\r\n\r\nhello"


@pytest.fixture
def slow_listener(enter):
    """A listener whose queue is full, and what fills it: connects complete when that goes."""
    listener = enter(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = enter(socket.socket())
        filler.setblocking(False)
        with suppress(BlockingIOError):
            filler.connect(listener.getsockname())
        fillers.append(filler)
    return listener, fillers


def first_request(listener):
    """The first connection that asks for anything, the fillers' being empty."""
    listener.settimeout(10)
    while True:
        wire = Wire(listener.accept()[0])
        try:
            wire.request = wire.read_request()
            return wire
        except (EOFError, ConnectionError):
            wire.close()


def test_octets_of_a_refused_client_answer_nobody_else(enter, slow_listener):
    listener, fillers = slow_listener
    url = "ws://127.0.0.1:%d" % listener.getsockname()[1]
    upstream = {"connect_timeout": "20s", "retries": 0}
    edge = enter(Edge(configuration(url, upstream=upstream, workers=1)))
    idle = edge.descriptor_count
    victim = enter(connect(edge.address))
    victim.send(upgrade_head())
    eventually(lambda: edge.descriptor_count == idle + 2, "the attempt to connect")
    # It stays, lest its end be read into the same memory.
    attacker = enter(connect(edge.address))
    attacker.send(FORGED)
    check_refusal(attacker.read_response(), 400)
    for filler in fillers:
        filler.close()
    with first_request(listener) as backend:
        backend.send(switching(backend.request))
        response = victim.read_response()
    assert response.status == 101 and "Set-Cookie" not in response, response.octets


def test_interim_answers_without_end_hold_up_nobody(enter):
    def flood(wire):
        while True:
            wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    calm, flooding = enter(ScriptedBackend()), enter(ScriptedBackend(flood))
    settings = configuration(calm.url, workers=1)
    settings["routes"].insert(
        0, settings["routes"][0] | {"name": "flood", "match": {"path": "/flood"}, "upstream": "f"}
    )
    settings["upstreams"].append({"name": "f", "servers": [flooding.url], "retries": 0})
    edge = enter(Edge(settings))
    with tunnel(edge.address) as steady, connect(edge.address) as wire:
        check_refusal(wire.upgrade("/flood"), 502)
        assert steady.echoes()


def test_a_stream_for_a_client_that_is_gone_is_cut(enter):
    """The server neither reads nor heeds that nobody listens any more."""

    def stream(wire):
        wire.send(switching(wire.request))
        while True:
            wire.send(frame(BINARY, bytes(65_535)))

    edge = enter(Edge(configuration(enter(ScriptedBackend(stream)).url)))
    wire = tunnel(edge.address)
    wire.reset()
    record = edge.wait_for("tunnel", timeout=20)
    assert record["octets_out"] < 50_000_000


def test_who_waits_when_the_edge_stops_is_answered(enter):
    edge = enter(Edge(configuration(enter(ScriptedBackend()).url)))
    with Frozen(edge):
        wires = [enter(connect(edge.address)) for _ in range(150)]
        for wire in wires:
            wire.send(upgrade_head())
        edge.signal()
    for wire in wires:
        # A worker may have admitted some before it heard of the end; nobody is reset.
        response = wire.read_response()
        if response.status != 101:
            check_refusal(response, 503)
            assert response.json["error"] == "draining"
        wire.close()
    assert edge.wait_for_exit() == 0


class EndingTLSBackend:
    """Answers in one segment with part of its answer, close_notify and the end of its stream."""

    def __init__(self, issued, length=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*issued)
        self.length = length
        self.asked, self.may_answer = threading.Event(), threading.Event()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.url = "wss://127.0.0.1:%d" % self.listener.getsockname()[1]

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.may_answer.set()
        self.listener.close()
        self.thread.join(10)

    def serve(self):
        with suppress(OSError), self.listener.accept()[0] as sock:
            sock.settimeout(10)
            inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
            stream = self.context.wrap_bio(inbound, outbound, server_side=True)

            def step(call):
                while True:
                    try:
                        result = call()
                        sock.sendall(outbound.read())
                        return result
                    except ssl.SSLWantReadError:
                        sock.sendall(outbound.read())
                        inbound.write(sock.recv(65536))

            step(stream.do_handshake)
            request = Request(step(lambda: stream.read(65536)))
            self.asked.set()
            self.may_answer.wait(10)
            last = frame(CLOSE, close_payload(1000))
            stream.write((switching(request) + last)[: self.length])
            with suppress(ssl.SSLError):
                stream.unwrap()
            sock.sendall(outbound.read())
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass


def ask_of(backend, edge, wire):
    """Sends an upgrade and lets the backend's whole answer arrive while the edge is frozen."""
    wire.send(upgrade_head())
    assert backend.asked.wait(10)
    with Frozen(edge):
        backend.may_answer.set()
        # The answer is there when the backend waits for the edge's end, which cannot come yet.
        eventually(lambda: backend.listener.fileno() >= 0 and arrived(backend), "the answer")


def arrived(backend):
    """Whether the kernel has the end of the backend's stream: its socket is in FIN_WAIT."""
    port = "%04X" % int(backend.url.rpartition(":")[2])
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return any(row[1].endswith(":" + port) and row[3] in ("04", "05") for row in rows)


@pytest.mark.parametrize("length", [None, 40], ids=["all of the answer", "a part of it"])
def test_a_tls_backend_that_answers_and_ends_at_once(enter, authority, length):
    issued = authority.issue("backend.internal")
    backend = enter(EndingTLSBackend(issued, length))
    tls = {"ca": authority.ca, "server_name": "backend.internal"}
    edge = enter(Edge(configuration(backend.url, upstream={"tls": tls, "retries": 0})))
    with connect(edge.address) as wire:
        ask_of(backend, edge, wire)
        response = wire.read_response()
        assert response.status == (502 if length else 101)
        if response.status == 101:
            assert wire.read_close().code == 1000
            wire.send_close(1000)
        assert wire.read_to_end() == b""


def test_a_tls_client_that_asks_and_ends_at_once(enter, authority, localhost):
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, listeners=listeners)))
    idle = edge.descriptor_count
    wire = connect(edge.address, tls=authority.client_context())
    with Frozen(edge):
        wire.send(upgrade_head())
        with suppress(ssl.SSLError, OSError):
            wire.socket.settimeout(0)
            wire.socket.unwrap()
        socket.socket.shutdown(wire.socket, socket.SHUT_WR)
    eventually(lambda: edge.descriptor_count == idle, "the edge to let go of it")
    wire.close()


def test_a_second_process_on_the_same_port(enter, tmp_path):
    first = enter(Edge(configuration("ws://127.0.0.1:9")))
    second = tmp_path / "sluice.yaml"
    second.write_text(first.file.read_text().replace("127.0.0.1:0", first.address))
    made = sluice("run", "--config", str(second))
    assert made.returncode == 1
    assert first.address in made.stderr and "in use" in made.stderr


def test_two_signals_at_once_are_one(enter):
    """Two of a kind are one to the kernel already; these two are not."""
    edge = enter(Edge(configuration(enter(ScriptedBackend()).url, shutdown_grace="60s")))
    wires = [enter(tunnel(edge.address)) for _ in range(12)]
    with Frozen(edge):
        edge.signal()
        edge.signal(signal.SIGINT)
    edge.wait_for("draining")
    # The closes are spread over the minute: most have not been told yet.
    assert sum(wire.is_open() for wire in wires) > 6
    for wire in wires:
        wire.close()
    assert edge.wait_for_exit() == 0
