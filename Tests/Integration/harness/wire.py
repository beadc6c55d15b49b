"""Raw connections: octets, heads and frames exactly as a test writes them."""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
from contextlib import suppress
from typing import NamedTuple

TIMEOUT = 10.0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_value(key):
    """Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def upgrade_head(
    target="/", *, method="GET", version="HTTP/1.1", host="localhost", key=KEY,
    fields=(), without=(),
):  # fmt: skip
    """A client's upgrade request: the usual fields, less `without`, then `fields`."""
    usual = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    lines = [f"{method} {target} {version}"]
    lines += [f"{name}: {value}" for name, value in usual if name not in without]
    lines += [f"{name}: {value}" for name, value in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def header(opcode, count, *, final=True, key=None, reserved=0, form=None):
    """The octets before a payload of `count` octets (RFC 6455 §5.2).

    `key` masks. `reserved` are the reserved bits: 4 is RSV1. `form` is how many octets the length
    takes beside the first, 0, 2 or 8; without it the fewest.
    """
    if form is None:
        form = 0 if count < 126 else 2 if count < 1 << 16 else 8
    first = (0x80 if final else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if key else 0
    match form:
        case 0:
            octets = struct.pack("!BB", first, mask_bit | count)
        case 2:
            octets = struct.pack("!BBH", first, mask_bit | 126, count)
        case 8:
            octets = struct.pack("!BBQ", first, mask_bit | 127, count)
    return octets + (key or b"")


def frame(opcode, payload=b"", *, final=True, masked=False, rsv1=False):
    """One WebSocket frame (RFC 6455 §5.2)."""
    key = os.urandom(4) if masked else None
    octets = header(opcode, len(payload), final=final, key=key, reserved=4 if rsv1 else 0)
    return octets + (xor(payload, key) if key else payload)


def frame_of(total, opcode=BINARY, *, masked=False):
    """A frame of `total` octets, header included, whose payload is zeros."""
    for size in (2, 4, 10):
        count = total - size - (4 if masked else 0)
        if count >= 0 and len(header(opcode, count)) == size:
            return frame(opcode, bytes(count), masked=masked)
    raise ValueError(f"no frame has {total} octets")


def close_payload(code=None, reason=""):
    """What a close frame carries (§5.5.1); nothing without a code."""
    return b"" if code is None else struct.pack("!H", code) + reason.encode()


class Frame(NamedTuple):
    """A frame that was read, its payload unmasked."""

    opcode: int
    payload: bytes
    final: bool = True
    rsv1: bool = False

    @property
    def code(self):
        """The code of a close frame; None where it has none."""
        assert self.opcode == CLOSE, self
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def reason(self):
        return self.payload[2:].decode()


def xor(payload, key):
    """Masking (RFC 6455 §5.3), all octets at once."""
    if not payload:
        return payload
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    both = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return both.to_bytes(len(payload), "big")


class Head:
    """A request or response head: its first line and its fields in order."""

    def __init__(self, octets):
        self.octets = octets
        first, *lines = octets.decode("latin-1").split("\r\n")
        self.line = first
        pairs = [line.partition(":") for line in lines if line]
        self.fields = [(name, value.strip(" \t")) for name, _, value in pairs]

    def values(self, name):
        return [value for own, value in self.fields if own.lower() == name.lower()]

    def __getitem__(self, name):
        """The value of a field that must be there exactly once."""
        values = self.values(name)
        assert len(values) == 1, f"{name} is there {len(values)} times in {self.octets!r}"
        return values[0]

    def __contains__(self, name):
        return bool(self.values(name))


class Request(Head):
    def __init__(self, octets):
        super().__init__(octets)
        self.method, self.target, self.version = self.line.split(" ", 2)


class Response(Head):
    def __init__(self, octets):
        super().__init__(octets)
        self.version, status, *reason = self.line.split(" ", 2)
        self.status = int(status)
        self.reason = reason[0] if reason else ""
        self.body = b""

    @property
    def json(self):
        return json.loads(self.body)


class Wire:
    """A connected socket with a receive buffer. Every wait ends after TIMEOUT seconds."""

    # Whether its frames are masked: a client's are, and those that it gets are not (§5.1).
    is_client = True

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(TIMEOUT)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, octets):
        self.socket.sendall(octets)

    def fill(self):
        """Receives once more; False at the end of the stream."""
        octets = self.socket.recv(1 << 18)
        self.buffer += octets
        return bool(octets)

    def take(self, count):
        octets, self.buffer = self.buffer[:count], self.buffer[count:]
        return octets

    def read_exactly(self, count):
        chunks, missing = [self.take(count)], count
        missing -= len(chunks[0])
        while missing:
            octets = self.socket.recv(min(missing, 1 << 20))
            if not octets:
                raise EOFError(f"the stream ended {missing} octets short of {count}")
            chunks.append(octets)
            missing -= len(octets)
        return b"".join(chunks)

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self.fill():
                raise EOFError(f"the stream ended before {mark!r}: {self.buffer!r}")
        return self.take(self.buffer.index(mark) + len(mark))

    def read_to_end(self):
        """Everything up to the end of the stream; a reset counts as an end."""
        with suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            while self.fill():
                pass
        return self.take(len(self.buffer))

    def read_request(self):
        return Request(self.read_until(b"\r\n\r\n"))

    def read_response(self):
        """A response and its body (RFC 9112 §6.3); 101 has none."""
        response = Response(self.read_until(b"\r\n\r\n"))
        if response.status == 101:
            return response
        if "Transfer-Encoding" in response:
            response.body = self.read_chunks()
        elif "Content-Length" in response:
            response.body = self.read_exactly(int(response["Content-Length"]))
        elif response.status >= 200 and response.status not in (204, 304):
            response.body = self.read_to_end()
        return response

    def read_chunks(self):
        body = b""
        while True:
            count = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if count == 0:
                while self.read_until(b"\r\n") != b"\r\n":
                    pass
                return body
            body += self.read_exactly(count)
            assert self.read_exactly(2) == b"\r\n"

    def read_whole_frame(self):
        """One frame as a `Frame`; its mask must be as it has to be for this side."""
        first, second = self.read_exactly(2)
        count = second & 0x7F
        if count == 126:
            (count,) = struct.unpack("!H", self.read_exactly(2))
        elif count == 127:
            (count,) = struct.unpack("!Q", self.read_exactly(8))
        is_masked = bool(second & 0x80)
        assert is_masked != self.is_client, f"is masked: {is_masked}, opcode {first & 0x0F}"
        assert not first & 0x30, f"the reserved bits of {first:#x}"
        key = self.read_exactly(4) if is_masked else b"\0\0\0\0"
        payload = self.read_exactly(count)
        payload = xor(payload, key) if is_masked else payload
        return Frame(first & 0x0F, payload, bool(first & 0x80), bool(first & 0x40))

    def read_frame(self):
        """One frame as (opcode, payload, final)."""
        return tuple(self.read_whole_frame()[:3])

    def read_message(self):
        """The next message as (opcode, payload), fragments joined; control frames are skipped."""
        opcode, parts = None, []
        while True:
            each = self.read_whole_frame()
            if each.opcode >= CLOSE:
                assert each.opcode != CLOSE, f"closed: {each.payload!r}"
                continue
            opcode = opcode or each.opcode
            parts.append(each.payload)
            if each.final:
                return opcode, b"".join(parts)

    def read_close(self):
        """The close frame, which must be what comes next."""
        each = self.read_whole_frame()
        assert each.opcode == CLOSE, f"instead of a close frame: {each}"
        return each

    def read_frames_to_close(self):
        """The frames that come before a close frame, and that."""
        frames = []
        while True:
            each = self.read_whole_frame()
            if each.opcode == CLOSE:
                return frames, each
            frames.append(each)

    def finish(self):
        """Reads to the end, answering a close frame; its code, or None where none came."""
        code = None
        with suppress(EOFError, ConnectionError, ssl.SSLEOFError):
            _, close = self.read_frames_to_close()
            code = close.code
            self.answer_close(close)
            self.read_to_end()
        return code

    def answer_close(self, close):
        """Says the same. A server then ends the connection (RFC 6455 §7.1.1)."""
        self.send_frame(CLOSE, close.payload)
        if not self.is_client:
            self.shutdown_write()

    def send_frame(self, opcode, payload=b"", **parts):
        """Sends a frame, masked where this side has to mask."""
        self.send(frame(opcode, payload, masked=self.is_client, **parts))

    def send_close(self, code=None, reason=""):
        self.send_frame(CLOSE, close_payload(code, reason))

    def shutdown_write(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.socket.close()

    def upgrade(self, target="/", **parts):
        """Sends an upgrade request and reads the answer, whatever it is."""
        self.send(upgrade_head(target, **parts))
        return self.read_response()

    def echoes(self, payload=b"still there"):
        """Whether a frame comes back through the tunnel."""
        self.send(frame(BINARY, payload, masked=True))
        return self.read_frame()[:2] == (BINARY, payload)

    def is_open(self):
        """Whether a frame comes back through the tunnel, and no close frame instead."""
        self.send(frame(BINARY, b"still there", masked=True))
        return self.read_frame()[0] == BINARY

    @property
    def is_taken(self):
        """Whether the other end's process has taken everything that was sent (TCP, IPv4)."""
        own, other = (
            f":{end[1]:04X} " for end in (self.socket.getsockname(), self.socket.getpeername())
        )
        with open("/proc/net/tcp") as table:
            for line in table:
                if own not in line or other not in line:
                    continue
                sends, waits = (int(count, 16) for count in line.split()[4].split(":"))
                if sends if line.index(own) < line.index(other) else waits:
                    return False
        return True


def connect(address, *, tls=None, server_name="localhost", receive_buffer=None):
    """A raw connection to "host:port" or "unix:/path"; `tls` is an ssl.SSLContext."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        target = address.removeprefix("unix:")
    else:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        target = (host, int(port))
    sock.settimeout(TIMEOUT)
    try:
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(target)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_name)
    except BaseException:
        sock.close()
        raise
    return Wire(sock)


def tunnel(address, target="/", *, tls=None, receive_buffer=None, **parts):
    """A raw connection whose upgrade was answered with 101."""
    wire = connect(address, tls=tls, receive_buffer=receive_buffer)
    try:
        response = wire.upgrade(target, **parts)
        assert response.status == 101, response.octets + response.body
    except BaseException:
        wire.close()
        raise
    wire.response = response
    return wire


def is_refused(address):
    """Whether nobody listens there."""
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


def ask(address, octets, *, tls=None):
    """The answer to one request, on a connection of its own."""
    with connect(address, tls=tls) as wire:
        wire.send(octets)
        return wire.read_response()
