"""Rooms under a crowd: many at once, who all see the same; those who babble; those who shout."""

import asyncio
import json
import os
import random
import struct
import time
from contextlib import suppress

import pytest

from harness.room_fixtures import start  # noqa: F401
from harness.rooms import View, asynchronous, encoded, joined, query_of
from harness.wire import CLOSE, PING, PONG, TEXT, frame, header, upgrade_head

ROOMS, PEERS, OPERATIONS = 1_000, 4, 12
AT_ONCE = 100
PATIENCE = 60


def seeded(name):
    seed = int(os.environ.get(name, random.randrange(1 << 32)))
    print(f"again with {name}={seed}")
    return random.Random(seed)


class Line(asyncio.Protocol):
    """One connection of a `LeanPeer`."""

    def __init__(self, peer):
        self.peer, self.buffer, self.has_head = peer, b"", False

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, _):
        if self.peer.line is self:
            self.peer.line = None
            self.peer.wake()

    def data_received(self, octets):
        if self.peer.line is not self:
            return
        try:
            self.take(self.buffer + octets)
        except Exception as fault:
            self.peer.fault = self.peer.fault or fault
        self.peer.wake()

    def take(self, octets):
        if not self.has_head:
            head, mark, rest = octets.partition(b"\r\n\r\n")
            if not mark:
                self.buffer = octets
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.has_head, octets = True, rest
        at = 0
        while len(octets) - at >= 2:
            count, start = octets[at + 1], at + 2
            if count >= 126:
                start += 2 if count == 126 else 8
                count = int.from_bytes(octets[at + 2 : start], "big")
            if len(octets) < start + count:
                break
            self.handle(octets[at] & 15, octets[start : start + count])
            at = start + count
        self.buffer = octets[at:]

    def handle(self, opcode, payload):
        if opcode == TEXT:
            self.peer.apply(json.loads(payload))
        elif opcode == PING:
            self.transport.write(frame(PONG, payload, masked=True))
        elif opcode == CLOSE:
            self.transport.write(frame(CLOSE, payload, masked=True))
            self.peer.close_code = struct.unpack("!H", payload[:2])[0]


class LeanPeer(View):
    """A peer on a bare socket, since there are thousands. `line` is its live connection."""

    def __init__(self, port, room):
        super().__init__()
        self.port, self.room_name = port, room
        self.truth = {"role": "member"}
        self.number, self.wakers = 0, []
        self.line = self.fault = self.close_code = None

    @property
    def is_closed(self):
        return self.line is None

    async def enter(self, **greeting):
        before, loop = self.welcome, asyncio.get_running_loop()
        self.line = Line(self)
        await loop.create_connection(lambda: self.line, "127.0.0.1", self.port)
        target = f"/rooms/{self.room_name}?{query_of(greeting)}"
        self.line.transport.write(upgrade_head(target))
        await self.until(lambda: self.welcome is not before, "a welcome")

    async def resume(self):
        await self.enter(resume=self.resume_name, seq=self.seen)
        assert self.welcome["resumed"]

    def wake(self):
        for waker in self.wakers:
            if not waker.done():
                waker.set_result(None)
        self.wakers.clear()

    async def until(self, condition, what):
        async with asyncio.timeout(PATIENCE):
            while True:
                if self.fault:
                    raise AssertionError(f"{self.id} in {self.room_name}") from self.fault
                if condition():
                    return
                assert not self.is_closed, f"{self.id} was closed before {what}"
                waker = asyncio.get_running_loop().create_future()
                self.wakers.append(waker)
                await waker

    def send(self, kind, /, **members):
        octets = encoded({"type": kind} | members).encode()
        self.line.transport.write(header(TEXT, len(octets), key=bytes(4)) + octets)

    async def ask(self, kind, /, **members):
        self.number += 1
        number = self.number
        self.send(kind, id=number, **members)
        await self.until(lambda: number in self.answers, f"the answer to {kind}")
        assert self.answers[number]["type"] == "ack", self.answers[number]

    def cut(self):
        if self.line:
            self.line.transport.abort()
            self.line = None

    async def leave(self):
        self.send("leave")
        with suppress(AssertionError):
            await self.until(lambda: self.is_closed, "its end")
        assert self.close_code == 1000


