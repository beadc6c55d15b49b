"""Peers of rooms, as strict as a browser's client and less forgiving: docs/rooms-protocol.md."""

import asyncio
import functools
import itertools
import json
import urllib.parse
from contextlib import suppress
from contextvars import ContextVar

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from .wire import TEXT, tunnel

SUBPROTOCOL = "sluice.rooms.v1"
PATIENCE = 15.0
SECONDS = 50.0
ANSWERS = ("ack", "error")


def configuration(rooms=None, *, route=None, log=None, **top):
    """The smallest configuration with rooms: one plain listener, one route, at /rooms/."""
    return {
        "listeners": [{"address": "127.0.0.1:0"}],
        "routes": [
            {"name": "rooms", "match": {"path": "/rooms/"}, "origins": "any", "rooms": rooms or {}}
            | (route or {})
        ],
        "log": {"format": "json", "level": "info"} | (log or {}),
    } | top


def encoded(message):
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def query_of(parameters):
    return urllib.parse.urlencode(parameters, quote_via=urllib.parse.quote)


def is_like(message, members):
    """Whether a message has these members, and says this in them."""
    return all(name in message and message[name] == value for name, value in members.items())


class View:
    """What a peer knows of its room, from what it is told; fails where that makes no sense.

    `inbox` has what other peers sent, each once and in order; `answers` is by the ids of messages.
    """

    def __init__(self):
        self.id = self.resume_name = self.welcome = self.room = self.version = None
        self.roster, self.seen = {}, 0
        self.inbox, self.answers = [], {}
        self.doubles = 0

    def apply(self, message):
        kind = message["type"]
        if "seq" in message and kind != "welcome":
            if message["seq"] <= self.seen:
                self.doubles += 1
                return
            assert message["seq"] == self.seen + 1, f"{self.seen} was the last: {message}"
            self.seen = message["seq"]
        assert self.welcome or kind in ("welcome", "error"), f"before the welcome: {message}"
        match kind:
            case "welcome":
                self.welcomed(message)
            case "joined":
                self.advance(message)
                self.joined(message)
            case "left":
                self.advance(message)
                self.left(message)
            case "updated":
                self.advance(message)
                self.updated(message)
            case "presence":
                lists = [name for name in ("left", "joined", "updated") if name in message]
                assert all(message[name] for name in lists), f"an empty list: {message}"
                assert sum(len(message[name]) for name in lists) > 1, f"not several: {message}"
                self.advance(message)
                for name in lists:
                    for each in message[name]:
                        getattr(self, name)(each)
            case "room":
                # What came with it may have been told just before.
                assert message["version"] >= self.version, (self.version, message)
                self.version = message["version"]
                self.room = message
            case "signal" | "broadcast":
                is_replayed = message["seq"] <= self.welcome["seq"]
                assert is_replayed or message["from"] in self.roster, f"from a stranger: {message}"
                self.inbox.append(message)
            case "ack" | "error":
                if "id" in message:
                    assert message["id"] not in self.answers, f"answered twice: {message}"
                    self.answers[message["id"]] = message
            case "ice" | "goaway":
                pass
            case _:
                raise AssertionError(f"there is no such message: {message}")

    def welcomed(self, message):
        if message["resumed"]:
            assert message["peer"] == self.id, message
            # Versions of a room go on; so do the numbers of messages.
            assert message["room"]["version"] >= self.version, (self.version, message)
            assert message["seq"] >= self.seen, (self.seen, message)
        else:
            assert message["seq"] == 0, message
            self.seen = 0
        self.welcome, self.id, self.room = message, message["peer"], message["room"]
        self.resume_name, self.version = message["resume"], message["room"]["version"]
        self.roster = {}
        for each in message["peers"]:
            self.joined(each)

    def advance(self, message):
        assert message["version"] > self.version, f"{self.version} was the last: {message}"
        self.version = message["version"]

    def joined(self, each):
        assert each["peer"] != self.id and each["peer"] not in self.roster, each
        assert each["polite"] == (self.id.encode() < each["peer"].encode()), (self.id, each)
        self.roster[each["peer"]] = self.shown(each)

    def left(self, each):
        assert each["peer"] in self.roster, f"was not here: {each}"
        assert each["reason"] in ("closed", "timeout", "kicked", "moved", "expired"), each
        del self.roster[each["peer"]]

    def updated(self, each):
        assert each["peer"] in self.roster or each["peer"] == self.id, f"is not here: {each}"
        if each["peer"] != self.id:
            self.roster[each["peer"]] = self.shown(each)

    @staticmethod
    def shown(each):
        return {name: each[name] for name in ("name", "role", "meta") if name in each}


class Closed(Exception):
    """The connection was closed before the welcome; `code` is its code, `error` what was said."""

    def __init__(self, code, reason, messages):
        super().__init__(f"{code} {reason}: {messages}")
        self.code, self.reason, self.messages = code, reason, messages

    @property
    def error(self):
        (message,) = (each for each in self.messages if each["type"] == "error")
        return message


