"""Every row of the table of upgrade requests: what is admitted and what each refusal says."""

import pytest

from harness.edge import Edge, configuration
from harness.refusals import check_refusal
from harness.wire import ask, connect, upgrade_head

HEAD_SIZE = 12 * 1024


@pytest.fixture(scope="module")
def edge(enter_for_module, node_backend):
    settings = configuration(
        node_backend.url,
        limits={"head_size": "12KiB", "handshake_timeout": "1s"},
        routes=[
            {
                "name": "prefix", "match": {"path": "/chat/"}, "origins": "any",
                "upstream": "backend",
            },
            {"name": "exact", "match": {"path": "/ws"}, "origins": "any", "upstream": "backend"},
            {
                "name": "host", "origins": "any", "upstream": "backend",
                "match": {"hosts": ["chat.example.com", "*.rooms.example.com"], "path": "/named"},
            },
        ],
    )  # fmt: skip
    return enter_for_module(Edge(settings))


def asking(target="/ws", **parts):
    return upgrade_head(target, **parts)


ADMITTED = {
    "plain": asking(),
    "names in lower case": asking().replace(b"Sec-WebSocket", b"sec-websocket"),
    "names in upper case": asking().replace(b"Upgrade:", b"UPGRADE:"),
    "values in other case": asking().replace(b": websocket", b": WebSocket"),
    "connection list": asking(
        without=["Connection"], fields=[("Connection", "keep-alive, upgrade")]
    ),
    "connection over two lines": asking(
        without=["Connection"], fields=[("Connection", "keep-alive"), ("Connection", "Upgrade")]
    ),
    "upgrade list": asking(without=["Upgrade"], fields=[("Upgrade", "h2c, websocket")]),
    "no space after the colon": asking().replace(b": ", b":"),
    "space around values": asking().replace(b"13\r\n", b" \t13 \t\r\n"),
    "one empty line first": b"\r\n" + asking(),
    "absolute form": asking("http://localhost/ws"),
    "host with a port": asking(host="localhost:8080"),
    "host is an IPv6 address": asking(host="[::1]:8080"),
    "a query": asking("/ws?x=1"),
    "an escape in the path": asking("/%77s"),
    "below the prefix": asking("/chat/room/1?x=1"),
    "exact host": asking("/named", host="chat.example.com"),
    "host in other case": asking("/named", host="CHAT.Example.com:8443"),
    "wildcard host": asking("/named", host="a.b.rooms.example.com"),
}


