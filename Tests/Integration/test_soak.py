"""Mixed messages both ways at once, with stalls, over every way through the edge: all arrive.

SLUICE_SEED repeats a run; a failure prints its seed.
"""

import os
import random
import select
import ssl
import threading
import time

import pytest

from harness.authority import pair
from harness.backends import NginxBackend
from harness.ends import Tunnels
from harness.wire import BINARY, PING, PONG, TEXT, TIMEOUT, frame, xor

SEED = int(os.environ.get("SLUICE_SEED", "20260101"))
# Tunnels at once, and messages each way of each.
TUNNELS, MESSAGES = 3, 300
SIZES = [0, 1, 2, 125, 126, 127, 1_000, 16_384, 65_535, 65_536, 100_000, 300_000, 2_000_000]
WEIGHTS = [4, 4, 4, 4, 4, 4, 10, 6, 3, 3, 4, 2, 1]
# One step in so many is followed by a pause of up to so many seconds.
ONE_IN, PAUSE = 40, 0.1
LIMIT = 60.0
CONTINUATION = 0


def messages(seed):
    """The same messages for the one that sends and the one that checks."""
    chance = random.Random(seed)
    for _ in range(MESSAGES):
        (size,) = chance.choices(SIZES, WEIGHTS)
        yield chance.choice([TEXT, BINARY]), chance.randbytes(size)


def frames(seed, masked):
    """Those messages in fragments, with pings and pongs of their own between."""
    chance = random.Random(f"{seed} cuts")
    for opcode, payload in messages(seed):
        count = chance.choice([0, 0, 0, 1, 5])
        cuts = sorted(chance.randint(0, len(payload)) for _ in range(count))
        parts = [payload[start:end] for start, end in zip([0, *cuts], [*cuts, len(payload)])]
        for number, part in enumerate(parts, 1):
            if chance.random() < 0.1:
                yield frame(chance.choice([PING, PONG]), chance.randbytes(20), masked=masked)
            yield frame(opcode, part, final=number == len(parts), masked=masked)
            opcode = CONTINUATION


class Checker:
    """Takes octets in pieces of any size, and compares the messages in them with those expected."""

    def __init__(self, seed, is_masked):
        self.expected = messages(seed)
        self.is_masked = is_masked
        self.buffer = bytearray()
        self.opcode, self.parts = None, []
        self.count = 0

    @property
    def is_done(self):
        return self.count == MESSAGES

    def take(self, octets):
        self.buffer += octets
        while self.take_frame():
            pass

    def take_frame(self):
        buffer = self.buffer
        if len(buffer) < 2:
            return False
        assert bool(buffer[1] & 0x80) == self.is_masked
        extra = {126: 2, 127: 8}.get(buffer[1] & 0x7F, 0)
        start = 2 + extra + (4 if self.is_masked else 0)
        if len(buffer) < start:
            return False
        count = int.from_bytes(buffer[2 : 2 + extra], "big") if extra else buffer[1] & 0x7F
        if len(buffer) < start + count:
            return False
        payload = bytes(buffer[start : start + count])
        if self.is_masked:
            payload = xor(payload, bytes(buffer[start - 4 : start]))
        first = buffer[0]
        del buffer[: start + count]
        self.take_payload(first & 0x0F, bool(first & 0x80), payload)
        return True

    def take_payload(self, opcode, is_final, payload):
        if opcode in (PING, PONG):
            return
        assert (opcode == CONTINUATION) == bool(self.opcode), f"opcode {opcode}"
        self.opcode = self.opcode or opcode
        self.parts.append(payload)
        if is_final:
            expected, message = next(self.expected), b"".join(self.parts)
            assert self.opcode == expected[0], f"message {self.count}"
            # Two megabytes in a report help nobody.
            is_equal = message == expected[1]
            assert is_equal, f"message {self.count} of {len(expected[1])} octets arrived otherwise"
            self.opcode, self.parts = None, []
            self.count += 1


