"""The way to the backend: TLS, balance, retries, servers that are dead or slow."""

import socket
from collections import Counter
from contextlib import suppress

import pytest

from harness.authority import Authority, pair
from harness.backends import NginxBackend, ScriptedBackend
from harness.edge import Edge, configuration
from harness.refusals import check_refusal
from harness.wire import ask, tunnel, upgrade_head


@pytest.fixture
def dead(enter):
    """The address of a port that refuses: bound, so that nobody takes it, and not listening."""
    sock = enter(socket.socket())
    sock.bind(("127.0.0.1", 0))
    return "127.0.0.1:%d" % sock.getsockname()[1]


@pytest.fixture
def deaf(enter):
    """The address of a port that does not answer: its queue of connections is full."""
    sock = enter(socket.socket())
    sock.bind(("127.0.0.1", 0))
    sock.listen(0)
    for _ in range(4):
        filler = enter(socket.socket())
        filler.setblocking(False)
        with suppress(BlockingIOError):
            filler.connect(sock.getsockname())
    return "127.0.0.1:%d" % sock.getsockname()[1]


@pytest.fixture
def nginx(enter, node_backend, authority):
    """nginx with TLS; its certificate is for backend.internal and no other name."""
    return enter(NginxBackend(node_backend.address, authority.issue("backend.internal")))


def test_tls_upstream(enter, nginx, authority):
    tls = {"ca": authority.ca, "server_name": "backend.internal"}
    edge = enter(Edge(configuration(f"wss://{nginx.address}", upstream={"tls": tls})))
    with tunnel(edge.address) as wire:
        assert wire.echoes(b"x" * 1_000_000)
        assert wire.echoes(b"")


def test_tls_on_both_sides(enter, nginx, authority, localhost):
    tls = {"ca": authority.ca, "server_name": "backend.internal"}
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    settings = configuration(
        f"https://{nginx.address}", upstream={"tls": tls}, listeners=listeners
    )
    edge = enter(Edge(settings))
    with tunnel(edge.address, tls=authority.client_context()) as wire:
        assert wire.echoes(b"x" * 1_000_000)


def test_tls_upstream_under_another_name(enter, nginx, authority):
    """The chain is good, the name is not."""
    upstream = {"tls": {"ca": authority.ca}}
    edge = enter(Edge(configuration(f"wss://{nginx.address}", upstream=upstream)))
    check_refusal(ask(edge.address, upgrade_head()), 502)


def test_tls_upstream_of_another_authority(enter, nginx, tmp_path):
    tls = {"ca": Authority(tmp_path, "another").ca, "server_name": "backend.internal"}
    edge = enter(Edge(configuration(f"wss://{nginx.address}", upstream={"tls": tls})))
    check_refusal(ask(edge.address, upgrade_head()), 502)


def test_tls_upstream_is_verified_by_default(enter, nginx):
    """Without `ca` the system's store decides, and it does not know the test's authority."""
    edge = enter(Edge(configuration(f"wss://{nginx.address}")))
    check_refusal(ask(edge.address, upgrade_head()), 502)


def test_tls_to_a_plain_upstream(enter, node_backend):
    edge = enter(Edge(configuration(f"wss://{node_backend.address}")))
    check_refusal(ask(edge.address, upgrade_head()), 502)


def shares(enter, count, connections=30, *, weights=None, **upstream):
    """How many of `connections` tunnels, held open together, each backend got."""
    backends = [enter(ScriptedBackend()) for _ in range(count)]
    weights = weights or [1] * count
    servers = [{"url": b.url, "weight": w} for b, w in zip(backends, weights)]
    # One worker: a share is exact only where one counter does the counting.
    edge = enter(Edge(configuration(*servers, upstream=upstream, workers=1)))
    wires = [tunnel(edge.address) for _ in range(connections)]
    for wire in wires:
        assert wire.echoes()
        wire.close()
    return [backend.accepted for backend in backends]


def test_round_robin(enter):
    assert shares(enter, 3, balance="round_robin") == [10, 10, 10]


def test_round_robin_with_weights(enter):
    assert shares(enter, 3, weights=[1, 2, 3], balance="round_robin") == [5, 10, 15]


