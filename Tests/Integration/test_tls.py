"""TLS toward the client: versions, names, client certificates, resumption."""

import re
import socket
import ssl
import subprocess

import pytest

from harness.authority import Authority, pair
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import TIMEOUT, connect, tunnel, upgrade_head

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# What a client may meet when the edge breaks a handshake off.
BROKEN = (ssl.SSLError, ConnectionResetError, BrokenPipeError, EOFError)


def secured(*certificates, **tls):
    listener = {"certificates": [pair(issued) for issued in certificates]} | tls
    return [{"address": "127.0.0.1:0", "tls": listener}]


@pytest.fixture(scope="module")
def edge(enter_for_module, node_backend, localhost):
    settings = configuration(node_backend.url, listeners=secured(localhost), workers=2)
    return enter_for_module(Edge(settings))


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(edge, authority, version):
    with tunnel(edge.address, tls=authority.client_context(version=VERSIONS[version])) as wire:
        assert wire.socket.version() == f"TLSv{version}"
        for size in (0, 1, 16_383, 16_384, 16_385, 3_000_000):
            assert wire.echoes(b"x" * size)


def test_an_rsa_certificate(enter, node_backend, authority):
    issued = authority.issue_rsa("rsa.localhost")
    edge = enter(Edge(configuration(node_backend.url, listeners=secured(issued))))
    for version in VERSIONS.values():
        context = authority.client_context(version=version)
        with connect(edge.address, tls=context, server_name="rsa.localhost") as wire:
            assert wire.upgrade().status == 101


