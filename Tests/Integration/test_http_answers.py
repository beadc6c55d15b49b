"""What the edge answers by itself: redirects, challenges, CORS, refusals; and who may ask."""

import os
import threading

import pytest

from harness import tokens
from harness.authority import pair
from harness.conditions import eventually
from harness.edge import Edge
from harness.http_clients import VERSIONS, ask, curl, forwarding, head, is_reusable, post
from harness.http_fixtures import through, web  # noqa: F401
from harness.http_recorder import Recorder, answered
from harness.refusals import check_retry_after
from harness.web import Answer, WebServer
from harness.wire import connect

PAGE = "https://app.example.com"


# To HTTPS


@pytest.mark.parametrize("http", VERSIONS)
@pytest.mark.parametrize(
    ("method", "status"), [("GET", 301), ("HEAD", 301), ("POST", 308), ("PUT", 308)]
)
def test_redirect(through, method, status, http):
    """RFC 9110 §15.4: what is behind a 308 must not become a GET."""
    edge = through(listener={"redirect_to_https": True})
    how = ["--head"] if method == "HEAD" else ["-X", method]
    found = curl(web(edge, "/a%20b?x=1"), *how, "-HHost: shop.example:8080", http=http)
    assert found.status == status
    assert found["Location"] == "https://shop.example/a%20b?x=1"
    assert found["X-Request-Id"]
    assert edge.server.accepted == 0


REDIRECTS = [
    (True, "shop.example", "/", "https://shop.example/"),
    (8443, "shop.example:80", "/a", "https://shop.example:8443/a"),
    (443, "SHOP.example.", "/a?b#", None),
    (True, "[2001:db8::1]:80", "/a", "https://[2001:db8::1]/a"),
    (True, "shop.example", "//evil.example/x", "https://shop.example//evil.example/x"),
    (True, "shop.example", "http://shop.example/x?y", "https://shop.example/x?y"),
    (True, "shop.example", "*", "https://shop.example/"),
]  # fmt: skip


@pytest.mark.parametrize(("port", "host", "target", "location"), REDIRECTS)
def test_where_a_redirect_leads(through, port, host, target, location):
    edge = through(listener={"redirect_to_https": port})
    method = "OPTIONS" if target == "*" else "GET"
    with connect(edge.address) as wire:
        response = ask(wire, head(target, host=host, method=method))
    if location is None:
        assert response.status == 400
    else:
        assert response["Location"] == location


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_redirect_needs_a_host(through, version):
    edge = through(listener={"redirect_to_https": True})
    with connect(edge.address) as wire:
        response = ask(wire, head("/", host=None, version=version))
    assert response.status == 400
    assert "Location" not in response


def test_upgrades_are_redirected(through):
    """A WebSocket client does not follow, and learns that it is not to come this way."""
    edge = through(listener={"redirect_to_https": True})
    with connect(edge.address) as wire:
        response = wire.upgrade("/chat", host="shop.example")
    assert (response.status, response["Location"]) == (301, "https://shop.example/chat")


def test_a_connection_goes_on_behind_redirects(through):
    edge = through(listener={"redirect_to_https": True})
    with connect(edge.address) as wire:
        for _ in range(3):
            response = ask(wire, head())
            assert response.status == 301
            assert "Connection" not in response
        assert ask(wire, post("/", b"body"))["Connection"] == "close"
        assert wire.read_to_end() == b""


