"""Both ends of a tunnel in the hands of the test: what one sends, and what the other gets."""

import queue
import threading
from contextlib import ExitStack, suppress

from .backends import ScriptedBackend, switching
from .edge import Edge, configuration
from .wire import CLOSE, TIMEOUT, tunnel

SIDES = ["client", "server"]


class HeldBackend(ScriptedBackend):
    """A backend that answers upgrades and leaves the tunnels to the test: `take()` is the next."""

    def __init__(self, answer=switching, **options):
        self.answer = answer
        self.tunnels, self.is_over = queue.Queue(), threading.Event()
        super().__init__(self.hold, **options)

    def hold(self, wire):
        wire.send(self.answer(wire.request))
        self.tunnels.put(wire)
        self.is_over.wait()

    def take(self):
        return self.tunnels.get(timeout=TIMEOUT)

    def __exit__(self, *arguments):
        self.is_over.set()
        super().__exit__(*arguments)


class Ends:
    """A tunnel through an edge: `client` and `server` are its ends, by attribute or by name."""

    def __init__(self, edge, client, server):
        self.edge, self.client, self.server = edge, client, server

    def __getitem__(self, side):
        return {"client": self.client, "server": self.server}[side]

    def across(self, side):
        """The other end."""
        return self.server if side == "client" else self.client

    def close(self):
        self.client.close()
        self.server.close()

    def record(self, **options):
        """The access record, when it has come."""
        identifier = self.server.request["X-Request-Id"]
        return self.edge.wait_for("tunnel", request_id=identifier, **options)

    def check_passes(self):
        """Whether a message passes either way: the tunnel lives, and nothing else is under way."""
        for side in SIDES:
            self[side].send_frame(1, side.encode())
            assert self.across(side).read_frame() == (1, side.encode(), True)

    def check_closed(self, *, client, server, **record):
        """Both ends are told these codes (None: the end of the connection alone), and answer.

        Returns the close frames by their side. `record` is what the access record has to say; a
        tuple lists what it may say.
        """
        frames = {}
        for side, code in (("client", client), ("server", server)):
            if code is not None:
                frames[side] = self[side].read_close()
                assert frames[side].code == code, f"the {side} was told {frames[side]}"
        for side, each in frames.items():
            with suppress(OSError):
                self[side].answer_close(each)
        for side in SIDES:
            assert self[side].read_to_end() == b"", f"something came to the {side} behind the end"
            with suppress(OSError):
                self[side].shutdown_write()
        self.check_record(**record)
        return frames

    def check_record_is_missing(self):
        identifier = self.server.request["X-Request-Id"]
        assert not self.edge.records("tunnel", request_id=identifier), "the tunnel has ended"

    def check_record(self, **expected):
        record = self.record()
        for key, value in expected.items():
            allowed = value if isinstance(value, tuple) else (value,)
            assert str(record.get(key)) in map(str, allowed), f"{key} of {record}"


class Tunnels:
    """An edge before a backend whose tunnels the test holds. `settings` are the edge's."""

    def __init__(self, *, answer=switching, receive_buffer=None, server=None, **settings):
        self.answer, self.receive_buffer, self.settings = answer, receive_buffer, settings
        self.server = server or (lambda backend: backend.url)

    def __enter__(self):
        self.stack = ExitStack()
        try:
            backend = HeldBackend(self.answer, receive_buffer=self.receive_buffer)
            self.backend = self.stack.enter_context(backend)
            settings = configuration(self.server(backend), **self.settings)
            self.edge = self.stack.enter_context(Edge(settings))
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *arguments):
        return self.stack.__exit__(*arguments)

    def open(self, target="/", **parts):
        client = tunnel(self.edge.address, target, **parts)
        self.stack.callback(client.close)
        return Ends(self.edge, client, self.backend.take())
