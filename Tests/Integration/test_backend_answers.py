"""What a backend may answer to an upgrade, and what the client gets."""

import threading

import pytest

from harness.backends import ScriptedBackend, switching
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.refusals import check_refusal
from harness.wire import BINARY, CLOSE, TEXT, connect, frame, upgrade_head


@pytest.fixture
def through(enter):
    """`through(script)` is the address of an edge before a backend with that script."""

    def start(script, **settings):
        backend = enter(ScriptedBackend(script))
        return enter(Edge(configuration(backend.url, **settings)))

    return start


def test_octets_behind_the_request_head(through):
    """caddyserver/caddy#6273: frames sent before the 101 are part of the tunnel."""
    received = []

    def script(wire):
        wire.send(switching(wire.request))
        received.append(wire.read_frame())
        received.append(wire.read_frame())
        wire.send(frame(TEXT, b"both"))

    edge = through(script)
    with connect(edge.address) as wire:
        early = frame(TEXT, b"early", masked=True)
        large = frame(BINARY, b"x" * 50_000, masked=True)
        wire.send(upgrade_head() + early + large)
        assert wire.read_response().status == 101
        assert wire.read_frame() == (TEXT, b"both", True)
    assert received == [(TEXT, b"early", True), (BINARY, b"x" * 50_000, True)]


def test_octets_behind_the_101(through):
    """cloudflare/pingora#946: a server may speak first, in the same segment."""

    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"first") + frame(BINARY, b"y" * 100_000))
        wire.read_to_end()

    edge = through(script)
    with connect(edge.address) as wire:
        assert wire.upgrade().status == 101
        assert wire.read_frame() == (TEXT, b"first", True)
        assert wire.read_frame() == (BINARY, b"y" * 100_000, True)


def test_octets_behind_the_101_and_then_the_end(through):
    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"last") + frame(CLOSE))

    edge = through(script)
    with connect(edge.address) as wire:
        assert wire.upgrade().status == 101
        assert wire.read_frame() == (TEXT, b"last", True)
        assert wire.read_frame() == (CLOSE, b"", True)
        wire.send_close()
        assert wire.read_to_end() == b""


def test_a_101_octet_by_octet(through):
    def script(wire):
        for octet in switching(wire.request) + frame(TEXT, b"slow"):
            wire.send(bytes([octet]))
        wire.read_to_end()

    edge = through(script)
    with connect(edge.address) as wire:
        assert wire.upgrade().status == 101
        assert wire.read_frame() == (TEXT, b"slow", True)


def test_interim_answers_are_skipped(through):
    def script(wire):
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switching(wire.request))
        wire.read_to_end()

    edge = through(script)
    with connect(edge.address) as wire:
        assert wire.upgrade().status == 101


def test_fields_of_the_101_pass(through):
    def script(wire):
        more = {"Set_Cookie": "a=1", "X_Served_By": "one", "Keep_Alive": "timeout=5"}
        wire.send(switching(wire.request, **more))
        wire.read_to_end()

    edge = through(script)
    with connect(edge.address) as wire:
        response = wire.upgrade()
        assert response["Set-Cookie"] == "a=1"
        assert response["X-Served-By"] == "one"
        assert "Keep-Alive" not in response


def test_subprotocol_of_the_backend_passes(through):
    def script(wire):
        assert wire.request["Sec-WebSocket-Protocol"].replace(" ", "") == "chat,superchat"
        wire.send(switching(wire.request, Sec_WebSocket_Protocol="superchat"))
        wire.read_to_end()

    edge = through(script)
    with connect(edge.address) as wire:
        response = wire.upgrade(fields=[("Sec-WebSocket-Protocol", "chat, superchat")])
        assert response["Sec-WebSocket-Protocol"] == "superchat"


def doubled(request, line):
    """The right 101 with a line repeated."""
    head = switching(request)
    return head.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n")


