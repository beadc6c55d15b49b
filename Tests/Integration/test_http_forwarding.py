"""Ordinary requests on their way to a server, and its answers on their way back."""

import pytest

from harness.backends import ScriptedBackend, echo
from harness.edge import Edge
from harness.http_clients import (
    VERSIONS, ask, curl, forwarding, head, is_reusable, post, read_answer,
)  # fmt: skip
from harness.http_fixtures import through, web  # noqa: F401
from harness.http_node import NodeServer
from harness.http_recorder import answered, chunked, chunks
from harness.refusals import check_refusal
from harness.wire import connect, tunnel

PERSISTENT = ["1.1", "2"]


# The request


@pytest.mark.parametrize("http", VERSIONS)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-Own"]
)
def test_methods(through, method, http):
    edge = through()
    assert curl(web(edge), "-X", method, http=http).body == b"ok"
    (request,) = edge.server.requests
    assert (request.method, request.version) == (method, "HTTP/1.1")


TARGETS = [
    "/", "/a%20b?x=%2F&y", "/a//b;c=d/", "/?", "/?a?b", "/%7Euser/~user", "/%c3%a4", "/a.b/..c",
    "/x?q=[1]|{2}",
]  # fmt: skip


@pytest.mark.parametrize("http", VERSIONS)
def test_targets_pass_as_they_are(through, http):
    edge = through()
    for target in TARGETS:
        assert curl(web(edge, target), "--path-as-is", "--globoff", http=http).status == 200
    assert edge.server.targets == TARGETS


@pytest.mark.parametrize("http", VERSIONS)
def test_options_of_the_whole_server(through, http):
    """`*` has no path, so that no route answers for it."""
    edge = through()
    found = curl(web(edge), "-X", "OPTIONS", "--request-target", "*", http=http)
    assert (found.status, found.json["error"]) == (404, "no_route")
    assert edge.server.accepted == 0


def test_absolute_form_is_reduced(through):
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, head("http://localhost/room?x=1")).status == 200
    assert edge.server.targets == ["/room?x=1"]


def test_fields_keep_their_case_and_order(through):
    edge = through()
    fields = [
        ("x-LOWER", "1"), ("ACCEPT", "text/*;q=0.5"), ("X-B", "2"), ("Cookie", "a=1"), ("x-b", "3"),
        ("user-agent", "Test"), ("X-Empty", ""), ("Cookie", "b=2"), ("X-Name", "J\xf6rg"),
    ]  # fmt: skip
    with connect(edge.address) as wire:
        assert ask(wire, head("/", *fields)).status == 200
    names = {name for name, _ in fields}
    (request,) = edge.server.requests
    assert [pair for pair in request.fields if pair[0] in names] == fields
    assert request.fields[0] == ("Host", "localhost")


def test_fields_of_an_answer_keep_their_case_and_order(through):
    fields = [
        ("x-LOWER", "1"), ("Set-Cookie", "a=1"), ("ETag", '"x"'), ("Set-Cookie", "b=2"),
        ("CONTENT-TYPE", "text/plain"), ("X-Name", "J\xf6rg"), ("Content-Encoding", "gzip"),
    ]  # fmt: skip
    edge = through(lambda request: answered(b"as it is", *fields))
    with connect(edge.address) as wire:
        response = ask(wire, head())
    names = {name for name, _ in fields}
    assert [pair for pair in response.fields if pair[0] in names] == fields
    assert response.body == b"as it is"


HOP_BY_HOP = {
    "Keep-Alive": "timeout=5", "Proxy-Connection": "keep-alive", "X-Hop": "1",
    "HTTP2-Settings": "AAMAAABk", "Upgrade": "h2c",
}  # fmt: skip


