"""A service judges who may connect: what it is asked, what its answers do, and when it is silent."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import tokens
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.refusals import check_refusal, check_retry_after
from harness.web import Answer, WebServer
from harness.wire import ask, connect, is_refused, tunnel, upgrade_head

API_KEY = "the-key"
ADMITTED = Answer(200, "fine", [("X-User", "alice"), ("X-Role", "admin"), ("X-Other", "no")])


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


@pytest.fixture
def service(enter):
    return enter(WebServer(ADMITTED))


@pytest.fixture
def start(enter, backend, service):
    """`start(forward, **other_methods)`: an edge whose route asks the service."""

    def start(forward=None, top=None, **methods):
        rules = {
            "url": f"{service.url}/authorize?realm=chat", "headers": ["X-User", "X-Role"],
            "subject_from": "X-User",
        } | (forward or {})  # fmt: skip
        route = {"auth": {"forward": rules} | methods}
        return enter(Edge(configuration(backend.url, route=route, **(top or {}))))

    return start


def last(service):
    return eventually(lambda: service.requests and service.requests[-1], "the service to be asked")


def test_it_admits_and_says_who_it_is(start, backend, service):
    edge = start()
    with tunnel(edge.address, "/room?token=abc") as wire:
        wire.echoes()
        request = backend.last_request()
    assert request["X-User"] == "alice" and request["X-Role"] == "admin"
    assert "X-Other" not in request
    assert request.target == "/room?token=abc"
    record = edge.wait_for("tunnel", request_id=request["X-Request-Id"])
    assert record["subject"] == "alice"
    assert service.count == 1


def test_what_it_is_asked(start, backend, service):
    edge = start()
    fields = [
        ("Authorization", "Bearer of-bad-news"), ("Cookie", "a=1; b=2"), ("X-Custom", "one"),
        ("X-Custom", "two"), ("X-Forwarded-Uri", "/admin"), ("X_Forwarded_Method", "POST"),
        ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Port", "1"), ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6"), ("Keep-Alive", "5"), ("X-Hop", "x"), ("TE", "trailers"),
        ("Content-Length", "0"), ("X-Request-Id", "mine"), ("Sec-WebSocket-Protocol", "chat"),
    ]  # fmt: skip
    head = upgrade_head("/room?token=abc", host="chat.example:8080", fields=fields)
    head = head.replace(b"Connection: Upgrade", b"Connection: Upgrade, X-Hop")
    with connect(edge.address) as wire:
        wire.send(head)
        wire.read_response()
    asked = last(service)
    assert asked.command == "GET" and asked.path == "/authorize?realm=chat"
    expected = {
        "Authorization": ["Bearer of-bad-news"], "Cookie": ["a=1; b=2"],
        "X-Custom": ["one", "two"], "X-Forwarded-Method": ["GET"],
        "X-Forwarded-Uri": ["/room?token=abc"], "X-Forwarded-Proto": ["http"],
        "X-Forwarded-Host": ["chat.example:8080"], "X-Forwarded-For": ["127.0.0.1"],
        "X-Request-Id": [backend.last_request()["X-Request-Id"]],
        "Host": [service.url.removeprefix("http://")],
    }  # fmt: skip
    assert {name: asked.values(name) for name in expected} == expected
    unwanted = (
        "X_Forwarded_Method", "X-Forwarded-Port", "X-Real-IP", "Forwarded", "Keep-Alive", "X-Hop",
        "TE", "Upgrade", "Content-Length", "Transfer-Encoding", "Sec-WebSocket-Key",
        "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
    )  # fmt: skip
    assert not [name for name in unwanted if asked.values(name)]


def test_the_client_behind_a_trusted_proxy(start, service):
    edge = start(top={"trusted_proxies": ["127.0.0.0/8"]})
    fields = [
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.7"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "public.example"), ("X-Request-Id", "from-the-proxy"),
    ]  # fmt: skip
    tunnel(edge.address, fields=fields).close()
    asked = last(service)
    assert asked.values("X-Forwarded-For") == ["203.0.113.7"]
    assert asked.values("X-Forwarded-Proto") == ["https"]
    assert asked.values("X-Forwarded-Host") == ["public.example"]
    assert asked.values("X-Request-Id") == ["from-the-proxy"]


@pytest.mark.parametrize("name", ["X-User", "x-user", "X_User"])
def test_identity_sent_by_the_client_is_removed(start, backend, service, name):
    edge = start(api_keys={"keys": [API_KEY]})
    forged = [(name, "root"), (name, "admin")]
    tunnel(edge.address, fields=forged).close()
    request = backend.last_request()
    assert request["X-User"] == "alice" and b"root" not in request.octets
    # Records are written when tunnels end: this one's is the first.
    edge.wait_for("tunnel")
    # Also where the service says nothing, and where it is not asked.
    service.answers = Answer(204)
    for fields in (forged, [*forged, ("X-API-Key", API_KEY)]):
        tunnel(edge.address, fields=fields).close()
        request = backend.last_request()
        assert b"root" not in request.octets and "X-User" not in request
    edge.wait_for("tunnel", count=3)
    assert not any("subject" in record for record in edge.records("tunnel")[1:])


def test_a_field_that_the_service_exchanges(start, backend, service):
    """The client's credentials for those of the backend."""
    service.answers = Answer(200, fields=[("Authorization", "Bearer for-the-backend")])
    edge = start({"headers": ["Authorization"]})
    tunnel(edge.address, fields=[("Authorization", "Basic YTpi")]).close()
    assert last(service).values("Authorization") == ["Basic YTpi"]
    assert backend.last_request()["Authorization"] == "Bearer for-the-backend"


