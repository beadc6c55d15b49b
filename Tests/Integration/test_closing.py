"""How tunnels end (docs/tunnels.md): what each peer is told, and what the record says."""

import signal
import struct
import threading
import time
from contextlib import suppress

import pytest

from harness import tokens
from harness.authority import pair
from harness.backends import NodeBackend, ScriptedBackend, switching
from harness.conditions import Frozen, eventually
from harness.edge import Edge, configuration
from harness.ends import SIDES
from harness.wire import BINARY, CLOSE, PING, TEXT, close_payload, frame, header, tunnel

KEY = b"\0\0\0\0"
CONTINUATION = 0
BY = {"client": "downstream", "server": "upstream"}
# For how long a peer's answer to a close frame is awaited, and what a test allows beside it.
PATIENCE, SLACK = 5.0, 5.0
RULES = {"keys": [{"algorithm": "HS256", "secret": tokens.SECRET}]}


def other(side):
    return "server" if side == "client" else "client"


def key_of(side):
    return KEY if side == "client" else None


# MARK: the table


def breaks_the_protocol(side):
    return lambda ends: ends[side].send(header(3, 0, key=key_of(side)))


def sends_a_bad_reason(side):
    return lambda ends: ends[side].send_frame(CLOSE, b"\x03\xe8\xff")


def sends(side, count, size=10):
    def act(ends):
        for _ in range(count):
            ends[side].send_frame(BINARY, bytes(size))

    return act


def says_nothing(ends):
    pass


def rate(**parts):
    return {"rate": "1/m", "burst": 1, "exceed": "close"} | parts


def octets(**parts):
    return {"rate": "1KiB/s", "burst": "1KiB", "exceed": "close"} | parts


BEAT = {"interval": "1s", "timeout": "1s"}
SIZE = {"limits": {"message_size": "1KiB"}}

