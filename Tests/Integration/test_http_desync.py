"""Requests and answers that two readers could take apart differently: nobody ever does."""

import random

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge
from harness.http_clients import ask, forwarding, head, post, read_answer
from harness.http_node import NodeServer
from harness.http_recorder import Recorder, answered, chunked, chunks
from harness.wire import connect

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
SECRET = "what-only-servers-see"


@pytest.fixture(scope="module")
def recorder(enter_for_module):
    return enter_for_module(Recorder(lambda request: answered(request.body)))


@pytest.fixture(scope="module")
def node(enter_for_module):
    return enter_for_module(NodeServer())


@pytest.fixture(scope="module")
def edges(enter_for_module, recorder, node):
    """An edge before each server, by name."""
    route = {"headers": {"set": {"X-Secret": SECRET}}}
    return {
        name: enter_for_module(Edge(forwarding(server.url, route=route)))
        for name, server in (("recorder", recorder), ("node", node))
    }


def with_lines(*lines, body=b"", target="/first", method="POST"):
    """A request with these raw lines behind its Host."""
    first = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n".encode()
    return first + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def in_chunks(octets, *lines):
    return with_lines(b"Transfer-Encoding: chunked", *lines, body=octets)


SMUGGLED = b"0\r\n\r\n" + HIDDEN

