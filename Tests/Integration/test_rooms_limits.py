"""Rooms have limits, and nobody gets beyond them, or suffers from those who try."""

import asyncio
import threading
from contextlib import suppress

import pytest

from harness.conditions import Frozen
from harness.refusals import check_refusal
from harness.room_fixtures import start  # noqa: F401
from harness.rooms import (
    Peer, asynchronous, check_refused, encoded, hear, joined, open_wire,
    read_to_close, say,
)  # fmt: skip
from harness.wire import TEXT, ask, connect, header, tunnel, upgrade_head

KIB, MIB = 1 << 10, 1 << 20
CONTINUATION = 0


@asynchronous
async def test_the_largest_message(start):
    url = start(route={"limits": {"message_size": "2KiB"}}).url("/rooms/x")
    one, two = await joined(url, 2)
    assert one.welcome["limits"]["message_size"] == 2 * KIB
    text = encoded({"type": "broadcast", "data": ""})
    largest = text.replace('""', '"%s"' % ("x" * (2 * KIB - len(text))))
    assert len(largest) == 2 * KIB
    for _ in range(3):
        await one.say(largest)
        await one.say(largest + " ")
    for _ in range(3):
        assert (await one.take("error"))["code"] == "too_large"
    await one.settle()
    await two.settle()
    assert len(two.inbox) == 3


def test_a_larger_message_in_fragments(start):
    edge = start(route={"limits": {"message_size": "2KiB"}})
    with open_wire(edge, "/rooms/x") as wire:
        for number in range(40):
            wire.send_frame(CONTINUATION if number else TEXT, b" " * 100, final=number == 39)
        assert hear(wire)["code"] == "too_large"
        say(wire, "ping", id=1)
        assert hear(wire)["type"] == "ack"


@pytest.mark.parametrize("size", ["64KiB", "1MiB"])
def test_a_message_beyond_all_measure(start, size):
    edge = start({"limits": {"outbox": "4MiB"}}, route={"limits": {"message_size": size}})
    with open_wire(edge, "/rooms/x") as wire:
        wire.send_frame(TEXT, encoded({"type": "broadcast", "data": "x" * (MIB - 100)}).encode())
        if size == "64KiB":
            assert hear(wire)["code"] == "too_large"
        say(wire, "ping", id=1)
        assert hear(wire)["type"] == "ack"
        wire.send(header(TEXT, MIB + 1, key=bytes(4)))
        sending = threading.Thread(target=send_what_goes, args=(wire, bytes(MIB + 1)), daemon=True)
        sending.start()
        frames, close = wire.read_frames_to_close()
        assert (frames, close.code) == ([], 1009)
        # Else its own close frame would stand in the middle of the message.
        sending.join(10)
        wire.answer_close(close)
        assert wire.read_to_end() == b""


def send_what_goes(wire, octets):
    with suppress(OSError):
        wire.send(octets)


@pytest.mark.parametrize("limit", ["messages", "bytes"])
@asynchronous
async def test_throttled_messages(start, limit):
    """All of them arrive, in order; the peer is told that it is too fast."""
    rate = {
        "messages": {"rate": "40/s", "burst": 5},
        "bytes": {"rate": "64KiB/s", "burst": "1KiB"},
    }[limit]
    url = start(route={"limits": {limit: rate}}).url("/rooms/x")
    one, two = await joined(url, 2)
    told = one.welcome["limits"].get("messages_per_second")
    assert told == (40 if limit == "messages" else None)
    data = "x" * (1_000 if limit == "bytes" else 1)
    for number in range(60):
        await one.post("broadcast", data=[number, data])
    await one.until(lambda: len(one.answers) == 60, "all answers")
    await two.until(lambda: len(two.inbox) == 60, "all messages")
    assert [each["data"][0] for each in two.inbox] == list(range(60))
    errors = [each for each in one.pending if each["type"] == "error"]
    assert errors and {each["code"] for each in errors} == {"rate_limited"}
    assert all(each["retry_after"] >= 0 and "seq" not in each for each in errors)


@asynchronous
async def test_flooding(start):
    limits = {"messages": {"rate": "1/m", "burst": 5, "exceed": "close"}}
    one, two = await joined(start(route={"limits": limits}).url("/rooms/x"), 2)
    for number in range(9):
        await one.send("broadcast", data=number)
    assert await one.ended() == 4008
    assert [each["code"] for each in one.pending if each["type"] == "error"] == ["flooding"]
    await two.sees()
    assert [each["data"] for each in two.inbox] == list(range(5))


def test_connections_of_a_client(start):
    edge = start(route={"limits": {"connections_per_client": 2}})
    with open_wire(edge, "/rooms/x"), open_wire(edge, "/rooms/y"):
        check_refusal(ask(edge.address, upgrade_head("/rooms/x")), 429)


@asynchronous
async def test_rooms_of_a_client(start):
    """A second peer in a room is no second room; a room that was left is none."""
    edge = start({"limits": {"rooms_per_client": 2}})
    one, two, three = (edge.url(f"/rooms/{name}") for name in ("one", "two", "three"))
    await Peer.join(one)
    peer = await Peer.join(two)
    await Peer.join(two)
    await check_refused(three, 4102, "overloaded")
    await Peer.join(one)
    await peer.close()
    await check_refused(three, 4102, "overloaded")


@asynchronous
async def test_a_room_that_a_client_has_left(start):
    edge = start({"limits": {"rooms_per_client": 1}}, workers=2)
    for name in "abcdefgh":
        peer = await Peer.join(edge.url(f"/rooms/{name}"))
        await check_refused(edge.url("/rooms/z"), 4102, "overloaded")
        await peer.send("leave")
        await peer.ended()