# The route's settings, what happens, what the client and the server are told, and the reason.
# Only ends that the edge makes, where both peers live: the others have tests of their own below.
TABLE = {
    "the client broke the protocol": (
        {}, breaks_the_protocol("client"), 1002, 1001, "protocol_error",
    ),
    "the server broke the protocol": (
        {}, breaks_the_protocol("server"), 1011, 1002, "protocol_error",
    ),
    "the client's reason is no text": (
        {}, sends_a_bad_reason("client"), 1007, 1001, "protocol_error",
    ),
    "the server's reason is no text": (
        {}, sends_a_bad_reason("server"), 1011, 1007, "protocol_error",
    ),
    "the client's message is too large": (
        SIZE, sends("client", 1, 2_000), 1009, 1001, "message_size",
    ),
    "the server's message is too large": (
        SIZE, sends("server", 1, 2_000), 1001, 1009, "message_size",
    ),
    "too many messages of the client": (
        {"limits": {"messages": rate()}}, sends("client", 2), 1008, 1001, "message_rate",
    ),
    "too many messages of the server": (
        {"limits": {"messages": rate(**{"from": "server"})}}, sends("server", 2), 1001, 1008,
        "message_rate",
    ),
    "too many octets of the client": (
        {"limits": {"bytes": octets()}}, sends("client", 5, 1_000), 1008, 1001, "byte_rate",
    ),
    "too many octets of the server": (
        {"limits": {"bytes": octets(**{"from": "server"})}}, sends("server", 5, 1_000), 1001, 1008,
        "byte_rate",
    ),
    "nothing is said": ({"idle_timeout": "1s"}, says_nothing, 1001, 1001, "idle_timeout"),
    "it has lived long enough": ({"max_lifetime": "1s"}, says_nothing, 1001, 1001, "lifetime"),
    "the client is dead": ({"heartbeat": BEAT}, says_nothing, 1001, 1001, "heartbeat"),
    "the server is dead": (
        {"heartbeat": BEAT | {"to": "server"}}, says_nothing, 1011, 1001, "heartbeat",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("route", "act", "client", "server", "reason"), TABLE.values(), ids=TABLE)
def test_the_edge_ends_it(tunnels, route, act, client, server, reason):
    ends = tunnels(route=route).open()
    act(ends)
    told = {}
    for side in SIDES:
        # Some messages were within the limits, and the dead were asked.
        frames, close = ends[side].read_frames_to_close()
        assert all(each.opcode in (BINARY, PING) for each in frames)
        told[side] = close.code
    assert told == {"client": client, "server": server}
    for side in SIDES:
        with suppress(OSError):
            ends[side].send_close(told[side])
    for side in SIDES:
        assert ends[side].read_to_end() == b"", f"something came to the {side} behind its end"
    ends.check_record(reason=reason, closed_by="edge", close_code=(client, server))


def test_every_close_of_the_edge_says_why(tunnels):
    """The reason is UTF-8 of at most 123 octets (RFC 6455 §5.5.1), and not empty."""
    ends = tunnels(route={"idle_timeout": "1s"}).open()
    for side in SIDES:
        close = ends[side].read_close()
        assert 0 < len(close.reason.encode()) <= 123
        ends[side].send_close(close.code)


@pytest.mark.parametrize("traffic", ["none", "messages"])
def test_max_lifetime(tunnels, traffic):
    """Documented to the second; what is said meanwhile does not prolong it."""
    ends = tunnels(route={"max_lifetime": "2s"}).open()
    begin = time.monotonic()
    pace, frames = threading.Event(), 0
    if traffic == "messages":
        with suppress(AssertionError, OSError):
            while time.monotonic() - begin < 10:
                ends.check_passes()
                frames += 1
                pace.wait(0.1)
        assert frames > 5
    else:
        assert ends.client.read_close().code == 1001
        assert ends.server.read_close().code == 1001
    assert 1.8 < time.monotonic() - begin < 2 + SLACK
    ends.close()
    ends.check_record(reason="lifetime", closed_by="edge", close_code=1001)


# MARK: the peers' own closes


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("code", [None, 1000, 1001, 3456, 4999])
def test_a_close_handshake_passes_through(tunnels, side, code):
    """Code and reason either way, and both connections end behind it."""
    ends = tunnels().open()
    reason = "" if code is None else "Grüße"
    ends[side].send_close(code, reason)
    first = ends.across(side).read_close()
    assert (first.code, first.reason) == (code, reason)
    ends.across(side).send_frame(TEXT, b"one more before I go")
    ends.across(side).send_close(1000, "seen")
    # Messages that were under way when the close was sent are still delivered (§1.4).
    assert ends[side].read_frame() == (TEXT, b"one more before I go", True)
    second = ends[side].read_close()
    assert (second.code, second.reason) == (1000, "seen")
    for each in SIDES:
        assert ends[each].read_to_end() == b""
    ends.check_record(reason="closed", closed_by=BY[side], close_code=code or 1005)


def test_both_close_at_once(tunnels):
    """Each gets the other's code, as if neither had waited."""
    held = tunnels()
    ends = held.open()
    with Frozen(held.edge):
        ends.client.send_close(4001, "the client's")
        ends.server.send_close(4002, "the server's")
    assert ends.client.read_close().payload == struct.pack("!H", 4002) + b"the server's"
    assert ends.server.read_close().payload == struct.pack("!H", 4001) + b"the client's"
    for side in SIDES:
        assert ends[side].read_to_end() == b""
    record = ends.record()
    assert record["reason"] == "closed"
    assert (record["close_code"], record["closed_by"]) in ((4001, "downstream"), (4002, "upstream"))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("code", [None, 4000])
def test_a_peer_that_never_answers_a_close(tunnels, side, code):
    """Its connection and the other's end after five seconds; who closed gets its own code back."""
    ends = tunnels().open()
    begin = time.monotonic()
    ends[side].send_close(code, "" if code is None else "bye")
    assert ends.across(side).read_close().code == code
    ends[side].socket.settimeout(PATIENCE + SLACK)
    answered = ends[side].read_close()
    assert answered.code == (code or 1000) or code is None and answered.code is None
    assert PATIENCE - 1 < time.monotonic() - begin < PATIENCE + SLACK
    assert ends[side].read_to_end() == b""
    assert ends.across(side).read_to_end() == b""
    ends.check_record(reason="close_timeout", close_code=code or 1005)


@pytest.mark.parametrize("side", SIDES)
def test_a_peer_that_goes_on_after_a_close(tunnels, side):
    """It may send what it has; but not for ever."""
    ends = tunnels().open()
    ends[side].send_close(4000)
    across = ends.across(side)
    assert across.read_close().code == 4000
    pace, begin = threading.Event(), time.monotonic()
    with suppress(OSError):
        while time.monotonic() - begin < PATIENCE + SLACK:
            across.send_frame(TEXT, b"and another thing")
            pace.wait(0.05)
    assert time.monotonic() - begin < PATIENCE + SLACK, "it was never cut off"
    with suppress(OSError):
        across.read_to_end()
    ends[side].close()
    ends.check_record(reason="close_timeout", close_code=4000)


@pytest.mark.parametrize("silent", SIDES)
def test_a_peer_that_never_answers_the_edge(tunnels, silent):
    """After the edge's close frame it is cut off, and the other one may have gone long before."""
    ends = tunnels(route={"idle_timeout": "1s"}).open()
    assert ends[silent].read_close().code == 1001
    begin = time.monotonic()
    across = ends.across(silent)
    assert across.read_close().code == 1001
    across.send_close(1001)
    ends[silent].socket.settimeout(PATIENCE + SLACK)
    assert ends[silent].read_to_end() == b""
    assert time.monotonic() - begin < PATIENCE + SLACK
    ends.check_record(reason="idle_timeout", closed_by="edge", close_code=1001)


@pytest.mark.parametrize("side", SIDES)
def test_a_peer_that_closes_and_is_gone(tunnels, side):
    """Its close frame arrives although its connection has ended, and is the reason of the end."""
    ends = tunnels().open()
    ends[side].send_close(4000, "gone")
    ends[side].close()
    close = ends.across(side).read_close()
    assert (close.code, close.reason) == (4000, "gone")
    with suppress(OSError):
        ends.across(side).send_close(4000)
    assert ends.across(side).read_to_end() == b""
    ends.check_record(reason="closed", closed_by=BY[side], close_code=4000)


# MARK: connections that end without a close frame


def test_a_server_that_ends(tunnels):
    """A client is told to come back (1012), behind what the server had sent."""
    ends = tunnels().open()
    ends.server.send_frame(TEXT, b"last")
    ends.server.close()
    assert ends.client.read_frame() == (TEXT, b"last", True)
    assert ends.client.read_close().code == 1012
    ends.client.send_close(1012)
    assert ends.client.read_to_end() == b""
    ends.check_record(reason="lost", closed_by="upstream", close_code=(1012, 1006))


def test_a_server_that_ends_its_sending_side(tunnels):
    ends = tunnels().open()
    ends.server.shutdown_write()
    assert ends.client.read_close().code == 1012
    ends.client.send_close(1012)
    assert ends.client.read_to_end() == b""
    ends.server.read_to_end()
    ends.check_record(reason="lost", closed_by="upstream", close_code=(1012, 1006))


def test_a_server_that_resets(tunnels):
    ends = tunnels().open()
    ends.check_passes()
    ends.server.reset()
    assert ends.client.read_close().code == 1011
    ends.client.send_close(1011)
    assert ends.client.read_to_end() == b""
    ends.check_record(reason="lost", closed_by="upstream", close_code=(1011, 1006))


def test_a_server_that_ends_in_the_middle_of_a_frame(tunnels):
    """What is cut cannot be followed by a close frame: the connection says it all."""
    ends = tunnels().open()
    octets = header(BINARY, 1_000) + bytes(500)
    ends.server.send(octets)
    ends.server.close()
    assert ends.client.read_to_end() == octets
    ends.check_record(reason="lost", closed_by="upstream", close_code=1006)


def test_a_server_that_ends_inside_of_a_message(tunnels):
    """A close frame may stand between fragments."""
    ends = tunnels().open()
    ends.server.send_frame(BINARY, b"first", final=False)
    ends.server.close()
    assert ends.client.read_frame() == (BINARY, b"first", False)
    assert ends.client.read_close().code == 1012


def test_a_server_that_ends_in_the_middle_of_a_header(tunnels):
    """A part of a header has not been passed on, so that a close frame can follow."""
    ends = tunnels().open()
    ends.server.send_frame(TEXT, b"whole")
    ends.server.send(header(BINARY, 1_000)[:3])
    ends.server.close()
    assert ends.client.read_frame() == (TEXT, b"whole", True)
    assert ends.client.read_close().code == 1012


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_client_that_ends(tunnels, ending):
    """A server sees what a client did: the end of the connection, and no frame that it did not
    send."""
    ends = tunnels().open()
    ends.client.send_frame(TEXT, b"last")
    assert ends.server.read_frame() == (TEXT, b"last", True)
    getattr(ends.client, ending)()
    assert ends.server.read_to_end() == b""
    ends.server.close()
    # A client that is gone cannot be told that its server is; one that ended in order may be.
    ends.check_record(reason="lost", closed_by="downstream", close_code=(1006, 1012))


def test_a_client_that_ends_its_sending_side(tunnels):
    """What the server still has to say reaches it."""
    ends = tunnels().open()
    ends.client.send_frame(TEXT, b"last")
    ends.client.shutdown_write()
    assert ends.server.read_frame() == (TEXT, b"last", True)
    assert ends.server.read_to_end() == b""
    ends.server.send_frame(BINARY, bytes(100_000))
    ends.server.send_close(1000)
    ends.server.close()
    assert ends.client.read_frame() == (BINARY, bytes(100_000), True)
    assert ends.client.read_close().code == 1000
    assert ends.client.read_to_end() == b""
    ends.check_record(reason="lost", closed_by="downstream", close_code=(1000, 1006))


def test_a_server_that_is_killed(enter):
    """A real process, SIGKILL: its kernel ends the connection in order, and clients come back."""
    backend = enter(NodeBackend())
    edge = enter(Edge(configuration(backend.url)))
    wires = [enter(tunnel(edge.address)) for _ in range(5)]
    assert all(wire.echoes() for wire in wires)
    backend.process.send_signal(signal.SIGKILL)
    assert [wire.finish() for wire in wires] == [1012] * len(wires)
    for number in range(len(wires)):
        record = edge.wait_for("tunnel", count=number + 1)
        assert (record["reason"], record["closed_by"]) == ("lost", "upstream")
        assert record["close_code"] in (1012, 1006)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_the_same_under_tls(enter, authority, localhost, ending):
    """The close frame is the last thing under TLS, then comes close_notify."""
    told = threading.Event()

    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"last"))
        told.wait(10)
        getattr(wire, ending)()

    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    edge = enter(Edge(configuration(enter(ScriptedBackend(script)).url, listeners=listeners)))
    wire = enter(tunnel(edge.address, tls=authority.client_context()))
    assert wire.read_frame() == (TEXT, b"last", True)
    told.set()
    assert wire.read_close().code == (1012 if ending == "close" else 1011)
    wire.send_close()
    assert wire.socket.recv(1) == b"", "no close_notify came"


