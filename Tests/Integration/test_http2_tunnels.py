"""Tunnels over HTTP/2: they live, are limited, seen and ended as those over HTTP/1.1 are."""

import time
from contextlib import suppress

import pytest
from hyperframe.frame import HeadersFrame
from test_closing import TABLE

from harness import http2, tokens
from harness.admin import ANYWHERE, Admin, metric
from harness.conditions import eventually
from harness.ends import SIDES, HeldBackend
from harness.http2 import LISTENERS, check_refusal, client
from harness.http2_frames import frames
from harness.rooms import SUBPROTOCOL, hear, open_wire, query_of, say
from harness.rooms import configuration as rooms_configuration
from harness.edge import Edge, configuration
from harness.wire import BINARY, PING, PONG, TEXT, close_payload, frame, header

JWT = {"keys": [{"algorithm": "HS256", "secret": tokens.SECRET}]}
VERSIONS = ["1.1", "2"]


@pytest.fixture
def open_tunnel(tunnels, enter):
    """`open_tunnel(**settings)`: both ends of a tunnel over HTTP/2, and the connection."""

    def start(target="/", *, version="2", fields=(), **settings):
        held = tunnels(listeners=LISTENERS, **settings)
        if version == "1.1":
            ends = held.open(target, fields=fields)
        else:
            connection = enter(client(held.edge.address))
            ends = http2.ends(held, connection.tunnel(target, fields=fields))
            ends.connection = connection
        ends.held = held
        return ends

    return start


# MARK: Ends


@pytest.mark.parametrize(("route", "act", "client", "server", "reason"), TABLE.values(), ids=TABLE)
def test_the_edge_ends_it(open_tunnel, route, act, client, server, reason):
    """Limits, heartbeat, idleness and lifetime, as over HTTP/1.1."""
    ends = open_tunnel(route=route)
    act(ends)
    closes = {}
    for side in SIDES:
        frames, closes[side] = ends[side].read_frames_to_close()
        assert all(each.opcode in (BINARY, PING) for each in frames)
    assert (closes["client"].code, closes["server"].code) == (client, server)
    for side in SIDES:
        with suppress(OSError):
            ends[side].answer_close(closes[side])
    for side in SIDES:
        assert ends[side].read_to_end() == b"", f"something came to the {side} behind its end"
    ends.check_record(reason=reason, closed_by="edge", close_code=(client, server), http="2")
    ends.connection.round_trip()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("code", [1000, 1001, 4321, None])
def test_close_handshake(open_tunnel, side, code):
    """Passed on as it is; behind it END_STREAM, and no reset."""
    ends = open_tunnel()
    payload = close_payload(code, "a reason" if code else "")
    for each in (ends[side], ends.across(side)):
        each.send_frame(8, payload)
        other = ends.across(side) if each is ends[side] else ends[side]
        assert other.read_close().payload == payload
    ends.server.shutdown_write()
    ends.client.await_end()
    ends.client.shutdown_write()
    ends.connection.round_trip()
    assert ends.client.code is None, "the stream was reset behind its end"
    closer = {"client": "downstream", "server": "upstream"}[side]
    ends.check_record(closed_by=closer, reason="closed", close_code=code or 1005)


def test_a_client_that_does_not_confirm_the_end(open_tunnel):
    """It has closed, but never sends END_STREAM: its stream is reset without error in the end."""
    ends = open_tunnel()
    ends.client.send_close(1000)
    ends.server.answer_close(ends.server.read_close())
    ends.client.await_end()
    begin = time.monotonic()
    assert ends.client.reset_code() == http2.ErrorCodes.NO_ERROR
    assert time.monotonic() - begin < 8
    ends.connection.tunnel()


def leave_by_end(ends):
    ends.client.shutdown_write()


def leave_by_reset(ends):
    ends.client.reset()


def leave_by_loss(ends):
    if hasattr(ends, "connection"):
        ends.connection.wire.reset()
    else:
        ends.client.reset()


def server_leaves_by_end(ends):
    ends.server.shutdown_write()


def server_leaves_by_reset(ends):
    ends.server.reset()


@pytest.mark.parametrize("leave", [leave_by_end, leave_by_reset, leave_by_loss])
def test_a_client_that_leaves_without_a_close(open_tunnel, leave):
    """The server is told the same as by a client of HTTP/1.1, and the record says the same."""
    seen = []
    for version in VERSIONS:
        ends = open_tunnel(version=version)
        ends.check_passes()
        leave(ends)
        code = ends.server.finish()
        ends.server.close()
        record = ends.record()
        seen.append((code, *(record[key] for key in ("closed_by", "reason", "close_code"))))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("leave", [leave_by_reset, leave_by_loss])
