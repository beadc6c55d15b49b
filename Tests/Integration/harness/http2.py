"""An HTTP/2 client over Python's h2, whose streams are read and written as wires are.

It keeps to RFC 9113 itself and fails where the edge does not, beyond a window among other things.
Frames that h2 does not send are sent by `http2_frames`.
"""

import ssl
import time

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated, DataReceived, InformationalResponseReceived, PingAckReceived,
    ResponseReceived, StreamEnded, StreamReset, TrailersReceived,
)  # fmt: skip
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from . import refusals
from .ends import Ends
from .wire import TIMEOUT, Response, Wire, connect

LISTENERS = [{"address": "127.0.0.1:0", "http2": True}]
HEADER = 9
GOAWAY = 0x7


def head_of(fields):
    """A head as `Response` reads it."""
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in fields]
    lines = [f"{name}: {value}" for name, value in pairs if not name.startswith(":")]
    status = dict(pairs).get(":status", "0")
    return Response("\r\n".join([f"HTTP/2 {status}", *lines, "", ""]).encode("latin-1"))


def pseudo_fields(target, *, method="GET", host="localhost", scheme="http", protocol=None):
    pairs = [(":method", method), (":protocol", protocol), (":scheme", scheme)]
    pairs += [(":path", target), (":authority", host)]
    return [(name, value) for name, value in pairs if value is not None]


def websocket_fields(target="/", *, fields=(), without=(), protocol="websocket", **parts):
    """An extended CONNECT (RFC 8441 §5): the usual fields, less `without`, then `fields`."""
    usual = pseudo_fields(target, method="CONNECT", protocol=protocol, **parts)
    usual.append(("sec-websocket-version", "13"))
    return [pair for pair in usual if pair[0] not in without] + list(fields)


class StreamSocket:
    """What `Wire` wants of a socket, for one stream of a `Client`."""

    def __init__(self, client, number):
        self.client, self.number = client, number
        self.arrived, self.heads, self.trailers = bytearray(), [], None
        self.has_ended, self.code = False, None
        self.timeout, self.opens_window, self.has_sent_end = TIMEOUT, True, False

    @property
    def is_over(self):
        return self.has_ended or self.code is not None or self.client.is_lost

    def settimeout(self, seconds):
        self.timeout = seconds

    def await_octets(self):
        self.client.wait(
            lambda: self.arrived or self.is_over, f"octets on {self.number}", self.timeout
        )

    def recv(self, count):
        """As of a socket; a stream that was reset or lost is a connection that was reset."""
        self.await_octets()
        if self.arrived:
            octets = bytes(self.arrived[:count])
            del self.arrived[:count]
            return octets
        if self.has_ended:
            return b""
        raise ConnectionResetError(f"stream {self.number} was reset: {self.code}")

    def sendall(self, octets):
        rest = memoryview(octets)
        while rest:
            room = self.client.wait(self.room, f"room on {self.number}", self.timeout)
            self.client.h2.send_data(self.number, bytes(rest[:room]))
            self.client.flush()
            rest = rest[room:]

    def room(self):
        if self.code is not None or self.client.is_lost:
            raise ConnectionResetError(f"stream {self.number} was reset: {self.code}")
        h2 = self.client.h2
        return min(h2.local_flow_control_window(self.number), h2.max_outbound_frame_size)

    def shutdown(self, _):
        """END_STREAM."""
        if not self.has_sent_end and self.code is None and not self.client.is_lost:
            self.has_sent_end = True
            self.client.h2.end_stream(self.number)
            self.client.flush()

    def reset(self, code=ErrorCodes.CANCEL):
        """RST_STREAM; nothing where the stream is over on both sides."""
        is_closed = self.has_ended and self.has_sent_end
        if self.code is None and not is_closed and not self.client.is_lost:
            self.code = code
            self.client.h2.reset_stream(self.number, code)
            self.client.flush()

    def close(self):
        self.reset()