def test_several_lines_are_one_list(start, backend, service):
    service.answers = Answer(200, fields=[("X-Role", "admin"), ("X-Role", "author")])
    tunnel(start().address).close()
    assert backend.last_request()["X-Role"] == "admin, author"


def test_a_value_that_cannot_be_carried(start, backend, service):
    service.answers = Answer(200, fields=[("X-User", "al\xefce")])
    check_refusal(ask(start().address, upgrade_head()), 503)
    assert not backend.accepted


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_goes_on_to_the_client(start, backend, service, status):
    body = b'<a href="/login">log in</a>\0\xff'
    passed = [
        ("WWW-Authenticate", 'Basic realm="chat"'), ("Content-Type", "text/html"),
        ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("Location", "/login"),
        ("Retry-After", "7"), ("Cache-Control", "private"), ("Content-Encoding", "gzip"),
    ]  # fmt: skip
    hidden = [("X-User", "alice"), ("Server", "secret"), ("Connection", "keep-alive")]
    service.answers = Answer(status, body, passed + hidden)
    edge = start()
    response = ask(edge.address, upgrade_head())
    assert response.status == status and response.body == body
    for name, _ in passed:
        assert response.values(name) == [value for each, value in passed if each == name]
    assert "X-User" not in response and "Server" not in response
    assert response["Content-Length"] == str(len(body))
    assert response["Connection"] == "close"
    record = edge.wait_for("request", request_id=response["X-Request-Id"])
    assert record["status"] == status and record["error"] == "forward_auth_denied"
    assert not backend.accepted


def test_a_bare_refusal_is_not_kept_by_caches(start, service):
    service.answers = Answer(403)
    response = ask(start().address, upgrade_head())
    assert response.status == 403 and response.body == b""
    assert response["Cache-Control"] == "no-store" and "Content-Type" not in response


UNDECIDED = {
    "302": Answer(302, fields=[("Location", "/login")]), "304": Answer(304), "404": Answer(404),
    "500": Answer(500, "trace"), "closed": Answer(closes=True),
    "too long": Answer(401, b"x" * (64 * 1024 + 1)),
}  # fmt: skip


@pytest.mark.parametrize("answer", UNDECIDED.values(), ids=UNDECIDED)
def test_an_answer_that_decides_nothing(start, backend, service, answer):
    service.answers = answer
    edge = start()
    response = ask(edge.address, upgrade_head())
    check_refusal(response, 503)
    check_retry_after(response)
    assert response.json["error"] == "verifier_unavailable"
    assert {request.path for request in service.requests} == {"/authorize?realm=chat"}
    assert not backend.accepted
    service.answers = ADMITTED
    tunnel(edge.address).close()


def test_the_longest_refusal(start, service):
    service.answers = Answer(401, b"x" * (64 * 1024))
    assert ask(start().address, upgrade_head()).body == b"x" * (64 * 1024)


def test_nobody_there(start, service):
    edge = start({"url": "http://127.0.0.1:1/"})
    assert is_refused("127.0.0.1:1")
    began = time.monotonic()
    check_refusal(ask(edge.address, upgrade_head()), 503)
    assert time.monotonic() - began < 1.5
    edge.wait_for("no answer of the authorization service", url="http://127.0.0.1:1/")