def test_fields_of_the_clients_connection_stay_behind(through):
    edge = through()
    listed = ("Connection", "keep-alive, Upgrade, X-Hop, HTTP2-Settings")
    gone = HOP_BY_HOP | {"Proxy-Authorization": "Basic YTpi"}
    with connect(edge.address) as wire:
        assert ask(wire, head("/", listed, *gone.items())).status == 200
    (request,) = edge.server.requests
    for name in [*gone, "Connection"]:
        assert name not in request


@pytest.mark.parametrize("http", PERSISTENT)
def test_fields_of_the_servers_connection_stay_behind(through, http):
    fields = [("Connection", "keep-alive, X-Hop"), *HOP_BY_HOP.items(), ("X-Kept", "1")]
    edge = through(lambda request: answered(b"ok", *fields))
    found = curl(web(edge), http=http)
    assert found["X-Kept"] == "1"
    for name in [*HOP_BY_HOP, "Connection"]:
        assert name not in found


@pytest.mark.parametrize("http", VERSIONS)
def test_what_the_edge_says_of_the_client(through, http):
    edge = through()
    forged = ["X-Forwarded-Proto: https", "X-Request-Id: mine", "X-Real-IP: 192.0.2.1"]
    lines = [f"-H{line}" for line in [*forged, "X-Forwarded-For: 198.51.100.9"]]
    found = curl(web(edge), "-H", "Host: shop.example:81", *lines, http=http)
    (request,) = edge.server.requests
    assert request["Host"] == "shop.example:81"
    assert request["X-Forwarded-For"] == "198.51.100.9, 127.0.0.1"
    assert request["X-Forwarded-Proto"] == "http"
    assert request["X-Forwarded-Host"] == "shop.example:81"
    assert request["Forwarded"] == 'for=127.0.0.1;proto=http;host="shop.example:81"'
    assert request["X-Request-Id"] == found["X-Request-Id"] != "mine"
    assert "X-Real-IP" not in request


def test_what_a_trusted_proxy_says_of_the_client(through):
    edge = through(trusted_proxies=["127.0.0.0/8"])
    lines = ["X-Forwarded-Proto: https", "X-Request-Id: mine", "X-Real-IP: 192.0.2.1"]
    found = curl(web(edge), *(f"-H{line}" for line in lines))
    (request,) = edge.server.requests
    assert request["X-Forwarded-Proto"] == "https"
    assert request["X-Request-Id"] == found["X-Request-Id"] == "mine"
    assert request["X-Real-IP"] == "192.0.2.1"


def test_fields_set_and_removed(through):
    changes = {"set": {"X-Edge": "sluice", "Host": "inner.example"}, "remove": ["X-Debug"]}
    edge = through(route={"headers": changes})
    fields = ["-Hx-edge: forged", "-Hx-debug: 1", "-HX-Kept: 1"]
    assert curl(web(edge), *fields).status == 200
    (request,) = edge.server.requests
    assert (request["X-Edge"], request["X-Kept"]) == ("sluice", "1")
    assert request["Host"] == "inner.example"
    assert request["X-Forwarded-Host"].startswith("127.0.0.1")
    assert "X-Debug" not in request


@pytest.mark.parametrize("http", VERSIONS)
def test_a_rewritten_path(through, http):
    rewrite = {"strip_prefix": "/shop", "set_prefix": "/v1"}
    edge = through(route={"match": {"path": "/shop/"}, "rewrite": rewrite})
    assert curl(web(edge, "/shop/cart?x=%20y"), http=http).status == 200
    assert edge.server.targets == ["/v1/cart?x=%20y"]


# What has no body


@pytest.mark.parametrize("http", VERSIONS)
def test_head(through, http):
    edge = through(lambda request: answered(b"", ("Content-Length", "5"), length=False))
    found = curl(web(edge), "--head", http=http)
    assert (found.status, found["Content-Length"], found.code) == (200, "5", 0)
    assert edge.server.requests[0].method == "HEAD"


