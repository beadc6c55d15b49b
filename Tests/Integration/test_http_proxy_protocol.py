"""The PROXY protocol: from proxies in front of the edge, and to servers behind it."""

import json
import ssl

import pytest

from harness.authority import pair
from harness.backends import Program, ScriptedBackend, echo, free_port
from harness.conditions import eventually
from harness.edge import Edge
from harness.http_clients import ask, curl, forwarding, head, is_reusable
from harness.http_proxied import (
    LOCAL, UDP4, UNIX, Introduced, extension, read_introduction, v1, v2, with_checksum,
)  # fmt: skip
from harness.http_recorder import Recorder
from harness.wire import connect, upgrade_head

US = ["127.0.0.0/8"]


@pytest.fixture
def behind(enter):
    """`behind(listed, …)` is an edge behind a proxy, before a recorder, which is its `server`."""

    def start(listed=US, **settings):
        server = enter(Recorder())
        listener = {"proxy_protocol": listed} | settings.pop("listener", {})
        edge = enter(Edge(forwarding(server.url, listener=listener, **settings)))
        edge.server = server
        return edge

    return start


def seen(edge):
    """The client, as the server was told."""
    return edge.server.requests[-1]["X-Forwarded-For"]


# From a proxy

HEADERS = {
    "v1": (v1(), "203.0.113.7"),
    "v1 over IPv6": (v1("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    "v1 unknown with words": (b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n", "127.0.0.1"),
    "v1 of the longest": (
        v1(*["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] * 2, 65535, 65535),
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ),
    "v2": (v2(), "203.0.113.7"),
    "v2 over IPv6": (v2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
    "v2 of an IPv4 client over IPv6": (v2("::ffff:203.0.113.7", "2001:db8::1"), "203.0.113.7"),
    "v2 of a datagram": (v2(family=UDP4), "203.0.113.7"),
    "v2 local": (v2(command=LOCAL), "127.0.0.1"),
    "v2 local without addresses": (v2(command=LOCAL, family=0, block=b""), "127.0.0.1"),
    "v2 local with anything": (v2(command=LOCAL, family=0, block=b"x" * 50), "127.0.0.1"),
    "v2 unspecified": (v2(family=0, block=b""), "127.0.0.1"),
    "v2 of a unix socket": (v2(family=UNIX, block=bytes(216)), "127.0.0.1"),
    "v2 with extensions": (
        v2(extensions=extension(1, b"h2") + extension(2, b"host") + extension(0xE0, b"")),
        "203.0.113.7",
    ),
    "v2 with a checksum": (with_checksum(v2(extensions=extension(4, b"\0" * 9))), "203.0.113.7"),
    "v2 of the longest": (v2(extensions=extension(4, bytes(2048 - 16 - 12 - 3))), "203.0.113.7"),
}  # fmt: skip


@pytest.mark.parametrize(("header", "client"), HEADERS.values(), ids=HEADERS)
def test_whom_a_header_names(behind, header, client):
    edge = behind()
    with connect(edge.address) as wire:
        assert ask(wire, header + head("/first")).status == 200
        assert seen(edge) == client
        # Once for the connection.
        assert is_reusable(wire)
        assert seen(edge) == client
    assert edge.wait_for("request")["client"] == client


@pytest.mark.parametrize("header", [v1(), with_checksum(v2())], ids=["v1", "v2"])
def test_a_header_in_pieces(behind, header):
    edge = behind()
    with connect(edge.address) as wire:
        for octet in header + head():
            wire.send(bytes([octet]))
        assert ask(wire, b"").status == 200
    assert seen(edge) == "203.0.113.7"


@pytest.mark.parametrize("header", [v1(), v2()], ids=["v1", "v2"])
@pytest.mark.parametrize("joined", [False, True])
def test_tls_behind_a_header(enter, behind, authority, localhost, header, joined):
    """The handshake may come in the header's segment, or after it."""
    edge = behind(listener={"tls": {"certificates": [pair(localhost)]}})
    context = authority.client_context()
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inbound, outbound, server_hostname="localhost")
    with connect(edge.address) as wire:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outbound.read()
        for part in [header + hello] if joined else [header, hello]:
            wire.send(part)
        run(wire, tls, inbound, outbound, tls.do_handshake)
        tls.write(head("/", ("Connection", "close")))
        wire.send(outbound.read())
        answer = run(wire, tls, inbound, outbound, lambda: tls.read(1000))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert seen(edge) == "203.0.113.7"
    assert edge.server.requests[0]["X-Forwarded-Proto"] == "https"


def run(wire, tls, inbound, outbound, step):
    """A step of TLS, for as many octets as it takes."""
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            wire.send(outbound.read())
            inbound.write(wire.socket.recv(1 << 16))
        finally:
            wire.send(outbound.read())


@pytest.mark.parametrize("version", ["1", "2"])
def test_haproxy_in_front(enter, behind, tmp_path, version):
    """A proxy that others wrote."""
    edge = behind()
    port = free_port()
    send = "send-proxy" if version == "1" else "send-proxy-v2"
    file = tmp_path / "haproxy.cfg"
    file.write_text(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n"
        f"listen edge\n bind 127.0.0.1:{port}\n server edge {edge.address} {send}\n"
    )
    enter(HAProxy(file, port))
    found = curl(f"http://127.0.0.1:{port}/", "--interface", "127.0.0.9")
    assert found.body == b"ok"
    assert seen(edge) == "127.0.0.9"


class HAProxy(Program):
    def __init__(self, file, port):
        self.file, self.port = file, port

    def __enter__(self):
        self.start("haproxy", "-q", "-f", self.file)
        eventually(lambda: accepts(self.port), "HAProxy")
        return self


def accepts(port):
    try:
        connect(f"127.0.0.1:{port}").close()
    except ConnectionRefusedError:
        return False
    return True


def test_curl_in_front(behind):
    edge = behind()
    found = curl(edge.url("/", scheme="http"), "--haproxy-protocol", "--interface", "127.0.0.9")
    assert found.body == b"ok"
    assert seen(edge) == "127.0.0.9"


def test_http_2_behind_a_header(behind):
    edge = behind()
    url = edge.url("/", scheme="http")
    found = curl(url, "--haproxy-protocol", "--interface", "127.0.0.9", http="2")
    assert found.last.version == "HTTP/2"
    assert seen(edge) == "127.0.0.9"


GARBAGE = {
    "a request": head(),
    "a request that begins like one": b"PRO / HTTP/1.1\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "v1 in lower case": v1().lower(),
    "v1 with two spaces": v1().replace(b" ", b"  ", 1),
    "v1 without a port": b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
    "v1 with more words": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
    "v1 with a bare LF": v1().replace(b"\r\n", b"\n"),
    "v1 of another family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "v1 with a family that is none": b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
    "v1 with a port with zeros": b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
    "v1 with a large port": b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n",
    "v1 with a signed port": b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
    "v1 with a short address": b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
    "v1 with octal octets": b"PROXY TCP4 1.2.3.010 5.6.7.8 1 2\r\n",
    "v1 without end": b"PROXY UNKNOWN " + b"x" * 200,
    "v2 of version 1": v2(command=0x11),
    "v2 of version 3": v2(command=0x31),
    "v2 with another command": v2(command=0x22),
    "v2 with another family": v2(family=0x13),
    "v2 that is too short": v2(block=bytes(11)),
    "v2 that is too long": v2(extensions=extension(4, bytes(60_000))),
    "v2 with half an extension": v2(extensions=b"\x01\x00"),
    "v2 with an extension beyond it": v2(extensions=b"\x01\x00\x09x"),
    "v2 with a wrong checksum": with_checksum(v2())[:-1] + b"\0",
    "v2 with another signature": b"\r\n\r\n\0\r\nQUIT\r" + v2()[12:],
}


@pytest.mark.parametrize("octets", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_header(behind, octets):
    """The connection ends without a word: nobody knows what the other side speaks."""
    edge = behind(limits={"handshake_timeout": "10m"})
    with connect(edge.address) as wire:
        wire.send(octets + head())
        assert wire.read_to_end() == b""
    assert edge.server.accepted == 0
    assert edge.wait_for("connection without a PROXY header")["peer"].startswith("127.0.0.1")


@pytest.mark.parametrize("octets", [b"", v1()[:20], v2()[:5], v2()[:20]])
def test_a_header_that_does_not_come(behind, octets):
    edge = behind(limits={"handshake_timeout": "1s"})
    with connect(edge.address) as wire:
        wire.send(octets)
        assert wire.read_to_end() == b""
    assert edge.wait_for("connection without a PROXY header")["reason"] == "timed out"


def test_a_client_that_goes_in_its_header(behind):
    edge = behind()
    with connect(edge.address) as wire:
        wire.send(v1()[:20])
        wire.shutdown_write()
        assert wire.read_to_end() == b""
    assert edge.wait_for("connection without a PROXY header")["reason"] == "closed"


def test_who_is_not_listed(behind):
    """Taken for whom it is; a header of its own is no request."""
    edge = behind(["192.0.2.0/24"])
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
    assert seen(edge) == "127.0.0.1"
    for header in (v1(), v2()):
        with connect(edge.address) as wire:
            response = ask(wire, header + head("/hidden"))
            assert response.status == 400
            assert wire.read_to_end() == b""
    assert edge.server.targets == ["/"]


def test_a_listener_without_proxies(enter):
    server = enter(Recorder())
    edge = enter(Edge(forwarding(server.url)))
    with connect(edge.address) as wire:
        assert ask(wire, v1() + head()).status == 400
    assert server.accepted == 0


def test_a_unix_socket(enter, tmp_path):
    """Whoever may open it is such a proxy."""
    server = enter(Recorder())
    listener = {"address": f"unix:{tmp_path}/edge.sock", "proxy_protocol": ["192.0.2.1"]}
    edge = enter(Edge(forwarding(server.url, listeners=[listener])))
    with connect(edge.address) as wire:
        assert ask(wire, v2("2001:db8::7", "2001:db8::1") + head()).status == 200
    assert server.requests[0]["X-Forwarded-For"] == "2001:db8::7"
    with connect(edge.address) as wire:
        wire.send(head())
        assert wire.read_to_end() == b""


def test_quotas_are_of_the_client_that_is_named(behind):
    limits = {"requests_per_client": {"rate": "1/h", "burst": 1}}
    edge = behind(route={"limits": limits})
    for source, statuses in (("203.0.113.7", [200, 429]), ("203.0.113.8", [200, 429])):
        for status in statuses:
            with connect(edge.address) as wire:
                assert ask(wire, v1(source) + head()).status == status


def test_a_chain_of_proxies(behind):
    """The one that the header names may be trusted for what it forwards, too."""
    edge = behind(trusted_proxies=["203.0.113.0/24"])
    with connect(edge.address) as wire:
        assert ask(wire, v1() + head("/", ("X-Forwarded-For", "192.0.2.55"))).status == 200
    assert seen(edge) == "192.0.2.55, 203.0.113.7"
    assert edge.wait_for("request")["client"] == "192.0.2.55"


def test_tunnels_behind_a_header(enter):
    backend = enter(ScriptedBackend(echo))
    edge = enter(Edge(forwarding(backend.url, listener={"proxy_protocol": US})))
    with connect(edge.address) as wire:
        wire.send(v2() + upgrade_head())
        assert wire.read_response().status == 101
        assert wire.echoes()
    assert backend.last_request()["X-Forwarded-For"] == "203.0.113.7"


# To servers

VERSIONS = {"v1": 1, "v2": 2}


def speaking(version, **more):
    return {"upstream": {"proxy_protocol": version} | more}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_servers_are_told(enter, version):
    server = enter(Introduced())
    edge = enter(Edge(forwarding(server.url, **speaking(version))))
    with connect(edge.address) as wire:
        source = wire.socket.getsockname()
        assert ask(wire, head()).status == 200
    (told,) = server.introductions
    assert (told.version, told.source) == (VERSIONS[version], source)
    assert told.destination == ("127.0.0.1", edge.port)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_client_has_a_connection_of_its_own(enter, version):
    """The header speaks for one client: no connection serves another one, or a second request."""
    server = enter(Introduced())
    edge = enter(Edge(forwarding(server.url, **speaking(version))))
    sources = []
    for _ in range(2):
        with connect(edge.address) as wire:
            for _ in range(2):
                sources.append(wire.socket.getsockname())
                assert ask(wire, head()).status == 200
    assert [told.source for told in server.introductions] == sources
    assert server.accepted == 4


@pytest.mark.parametrize("version", VERSIONS)
def test_tls_behind_the_header_to_a_server(enter, authority, localhost, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*localhost)
    server = enter(Introduced(tls=context))
    settings = speaking(version, tls={"ca": authority.ca})
    edge = enter(Edge(forwarding(f"https://localhost:{server.port}", **settings)))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        assert server.introductions[0].source == wire.socket.getsockname()


@pytest.mark.parametrize("version", VERSIONS)
def test_tunnels_are_introduced(enter, version):
    told = []

    def script(wire):
        told.append(read_introduction(wire))
        wire.request = wire.read_request()
        echo(wire)

    server = enter(ScriptedBackend(script, reads_head=False))
    edge = enter(Edge(forwarding(server.url, **speaking(version))))
    with connect(edge.address) as wire:
        assert wire.upgrade().status == 101
        assert wire.echoes()
        assert told[0].source == wire.socket.getsockname()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", ["203.0.113.7", "2001:db8::7"])
def test_the_client_that_a_proxy_named_is_passed_on(enter, version, source):
    server = enter(Introduced())
    settings = speaking(version) | {"listener": {"proxy_protocol": US}}
    edge = enter(Edge(forwarding(server.url, **settings)))
    destination = "2001:db8::1" if ":" in source else "198.51.100.1"
    with connect(edge.address) as wire:
        assert ask(wire, v2(source, destination, 5000, 443) + head()).status == 200
    (told,) = server.introductions
    assert told.source == (source, 5000)
    assert told.destination == (destination, 443)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_on_a_unix_socket(enter, tmp_path, version):
    server = enter(Introduced())
    listener = {"address": f"unix:{tmp_path}/edge.sock"}
    edge = enter(Edge(forwarding(server.url, listeners=[listener], **speaking(version))))
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
    assert server.introductions[0].source is None


class Nginx(Program):
    """nginx whose listener takes PROXY headers, and which answers whom they named."""

    def __init__(self, directory):
        self.directory, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        paths = "".join(
            f"{kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        server = (
            f"listen 127.0.0.1:{self.port} proxy_protocol; access_log {self.directory}/log;"
            "set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol;"
            "location / { default_type application/json; return 200 "
            "'[\"$proxy_protocol_addr\", \"$proxy_protocol_port\", \"$remote_addr\"]'; }"
        )
        file = self.directory / "nginx.conf"
        file.write_text(
            f"daemon off; master_process off; pid {self.directory}/pid;"
            f"error_log {self.directory}/error.log; events {{}} http {{ {paths}"
            f"server {{ {server} }} }}"
        )
        self.start("/usr/sbin/nginx", "-c", file, "-p", self.directory)
        eventually(lambda: accepts(self.port), "nginx")
        return self


@pytest.mark.parametrize("version", VERSIONS)
def test_nginx_behind_the_edge(enter, tmp_path, version):
    server = enter(Nginx(tmp_path))
    edge = enter(Edge(forwarding(server.url, **speaking(version))))
    with connect(edge.address) as wire:
        host, port = wire.socket.getsockname()
        for _ in range(2):
            response = ask(wire, head())
            assert json.loads(response.body) == [host, str(port), host]


HEALTH = {"interval": "100ms", "healthy_after": 1, "unhealthy_after": 1}


@pytest.mark.parametrize("version", VERSIONS)
def test_health_checks_of_a_server(enter, version):
    """They speak for nobody: the connection is the edge's own (§2: LOCAL, UNKNOWN)."""
    server = enter(Introduced())
    settings = speaking(version, health_check=HEALTH)
    edge = enter(Edge(forwarding(server.url, **settings)))
    eventually(lambda: len(server.requests) >= 2, "two questions")
    assert all(told.source is None for told in server.introductions)
    assert {told.version for told in server.introductions} == {VERSIONS[version]}
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200


@pytest.mark.parametrize("version", VERSIONS)
def test_health_checks_of_nginx(enter, tmp_path, version):
    server = enter(Nginx(tmp_path))
    edge = enter(Edge(forwarding(server.url, **speaking(version, health_check=HEALTH))))
    log = tmp_path / "log"
    eventually(lambda: log.read_text().count("sluice-health") >= 3, "three questions")
    assert not edge.records("server unhealthy")
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
