"""Key sets behind URLs: rotated, refused, late, and never asked for more often than is good."""

import json
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from harness import tokens
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration, sluice
from harness.refusals import check_refusal, check_retry_after
from harness.web import Answer, WebServer
from harness.wire import ask, connect, upgrade_head

KEYS = {kid: ec.generate_private_key(ec.SECP256R1()) for kid in ("one", "two", "three")}
API_KEY = "the-key"


def key_set(*kids):
    return Answer(body=json.dumps({"keys": [tokens.ec_jwk(KEYS[kid], kid) for kid in kids]}))


def token(kid, key=None):
    return tokens.es256(tokens.claims(), KEYS[key or kid], kid=kid)


def head(kid, key=None, path="/"):
    return upgrade_head(path, fields=[("Authorization", f"Bearer {token(kid, key)}")])


def status(edge, kid, key=None):
    return ask(edge.address, head(kid, key)).status


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


@pytest.fixture
def server(enter):
    return enter(WebServer(key_set("one")))


@pytest.fixture
def settings(backend, server):
    rules = {"jwt": {"jwks": {"url": f"{server.url}/keys?secret=5ecret"}}}
    rules["api_keys"] = {"header": "X-API-Key", "keys": [API_KEY]}
    return configuration(backend.url, route={"auth": rules})


@pytest.fixture
def edge(enter, settings):
    return enter(Edge(settings, options=["--no-watch"]))


def test_it_is_fetched_when_the_edge_serves(edge, server):
    record = edge.wait_for("key set fetched")
    assert record["url"] == f"{server.url}/keys" and record["keys"] == "1"
    assert "5ecret" not in edge.text
    assert status(edge, "one") == 101
    assert [request.path for request in server.requests] == ["/keys?secret=5ecret"]
    assert "Cookie" not in server.requests[0].headers


def test_checking_a_configuration_fetches_nothing(server, settings, tmp_path):
    file = tmp_path / "sluice.yaml"
    file.write_text(json.dumps(settings))
    assert sluice("check", "--config", str(file)).returncode == 0
    assert server.count == 0


def test_keys_are_rotated(edge, server):
    edge.wait_for("key set fetched")
    assert status(edge, "one") == 101
    server.answers = key_set("one", "two")
    assert [status(edge, kid) for kid in ("two", "one", "two")] == [101, 101, 101]
    assert server.count == 2
    # Signed by another key than the one that it names.
    assert status(edge, "two", key="three") == 401


def test_a_key_that_is_gone_is_not_taken(edge, server):
    edge.wait_for("key set fetched")
    server.answers = key_set("two")
    assert [status(edge, kid) for kid in ("two", "one")] == [101, 401]


FAILURES = {
    "500": Answer(500), "404": Answer(404), "no content": Answer(204), "garbage": Answer(body="<>"),
    "no keys": Answer(body='{"keys": []}'), "closed": Answer(closes=True),
    "too long": Answer(body=b" " * (1 << 20) + key_set("two").body),
    "a redirect to nowhere": Answer(302, fields=[("Location", "ftp://localhost/")]),
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_the_last_good_keys_outlive_failures(edge, server, failure):
    edge.wait_for("key set fetched")
    server.answers = failure
    # Whether this key exists cannot be known: the token may be good.
    response = ask(edge.address, head("two"))
    check_refusal(response, 503)
    assert response.json["error"] == "verifier_unavailable"
    check_retry_after(response)
    assert edge.wait_for("key set not fetched")["retry_in"] == "1s"
    assert status(edge, "one") == 101
    server.answers = key_set("one", "two")
    # By itself, without a token that asks for it.
    edge.wait_for("key set fetched", count=2)
    assert [status(edge, kid) for kid in ("two", "one")] == [101, 101]


def test_without_keys_tokens_are_neither_good_nor_bad(enter, server, settings):
    server.answers = Answer(500)
    edge = enter(Edge(settings))
    edge.wait_for("key set not fetched")
    response = ask(edge.address, head("one"))
    check_refusal(response, 503)
    assert response.json["error"] == "verifier_unavailable"
    server.answers = key_set("one")
    edge.wait_for("key set fetched")
    assert status(edge, "one") == 101


def test_retries_back_off(enter, server, settings):
    server.answers = Answer(500)
    edge = enter(Edge(settings))
    edge.wait_for("key set not fetched", count=3)
    delays = [record["retry_in"] for record in edge.records("key set not fetched")]
    assert delays[:3] == ["1s", "2s", "4s"]


def test_a_server_that_hangs_delays_nobody_else(enter, server, settings):
    holds = threading.Event()
    server.answers = Answer(holds=holds)
    edge = enter(Edge(settings))
    eventually(lambda: server.count == 1, "the edge to ask for the keys")
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(ask, edge.address, head("one"))
        for _ in range(20):
            fields = [("X-API-Key", API_KEY)]
            assert ask(edge.address, upgrade_head(fields=fields)).status == 101
        assert time.monotonic() - began < 3, "others waited too"
        assert not first.done()
        response = first.result()
    check_refusal(response, 503)
    assert time.monotonic() - began < 7
    assert "timed out" in edge.wait_for("key set not fetched")["reason"]
    server.answers = key_set("one")
    holds.set()
    edge.wait_for("key set fetched")
    assert status(edge, "one") == 101


def test_those_who_wait_share_one_fetch(enter, server, settings):
    holds = threading.Event()
    good = key_set("one")
    server.answers = Answer(body=good.body, holds=holds)
    edge = enter(Edge(settings))
    eventually(lambda: server.count == 1, "the edge to ask for the keys")
    wires = [enter(connect(edge.address)) for _ in range(20)]
    for wire in wires:
        wire.send(head("one"))
    eventually(lambda: all(wire.is_taken for wire in wires), "the edge to have the requests")
    holds.set()
    assert [wire.read_response().status for wire in wires] == [101] * 20
    assert server.count == 1


def test_unknown_keys_do_not_flood_the_server(edge, server):
    edge.wait_for("key set fetched")
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda number: status(edge, f"x{number}", key="two"), range(200))
        )
    assert set(answers) == {401}
    assert server.count <= 2 + (time.monotonic() - began) // 10
    assert status(edge, "one") == 101