# Heads and bodies of which no request may come. Behind each stands a request that is hidden.
REFUSED = {
    "CL.TE": with_lines(b"Content-Length: 49", b"Transfer-Encoding: chunked", body=SMUGGLED),
    "TE.CL": with_lines(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"5c\r\n"),
    "CL 0 and TE": with_lines(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=SMUGGLED),
    "TE.TE": with_lines(b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", body=SMUGGLED),
    "TE twice": with_lines(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "TE in a list": with_lines(b"Transfer-Encoding: chunked, chunked", body=SMUGGLED),
    "TE: gzip, chunked": with_lines(b"Transfer-Encoding: gzip, chunked", body=SMUGGLED),
    "TE: chunked, identity": with_lines(b"Transfer-Encoding: chunked, identity", body=SMUGGLED),
    "TE: identity": with_lines(b"Transfer-Encoding: identity", b"Content-Length: 5"),
    "TE: xchunked": with_lines(b"Transfer-Encoding: xchunked", body=SMUGGLED),
    "TE: chunkedx": with_lines(b"Transfer-Encoding: chunkedx", body=SMUGGLED),
    "TE: \"chunked\"": with_lines(b'Transfer-Encoding: "chunked"', body=SMUGGLED),
    "TE with a parameter": with_lines(b"Transfer-Encoding: chunked;a=b", body=SMUGGLED),
    "TE with a vertical tab": with_lines(b"Transfer-Encoding: \x0bchunked", body=SMUGGLED),
    "TE with a NUL": with_lines(b"Transfer-Encoding: chunked\0", body=SMUGGLED),
    "TE that is empty": with_lines(b"Transfer-Encoding:", body=SMUGGLED),
    "TE with a comma": with_lines(b"Transfer-Encoding: chunked,", body=SMUGGLED),
    "space before the colon of TE": with_lines(b"Transfer-Encoding : chunked", body=SMUGGLED),
    "tab before the colon of TE": with_lines(b"Transfer-Encoding\t: chunked", body=SMUGGLED),
    "TE behind a bare LF": with_lines(b"X: y\nTransfer-Encoding: chunked", body=SMUGGLED),
    "TE behind a bare CR": with_lines(b"X: y\rTransfer-Encoding: chunked", body=SMUGGLED),
    "TE folded": with_lines(b"Transfer-Encoding:\r\n chunked", body=SMUGGLED),
    "TE hidden in a fold": with_lines(b"X: y\r\n Transfer-Encoding: chunked", body=SMUGGLED),
    "TE with a space first": with_lines(b" Transfer-Encoding: chunked", body=SMUGGLED),
    "CL twice": with_lines(b"Content-Length: 5", b"Content-Length: 0", body=b"12345"),
    "CL in a list": with_lines(b"Content-Length: 5, 5", body=b"12345"),
    "CL with a sign": with_lines(b"Content-Length: +5", body=b"12345"),
    "CL below zero": with_lines(b"Content-Length: -5", body=b"12345"),
    "CL in hexadecimal": with_lines(b"Content-Length: 0x5", body=b"12345"),
    "CL with a fraction": with_lines(b"Content-Length: 5.0", body=b"12345"),
    "CL with an exponent": with_lines(b"Content-Length: 5e0", body=b"12345"),
    "CL with an underscore": with_lines(b"Content-Length: 1_0", body=b"12345"),
    "CL with a space inside": with_lines(b"Content-Length: 1 0", body=b"12345"),
    "CL that is empty": with_lines(b"Content-Length:"),
    "CL beyond all integers": with_lines(b"Content-Length: 18446744073709551621", body=b"12345"),
    "CL in other digits": with_lines("Content-Length: ٥".encode(), body=b"12345"),
    "space before the colon of CL": with_lines(b"Content-Length : 5", body=b"12345"),
    "CL folded": with_lines(b"Content-Length: 5\r\n 0", body=b"12345"),
    "TE in HTTP/1.0": in_chunks(SMUGGLED).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "a size with 0x": in_chunks(b"0x5\r\n12345\r\n0\r\n\r\n"),
    "a size with a sign": in_chunks(b"+5\r\n12345\r\n0\r\n\r\n"),
    "a size below zero": in_chunks(b"-1\r\n12345\r\n0\r\n\r\n"),
    "a size behind a space": in_chunks(b" 5\r\n12345\r\n0\r\n\r\n"),
    "a size in words": in_chunks(b"five\r\n12345\r\n0\r\n\r\n"),
    "no size": in_chunks(b"\r\n12345\r\n0\r\n\r\n"),
    "a size that wraps": in_chunks(b"10000000000000005\r\n12345\r\n0\r\n\r\n"),
    "a size in 63 bits": in_chunks(b"8000000000000005\r\n12345\r\n0\r\n\r\n"),
    "a size behind a bare LF": in_chunks(b"5\n12345\r\n0\r\n\r\n"),
    "a size behind a bare CR": in_chunks(b"5\r12345\r\n0\r\n\r\n"),
    "a size with an underscore": in_chunks(b"0_5\r\n12345\r\n0\r\n\r\n"),
    "a chunk that is longer": in_chunks(b"5\r\n1234567\r\n0\r\n\r\n"),
    "a chunk that is shorter": in_chunks(b"5\r\n123\r\n0\r\n\r\n"),
    "a chunk with two other octets": in_chunks(b"5\r\n12345XX0\r\n\r\n"),
    "a chunk with a bare LF": in_chunks(b"5\r\n12345\n0\r\n\r\n"),
    "a bare LF in an extension": in_chunks(b"5;a\nb\r\n12345\r\n0\r\n\r\n"),
    "a bare CR in an extension": in_chunks(b"5;a\rb\r\n12345\r\n0\r\n\r\n"),
    "a NUL in an extension": in_chunks(b"5;a\0b\r\n12345\r\n0\r\n\r\n"),
    "an extension without end": in_chunks(b"5;" + b"a" * 8192 + b"\r\n12345\r\n0\r\n\r\n"),
    "zeros without end": in_chunks(b"0" * 8192 + b"5\r\n12345\r\n0\r\n\r\n"),
    "a last chunk with a bare LF": in_chunks(b"5\r\n12345\r\n0\n\n"),
    "trailers with a bare LF": in_chunks(b"0\r\nX: y\n\r\n"),
    "trailers with a fold": in_chunks(b"0\r\nX: y\r\n z\r\n\r\n"),
    "trailers with a NUL": in_chunks(b"0\r\nX: y\0\r\n\r\n"),
    "trailers that are no fields": in_chunks(b"0\r\nGET /hidden HTTP/1.1\r\n\r\n"),
    "trailers without end": in_chunks(b"0\r\n" + b"X: y\r\n" * 10000 + b"\r\n"),
    "obs-fold": with_lines(b"X: y", b"\tz: chunked"),
    "a NUL in a field": with_lines(b"X: y\0z"),
    "bare LFs": with_lines(b"X: y").replace(b"\r\n", b"\n"),
    "two Hosts": with_lines(b"Host: other"),
    "no Host": with_lines().replace(b"Host: localhost\r\n", b""),
    "a Host with a user": with_lines().replace(b"Host: localhost", b"Host: a@localhost"),
    "a Host with a path": with_lines().replace(b"Host: localhost", b"Host: localhost/x"),
    "absolute-form against Host": with_lines(target="http://other/first"),
    "HTTP/0.9": b"GET /first\r\n\r\n",
    "HTTP/2 in text": with_lines().replace(b"HTTP/1.1", b"HTTP/2.0", 1),
    "HTTP/1.10": with_lines().replace(b"HTTP/1.1", b"HTTP/1.10", 1),
    "a version in lower case": with_lines().replace(b"HTTP/1.1", b"http/1.1", 1),
    "a space in the target": with_lines(target="/a b"),
    "a tab before the version": with_lines().replace(b" HTTP/1.1", b"\tHTTP/1.1", 1),
    "a method with a colon": with_lines(method="GE:T"),
    "a control octet in the target": with_lines(target="/a\x7fb"),
}


def everything(wire, octets):
    """What a client gets in all for the octets, on a connection that ends by itself."""
    wire.send(octets)
    return wire.read_to_end()


@pytest.mark.parametrize("octets", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(edges, recorder, node, octets):
    recorder.requests.clear()
    for edge in edges.values():
        with connect(edge.address) as wire:
            found = everything(wire, octets + HIDDEN)
        assert found.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 505 ")), found
        assert found.count(b"HTTP/1.1 ") == 1
        assert SECRET.encode() not in found
    assert recorder.requests == []
    assert node.requests() == []


@pytest.mark.parametrize("octets", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_octet_by_octet(edges, recorder, octets):
    """The server may have had a part of a body by then, but never a whole request."""
    recorder.requests.clear()
    with connect(edges["recorder"].address) as wire:
        try:
            for octet in (octets + HIDDEN)[:2000]:
                wire.send(bytes([octet]))
            wire.send((octets + HIDDEN)[2000:])
        except OSError:
            pass
        found = wire.read_to_end()
        assert found.count(b"HTTP/1.1 ") <= 1
        assert not found or found[9:12] in (b"400", b"501", b"505"), found
    assert recorder.requests == []


# What is one request, and what its body is, however strange it looks.
ONE = {
    "a body that is a request": (post("/first", HIDDEN), HIDDEN),
    "GET with a body": (post("/first", HIDDEN, method="GET"), HIDDEN),
    "DELETE with a body": (post("/first", HIDDEN, method="DELETE"), HIDDEN),
    "a chunk that is a request": (in_chunks(chunked(HIDDEN)), HIDDEN),
    "a chunk that is a last chunk": (in_chunks(chunked(SMUGGLED)), SMUGGLED),
    "chunks": (in_chunks(chunked(b"a", b"b" * 300, b"c")), b"a" + b"b" * 300 + b"c"),
    "a size in upper case": (in_chunks(b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789"),
    "a size with zeros before it": (in_chunks(b"000005\r\n12345\r\n000\r\n\r\n"), b"12345"),
    "extensions": (in_chunks(b'5;a=b;c="d;e"\r\n12345\r\n0;last\r\n\r\n'), b"12345"),
    "an extension like a size": (in_chunks(b"5;10\r\n12345\r\n0\r\n\r\n"), b"12345"),
    "trailers": (in_chunks(b"1\r\nx\r\n0\r\nX-T: y\r\n\r\n"), b"x"),
    "trailers that would frame": (
        in_chunks(b"1\r\nx\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n"), b"x"
    ),
    "trailers that would lead": (in_chunks(b"1\r\nx\r\n0\r\nHost: other\r\n\r\n"), b"x"),
    "CL twice the same": (
        with_lines(b"Content-Length: 5", b"Content-Length: 5", body=b"12345"), b"12345"
    ),
    "CL with zeros before it": (with_lines(b"Content-Length: 0005", body=b"12345"), b"12345"),
    "CL with space around it": (with_lines(b"Content-Length: \t 5 \t", body=b"12345"), b"12345"),
    "TE in upper case": (with_lines(b"TRANSFER-ENCODING: CHUNKED", body=chunked(b"x")), b"x"),
    "CL listed in Connection": (
        with_lines(b"Connection: Content-Length", b"Content-Length: 5", body=b"12345"), b"12345"
    ),
    "TE listed in Connection": (
        with_lines(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked",
                   body=chunked(HIDDEN)), HIDDEN
    ),
    "a name that looks like CL": (with_lines(b"Content_Length: 50"), b""),
    "a name that looks like TE": (with_lines(b"Transfer_Encoding: chunked"), b""),
    "Upgrade that is passed over": (
        with_lines(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"12345"),
        b"12345",
    ),
}  # fmt: skip


def bodies_seen(name, recorder, node):
    if name == "recorder":
        return [(each.target, each.body) for each in recorder.requests]
    return [(each["url"], each["body"].encode("latin-1")) for each in node.requests()]


@pytest.mark.parametrize(("octets", "body"), ONE.values(), ids=ONE)
@pytest.mark.parametrize("name", ["recorder", "node"])
def test_what_is_one_request(edges, recorder, node, name, octets, body):
    """Each server sees the request, the body and the one behind it, and nothing else."""
    recorder.requests.clear()
    with connect(edges[name].address) as wire:
        wire.send(octets + head("/second", ("Connection", "close")))
        assert [read_answer(wire).status for _ in range(2)] == [200, 200]
        assert wire.read_to_end() == b""
    assert bodies_seen(name, recorder, node) == [("/first", body), ("/second", b"")]


@pytest.mark.parametrize(("octets", "body"), ONE.values(), ids=ONE)
def test_what_is_one_request_octet_by_octet(edges, recorder, node, octets, body):
    recorder.requests.clear()
    with connect(edges["recorder"].address) as wire:
        for octet in octets + head("/second", ("Connection", "close")):
            wire.send(bytes([octet]))
        assert [read_answer(wire).status for _ in range(2)] == [200, 200]
    assert bodies_seen("recorder", recorder, node) == [("/first", body), ("/second", b"")]


@pytest.mark.parametrize("seed", range(20))
def test_requests_in_any_order_cut_anywhere(edges, recorder, node, seed):
    """The same in the same order comes out, however the octets were cut."""
    chance = random.Random(seed)
    chosen = chance.choices(list(ONE.values()), k=20)
    octets = b"".join(each for each, _ in chosen) + head("/second", ("Connection", "close"))
    cuts = sorted(chance.sample(range(len(octets)), 30))
    recorder.requests.clear()
    for name, edge in edges.items():
        with connect(edge.address) as wire:
            for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
                wire.send(octets[start:end])
            assert wire.read_to_end().count(b"HTTP/1.1 200 ") == len(chosen) + 1
        expected = [("/first", body) for _, body in chosen] + [("/second", b"")]
        assert bodies_seen(name, recorder, node) == expected


def test_what_servers_are_told_of_framing(edges, recorder):
    """One field, written plainly, whatever the client wrote."""
    recorder.requests.clear()
    with connect(edges["recorder"].address) as wire:
        assert ask(wire, ONE["CL twice the same"][0]).status == 200
        assert ask(wire, ONE["CL with zeros before it"][0]).status == 200
        assert ask(wire, ONE["TE in upper case"][0]).status == 200
        assert ask(wire, ONE["extensions"][0]).status == 200
    length, zeros, upper, _ = recorder.requests
    assert length["Content-Length"] == zeros["Content-Length"] == "5"
    assert upper["Transfer-Encoding"] == "chunked"
    for request in recorder.requests:
        assert not ("Content-Length" in request and "Transfer-Encoding" in request)


def test_a_request_behind_one_that_was_refused(edges, recorder):
    """On another connection to the same edge, all is as before."""
    for octets in (REFUSED["a size with 0x"], REFUSED["CL twice"], in_chunks(b"5\r\n12")):
        recorder.requests.clear()
        with connect(edges["recorder"].address) as wire:
            wire.send(octets)
        with connect(edges["recorder"].address) as wire:
            assert ask(wire, post("/next", b"clean")).body == b"clean"
        assert recorder.targets == ["/next"]


# Answers


@pytest.fixture
def answering(enter):
    """`answering(octets)`: an edge whose server answers with them once, and then as it should.

    A connection that is used again brings what is left of the first answer, if anything is.
    """

    def start(octets, ends=False):
        def answer(request):
            return octets if request.target == "/first" else answered(request.target.encode())

        server = enter(Recorder(answer))
        edge = enter(Edge(forwarding(server.url)))
        edge.server = server
        return edge

    return start


POISON = answered(b"poison")

BAD_ANSWERS = {
    "TE and CL": answered(chunked(b"x"), ("Transfer-Encoding", "chunked")),
    "CL and TE": answered(
        chunked(b"x"), ("Content-Length", "1"), ("Transfer-Encoding", "chunked"), length=False
    ),
    "two lengths": answered(b"x", ("Content-Length", "5")),
    "a list of lengths": answered(b"x", ("Content-Length", "1, 1"), length=False),
    "a length with a sign": answered(b"x", ("Content-Length", "+1"), length=False),
    "a length that is none": answered(b"x", ("Content-Length", "one"), length=False),
    "a coding that is unknown": answered(b"x", ("Transfer-Encoding", "zip"), length=False),
    "a coding below chunked": answered(
        chunked(b"x"), ("Transfer-Encoding", "gzip, chunked"), length=False
    ),
    "TE twice": answered(
        chunked(b"x"), ("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked"),
        length=False,
    ),
    "TE in HTTP/1.0": answered(
        chunked(b"x"), ("Transfer-Encoding", "chunked"), version="HTTP/1.0", length=False
    ),
    "a bare LF": answered(b"x").replace(b"\r\n", b"\n"),
    "a folded field": answered(b"x", ("X", "y\r\n z")),
    "a NUL": answered(b"x", ("X", "y\0z")),
    "space before a colon": answered(b"x", ("Transfer-Encoding ", "chunked")),
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of 099": b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a request": HIDDEN,
    "fields without end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    "101": answered(b"", ("Upgrade", "x"), status="101 Switching Protocols", length=False),
}  # fmt: skip


@pytest.mark.parametrize("octets", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_answers_that_are_none(answering, octets):
    edge = answering(octets + POISON)
    with connect(edge.address) as wire:
        response = ask(wire, head("/first"))
        assert response.status == 502, response.octets
        assert ask(wire, head("/second")).body == b"/second"
    assert [request.connection for request in edge.server.requests] == [0, 1]


BROKEN_BODIES = {
    "a chunk that is longer": b"1\r\nxy\r\n0\r\n\r\n",
    "a size with 0x": b"0x1\r\nx\r\n0\r\n\r\n",
    "a size behind a bare LF": b"1\nx\r\n0\r\n\r\n",
    "a size that wraps": b"10000000000000001\r\nx\r\n0\r\n\r\n",
    "trailers with a bare LF": b"1\r\nx\r\n0\r\nX: y\n\r\n",
    "trailers that are an answer": b"1\r\nx\r\n0\r\n" + POISON,
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_chunks_that_are_none(answering, body):
    """A head may have gone out: then the client sees that the answer breaks off."""
    octets = answered(b"", ("Transfer-Encoding", "chunked"), length=False)
    edge = answering(octets + body + POISON)
    with connect(edge.address) as wire:
        found = everything(wire, head("/first") + head("/second"))
        assert not found.endswith(b"0\r\n\r\n")
        assert b"poison" not in found
    assert edge.server.targets == ["/first"]


# Answers that are right, and what stands behind them.
RIGHT_ANSWERS = {
    "two at once": (answered(b"x") + POISON, b"x"),
    "two in chunks": (chunks(b"x") + POISON, b"x"),
    "one behind 204": (answered(b"", status="204 No Content", length=False) + POISON, b""),
    "one behind 304": (answered(b"", status="304 Not Modified", length=False) + POISON, b""),
    "one behind an empty one": (answered(b"") + POISON, b""),
    "204 with a length": (
        answered(b"", ("Content-Length", len(POISON)), status="204 No Content", length=False)
        + POISON, b"",
    ),
    "an answer in 103": (
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: %d\r\n\r\n" % len(POISON) + answered(b"x"),
        b"x",
    ),
    "an answer behind 100": (b"HTTP/1.1 100 Continue\r\n\r\n" + answered(b"x"), b"x"),
    "a body that is an answer": (answered(POISON), POISON),
    "a chunk that is an answer": (chunks(POISON), POISON),
    "octets": (answered(b"x") + b"\0" * 100, b"x"),
    "an empty line": (answered(b"x") + b"\r\n", b"x"),
}  # fmt: skip


@pytest.mark.parametrize(("octets", "body"), RIGHT_ANSWERS.values(), ids=RIGHT_ANSWERS)
def test_what_stands_behind_an_answer(answering, octets, body):
    """The next request, of this client or of another one, gets its own answer."""
    edge = answering(octets)
    with connect(edge.address) as wire, connect(edge.address) as other:
        assert ask(wire, head("/first")).body == body
        assert ask(other, head("/other")).body == b"/other"
        assert ask(wire, head("/second")).body == b"/second"


def test_a_length_that_is_too_small(answering):
    """What is beyond it goes nowhere, and the server's connection is not used again."""
    edge = answering(answered(b"12345678", ("Content-Length", "5"), length=False))
    with connect(edge.address) as wire:
        assert ask(wire, head("/first")).body == b"12345"
        assert ask(wire, head("/second")).body == b"/second"
    assert edge.server.accepted == 2


def test_a_length_that_is_too_large(enter):
    def script(wire):
        wire.send(answered(b"123", ("Content-Length", "5"), length=False))

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        found = everything(wire, head("/first") + head("/second"))
        assert found.endswith(b"123")
    eventually(lambda: edge.records("request"), "the record")
    assert len(server.requests) == 1


def test_a_head_answer_with_a_body(answering):
    """RFC 9110 §9.3.2: what a server sends nevertheless is nobody's answer."""
    edge = answering(answered(POISON))
    with connect(edge.address) as wire:
        wire.send(head("/first", method="HEAD"))
        assert read_answer(wire, "HEAD").status == 200
        assert ask(wire, head("/second")).body == b"/second"


def test_a_late_body_behind_head(enter):
    """It comes when the connection is idle, or on its way to the next request."""
    def script(wire):
        wire.send(answered(b"", ("Content-Length", len(POISON)), length=False))
        wire.send(POISON)
        wire.read_to_end()

    server = enter(ScriptedBackend(script))
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        for _ in range(20):
            assert ask(wire, head("/first", method="HEAD"), method="HEAD").status == 200
    assert all(request.method == "HEAD" for request in server.requests)
    assert not wire.buffer