peers_of_test = ContextVar("peers_of_test")


def asynchronous(test):
    """A test that is a coroutine. Peers that it leaves are cut, and must not have found faults."""

    async def run(*arguments, **named):
        peers = []
        peers_of_test.set(peers)
        try:
            async with asyncio.timeout(SECONDS):
                await test(*arguments, **named)
            for peer in peers:
                peer.check()
        finally:
            for peer in peers:
                peer.cut()
            readers = [peer.reader for peer in peers if peer.reader]
            await asyncio.gather(*readers, return_exceptions=True)

    @functools.wraps(test)
    def wrapper(*arguments, **named):
        asyncio.run(run(*arguments, **named))

    return wrapper


class Peer(View):
    """A peer over Python's `websockets`.

    `pending` are the messages that no `take` has taken; `sent` are those with an id, by it, that
    have no answer yet.
    """

    def __init__(self, url, *, token=None, subprotocols=(SUBPROTOCOL,), headers=None):
        super().__init__()
        self.url, self.headers = url, dict(headers or {})
        self.subprotocols = list(subprotocols)
        if token:
            self.subprotocols += ["bearer", token]
        self.pending, self.sent, self.numbers = [], {}, itertools.count(1)
        self.connection = self.reader = self.close_code = self.close_reason = self.fault = None
        # The connection whose messages count: for a while still when it has broken.
        self.source = None
        self.password = None
        self.changed = asyncio.Condition()
        peers_of_test.get().append(self)

    @classmethod
    async def join(cls, url, *, token=None, subprotocols=(SUBPROTOCOL,), headers=None, **greeting):
        """A peer that has its welcome; `Closed` where it gets none."""
        peer = cls(url, token=token, subprotocols=subprotocols, headers=headers)
        peer.password = greeting.get("password")
        await peer.enter(**greeting)
        return peer

    async def enter(self, *, greets=False, **greeting):
        """Connects; what it says of itself stands in the query, or in a message if it `greets`."""
        greeting = {name: value for name, value in greeting.items() if value is not None}
        greets = greets or "meta" in greeting
        self.detach()
        self.close_code = self.close_reason = None
        query = {"join": "message"} if greets else greeting
        url = self.url + ("?" + query_of(query) if query else "")
        self.connection = self.source = await connect(
            url, subprotocols=self.subprotocols or None, additional_headers=self.headers,
            proxy=None, compression=None, ping_interval=None, max_size=None, max_queue=None,
        )  # fmt: skip
        before = self.welcome
        self.reader = asyncio.create_task(self.read(self.connection))
        await self.tell()
        if greets:
            await self.send("join", **greeting)
        await self.until(
            lambda: self.welcome is not before or self.close_code, "a welcome or a close"
        )
        if self.welcome is before:
            raise Closed(self.close_code, self.close_reason, self.pending)

    async def read(self, connection):
        """What comes over a connection, for as long as it is this peer's."""
        try:
            async for text in connection:
                if self.source is not connection:
                    return
                self.receive(text)
                await self.tell()
        except ConnectionClosed:
            pass
        except Exception as fault:
            self.fault = self.fault or fault
        finally:
            if self.connection is connection:
                self.close_code, self.close_reason = connection.close_code, connection.close_reason
                await self.tell()

    def receive(self, text):
        assert isinstance(text, str), text
        message = json.loads(text)
        doubles = self.doubles
        self.apply(message)
        if self.doubles == doubles:
            self.pending.append(message)
            if message["type"] in ANSWERS:
                self.sent.pop(message.get("id"), None)

    async def tell(self):
        async with self.changed:
            self.changed.notify_all()

    def check(self):
        if self.fault:
            raise AssertionError(f"{self.id} was told what makes no sense") from self.fault

    def detach(self):
        """Nothing of the present connection is looked at any more; it stays open."""
        old, self.connection, self.source = self.connection, None, None
        return old

    async def leave_open(self):
        """As `detach`, when what has arrived has been seen.

        Nothing more is taken, so that no pong says of something that it has arrived that is never
        seen.
        """
        old = self.connection
        old.transport.pause_reading()
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)
        self.reader = None
        with suppress(TimeoutError, ConnectionClosed):
            while True:
                async with asyncio.timeout(0):
                    text = await old.recv()
                self.receive(text)
        await self.tell()
        return self.detach()

    def cut(self):
        """The connection breaks: nobody is told, and what is on its way is gone.

        What has arrived is seen: in browsers, too, pongs are not sent by who reads the messages.
        """
        if self.connection:
            self.connection.transport.abort()
            self.connection = None

    async def until(self, condition, what, timeout=PATIENCE):
        """The first true value of `condition()`."""
        try:
            async with asyncio.timeout(timeout), self.changed:
                while not (self.fault or (value := condition())):
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"{self.id} not within {timeout:g} s: {what}; closed: {self.close_code}"
                f" {self.close_reason}; last: {self.pending[-5:]}"
            ) from None
        self.check()
        return value

    async def take(self, kind, /, *, timeout=PATIENCE, **members):
        """The next message of this type with these members; it is taken out of `pending`."""
        members = {"type": kind} | {name.rstrip("_"): each for name, each in members.items()}

        def find():
            for message in self.pending:
                if is_like(message, members):
                    return message
            assert self.close_code is None, f"closed with {self.close_code} before {members}"
            return None

        message = await self.until(find, f"a message like {members}", timeout)
        self.pending.remove(message)
        return message

    async def say(self, text):
        with suppress(ConnectionClosed):
            await self.connection.send(text)

    async def send(self, kind, /, **members):
        """A message without an id. A trailing `_` is no part of a member's name."""
        message = {"type": kind} | {name.rstrip("_"): each for name, each in members.items()}
        await self.say(encoded(message))

    async def post(self, kind, /, **members):
        """A message with an id, which is kept until it is answered; the id."""
        number = next(self.numbers)
        self.sent[number] = encoded({"type": kind, "id": number} | members)
        if self.connection:
            await self.say(self.sent[number])
        return number

    async def ask(self, kind, /, **members):
        """The answer to a message."""
        number = await self.post(kind, **members)
        return await self.answer(number)

    async def answer(self, number):
        def find():
            assert number in self.answers or self.close_code is None, (
                f"closed with {self.close_code} {self.close_reason} before the answer"
            )
            return self.answers.get(number)

        return await self.until(find, f"the answer to {number}")

    async def refused(self, code, kind, /, **members):
        """The error that answers a message, which has this code."""
        answer = await self.ask(kind, **members)
        assert answer["type"] == "error" and answer["code"] == code, answer
        assert answer["message"] and answer["seq"], answer
        return answer

    async def acknowledged(self, kind, /, **members):
        answer = await self.ask(kind, **members)
        assert answer["type"] == "ack" and answer["delivered"] is True, answer
        return answer

    async def settle(self):
        """Everything that it has sent has been carried out, and what came of it has come."""
        await self.acknowledged("ping")

    async def resume(self, *, seq=True, greets=False):
        """Takes its place again, as after a dropped network; what has no answer is sent again.

        With `seq=False` as after the loading of a page: nothing is known but the name of the place.
        """
        if self.source and not self.connection:
            # What had arrived before the connection broke is seen before the next one.
            await self.reader
        seen = self.seen if seq else None
        if not seq:
            self.sent.clear()
            self.answers.clear()
        await self.enter(
            resume=self.resume_name, seq=seen, password=self.password, greets=greets
        )
        if self.welcome["resumed"]:
            await self.until(
                lambda: self.seen >= self.welcome["seq"] or self.close_code, "the replay"
            )
        for text in list(self.sent.values()):
            await self.say(text)
        return self.welcome

    async def ended(self):
        """The code with which the connection was closed."""
        await self.until(lambda: self.close_code is not None, "the connection's end")
        return self.close_code

    async def close(self, code=1000, reason=""):
        await self.connection.close(code, reason)
        await self.ended()

    async def sees(self, *others, timeout=PATIENCE):
        """The roster has these peers, and no others."""
        wanted = {other.id for other in others}
        await self.until(lambda: set(self.roster) == wanted, f"a roster of {wanted}", timeout)