class CrowdedRoom:
    """A room, and what is true of it."""

    def __init__(self, port, number, chance):
        self.port, self.name, self.chance = port, f"crowd-{number}", chance
        self.peers, self.count, self.left = [], 0, 0
        self.said = {}

    async def add(self):
        peer = LeanPeer(self.port, self.name)
        self.count += 1
        await peer.enter(name=f"n{self.count}")
        peer.truth = {"role": "member", "name": f"n{self.count}"}
        self.peers.append(peer)

    async def fill(self):
        for _ in range(PEERS):
            await self.add()

    async def churn(self):
        for _ in range(OPERATIONS):
            peer = self.chance.choice(self.peers)
            match self.chance.randrange(7):
                case 0 if len(self.peers) < 2 * PEERS:
                    await self.add()
                case 1 if len(self.peers) > 2:
                    self.peers.remove(peer)
                    self.left += 1
                    await peer.leave()
                case 2:
                    peer.cut()
                    await peer.resume()
                case 3:
                    # A page is loaded anew: the same id, another life.
                    peer.cut()
                    peer.answers, peer.inbox = {}, []
                    self.said.pop(peer.id, None)
                    await peer.enter(resume=peer.resume_name)
                    peer.truth = {"role": "member"}
                case 4:
                    meta = {"step": self.chance.randrange(1_000)}
                    peer.truth = peer.truth | {"meta": meta}
                    await peer.ask("update", meta=meta)
                case 5 if len(self.peers) > 1:
                    to = self.chance.choice([each for each in self.peers if each is not peer])
                    await self.say(peer, [to], "signal", to=to.id, kind="custom")
                case _:
                    to = [each for each in self.peers if each is not peer]
                    await self.say(peer, to, "broadcast")

    async def say(self, peer, listeners, kind, /, **members):
        self.count += 1
        for each in listeners:
            self.said.setdefault(each.id, []).append(self.count)
        await peer.ask(kind, data=self.count, **members)

    async def check(self):
        for peer in self.peers:
            truth = {each.id: each.truth for each in self.peers if each is not peer}
            await peer.until(lambda: peer.roster == truth, f"the roster {truth}")
            said = self.said.get(peer.id, [])
            await peer.until(lambda: len(peer.inbox) >= len(said), "what was said")
            assert [each["data"] for each in peer.inbox] == said, (peer.id, self.name)
            assert peer.doubles == 0 and not peer.is_closed


async def all_of(rooms, work, at_once=AT_ONCE):
    """Does this to all rooms, some at a time."""
    gate = asyncio.Semaphore(at_once)

    async def run(room):
        async with gate:
            await work(room)

    await asyncio.gather(*(run(room) for room in rooms))


@pytest.mark.timeout(240)
def test_a_thousand_rooms(start):
    """They come, go, are cut off, come back and talk; in the end, each knows the truth."""
    chance = seeded("CROWD_SEED")
    edge = start(workers=2, log={"access": False})
    before = edge.descriptor_count
    rooms = [
        CrowdedRoom(edge.port, number, random.Random(chance.random())) for number in range(ROOMS)
    ]

    async def run():
        try:
            await all_of(rooms, CrowdedRoom.fill)
            assert edge.descriptor_count >= before + ROOMS * PEERS
            await all_of(rooms, CrowdedRoom.churn)
            await all_of(rooms, CrowdedRoom.check)
            assert sum(room.left for room in rooms) > ROOMS / 10
            await all_of(rooms, lambda room: asyncio.gather(*(p.leave() for p in room.peers)))
        finally:
            for room in rooms:
                for peer in room.peers:
                    peer.cut()

    asyncio.run(run())
    asyncio.run(is_empty(edge, before))


async def is_empty(edge, descriptors):
    async with asyncio.timeout(20):
        while edge.descriptor_count > descriptors + 2:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