def test_a_redirect_is_followed(enter, authority, localhost):
    """By curl, to the other listener of the same edge."""
    server = enter(Recorder())
    tls = {"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}
    secure = enter(Edge(forwarding(server.url, listeners=[tls])))
    edge = enter(Edge(forwarding(server.url, listener={"redirect_to_https": secure.port})))
    url = edge.url("/a", scheme="http", host="localhost")
    found = curl(url, "--location", "--cacert", authority.ca)
    assert found.body == b"ok"
    assert [each.status for each in found.heads] == [301, 200]


# Challenges

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
CHALLENGE = f"/.well-known/acme-challenge/{TOKEN}"
THUMBPRINT = f"{TOKEN}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"


@pytest.fixture
def challenges(tmp_path):
    """A directory with a challenge, beside things that are nobody's."""
    directory = tmp_path / "challenges"
    directory.mkdir()
    (directory / TOKEN).write_text(THUMBPRINT)
    (directory / ".hidden").write_text("secret")
    (directory / "below").mkdir()
    (directory / "below" / "file").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", directory / "link")
    os.mkfifo(directory / "pipe")
    (directory / "large").write_bytes(b"x" * 100_000)
    (directory / "name.with.dots").write_text("secret")
    return directory


@pytest.mark.parametrize("redirect", [False, True])
@pytest.mark.parametrize("http", VERSIONS)
def test_a_challenge(through, challenges, http, redirect):
    listener = {"acme_challenges": str(challenges), "redirect_to_https": redirect}
    edge = through(listener=listener)
    found = curl(web(edge, CHALLENGE), "-HHost: shop.example", http=http)
    assert (found.status, found.body.decode()) == (200, THUMBPRINT)
    assert found["Content-Length"] == str(len(THUMBPRINT))
    found = curl(web(edge, CHALLENGE), "--head", http=http)
    assert (found.status, found["Content-Length"]) == (200, str(len(THUMBPRINT)))
    assert edge.server.accepted == 0
    assert curl(web(edge, "/other"), http=http).status == (301 if redirect else 200)


NO_CHALLENGES = [
    "missing", ".hidden", "below", "below/file", "../secret", "%2e%2e/secret", "..%2fsecret",
    "%2e%2e%2fsecret", "link", "pipe", "large", "name.with.dots", "", ".", "..", TOKEN + "/",
    TOKEN + "%00", "a" * 5000, f"./{TOKEN}", f"x/../{TOKEN}",
]  # fmt: skip


@pytest.mark.parametrize("name", NO_CHALLENGES, ids=lambda name: name[:20] or "none")
def test_what_is_no_challenge(through, challenges, name):
    edge = through(listener={"acme_challenges": str(challenges)}, route={"match": {"path": "/x"}})
    with connect(edge.address) as wire:
        response = ask(wire, head("/.well-known/acme-challenge/" + name))
        assert response.status in (400, 404)
        assert b"secret" not in response.body and b"xxx" not in response.body


def test_a_challenge_comes_and_goes(through, challenges):
    """Files are looked for when they are asked for."""
    edge = through(listener={"acme_challenges": str(challenges)})
    target = "/.well-known/acme-challenge/new"
    with connect(edge.address) as wire:
        assert ask(wire, head(target)).status == 404
        (challenges / "new").write_text("now")
        assert ask(wire, head(target)).body == b"now"
        (challenges / "new").unlink()
        assert ask(wire, head(target)).status == 404
        assert is_reusable(wire)


def test_a_challenge_is_read_and_not_written(through, challenges):
    edge = through(listener={"acme_challenges": str(challenges)})
    with connect(edge.address) as wire:
        response = ask(wire, post(CHALLENGE, b"x", method="PUT"))
        assert response.status == 405
        assert response["Allow"] == "GET, HEAD"
    assert (challenges / TOKEN).read_text() == THUMBPRINT


# CORS


def cors(**rules):
    return {"origins": [PAGE], "cors": rules or True}


def preflight(edge, origin=PAGE, method="PUT", names=None, target="/"):
    fields = [("Origin", origin), ("Access-Control-Request-Method", method)]
    fields += [("Access-Control-Request-Headers", names)] if names else []
    with connect(edge.address) as wire:
        response = ask(wire, head(target, *fields, method="OPTIONS"))
        assert response.status == 204
        assert ask(wire, head(target, *fields, method="OPTIONS")).status == 204
    return response


def allowed(response):
    """The fields of the CORS protocol, by what stands behind Access-Control-."""
    prefix = "access-control-"
    return {
        name.lower().removeprefix(prefix): value
        for name, value in response.fields
        if name.lower().startswith(prefix)
    }


def test_a_preflight(through):
    rules = cors(methods=["GET", "PUT"], headers=["X-A", "X-B"], max_age="1h", credentials=True)
    edge = through(route=rules)
    response = preflight(edge, names="x-a")
    found = allowed(response)
    assert found["allow-origin"] == PAGE
    assert found["allow-methods"] == "GET, PUT"
    assert found["allow-headers"].lower() == "x-a, x-b"
    assert found["allow-credentials"] == "true"
    assert found["max-age"] == "3600"
    assert "origin" in response["Vary"].lower()
    assert edge.server.accepted == 0


def test_a_preflight_with_any_field(through):
    edge = through(route=cors())
    assert allowed(preflight(edge, names="x-a,content-type"))["allow-headers"].split(", ") == [
        "x-a", "content-type",
    ]  # fmt: skip


def test_a_preflight_of_another_page(through):
    edge = through(route=cors())
    assert allowed(preflight(edge, origin="https://evil.example")) == {}
    assert allowed(preflight(edge, origin="null")) == {}
    assert edge.server.accepted == 0


def test_a_preflight_needs_no_credentials(through):
    """Browsers send none with it; the request itself needs them."""
    edge = through(route=cors() | {"auth": {"api_keys": {"keys": ["the-key"]}}})
    assert allowed(preflight(edge))["allow-origin"] == PAGE
    with connect(edge.address) as wire:
        response = ask(wire, head("/", ("Origin", PAGE)))
    assert response.status == 401
    assert allowed(response)["allow-origin"] == PAGE


def test_other_options_go_to_the_server(through):
    edge = through(route=cors())
    for fields in ([], [("Origin", PAGE)], [("Access-Control-Request-Method", "PUT")]):
        with connect(edge.address) as wire:
            assert ask(wire, head("/", *fields, method="OPTIONS")).body == b"ok"
    assert len(edge.server.requests) == 3


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_an_answer_to_a_page(through, http):
    """What the server says of it is replaced; its own Vary stays."""
    theirs = [
        ("Access-Control-Allow-Origin", "*"), ("access-control-allow-credentials", "true"),
        ("Access-Control-Expose-Headers", "X-Server"), ("Vary", "Accept"), ("X-Total", "5"),
    ]  # fmt: skip
    edge = through(lambda request: answered(b"ok", *theirs), route=cors(expose=["X-Total"]))
    found = curl(web(edge), f"-HOrigin: {PAGE}", http=http)
    assert allowed(found.last) == {"allow-origin": PAGE, "expose-headers": "X-Total"}
    assert [each.lower() for each in found.last.values("Vary")] == ["accept", "origin"]
    assert found["X-Total"] == "5"
    assert edge.server.requests[0]["Origin"] == PAGE


def test_an_answer_to_another_page(through):
    """It is answered as everybody is, without the permission to read it."""
    theirs = [("Access-Control-Allow-Origin", "*")]
    edge = through(lambda request: answered(b"ok", *theirs), route=cors(credentials=True))
    for fields in ([("Origin", "https://evil.example")], [("Origin", PAGE), ("Origin", PAGE)], []):
        with connect(edge.address) as wire:
            response = ask(wire, head("/", *fields))
        assert (response.status, allowed(response)) == (200, {})
        assert "origin" in response["Vary"].lower()


def test_any_page(through):
    edge = through(route={"origins": "any", "cors": True})
    with connect(edge.address) as wire:
        assert allowed(ask(wire, head("/", ("Origin", "null"))))["allow-origin"] == "*"
    assert allowed(preflight(edge, origin="https://x.example"))["allow-origin"] == "*"


def test_cookies_for_a_page(through):
    edge = through(route=cors(credentials=True))
    with connect(edge.address) as wire:
        found = allowed(ask(wire, head("/", ("Origin", PAGE))))
    assert found == {"allow-origin": PAGE, "allow-credentials": "true"}


REFUSALS = {
    "no server": ({}, head("/", ("Origin", PAGE)), 502),
    "a method": ({}, head("/", ("Origin", PAGE), method="TRACE"), 405),
    "a body": (
        {"http": {"body_size": "1B"}}, post("/", b"xx", ("Origin", PAGE)), 413
    ),
    "a key": ({"auth": {"api_keys": {"keys": ["k"]}}}, head("/", ("Origin", PAGE)), 401),
}  # fmt: skip


@pytest.mark.parametrize(("route", "octets", "status"), REFUSALS.values(), ids=REFUSALS)
def test_a_page_may_read_why_it_was_refused(enter, route, octets, status):
    edge = enter(Edge(forwarding("http://127.0.0.1:1", route=cors() | route)))
    with connect(edge.address) as wire:
        response = ask(wire, octets)
    assert response.status == status
    assert allowed(response)["allow-origin"] == PAGE
    assert "origin" in response["Vary"].lower()


def test_without_cors_the_server_decides(through):
    theirs = [("Access-Control-Allow-Origin", "*")]
    edge = through(lambda request: answered(b"ok", *theirs), route={"origins": [PAGE]})
    fields = [("Origin", "https://x.example"), ("Access-Control-Request-Method", "PUT")]
    with connect(edge.address) as wire:
        response = ask(wire, head("/", *fields, method="OPTIONS"))
    assert (response.body, allowed(response)) == (b"ok", {"allow-origin": "*"})


# How refusals are explained

ACCEPTS = {
    None: "application/json",
    "*/*": "application/json",
    "application/json": "application/json",
    "text/plain": "text/plain",
    "text/*": "text/plain",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html",
    "text/html;q=0.5, text/plain;q=0.6": "text/plain",
    "text/html;q=0, */*;q=0.1": "application/json",
    "image/png": "application/json",
    "TEXT/HTML": "text/html",
    ";;,,=": "application/json",
}


@pytest.mark.parametrize("http", ["1.1", "2"])
@pytest.mark.parametrize(("accept", "type"), ACCEPTS.items())
def test_the_form_of_a_refusal(through, accept, type, http):
    edge = through(route={"match": {"path": "/only"}})
    found = curl(web(edge), f"-HAccept: {accept}" if accept else "-HAccept:", http=http)
    assert found.status == 404
    assert found["Content-Type"].partition(";")[0] == type
    text = found.body.decode()
    assert "No route answers" in text and found["X-Request-Id"] in text
    assert found["Content-Length"] == str(len(found.body))
    if type == "text/html":
        assert text.startswith("<!doctype html>")
        assert "default-src 'none'" in found["Content-Security-Policy"]
        assert not {"http://", "https://", "<script", "<img", "<link"} & set(text.split('"'))


def test_nothing_of_a_request_stands_in_a_page(through):
    edge = through(route={"match": {"path": "/only"}}, trusted_proxies=["127.0.0.1"])
    fields = [("Accept", "text/html"), ("X-Request-Id", "<b>&\"'")]
    with connect(edge.address) as wire:
        response = ask(wire, head("/<script>alert(1)</script>".replace("<", "%3c"), *fields))
    assert b"<b>" not in response.body
    assert b"script" not in response.body


# How much


def test_a_rate_of_requests(through):
    edge = through(route={"limits": {"requests_per_client": {"rate": "1/m", "burst": 3}}})
    with connect(edge.address) as wire:
        for _ in range(3):
            assert ask(wire, head()).status == 200
        response = ask(wire, head())
        assert (response.status, response.json["error"]) == (429, "too_many_requests")
        check_retry_after(response)
        assert int(response["Retry-After"]) <= 60
        assert ask(wire, head()).status == 429
    assert len(edge.server.requests) == 3


def test_requests_do_not_count_as_upgrades(through):
    limits = {"upgrades_per_client": {"rate": "1/h", "burst": 1}}
    edge = through(route={"limits": limits})
    with connect(edge.address) as wire:
        for _ in range(5):
            assert ask(wire, head()).status == 200


def test_guesses_of_keys_are_counted(through):
    limits = {"requests_per_client": {"rate": "1/h", "burst": 2}}
    edge = through(route={"limits": limits, "auth": {"api_keys": {"keys": ["the-key"]}}})
    with connect(edge.address) as wire:
        statuses = [ask(wire, head("/", ("X-API-Key", f"{n}"))).status for n in range(3)]
    assert statuses == [401, 401, 429]


def test_requests_under_way_are_counted(enter):
    release = threading.Event()

    def answer(request):
        release.wait(10)
        return answered()

    server = enter(Recorder(answer))
    limits = {"connections_per_client": 2}
    edge = enter(Edge(forwarding(server.url, route={"limits": limits})))
    busy = [enter(connect(edge.address)) for _ in range(2)]
    for wire in busy:
        wire.send(head())
    eventually(lambda: len(server.requests) == 2, "two requests at the server")
    with connect(edge.address) as wire:
        response = ask(wire, head())
        assert (response.status, response.json["error"]) == (429, "too_many_connections")
        check_retry_after(response)
        release.set()
        eventually(lambda: len(edge.records("request", status=200)) == 2, "both answers")
        assert ask(wire, head()).status == 200


# Who


JWT = {
    "keys": [{"algorithm": "HS256", "secret": tokens.SECRET}],
    "token_from": ["authorization", "cookie:session", "query:access_token"],
    "forward_claims": {"sub": "X-Auth-Subject"},
}


def good():
    return tokens.hs256(tokens.claims())


PLACES = {
    "authorization": lambda token: ("/?a=1", ("Authorization", f"Bearer {token}")),
    "a cookie": lambda token: ("/?a=1", ("Cookie", f"x=1; session={token}; y=2")),
    "the query": lambda token: (f"/?access_token={token}&a=1", ("X-Other", "1")),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_token(through, place):
    """The server sees who asks, and not the token."""
    edge = through(route={"auth": {"jwt": JWT}})
    token = good()
    target, field = place(token)
    with connect(edge.address) as wire:
        for _ in range(2):
            forged = ("X-Auth-Subject", "mallory")
            assert ask(wire, head(target, field, forged)).status == 200
    for request in edge.server.requests:
        assert token not in request.octets.decode()
        assert request["X-Auth-Subject"] == "alice"
        assert request.target == "/?a=1"
    assert token not in edge.text


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([], "missing_token"),
        ([("Authorization", "Bearer x.y.z")], "invalid_token"),
        ([("Authorization", "Basic YTpi")], "missing_token"),
    ],
)
def test_a_request_without_a_good_token(through, fields, error):
    edge = through(route={"auth": {"jwt": JWT}})
    with connect(edge.address) as wire:
        response = ask(wire, head("/", *fields))
        assert (response.status, response.json["error"]) == (401, error)
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert ask(wire, head("/", ("Authorization", f"Bearer {good()}"))).status == 200
    assert len(edge.server.requests) == 1


