"""Rooms as WebSockets: frames good and broken, and how connections end."""

import asyncio

import pytest

from harness.conditions import eventually
from harness.room_fixtures import edge, path, start, url  # noqa: F401
from harness.rooms import (
    asynchronous, encoded, hear, joined, open_wire, read_to_close, say,
)  # fmt: skip
from harness.wire import (
    BINARY, CLOSE, PING, PONG, TEXT, close_payload, connect, frame, header, upgrade_head,
)  # fmt: skip

CONTINUATION = 0


# MARK: Frames


def test_fragments_and_pings_between(edge, path):
    with open_wire(edge, path) as one, open_wire(edge, path) as two:
        text = encoded({"type": "broadcast", "data": "é" * 1_000}).encode()
        parts = [text[at : at + 7] for at in range(0, len(text), 7)]
        for number, part in enumerate(parts):
            final = number == len(parts) - 1
            one.send_frame(CONTINUATION if number else TEXT, part, final=final)
            if number % 50 == 0:
                one.send_frame(PING, b"between")
        assert hear(two)["data"] == "é" * 1_000
        pongs = [one.read_whole_frame() for _ in range((len(parts) + 49) // 50 + 1)]
        assert [each.payload for each in pongs if each.opcode == PONG] == [b"between"] * (
            (len(parts) + 49) // 50
        )


def test_pings_are_answered(edge, path):
    with open_wire(edge, path) as wire:
        for payload in (b"", b"x", bytes(range(125))):
            wire.send_frame(PING, payload)
            assert wire.read_frame() == (PONG, payload, True)
        wire.send_frame(PONG, b"unasked")
        say(wire, "ping", id=1)
        assert hear(wire)["type"] == "ack"


def test_many_messages_in_one_segment(edge, path):
    with open_wire(edge, path) as one, open_wire(edge, path) as two:
        texts = [encoded({"type": "broadcast", "data": number}).encode() for number in range(200)]
        one.send(b"".join(frame(TEXT, text, masked=True) for text in texts))
        assert [hear(two)["data"] for _ in texts] == list(range(200))


def test_messages_behind_the_request(edge, path):
    """A client need not wait for the 101 (it knows no key, but it may)."""
    with open_wire(edge, path) as host, connect(edge.address) as wire:
        text = encoded({"type": "broadcast", "data": "early"}).encode()
        wire.send(upgrade_head(path) + frame(TEXT, text, masked=True))
        assert wire.read_response().status == 101
        assert hear(wire)["type"] == "welcome"
        assert hear(host, "broadcast")["data"] == "early"


def test_a_message_octet_by_octet(edge, path):
    with open_wire(edge, path) as one, open_wire(edge, path) as two:
        text = encoded({"type": "broadcast", "data": "slow"}).encode()
        for octet in frame(TEXT, text, masked=True):
            one.send(bytes([octet]))
            eventually(lambda: one.is_taken, "the edge to take an octet")
        assert hear(two)["data"] == "slow"


def test_binary_messages_are_refused(edge, path):
    with open_wire(edge, path) as wire:
        wire.send_frame(BINARY, b'{"type":"ping","id":1}')
        assert read_to_close(wire)[1].code == 1003


@pytest.mark.parametrize(
    "octets", [b"\xff", b'{"type":"ping","id":"\xc3"}', b"\xed\xa0\x80", b"\xc0\x80"]
)
def test_text_that_is_not_utf_8(edge, path, octets):
    with open_wire(edge, path) as wire:
        wire.send_frame(TEXT, octets)
        assert read_to_close(wire)[1].code == 1007


BROKEN = {
    "unmasked": frame(TEXT, b"{}"),
    "a reserved bit": header(TEXT, 2, reserved=4, key=bytes(4)) + b"{}",
    "a reserved opcode": header(3, 0, key=bytes(4)),
    "a continuation of nothing": header(CONTINUATION, 0, key=bytes(4)),
    "a fragmented ping": header(PING, 0, final=False, key=bytes(4)),
    "a long ping": header(PING, 126, key=bytes(4)) + bytes(126),
    "a length in too many octets": header(TEXT, 2, form=8, key=bytes(4)) + b"{}",
    "a close code of one octet": header(CLOSE, 1, key=bytes(4)) + b"x",
    "a close code that may not be": frame(CLOSE, close_payload(1005), masked=True),
    "two beginnings": frame(TEXT, b"{", final=False, masked=True) + frame(TEXT, b"}", masked=True),
}


@pytest.mark.parametrize("octets", BROKEN.values(), ids=BROKEN)
def test_broken_framing(edge, path, octets):
    with open_wire(edge, path) as mate, open_wire(edge, path) as wire:
        wire.send(octets)
        assert read_to_close(wire)[1].code == 1002
        say(mate, "ping", id=1)
        assert hear(mate, "ack")["id"] == 1


# MARK: Ends


@asynchronous
async def test_leaving(url):
    one, two = await joined(url, 2)
    await one.send("leave")
    assert await one.ended() == 1000
    message = await two.take("left")
    assert set(message) == {"type", "version", "peer", "reason"}
    assert (message["peer"], message["reason"]) == (one.id, "closed")


@asynchronous
async def test_leaving_with_an_id(url):
    """The place is gone, whatever becomes of the answer."""
    one, two = await joined(url, 2)
    await one.post("leave")
    assert await one.ended() == 1000
    assert (await two.take("left", peer=one.id))["reason"] == "closed"


@asynchronous
async def test_a_close_frame_with_1000_leaves(url):
    one, two = await joined(url, 2)
    await one.close(1000)
    assert (await two.take("left", peer=one.id))["reason"] == "closed"


@pytest.mark.parametrize("code", [1001, 1011, 3000, 4999, None])
def test_other_close_frames_keep_the_place(edge, path, code):
    with open_wire(edge, path) as mate, open_wire(edge, path) as wire:
        assert hear(mate)["type"] == "joined"
        wire.send_close(code)
        assert wire.read_close().code in (code, 1000, None)
        wire.read_to_end()
        with open_wire(edge, path, resume=wire.welcome["resume"], seq=0) as again:
            assert again.welcome["resumed"] and again.welcome["peer"] == wire.welcome["peer"]
        say(mate, "ping", id=1)
        assert hear(mate)["type"] == "ack", "the mate was told of something"


def test_a_close_frame_is_answered_with_its_code(edge, path):
    with open_wire(edge, path) as wire:
        wire.send_close(1000, "bye")
        assert wire.read_close().code == 1000
        assert wire.read_to_end() == b""


@pytest.fixture
def beating(start):
    return start(
        {"resume_window": "1s"}, route={"heartbeat": {"interval": "1s", "timeout": "1s"}}
    )


@asynchronous
async def test_a_silent_peer_is_asked(beating):
    one, two = await joined(beating.url("/rooms/x"), 2)
    assert one.welcome["heartbeat"] == 1_000
    wire = open_wire(beating, "/rooms/x")
    left = asyncio.create_task(one.take("left", peer=wire.welcome["peer"], reason="timeout"))

    def listen():
        frames, close = wire.read_frames_to_close()
        return [each.opcode for each in frames if each.opcode != TEXT], close.code

    # It never answers; the others, which do, go on.
    assert await asyncio.to_thread(listen) == ([PING], 1001)
    wire.close()
    await left
    await one.sees(two)
    await two.settle()