def s_client(edge, authority, *arguments, request=b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
    command = ["openssl", "s_client", "-connect", edge.address, "-CAfile", authority.ca]
    command += ["-servername", "localhost", "-ign_eof", *arguments]
    return subprocess.run(command, input=request, capture_output=True, timeout=30)


@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_versions_are_refused(edge, authority, version):
    made = s_client(edge, authority, f"-{version}", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert made.returncode != 0
    assert b"alert protocol version" in made.stderr


def test_minimum_version(enter, node_backend, authority, localhost):
    listeners = secured(localhost, minimum_version="1.3")
    edge = enter(Edge(configuration(node_backend.url, listeners=listeners)))
    tunnel(edge.address, tls=authority.client_context(version=VERSIONS["1.3"])).close()
    with pytest.raises(BROKEN):
        connect(edge.address, tls=authority.client_context(version=VERSIONS["1.2"]))


def test_names_choose_certificates(enter, node_backend, authority):
    certificates = [
        authority.issue("one.example"), authority.issue("two.example", "zwei.example"),
        authority.issue("*.wild.example"),
    ]  # fmt: skip
    edge = enter(Edge(configuration(node_backend.url, listeners=secured(*certificates))))
    context = authority.client_context()
    for name in ("one.example", "two.example", "zwei.example", "TWO.example", "a.wild.example"):
        # The client verifies the name, so that the wrong certificate fails here.
        with connect(edge.address, tls=context, server_name=name) as wire:
            assert wire.upgrade(host=name).status == 101
    context.check_hostname = False
    for name in ("unknown.example", "a.b.wild.example", None):
        with connect(edge.address, tls=context, server_name=name) as wire:
            names = wire.socket.getpeercert()["subjectAltName"]
            assert names == (("DNS", "one.example"),), f"{name} does not get the first"


@pytest.fixture(scope="module")
def guarded(enter_for_module, node_backend, authority, localhost):
    """An edge that wants a client certificate."""
    listeners = secured(localhost, client_ca=authority.ca)
    return enter_for_module(Edge(configuration(node_backend.url, listeners=listeners)))


class TestClientCertificates:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_right_one(self, guarded, authority, version):
        issued = authority.issue("device", client=True)
        context = authority.client_context(certificate=issued, version=VERSIONS[version])
        with tunnel(guarded.address, tls=context) as wire:
            assert wire.echoes()

    @pytest.mark.parametrize("version", VERSIONS)
    def test_none(self, guarded, authority, version):
        context = authority.client_context(version=VERSIONS[version])
        with pytest.raises(BROKEN):
            tunnel(guarded.address, tls=context)

    @pytest.mark.parametrize("version", VERSIONS)
    def test_one_of_another_authority(self, guarded, authority, version, tmp_path):
        stranger = Authority(tmp_path, "stranger").issue("device", client=True)
        context = authority.client_context(certificate=stranger, version=VERSIONS[version])
        with pytest.raises(BROKEN):
            tunnel(guarded.address, tls=context)

    def test_a_certificate_for_servers(self, guarded, authority, localhost):
        with pytest.raises(BROKEN):
            tunnel(guarded.address, tls=authority.client_context(certificate=localhost))


@pytest.mark.parametrize("version", VERSIONS)
def test_resumption(edge, authority, tmp_path, version):
    """A session of one worker is good for every other: ten connections meet both of two."""
    session = str(tmp_path / "session.pem")
    flag = "-tls" + version.replace(".", "_")
    first = s_client(edge, authority, flag, "-sess_out", session)
    assert b"Verify return code: 0 (ok)" in first.stdout
    assert re.search(rb"^New, TLSv", first.stdout, re.M), first.stdout
    for _ in range(10):
        again = s_client(edge, authority, flag, "-sess_in", session)
        assert re.search(rb"^Reused, TLSv", again.stdout, re.M), again.stdout
        assert b"426" in again.stdout


def test_http1_is_chosen(enter, node_backend, localhost, authority):
    """HTTP/2 is not offered where it is not wanted."""
    listeners = [listener | {"http2": False} for listener in secured(localhost)]
    edge = enter(Edge(configuration(node_backend.url, listeners=listeners)))
    context = authority.client_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connect(edge.address, tls=context) as wire:
        assert wire.socket.selected_alpn_protocol() == "http/1.1"
        assert wire.upgrade().status == 101


def test_curl(edge, authority):
    command = ["curl", "--silent", "--cacert", authority.ca, "--write-out", " %{http_code}"]
    port = edge.address.rpartition(":")[2]
    made = subprocess.run(
        [*command, f"https://localhost:{port}/"], capture_output=True, text=True, timeout=20
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(" 426")


def test_forwarded_scheme(enter, localhost, authority):
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration(backend.url, listeners=secured(localhost))))
    tunnel(edge.address, tls=authority.client_context()).close()
    request = backend.last_request()
    assert request["X-Forwarded-Proto"] == "https"
    assert "proto=https" in request["Forwarded"].lower()


def test_plain_http_at_a_tls_port(edge):
    with connect(edge.address) as wire:
        wire.send(upgrade_head())
        assert b"HTTP/1.1 101" not in wire.read_to_end()


def test_a_tls_hello_at_a_plain_port(enter, node_backend, authority):
    edge = enter(Edge(configuration(node_backend.url)))
    with pytest.raises(BROKEN):
        connect(edge.address, tls=authority.client_context())


def test_handshakes_have_a_deadline(enter, node_backend, localhost):
    limits = {"handshake_timeout": "1s"}
    settings = configuration(node_backend.url, listeners=secured(localhost), limits=limits)
    edge = enter(Edge(settings))
    silent, halfway = enter(connect(edge.address)), enter(connect(edge.address))
    halfway.send(b"\x16\x03\x01\x02\x00\x01\x00")
    assert silent.read_to_end() == b""
    halfway.read_to_end()


def test_a_hello_octet_by_octet(edge, authority):
    """A client whose every segment is one octet."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with connect(edge.address) as wire:

        def flush():
            for octet in outgoing.read():
                wire.send(bytes([octet]))

        def until_done(step):
            while True:
                try:
                    answer = step()
                    flush()
                    return answer
                except ssl.SSLWantReadError:
                    flush()
                    octets = wire.socket.recv(65_536)
                    assert octets, "the edge closed"
                    incoming.write(octets)

        until_done(tls.do_handshake)
        until_done(lambda: tls.write(upgrade_head()))
        assert until_done(lambda: tls.read(100)).startswith(b"HTTP/1.1 101 ")


def test_many_handshakes_at_once(edge, authority):
    """Sixty clients that all send their hello before any reads."""
    context = authority.client_context()
    wires = []
    for _ in range(60):
        sock = socket.create_connection(edge.address.split(":"), TIMEOUT)
        tls = context.wrap_socket(
            sock, server_hostname="localhost", do_handshake_on_connect=False
        )
        tls.setblocking(False)
        wires.append(tls)
    unfinished = set(wires)

    def advance():
        for tls in list(unfinished):
            try:
                tls.do_handshake()
                unfinished.discard(tls)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
        return not unfinished

    eventually(advance, "all handshakes", timeout=30)
    for tls in wires:
        tls.close()