class Talker:
    """One end of a tunnel: sends its messages and checks what comes, with pauses, in one thread.

    One thread, since OpenSSL's connections are not for two.
    """

    def __init__(self, wire, says, hears):
        self.wire = wire
        self.chance = random.Random(f"{says} pauses")
        self.frames = frames(says, wire.is_client)
        self.checker = Checker(hears, not wire.is_client)
        self.piece, self.has_more = memoryview(b""), True
        self.resume = {"read": 0.0, "write": 0.0}
        self.failure = None
        wire.socket.setblocking(False)
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            self.checker.take(self.wire.take(len(self.wire.buffer)))
            end = time.monotonic() + LIMIT
            while self.has_more or not self.checker.is_done:
                assert time.monotonic() < end, f"{self.checker.count} of {MESSAGES} messages came"
                self.step()
        except BaseException as failure:
            self.failure = failure

    def give_back(self):
        """The wire as it was, with what was read beyond the last message."""
        self.wire.buffer = bytes(self.checker.buffer)
        self.wire.socket.settimeout(TIMEOUT)

    def step(self):
        now = time.monotonic()
        may_read = self.resume["read"] <= now
        may_write = self.has_more and self.resume["write"] <= now
        moved = (may_write and self.write()) | (may_read and self.read())
        if not moved:
            sock = self.wire.socket
            select.select([sock] if may_read else [], [sock] if may_write else [], [], 0.02)

    def rest(self, what):
        if self.chance.randrange(ONE_IN) == 0:
            self.resume[what] = time.monotonic() + self.chance.uniform(0, PAUSE)

    def write(self):
        if not self.piece:
            octets = next(self.frames, None)
            if octets is None:
                self.has_more = False
                return True
            self.piece = memoryview(octets)
        try:
            # What OpenSSL did not take it wants to see again: the end of a piece does not move.
            count = self.wire.socket.send(self.piece[:50_000])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        self.piece = self.piece[count:]
        self.rest("write")
        return True

    def read(self):
        try:
            octets = self.wire.socket.recv(self.chance.randint(1, 100_000))
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        if not octets:
            raise EOFError(f"the end after {self.checker.count} of {MESSAGES} messages")
        self.checker.take(octets)
        self.rest("read")
        return True


@pytest.fixture(params=["plain", "TLS to the client", "unix socket", "TLS to the server"])
def open_ends(request, enter, authority, localhost, tmp_path):
    """Opens a tunnel on the way that the parameter names; its both ends."""
    settings, parts = {}, {}
    match request.param:
        case "TLS to the client":
            listener = {"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}
            settings = {"listeners": [listener]}
            parts = {"tls": authority.client_context()}
        case "unix socket":
            settings = {"listeners": [{"address": f"unix:{tmp_path / 'edge.sock'}"}]}
        case "TLS to the server":

            def through_nginx(backend):
                nginx = enter(NginxBackend(backend.address, localhost))
                return f"wss://localhost:{nginx.port}"

            settings = {"server": through_nginx, "upstream": {"tls": {"ca": authority.ca}}}
    held = enter(Tunnels(**settings))
    return lambda: held.open(**parts)


def test_everything_arrives(open_ends, request):
    name = request.node.callspec.params["open_ends"]
    print(f"seed {SEED}")
    every, talkers = [], []
    for number in range(TUNNELS):
        ends = open_ends()
        every.append(ends)
        one, two = f"{SEED} {name} {number} client", f"{SEED} {name} {number} server"
        talkers.append(Talker(ends.client, one, two))
        talkers.append(Talker(ends.server, two, one))
    for talker in talkers:
        talker.thread.start()
    for talker in talkers:
        talker.thread.join(LIMIT + 10)
    failures = [talker.failure for talker in talkers if talker.failure]
    assert not failures, f"seed {SEED}: {failures[0]!r}"
    for ends, client, server in zip(every, talkers[::2], talkers[1::2]):
        client.give_back()
        server.give_back()
        ends.client.send_close(1000)
        # Pings that were sent last may stand before it.
        assert ends.server.read_frames_to_close()[1].code == 1000
        ends.server.send_close(1000)
        assert ends.client.read_frames_to_close()[1].code == 1000
        ends.check_record(
            reason="closed", closed_by="downstream", close_code=1000,
            messages_in=MESSAGES, messages_out=MESSAGES,
        )  # fmt: skip
