"""Who says nothing is asked; who answers nothing is dead; who says anything lives."""

import signal
import sys
import threading
import time

import pytest

from harness.backends import Program, WebSocketsBackend
from harness.conditions import eventually, is_stopped
from harness.edge import Edge, configuration
from harness.ends import SIDES
from harness.wire import BINARY, CLOSE, PING, PONG, TEXT, frame, header, tunnel

CONTINUATION = 0
BEAT = {"interval": "1s", "timeout": "1s"}
HERE = __file__.rpartition("/")[0]


@pytest.fixture
def beating(tunnels):
    """`beating(**heartbeat)` is a tunnel with a heartbeat of a second."""

    def start(route=None, **heartbeat):
        return tunnels(route={"heartbeat": BEAT | heartbeat} | (route or {})).open()

    return start


def other(side):
    return "server" if side == "client" else "client"


def answer(wire, count=1, *, opcode=None):
    """Awaits `count` pings, and answers each with its pong, or with an empty frame of `opcode`."""
    for _ in range(count):
        each = wire.read_whole_frame()
        assert each.opcode == PING and each.final and len(each.payload) <= 125, each
        wire.send_frame(opcode or PONG, b"" if opcode else each.payload)


@pytest.mark.parametrize("side", SIDES)
def test_a_silent_peer_is_asked(beating, side):
    """It lives for as long as it answers; the answers are for the edge alone."""
    ends = beating(to=side)
    answer(ends[side], 3)
    ends[side].send_frame(TEXT, b"behind the pongs")
    assert ends.across(side).read_frame() == (TEXT, b"behind the pongs", True)
    ends.check_record_is_missing()


def test_the_client_alone_is_asked_by_default(beating):
    ends = beating()
    answer(ends.client, 3)
    ends.client.send_frame(TEXT, b"first")
    assert ends.server.read_frame() == (TEXT, b"first", True), "the server was asked"


def test_the_server_alone(beating):
    ends = beating(to="server")
    answer(ends.server, 3)
    ends.server.send_frame(TEXT, b"first")
    assert ends.client.read_frame() == (TEXT, b"first", True), "the client was asked"


def test_both(beating):
    ends = beating(to="both")
    for _ in range(2):
        answer(ends.client)
        answer(ends.server)
    ends.check_record_is_missing()


def test_it_comes_after_the_interval(tunnels):
    ends = tunnels(route={"heartbeat": {"interval": "2s", "timeout": "5s"}}).open()
    begin = time.monotonic()
    answer(ends.client)
    assert 1.8 < time.monotonic() - begin < 6


def test_off(tunnels):
    """Nothing comes until another limit ends it."""
    ends = tunnels(route={"heartbeat": "off", "idle_timeout": "3s"}).open()
    ends.check_closed(client=1001, server=1001, reason="idle_timeout")


@pytest.mark.parametrize("side", SIDES)
def test_pings_and_pongs_of_the_peers_pass(beating, side):
    ends = beating()
    for payload in (b"", b"mine", bytes(125)):
        ends[side].send_frame(PING, payload)
        assert ends.across(side).read_frame() == (PING, payload, True)
        ends.across(side).send_frame(PONG, payload)
        assert ends[side].read_frame() == (PONG, payload, True)
    # Unasked pongs are legal (RFC 6455 §5.5.3), and somebody's own heartbeat.
    ends[side].send_frame(PONG, b"unasked")
    assert ends.across(side).read_frame() == (PONG, b"unasked", True)


def test_the_peers_own_pong_passes_beside_ours(beating):
    """A client that owes two pongs: one goes through, one does not."""
    ends = beating(timeout="5s")
    ping = ends.client.read_whole_frame()
    assert ping.opcode == PING
    ends.server.send_frame(PING, b"the server's")
    assert ends.client.read_frame() == (PING, b"the server's", True)
    ends.client.send_frame(PONG, ping.payload)
    ends.client.send_frame(PONG, b"the server's")
    assert ends.server.read_frame() == (PONG, b"the server's", True)
    ends.client.send_frame(TEXT, b"next")
    assert ends.server.read_frame() == (TEXT, b"next", True)