@pytest.mark.parametrize("octets", ADMITTED.values(), ids=ADMITTED)
def test_admitted(edge, octets):
    with connect(edge.address) as wire:
        wire.send(octets)
        response = wire.read_response()
        assert response.status == 101, response.octets + response.body
        assert response["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert response["Upgrade"].lower() == "websocket"
        assert response["Connection"].lower() == "upgrade"
        assert wire.echoes()


def changed(name, *values):
    """An upgrade request whose field `name` is there once for each of `values`."""
    return asking(without=[name], fields=[(name, value) for value in values])


NOT_AN_UPGRADE = {"Upgrade": "websocket"}
OTHER_VERSION = {"Sec_WebSocket_Version": "13"}

REFUSED = {
    "another method": (asking(method="POST"), 405, {"Allow": "GET"}),
    "an unknown method": (asking(method="BREW"), 405, {"Allow": "GET"}),
    "HTTP/1.0": (asking(version="HTTP/1.0"), 400, {}),
    "HTTP/2.0": (asking(version="HTTP/2.0"), 505, {}),
    "HTTP/1": (asking(version="HTTP/1"), (400, 505), {}),
    "a body with a length": (asking(fields=[("Content-Length", "5")]), 400, {}),
    "a chunked body": (asking(fields=[("Transfer-Encoding", "chunked")]), 400, {}),
    "an ordinary request": (b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 426, NOT_AN_UPGRADE),
    "Upgrade of something else": (changed("Upgrade", "h2c"), 426, NOT_AN_UPGRADE),
    "Upgrade like websocket": (changed("Upgrade", "websocket2"), 426, NOT_AN_UPGRADE),
    "no Upgrade": (changed("Upgrade"), 426, NOT_AN_UPGRADE),
    "no Connection": (changed("Connection"), 426, NOT_AN_UPGRADE),
    "Connection without upgrade": (changed("Connection", "keep-alive"), 426, NOT_AN_UPGRADE),
    "no version": (changed("Sec-WebSocket-Version"), 426, OTHER_VERSION),
    "version 8": (changed("Sec-WebSocket-Version", "8"), 426, OTHER_VERSION),
    "version 013": (changed("Sec-WebSocket-Version", "013"), 426, OTHER_VERSION),
    "versions 8 and 13": (changed("Sec-WebSocket-Version", "8, 13"), 426, OTHER_VERSION),
    "no key": (changed("Sec-WebSocket-Key"), 400, {}),
    "empty key": (changed("Sec-WebSocket-Key", ""), 400, {}),
    "two keys": (
        changed("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="),
        400, {},
    ),
    "key of 15 octets": (changed("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA"), 400, {}),
    "key of 17 octets": (changed("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAAA="), 400, {}),
    "key that is not base64": (changed("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j*Q=="), 400, {}),
    "key in base64url": (changed("Sec-WebSocket-Key", "____________________-w=="), 400, {}),
    "subprotocol twice": (asking(fields=[("Sec-WebSocket-Protocol", "a, a")]), 400, {}),
    "subprotocol not a token": (
        asking(fields=[("Sec-WebSocket-Protocol", "a b")]), 400, {},
    ),
    "no host": (asking(without=["Host"]), 400, {}),
    "two hosts": (asking(fields=[("Host", "localhost")]), 400, {}),
    "host with a path": (asking(host="localhost/x"), 400, {}),
    "host with a space": (asking(host="local host"), 400, {}),
    "host with a user": (asking(host="me@localhost"), 400, {}),
    "host with a bad port": (asking(host="localhost:80x"), 400, {}),
    "absolute form of another host": (asking("http://elsewhere/ws"), 400, {}),
    "authority form": (asking("localhost:80", method="CONNECT"), (400, 405, 426), {}),
    "target with a fragment": (asking("/ws#part"), 400, {}),
    "head too large": (asking(fields=[("X-Large", "x" * HEAD_SIZE)]), 431, {}),
    "too many fields": (asking(fields=[("X", "y")] * 200), 431, {}),
    "target too long": (asking("/" + "x" * 10_000), 414, {}),
    "no such path": (asking("/nothing"), 404, {}),
    "the prefix without its slash": (asking("/chat"), 404, {}),
    "dot segments out of the prefix": (asking("/chat/../admin"), 404, {}),
    "encoded dot segments": (asking("/chat/%2e%2e/admin"), 404, {}),
    "no such host": (asking("/named", host="example.com"), 404, {}),
    "a host that ends alike": (asking("/named", host="evilrooms.example.com"), 404, {}),
    "the wildcard's own name": (asking("/named", host="rooms.example.com"), 404, {}),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "status", "fields"), REFUSED.values(), ids=REFUSED)
def test_refused(edge, octets, status, fields):
    with connect(edge.address) as wire:
        wire.send(octets)
        response = wire.read_response()
        expected = status if isinstance(status, tuple) else (status,)
        assert response.status in expected, response.octets + response.body
        check_refusal(response, response.status, **fields)
        assert wire.read_to_end() == b"", "the connection was not closed behind the refusal"
    edge.wait_for(
        "request", request_id=response["X-Request-Id"], status=response.status,
        reason=response.json["reason"],
    )  # fmt: skip


def test_refusal_survives_octets_behind_it(edge):
    """Closing with unread octets would reset the connection and lose the answer."""
    with connect(edge.address) as wire:
        wire.send(asking(method="POST") + b"x" * 200_000)
        check_refusal(wire.read_response(), 405)


def test_octet_by_octet(edge):
    with connect(edge.address) as wire:
        for octet in asking():
            wire.send(bytes([octet]))
        assert wire.read_response().status == 101
        assert wire.echoes()


def test_every_request_has_an_id_of_its_own(edge):
    octets = asking("/nothing", fields=[("X-Request-Id", "chosen-by-the-client")])
    identifiers = {ask(edge.address, octets)["X-Request-Id"] for _ in range(20)}
    assert len(identifiers) == 20
    assert "chosen-by-the-client" not in identifiers


@pytest.mark.parametrize("octets", [b"", asking()[:-2]], ids=["at all", "but the end"])
def test_a_client_that_sends_too_little_is_answered(edge, octets):
    with connect(edge.address) as wire:
        wire.send(octets or b"G")
        check_refusal(wire.read_response(), 408)
        assert wire.read_to_end() == b""


def test_slowloris(edge):
    """An octet now and then does not extend the deadline."""
    with connect(edge.address) as wire:
        wire.socket.settimeout(0.1)
        for octet in asking(fields=[("X-Slow", "x" * 100)]):
            wire.send(bytes([octet]))
            try:
                if wire.fill():
                    break
            except TimeoutError:
                continue
        wire.socket.settimeout(5)
        check_refusal(wire.read_response(), 408)


def test_a_silent_client_is_closed(edge):
    with connect(edge.address) as wire:
        answer = wire.read_to_end()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
