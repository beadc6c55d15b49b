"""Which clients may connect and how often: origins, quotas, trusted proxies, limits."""

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.refusals import check_refusal, check_retry_after
from harness.wire import ask, connect, tunnel, upgrade_head

LISTED = ["https://example.com", "https://*.example.com", "http://localhost:3000"]


@pytest.fixture(scope="module")
def backend(enter_for_module):
    return enter_for_module(ScriptedBackend())


@pytest.fixture(scope="module")
def listed(enter_for_module, backend):
    return enter_for_module(Edge(configuration(backend.url, route={"origins": LISTED})))


ORIGINS = {
    "https://example.com": True,
    "https://EXAMPLE.com": True,
    "HTTPS://example.com": True,
    "https://example.com:443": True,
    "https://a.example.com": True,
    "https://a.b.example.com": True,
    "http://localhost:3000": True,
    "http://example.com": False,
    "https://example.com:8443": False,
    "https://example.com.evil.org": False,
    "https://evilexample.com": False,
    "https://evil.org/example.com": False,
    "https://evil.org#.example.com": False,
    "https://evil.org?.example.com": False,
    "https://example.com@evil.org": False,
    "https://example.com/": False,
    "https://.example.com": False,
    "http://localhost": False,
    "http://localhost:30000": False,
    "https://example.com https://evil.org": False,
    "example.com": False,
    "https://": False,
    "null": False,
    "any": False,
    "*": False,
}


@pytest.mark.parametrize(("origin", "is_allowed"), ORIGINS.items())
def test_origins(listed, origin, is_allowed):
    response = ask(listed.address, upgrade_head(fields=[("Origin", origin)]))
    if is_allowed:
        assert response.status == 101
    else:
        check_refusal(response, 403)


def test_two_origins(listed):
    fields = [("Origin", "https://example.com"), ("Origin", "https://evil.org")]
    check_refusal(ask(listed.address, upgrade_head(fields=fields)), 403)


def test_null_only_where_it_is_listed(enter, backend):
    edge = enter(Edge(configuration(backend.url, route={"origins": ["null"]})))
    assert ask(edge.address, upgrade_head(fields=[("Origin", "null")])).status == 101
    check_refusal(ask(edge.address, upgrade_head(fields=[("Origin", "https://a.b")])), 403)


def test_clients_without_an_origin(listed, enter, backend):
    assert ask(listed.address, upgrade_head()).status == 101
    strict = {"origins": LISTED, "require_origin": True}
    edge = enter(Edge(configuration(backend.url, route=strict)))
    check_refusal(ask(edge.address, upgrade_head()), 403)


def test_connections_per_client(enter, backend):
    route = {"limits": {"connections_per_client": 2}}
    edge = enter(Edge(configuration(backend.url, route=route)))
    first, second = tunnel(edge.address), tunnel(edge.address)
    for _ in range(3):
        response = ask(edge.address, upgrade_head())
        check_refusal(response, 429)
        check_retry_after(response)
    first.close()
    edge.wait_for("tunnel")
    third = tunnel(edge.address)
    check_refusal(ask(edge.address, upgrade_head()), 429)
    second.close()
    third.close()


def test_a_refused_backend_gives_the_place_back(enter):
    """Admission counts before the backend is asked; what fails there must not count for ever."""
    refusing = enter(ScriptedBackend(lambda wire: wire.send(b"HTTP/1.1 403 No\r\n\r\n")))
    route = {"limits": {"connections_per_client": 1}}
    edge = enter(Edge(configuration(refusing.url, route=route)))
    for count in range(1, 6):
        assert ask(edge.address, upgrade_head()).status == 403
        edge.wait_for("request", count=count, status=403)


def test_quotas_belong_to_a_route(enter, backend):
    limits = {"connections_per_client": 1}
    routes = [
        {"name": name, "match": {"path": f"/{name}"}, "origins": "any", "upstream": "backend"}
        | {"limits": limits}
        for name in ("a", "b")
    ]
    edge = enter(Edge(configuration(backend.url, routes=routes)))
    with tunnel(edge.address, "/a"), tunnel(edge.address, "/b"):
        check_refusal(ask(edge.address, upgrade_head("/a")), 429)


def test_upgrades_per_client(enter, backend):
    route = {"limits": {"upgrades_per_client": {"rate": "1/m", "burst": 3}}}
    edge = enter(Edge(configuration(backend.url, route=route)))
    assert [ask(edge.address, upgrade_head()).status for _ in range(3)] == [101] * 3
    response = ask(edge.address, upgrade_head())
    check_refusal(response, 429)
    check_retry_after(response)
    assert int(response["Retry-After"]) <= 60


