"""Garbage and mutated heads, from a seed: the process answers or closes, and lives.

SLUICE_SEED and SLUICE_ROUNDS repeat or extend a run.
"""

import os
import random
import ssl
from contextlib import suppress

import pytest

from harness.authority import pair
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import BINARY, TEXT, connect, frame, tunnel, upgrade_head

SEED = int(os.environ.get("SLUICE_SEED", "20260101"))
ROUNDS = int(os.environ.get("SLUICE_ROUNDS", "1500"))
# The statuses that the table of the upgrade knows.
STATUSES = {101, 400, 404, 405, 408, 414, 426, 431, 501, 502, 503, 505}

CORPUS = [
    upgrade_head(),
    upgrade_head("/room?x=1&y=%20", fields=[("Origin", "https://a.b"), ("Cookie", "a=1; b=2")]),
    upgrade_head(fields=[("Sec-WebSocket-Protocol", "a, b"), ("X-Forwarded-For", "1.2.3.4, ::1")]),
    upgrade_head(fields=[("Sec-WebSocket-Extensions", 'permessage-deflate; x="y"')]),
    upgrade_head(fields=[("Authorization", "Bearer a.b.c"), ("Forwarded", 'for="[::1]:1"')]),
    upgrade_head("http://localhost:80/x", host="localhost:80"),
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n" + upgrade_head(),
    bytes.fromhex("16030100c8010000c40303") + bytes(193),
    b"",
]
SPICES = b"\r\n|\n|\r|\0| |\t|:|,|\x7f|\xff|%|..|/".split(b"|")


def mutated(chance):
    """A head from the corpus after one to six changes."""
    octets = bytearray(chance.choice(CORPUS))
    for _ in range(chance.randint(1, 6)):
        at = chance.randint(0, len(octets))
        upto = min(len(octets), at + chance.randint(0, 30))
        match chance.randrange(7):
            case 0 if at < len(octets):
                octets[at] ^= 1 << chance.randrange(8)
            case 1:
                del octets[at:upto]
            case 2:
                octets[at:at] = octets[at:upto] * chance.randint(1, 20)
            case 3:
                octets[at:at] = chance.choice(SPICES) * chance.randint(1, 3)
            case 4:
                octets[at:at] = chance.randbytes(chance.randint(1, 20))
            case 5:
                del octets[at:]
            case 6:
                octets[at:upto] = chance.choice(CORPUS)
    return bytes(octets)


def throw(address, octets, chance):
    """Sends in one to three pieces, ends, and returns what comes back."""
    with connect(address) as wire:
        cuts = sorted(chance.randint(0, len(octets)) for _ in range(chance.randint(0, 2)))
        # The edge may answer and close before everything is sent.
        with suppress(OSError):
            for start, end in zip([0, *cuts], [*cuts, len(octets)]):
                wire.send(octets[start:end])
            wire.shutdown_write()
        return wire.read_to_end()


@pytest.fixture(scope="module")
def edge(enter_for_module, node_backend, localhost):
    listeners = [
        {"address": "127.0.0.1:0"},
        {"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}},
    ]
    limits = {"handshake_timeout": "5s"}
    settings = configuration(node_backend.url, listeners=listeners, limits=limits)
    return enter_for_module(Edge(settings))


@pytest.fixture(autouse=True)
def lives(edge):
    """After every test: still there, still serving, nothing left open."""
    before = edge.descriptor_count
    yield
    with tunnel(edge.address) as wire:
        assert wire.echoes()
    eventually(lambda: edge.descriptor_count <= before + 2, "descriptors to be closed")


@pytest.mark.timeout(300)
def test_mutated_heads(edge):
    chance = random.Random(SEED)
    for number in range(ROUNDS):
        octets = mutated(chance)
        answer = throw(edge.address, octets, chance)
        if answer:
            described = f"seed {SEED}, round {number}: {octets!r} -> {answer[:200]!r}"
            assert answer.startswith(b"HTTP/1.1 "), described
            assert int(answer[9:12]) in STATUSES, described


def test_random_octets(edge):
    chance = random.Random(SEED + 1)
    for number in range(ROUNDS // 5):
        octets = chance.randbytes(chance.choice([1, 2, 10, 100, 1_000, 20_000]))
        answer = throw(edge.address, octets, chance)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(
            b"HTTP/1.1 5"
        ), f"seed {SEED}, round {number}: {octets[:100]!r} -> {answer[:200]!r}"


def test_garbage_at_the_tls_port(edge):
    chance = random.Random(SEED + 2)
    hello = client_hello()
    for _ in range(ROUNDS // 5):
        octets = bytearray(hello)
        for _ in range(chance.randint(1, 8)):
            octets[chance.randrange(len(octets))] = chance.randrange(256)
        cut = chance.choice([len(octets), len(octets), chance.randrange(len(octets))])
        throw(edge.addresses[1], bytes(octets[:cut]), chance)


def client_hello():
    """What Python's TLS sends first."""
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="localhost"
    )
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_garbage_inside_tunnels(edge):
    """It ends the tunnel or passes; the edge has to survive it, and the backend's answer."""
    chance = random.Random(SEED + 3)
    for _ in range(ROUNDS // 10):
        wire = tunnel(edge.address)
        octets = bytearray(frame(chance.choice([TEXT, BINARY, 3, 11, 15]), b"x" * 300, masked=True))
        octets[chance.randrange(14)] = chance.randrange(256)
        with suppress(OSError):
            wire.send(octets + chance.randbytes(chance.choice([0, 10, 5_000])))
            if chance.random() < 0.5:
                wire.shutdown_write()
                wire.read_to_end()
            else:
                wire.reset()
        wire.close()


def test_connections_that_end_at_once(edge):
    chance = random.Random(SEED + 4)
    for _ in range(ROUNDS // 5):
        for address in edge.addresses:
            wire = connect(address)
            if chance.random() < 0.5:
                wire.reset()
            else:
                wire.close()
