"""HTTP/2 connections at the end: idleness, a drain, a new process, a reload, dead clients."""

import time
from contextlib import suppress

import pytest
from hpack import Encoder
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame

from harness.backends import free_port
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.ends import Ends
from harness.http2 import LISTENERS, Client, ErrorCodes, client
from harness.http2_backend import MixedBackend, content
from harness.http2_frames import (
    ACK, END_HEADERS, HEADERS, PING, PREFACE, Frames, data, frames, get, raw, reset, window_update,
)  # fmt: skip
from harness.http2_frames import settings as setting_frame
from harness.wire import BINARY, connect

NOTICE = (1 << 31) - 1
TUNNELS = 12


@pytest.fixture
def backend(enter):
    return enter(MixedBackend())


@pytest.fixture
def start(enter, backend):
    """`start(**settings)`: an edge for requests and tunnels, and a connection to it."""

    def run(connections=1, **settings):
        route = {"http": True, "heartbeat": "off"} | settings.pop("route", {})
        settings = {"shutdown_grace": "4s", "listeners": LISTENERS} | settings
        settings = configuration(backend.url, route=route, **settings)
        edge = enter(Edge(settings, options=["--no-watch"]))
        edge.settings = settings
        opened = [enter(client(edge.address)) for _ in range(connections)]
        return edge, *opened

    return run


def open_pair(edge, backend, connection):
    return Ends(edge, connection.tunnel(), backend.take())


# MARK: Idleness


def test_an_idle_connection(start):
    """GOAWAY, and the end; not while there is a stream."""
    edge, connection = start(limits={"keepalive_timeout": "1s"})
    assert connection.ask("/bytes/10").status == 200
    begin = time.monotonic()
    goaway = connection.await_goaway()
    assert 0.8 < time.monotonic() - begin < 5
    assert (goaway.error_code, goaway.last_stream_id) == (ErrorCodes.NO_ERROR, 1)
    connection.read_to_end()


def test_idleness_begins_with_the_end_of_the_last_stream(start, backend):
    """However long that was silent before."""
    edge, connection = start(limits={"keepalive_timeout": "1s"})
    held = connection.request("/held")
    for _ in range(2):
        with client(edge.address) as clock:
            assert clock.ask("/bytes/10").status == 200
            clock.await_goaway()
    backend.released.set()
    assert held.answer().status == 200
    # Less than the timeout, and long for a GOAWAY that is on its way.
    connection.turn(0.3)
    assert not connection.goaways
    assert connection.ask("/bytes/10").status == 200


def test_pings_are_no_requests(start):
    """A client that only pings is idle."""
    edge, connection = start(limits={"keepalive_timeout": "1s"})
    assert connection.ask("/bytes/10").status == 200
    begin = time.monotonic()
    with suppress(EOFError):
        while not connection.goaways and time.monotonic() - begin < 5:
            connection.round_trip()
            connection.turn(0.2)
    assert connection.goaways


def test_a_connection_with_a_tunnel_is_not_idle(start, backend):
    """Neither is one whose request waits for its answer."""
    edge, connection = start(limits={"keepalive_timeout": "1s"})
    ends = open_pair(edge, backend, connection)
    begin = time.monotonic()
    while time.monotonic() - begin < 2.5:
        connection.turn(0.2)
    assert not connection.goaways and not connection.is_lost
    ends.check_passes()
    held = connection.request("/held")
    ends.client.reset()
    begin = time.monotonic()
    while time.monotonic() - begin < 2.5:
        connection.turn(0.2)
    backend.released.set()
    assert held.answer().status == 200
    connection.await_goaway()


# MARK: A drain


def test_a_drain(start, backend):
    """The notice, requests that are still taken, the final word, and the tunnels' closes."""
    edge, connection = start(shutdown_grace="6s")
    opened = [open_pair(edge, backend, connection) for _ in range(TUNNELS)]
    held = connection.request("/held")
    eventually(lambda: backend.requests[-1].target == "/held", "the server to be asked")
    edge.signal()
    begin = time.monotonic()
    notice = connection.await_goaway(1)
    assert (notice.error_code, notice.last_stream_id) == (ErrorCodes.NO_ERROR, NOTICE)
    final = connection.await_goaway(2)
    assert final.error_code == ErrorCodes.NO_ERROR
    assert final.last_stream_id >= held.number
    backend.released.set()
    assert held.answer().status == 200
    instants = []
    for ends in opened:
        close = ends.client.read_close()
        instants.append(time.monotonic() - begin)
        assert close.code in (1001, 1012)
        ends.client.answer_close(close)
        ends.server.answer_close(ends.server.read_close())
    assert max(instants) - min(instants) > 1, "the closes are not spread over the grace"
    assert edge.wait_for_exit(8) == 0
    connection.read_to_end()
    reasons = {(each["reason"], each["closed_by"]) for each in edge.records("tunnel")}
    assert reasons == {("shutdown", "edge")}
    assert len(edge.records("tunnel")) == TUNNELS