class Stream(Wire):
    """A stream as a `Wire`: what it sends and reads is the content of DATA frames."""

    def __init__(self, client, number):
        super().__init__(StreamSocket(client, number))
        self.client, self.number = client, number

    def response(self):
        """The head of the final answer, when it has come."""
        state = self.socket
        self.client.wait(
            lambda: (state.heads and state.heads[-1].status >= 200) or state.is_over,
            f"an answer on {self.number}",
        )
        assert state.heads, f"stream {self.number} ended without an answer: {state.code}"
        return state.heads[-1]

    def answer(self):
        """The final answer with all its content, which must be complete."""
        response = self.response()
        response.body = self.read_to_end()
        assert self.socket.has_ended, f"stream {self.number} is not complete: {self.code}"
        return response

    @property
    def code(self):
        """The code of the RST_STREAM that has come or gone; None without one."""
        return self.socket.code

    def reset_code(self):
        """The code of the RST_STREAM, when it has come."""
        self.client.wait(lambda: self.code is not None, f"a reset of {self.number}")
        return self.code

    def reset(self, code=ErrorCodes.CANCEL):
        self.socket.reset(code)

    def await_end(self):
        """END_STREAM has come, whatever was sent before it."""
        self.client.wait(lambda: self.socket.is_over, f"the end of {self.number}")
        assert self.socket.has_ended, f"stream {self.number} did not end: {self.code}"