def test_a_pong_octet_by_octet(beating):
    """It is kept back as a whole, however it arrives."""
    ends = beating(timeout="5s")
    ping = ends.client.read_whole_frame()
    for octet in frame(PONG, ping.payload, masked=True):
        ends.client.send(bytes([octet]))
        eventually(lambda: ends.client.is_taken, "the edge to take an octet")
    ends.client.send_frame(TEXT, b"next")
    assert ends.server.read_frame() == (TEXT, b"next", True)


def test_any_message_is_an_answer(beating):
    ends = beating()
    answer(ends.client, 4, opcode=TEXT)
    assert [ends.server.read_frame() for _ in range(4)] == [(TEXT, b"", True)] * 4
    ends.check_record_is_missing()


def test_any_octet_is_life(beating):
    """An octet of a frame that takes its time, now and then: no need to ask, nobody is dead."""
    ends = beating()
    pace = threading.Event()
    ends.client.send(header(BINARY, 12, key=b"\0\0\0\0"))
    for _ in range(12):
        pace.wait(0.3)
        ends.client.send(b"x")
    assert ends.server.read_frame() == (BINARY, b"x" * 12, True)
    ends.server.send_frame(TEXT, b"next")
    frames = [ends.client.read_frame()]
    # A scheduler that slept may have let one ping be due, and it is answered by the next octet.
    while frames[-1][0] == PING:
        frames.append(ends.client.read_frame())
    assert frames[-1] == (TEXT, b"next", True) and len(frames) <= 2
    ends.check_record_is_missing()


def test_an_octet_answers_a_ping(beating):
    """The pong need not come, nor the end of a frame."""
    ends = beating()
    ends.client.send(header(BINARY, 100, key=b"\0\0\0\0"))
    for _ in range(4):
        assert ends.client.read_frame()[0] == PING
        ends.client.send(b"x")
    ends.check_record_is_missing()


# MARK: between frames


def test_pings_stand_between_frames_of_a_stream(beating):
    """The server sends a message in fragments without end; the client says nothing of its own."""
    ends = beating()
    is_over = threading.Event()
    thread = threading.Thread(target=stream, args=(ends.server, is_over), daemon=True)
    thread.start()
    pings, data = 0, 0
    while pings < 3:
        # A ping inside of a frame would make nonsense of what follows.
        each = ends.client.read_whole_frame()
        if each.opcode == PING:
            pings += 1
            ends.client.send_frame(PONG, each.payload)
        else:
            assert each.payload == bytes(range(256)) * 1_000 and not each.final
            assert each.opcode == (CONTINUATION if data else BINARY)
            data += 1
    is_over.set()
    thread.join(10)
    assert data > 10
    ends.check_record_is_missing()


def stream(wire, is_over):
    opcode = BINARY
    while not is_over.wait(0.01):
        wire.send_frame(opcode, bytes(range(256)) * 1_000, final=False)
        opcode = CONTINUATION


def test_a_ping_waits_for_the_end_of_a_long_frame(beating):
    """One frame that takes longer than interval and timeout: a client that could not be asked
    is not dead."""
    ends = beating()
    pace = threading.Event()
    piece, count = bytes(range(256)) * 100, 40
    ends.server.send(header(BINARY, len(piece) * count))
    received = b""
    octets = header(BINARY, len(piece) * count)
    assert ends.client.read_exactly(len(octets)) == octets
    for _ in range(count):
        pace.wait(0.1)
        ends.server.send(piece)
        received += ends.client.read_exactly(len(piece))
    assert received == piece * count
    answer(ends.client, 2)
    ends.check_record_is_missing()


# MARK: the dead


def test_a_dead_client(beating):
    ends = beating()
    assert ends.client.read_frame()[0] == PING
    ends.check_closed(
        client=1001, server=1001, reason="heartbeat", closed_by="edge", close_code=1001
    )


def test_a_dead_server(beating):
    ends = beating(to="server")
    assert ends.server.read_frame()[0] == PING
    ends.check_closed(
        client=1011, server=1001, reason="heartbeat", closed_by="edge", close_code=(1011, 1001)
    )