BODILESS = {
    "HEAD": ("HEAD", answered(b"", ("Content-Length", "5"), length=False)),
    "HEAD in chunks": (
        "HEAD", answered(b"", ("Transfer-Encoding", "chunked"), length=False)
    ),
    "HEAD without a length": ("HEAD", answered(b"", length=False)),
    "204": ("GET", answered(b"", status="204 No Content", length=False)),
    "304": ("GET", answered(b"", ("Content-Length", "9"), status="304 Not Modified", length=False)),
    "304 without a length": ("GET", answered(b"", status="304 Not Modified", length=False)),
    "an empty body": ("GET", answered(b"")),
    "an empty body in chunks": ("GET", chunks(b"")),
}  # fmt: skip


@pytest.mark.parametrize(("method", "octets"), BODILESS.values(), ids=BODILESS)
def test_answers_without_a_body(through, method, octets):
    """Both connections go on behind them: nobody waits for what does not come."""
    edge = through(lambda request: octets if request.target == "/" else answered())
    with connect(edge.address) as wire:
        response = ask(wire, head(method=method), method=method)
        assert response.body == b""
        assert is_reusable(wire)
    assert [request.connection for request in edge.server.requests] == [0, 0]
    if b"Content-Length" in octets:
        assert ("Content-Length: %s" % response["Content-Length"]).encode() in octets


def test_a_204_has_no_length(through):
    """RFC 9110 §8.6, whatever the server says."""
    octets = answered(b"", status="204 No Content")
    edge = through(lambda request: octets if request.target == "/" else answered())
    with connect(edge.address) as wire:
        assert "Content-Length" not in ask(wire, head())
        assert is_reusable(wire)


# Bodies and their framing

BODY = b"0123456789abcdef" * 5000
ANSWERS = {
    "length": answered(BODY),
    "chunks": chunks(BODY),
    "small chunks": answered(b"", ("Transfer-Encoding", "chunked"), length=False)
    + chunked(*(BODY[at : at + 7] for at in range(0, 7000, 7)), BODY[7000:]),
    "until the end": answered(BODY, ("Connection", "close"), length=False),
    "HTTP/1.0": answered(BODY, version="HTTP/1.0", length=False),
    "HTTP/1.0 with a length": answered(BODY, version="HTTP/1.0"),
}


@pytest.mark.parametrize("http", VERSIONS)
@pytest.mark.parametrize("octets", ANSWERS.values(), ids=ANSWERS)
def test_bodies_of_answers(through, octets, http):
    edge = through(lambda request: octets)
    found = curl(web(edge), http=http)
    assert (found.code, found.status) == (0, 200)
    assert found.body == BODY
    assert found.last.version == ("HTTP/2" if http == "2" else "HTTP/1.1")


@pytest.mark.parametrize("octets", ANSWERS.values(), ids=ANSWERS)
def test_the_framing_for_a_client_of_1_1(through, octets):
    """The connection goes on however the server ended its answer."""
    edge = through(lambda request: octets)
    with connect(edge.address) as wire:
        response = ask(wire, head())
        assert response.body == BODY
        framing = "Content-Length" if b"Content-Length" in octets[:200] else "Transfer-Encoding"
        assert framing in response
        assert len(response.values("Content-Length") + response.values("Transfer-Encoding")) == 1
        assert "Connection" not in response
        assert is_reusable(wire)


@pytest.mark.parametrize("octets", ANSWERS.values(), ids=ANSWERS)
def test_the_framing_for_a_client_of_1_0(through, octets):
    edge = through(lambda request: octets)
    with connect(edge.address) as wire:
        response = ask(wire, head(version="HTTP/1.0"))
        assert response.body == BODY
        assert "Transfer-Encoding" not in response
        assert response["Connection"] == "close"
        assert wire.read_to_end() == b""
    assert edge.server.requests[0].version == "HTTP/1.1"