def test_a_drain_of_an_idle_connection(start):
    """It is let go at once, or nearly: nobody waits for a client that asks nothing."""
    edge, connection = start(shutdown_grace="20s")
    assert connection.ask("/bytes/10").status == 200
    edge.signal()
    begin = time.monotonic()
    connection.read_to_end()
    assert connection.goaways[-1].error_code == ErrorCodes.NO_ERROR
    assert time.monotonic() - begin < 18
    assert edge.wait_for_exit(5) == 0


def test_clients_that_begin_while_a_drain_begins(enter, backend):
    """The content of the first one's request lies where the next one's frames are read to."""
    settings = configuration(
        backend.url, listeners=LISTENERS, route={"http": True}, workers=1, shutdown_grace="2s"
    )
    edge = enter(Edge(settings, options=["--no-watch"]))
    # So many that the others begin while the worker is still busy with these.
    silent = [enter(connect(edge.address)) for _ in range(1_500)]
    late = [enter(connect(edge.address)) for _ in range(4)]
    eventually(lambda: edge.descriptor_count > 1_504, "all to be accepted")
    block = Encoder().encode(get("/digest", method="POST"), huffman=False)
    request = raw(HEADERS, 1, block, flags=END_HEADERS) + data(1, bytes(15_000)) * 4
    edge.signal()
    assert silent[0].read_to_end() == b""
    for wire in late:
        with suppress(OSError):
            wire.send(PREFACE + setting_frame((4, 0)) + request)
        request = b""
    assert edge.wait_for_exit(20) == 0, edge.text


def test_a_download_during_a_drain(start, backend):
    """It is finished, and nothing of it is missing."""
    edge, connection = start(shutdown_grace="8s")
    stream = connection.request("/bytes/30000000")
    stream.read_exactly(100_000)
    edge.signal()
    rest = stream.read_to_end()
    assert stream.socket.has_ended and len(rest) == 29_900_000
    assert rest == content(30_000_000)[100_000:]
    assert edge.wait_for_exit(10) == 0


def test_an_upload_during_a_drain(start):
    edge, connection = start(shutdown_grace="8s")
    stream = connection.request("/digest", method="POST", ends=False)
    stream.send(bytes(100_000))
    edge.signal()
    connection.await_goaway()
    stream.send(bytes(100_000))
    stream.shutdown_write()
    assert stream.answer().status == 200
    assert edge.wait_for_exit(10) == 0


def test_who_asks_behind_the_final_goaway(start, enter, backend):
    """It was told not to: the stream is not served, and can be tried elsewhere (§6.8)."""
    edge, *_ = start(0, shutdown_grace="5s")
    peer = enter(frames(edge.address))
    peer.connect(1)
    server = backend.take()
    edge.signal()
    goaways = []
    while len(goaways) < 2:
        each = peer.read()
        if hasattr(each, "last_stream_id"):
            goaways.append(each)
    before = len(backend.requests)
    peer.send(peer.head(3, get("/bytes/10")))
    rest = peer.read_to_end()
    assert not any(each.stream_id == 3 and each.type == 1 for each in rest)
    assert len(backend.requests) == before
    assert goaways[-1].last_stream_id == 1
    server.close()
    edge.wait_for_exit(8)


def test_the_grace_ends(start, backend):
    """What is left is cut, and what was not whole is not taken for whole."""
    edge, connection = start(shutdown_grace="1s")
    stream = connection.request("/endless")
    stream.read_exactly(100_000)
    held = connection.request("/held")
    edge.signal()
    connection.read_to_end()
    assert edge.wait_for_exit(5) == 0
    assert not stream.socket.has_ended
    assert not held.socket.heads or held.socket.heads[0].status == 503


# MARK: A new process


def test_a_handover(start, backend, enter, succeed):
    """Tunnels go on in the old process until their turn; who comes is served by the new one."""
    edge, connection = start(shutdown_grace="5s")
    opened = [open_pair(edge, backend, connection) for _ in range(4)]
    held = connection.request("/held")
    succeed(edge)
    for ends in opened:
        close = ends.client.read_close()
        assert close.code in (1001, 1012)
        ends.client.answer_close(close)
        ends.server.answer_close(ends.server.read_close())
    backend.released.set()
    assert held.answer().status == 200
    assert connection.await_goaway(1).last_stream_id == NOTICE
    assert connection.await_goaway(2).error_code == ErrorCodes.NO_ERROR
    connection.read_to_end()
    assert edge.process.wait(10) == 0
    other = enter(client(edge.address))
    open_pair(edge, backend, other).check_passes()
    assert other.ask("/bytes/10").status == 200


