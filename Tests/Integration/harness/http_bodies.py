"""Large bodies: made, sent, counted and compared without ever being in memory as a whole."""

import hashlib
import os
import queue
import select
import socket
import subprocess
import threading
from contextlib import suppress
from functools import cached_property

from .conditions import eventually
from .http_clients import curl_command
from .wire import TIMEOUT

PIECE = os.urandom(1 << 20)
# For how long nothing may pass until a sender counts as stopped, in seconds.
STANDSTILL = 0.5


def pieces(count):
    """`count` octets in pieces, no two alike."""
    for number in range(0, count, len(PIECE)):
        piece = number.to_bytes(8, "big") + PIECE[8:]
        yield piece[: count - number]


def digest(parts):
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def in_chunks(parts):
    """The parts in the chunked coding, the end of it included."""
    for part in parts:
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


def received(wire):
    """A body as it comes, framed by a length or in chunks by what stands in `wire.request`."""
    if "Content-Length" in wire.request:
        yield from parts_of(wire, int(wire.request["Content-Length"]))
        return
    while count := int(wire.read_until(b"\r\n").split(b";")[0], 16):
        yield from parts_of(wire, count)
        assert wire.read_exactly(2) == b"\r\n"
    assert wire.read_exactly(2) == b"\r\n"


def parts_of(wire, count):
    while count:
        part = wire.take(count) or wire.socket.recv(min(count, 1 << 18))
        if not part:
            raise EOFError(f"the stream ended {count} octets too early")
        count -= len(part)
        yield part


class Sender:
    """Sends to a socket or pipe on a thread of its own, and can be asked how far it is."""

    def __init__(self, target, parts):
        self.target = target
        self.count = 0
        self.is_over = False
        self.failure = None
        self.thread = threading.Thread(target=self.run, args=(parts,), daemon=True)
        self.thread.start()

    def run(self, parts):
        try:
            for part in parts:
                self.send(part)
        except OSError as failure:
            self.failure = failure
        self.is_over = True

    def send(self, part):
        view = memoryview(part)
        while view:
            select.select([], [self.target], [], 6 * TIMEOUT)
            if isinstance(self.target, socket.socket):
                count = self.target.send(view[: 1 << 16])
            else:
                count = os.write(self.target.fileno(), view[: 1 << 12])
            self.count += count
            view = view[count:]

    def has_stopped(self):
        """Whether nothing is taken any more."""
        assert not self.is_over, f"nobody stopped it at {self.count} octets: {self.failure}"
        return not select.select([], [self.target], [], STANDSTILL)[1]

    def await_standstill(self):
        """How much had gone when it was stopped."""
        eventually(self.has_stopped, "the sender to be stopped", timeout=20)
        return self.count

    def await_end(self):
        self.thread.join(60)
        assert self.is_over


class Serving:
    """The script of a server that answers with `count` octets; `sender` is what sends them."""

    def __init__(self, count, head, *, chunked=False):
        self.head = head
        self.parts = in_chunks(pieces(count)) if chunked else pieces(count)
        self.senders = queue.Queue()

    def __call__(self, wire):
        wire.send(self.head)
        sender = Sender(wire.socket, self.parts)
        self.senders.put(sender)
        sender.await_end()

    @cached_property
    def sender(self):
        return self.senders.get(timeout=TIMEOUT)


class Curl:
    """curl under way: what it gets is at `output`, and what it sends comes from `input`."""

    def __init__(self, url, *arguments, http="1.1"):
        self.command = curl_command(url, "--no-buffer", *arguments, http=http)

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=pipe)
        self.input, self.output = self.process.stdin, self.process.stdout
        return self

    def __exit__(self, *_):
        self.process.kill()
        for pipe in (self.input, self.output, self.process.stderr):
            with suppress(OSError):
                pipe.close()
        self.process.wait()

    def read(self):
        """The rest of the answer in parts."""
        while part := self.output.read1(1 << 18):
            yield part

    def wait(self):
        """The exit status."""
        return self.process.wait(TIMEOUT)