@asynchronous
async def test_a_room_as_large_as_it_may_be(start):
    """A thousand peers of one room: each is told of all the others."""
    count = 1_000
    edge = start({"max_peers": count}, workers=2, log={"access": False})
    peers = [LeanPeer(edge.port, "hall") for _ in range(count)]
    try:
        for at in range(0, count, 50):
            await asyncio.gather(*(peer.enter(name="n") for peer in peers[at : at + 50]))
        for peer in peers:
            await peer.until(lambda: len(peer.roster) == count - 1, "all others")
        ids = {peer.id for peer in peers}
        assert all(set(peer.roster) == ids - {peer.id} for peer in peers)
        await peers[0].ask("broadcast", data="to all")
        for peer in peers[1:]:
            await peer.until(lambda: peer.inbox, "the message")
        for peer in peers[1:]:
            peer.send("leave")
        await peers[0].until(lambda: not peers[0].roster, "all to be gone")
    finally:
        for peer in peers:
            peer.cut()


# MARK: Babble

VALID = [
    '{"type":"signal","to":"%s","kind":"offer","data":{"sdp":"v=0"},"generation":3,"id":"a"}',
    '{"type":"broadcast","data":[1,-2.5e3,"\\u00e9",null,true],"id":7}',
    '{"type":"update","name":"Ada","meta":{"a":{"b":[1,2,3]}},"id":"u"}',
    '{"type":"token","token":"a.b.c"}',
    '{"type":"ping","id":9007199254740991}',
    '{"type":"kick","peer":"%s","reason":"x","ban_for":10}',
    '{"type":"room","meta":{"x":1},"max_peers":2}',
    '{"type":"role","peer":"%s","role":"host"}',
    '{"type":"lock","locked":true}',
    '{"type":"join","name":"x","resume":"%s","seq":1}',
]
PIECES = [
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u", b"\\ud800", b"\0", b"\xff", b"\xc3",
    b"1e999999", b"-", b"0" * 400, b"9" * 400, b"null", b'"type"', b'"id":', b"\xf0\x9f\x98\x80",
    b" " * 100, b"\n", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'{"a":' * 70, b"[" * 100,
]  # fmt: skip
MONSTERS = [
    b"[" * 60_000,
    b'{"a":' * 10_000,
    b'{"type":"broadcast","data":' + b"[" * 63 + b"]" * 63 + b"}",
    b'{"type":"broadcast","data":' + b"[" * 64 + b"]" * 64 + b"}",
    b'{"type":"broadcast","data":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
    b'{"type":"ping","id":' + b"9" * 60_000 + b"}",
    b'{"type":"signal","to":"x","kind":"offer","data":"","generation":1' + b"0" * 5_000 + b"}",
    b'{"type":"broadcast","data":1e' + b"9" * 50_000 + b"}",
    b'{"type":"broadcast","data":"' + b"\\u0000" * 10_000 + b'"}',
    b'{"type":"update","name":"' + b"\\ud83d\\ude00" * 1_000 + b'"}',
    b"{" + b",".join(b'"m%d":0' % number for number in range(6_000)) + b"}",
    b'{"' + b"k" * 60_000 + b'":1}',
    b'"' + b"\\" * 59_999 + b'"',
    b"",
    b" " * 60_000,
]