# MARK: the end of a token


# Clocks may differ by so much: for so long a token is still taken, and its tunnels live.
LEEWAY = 30


def with_token(seconds, **rules):
    """A route with tokens, the fields of a client whose token is taken for so long, and its end."""
    end = int(time.time()) + seconds
    token = tokens.hs256(tokens.claims(exp=end - LEEWAY))
    route = {"auth": {"jwt": RULES | rules}}
    return {"route": route}, {"fields": [("Authorization", f"Bearer {token}")]}, end


def test_a_token_expires(tunnels):
    settings, parts, end = with_token(3)
    ends = tunnels(**settings).open(**parts)
    ends.check_passes()
    assert ends.client.read_close().code == 1008
    assert end - 0.5 < time.time() < end + SLACK, "not when it expired"
    assert ends.server.read_close().code == 1001
    ends.client.send_close(1008)
    ends.server.send_close(1001)
    ends.check_record(reason="token_expired", closed_by="edge", close_code=(1008, 1001))


@pytest.mark.parametrize("side", SIDES)
def test_a_token_expires_in_the_middle_of_a_frame(tunnels, side):
    """The rest of the frame passes; then comes the close. Its sender is told at once."""
    settings, parts, _ = with_token(2)
    ends = tunnels(**settings).open(**parts)
    told = {"client": 1008, "server": 1001}
    sent = frame(BINARY, bytes(range(250)) * 40, masked=side == "client")
    ends[side].send(sent[:5_000])
    assert ends.across(side).read_exactly(5_000) == sent[:5_000]
    assert ends[side].read_close().code == told[side]
    ends[side].send(sent[5_000:] + frame(TEXT, b"too late", masked=side == "client"))
    assert ends.across(side).read_exactly(len(sent) - 5_000) == sent[5_000:]
    assert ends.across(side).read_close().code == told[other(side)]
    for each in SIDES:
        ends[each].send_close(told[each])
    for each in SIDES:
        assert ends[each].read_to_end() == b""
    ends.check_record(reason="token_expired", close_code=(1008, 1001))


