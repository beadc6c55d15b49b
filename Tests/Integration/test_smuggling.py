"""Requests hidden in, behind or between others never reach a backend."""

import pytest

from harness.backends import ScriptedBackend, switching
from harness.edge import Edge, configuration
from harness.refusals import check_refusal
from harness.wire import BINARY, connect, frame, upgrade_head

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


@pytest.fixture
def edge(enter, backend):
    return enter(Edge(configuration(backend.url)))


def with_line(line):
    """An upgrade request with one more raw line among its fields."""
    return upgrade_head().replace(b"\r\nUpgrade:", b"\r\n" + line + b"\r\nUpgrade:", 1)


MALFORMED = {
    "length and encoding": with_line(b"Content-Length: 44\r\nTransfer-Encoding: chunked"),
    "encoding and length": with_line(b"Transfer-Encoding: chunked\r\nContent-Length: 44"),
    "two lengths": with_line(b"Content-Length: 0\r\nContent-Length: 44"),
    "a list of lengths": with_line(b"Content-Length: 0, 44"),
    "a signed length": with_line(b"Content-Length: +0"),
    "a hexadecimal length": with_line(b"Content-Length: 0x0"),
    "a length beyond all integers": with_line(b"Content-Length: 99999999999999999999999"),
    "an unknown encoding": with_line(b"Transfer-Encoding: xchunked"),
    "chunked is not last": with_line(b"Transfer-Encoding: chunked, identity"),
    "encoding twice": with_line(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "a vertical tab before chunked": with_line(b"Transfer-Encoding: \x0bchunked"),
    "a folded field": with_line(b"X-Folded: a\r\n b"),
    "a folded field with a tab": with_line(b"X-Folded: a\r\n\tb"),
    "a fold first": upgrade_head().replace(b"\r\nHost", b"\r\n Host", 1),
    "bare line feeds": upgrade_head().replace(b"\r\n", b"\n"),
    "one bare line feed": with_line(b"X-A: b\nX-C: d"),
    "a bare carriage return": with_line(b"X-A: b\rX-C: d"),
    "a bare carriage return at the end": with_line(b"X-A: b\r"),
    "a NUL in a value": with_line(b"X-A: b\0c"),
    "a NUL in a name": with_line(b"X\0A: b"),
    "a control octet in a value": with_line(b"X-A: b\x01c"),
    "space before the colon": with_line(b"Transfer-Encoding : chunked"),
    "tab before the colon": with_line(b"X-A\t: b"),
    "no colon": with_line(b"X-A b"),
    "no name": with_line(b": b"),
    "a name that is no token": with_line(b"X(A): b"),
    "a space in the target": upgrade_head("/a b"),
    "a line feed in the target": upgrade_head("/a\nb"),
    "two spaces in the request line": upgrade_head(" /"),
    "text behind the version": upgrade_head(version="HTTP/1.1 x"),
}


@pytest.mark.parametrize("octets", MALFORMED.values(), ids=MALFORMED)
def test_malformed_heads(edge, backend, octets):
    with connect(edge.address) as wire:
        wire.send(octets + HIDDEN)
        response = wire.read_response()
        check_refusal(response, 400)
        assert wire.read_to_end() == b"", "something behind the refusal was answered"
    assert backend.accepted == 0


@pytest.mark.parametrize("status", ["405", "426", "404"])
def test_a_request_behind_a_refused_upgrade(enter, backend, status):
    """The published attack: a wrong version makes a proxy tunnel without a 101 to allow it."""
    refused = {
        "405": upgrade_head(method="POST"),
        "426": upgrade_head().replace(b"Version: 13", b"Version: 9"),
        "404": upgrade_head("/nowhere"),
    }[status]
    route = {"match": {"path": "/only"}}
    if status != "404":
        route = {}
    edge = enter(Edge(configuration(backend.url, route=route)))
    with connect(edge.address) as wire:
        wire.send(refused + HIDDEN)
        check_refusal(wire.read_response(), int(status))
        assert wire.read_to_end() == b""
    assert backend.accepted == 0


def test_a_request_behind_an_upgrade_that_the_backend_refuses(enter):
    """What follows the head belongs to the tunnel; without a tunnel it goes nowhere."""
    leaked = []

    def refuse(wire):
        wire.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        leaked.append(wire.read_to_end())

    backend = enter(ScriptedBackend(refuse))
    edge = enter(Edge(configuration(backend.url)))
    with connect(edge.address) as wire:
        wire.send(upgrade_head() + HIDDEN)
        response = wire.read_response()
        assert (response.status, response.body) == (401, b"no")
        assert wire.read_to_end() == b""
    edge.wait_for("request", status=401)
    assert leaked in ([], [b""])
    assert [request.target for request in backend.requests] == ["/"]


@pytest.mark.parametrize("answer", ["HTTP/1.1 200 OK", "HTTP/1.1 426 Upgrade Required"])
def test_a_tunnel_needs_the_status_101(enter, answer):
    """A backend that answers something else is never tunneled to, whatever its fields say."""
    received = []

    def pretend(wire):
        right = switching(wire.request).partition(b"\r\n")[2]
        wire.send(answer.encode() + b"\r\nContent-Length: 0\r\n" + right)
        received.append(wire.read_to_end())

    backend = enter(ScriptedBackend(pretend))
    edge = enter(Edge(configuration(backend.url)))
    with connect(edge.address) as wire:
        wire.send(upgrade_head())
        response = wire.read_response()
        assert response.status == int(answer.split()[1])
        try:
            wire.send(HIDDEN)
        except OSError:
            pass
        assert wire.read_to_end() == b""
    edge.wait_for("request", status=response.status)
    assert received in ([], [b""])


def test_frames_that_look_like_requests_stay_in_the_tunnel(edge, backend):
    with connect(edge.address) as wire:
        assert wire.upgrade().status == 101
        wire.send(frame(BINARY, HIDDEN, masked=True))
        assert wire.read_frame()[:2] == (BINARY, HIDDEN)
    assert [request.target for request in backend.requests] == ["/"]


def test_connection_cannot_remove_what_matters(edge, backend):
    """RFC 9110 §7.6.1 lists are the client's; they must not strip the edge's own fields."""
    listed = "Upgrade, Host, Sec-WebSocket-Key, X-Forwarded-For, X-Hop"
    octets = upgrade_head(without=["Connection"], fields=[("Connection", listed), ("X-Hop", "1")])
    with connect(edge.address) as wire:
        wire.send(octets)
        assert wire.read_response().status == 101
    request = backend.last_request()
    assert request["Host"] == "localhost"
    assert request["Sec-WebSocket-Key"]
    assert request["X-Forwarded-For"] == "127.0.0.1"
    assert "X-Hop" not in request