def test_a_token_before_a_body(through):
    """The body waits until the token has been judged, and arrives whole."""
    edge = through(route={"auth": {"jwt": JWT}})
    body = b"x" * 300_000
    found = curl(
        web(edge), f"-HAuthorization: Bearer {good()}", "--data-binary", "@-", stdin=body
    )
    assert found.status == 200
    assert edge.server.requests[0].body == body


def test_an_expired_token(through):
    edge = through(route={"auth": {"jwt": JWT}})
    token = tokens.hs256(tokens.claims(exp=1))
    with connect(edge.address) as wire:
        assert ask(wire, head("/", ("Authorization", f"Bearer {token}"))).status == 401


def test_an_api_key(through):
    edge = through(route={"auth": {"api_keys": {"keys": ["the-key"]}}})
    with connect(edge.address) as wire:
        assert ask(wire, head()).json["error"] == "missing_api_key"
        assert ask(wire, head("/", ("X-API-Key", "other"))).json["error"] == "invalid_api_key"
        assert ask(wire, head("/", ("x-api-key", "the-key"))).status == 200
    (request,) = edge.server.requests
    assert "the-key" not in request.octets.decode()


@pytest.fixture
def asking(enter, through):
    """`asking(answer)`: an edge that asks a service, which is its `service`."""

    def start(answer):
        service = enter(WebServer(answer))
        rules = {"url": f"{service.url}/judge", "headers": ["X-User"], "subject_from": "X-User"}
        edge = through(route={"auth": {"forward": rules}})
        edge.service = service
        return edge

    return start