def test_who_begins_while_the_process_gives_way(start, backend, enter, succeed):
    """It was accepted, and is served; and is told to ask elsewhere when it is its turn."""
    edge, first = start(shutdown_grace="8s", workers=1)
    wire = enter(connect(edge.address))
    tunnels = [open_pair(edge, backend, first) for _ in range(8)]
    succeed(edge)
    # One of them is told: it has begun.
    first.wait(lambda: any(ends.client.socket.arrived for ends in tunnels), "the first close")
    first.close()
    connection = enter(Client(wire))
    assert connection.ask("/bytes/10").status == 200
    begin = time.monotonic()
    assert connection.await_goaway(1).last_stream_id == NOTICE
    assert time.monotonic() - begin < 7, "the grace is over"
    connection.read_to_end()
    assert edge.process.wait(10) == 0


# MARK: A reload


def test_a_reload(start, backend):
    """The connection and its tunnels stay; requests are answered by the new configuration."""
    edge, connection = start()
    ends = open_pair(edge, backend, connection)
    assert edge.reload(edge.settings | {"drain_over": "2s"})["message"] == "reloaded"
    ends.check_passes()
    without = edge.settings["routes"][0] | {"http": False}
    assert edge.reload(edge.settings | {"routes": [without]})["message"] == "reloaded"
    assert connection.ask("/bytes/10").status == 426
    ends.check_passes()
    assert not connection.goaways


def test_a_reload_without_the_route(start, backend):
    """Its tunnels are closed one after the other, and the connection goes on."""
    edge, connection = start()
    opened = [open_pair(edge, backend, connection) for _ in range(5)]
    moved = edge.settings["routes"][0] | {"name": "other", "match": {"path": "/other/"}}
    edge.reload(edge.settings | {"routes": [moved], "drain_over": "1s"})
    for ends in opened:
        close = ends.client.read_close()
        assert close.code == 1001
        ends.client.answer_close(close)
        ends.server.answer_close(ends.server.read_close())
    assert connection.ask("/bytes/10").status == 404
    assert not connection.goaways


def test_a_reload_without_http2(start, backend, enter):
    """Who has it keeps it; who comes does not get it."""
    address = f"127.0.0.1:{free_port()}"
    edge, connection = start(listeners=[{"address": address, "http2": True}])
    ends = open_pair(edge, backend, connection)
    settings = edge.settings | {"listeners": [{"address": address, "http2": False}]}
    assert edge.reload(settings)["message"] == "reloaded"
    ends.check_passes()
    wire = enter(connect(address))
    wire.send(PREFACE)
    assert wire.read_response().status in (400, 405, 501, 505)
    assert connection.ask("/bytes/10").status == 200


def test_a_dead_server(start, backend, enter):
    """Tunnels to it are closed with 1012, and the connection goes on."""
    edge, connection = start()
    opened = [open_pair(edge, backend, connection) for _ in range(3)]
    for ends in opened:
        ends.server.reset()
        assert ends.client.finish() in (1011, 1012)
    assert connection.ask("/bytes/10").status == 200


def test_a_client_that_answers_no_ping(start, backend, enter):
    """It is asked after 45 s of silence and left 15 s later; one that answers stays."""
    edge, connection = start()
    ends = open_pair(edge, backend, connection)
    peer = enter(frames(edge.address))
    peer.wire.socket.settimeout(70)
    peer.connect(1)
    assert peer.next(HeadersFrame).stream_id == 1
    backend.take()
    asked = peer.next(PingFrame)
    assert "ACK" not in asked.flags
    # The other's question is answered where it is read.
    connection.turn(1)
    peer.read_to_end()
    assert not connection.is_lost
    ends.check_passes()


@pytest.mark.timeout(180)
def test_a_client_that_takes_an_answer_slowly(start, backend, enter):
    """For longer than a minute, while megabytes wait in the kernel; it stays, and its tunnel, too."""
    edge, _ = start()
    wire = connect(edge.address, receive_buffer=65_536)
    peer = enter(Frames(wire, first=setting_frame((4, NOTICE))))
    peer.send(window_update(NOTICE - 65_535))
    peer.connect(1)
    assert peer.next(HeadersFrame, 1)
    server = backend.take()
    peer.ask(3, "/endless")
    taken, end = 0, time.monotonic() + 70
    while time.monotonic() < end:
        each = peer.read()
        assert each is not None and not isinstance(each, GoAwayFrame), f"{taken} octets, {each}"
        if isinstance(each, PingFrame) and "ACK" not in each.flags:
            peer.send(raw(PING, payload=each.opaque_data, flags=ACK))
        elif isinstance(each, DataFrame):
            taken += each.octet_count
            peer.streams[3].content.clear()
            if taken > 20_000_000:
                # What makes it slow, behind a quick begin for which the kernel's buffers grew.
                time.sleep(each.octet_count / 200_000)
    peer.send(reset(3))
    server.send_frame(BINARY, b"still there")
    peer.streams[1].content.clear()
    while not peer.streams[1].content:
        assert peer.read()
    assert peer.streams[1].content.endswith(b"still there")