def test_least_connections(enter):
    assert shares(enter, 3, balance="least_connections") == [10, 10, 10]


def test_least_connections_refills_what_emptied(enter):
    first, second = enter(ScriptedBackend()), enter(ScriptedBackend())
    servers = [first.url, second.url]
    balance = {"balance": "least_connections"}
    edge = enter(Edge(configuration(*servers, upstream=balance, workers=1)))
    wires = [tunnel(edge.address) for _ in range(8)]
    by_port = Counter()
    for backend in (first, second):
        by_port[backend.url] = backend.accepted
    assert set(by_port.values()) == {4}
    for wire in list(first.wires):
        wire.socket.shutdown(socket.SHUT_RDWR)
    edge.wait_for("tunnel", count=4)
    more = [tunnel(edge.address) for _ in range(4)]
    assert (first.accepted, second.accepted) == (8, 4)
    for wire in wires + more:
        wire.close()


def test_random_two(enter):
    got = shares(enter, 3, connections=60, balance="random_two")
    assert sum(got) == 60
    assert min(got) >= 10, "two random choices keep the loads close"


@pytest.mark.parametrize("balance", ["round_robin", "least_connections", "random_two"])
def test_retries_pass_over_a_dead_server(enter, dead, balance):
    backend = enter(ScriptedBackend())
    upstream = {"balance": balance, "retries": 2}
    edge = enter(Edge(configuration(f"ws://{dead}", backend.url, upstream=upstream)))
    for _ in range(12):
        with tunnel(edge.address) as wire:
            assert wire.echoes()


def test_retries_pass_over_a_missing_socket_and_a_name_without_an_address(enter, tmp_path):
    backend = enter(ScriptedBackend())
    servers = [f"unix:{tmp_path / 'none.sock'}", "ws://name.invalid:80", backend.url]
    upstream = {"balance": "round_robin", "retries": 2}
    edge = enter(Edge(configuration(*servers, upstream=upstream)))
    for _ in range(6):
        tunnel(edge.address).close()


def test_without_retries_the_client_sees_it(enter, dead):
    backend = enter(ScriptedBackend())
    upstream = {"balance": "round_robin", "retries": 0}
    edge = enter(
        Edge(configuration(f"ws://{dead}", backend.url, upstream=upstream, workers=1))
    )
    answers = Counter(ask(edge.address, upgrade_head()).status for _ in range(10))
    assert answers == {101: 5, 502: 5}


def test_all_servers_dead(enter, dead):
    edge = enter(Edge(configuration(f"ws://{dead}", upstream={"retries": 3})))
    response = ask(edge.address, upgrade_head())
    check_refusal(response, 502)
    record = edge.wait_for("request", request_id=response["X-Request-Id"])
    assert dead in record["upstream"]


def test_a_server_that_does_not_answer(enter, deaf):
    upstream = {"connect_timeout": "500ms", "retries": 0}
    edge = enter(Edge(configuration(f"ws://{deaf}", upstream=upstream)))
    check_refusal(ask(edge.address, upgrade_head()), 504)


def test_retries_pass_over_a_server_that_does_not_answer(enter, deaf):
    backend = enter(ScriptedBackend())
    upstream = {"connect_timeout": "500ms", "retries": 1, "balance": "round_robin"}
    edge = enter(Edge(configuration(f"ws://{deaf}", backend.url, upstream=upstream)))
    for _ in range(2):
        tunnel(edge.address).close()


def test_a_server_by_name(enter, node_backend):
    port = node_backend.address.rpartition(":")[2]
    edge = enter(Edge(configuration(f"http://localhost:{port}")))
    with tunnel(edge.address) as wire:
        assert wire.echoes()


def test_a_server_comes_back(enter):
    """Nothing but the next attempt is needed when a dead server lives again."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % sock.getsockname()[1]
        edge = enter(Edge(configuration(f"ws://{address}")))
        check_refusal(ask(edge.address, upgrade_head()), 502)
        sock.listen()
        # The kernel takes the connection; nobody reads: closing it is the answer.
        client = enter(socket.create_connection(edge.address.split(":")))
        client.sendall(upgrade_head())
        sock.settimeout(10)
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.recv(65_536).startswith(b"GET / HTTP/1.1\r\n")