@pytest.mark.parametrize("http", VERSIONS)
def test_bodies_of_requests_with_a_length(through, http):
    edge = through()
    assert curl(web(edge), "--data-binary", "@-", http=http, stdin=BODY).status == 200
    (request,) = edge.server.requests
    assert request["Content-Length"] == str(len(BODY))
    assert request.body == BODY


@pytest.mark.parametrize("http", PERSISTENT)
def test_bodies_of_requests_without_a_length(through, http):
    edge = through()
    assert curl(web(edge), "-T", "-", http=http, stdin=BODY).status == 200
    (request,) = edge.server.requests
    assert request["Transfer-Encoding"] == "chunked"
    assert (request.method, request.body) == ("PUT", BODY)


def test_chunks_octet_by_octet(through):
    edge = through()
    octets = head("/", ("Transfer-Encoding", "chunked"), method="POST") + chunked(b"a", b"bcd" * 9)
    with connect(edge.address) as wire:
        for octet in octets:
            wire.send(bytes([octet]))
        assert read_answer(wire).status == 200
        assert is_reusable(wire)
    assert edge.server.requests[0].body == b"a" + b"bcd" * 9


def test_a_request_with_an_empty_body(through):
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, post()).status == 200
        assert ask(wire, head(method="POST")).status == 200
    first, second = edge.server.requests
    assert first["Content-Length"] == "0"
    assert "Content-Length" not in second and "Transfer-Encoding" not in second


def test_a_get_with_a_body(through):
    edge = through()
    with connect(edge.address) as wire:
        assert ask(wire, post("/", b"unusual", method="GET")).status == 200
        assert is_reusable(wire)
    assert [request.body for request in edge.server.requests] == [b"unusual", b""]


@pytest.mark.parametrize("http", VERSIONS)
def test_a_server_that_others_wrote(enter, http):
    node = enter(NodeServer())
    edge = enter(Edge(forwarding(node.url)))
    body = BODY.decode()
    found = curl(web(edge, "/n?x"), "--data-binary", "@-", http=http, stdin=BODY)
    assert (found.json["method"], found.json["url"], found.json["body"]) == ("POST", "/n?x", body)


# Trailers

TRAILERS = [("X-Checksum", "abc"), ("Server-Timing", "db;dur=5")]
FORBIDDEN = [("Content-Length", "7"), ("Authorization", "Bearer x"), ("Set-Cookie", "a=b")]


def test_trailers_of_a_request(through):
    edge = through()
    fields = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Checksum"), ("TE", "trailers")]
    octets = head("/", *fields, method="POST")
    with connect(edge.address) as wire:
        sent = [*TRAILERS, *FORBIDDEN, ("X-Forwarded-For", "192.0.2.1")]
        assert ask(wire, octets + chunked(b"body", trailers=sent)).status == 200
        assert is_reusable(wire)
    request = edge.server.requests[0]
    assert request.body == b"body"
    assert request.trailers == TRAILERS
    assert request["Trailer"] == "X-Checksum"
    assert (request["TE"], request["Connection"]) == ("trailers", "TE")


def test_trailers_of_an_answer(through):
    edge = through(lambda request: chunks(b"body", trailers=[*TRAILERS, *FORBIDDEN]))
    with connect(edge.address) as wire:
        wire.send(head())
        assert "chunked" in wire.read_until(b"\r\n\r\n").decode()
        everything = wire.read_until(b"db;dur=5\r\n\r\n")
    assert everything == chunked(b"body", trailers=TRAILERS)


def test_trailers_of_an_answer_over_http_2(through):
    edge = through(lambda request: chunks(b"body", trailers=[*TRAILERS, *FORBIDDEN]))
    found = curl(web(edge), http="2")
    assert (found.body, found.status) == (b"body", 200)
    assert b"x-checksum: abc" in b"".join(found.trailers), found.trailers
    assert b"set-cookie" not in b"".join(found.trailers)