def test_upgrades_come_back_with_time(enter, backend):
    route = {"limits": {"upgrades_per_client": {"rate": "5/s", "burst": 1}}}
    edge = enter(Edge(configuration(backend.url, route=route)))
    assert ask(edge.address, upgrade_head()).status == 101
    eventually(lambda: ask(edge.address, upgrade_head()).status == 101, "another upgrade", 5)


def forwarded_for(*addresses):
    return [("X-Forwarded-For", ", ".join(addresses))]


def test_trusted_proxies(enter, backend):
    edge = enter(Edge(configuration(
        backend.url, trusted_proxies=["127.0.0.0/8", "10.0.0.0/8"],
        route={"limits": {"connections_per_client": 1}},
    )))  # fmt: skip
    with tunnel(edge.address, fields=forwarded_for("203.0.113.7", "10.1.2.3")):
        request = backend.last_request()
        assert request["X-Forwarded-For"] == "203.0.113.7, 10.1.2.3, 127.0.0.1"
        # The same client through another proxy, and one that lies about who came before it.
        for addresses in (("203.0.113.7", "10.9.9.9"), ("198.51.100.1", "203.0.113.7")):
            fields = forwarded_for(*addresses)
            check_refusal(ask(edge.address, upgrade_head(fields=fields)), 429)
        tunnel(edge.address, fields=forwarded_for("203.0.113.8", "10.1.2.3")).close()
    assert edge.wait_for("tunnel", request_id=request["X-Request-Id"])["client"] == "203.0.113.7"


def test_ipv6_clients_count_by_their_network(enter, backend):
    edge = enter(Edge(configuration(
        backend.url, trusted_proxies=["127.0.0.1/32"],
        route={"limits": {"connections_per_client": 1}},
    )))  # fmt: skip
    with tunnel(edge.address, fields=forwarded_for("2001:db8:0:1::1")):
        same = upgrade_head(fields=forwarded_for("2001:db8:0:1:ffff::2"))
        check_refusal(ask(edge.address, same), 429)
        tunnel(edge.address, fields=forwarded_for("2001:db8:0:2::1")).close()


def test_others_are_not_believed(enter, backend):
    edge = enter(Edge(configuration(backend.url, trusted_proxies=["10.0.0.0/8"])))
    fields = forwarded_for("203.0.113.7") + [("X-Forwarded-Proto", "https")]
    fields += [("X-Forwarded-Host", "elsewhere"), ("X-Request-Id", "chosen")]
    with tunnel(edge.address, fields=fields):
        request = backend.last_request()
    assert request["X-Forwarded-For"].endswith("127.0.0.1")
    assert request["X-Forwarded-Proto"] == "http"
    assert request["X-Forwarded-Host"] == "localhost"
    assert request["X-Request-Id"] != "chosen"
    assert edge.wait_for("tunnel", request_id=request["X-Request-Id"])["client"] == "127.0.0.1"


def test_a_trusted_proxy_is_believed(enter, backend):
    edge = enter(Edge(configuration(backend.url, trusted_proxies=["127.0.0.0/8"])))
    fields = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "chat.example.com")]
    fields += [("X-Request-Id", "from-the-proxy")]
    with tunnel(edge.address, fields=fields):
        request = backend.last_request()
    assert request["X-Forwarded-Proto"] == "https"
    assert request["X-Forwarded-Host"] == "chat.example.com"
    assert request["X-Request-Id"] == "from-the-proxy"


def test_limit_of_connections(enter, backend):
    edge = enter(Edge(configuration(backend.url, limits={"connections": 3})))
    open_tunnels = [tunnel(edge.address) for _ in range(3)]
    for _ in range(3):
        response = ask(edge.address, upgrade_head())
        check_refusal(response, 503)
        check_retry_after(response)
    assert all(wire.echoes() for wire in open_tunnels)
    open_tunnels.pop().close()
    edge.wait_for("tunnel")
    eventually(lambda: ask(edge.address, upgrade_head()).status == 101, "a place to be free")
    for wire in open_tunnels:
        wire.close()


def test_idle_connections_count_too(enter, backend):
    """A connection without a request holds a place until its deadline."""
    limits = {"connections": 2, "handshake_timeout": "1s"}
    edge = enter(Edge(configuration(backend.url, limits=limits)))
    silent = [connect(edge.address) for _ in range(2)]
    for wire in silent:
        wire.send(b"G")
    eventually(lambda: ask(edge.address, upgrade_head()).status == 503, "the limit")
    eventually(lambda: ask(edge.address, upgrade_head()).status == 101, "the deadline")
    for wire in silent:
        wire.close()