def test_a_client_that_is_gone_behind_its_end(open_tunnel, leave):
    """A server that goes on talking learns of it."""
    ends = open_tunnel(route={"heartbeat": "off"})
    ends.client.shutdown_write()
    ends.server.send_frame(TEXT, b"is anybody there?")
    assert ends.client.read_frame()[1] == b"is anybody there?"
    leave(ends)

    def is_told():
        try:
            ends.server.send_frame(TEXT, b"or not?")
        except OSError:
            return True
        return False

    eventually(is_told, "the server's connection to end", 20)


def test_fields_on_the_stream_of_a_tunnel(open_tunnel, enter):
    """RFC 9113 §8.5: nothing but content is sent there, and what else comes breaks the stream."""
    held = open_tunnel().held
    peer = enter(frames(held.edge.address))
    peer.connect(1)
    assert peer.next(HeadersFrame, 1)
    server = held.backend.take()
    peer.send(peer.head(1, [("x-sum", "7")]))
    assert peer.answer(1) == http2.ErrorCodes.PROTOCOL_ERROR
    server.read_to_end()
    assert peer.is_alive()


@pytest.mark.parametrize("leave", [server_leaves_by_end, server_leaves_by_reset])
def test_a_server_that_leaves_without_a_close(open_tunnel, leave):
    """The client is told the same as over HTTP/1.1: a close frame, and the end of its stream."""
    seen = []
    for version in VERSIONS:
        ends = open_tunnel(version=version)
        ends.check_passes()
        leave(ends)
        code = ends.client.finish()
        ends.client.shutdown_write()
        record = ends.record()
        seen.append((code, *(record[key] for key in ("closed_by", "reason", "close_code"))))
    assert seen[0] == seen[1]
    ends.connection.round_trip()


def test_octets_before_a_clients_end(open_tunnel):
    """END_STREAM overtakes nothing."""
    ends = open_tunnel()
    ends.client.send_frame(BINARY, b"x" * 60_000)
    ends.client.shutdown_write()
    assert ends.server.read_frame() == (BINARY, b"x" * 60_000, True)


def test_octets_before_a_servers_end(open_tunnel):
    ends = open_tunnel()
    ends.server.send(frame(BINARY, b"y" * 900_000) + frame(8, close_payload(1000)))
    ends.server.shutdown_write()
    assert ends.client.read_frame() == (BINARY, b"y" * 900_000, True)
    assert ends.client.read_close().code == 1000
    ends.client.send_close(1000)
    assert ends.client.read_to_end() == b""
    assert ends.client.socket.has_ended and ends.client.code is None


def test_the_end_of_one_is_none_of_the_others(open_tunnel):
    ends = open_tunnel()
    other = http2.ends(ends.held, ends.connection.tunnel())
    leave_by_reset(ends)
    ends.server.finish()
    other.check_passes()
    other.server.reset()
    other.client.finish()
    http2.ends(ends.held, ends.connection.tunnel()).check_passes()


# MARK: What passes


def test_messages_in_pieces(open_tunnel):
    """Frames of HTTP/2 have nothing to do with those of the WebSocket."""
    ends = open_tunnel()
    sent = frame(TEXT, b"a", masked=True) + frame(BINARY, b"b" * 300, masked=True)
    for octet in sent:
        ends.client.send(bytes([octet]))
    assert ends.server.read_frame() == (TEXT, b"a", True)
    assert ends.server.read_frame() == (BINARY, b"b" * 300, True)
    ends.server.send(b"".join(frame(TEXT, b"%d" % number) for number in range(1_000)))
    for number in range(1_000):
        assert ends.client.read_frame() == (TEXT, b"%d" % number, True)


def test_empty_data_frames_are_nothing(open_tunnel):
    ends = open_tunnel()
    for _ in range(5):
        ends.connection.h2.send_data(ends.client.number, b"")
    ends.connection.flush()
    ends.check_passes()


def test_padding_is_no_content(open_tunnel):
    ends = open_tunnel()
    octets = frame(TEXT, b"padded", masked=True)
    ends.connection.h2.send_data(ends.client.number, octets, pad_length=200)
    ends.connection.flush()
    assert ends.server.read_frame() == (TEXT, b"padded", True)