@pytest.mark.parametrize("side", SIDES)
def test_a_token_expires_in_the_middle_of_a_frame_that_never_ends(tunnels, side):
    """Within the bound the rest may come; without it there is no place for a close frame."""
    settings, parts, _ = with_token(2)
    ends = tunnels(**settings).open(**parts)
    sent = header(BINARY, 10_000, key=key_of(side)) + bytes(5_000)
    ends[side].send(sent)
    across = ends.across(side)
    assert across.read_exactly(len(sent)) == sent
    assert ends[side].read_close().code in (1008, 1001)
    across.socket.settimeout(PATIENCE + SLACK)
    assert across.read_to_end() == b""
    ends.close()
    ends.check_record(reason="token_expired")


@pytest.mark.parametrize("side", SIDES)
def test_a_token_expires_inside_of_a_message(tunnels, side):
    """Between two fragments a close frame may stand."""
    settings, parts, _ = with_token(2)
    ends = tunnels(**settings).open(**parts)
    told = {"client": 1008, "server": 1001}
    ends[side].send_frame(BINARY, b"first", final=False)
    assert ends.across(side).read_frame() == (BINARY, b"first", False)
    ends.check_closed(**told, reason="token_expired", closed_by="edge")


def test_a_token_that_may_expire(tunnels):
    """`on_expiry: ignore`: it was good when the client came."""
    settings, parts, end = with_token(2, on_expiry="ignore")
    ends = tunnels(**settings).open(**parts)
    eventually(lambda: time.time() > end + 2, "the token to expire")
    ends.check_passes()
    ends.check_record_is_missing()