def test_a_client_that_hears_nothing_dies_while_the_server_talks(beating):
    """What one peer says does not keep the other alive."""
    ends = beating()
    pace, is_over = threading.Event(), threading.Event()

    def talk():
        while not is_over.is_set():
            ends.server.send_frame(TEXT, b"tick")
            pace.wait(0.1)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        frames, close = ends.client.read_frames_to_close()
        assert close.code == 1001
        assert (PING in [each.opcode for each in frames]) and len(frames) > 5
    finally:
        is_over.set()
        thread.join(10)
    assert ends.server.read_close().code == 1001
    ends.server.send_close(1001)
    ends.check_record(reason="heartbeat")


def test_the_dead_do_not_hold_up_the_end(beating):
    """A client that takes nothing is not waited for: the server's end comes at once."""
    ends = beating()
    begin = time.monotonic()
    close = ends.server.read_close()
    assert close.code == 1001
    ends.server.answer_close(close)
    ends.check_record(reason="heartbeat")
    # Interval, timeout, and less than the 5 s for which an answer is awaited.
    assert 1.8 < time.monotonic() - begin < 6


class Listener(Program):
    """A `websockets` client in a process of its own, which answers pings and says nothing."""

    def __init__(self, url):
        self.url = url

    def __enter__(self):
        self.start(sys.executable, f"{HERE}/harness/listener.py", self.url, stdout=-1)
        assert self.process.stdout.readline() == "open\n"
        return self

    def __exit__(self, *arguments):
        self.process.send_signal(signal.SIGCONT)
        super().__exit__(*arguments)
        self.process.stdout.close()


def test_a_client_whose_process_is_stopped(enter, tunnels):
    """The kernel keeps its connection and acknowledges everything; nobody is at home."""
    held = tunnels(route={"heartbeat": BEAT})
    client = enter(Listener(held.edge.url()))
    server = held.backend.take()
    # It lives well while it runs: three pings' time.
    pace = threading.Event()
    pace.wait(3)
    assert not held.edge.records("tunnel")
    client.process.send_signal(signal.SIGSTOP)
    eventually(lambda: is_stopped(client.process.pid), "the client to stand still")
    assert server.read_close().code == 1001
    server.send_close(1001)
    record = held.edge.wait_for("tunnel")
    assert record["reason"] == "heartbeat"
    assert record["closed_by"] == "edge"


def test_a_server_that_answers(enter):
    """`websockets` on both sides, both asked, for several intervals."""
    backend = enter(WebSocketsBackend())
    route = {"heartbeat": BEAT | {"to": "both"}}
    edge = enter(Edge(configuration(backend.url, route=route)))
    with Listener(edge.url()):
        with tunnel(edge.address) as wire:
            answer(wire, 3)
            assert wire.echoes()
        assert len(edge.records("tunnel", reason="heartbeat")) == 0


# MARK: beside other limits


def test_pings_do_not_count_against_idle_timeout(tunnels):
    """Both are asked and answer; they still have nothing to say to each other."""
    route = {"heartbeat": BEAT | {"to": "both"}, "idle_timeout": "4s"}
    ends = tunnels(route=route).open()
    begin = time.monotonic()
    ended = {}

    def live(side):
        while True:
            each = ends[side].read_whole_frame()
            if each.opcode == CLOSE:
                ended[side] = each.code, time.monotonic() - begin
                return ends[side].send_close(each.code)
            assert each.opcode == PING
            ends[side].send_frame(PONG, each.payload)

    threads = [threading.Thread(target=live, args=(side,), daemon=True) for side in SIDES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(15)
    assert {side: code for side, (code, _) in ended.items()} == {"client": 1001, "server": 1001}
    assert all(3.8 < after < 9 for _, after in ended.values()), ended
    ends.check_record(reason="idle_timeout", closed_by="edge", messages_in=0, messages_out=0)


def test_pings_of_the_edge_are_no_messages(tunnels):
    limits = {"messages": {"rate": "1/m", "burst": 1, "exceed": "close", "from": "both"}}
    ends = tunnels(route={"heartbeat": BEAT, "limits": limits}).open()
    answer(ends.client, 3)
    ends.check_passes()