def test_a_reload_keeps_what_was_fetched(edge, server, settings):
    edge.wait_for("key set fetched")
    settings["routes"][0]["idle_timeout"] = "77s"
    assert "routes ~chat" in edge.reload(settings)["changes"]
    server.answers = Answer(500)
    assert status(edge, "one") == 101
    assert edge.reload(json.dumps({"listeners": []}))["message"] != "reloaded"
    assert status(edge, "one") == 101
    assert server.count == 1
    # Another place is another set.
    settings["routes"][0]["auth"]["jwt"]["jwks"] = {"url": f"{server.url}/other"}
    server.answers = key_set("three")
    edge.reload(settings)
    assert [status(edge, kid) for kid in ("three", "one")] == [101, 401]


def test_redirects(enter, backend, server):
    def answer(request):
        left = int(request.path.rpartition("/")[2])
        if not left:
            return key_set("one")
        return Answer(307, fields=[("Location", f"../hops/{left - 1}#fragment")])

    server.answers = answer
    for count, expected in ((3, 101), (4, 503)):
        rules = {"jwt": {"jwks": {"url": f"{server.url}/hops/{count}", "refresh": "1h"}}}
        edge = enter(Edge(configuration(backend.url, route={"auth": rules})))
        assert status(edge, "one") == expected


def test_two_routes_share_a_set(enter, backend, server):
    auth = {"auth": {"jwt": {"jwks": {"url": f"{server.url}/keys"}}}}
    settings = configuration(backend.url, route=auth | {"match": {"path": "/a"}})
    settings["routes"].append(settings["routes"][0] | {"name": "b", "match": {"path": "/b"}})
    edge = enter(Edge(settings))
    for path in ("/a", "/b"):
        assert ask(edge.address, head("one", path=path)).status == 101
    assert server.count == 1


def test_a_server_that_cannot_be_verified(enter, settings, localhost):
    """Its certificate is signed by an authority that the system does not know."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*localhost)
    server = enter(WebServer(key_set("one"), tls=tls))
    settings["routes"][0]["auth"]["jwt"]["jwks"]["url"] = f"{server.url}/keys"
    edge = enter(Edge(settings))
    assert "certificate" in edge.wait_for("key set not fetched")["reason"].lower()
    assert status(edge, "one") == 503
    assert server.count == 0


def test_it_ends_as_without_key_sets(edge, server):
    edge.wait_for("key set fetched")
    server.answers = Answer(holds=threading.Event())
    with connect(edge.address) as wire:
        wire.send(head("two"))
        eventually(lambda: server.count == 2, "the edge to ask for the keys")
        edge.signal()
        # Who was accepted is answered, and may be waiting for the fetch.
        assert wire.read_response().status == 503
    assert edge.wait_for_exit() == 0


def test_nobody_there(enter, server, settings):
    settings["routes"][0]["auth"]["jwt"]["jwks"]["url"] = "http://127.0.0.1:1/keys"
    edge = enter(Edge(settings))
    edge.wait_for("key set not fetched")
    assert status(edge, "one") == 503
    assert edge.process.poll() is None