class Client:
    """A connection. One thread uses it: what comes is seen while something is awaited."""

    def __init__(self, wire, *, settings=None, ready=True):
        self.socket, self.wire = wire.socket, wire
        self.h2 = H2Connection(
            H2Configuration(
                client_side=True, header_encoding=None, validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )  # fmt: skip
        self.streams, self.goaways, self.pongs, self.buffer = {}, [], 0, b""
        self.is_lost = False
        # Otherwise h2 offers a window of 64 KiB and no more.
        self.h2.local_settings.update(settings or {})
        self.h2.initiate_connection()
        self.flush()
        if ready:
            self.wait(lambda: self.settings.acknowledged, "the edge's settings")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.wire.close()

    @property
    def settings(self):
        """What the edge has announced."""
        return Announced(self.h2.remote_settings)

    # MARK: Frames

    def flush(self):
        octets = self.h2.data_to_send()
        if octets and not self.is_lost:
            self.socket.settimeout(TIMEOUT)
            try:
                self.socket.sendall(octets)
            except OSError:
                self.is_lost = True

    def send_raw(self, octets):
        """Octets that h2 knows nothing of."""
        self.socket.sendall(octets)

    def wait(self, condition, what, timeout=TIMEOUT):
        """The first true value of `condition()`, while what comes is taken."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            if self.is_lost:
                raise EOFError(f"the connection ended: no {what}")
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not within {timeout:g} s: {what}")
            self.turn(left)
        return value

    def turn(self, timeout):
        """Takes what comes first."""
        self.socket.settimeout(timeout)
        try:
            octets = self.socket.recv(1 << 16)
        except TimeoutError:
            return
        except (ConnectionError, ssl.SSLError):
            octets = b""
        if not octets:
            self.is_lost = True
        self.buffer += octets
        while len(self.buffer) >= HEADER:
            count = HEADER + int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < count:
                break
            frame, self.buffer = self.buffer[:count], self.buffer[count:]
            self.take(frame)
        self.flush()

    def take(self, frame):
        # h2 does nothing more behind a GOAWAY, even where streams go on (RFC 9113 §6.8).
        if frame[3] == GOAWAY:
            parsed = GoAwayFrame(0)
            parsed.parse_body(memoryview(frame[HEADER:]))
            return self.goaways.append(parsed)
        for event in self.h2.receive_data(frame):
            self.handle(event)

    def handle(self, event):
        assert not isinstance(event, ConnectionTerminated)
        if isinstance(event, PingAckReceived):
            self.pongs += 1
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is None:
            return
        match event:
            case ResponseReceived() | InformationalResponseReceived():
                stream.heads.append(head_of(event.headers))
            case DataReceived():
                stream.arrived += event.data
                self.acknowledge(stream, event)
            case TrailersReceived():
                stream.trailers = head_of(event.headers)
            case StreamEnded():
                stream.has_ended = True
            case StreamReset():
                stream.code = event.error_code

    def acknowledge(self, stream, event):
        """Opens the connection's window, and the stream's unless it is told not to."""
        count = event.flow_controlled_length
        if not count:
            return
        self.h2.increment_flow_control_window(count)
        if stream.opens_window and not event.stream_ended:
            self.h2.increment_flow_control_window(count, stream.number)

    def round_trip(self):
        """When it returns, the edge has taken all frames that were sent before.

        What it says to them at once has come, too: an answer to a PING may overtake other frames,
        but only those of one turn.
        """
        for _ in range(2):
            before = self.pongs
            self.h2.ping(b"sluice!!")
            self.flush()
            self.wait(lambda: self.pongs > before, "the answer to a PING")

    def announce(self, **settings):
        """Sends SETTINGS, by their names in lower case."""
        self.h2.update_settings({SettingCodes[name.upper()]: v for name, v in settings.items()})
        self.flush()

    # MARK: Streams

    def begin(self, fields, *, ends=False, opens_window=True):
        """A stream that begins with these fields."""
        number = self.h2.get_next_available_stream_id()
        stream = Stream(self, number)
        stream.socket.opens_window = opens_window
        stream.socket.has_sent_end = ends
        self.streams[number] = stream.socket
        self.h2.send_headers(number, fields, end_stream=ends)
        self.flush()
        return stream

    def request(self, target="/", *, method="GET", fields=(), body=None, ends=True, **options):
        """An ordinary request, with its body if there is one."""
        opens_window = options.pop("opens_window", True)
        head = [*pseudo_fields(target, method=method, **options), *fields]
        is_alone = body is None and ends
        stream = self.begin(head, ends=is_alone, opens_window=opens_window)
        if body is not None:
            stream.send(body)
            if ends:
                stream.shutdown_write()
        return stream

    def ask(self, target="/", **parts):
        """The whole answer to a request."""
        return self.request(target, **parts).answer()

    def connect(self, target="/", *, ends=False, opens_window=True, **parts):
        """An extended CONNECT, whatever becomes of it."""
        fields = websocket_fields(target, **parts)
        return self.begin(fields, ends=ends, opens_window=opens_window)

    def tunnel(self, target="/", **parts):
        """A stream whose extended CONNECT was answered with 200."""
        stream = self.connect(target, **parts)
        response = stream.response()
        if response.status != 200:
            raise AssertionError(response.octets + stream.read_to_end())
        stream.response_head = response
        return stream

    def await_goaway(self, count=1):
        """The `count`th GOAWAY that comes."""
        self.wait(lambda: len(self.goaways) >= count, "a GOAWAY")
        return self.goaways[count - 1]

    def read_to_end(self):
        """Takes everything up to the end of the connection."""
        end = time.monotonic() + TIMEOUT
        while not self.is_lost:
            assert time.monotonic() < end, "the connection goes on"
            self.turn(end - time.monotonic())


class Announced:
    """The settings of the edge, by their names."""

    def __init__(self, settings):
        self.settings = settings

    @property
    def acknowledged(self):
        return SettingCodes.MAX_CONCURRENT_STREAMS in self.settings

    def __getattr__(self, name):
        return self.settings.get(SettingCodes[name.upper()])


def client(address, *, tls=None, receive_buffer=None, **options):
    """A connection by prior knowledge, or by ALPN where `tls` is an ssl.SSLContext."""
    if tls:
        tls.set_alpn_protocols(["h2", "http/1.1"])
    wire = connect(address, tls=tls, receive_buffer=receive_buffer)
    try:
        if tls:
            assert wire.socket.selected_alpn_protocol() == "h2"
        return Client(wire, **options)
    except BaseException:
        wire.close()
        raise


def ends(held, stream):
    """A tunnel of `Tunnels` whose client's end is a stream."""
    return Ends(held.edge, stream, held.backend.take())


def check_refusal(response, status, **fields):
    """A refusal as in HTTP/1.1, less what belongs to a connection of it (RFC 9113 §8.2.2)."""
    assert "Connection" not in response and "Upgrade" not in response, response.octets
    closing = Response(response.octets.removesuffix(b"\r\n") + b"connection: close\r\n\r\n")
    closing.body = response.body
    refusals.check_refusal(closing, status, **fields)
