"""Connections that carry more than one request: the client's, and those to servers."""

import os
import signal
import socket
import ssl
import threading
from contextlib import suppress

import pytest

from harness.authority import pair
from harness.backends import ScriptedBackend, echo
from harness.conditions import Frozen, eventually
from harness.edge import Edge
from harness.http2_frames import Frames
from harness.http_bodies import Sender
from harness.http_clients import ask, curl, forwarding, head, is_reusable, post, read_answer
from harness.http_recorder import Recorder, answered, chunked, chunks
from harness.web import Answer, WebServer
from harness.wire import BINARY, Wire, connect, frame, is_refused, tunnel, upgrade_head


@pytest.fixture
def through(enter):
    """`through(answer, …)` is an edge before a recorder, which is its `server`."""

    def start(answer=lambda request: answered(request.target.encode()), **settings):
        server = enter(Recorder(answer))
        edge = enter(Edge(forwarding(server.url, **settings)))
        edge.server = server
        return edge

    return start


def keeping(**rules):
    return {"upstream": {"keepalive": rules}}


def open_count(server):
    """How many of a server's connections the edge has not ended."""
    return sum(not has_ended(wire) for wire in server.wires)


def has_ended(wire):
    return wire.socket.fileno() == -1


# The client's connection


def test_many_requests_one_after_the_other(through):
    edge = through()
    with connect(edge.address) as wire:
        for number in range(50):
            assert ask(wire, head(f"/{number}")).body == b"/%d" % number
    edge.wait_for("request", count=50, status=200)


def test_requests_in_one_segment(through):
    """RFC 9112 §9.3.2: answered in their order, bodies between them and all."""
    edge = through()
    octets = [
        head("/a"), post("/b", b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"), head("/c"),
        head("/d", ("Transfer-Encoding", "chunked"), method="PUT") + chunked(b"5\r\nx", b"0\r\n"),
        post("/e"), head("/f", method="HEAD"), head("/g"),
    ]  # fmt: skip
    with connect(edge.address) as wire:
        wire.send(b"".join(octets))
        for name in b"abcde":
            assert read_answer(wire).body == b"/%c" % name
        assert read_answer(wire, "HEAD").status == 200
        assert read_answer(wire).body == b"/g"
    assert edge.server.targets == ["/a", "/b", "/c", "/d", "/e", "/f", "/g"]


@pytest.mark.parametrize("size", [1, 7, 100])
def test_requests_cut_anywhere(through, size):
    edge = through()
    octets = post("/a", b"12345") + head("/b") + post("/c", b"67") + head("/d")
    with connect(edge.address) as wire:
        for at in range(0, len(octets), size):
            wire.send(octets[at : at + size])
        assert [read_answer(wire).body for _ in range(4)] == [b"/a", b"/b", b"/c", b"/d"]
    assert [request.body for request in edge.server.requests] == [b"12345", b"", b"67", b""]


OWN_ANSWERS = {
    "a preflight": (
        {"cors": True},
        head(
            "/", ("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"),
            method="OPTIONS",
        ),
        204,
    ),
    "a method": ({}, head(method="TRACE"), 405),
    "a key": ({"auth": {"api_keys": {"keys": ["the-key"]}}}, head(), 401),
    "a rate": ({"limits": {"requests_per_client": "1/h"}}, head(), 429),
}  # fmt: skip


@pytest.mark.parametrize(("route", "octets", "status"), OWN_ANSWERS.values(), ids=OWN_ANSWERS)
def test_thousands_of_requests_in_one_segment(through, route, octets, status):
    """Answers of the edge's own do not nest: it is still there behind them."""
    edge = through(route=route)
    count = 3000
    with connect(edge.address) as wire:
        Sender(wire.socket, [octets * count])
        statuses = {read_answer(wire).status for _ in range(count)}
        assert statuses <= {status, 200}
        assert ask(wire, octets).status == status


def test_thousands_of_forwarded_requests_in_one_segment(through):
    edge = through()
    with connect(edge.address) as wire:
        Sender(wire.socket, [head("/x") * 2000])
        for _ in range(2000):
            assert read_answer(wire).body == b"/x"


def test_empty_lines_between_requests(through):
    """RFC 9112 §2.2: one is passed over, as old clients send one behind a body."""
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, post("/a", b"x") + b"\r\n").status == 200
        assert ask(wire, head("/b")).status == 200