WRONG = {
    "wrong accept": lambda r: switching(r, Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "no accept": lambda r: switching(r, without=["Sec-WebSocket-Accept"]),
    "two accepts": lambda r: doubled(r, b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    "no upgrade": lambda r: switching(r, without=["Upgrade"]),
    "upgrade to something else": lambda r: switching(r, Upgrade="h2c"),
    "no connection": lambda r: switching(r, without=["Connection"]),
    "connection without upgrade": lambda r: switching(r, Connection="close"),
    "a subprotocol nobody offered": lambda r: switching(r, Sec_WebSocket_Protocol="chat"),
    "an extension nobody offered": lambda r: switching(r, Sec_WebSocket_Extensions="x-other"),
    "a body": lambda r: switching(r, Content_Length="5"),
    "not HTTP": lambda r: b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a broken status": lambda r: b"HTTP/1.1 1O1 Switching\r\n\r\n",
    "an endless head": lambda r: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    "a folded field": lambda r: doubled(r, b"X-A: b\r\n c"),
    "a bare line feed": lambda r: doubled(r, b"X-A: b\nX-C: d"),
    "two lengths": lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "nothing at all": lambda r: b"",
    "half a head": lambda r: b"HTTP/1.1 101 Switching Pro",
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_wrong_answers(through, answer):
    def script(wire):
        wire.send(answer(wire.request))
        if answer is not WRONG["nothing at all"] and answer is not WRONG["half a head"]:
            wire.read_to_end()

    edge = through(script)
    with connect(edge.address) as wire:
        check_refusal(wire.upgrade(), 502)
        assert wire.read_to_end() == b""
    edge.wait_for("request", status=502)


PASSED = {
    "401 with a length": (
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n"
        b"Content-Length: 6\r\n\r\ngo off",
        401, b"go off", ("WWW-Authenticate", ["Basic realm=x"]),
    ),
    "302": (
        b"HTTP/1.1 302 Found\r\nLocation: https://example.com/login\r\nSet-Cookie: a=1\r\n"
        b"Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
        302, b"", ("Set-Cookie", ["a=1", "b=2"]),
    ),
    "403 in chunks": (
        b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
        b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n",
        403, b"abcdefg", ("X-A", ["b"]),
    ),
    "500 until the end": (
        b"HTTP/1.1 500 Internal Server Error\r\nX-A: b\r\n\r\n" + b"z" * 300_000,
        500, b"z" * 300_000, ("X-A", ["b"]),
    ),
    "204": (b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", 204, b"", ("X-A", ["b"])),
    "a large body": (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3000000\r\nX-A: b\r\n\r\n"
        + b"w" * 3_000_000,
        503, b"w" * 3_000_000, ("X-A", ["b"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "status", "body", "field"), PASSED.values(), ids=PASSED)
def test_other_answers_pass_as_they_are(through, answer, status, body, field):
    edge = through(lambda wire: wire.send(answer))
    with connect(edge.address) as wire:
        response = wire.upgrade()
        assert response.status == status, response.octets
        assert response.body == body
        assert response.values(field[0]) == field[1]
        assert wire.read_to_end() == b""
    edge.wait_for("request", status=status)


def test_a_body_that_ends_early_is_not_passed_off_as_whole(through):
    edge = through(lambda wire: wire.send(b"HTTP/1.1 401 No\r\nContent-Length: 50\r\n\r\nshort"))
    with connect(edge.address) as wire, pytest.raises((EOFError, ConnectionResetError)):
        wire.upgrade()


def test_a_backend_that_hangs(through):
    ended = threading.Event()

    def script(wire):
        ended.wait(30)

    edge = through(
        script, limits={"handshake_timeout": "1s"}, upstream={"connect_timeout": "1s"}
    )
    with connect(edge.address) as wire:
        wire.socket.settimeout(20)
        check_refusal(wire.upgrade(), 504)
    ended.set()
    edge.wait_for("request", status=504)


def test_a_client_that_leaves_while_the_backend_thinks(through):
    """The backend's connection is not kept for a client that is gone."""
    ends, asked = [], threading.Event()

    def script(wire):
        asked.set()
        ends.append(wire.read_to_end())

    edge = through(script)
    wire = connect(edge.address)
    wire.send(upgrade_head())
    assert asked.wait(10), "the backend was not asked"
    wire.reset()
    eventually(lambda: ends == [b""], "the backend's connection to end")
