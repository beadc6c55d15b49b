"""A server behind an edge that takes HTTP/2: tunnels for the test to hold, and requests by path."""

import hashlib
import threading
from contextlib import suppress

from .ends import HeldBackend

PIECE = 16 * 1024


def content(count):
    """So many octets that do not repeat soon."""
    return (b"%016x" * 4_096 % tuple(range(4_096)) * (count // 65_536 + 1))[:count]


class MixedBackend(HeldBackend):
    """Upgrades are held (`take()`); ordinary requests are answered by their path.

    `/bytes/N` sends N octets, `/endless` as many as are taken, `/held` when `released` is set; with
    `/deaf` the body is never read; any other path tells the digest of the body that came.
    """

    def __init__(self, **options):
        super().__init__(**options)
        self.released = threading.Event()
        # Octets of endless answers that were taken, and requests that ended before their time.
        self.sent, self.broken = 0, []

    def hold(self, wire):
        if "Upgrade" in wire.request:
            return super().hold(wire)
        try:
            while True:
                self.serve(wire)
                wire.request = wire.read_request()
                self.requests.append(wire.request)
        except (OSError, EOFError):
            self.broken.append(wire.request.target)

    def serve(self, wire):
        kind, _, rest = wire.request.target[1:].partition("/")
        if kind == "deaf":
            self.is_over.wait()
        body = self.body(wire)
        if kind == "bytes":
            return self.answer_with(wire, content(int(rest)))
        if kind == "endless":
            return self.send_without_end(wire)
        if kind == "held":
            # Whoever asked may leave meanwhile, which ends this.
            self.await_release(wire)
        self.answer_with(wire, hashlib.sha256(body).hexdigest().encode())

    @staticmethod
    def body(wire):
        if "Content-Length" in wire.request:
            return wire.read_exactly(int(wire.request["Content-Length"]))
        return wire.read_chunks() if "Transfer-Encoding" in wire.request else b""

    @staticmethod
    def answer_with(wire, octets):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(octets) + octets)

    def await_release(self, wire):
        wire.socket.settimeout(0.05)
        while not self.released.is_set():
            with suppress(TimeoutError):
                if not wire.fill():
                    raise EOFError
        wire.socket.settimeout(10)

    def send_without_end(self, wire):
        wire.socket.settimeout(60)
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%s\r\n" % (PIECE, bytes(PIECE))
        while True:
            wire.send(piece)
            self.sent += PIECE