def test_an_upgrade_behind_requests(enter):
    """In one segment, with the first frame of the tunnel behind it."""
    def script(wire):
        if "Upgrade" in wire.request:
            return echo(wire)
        wire.send(answered(b"ok", ("Connection", "close")))

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        wire.send(head() + head() + upgrade_head() + frame(BINARY, b"early", masked=True))
        assert [read_answer(wire).status for _ in range(2)] == [200, 200]
        assert wire.read_response().status == 101
        assert wire.read_frame() == (BINARY, b"early", True)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("count", [1, 3, len(PREFACE) - 1])
def test_a_beginning_of_http_2_and_then_the_end(through, count):
    """What could have become HTTP/2 is over, and costs nobody anything."""
    edge = through()
    with connect(edge.address) as wire:
        wire.send(PREFACE[:count])
        wire.shutdown_write()
        wire.read_to_end()
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200


@pytest.mark.parametrize("count", [1, 3, len(PREFACE) - 1])
def test_what_only_begins_like_http_2(through, count):
    edge = through(limits={"handshake_timeout": "1s"})
    with connect(edge.address) as wire:
        wire.send(PREFACE[:count])
        assert read_answer(wire).status == 408
    with connect(edge.address) as wire:
        assert ask(wire, b"P" + head(method="OST")).status == 200


def test_a_client_that_asks_to_close(through):
    edge = through()
    with connect(edge.address) as wire:
        response = ask(wire, head("/a", ("Connection", "close")) + head("/hidden"))
        assert response["Connection"] == "close"
        assert wire.read_to_end() == b""
    assert edge.server.targets == ["/a"]


def test_an_idle_client(through):
    edge = through(limits={"keepalive_timeout": "1s"})
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        assert wire.read_to_end() == b""


def test_a_client_that_begins_another_request(through):
    """The time for a head counts from its first octet, not from the acceptance."""
    edge = through(limits={"keepalive_timeout": "1h", "handshake_timeout": "1s"})
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        wire.send(b"GET / HT")
        response = read_answer(wire)
        assert response.status == 408
        assert response["Connection"] == "close"
        assert wire.read_to_end() == b""


def test_a_client_that_goes_on_behind_refusals(through):
    edge = through(route={"auth": {"api_keys": {"keys": ["the-key"]}}})
    key = ("X-API-Key", "the-key")
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 401
        assert ask(wire, head("/b", key)).status == 200
        assert ask(wire, head("/c", method="HEAD"), method="HEAD").status == 401
        assert ask(wire, head("/d", key)).status == 200
    assert edge.server.targets == ["/b", "/d"]


@pytest.mark.parametrize(
    ("route", "status"), [({"match": {"path": "/only"}}, 404), ({"http": False}, 426)]
)
def test_where_no_route_takes_requests_the_connection_ends(through, route, status):
    edge = through(route=route)
    with connect(edge.address) as wire:
        response = ask(wire, head() + head("/only"))
        assert response.status == status
        assert "close" in response["Connection"]
        assert wire.read_to_end() == b""
    assert edge.server.accepted == 0


def test_a_refused_body_ends_the_connection(through):
    """What follows is the body of a request that nobody reads, and not the next request."""
    edge = through(route={"match": {"path": "/only"}})
    with connect(edge.address) as wire:
        response = ask(wire, post("/else", head("/only")))
        assert (response.status, response["Connection"]) == (404, "close")
        assert wire.read_to_end() == b""
    assert edge.server.accepted == 0


def test_requests_over_tls(enter, authority, localhost):
    server = enter(Recorder())
    listener = {"tls": {"certificates": [pair(localhost)]}}
    edge = enter(Edge(forwarding(server.url, listener=listener)))
    with connect(edge.address, tls=authority.client_context()) as wire:
        wire.send(head("/a") + post("/b", b"x" * 100_000) + head("/c"))
        assert [read_answer(wire).status for _ in range(3)] == [200, 200, 200]
        assert is_reusable(wire)
    assert server.accepted == 1
    assert server.requests[0]["X-Forwarded-Proto"] == "https"