def test_trailers_end_before_a_client_of_1_0(through):
    edge = through(lambda request: chunks(b"body", trailers=TRAILERS))
    found = curl(web(edge), http="1.0")
    assert found.body == b"body"
    assert not found.trailers


# Answers before the answer

EXPECT = ["-H", "Expect: 100-continue", "--expect100-timeout", "60", "-T"]


@pytest.fixture
def file(tmp_path):
    """The path of a file that has the content `body`."""
    path = tmp_path / "file"
    path.write_bytes(b"body")
    return str(path)


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_continue_by_node(enter, file, http):
    """Node says 100 by itself; curl does not send the body before."""
    node = enter(NodeServer())
    edge = enter(Edge(forwarding(node.url)))
    found = curl(web(edge), *EXPECT, file, http=http)
    assert found.json["body"] == "body"
    assert [each.status for each in found.heads] == [100, 200]


def test_continue_is_the_servers_word(enter):
    """The edge says nothing of its own: the server decides on the head alone."""
    def script(wire):
        assert wire.request["Expect"] == "100-continue"
        assert not wire.buffer
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert wire.read_exactly(4) == b"body"
        wire.send(answered())

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        wire.send(head("/", ("Expect", "100-continue"), ("Content-Length", "4"), method="PUT"))
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        wire.send(b"body")
        assert read_answer(wire).status == 200


@pytest.mark.parametrize("http", ["1.1", "2"])
@pytest.mark.parametrize("status", ["417 Expectation Failed", "401 Unauthorized"])
def test_a_server_that_does_not_want_the_body(enter, file, status, http):
    """curl asks once more without Expect behind a 417, on whatever connection there is."""
    def script(wire):
        if "Expect" in wire.request:
            return wire.send(answered(b"no", ("Connection", "close"), status=status))
        wire.read_until(b"body")
        wire.send(answered(b"no", status="403 Forbidden"))

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    found = curl(web(edge), *EXPECT, file, http=http)
    assert found.code == 0
    assert found.heads[0].status == int(status[:3])
    assert found.body == b"no"


def test_an_answer_before_the_body_ends_the_connection(enter):
    """RFC 9112 §9.6: what comes next is a body that nobody asked for, and the client is told."""
    def script(wire):
        wire.send(answered(b"no", status="417 Expectation Failed"))
        wire.read_to_end()

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        wire.send(head("/", ("Expect", "100-continue"), ("Content-Length", "4"), method="PUT"))
        response = read_answer(wire)
        assert response.status == 417
        assert response["Connection"] == "close"
        wire.send(head("/hidden"))
        assert wire.read_to_end() == b""
    assert len(server.requests) == 1


HINTS = answered(b"", ("Link", "</a.css>; rel=preload"), status="103 Early Hints", length=False)


@pytest.mark.parametrize("http", VERSIONS)
def test_early_hints(through, http):
    edge = through(lambda request: HINTS + answered())
    found = curl(web(edge), http=http)
    assert found.body == b"ok"
    statuses = [each.status for each in found.heads]
    assert statuses == ([200] if http == "1.0" else [103, 200])
    if http != "1.0":
        assert found.heads[0]["Link"] == "</a.css>; rel=preload"


def test_early_hints_come_early(enter):
    """They are with the client before the server has an answer."""
    def script(wire):
        wire.send(HINTS)
        wire.read_until(b"seen")
        wire.send(answered())

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        wire.send(head("/", ("Content-Length", "4"), method="POST"))
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 103 ")
        wire.send(b"seen")
        assert read_answer(wire).status == 200


def test_interim_answers_without_end(through):
    edge = through(lambda request: HINTS * 1000 + answered())
    with connect(edge.address) as wire:
        response = ask(wire, head())
        assert response.status == 502
        assert len(response.interim) < 100
    assert edge.wait_for("request", status=502)["error"] == "upstream_malformed"