def test_a_token_for_a_long_time(tunnels):
    """The largest numbers are times, too: no tunnel ends early by an overflow."""
    for expiry in (1 << 33, 1 << 53):
        token = tokens.hs256(tokens.claims(exp=expiry))
        fields = [("Authorization", f"Bearer {token}")]
        ends = tunnels(route={"auth": {"jwt": RULES}}).open(fields=fields)
        ends.check_passes()


# MARK: the edge stops

MANY, GRACE = 40, 8.0


def test_closes_are_spread_over_the_grace(enter):
    """Forty tunnels in eight seconds: not all in the first quarter, and nobody is cut off."""
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, shutdown_grace=f"{GRACE:.0f}s")))
    wires = [enter(tunnel(edge.address)) for _ in range(MANY)]
    assert all(wire.echoes() for wire in wires)
    told = []

    def listen(wire):
        wire.socket.settimeout(GRACE + SLACK)
        close = wire.read_close()
        told.append((time.monotonic() - begin, close.code))
        wire.send_close(close.code)
        wire.read_to_end()

    threads = [threading.Thread(target=listen, args=(wire,), daemon=True) for wire in wires]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    edge.signal()
    assert edge.wait_for_exit(GRACE + SLACK) == 0
    for thread in threads:
        thread.join(SLACK)
    assert [code for _, code in told] == [1001] * MANY
    early = sum(when < GRACE / 4 for when, _ in told)
    late = sum(when > GRACE / 2 for when, _ in told)
    assert early < MANY // 2 and late > MANY // 8, sorted(told)
    records = edge.records("tunnel", reason="shutdown", closed_by="edge", close_code=1001)
    assert len(records) == MANY


