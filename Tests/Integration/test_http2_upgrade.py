"""WebSockets over HTTP/2 (RFC 8441): the extended CONNECT, what the server sees, each refusal."""

import base64
import json
import socket

import pytest
from hyperframe.frame import HeadersFrame

from harness import http2, tokens
from harness.authority import pair
from harness.backends import NodeBackend, ScriptedBackend, WebSocketsBackend, switching
from harness.deflate import Deflater, Inflater, parameters
from harness.edge import Edge, configuration
from harness.ends import HeldBackend, Tunnels
from harness.http2 import LISTENERS, check_refusal, client, websocket_fields
from harness.http2_frames import frames
from harness.refusals import check_retry_after
from harness.wire import BINARY, TEXT, Wire, connect, frame

ORIGIN = "https://good.example"
JWT = {"jwt": {"keys": [{"algorithm": "HS256", "secret": tokens.SECRET}]}}


@pytest.fixture(scope="module")
def held(enter_for_module):
    routes = [
        {
            "name": "guarded", "match": {"path": "/guarded/"}, "origins": [ORIGIN], "auth": JWT,
            "upstream": "backend",
        },
        {"name": "rooms", "match": {"path": "/rooms/"}, "origins": "any", "rooms": {}},
        {"name": "chat", "match": {"path": "/ws/"}, "origins": "any", "upstream": "backend"},
        {
            "name": "both", "match": {"path": "/both/"}, "origins": "any", "upstream": "backend",
            "http": True,
        },
    ]  # fmt: skip
    return enter_for_module(Tunnels(listeners=LISTENERS, routes=routes))


@pytest.fixture
def connection(held, enter):
    return enter(client(held.edge.address))


@pytest.fixture
def through(enter):
    """`through(script, **settings)`: a connection to an edge before a backend with that script."""

    def start(script, **settings):
        backend = enter(ScriptedBackend(script) if callable(script) else script)
        edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, **settings)))
        connection = enter(client(edge.address))
        connection.edge, connection.backend = edge, backend
        return connection

    return start


# MARK: The handshake


def test_it_is_announced(connection):
    assert connection.settings.enable_connect_protocol == 1


def test_it_is_announced_under_tls(enter, held, authority, localhost):
    """HTTP/2 is on by default there."""
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    edge = enter(Edge(configuration(held.backend.url, listeners=listeners)))
    connection = enter(client(edge.address, tls=authority.client_context()))
    assert connection.settings.enable_connect_protocol == 1
    stream = connection.tunnel("/", scheme="https")
    ends = http2.Ends(edge, stream, held.backend.take())
    assert ends.server.request["X-Forwarded-Proto"] == "https"
    ends.check_passes()
    ends.close()
    record = ends.record()
    assert record["tls"] == "TLSv1.3" and record["http"] == "2"


def test_no_setting_of_the_client_is_needed(held, enter):
    """RFC 8441 §3: it is the server's to announce."""
    peer = enter(frames(held.edge.address))
    peer.connect(1, "/ws/")
    peer.next(HeadersFrame, 1)
    assert peer.streams[1].response.status == 200
    held.backend.take()


def test_what_the_client_gets(held, connection):
    """RFC 8441 §5.1: 200, and nothing of the handshake of HTTP/1.1."""
    response = connection.tunnel("/ws/").response_head
    for name in ("connection", "upgrade", "sec-websocket-accept", "transfer-encoding"):
        assert name not in response, response.octets
    assert "content-length" not in response
    assert response["x-request-id"]
    held.backend.take()


def test_what_the_server_gets(held, connection):
    """A handshake of HTTP/1.1 (RFC 6455 §4.1) with a key of its own each time."""
    keys = set()
    for number in range(3):
        connection.tunnel(f"/ws/{number}?a=b", host="chat.example.com", fields=[("x-own", "kept")])
        request = held.backend.take().request
        assert request.line == f"GET /ws/{number}?a=b HTTP/1.1"
        assert request["Host"] == "chat.example.com"
        assert request["Upgrade"].lower() == "websocket"
        assert request["Connection"].lower() == "upgrade"
        assert request["Sec-WebSocket-Version"] == "13"
        assert len(base64.b64decode(request["Sec-WebSocket-Key"], validate=True)) == 16
        assert request["X-Own"] == "kept"
        assert not [name for name, _ in request.fields if name.startswith(":")]
        assert "Content-Length" not in request and "Transfer-Encoding" not in request
        keys.add(request["Sec-WebSocket-Key"])
    assert len(keys) == 3


