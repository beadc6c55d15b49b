"""What stands behind the edge: scripted raw servers, and servers that others wrote."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from websockets.asyncio.server import serve

from .conditions import eventually
from .wire import CLOSE, Wire, accept_value, connect, frame

HERE = Path(__file__).resolve().parent


def switching(request, *, without=(), **fields):
    """The right 101 to a request, less `without`, with further fields (`_` stands for `-`)."""
    right = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_value(request["Sec-WebSocket-Key"]),
    }
    right |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in right.items() if name not in without]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


def echo(wire):
    """The script of a polite backend: 101, then every frame back, fragments as they are."""
    wire.send(switching(wire.request))
    with suppress(EOFError):
        while True:
            opcode, payload, final = wire.read_frame()
            wire.send(frame(opcode, payload, final=final))
            if opcode == CLOSE:
                return


class ScriptedBackend:
    """A TCP or unix server that reads a request head and hands the wire to `script`.

    The head is in `wire.request`. What the script raises fails the test when the backend closes,
    except the ends of streams, which belong to many tests.
    """

    def __init__(
        self, script=echo, *, path=None, host="127.0.0.1", port=0, reads_head=True,
        receive_buffer=None,
    ):  # fmt: skip
        self.script, self.reads_head = script, reads_head
        self.requests, self.failures, self.wires = [], [], []
        self.accepted = 0
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if path:
            self.socket.bind(path)
            self.url = f"unix:{path}"
        else:
            self.socket.bind((host, port))
            self.port = self.socket.getsockname()[1]
            self.address = f"{host}:{self.port}"
            self.url = f"ws://{self.address}"
        self.socket.listen(512)

    def __enter__(self):
        threading.Thread(target=self.accept_all, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        # shutdown wakes the thread in accept; close alone would leave it there.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for wire in self.wires:
            with suppress(OSError):
                wire.socket.shutdown(socket.SHUT_RDWR)
        if kind is None and self.failures:
            raise self.failures[0]

    def accept_all(self):
        with suppress(OSError):
            while True:
                sock, _ = self.socket.accept()
                self.accepted += 1
                wire = Wire(sock)
                wire.is_client = False
                self.wires.append(wire)
                threading.Thread(target=self.run, args=(wire,), daemon=True).start()

    def run(self, wire):
        try:
            if self.reads_head:
                wire.request = wire.read_request()
                self.requests.append(wire.request)
            self.script(wire)
        except (EOFError, ConnectionError, TimeoutError):
            pass
        except Exception as failure:
            self.failures.append(failure)
        finally:
            wire.close()

    def last_request(self):
        return eventually(lambda: self.requests and self.requests[-1], "a request at the backend")


class WebSocketsBackend:
    """The `websockets` package's echo server, on a loop and thread of its own."""

    def __init__(self, **options):
        self.options = {"max_size": None, "ping_interval": None} | options
        self.requests = []
        self.loop = asyncio.new_event_loop()

    def __enter__(self):
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,), daemon=True)
        self.thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)

    def run(self, started):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve(started))
        self.loop.close()

    async def serve(self, started):
        self.ended = asyncio.Event()
        async with serve(self.echo, "127.0.0.1", 0, **self.options) as server:
            port = server.sockets[0].getsockname()[1]
            self.address = f"127.0.0.1:{port}"
            self.url = f"ws://{self.address}"
            started.set()
            await self.ended.wait()

    async def echo(self, connection):
        self.requests.append(connection.request)
        async for message in connection:
            await connection.send(message)


class Program:
    """A backend that is a program: started, awaited, ended."""

    def start(self, *command, **options):
        self.process = subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL, **options)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class NodeBackend(Program):
    """Node's `ws` (Debian package node-ws) as an echo server with permessage-deflate."""

    def __enter__(self):
        # Debian keeps its modules here; a node from elsewhere does not look there by itself.
        environment = os.environ | {"NODE_PATH": "/usr/share/nodejs"}
        self.start("node", HERE / "echo.js", stdout=subprocess.PIPE, env=environment)
        port = self.process.stdout.readline().strip()
        assert port, "node did not start: is node-ws installed?"
        self.address = f"127.0.0.1:{port}"
        self.url = f"ws://{self.address}"
        return self


def free_port():
    """A port that was free a moment ago, for programs that cannot bind 0 and tell."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class NginxBackend(Program):
    """nginx terminating TLS in front of a plain backend."""

    def __init__(self, to, certificate):
        self.to, (self.certificate, self.key) = to, certificate

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="sluice-nginx-")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        configuration = Path(self.directory) / "nginx.conf"
        configuration.write_text(
            (HERE / "nginx.conf").read_text()
            % {
                "directory": self.directory, "port": self.port, "to": self.to,
                "certificate": self.certificate, "key": self.key,
            }
        )
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        self.start(nginx, "-c", configuration, "-p", self.directory, stderr=subprocess.DEVNULL)
        eventually(self.accepts, "nginx to accept connections")
        return self

    def accepts(self):
        with suppress(OSError):
            connect(self.address).close()
            return True
        return False

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        shutil.rmtree(self.directory)