@pytest.mark.parametrize("side", SIDES)
def test_throttled_octets_arrive_as_they_were(open_tunnel, side):
    limits = {"bytes": {"rate": "512KiB/s", "burst": "64KiB", "from": side}}
    ends = open_tunnel(route={"limits": limits})
    sent = b"".join(frame(BINARY, b"%05d" % n * 200, masked=side == "client") for n in range(1_000))
    begin = time.monotonic()
    ends[side].send(sent)
    for number in range(1_000):
        assert ends.across(side).read_frame()[1] == b"%05d" % number * 200
    assert time.monotonic() - begin > 1.5
    ends.connection.round_trip()


def test_heartbeat_is_answered_by_the_client(open_tunnel):
    ends = open_tunnel(route={"heartbeat": {"interval": "1s", "timeout": "2s"}})
    for _ in range(2):
        ping = ends.client.read_whole_frame()
        assert ping.opcode == PING
        ends.client.send_frame(PONG, ping.payload)
    ends.check_passes()


def test_a_client_that_opens_no_window_is_a_slow_peer(open_tunnel):
    """`stall_timeout` holds for a stream, too: it is closed, and its connection goes on."""
    ends = open_tunnel(route={"stall_timeout": "1s", "heartbeat": "off"})
    ends.client.socket.opens_window = False
    ends.server.socket.settimeout(30)
    with suppress(OSError):
        while True:
            ends.server.socket.setblocking(False)
            ends.server.socket.send(frame(BINARY, bytes(60_000)))
            ends.connection.turn(0.001)
    ends.server.socket.settimeout(10)
    ends.check_record(reason="stall", closed_by="edge")
    http2.ends(ends.held, ends.connection.tunnel()).check_passes()


def test_a_token_that_expires(open_tunnel):
    token = tokens.hs256(tokens.claims(exp=int(time.time()) - 28))
    fields = [("authorization", f"Bearer {token}")]
    ends = open_tunnel(route={"auth": {"jwt": JWT}}, fields=fields)
    ends.check_closed(client=1008, server=1001, reason="token_expired")


# MARK: What is known of it


def test_the_record(open_tunnel):
    ends = open_tunnel("/room?x=1")
    sent = frame(TEXT, b"fourteen", masked=True)
    ends.client.send(sent)
    ends.server.read_frame()
    ends.server.send_frame(TEXT, b"four")
    ends.client.read_frame()
    ends.client.send_close(1000)
    ends.server.answer_close(ends.server.read_close())
    ends.client.read_to_end()
    record = ends.record()
    assert (record["http"], record["method"], record["target"]) == ("2", "CONNECT", "/room?x=1")
    assert (record["route"], record["host"], record["client"]) == ("chat", "localhost", "127.0.0.1")
    close = len(frame(8, close_payload(1000)))
    assert int(record["octets_in"]) == len(sent) + close + 4
    assert int(record["octets_out"]) == len(frame(TEXT, b"four")) + close
    assert (int(record["messages_in"]), int(record["messages_out"])) == (1, 1)
    assert (record["closed_by"], record["reason"]) == ("downstream", "closed")


def test_operators_see_and_close_it(open_tunnel):
    ends = open_tunnel(admin=ANYWHERE)
    admin = Admin(ends.edge)
    other = http2.ends(ends.held, ends.connection.tunnel())
    ends.client.send_frame(BINARY, bytes(1_000))
    ends.server.read_frame()
    listed = admin.get("/connections", sort="octets").json
    assert listed["total"] == 2
    first = listed["connections"][0]
    assert first["client"] == "127.0.0.1" and first["octets_in"] > 1_000
    answer = admin.delete(f"/connections/{first['id']}", code=4001, reason="go away")
    assert answer.status == 202
    close = ends.client.read_close()
    assert (close.code, close.reason) == (4001, "go away")
    ends.client.answer_close(close)
    ends.server.finish()
    assert ends.client.read_to_end() == b""
    ends.check_record(reason="operator", closed_by="edge")
    other.check_passes()
    assert admin.get("/connections").json["total"] == 1


def test_sticky_cookie(enter):
    """The cookie of the 200 leads the next streams to the same server."""
    backends = [enter(HeldBackend()), enter(HeldBackend())]
    settings = configuration(
        *(each.url for each in backends), listeners=LISTENERS, upstream={"sticky_cookie": {}}
    )
    connection = enter(client(enter(Edge(settings)).address))
    cookie = connection.tunnel().response_head["set-cookie"].partition(";")[0]
    for _ in range(6):
        connection.tunnel(fields=[("cookie", cookie)])
    assert sorted(len(each.requests) for each in backends) == [0, 7]