def test_websocket_fields_in_their_one_spelling(held, connection):
    """Some servers compare the names literally; HTTP/2 has them in lower case."""
    fields = [("sec-websocket-protocol", "chat"), ("sec-websocket-extensions", "x-a; b=1")]
    connection.tunnel("/ws/", fields=fields)
    names = [name for name, _ in held.backend.take().request.fields]
    for name in ("Key", "Version", "Protocol", "Extensions"):
        assert names.count(f"Sec-WebSocket-{name}") == 1, names


def test_a_key_of_the_clients_own_is_not_passed_on(held, connection):
    connection.tunnel("/ws/", fields=[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")])
    key = held.backend.take().request["Sec-WebSocket-Key"]
    assert key != "dGhlIHNhbXBsZSBub25jZQ=="


def test_the_name_of_the_protocol_in_other_case(held, connection):
    connection.tunnel("/ws/", protocol="WebSocket")
    held.backend.take()


def test_forwarded_fields(held, connection):
    connection.tunnel("/ws/", fields=[("x-forwarded-for", "198.51.100.9")])
    request = held.backend.take().request
    assert request["X-Forwarded-For"] == "198.51.100.9, 127.0.0.1"
    assert request["X-Forwarded-Proto"] == "http"
    assert request["X-Forwarded-Host"] == "localhost"
    assert "for=127.0.0.1" in request["Forwarded"]


def test_crumbs_of_a_cookie_are_joined(held, connection):
    """RFC 9113 §8.2.3: a server of HTTP/1.1 gets one field."""
    crumbs = [("cookie", "a=1"), ("x-between", "x"), ("cookie", "b=2"), ("cookie", "c=3")]
    connection.tunnel("/ws/", fields=crumbs)
    assert held.backend.take().request["Cookie"] == "a=1; b=2; c=3"


def test_frames_before_the_answer(held, connection):
    """What a client sends right behind its CONNECT is part of the tunnel."""
    stream = connection.connect("/ws/")
    stream.send_frame(TEXT, b"early")
    stream.send_frame(BINARY, b"x" * 50_000)
    server = held.backend.take()
    assert server.read_frame() == (TEXT, b"early", True)
    assert server.read_frame() == (BINARY, b"x" * 50_000, True)
    assert stream.response().status == 200


def test_frames_with_the_answer(through):
    """A server may speak first, in the same segment as its 101."""

    def script(wire):
        wire.send(switching(wire.request) + frame(TEXT, b"first") + frame(BINARY, b"y" * 100_000))
        wire.read_to_end()

    stream = through(script).tunnel()
    assert stream.read_frame() == (TEXT, b"first", True)
    assert stream.read_frame() == (BINARY, b"y" * 100_000, True)


def test_subprotocol(through):
    def script(wire):
        assert wire.request["Sec-WebSocket-Protocol"] == "superchat, chat"
        wire.send(switching(wire.request, Sec_WebSocket_Protocol="chat"))
        wire.read_to_end()

    stream = through(script).tunnel(fields=[("sec-websocket-protocol", "superchat, chat")])
    assert stream.response_head["sec-websocket-protocol"] == "chat"


def test_a_token_in_the_subprotocol(through):
    auth = {"jwt": JWT["jwt"] | {"token_from": ["subprotocol"]}}
    connection = through(HeldBackend(), route={"auth": auth})
    token = tokens.hs256(tokens.claims())
    stream = connection.tunnel(fields=[("sec-websocket-protocol", f"bearer, {token}")])
    assert stream.response_head["sec-websocket-protocol"] == "bearer"
    assert token.encode() not in connection.backend.take().request.octets


# MARK: Real servers


@pytest.mark.parametrize("backend", [WebSocketsBackend, NodeBackend])
def test_messages_of_all_sizes(through, backend):
    """From nothing to a megabyte, through servers that others wrote, and back."""
    stream = through(backend()).tunnel()
    for size in (0, 1, 125, 126, 16_384, 65_535, 65_536, 1 << 20):
        payload = bytes(number & 0xFF for number in range(251)) * (size // 251 + 1)
        stream.send_frame(BINARY, payload[:size])
        assert stream.read_message() == (BINARY, payload[:size])


def test_permessage_deflate_between_the_peers(through):
    connection = through(NodeBackend())
    offer = [("sec-websocket-extensions", "permessage-deflate")]
    stream = connection.tunnel(fields=offer)
    name, _ = parameters(stream.response_head["sec-websocket-extensions"])
    assert name == "permessage-deflate"
    deflate, inflate = Deflater(), Inflater()
    for number in range(5):
        text = b"compressed %d " % number * 1_000
        stream.send(frame(TEXT, deflate(text), masked=True, rsv1=True))
        each = stream.read_whole_frame()
        assert each.rsv1 and inflate(each.payload) == text


def test_permessage_deflate_by_the_edge(through):
    connection = through(HeldBackend(), route={"compression": "offload"})
    stream = connection.tunnel(fields=[("sec-websocket-extensions", "permessage-deflate")])
    server = connection.backend.take()
    assert "Sec-WebSocket-Extensions" not in server.request
    text = b"compressed " * 10_000
    stream.send(frame(TEXT, Deflater()(text), masked=True, rsv1=True))
    assert server.read_message() == (TEXT, text)
    server.send_frame(TEXT, text)
    each = stream.read_whole_frame()
    assert each.rsv1 and Inflater()(each.payload) == text


# MARK: Refusals


def asking(target="/ws/", **parts):
    return websocket_fields(target, **parts)


def guarded(origin=ORIGIN, token=None):
    fields = [("origin", origin)] if origin else []
    if token:
        fields.append(("authorization", f"Bearer {token}"))
    return asking("/guarded/", fields=fields)


EXPIRED = tokens.hs256(tokens.claims(exp=1_000_000_000))
OTHER_VERSION = {"Sec_WebSocket_Version": "13"}
WITHOUT_VERSION = {"without": ["sec-websocket-version"]}

REFUSED = {
    "another origin": (guarded("https://evil.example"), 403, {}),
    "no token": (guarded(), 401, {}),
    "an expired token": (guarded(token=EXPIRED), 401, {}),
    "version 8": (
        asking(**WITHOUT_VERSION, fields=[("sec-websocket-version", "8")]), 426, OTHER_VERSION,
    ),
    "no version": (asking(**WITHOUT_VERSION), 426, OTHER_VERSION),
    "no route": (asking("/elsewhere"), 404, {}),
    "dot segments": (asking("/ws/../rooms/a"), 404, {}),
    "another protocol": (asking(protocol="connect-udp"), 501, {}),
    "a subprotocol twice": (asking(fields=[("sec-websocket-protocol", "a, a")]), 400, {}),
    "a malformed extension": (asking(fields=[("sec-websocket-extensions", "a;;b")]), 400, {}),
    "a body announced": (asking(fields=[("content-length", "5")]), 400, {}),
    "a room without a name": (asking("/rooms/"), 404, {}),
    "another protocol where requests are forwarded": (asking("/both/", protocol="h3"), 501, {}),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "status", "more"), REFUSED.values(), ids=REFUSED)
def test_refused(held, connection, fields, status, more):
    """The answer is whole, the stream is over, and the connection goes on."""
    response = connection.begin(fields).answer()
    check_refusal(response, status, **more)
    held.edge.wait_for(
        "request", request_id=response["X-Request-Id"], status=status, http="2",
        reason=response.json["reason"],
    )  # fmt: skip
    connection.tunnel("/ws/")
    held.backend.take()


def test_a_good_token_and_origin(held, connection):
    token = tokens.hs256(tokens.claims())
    response = connection.begin(guarded(token=token)).response()
    assert response.status == 200
    assert "Authorization" not in held.backend.take().request


def test_connect_that_ends_its_stream(held, connection):
    """RFC 8441 §4: what follows the head is the WebSocket, and has to be there."""
    check_refusal(connection.connect("/ws/", ends=True).answer(), 400)


def test_an_ordinary_request_where_there_are_websockets_alone(connection):
    response = connection.ask("/ws/")
    assert response.status == 426
    assert "upgrade" not in response, "RFC 9113 §8.2.2"


def test_a_handshake_of_http_11(connection):
    """GET with Upgrade is malformed (RFC 9113 §8.2.2); without, an ordinary request."""
    fields = [("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]
    assert connection.ask("/ws/", fields=fields).status == 426


MALFORMED = {
    "CONNECT without a protocol": asking(without=[":protocol"]),
    "CONNECT as RFC 9110 has it": [(":method", "CONNECT"), (":authority", "localhost:80")],
    "GET with a protocol": [(":method", "GET"), *asking(without=[":method"])],
    "no scheme": asking(without=[":scheme"]),
    "no path": asking(without=[":path"]),
    "no authority": asking(without=[":authority"]),
    "a host in the place of the authority": asking(
        without=[":authority"], fields=[("host", "localhost")]
    ),
    "an empty protocol": asking(protocol=""),
    "two protocols": [(":protocol", "websocket"), *asking()],
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_malformed(held, connection, fields):
    """RFC 9113 §8.1.1: an answer of 4xx, or a stream error. The connection lives."""
    before = len(held.backend.requests)
    stream = connection.begin(fields)
    connection.wait(lambda: stream.socket.heads or stream.code is not None, "a refusal")
    if stream.socket.heads:
        assert 400 <= stream.answer().status < 500 or stream.response().status == 501
    else:
        assert stream.code == http2.ErrorCodes.PROTOCOL_ERROR
    connection.round_trip()
    assert len(held.backend.requests) == before
    connection.tunnel("/ws/")
    held.backend.take()


# MARK: Refusals that depend on others


def test_too_many_of_a_client(through):
    """Streams count as connections of HTTP/1.1 do."""
    connection = through(HeldBackend(), route={"limits": {"connections_per_client": 2}})
    first = connection.tunnel()
    connection.tunnel()
    check_refusal(connection.connect().answer(), 429)
    first.reset()
    connection.backend.take().reset()
    connection.edge.wait_for("tunnel")
    connection.tunnel()


def test_too_often(through):
    limits = {"upgrades_per_client": {"rate": "1/h", "burst": 2}}
    connection = through(HeldBackend(), route={"limits": limits})
    for _ in range(2):
        connection.tunnel()
    response = connection.connect().answer()
    check_refusal(response, 429)
    check_retry_after(response)


def test_no_server(enter):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = "ws://127.0.0.1:%d" % nobody.getsockname()[1]
        edge = enter(Edge(configuration(url, listeners=LISTENERS)))
        check_refusal(enter(client(edge.address)).connect().answer(), 502)


def test_no_healthy_server(enter):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = "ws://127.0.0.1:%d" % nobody.getsockname()[1]
        check = {"interval": "100ms", "unhealthy_after": 1}
        settings = configuration(url, listeners=LISTENERS, upstream={"health_check": check})
        edge = enter(Edge(settings))
        edge.wait_for("server unhealthy")
        check_refusal(enter(client(edge.address)).connect().answer(), 503)


def test_a_full_edge(through):
    connection = through(HeldBackend(), limits={"connections": 3})
    for _ in range(2):
        connection.tunnel()
    response = connection.connect().answer()
    check_refusal(response, 503)
    check_retry_after(response)


OWN_ANSWERS = {
    "401": (b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n", b"who are you?"),
    "302": (b"HTTP/1.1 302 Found\r\nLocation: https://login.example/\r\n", b""),
    "404": (b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n", b"<p>" + b"x" * 300_000),
}


@pytest.mark.parametrize(("head", "body"), OWN_ANSWERS.values(), ids=OWN_ANSWERS)
@pytest.mark.parametrize("framing", ["length", "chunks", "close"])
def test_a_servers_own_answer(through, head, body, framing):
    """It passes as it is, but for its framing."""
    ending = {
        "length": (b"Content-Length: %d\r\n\r\n" % len(body), body),
        "chunks": (
            b"Transfer-Encoding: chunked\r\n\r\n",
            (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n",
        ),
        "close": (b"Connection: close\r\n\r\n", body),
    }[framing]
    connection = through(lambda wire: wire.send(head + b"".join(ending)))
    response = connection.connect().answer()
    assert response.status == int(head.split()[1])
    assert response.body == body
    assert "transfer-encoding" not in response and "connection" not in response
    for name in ("www-authenticate", "location"):
        assert (name in response) == (name.encode() in head.lower())


@pytest.mark.parametrize("status", [200, 204, 206])
def test_a_server_that_takes_it_for_a_request(through, status):
    """The client would take a 2xx for the beginning of its tunnel (RFC 9110 §9.3.6)."""
    head = b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n"
    body = b"" if status == 204 else b"a page"
    connection = through(lambda wire: wire.send(head % (status, len(body)) + body))
    check_refusal(connection.connect().answer(), 502)


BAD_ANSWERS = {
    "another accept value": lambda wire: switching(wire.request, Sec_WebSocket_Accept="x"),
    "no accept value": lambda wire: switching(wire.request, without=["Sec-WebSocket-Accept"]),
    "no Upgrade": lambda wire: switching(wire.request, without=["Upgrade"]),
    "no HTTP": lambda wire: b"SSH-2.0-OpenSSH\r\n\r\n",
    "nothing": lambda wire: b"",
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_of_a_server(through, answer):
    connection = through(lambda wire: wire.send(answer(wire)))
    response = connection.connect().answer()
    check_refusal(response, 502)
    record = connection.edge.wait_for("request", request_id=response["X-Request-Id"])
    assert (record["http"], record["method"]) == ("2", "CONNECT")


def test_many_answers_at_once(through):
    """Refusals and tunnels side by side: each stream has its own."""
    connection = through(HeldBackend())
    streams = [
        connection.connect("/", fields=[] if number % 2 else [("sec-websocket-version", "9")])
        for number in range(60)
    ]
    for number, stream in enumerate(streams):
        assert stream.response().status == (200 if number % 2 else 426)
        if number % 2 == 0:
            assert json.loads(stream.read_to_end())["error"]


def test_a_client_that_tries_again_and_again(held, connection):
    """A refusal leaves its stream at once: 300 of them in a row fit into 128 streams."""
    for _ in range(300):
        assert connection.begin(asking("/elsewhere")).answer().status == 404
    assert not connection.goaways


# MARK: Who stands in front, and behind


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_in_front(enter, authority, localhost, scheme):
    """The PROXY protocol's header comes before TLS, and that before HTTP/2."""
    backend = enter(HeldBackend())
    listener = LISTENERS[0] | {"proxy_protocol": ["127.0.0.0/8"]}
    tls = None
    if scheme == "https":
        listener["tls"] = {"certificates": [pair(localhost)]}
        tls = authority.client_context()
        tls.set_alpn_protocols(["h2"])
    edge = enter(Edge(configuration(backend.url, listeners=[listener])))
    wire = enter(connect(edge.address))
    wire.send(b"PROXY TCP4 198.51.100.7 203.0.113.1 1234 443\r\n")
    if tls:
        wire = enter(Wire(tls.wrap_socket(wire.socket, server_hostname="localhost")))
    connection = enter(http2.Client(wire))
    ends = http2.Ends(edge, connection.tunnel(scheme=scheme), backend.take())
    assert ends.server.request["X-Forwarded-For"] == "198.51.100.7"
    assert ends.server.request["X-Forwarded-Proto"] == scheme
    ends.check_passes()
    ends.server.reset()
    ends.client.finish()
    ends.check_record(client="198.51.100.7", http="2")


def test_a_server_that_is_told_by_the_proxy_protocol(enter):
    """Each stream has a server's connection of its own, with a header of its own."""
    lines = []

    def script(wire):
        lines.append(wire.read_until(b"\r\n"))
        wire.request = wire.read_request()
        wire.send(switching(wire.request))
        wire.read_to_end()

    backend = enter(ScriptedBackend(script, reads_head=False))
    upstream = {"proxy_protocol": "v1"}
    edge = enter(Edge(configuration(backend.url, listeners=LISTENERS, upstream=upstream)))
    connection = enter(client(edge.address))
    port = connection.socket.getsockname()[1]
    for _ in range(2):
        connection.tunnel()
    expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {edge.port}\r\n".encode()
    assert lines == [expected, expected]


def test_a_trusted_proxy(through):
    connection = through(HeldBackend(), trusted_proxies=["127.0.0.1"])
    fields = [("x-forwarded-for", "198.51.100.9"), ("x-request-id", "of-the-proxy")]
    stream, server = connection.tunnel(fields=fields), connection.backend.take()
    assert server.request["X-Request-Id"] == "of-the-proxy"
    server.reset()
    stream.finish()
    assert connection.edge.wait_for("tunnel", client="198.51.100.9", request_id="of-the-proxy")