def test_servers_are_told_when_the_edge_stops(tunnels):
    ends = tunnels(shutdown_grace="2s").open()
    ends.edge.signal()
    assert ends.server.read_close().code == 1001
    assert ends.client.read_close().code == 1001
    ends.server.send_close(1001)
    ends.client.send_close(1001)
    assert ends.edge.wait_for_exit(2 + SLACK) == 0
    ends.check_record(reason="shutdown", closed_by="edge", close_code=1001)


def test_who_does_not_answer_is_cut_when_the_grace_ends(tunnels):
    held = tunnels(shutdown_grace="2s")
    ends = [held.open() for _ in range(4)]
    begin = time.monotonic()
    held.edge.signal()
    assert held.edge.wait_for_exit(2 + PATIENCE + SLACK) == 0
    assert time.monotonic() - begin < 2 + PATIENCE
    for each in ends:
        each.check_record(reason="shutdown", closed_by="edge")


def test_a_tunnel_in_the_middle_of_a_frame_when_the_edge_stops(tunnels):
    """The frame is finished, then the close comes; within the grace."""
    ends = tunnels(shutdown_grace="4s").open()
    sent = frame(BINARY, bytes(10_000), masked=True)
    ends.client.send(sent[:5_000])
    assert ends.server.read_exactly(5_000) == sent[:5_000]
    ends.edge.signal()
    assert ends.client.read_close().code == 1001
    ends.client.send(sent[5_000:])
    assert ends.server.read_exactly(len(sent) - 5_000) == sent[5_000:]
    assert ends.server.read_close().code == 1001
    ends.server.send_close(1001)
    ends.client.send_close(1001)
    assert ends.edge.wait_for_exit(4 + SLACK) == 0


def test_peers_may_close_by_themselves_while_the_edge_stops(tunnels):
    """Their own reasons are kept."""
    held = tunnels(shutdown_grace="60s", workers=1)
    ends = [held.open() for _ in range(8)]
    held.edge.signal()
    held.edge.wait_for("draining")
    for each in ends[4:]:
        each.client.send_close(4000, "by myself")
    closed = 0
    for each in ends[4:]:
        # The turn of one may have come before its own close did.
        code = each.server.read_close().code
        assert code in (4000, 1001)
        closed += code == 4000
        each.server.send_close(code)
    assert closed >= 2
    for each in ends:
        each.close()
    assert held.edge.wait_for_exit() == 0
    assert len(held.edge.records("tunnel", reason="closed", close_code=4000)) == closed


# MARK: what the record counts


def test_octets_and_messages(tunnels):
    """What the edge says itself is not counted as the peers'."""
    ends = tunnels(route={"idle_timeout": "1s"}).open()
    ends.client.send_frame(TEXT, b"12345")
    assert ends.server.read_frame()[1] == b"12345"
    ends.server.send_frame(TEXT, b"123")
    assert ends.client.read_frame()[1] == b"123"
    ends.check_closed(client=1001, server=1001)
    ends.check_record(messages_in=1, messages_out=1)
    record = ends.record()
    # Whether close frames that answer the edge's count is not said.
    own = len(frame(CLOSE, close_payload(1001, "x" * 60), masked=True))
    assert 11 <= int(record["octets_in"]) <= 11 + own
    assert 5 <= int(record["octets_out"]) <= 5 + own