def test_it_is_counted(open_tunnel):
    ends = open_tunnel(admin=ANYWHERE)
    admin = Admin(ends.edge)
    ends.connection.tunnel()
    ends.connection.ask("/")
    metrics = admin.metrics()
    assert metric(metrics, "sluice_http2_connections_total") == 1
    assert metric(metrics, "sluice_http2_streams_total") == 3
    assert metric(metrics, "sluice_http2_faults_total") == 0


# MARK: Rooms


def open_room(connection, path, **greeting):
    """A peer over a stream that has its welcome, which stands in `welcome`."""
    target = path + ("?" + query_of(greeting) if greeting else "")
    stream = connection.tunnel(target, fields=[("sec-websocket-protocol", SUBPROTOCOL)])
    assert stream.response_head["sec-websocket-protocol"] == SUBPROTOCOL
    stream.welcome = hear(stream)
    assert stream.welcome["type"] == "welcome", stream.welcome
    return stream


@pytest.fixture
def rooms(enter):
    edge = enter(Edge(rooms_configuration(listeners=LISTENERS, workers=2)))
    connection = enter(client(edge.address))
    connection.edge = edge
    return connection


def test_peers_of_both_versions_in_one_room(rooms, enter):
    """They hear of each other, and what one sends the others get."""
    one = open_room(rooms, "/rooms/mixed", name="one")
    two = enter(open_wire(rooms.edge, "/rooms/mixed", name="two"))
    assert hear(one, "joined")["name"] == "two"
    three = open_room(rooms, "/rooms/mixed", name="three")
    assert {each["name"] for each in three.welcome["peers"]} == {"one", "two"}
    say(one, "signal", to=two.welcome["peer"], kind="offer", data="sdp", generation=0)
    assert hear(two, "signal")["from"] == one.welcome["peer"]
    say(two, "broadcast", data="to all")
    for each in (one, three):
        assert hear(each, "broadcast")["data"] == "to all"
    say(three, "ping", id=7)
    assert hear(three, "ack")["id"] == 7


def test_leaving_a_room(rooms, enter):
    one = open_room(rooms, "/rooms/leaving")
    two = enter(open_wire(rooms.edge, "/rooms/leaving"))
    one.send_close(1000)
    one.read_frames_to_close()
    assert one.read_to_end() == b"" and one.socket.has_ended
    left = hear(two, "left")
    assert (left["peer"], left["reason"]) == (one.welcome["peer"], "closed")


def test_a_place_is_resumed_over_another_version(rooms, enter):
    one = open_room(rooms, "/rooms/resumed")
    two = enter(open_wire(rooms.edge, "/rooms/resumed"))
    hear(one, "joined")
    rooms.wire.reset()
    say(two, "broadcast", data="meanwhile")
    again = enter(
        open_wire(rooms.edge, "/rooms/resumed", resume=one.welcome["resume"], seq=0)
    )
    assert again.welcome["resumed"] and again.welcome["peer"] == one.welcome["peer"]
    assert hear(again, "broadcast")["data"] == "meanwhile"


def test_a_peer_that_opens_no_window_is_shed(rooms, enter):
    """What waits for it is bounded (4102); who shares its connection is not touched."""
    deaf = open_room(rooms, "/rooms/shed")
    mate = open_room(rooms, "/rooms/elsewhere")
    loud = enter(open_wire(rooms.edge, "/rooms/shed"))
    deaf.socket.opens_window = False
    for number in range(60):
        say(loud, "broadcast", data="x" * 30_000)
    say(loud, "ping", id=1)
    assert hear(loud, "ack")["id"] == 1
    rooms.wait(lambda: deaf.socket.is_over, "the end of the deaf one")
    say(mate, "ping", id=2)
    assert hear(mate, "ack")["id"] == 2


def test_refusals_of_rooms(rooms):
    check_refusal(rooms.connect("/rooms/").answer(), 404)


def test_a_frame_that_breaks_the_rules(rooms):
    peer = open_room(rooms, "/rooms/broken")
    peer.send(header(3, 0, key=bytes(4)))
    assert peer.read_frames_to_close()[1].code == 1002
    rooms.round_trip()
