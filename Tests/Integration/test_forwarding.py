"""What the backend sees of a client's request."""

import pytest

from harness.backends import ScriptedBackend
from harness.edge import Edge, configuration
from harness.wire import tunnel, upgrade_head, connect


@pytest.fixture(scope="module")
def backend(enter_for_module):
    return enter_for_module(ScriptedBackend())


@pytest.fixture
def seen(enter, backend):
    """`seen(route, target, ...)` is the request as the backend gets it."""

    def request(route=None, target="/", server=None, **parts):
        edge = enter(Edge(configuration(server or backend.url, route=route)))
        with tunnel(edge.address, target, **parts):
            return backend.last_request()

    return request


def test_websocket_fields_in_their_one_spelling(enter, backend):
    """Some backends compare the names literally."""
    edge = enter(Edge(configuration(backend.url)))
    fields = [("sec-websocket-protocol", "chat"), ("SEC-WEBSOCKET-EXTENSIONS", "x-a; b=1")]
    octets = upgrade_head(fields=fields)
    octets = octets.replace(b"Sec-WebSocket-Key", b"sec-websocket-key")
    octets = octets.replace(b"Sec-WebSocket-Version", b"sec-webSocket-VERSION")
    with connect(edge.address) as wire:
        wire.send(octets)
        assert wire.read_response().status == 101
    names = [name for name, _ in backend.last_request().fields]
    for name in ("Key", "Version", "Protocol", "Extensions"):
        assert names.count(f"Sec-WebSocket-{name}") == 1, names


def test_forwarding_fields(seen):
    request = seen(host="chat.example.com:8080")
    assert request["Host"] == "chat.example.com:8080"
    assert request["X-Forwarded-For"] == "127.0.0.1"
    assert request["X-Forwarded-Proto"] == "http"
    assert request["X-Forwarded-Host"] == "chat.example.com:8080"
    forwarded = request["Forwarded"].lower()
    assert "for=127.0.0.1" in forwarded and "proto=http" in forwarded
    assert request["X-Request-Id"]


def test_forwarding_fields_are_appended(seen):
    fields = [("X-Forwarded-For", "198.51.100.9"), ("Forwarded", "for=198.51.100.9")]
    request = seen(fields=fields)
    assert request["X-Forwarded-For"] == "198.51.100.9, 127.0.0.1"
    assert request["Forwarded"].startswith("for=198.51.100.9,")


def test_hop_by_hop_fields_stay_behind(seen):
    gone = {
        "Keep-Alive": "timeout=5", "Proxy-Connection": "keep-alive", "TE": "trailers",
        "Proxy-Authorization": "Basic YTpi", "X-Hop": "1", "HTTP2-Settings": "AAMAAABk",
    }  # fmt: skip
    listed = [("Connection", "keep-alive, Upgrade, X-Hop, HTTP2-Settings")]
    request = seen(without=["Connection"], fields=[*listed, *gone.items()])
    for name in gone:
        assert name not in request
    assert request["Connection"] == "Upgrade"
    assert request["Upgrade"] == "websocket"


def test_other_fields_pass_in_order(seen):
    fields = [("X-B", "2"), ("X-A", "1"), ("X-B", "3"), ("Cookie", "a=1"), ("User-Agent", "test")]
    request = seen(fields=fields)
    wanted = {name for name, _ in fields}
    assert [pair for pair in request.fields if pair[0] in wanted] == fields


def test_octets_beyond_ascii_pass(seen):
    request = seen(fields=[("X-Name", "J\xf6rg"), ("X-Utf8", "J\xc3\xb6rg")])
    assert request["X-Name"] == "J\xf6rg"
    assert request["X-Utf8"] == "J\xc3\xb6rg"


def test_fields_set_and_removed(seen):
    route = {"headers": {"set": {"X-Edge": "sluice"}, "remove": ["X-Debug"]}}
    request = seen(route, fields=[("x-edge", "forged"), ("x-debug", "1"), ("X-Kept", "1")])
    assert request["X-Edge"] == "sluice"
    assert "X-Debug" not in request
    assert request["X-Kept"] == "1"


REWRITES = [
    ({"strip_prefix": "/chat"}, "/chat/room?x=%20y", "/room?x=%20y"),
    ({"strip_prefix": "/chat"}, "/chat/", "/"),
    ({"strip_prefix": "/chat"}, "/%63hat/room", "/room"),
    ({"strip_prefix": "/chat", "set_prefix": "/ws"}, "/chat/room", "/ws/room"),
    ({"set_prefix": "/ws"}, "/chat/room", "/ws/chat/room"),
    ({}, "/chat/a%20b//c;d=e?f=g&h", "/chat/a%20b//c;d=e?f=g&h"),
]


@pytest.mark.parametrize(("rewrite", "sent", "expected"), REWRITES)
def test_rewrites(seen, rewrite, sent, expected):
    route = {"match": {"path": "/chat/"}} | ({"rewrite": rewrite} if rewrite else {})
    assert seen(route, sent).target == expected


def test_absolute_form_is_reduced(seen):
    assert seen(target="http://localhost/room?x=1").target == "/room?x=1"