def mutated(chance, targets):
    """A valid message with a few things wrong with it."""
    text = chance.choice(VALID)
    octets = bytearray((text % chance.choice(targets) if "%s" in text else text).encode())
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(5):
            case 0:
                octets[at : at + chance.randrange(1, 6)] = b""
            case 1:
                octets[at:at] = chance.choice(PIECES)
            case 2:
                octets[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                octets[at:at] = octets[chance.randrange(len(octets) + 1) :]
            case 4:
                del octets[at:]
    return bytes(octets)


def babble(chance, targets):
    """Octets that somebody sends who is out of its mind, and whether there is an end behind."""
    match chance.randrange(8):
        case 0:
            return frame(TEXT, chance.randbytes(chance.randrange(300)), masked=True)
        case 1:
            text = "".join(chr(chance.randrange(32, 0x2000)) for _ in range(chance.randrange(99)))
            return frame(TEXT, text.encode(), masked=True)
        case 2:
            return frame(TEXT, chance.choice(MONSTERS), masked=True)
        case 3:
            # A frame that ends nowhere, or is no frame.
            whole = frame(TEXT, mutated(chance, targets), masked=True)
            return whole[: chance.randrange(len(whole))] + chance.randbytes(chance.randrange(9))
        case 4:
            payload = mutated(chance, targets)
            at = chance.randrange(len(payload) + 1)
            return (
                frame(TEXT, payload[:at], final=False, masked=True)
                + frame(PING, b"between", masked=True)
                + frame(0, payload[at:], masked=True)
            )
        case _:
            return frame(TEXT, mutated(chance, targets), masked=True)


@asynchronous
async def test_babble_harms_nobody(start):
    """Two who talk all the while get all that the other says, and see who is there."""
    chance = seeded("BABBLE_SEED")
    rooms = {"max_peers": 1_000, "resume_window": "1s"}
    edge = start(rooms, workers=2, log={"access": False})
    one, two = await joined(edge.url("/rooms/x"), 2)
    targets = [one.id, two.id, "nobody", one.resume_name]

    async def babbler():
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        try:
            query = chance.choice(["", "?join=message", "?name=b&seq=-1&resume=" + "%ff" * 9])
            writer.write(upgrade_head("/rooms/x" + query))
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(chance.randrange(1, 12)):
                writer.write(babble(chance, targets))
            # Some go at once; some linger, since what they said has no end.
            if chance.random() < 0.5:
                writer.write(frame(CLOSE, chance.randbytes(chance.randrange(6)), masked=True))
                async with asyncio.timeout(0.3):
                    await reader.read()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.transport.abort()

    async def talk():
        for number in range(200):
            await one.acknowledged("signal", to=two.id, kind="custom", data=number)
            await two.acknowledged("signal", to=one.id, kind="custom", data=number)

    gate = asyncio.Semaphore(20)

    async def gated():
        async with gate:
            await babbler()

    await asyncio.gather(talk(), *(gated() for _ in range(600)))
    assert edge.process.poll() is None
    await one.sees(two, timeout=20)
    await two.sees(one, timeout=20)
    for peer, other in ((one, two), (two, one)):
        heard = [each["data"] for each in peer.inbox if each["from"] == other.id]
        assert heard == list(range(200))
        assert peer.room["locked"] is False and peer.roster[other.id] == {"role": "member"}
    assert not [record for record in edge.log if record.get("level") in ("error", "critical")]


# MARK: Shouting

RATE, BURST, SHOUTED = 50, 10, 200


@asynchronous
async def test_one_who_shouts_is_heard_at_its_rate(start):
    """Its room mates talk meanwhile, and wait for nothing."""
    limits = {"messages": {"rate": f"{RATE}/s", "burst": BURST}}
    edge = start(workers=2, route={"limits": limits})
    loud, one, two = await joined(edge.url("/rooms/x"), 3)
    begin, times = time.monotonic(), []

    async def listen():
        for number in range(SHOUTED):
            message = await two.take("broadcast", from_=loud.id, timeout=30)
            assert message["data"] == number
            times.append(time.monotonic() - begin)

    listening = asyncio.create_task(listen())
    octets = [encoded({"type": "broadcast", "data": number}) for number in range(SHOUTED)]
    shouting = asyncio.gather(*(loud.say(text) for text in octets))
    for number in range(BURST - 1):
        await one.acknowledged("signal", to=two.id, kind="custom", data=number)
        await two.acknowledged("signal", to=one.id, kind="custom", data=number)
    quiet = [each for each in two.inbox if each["from"] == one.id]
    assert [each["data"] for each in quiet] == list(range(BURST - 1))
    await asyncio.gather(listening, shouting)
    # Never more than its share up to then; and in the end, everything.
    for number, at in enumerate(times):
        assert number <= BURST + RATE * at + 2, f"{number} messages after {at:.2f} s"
    assert (await loud.take("error"))["code"] == "rate_limited"