async def joined(url, count, **options):
    """So many peers of a room, which all know of each other."""
    peers = [await Peer.join(url, **options) for _ in range(count)]
    for peer in peers:
        await peer.sees(*(other for other in peers if other is not peer))
    return peers


async def check_refused(url, code, error=None, **options):
    """A peer that may not come in is told this error, and closed with this code; the error."""
    with pytest.raises(Closed) as caught:
        await Peer.join(url, **options)
    assert caught.value.code == code, caught.value
    assert len(caught.value.reason.encode()) <= 123
    if not error:
        return None
    assert caught.value.error["code"] == error and caught.value.error["message"]
    return caught.value.error


# On raw connections ------------------------------------------------------------------------------


def open_wire(edge, path, **greeting):
    """A raw connection that has its welcome, which stands in `wire.welcome`."""
    target = path + ("?" + query_of(greeting) if greeting else "")
    wire = tunnel(edge.address, target, fields=[("Sec-WebSocket-Protocol", SUBPROTOCOL)])
    wire.welcome = hear(wire)
    assert wire.welcome["type"] == "welcome", wire.welcome
    return wire


def hear(wire, kind=None):
    """The next message of this type, or the next at all."""
    while True:
        opcode, payload = wire.read_message()
        assert opcode == TEXT
        message = json.loads(payload)
        if kind in (None, message["type"]):
            return message


def say(wire, kind, /, **members):
    wire.send_frame(TEXT, encoded({"type": kind} | members).encode())


def read_to_close(wire):
    """The messages before the close frame, and that; the connection is ended as it should be."""
    frames, close = wire.read_frames_to_close()
    with suppress(OSError):
        wire.answer_close(close)
        wire.read_to_end()
    return [json.loads(each.payload) for each in frames if each.opcode == TEXT], close
