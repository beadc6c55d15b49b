"""A raw HTTP/1.1 server that keeps its connections and remembers all that came on them."""

from .backends import ScriptedBackend
from .wire import Head, Request


def answered(body=b"ok", *fields, status="200 OK", version="HTTP/1.1", length=True):
    """An answer on the wire; `fields` are pairs. Without `length` nothing says where it ends."""
    lines = [f"{version} {status}", *(f"{name}: {value}" for name, value in fields)]
    lines += [f"Content-Length: {len(body)}"] if length else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chunked(*pieces, trailers=()):
    """A body in chunks, and trailers as pairs."""
    octets = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    return octets + b"0\r\n" + lines.encode("latin-1") + b"\r\n"


def chunks(body=b"ok", *fields, status="200 OK", trailers=()):
    """An answer whose body is in chunks."""
    fields = [*fields, ("Transfer-Encoding", "chunked")]
    return answered(b"", *fields, status=status, length=False) + chunked(body, trailers=trailers)


def read_chunked(wire):
    """The content of a chunked body, and its trailers."""
    pieces = []
    while count := int(wire.read_until(b"\r\n").split(b";")[0], 16):
        pieces.append(wire.read_exactly(count))
        assert wire.read_exactly(2) == b"\r\n"
    lines = []
    while (line := wire.read_until(b"\r\n")) != b"\r\n":
        lines.append(line)
    return b"".join(pieces), Head(b"trailers\r\n" + b"".join(lines)).fields


class Received(Request):
    """A whole request: which connection it came on, its body and its trailers."""

    def __init__(self, octets, connection):
        super().__init__(octets)
        self.connection = connection
        self.body, self.trailers = b"", []

    def read_body(self, wire):
        if "Transfer-Encoding" in self:
            assert self["Transfer-Encoding"] == "chunked" and "Content-Length" not in self
            self.body, self.trailers = read_chunked(wire)
        elif "Content-Length" in self:
            self.body = wire.read_exactly(int(self["Content-Length"]))


class Recorder(ScriptedBackend):
    """Answers request after request on each connection with what `answer(request)` gives.

    A connection ends behind an answer that says so, that is HTTP/1.0's, or that is None. `tls` is
    an ssl.SSLContext.
    """

    def __init__(self, answer=lambda request: answered(), *, tls=None, **options):
        super().__init__(self.serve, reads_head=False, **options)
        self.answer, self.tls = answer, tls

    def serve(self, wire):
        connection = self.wires.index(wire)
        if self.tls:
            wire.socket = self.tls.wrap_socket(wire.socket, server_side=True)
        while True:
            request = Received(wire.read_until(b"\r\n\r\n"), connection)
            request.read_body(wire)
            self.requests.append(request)
            octets = self.answer(request)
            if octets is None:
                return
            wire.send(octets)
            head = octets.partition(b"\r\n\r\n")[0]
            if b"Connection: close" in head or head.startswith(b"HTTP/1.0"):
                return

    @property
    def targets(self):
        return [request.target for request in list(self.requests)]