def test_a_service_that_admits(asking):
    edge = asking(Answer(200, "", [("X-User", "alice")]))
    with connect(edge.address) as wire:
        fields = [("Cookie", "a=1"), ("X-User", "mallory")]
        assert ask(wire, post("/order?x", b"12345", *fields)).status == 200
        assert is_reusable(wire)
    question = edge.service.requests[0]
    assert question.command == "GET" and question.body == b""
    assert question.values("X-Forwarded-Method") == ["POST"]
    assert question.values("X-Forwarded-Uri") == ["/order?x"]
    assert question.values("Cookie") == ["a=1"]
    assert question.values("Content-Length") == []
    request = edge.server.requests[0]
    assert (request["X-User"], request.body) == ("alice", b"12345")
    assert edge.wait_for("request")["subject"] == "alice"


def test_a_service_that_refuses(asking):
    """A login page: its answer goes on, and the connection too."""
    fields = [("WWW-Authenticate", "Basic realm=x"), ("Content-Type", "text/html")]
    edge = asking(Answer(401, "<p>who?", fields))
    with connect(edge.address) as wire:
        response = ask(wire, head())
        assert (response.status, response.body) == (401, b"<p>who?")
        assert response["WWW-Authenticate"] == "Basic realm=x"
        assert response["Content-Type"] == "text/html"
        assert ask(wire, head()).status == 401
    assert edge.server.accepted == 0


def test_a_service_that_is_gone(enter):
    server = enter(Recorder())
    route = {"auth": {"forward": {"url": "http://127.0.0.1:1/"}}}
    edge = enter(Edge(forwarding(server.url, route=route)))
    with connect(edge.address) as wire:
        assert ask(wire, head()).json["error"] == "verifier_unavailable"
    assert server.accepted == 0


def test_origins_are_not_asked_for(through):
    """They guard WebSockets; what a page may read of an answer browsers decide."""
    edge = through(route={"origins": [PAGE], "require_origin": True})
    with connect(edge.address) as wire:
        assert ask(wire, head()).status == 200
        assert ask(wire, head("/", ("Origin", "https://evil.example"))).status == 200
        response = wire.upgrade("/", fields=[("Origin", "https://evil.example")])
        assert response.status == 403