@pytest.mark.parametrize("http", PERSISTENT)
def test_a_switch_that_nobody_asked_for(through, http):
    octets = answered(
        b"", ("Upgrade", "h2c"), ("Connection", "Upgrade"), status="101 Switching Protocols",
        length=False,
    )  # fmt: skip
    edge = through(lambda request: octets + answered(b"tunnelled"))
    found = curl(web(edge), http=http)
    assert found.status == 502
    assert b"tunnelled" not in found.body


# What is no ordinary request


def test_a_route_without_http(through):
    edge = through(route={"http": False})
    with connect(edge.address) as wire:
        response = ask(wire, head())
    assert response.status == 426
    assert response["Upgrade"] == "websocket"
    assert edge.server.accepted == 0


def test_upgrades_are_tunneled_on_the_same_route(enter):
    server = enter(ScriptedBackend(echo))
    edge = enter(Edge(forwarding(server.url)))
    with tunnel(edge.address) as wire:
        assert wire.echoes()


def test_upgrades_and_requests_side_by_side(enter):
    """A tunnel has its server's connection for itself."""
    def script(wire):
        if "Upgrade" in wire.request:
            return echo(wire)
        wire.send(answered())
        wire.read_to_end()

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire, tunnel(edge.address) as tunneled:
        assert ask(wire, head()).status == 200
        assert tunneled.echoes()
    assert server.accepted == 2


@pytest.mark.parametrize("http", VERSIONS)
def test_trace_is_refused(through, http):
    """It would show a client what the edge tells the server."""
    edge = through()
    found = curl(web(edge), "-X", "TRACE", http=http)
    assert found.status == 405
    assert "GET" in found["Allow"] and "TRACE" not in found["Allow"]
    assert edge.server.accepted == 0


@pytest.mark.parametrize("target", ["localhost:443", "/", "http://localhost/"])
def test_connect_is_refused(through, target):
    edge = through()
    with connect(edge.address) as wire:
        response = ask(wire, head(target, method="CONNECT"))
        assert response.status in (400, 405, 501)
        assert wire.read_to_end() == b""
    assert edge.server.accepted == 0


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "foo, bar", "websocket-like"])
def test_other_upgrades_are_ordinary_requests(through, protocol):
    """RFC 9110 §7.8: a server may pass over what it is offered."""
    edge = through()
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("HTTP2-Settings", "AAMAAABk")]
    with connect(edge.address) as wire:
        assert ask(wire, head("/", *fields, ("Upgrade", protocol))).body == b"ok"
        assert is_reusable(wire)
    assert "Upgrade" not in edge.server.requests[0]
    assert "HTTP2-Settings" not in edge.server.requests[0]


def test_curl_asks_for_h2c(through):
    edge = through()
    assert curl(web(edge), http="--http2").last.line == "HTTP/1.1 200 OK"


def test_a_servers_426_says_what_it_wants(through):
    fields = [("Upgrade", "TLS/1.0"), ("Connection", "Upgrade")]
    edge = through(lambda request: answered(b"", *fields, status="426 Upgrade Required"))
    with connect(edge.address) as wire:
        response = ask(wire, head())
        assert response["Upgrade"] == "TLS/1.0"
        assert response["Connection"] == "Upgrade"


def test_no_server(enter):
    edge = enter(Edge(forwarding("http://127.0.0.1:1")))
    with connect(edge.address) as wire:
        wire.send(head("/", ("Connection", "close")))
        check_refusal(wire.read_response(), 502)


def test_the_access_record_of_a_request(through):
    edge = through(lambda request: answered(b"1234567"))
    with connect(edge.address) as wire:
        response = ask(wire, post("/order?token=secret", b"123"))
    record = edge.wait_for("request", status=200)
    assert record["request_id"] == response["X-Request-Id"]
    assert (record["method"], record["http"], record["route"]) == ("POST", "1.1", "chat")
    assert (int(record["octets_in"]), int(record["octets_out"])) == (3, 7), record
    assert "secret" not in record["target"]