@asynchronous
async def test_rooms_of_a_route(start):
    edge = start({"limits": {"rooms": 2}, "empty_room_ttl": "0s"}, workers=2)
    first = await Peer.join(edge.url("/rooms/one"))
    await Peer.join(edge.url("/rooms/two"))
    await check_refused(edge.url("/rooms/three"), 4102, "overloaded")
    await Peer.join(edge.url("/rooms/two"))
    await first.close()
    await Peer.join(edge.url("/rooms/three"))


@asynchronous
async def test_peers_of_a_route(start):
    edge = start({"limits": {"peers": 3}}, workers=2)
    await joined(edge.url("/rooms/one"), 2)
    last = await Peer.join(edge.url("/rooms/two"))
    await check_refused(edge.url("/rooms/one"), 4102, "overloaded")
    await check_refused(edge.url("/rooms/three"), 4102, "overloaded")
    await last.close()
    await Peer.join(edge.url("/rooms/one"))


@asynchronous
async def test_peers_of_a_room(start):
    url = start({"max_peers": 3}).url("/rooms/x")
    peers = await joined(url, 3)
    assert peers[0].room["max_peers"] == 3
    await check_refused(url, 4100, "room_full")
    # A place that is kept is taken.
    peers[0].cut()
    await check_refused(url, 4100, "room_full")
    assert (await peers[0].resume())["resumed"]
    await peers[0].close()
    await Peer.join(url)


LIMITED = {
    "peers of a room": ({"max_peers": 3}, lambda number: "x", 4100, 3),
    "peers of a route": ({"limits": {"peers": 3}}, lambda number: f"x{number % 2}", 4102, 3),
    "rooms of a route": ({"limits": {"rooms": 3}}, lambda number: f"x{number}", 4102, 3),
    "rooms of a client": (
        {"limits": {"rooms_per_client": 3}}, lambda number: f"x{number}", 4102, 3
    ),
}  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("limit", LIMITED)
def test_limits_hold_for_those_who_come_at_once(start, limit, workers):
    rooms, name, code, count = LIMITED[limit]
    edge = start(rooms, workers=workers)
    with Frozen(edge):
        wires = [connect(edge.address) for _ in range(12)]
        for number, wire in enumerate(wires):
            wire.send(upgrade_head(f"/rooms/{name(number)}"))
    told = []
    for wire in wires:
        assert wire.read_response().status == 101
        message = hear(wire)
        told.append(message["type"])
        if message["type"] == "error":
            assert message["code"] in ("overloaded", "room_full")
            assert read_to_close(wire)[1].code == code
    for wire in wires:
        wire.close()
    assert told.count("welcome") == count, told


@pytest.fixture
def with_deaf(start, tmp_path):
    """`with_deaf(rooms, **route)`: an edge, and where a peer connects that will not read.

    That is a unix socket: its kernel holds little.
    """

    def run(rooms, **route):
        listeners = [{"address": "127.0.0.1:0"}, {"address": f"unix:{tmp_path / 'edge.sock'}"}]
        edge = start(rooms, route=route, listeners=listeners)
        return edge, next(each for each in edge.addresses if each.startswith("unix:"))

    return run


@asynchronous
async def test_a_peer_that_reads_nothing(with_deaf):
    """It is closed before long, and its room mates go on all the while."""
    edge, place = with_deaf(
        {"limits": {"outbox": "64KiB"}, "resume_window": "1s"}, limits={"message_size": "32KiB"}
    )
    one, two = await joined(edge.url("/rooms/x"), 2)
    deaf = tunnel(place, "/rooms/x")
    deaf_id = (await asyncio.to_thread(hear, deaf))["peer"]
    await one.until(lambda: deaf_id in one.roster, "the deaf one")
    # What kernels hold differs; it ends when the edge has nowhere to put more.
    count = 0
    while (await one.ask("broadcast", data=[count, "x" * 16 * KIB]))["delivered"]:
        count += 1
        assert count < 1_000, "the deaf peer is still there"
    assert (await one.take("left", peer=deaf_id))["reason"] == "timeout"
    await two.until(lambda: len(two.inbox) == count + 1, "all messages")
    assert [each["data"][0] for each in two.inbox] == list(range(count + 1))
    await two.acknowledged("signal", to=one.id, kind="custom", data="still here")
    # Its kernel has whole messages, and the reason may come behind them; and then an end.
    assert await asyncio.to_thread(deaf.finish) in (4102, None)
    deaf.close()
    record = await asyncio.to_thread(edge.wait_for, "peer", peer=deaf_id)
    assert (record["reason"], record["close_code"]) == ("outbox", 4102), record


@asynchronous
async def test_a_peer_that_takes_nothing_for_too_long(with_deaf):
    """Of much that waits for it, if less than an outbox holds."""
    rooms = {"resume_window": "0s", "limits": {"outbox": "64MiB"}}
    edge, place = with_deaf(rooms, stall_timeout="1s", heartbeat="off")
    one, two = await joined(edge.url("/rooms/x"), 2)
    deaf = tunnel(place, "/rooms/x")
    deaf_id = (await asyncio.to_thread(hear, deaf))["peer"]
    await one.until(lambda: deaf_id in one.roster, "the deaf one")
    for _ in range(100):
        await one.ask("signal", to=deaf_id, kind="custom", data="x" * 32 * KIB)
    assert (await two.take("left", peer=deaf_id))["reason"] == "timeout"
    deaf.close()
    record = await asyncio.to_thread(edge.wait_for, "peer", peer=deaf_id)
    assert (record["reason"], record["close_code"]) == ("stall", 4102), record
