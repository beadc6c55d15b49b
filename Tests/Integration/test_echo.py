"""Messages come back as they went, of every kind and size, whoever wrote the two ends."""

import subprocess

import pytest
from websockets.sync.client import connect as websocket

from harness.authority import pair
from harness.edge import Edge, configuration
from harness.wire import BINARY, PING, PONG, TEXT, frame, tunnel

MIB = 1 << 20
SIZES = [0, 1, 125, 126, 127, 65_535, 65_536, MIB, 8 * MIB]


@pytest.fixture(scope="module", params=["websockets", "node"])
def edge(request, enter_for_module, localhost):
    backend = request.getfixturevalue(f"{request.param}_backend")
    listeners = [
        {"address": "127.0.0.1:0"},
        {"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}},
    ]
    return enter_for_module(Edge(configuration(backend.url, listeners=listeners)))


@pytest.fixture
def client(edge, request, authority):
    """`client(scheme)` is the `websockets` package's client through the edge."""

    def open_client(scheme, **options):
        options = {"proxy": None, "max_size": None, "ping_interval": None} | options
        if scheme == "wss":
            options |= {"ssl": authority.client_context(), "server_hostname": "localhost"}
        url = edge.url(scheme=scheme, listener=1 if scheme == "wss" else 0)
        return websocket(url, **options)

    return open_client


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_every_size(client, scheme):
    with client(scheme, compression=None) as socket:
        for size in SIZES:
            text = "ä" * (size // 2) + "x" * (size % 2)
            for message in (text, text.encode()):
                socket.send(message)
                assert socket.recv(30) == message, f"{type(message).__name__} of {size}"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_fragmented_messages(client, scheme):
    with client(scheme, compression=None) as socket:
        for parts in (["a"] * 50, [b"x" * 70_000, b"", b"y" * 3], ["", "only the second", ""]):
            socket.send(iter(parts))
            assert socket.recv(30) == parts[0][:0].join(parts)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_permessage_deflate_passes_through(edge, client, scheme):
    seen = len(edge.records("tunnel"))
    with client(scheme, compression="deflate") as socket:
        names = [extension.name for extension in socket.protocol.extensions]
        assert names == ["permessage-deflate"]
        message = "compressible " * 100_000
        for _ in range(3):
            socket.send(message)
            assert socket.recv(30) == message
    record = edge.wait_for("tunnel", count=seen + 1)
    assert int(record["octets_in"]) < len(message), "the frames did not stay compressed"


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_many_messages_in_flight_keep_their_order(client, scheme):
    with client(scheme, compression=None) as socket:
        messages = [f"{number}:" + "x" * (number * 37 % 2_000) for number in range(1_000)]
        for start in range(0, len(messages), 100):
            batch = messages[start : start + 100]
            for message in batch:
                socket.send(message)
            assert [socket.recv(10) for _ in batch] == batch


def test_control_frames_between_fragments(edge):
    with tunnel(edge.address) as wire:
        wire.send(frame(TEXT, b"one ", final=False, masked=True))
        wire.send(frame(PING, b"mark", masked=True))
        wire.send(frame(0, b"two", masked=True))
        frames = [wire.read_frame(), wire.read_frame()]
        assert (PONG, b"mark", True) in frames
        assert (TEXT, b"one two", True) in frames


def test_octet_by_octet(edge):
    with tunnel(edge.address) as wire:
        for octet in frame(BINARY, b"drop by drop", masked=True):
            wire.send(bytes([octet]))
        assert wire.read_frame() == (BINARY, b"drop by drop", True)


def test_close_code_and_reason_pass_through(client):
    with client("ws") as socket:
        socket.close(4321, "enough")
        assert (socket.close_code, socket.close_reason) == (4321, "enough")


def test_the_demonstration_backend(enter):
    backend = enter(Edge(arguments=["echo", "--listen", "127.0.0.1:0", "--json"], awaits_ready=False))
    backend.wait_for("listening")
    edge = enter(Edge(configuration(f"ws://{backend.address}")))
    with websocket(edge.url(), proxy=None, max_size=None) as socket:
        for message in ("hello", b"\x00\xff", "x" * 100_000):
            socket.send(message)
            assert socket.recv(10) == message


def test_curl_sees_the_upgrade(edge):
    command = [
        "curl", "--silent", "--include", "--http1.1", "--no-buffer", "--max-time", "2",
        "--header", "Connection: Upgrade", "--header", "Upgrade: websocket",
        "--header", "Sec-WebSocket-Version: 13",
        "--header", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        edge.url(scheme="http"),
    ]  # fmt: skip
    answer = subprocess.run(command, capture_output=True, timeout=20).stdout
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
