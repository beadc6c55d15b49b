"""An HTTP/2 client that sends frames as a test writes them, and shows what comes back.

`http2` has one that keeps to the rules.
"""

import time

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame,
    SettingsFrame,
)  # fmt: skip

from .http2 import head_of, pseudo_fields, websocket_fields
from .wire import TIMEOUT, connect

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
ACK, END_STREAM, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = range(4)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
ENHANCE_YOUR_CALM = 11


def raw(kind, number=0, payload=b"", *, flags=0, count=None):
    """A frame octet by octet (RFC 9113 §4.1); `count` is the length that it claims."""
    length = len(payload) if count is None else count
    return length.to_bytes(3, "big") + bytes([kind, flags]) + number.to_bytes(4, "big") + payload


def setting(identifier, value):
    return identifier.to_bytes(2, "big") + value.to_bytes(4, "big")


def settings(*pairs, flags=0):
    return raw(SETTINGS, 0, b"".join(setting(*pair) for pair in pairs), flags=flags)


def window_update(increment, number=0):
    return raw(WINDOW_UPDATE, number, increment.to_bytes(4, "big"))


def reset(number, code=CANCEL):
    return raw(RST_STREAM, number, code.to_bytes(4, "big"))


def data(number, payload=b"", *, ends=False):
    return raw(DATA, number, payload, flags=END_STREAM if ends else 0)


def ping(payload=b"sluice!!"):
    return raw(PING, 0, payload)


def get(target="/", **parts):
    return pseudo_fields(target, **parts)


class Came:
    """What has come on a stream."""

    def __init__(self):
        self.response, self.content, self.has_ended, self.code = None, bytearray(), False, None

    @property
    def is_over(self):
        return self.has_ended or self.code is not None

    def take(self, each):
        match each:
            case HeadersFrame() if self.response is None or self.response.status < 200:
                self.response = head_of(each.fields)
            case DataFrame():
                self.content += each.data
            case RstStreamFrame() if not self.has_ended:
                self.code = each.error_code
        self.has_ended = self.has_ended or "END_STREAM" in each.flags


class Frames:
    """A connection, and the frames that come on it: each is acknowledged only where a test says."""

    def __init__(self, wire, *, preface=PREFACE, first=settings(), awaits_settings=True):
        self.wire = wire
        self.encoder, self.decoder = Encoder(), Decoder()
        self.announced, self.streams = None, {}
        wire.send(preface + first)
        if awaits_settings:
            self.announced = self.next(SettingsFrame).settings
            self.send(raw(SETTINGS, flags=ACK))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    # MARK: Sending

    def send(self, *octets):
        self.wire.send(b"".join(octets))

    def block(self, fields):
        """A header block; the encoder's state goes on with it."""
        return self.encoder.encode(fields, huffman=False)

    def head(self, number, fields, *, ends=True):
        """A HEADERS frame with these fields, whatever they are."""
        flags = END_HEADERS | (END_STREAM if ends else 0)
        return raw(HEADERS, number, self.block(fields), flags=flags)

    def ask(self, number, target="/", **parts):
        self.send(self.head(number, get(target, **parts)))

    def connect(self, number, target="/", **parts):
        self.send(self.head(number, websocket_fields(target, **parts), ends=False))

    # MARK: Reading

    def read(self):
        """The frame that comes next; None at the end of the connection."""
        try:
            header = self.wire.read_exactly(HEADER)
            each, count = Frame.parse_frame_header(memoryview(header))
            each.parse_body(memoryview(self.wire.read_exactly(count)))
        except (EOFError, ConnectionError):
            return None
        each.octet_count = count
        if isinstance(each, HeadersFrame | ContinuationFrame):
            assert "END_HEADERS" in each.flags, "heads of several frames are not read here"
            each.fields = self.decoder.decode(each.data, raw=True)
        if each.stream_id:
            self.streams.setdefault(each.stream_id, Came()).take(each)
        return each

    def next(self, kind, number=None):
        """The next frame of a type; what comes before it is passed over."""
        end = time.monotonic() + TIMEOUT
        while (each := self.read()) is not None:
            if isinstance(each, kind) and number in (None, each.stream_id):
                return each
            assert not isinstance(each, GoAwayFrame), f"instead of {kind.__name__}: {shown(each)}"
            assert time.monotonic() < end, f"no {kind.__name__} came"
        raise AssertionError(f"the connection ended before a {kind.__name__}")

    def answer(self, number):
        """The answer on a stream with its content; the code of the RST_STREAM where that comes."""
        came = self.streams.setdefault(number, Came())
        while not came.is_over:
            each = self.read()
            assert each is not None, f"the connection ended before an answer on {number}"
            assert not isinstance(each, GoAwayFrame), f"instead of an answer: {shown(each)}"
        if came.has_ended:
            came.response.body = bytes(came.content)
            return came.response
        return came.code

    def is_alive(self):
        """Whether a PING is answered."""
        self.send(ping(b"is alive"))
        while (each := self.read()) is not None:
            if isinstance(each, GoAwayFrame):
                return False
            if isinstance(each, PingFrame) and each.opaque_data == b"is alive":
                return True
        return False

    def read_to_end(self):
        """All frames up to the end of the connection, which must come."""
        found = []
        while (each := self.read()) is not None:
            found.append(each)
        return found

    def goaway_code(self):
        """The code of the GOAWAY behind which the connection ends."""
        found = [each for each in self.read_to_end() if isinstance(each, GoAwayFrame)]
        assert found, "the connection ended without a GOAWAY"
        return found[-1].error_code


def shown(goaway):
    return f"GOAWAY {goaway.error_code} {goaway.additional_data!r}"


def frames(address, **options):
    """A connection by prior knowledge."""
    wire = connect(address)
    try:
        return Frames(wire, **options)
    except BaseException:
        wire.close()
        raise