def test_a_service_that_hangs(start, service):
    edge = start({"timeout": "1s"}, api_keys={"keys": [API_KEY]})
    service.answers = Answer(holds=threading.Event())
    began = time.monotonic()
    with ThreadPoolExecutor(100) as pool:
        waiting = [pool.submit(ask, edge.address, upgrade_head()) for _ in range(100)]
        eventually(lambda: service.count, "the service to be asked")
        for _ in range(20):
            assert ask(edge.address, upgrade_head(fields=[("X-API-Key", API_KEY)])).status == 101
        assert not all(each.done() for each in waiting), "the others had to wait"
        for each in waiting:
            response = each.result()
            check_refusal(response, 503)
            assert "in time" in response.json["reason"]
    assert 0.9 < time.monotonic() - began < 5
    service.answers = ADMITTED
    tunnel(edge.address).close()


def test_a_kept_connection_that_the_service_has_closed(start, enter):
    """Closed in the moment in which it is used again: that is no answer, and asked once more."""

    def script(wire):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        # The next request on the same connection.
        wire.fill()

    service = enter(ScriptedBackend(script))
    edge = start({"url": f"http://{service.address}/"})
    for _ in range(3):
        tunnel(edge.address).close()
    assert service.accepted == 3


def test_an_answer_that_never_ends(start, enter):
    def script(wire):
        wire.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 10\r\n\r\n12345")
        wire.read_to_end()

    slow = enter(ScriptedBackend(script))
    edge = start({"url": f"http://{slow.address}/", "timeout": "500ms"})
    check_refusal(ask(edge.address, upgrade_head()), 503)


def test_a_client_that_leaves_meanwhile(start, service, backend):
    holds = threading.Event()
    edge = start({"timeout": "10s"})
    service.answers = Answer(holds=holds)
    with connect(edge.address) as wire:
        wire.send(upgrade_head())
        eventually(lambda: service.count, "the service to be asked")
    edge.wait_for("request", status=0)
    holds.set()
    service.answers = ADMITTED
    tunnel(edge.address).close()
    assert backend.accepted == 1


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def test_it_is_asked_only_where_nothing_else_admits(start, backend, service):
    rules = {
        "keys": [{"algorithm": "HS256", "secret": tokens.SECRET}],
        "forward_claims": {"sub": "X-User"}, "token_from": ["authorization", "query:t"],
    }  # fmt: skip
    edge = start(jwt=rules, api_keys={"keys": [API_KEY]})
    good, bad = tokens.hs256(tokens.claims(sub="bob")), tokens.hs256(tokens.claims(), secret="x")
    for fields in (bearer(good), [("X-API-Key", API_KEY)]):
        tunnel(edge.address, fields=fields).close()
    assert service.count == 0
    assert backend.requests[0]["X-User"] == "bob"
    others = ([], bearer(bad), bearer("a b"), [("X-API-Key", "unknown")])
    for count, fields in enumerate(others, 1):
        tunnel(edge.address, fields=fields).close()
        assert service.count == count
        assert backend.last_request()["X-User"] == "alice"
        assert bad.encode() not in backend.last_request().octets
    assert [request.values("Authorization") for request in service.requests[:2]] == [
        [], [f"Bearer {bad}"],
    ]  # fmt: skip
    service.answers = Answer(403, "no")
    for fields in others:
        response = ask(edge.address, upgrade_head(fields=fields))
        assert response.status == 403 and response.body == b"no"
    tunnel(edge.address, fields=bearer(good)).close()


def test_a_token_that_cannot_be_judged_is_not_asked_about(start, enter, service):
    """It may be good: a service that does not know it would make its owner throw it away."""
    keys = enter(WebServer(Answer(500)))
    edge = start(jwt={"jwks": {"url": keys.url}})
    edge.wait_for("key set not fetched")
    token = tokens.hs256(tokens.claims(), kid="1")
    check_refusal(ask(edge.address, upgrade_head(fields=bearer(token))), 503)
    assert service.count == 0
    tunnel(edge.address).close()


def test_many_at_once(start, service):
    edge = start({"timeout": "10s"})
    with ThreadPoolExecutor(32) as pool:
        heads = pool.map(lambda _: ask(edge.address, upgrade_head()).status, range(500))
        assert list(heads) == [101] * 500
    assert service.count == 500