# Connections to servers


def test_a_servers_connection_is_used_again(through):
    edge = through()
    for number in range(10):
        with connect(edge.address) as wire:
            assert ask(wire, post(f"/{number}", b"x" * number)).status == 200
            assert ask(wire, head("/again")).status == 200
    assert edge.server.accepted == 1
    assert len(edge.server.requests) == 20


@pytest.mark.parametrize("octets", [chunks(b"x" * 100_000), answered(b"y" * 100_000)])
def test_it_is_used_again_behind_large_answers(through, octets):
    edge = through(lambda request: octets)
    for _ in range(5):
        assert curl(edge.url("/", scheme="http")).code == 0
    assert edge.server.accepted == 1


def test_answers_that_take_several_turns_on_one_connection(through):
    """More than a turn's receives each: whoever is last in the line leaves nothing there behind."""
    body = bytes(3_000_000)
    edge = through(lambda request: answered(body), route={"http": {"silence_timeout": "3s"}})
    for wire in (edge.server, connect(edge.address)):
        # All of an answer is in the kernel before the edge comes to its end.
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    with wire:
        for _ in range(80):
            assert ask(wire, head()).body == body
    assert edge.server.accepted == 1


def test_a_servers_connection_under_tls_is_used_again(enter, authority, localhost):
    """The session tickets that come behind the handshake are nothing unasked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*localhost)
    server = enter(Recorder(tls=context))
    settings = forwarding(
        f"https://localhost:{server.port}", upstream={"tls": {"ca": authority.ca}}
    )
    edge = enter(Edge(settings))
    for _ in range(5):
        with connect(edge.address) as wire:
            assert ask(wire, post("/", b"x" * 50_000)).status == 200
            assert is_reusable(wire)
    assert server.accepted == 1


def test_a_servers_unix_socket_is_used_again(enter, tmp_path):
    server = enter(Recorder(path=f"{tmp_path}/server.sock"))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        for _ in range(5):
            assert ask(wire, post("/", b"x")).status == 200
    assert server.accepted == 1


def test_requests_at_once_have_connections_of_their_own(enter):
    release = threading.Event()

    def answer(request):
        release.wait(10)
        return answered()

    server = enter(Recorder(answer))
    edge = enter(Edge(forwarding(server.url)))
    wires = [enter(connect(edge.address)) for _ in range(5)]
    for wire in wires:
        wire.send(head())
    eventually(lambda: len(server.requests) == 5, "five requests at the server")
    release.set()
    for wire in wires:
        assert read_answer(wire).status == 200
        assert is_reusable(wire)
    assert server.accepted == 5


UNCLEAN = {
    "close": answered(b"ok", ("Connection", "close")),
    "HTTP/1.0": answered(version="HTTP/1.0"),
    "HTTP/1.0 that would go on": answered(b"ok", ("Connection", "keep-alive"), version="HTTP/1.0"),
    "until the end": answered(b"ok", ("Connection", "close"), length=False),
    "more than its length": answered(b"ok") + b"surplus",
    "more than its chunks": chunks(b"ok") + b"\r\n",
    "an answer too many": answered(b"ok") + answered(b"hidden"),
    "a body behind 204": answered(b"", status="204 No Content", length=False) + b"body",
    "a body behind 304": answered(b"", status="304 Not Modified", length=False) + b"body",
    "no time to wait": answered(b"ok", ("Keep-Alive", "timeout=0")),
}


@pytest.mark.parametrize("octets", UNCLEAN.values(), ids=UNCLEAN)
def test_what_is_not_clean_is_not_used_again(through, octets):
    edge = through(lambda request: octets)
    with connect(edge.address) as wire:
        for _ in range(3):
            response = ask(wire, head())
            assert response.status in (200, 204, 304)
            assert response.body in (b"ok", b"")
    assert [request.connection for request in edge.server.requests] == [0, 1, 2]


def test_a_body_behind_head_is_not_used_again(through):
    edge = through(lambda request: answered(b"a body"))
    with connect(edge.address) as wire:
        for _ in range(3):
            assert ask(wire, head(method="HEAD"), method="HEAD").status == 200
    assert [request.connection for request in edge.server.requests] == [0, 1, 2]


def test_an_answer_before_the_body_is_not_used_again(enter):
    """The rest of the body never goes to the server: the next request would be taken for it."""
    def script(wire):
        wire.send(answered(b"early"))
        assert wire.read_to_end() in (b"", b"ha")

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    for _ in range(2):
        with connect(edge.address) as wire:
            wire.send(head("/", ("Content-Length", "4"), method="POST") + b"ha")
            assert read_answer(wire).body == b"early"
    eventually(lambda: server.accepted == 2, "a connection for each")


def test_a_server_that_closes_its_idle_connection(through):
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 200
        edge.server.wires[0].shutdown_write()
        eventually(lambda: has_ended(edge.server.wires[0]), "the edge to end its side")
        assert ask(wire, post("/b", b"x")).status == 200
    assert [request.connection for request in edge.server.requests] == [0, 1]


def test_a_server_that_resets_its_idle_connection(enter):
    over = threading.Event()

    def script(wire):
        wire.send(answered(wire.request.target.encode()))
        assert over.wait(10)
        wire.reset()

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 200
        with Frozen(edge):
            over.set()
            eventually(lambda: has_ended(server.wires[0]), "the reset")
            wire.send(post("/b", b"x"))
        assert read_answer(wire).body == b"/b"


def test_an_answer_that_comes_too_late(enter):
    """Behind a 504 nobody waits for it any more, and nobody else gets it."""
    late = threading.Event()

    def answer(request):
        assert request.target != "/slow" or late.wait(10)
        return answered(request.target.encode())

    server = enter(Recorder(answer))
    edge = enter(Edge(forwarding(server.url, route={"http": {"response_timeout": "500ms"}})))
    with connect(edge.address) as wire:
        assert ask(wire, head("/slow")).status == 504
        late.set()
        assert ask(wire, head("/b")).body == b"/b"
        assert ask(wire, head("/c")).body == b"/c"
    assert [request.connection for request in server.requests] == [0, 1, 1]


def test_an_answer_whose_client_has_gone(enter):
    """What is left of it is not what the next client gets."""
    gone = threading.Event()

    def script(wire):
        wire.send(answered(b"", ("Content-Length", "8"), length=False) + b"half")
        assert gone.wait(10)
        wire.send(b"half")
        assert wire.read_to_end() == b""

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    for number in range(2):
        with connect(edge.address) as wire:
            wire.send(head(f"/{number}"))
            assert wire.read_until(b"half")
    gone.set()
    eventually(lambda: len(edge.records("request")) == 2, "both records")
    assert [request.target for request in server.requests] == ["/0", "/1"]


def closing_second(seen):
    """A server that closes its connection on the second request."""

    def script(wire):
        seen.append(wire.request.target)
        wire.send(answered())
        seen.append(wire.read_request().target)

    return script


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_is_sent_once_more(enter, method):
    """RFC 9112 §9.3.1: the server may have closed while the request was on its way."""
    seen = []
    server = enter(ScriptedBackend(closing_second(seen)))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, head("/first")).status == 200
        assert ask(wire, head("/second", method=method), method=method).status == 200
    assert seen == ["/first", "/second", "/second"]


def test_a_safe_request_with_much_behind_it_is_sent_once_more(enter):
    """What comes behind it is none of its content."""
    seen = []
    server = enter(ScriptedBackend(closing_second(seen)))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, head("/first")).status == 200
        wire.send(head("/second") + post("/third", bytes(100_000)))
        assert read_answer(wire).status == 200
    assert seen[:3] == ["/first", "/second", "/second"]


@pytest.mark.parametrize("octets", [post("/second"), post("/second", b"body")])
def test_no_other_request_is_sent_once_more(enter, octets):
    seen = []
    server = enter(ScriptedBackend(closing_second(seen)))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, head("/first")).status == 200
        assert ask(wire, octets).status == 502
    assert seen == ["/first", "/second"]


def test_a_server_that_refuses_is_no_loss(enter):
    """What came of the body with the head goes to the next server, whole."""
    server = enter(Recorder())
    edge = enter(Edge(forwarding("http://127.0.0.1:1", server.url)))
    with connect(edge.address) as wire:
        for _ in range(4):
            assert ask(wire, post("/", b"x" * 100_000)).status == 200
    assert {request.body for request in server.requests} == {b"x" * 100_000}


def test_a_new_connection_that_is_lost_is_no_reason_to_ask_again(enter):
    server = enter(ScriptedBackend(lambda wire: None))
    edge = enter(Edge(forwarding(server.url, upstream={"retries": 5})))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 502
    assert len(server.requests) == 1


def test_an_answer_that_has_begun_is_no_reason_to_ask_again(enter):
    def script(wire):
        wire.send(answered())
        wire.read_request()
        wire.send(b"HTTP/1.1 20")

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        assert ask(wire, head()).status == 502
    assert server.accepted == 1


@pytest.mark.parametrize("octets", [head("/b"), post("/b", b"body")])
def test_a_server_that_closes_just_then(through, octets):
    """The request and the end of the idle connection come to the edge at once."""
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 200
        with Frozen(edge):
            wire.send(octets)
            edge.server.wires[0].shutdown_write()
        assert read_answer(wire).body == b"/b"
    assert edge.server.requests[-1].connection == 1


LATE = {
    "an idle timeout": answered(b"late", ("Connection", "close"), status="408 Request Timeout"),
    "an answer too many": answered(b"late"),
    "octets": b"late",
}


@pytest.mark.parametrize("octets", LATE.values(), ids=LATE)
@pytest.mark.parametrize("is_first", [False, True])
def test_a_server_that_speaks_unasked(through, octets, is_first):
    """What stood on the connection before the request is not its answer."""
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 200
        both = [lambda: wire.send(head("/b")), lambda: edge.server.wires[0].send(octets)]
        with Frozen(edge):
            for step in reversed(both) if is_first else both:
                step()
        response = read_answer(wire)
        assert (response.status, response.body) == (200, b"/b")


def test_a_server_that_speaks_while_it_is_idle(through):
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 200
        edge.server.wires[0].send(LATE["an answer too many"])
        eventually(lambda: has_ended(edge.server.wires[0]), "the edge to end its side")
        assert ask(wire, head("/b")).body == b"/b"
    assert edge.server.accepted == 2


def test_keepalive_off(through):
    edge = through(upstream={"keepalive": False})
    with connect(edge.address) as wire:
        for _ in range(3):
            assert ask(wire, head()).status == 200
    assert edge.server.accepted == 3
    eventually(lambda: open_count(edge.server) == 0, "the edge to end its connections")


def test_no_more_idle_connections_than_the_limit(enter):
    release = threading.Event()

    def answer(request):
        release.wait(10)
        return answered()

    server = enter(Recorder(answer))
    edge = enter(Edge(forwarding(server.url, **keeping(connections=2))))
    wires = [enter(connect(edge.address)) for _ in range(6)]
    for wire in wires:
        wire.send(head())
    eventually(lambda: len(server.requests) == 6, "six requests at the server")
    release.set()
    for wire in wires:
        assert read_answer(wire).status == 200
    eventually(lambda: open_count(server) == 2, "two connections to be left")
    assert ask(wires[0], head()).status == 200
    assert server.accepted == 6


def test_an_idle_connection_to_a_server_is_ended(through):
    edge = through(**keeping(timeout="1s"))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        assert open_count(edge.server) == 1
        eventually(lambda: open_count(edge.server) == 0, "the idle connection to be ended")
        assert ask(wire, head()).status == 200


def test_a_server_that_says_how_long_it_waits(through):
    """`Keep-Alive: timeout=2`: the edge is not the last to know."""
    edge = through(lambda request: answered(b"ok", ("Keep-Alive", "timeout=2, max=100")))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        eventually(lambda: open_count(edge.server) == 0, "the edge to end first", timeout=5)
        assert is_reusable(wire)
    assert edge.server.accepted == 2


def test_tunnels_have_connections_of_their_own(enter):
    def script(wire):
        if "Upgrade" in wire.request:
            return echo(wire)
        wire.send(answered())
        wire.read_to_end()

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        with tunnel(edge.address) as tunneled:
            assert tunneled.echoes()
    assert server.accepted == 2


# Reload and end


def test_a_reload_drops_idle_connections(through):
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, head("/a")).status == 200
        assert edge.reload()["message"] == "reloaded"
        eventually(lambda: open_count(edge.server) == 0, "the idle connection to be ended")
        assert ask(wire, head("/b")).body == b"/b"


@pytest.fixture
def held(enter):
    """A server that holds its answers until `release` is set."""
    release = threading.Event()

    def answer(request):
        assert request.target == "/fast" or release.wait(20)
        return answered(b"whole")

    server = enter(Recorder(answer))
    server.release = release
    return server


def test_a_reload_lets_requests_finish(enter, held):
    edge = enter(Edge(forwarding(held.url)))
    with connect(edge.address) as wire:
        wire.send(head("/slow"))
        eventually(lambda: held.requests, "the request at the server")
        edge.reload(forwarding("http://127.0.0.1:1"))
        held.release.set()
        assert read_answer(wire).body == b"whole"
        assert ask(wire, head("/next")).status == 502


def test_the_edge_stops_behind_the_requests_in_flight(enter, held):
    edge = enter(Edge(forwarding(held.url)))
    busy, idle, fresh = (enter(connect(edge.address)) for _ in range(3))
    assert ask(idle, head("/fast")).status == 200
    busy.send(head("/slow") + head("/behind"))
    eventually(lambda: len(held.requests) == 2, "the request at the server")
    edge.signal()
    for wire in (idle, fresh):
        assert wire.read_to_end() == b""
    held.release.set()
    response = read_answer(busy)
    assert (response.body, response["Connection"]) == (b"whole", "close")
    assert busy.read_to_end() == b""
    busy.close()
    assert edge.wait_for_exit() == 0
    assert held.targets == ["/fast", "/slow"]


def test_an_upload_in_flight_is_finished(enter):
    server = enter(Recorder(lambda request: answered(b"%d" % len(request.body))))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        wire.send(head("/", ("Content-Length", "10"), method="PUT") + b"12345")
        eventually(lambda: server.wires and server.accepted, "the server's connection")
        edge.signal()
        eventually(lambda: is_refused(edge.address), "the listener to be gone")
        wire.send(b"67890")
        response = read_answer(wire)
        assert (response.body, response["Connection"]) == (b"10", "close")
    assert edge.wait_for_exit() == 0


@pytest.fixture
def succeed(request):
    """`succeed(edge)` has a new process take over, which ends with the test."""

    def run(edge):
        edge.process.send_signal(signal.SIGUSR2)
        number = int(edge.wait_for("ready", count=2)["pid"])
        request.addfinalizer(lambda: os.kill(number, signal.SIGKILL))
        edge.wait_for("the new process serves: this one ends after its tunnels")
        edge.is_stopped = True

    return run


def test_a_new_process_takes_over(enter, held, succeed):
    """Idle connections end at once, busy ones behind their answers; the old process then."""
    edge = enter(Edge(forwarding(held.url, shutdown_grace="60s")))
    idle, busy = (enter(connect(edge.address)) for _ in range(2))
    assert ask(idle, head("/fast")).status == 200
    busy.send(head("/slow"))
    eventually(lambda: len(held.requests) == 2, "the request at the server")
    succeed(edge)
    assert idle.read_to_end() == b""
    held.release.set()
    response = read_answer(busy)
    assert (response.body, response["Connection"]) == (b"whole", "close")
    busy.close()
    assert edge.process.wait(10) == 0
    with connect(edge.address) as wire:
        assert ask(wire, head("/fast")).body == b"whole"


def test_an_answer_of_the_edges_own_while_it_stops(enter):
    """Nobody is awaited behind it."""
    release = threading.Event()
    service = enter(WebServer(Answer(403, holds=release)))
    route = {"auth": {"forward": {"url": service.url}}}
    settings = forwarding("http://127.0.0.1:1", route=route, shutdown_grace="60s")
    edge = enter(Edge(settings))
    with connect(edge.address) as wire:
        wire.send(head())
        eventually(lambda: service.count, "the service to be asked")
        edge.signal()
        eventually(lambda: is_refused(edge.address), "the listener to be gone")
        release.set()
        response = read_answer(wire)
        assert (response.status, response["Connection"]) == (403, "close")
        assert wire.read_to_end() == b""
    assert edge.wait_for_exit(20) == 0


def open_full(enter, edge):
    """A connection whose answer has been relayed, and has its tail in the edge as a rule."""
    path = edge.address.removeprefix("unix:")
    wire = Wire(enter(socket.socket(socket.AF_UNIX)))
    wire.socket.connect(path)
    wire.send(head())
    # Where the kernel takes less than it does as a rule, the answer is still on its way to the edge.
    with suppress(AssertionError):
        edge.wait_for("request", timeout=1)
    return wire


@pytest.mark.parametrize("count", [200_000, 230_000, 260_000, 290_000])
@pytest.mark.parametrize("way", ["half-close", "stop", "handover"])
def test_the_tail_of_an_answer_is_not_lost(enter, tmp_path, succeed, count, way):
    server = enter(Recorder(lambda request: answered(bytes(count))))
    listeners = [{"address": f"unix:{tmp_path}/edge.sock"}]
    edge = enter(Edge(forwarding(server.url, listeners=listeners)))
    wire = open_full(enter, edge)
    match way:
        case "half-close":
            wire.shutdown_write()
        case "stop":
            edge.signal()
        case "handover":
            succeed(edge)
    assert read_answer(wire).body == bytes(count)
    assert wire.read_to_end() == b""


def test_a_client_that_takes_none_of_its_answers(through):
    """It is not heard any more, whoever gives the answers; later it gets one for each request."""
    edge = through(listener={"redirect_to_https": True, "http2": False})
    before = edge.resident
    with connect(edge.address, receive_buffer=16_384) as wire:
        wire.socket.setblocking(False)
        request, sent, refusals = head("/" + "x" * 100), 0, 0
        octets = request * 500
        while refusals < 500:
            try:
                sent += wire.socket.send(octets[sent % len(request):])
                refusals = 0
            except BlockingIOError:
                refusals += 1
                with connect(edge.address) as other:
                    assert ask(other, head()).status == 301
        assert edge.resident - before < 16 << 20
        wire.socket.settimeout(20)
        for _ in range(sent // len(request)):
            assert read_answer(wire).status == 301


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_the_end_of_an_idle_connection_is_told_under_tls(enter, authority, localhost, version):
    """close_notify, RFC 8446 §6.1: whoever looks knows that nobody has cut it off."""
    server = enter(Recorder())
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    limits = {"keepalive_timeout": "1s"}
    edge = enter(Edge(forwarding(server.url, listeners=listeners, limits=limits)))
    context = authority.client_context()
    context.set_alpn_protocols(["h2"] if version == "2" else ["http/1.1"])
    port = int(edge.address.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        ) as secure,
    ):
        secure.settimeout(10)
        if version == "2":
            peer = Frames(Wire(secure))
            peer.ask(1)
            assert peer.answer(1).status == 200
            assert peer.goaway_code() == 0
        else:
            wire = Wire(secure)
            assert ask(wire, head()).status == 200
        # Without a close_notify this would raise an error.
        assert secure.recv(1) == b""


def test_requests_that_outlive_the_grace(enter, held):
    edge = enter(Edge(forwarding(held.url, shutdown_grace="1s")))
    with connect(edge.address) as wire:
        wire.send(head("/slow"))
        eventually(lambda: held.requests, "the request at the server")
        edge.signal()
        assert wire.read_to_end() == b""
    edge.wait_for_exit()
