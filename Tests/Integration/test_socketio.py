"""Socket.IO behind the edge: two servers that know nothing of each other's sessions."""

import json
import ssl
import urllib.error
import urllib.request
from contextlib import suppress

import pytest

from harness.calls import begin, outcome
from harness.conditions import eventually
from harness.devtools import Browser
from harness.edge import Edge, configuration
from harness.pages import secure
from harness.socket_io import PAGE, PATIENCE, Failed, SocketIOClient, SocketIOServer
from harness.web import Answer, WebServer
from harness.wire import ask

STICKY = {"sticky_cookie": {}}
POLLING, WEBSOCKET = ["polling"], ["websocket"]


def hash_on(key):
    return {"balance": "hash", "hash_on": key}


# How a client is led back to its server, and what client number `n` shows for it.
AFFINITIES = {
    "sticky": (STICKY, lambda n: {}),
    "address": (hash_on("client_address"), lambda n: {}),
    "header": (hash_on("header:X-Device"), lambda n: {"fields": {"X-Device": f"device-{n}"}}),
    "cookie": (hash_on("cookie:device"), lambda n: {"cookies": {"device": f"device-{n}"}}),
    "query": (hash_on("query:device"), lambda n: {"query": f"?device=device-{n}"}),
}


@pytest.fixture(scope="module")
def servers(enter_for_module):
    return [enter_for_module(SocketIOServer(name)) for name in ("one", "two")]


@pytest.fixture
def start(enter, servers):
    """`start(upstream, **settings)`: an edge before the two servers, or before `behind`."""

    def run(upstream=None, *, route=None, behind=servers, **settings):
        urls = [server.url for server in behind]
        route = {"http": True} | (route or {})
        return enter(Edge(configuration(*urls, upstream=upstream, route=route, **settings)))

    return run


@pytest.fixture
def client(enter):
    """`client()`: a client that has not connected."""
    return lambda: enter(SocketIOClient())


def join(client, edge, *, query="", scheme="http", **options):
    """Connects a client to an edge; the name of its server."""
    return client.join(edge.url(f"/{query}", scheme=scheme), **options)


def requests_of(edge):
    """The records of Engine.IO's requests and WebSockets, by the session that they name."""
    found = {}
    for record in edge.records("request") + edge.records("tunnel"):
        target, _, session = record.get("target", "").partition("sid=")
        if session:
            found.setdefault(session.partition("&")[0], []).append(record)
    return found


# MARK: The same server each time


def check_talk(client, name, transport):
    """Messages go both ways, of many sizes, and none is lost or out of its order."""
    assert client.call("where") == {"server": name, "transport": transport}
    for size in (0, 1000, 100_000):
        assert client.call("echo", "ä" * size) == "ä" * size
        assert client.do("octets", size)
    # A poll brings no more than 16 events to this client.
    before = len(client.arguments("number"))
    client.do("emit", "count", 12)
    client.until("number", before + 12)
    assert client.arguments("number")[before:] == [[number] for number in range(12)]


@pytest.mark.parametrize("transports", [None, POLLING, WEBSOCKET], ids=["both", "polling", "ws"])
@pytest.mark.parametrize("affinity", AFFINITIES)
def test_the_same_server_each_time(start, client, affinity, transports):
    upstream, shows = AFFINITIES[affinity]
    edge = start(upstream, workers=2)
    final = "polling" if transports == POLLING else "websocket"
    for number in range(2):
        # Who shows the same is led to the same server; a cookie of the edge's is for one alone.
        pair = client(), client()
        names = [join(each, edge, transports=transports, **shows(number)) for each in pair]
        assert names[0] == names[1] or affinity == "sticky"
        for each, name in zip(pair, names):
            check_talk(each, name, final)
            # Who polls says farewell without its fields and cookies, to any server.
            if transports != POLLING:
                each.do("leave")
    if transports != POLLING:
        edge.wait_for("tunnel", count=4)
    assert not edge.records("request", status=400)
    for records in requests_of(edge).values():
        assert len({record["upstream"] for record in records}) == 1, records


def test_clients_are_spread(start):
    """Of twenty devices each has one server, and both servers have some."""
    edge = start(hash_on("query:device"))
    for number in range(40):
        assert poll(edge, f"&device={number % 20}")[0] == 200
    edge.wait_for("request", count=40)
    servers = {}
    for record in edge.records("request"):
        servers.setdefault(record["target"], set()).add(record["upstream"])
    assert len(servers) == 20 and len(set().union(*servers.values())) == 2
    assert all(len(each) == 1 for each in servers.values())


def test_over_tls(start, client, localhost):
    """The cookie is for TLS alone, and comes back."""
    edge = start(STICKY, listeners=[secure(localhost)])
    each = client()
    check_talk(each, join(each, edge, scheme="https"), "websocket")
    assert {record["tls"] for record in edge.records("request")} == {"TLSv1.3"}


def test_a_client_keeps_its_server_when_it_comes_back(start, client):
    """Its cookie outlives its session."""
    edge = start(STICKY)
    shown = sticky_cookie(edge)
    names = set()
    for _ in range(4):
        each = client()
        names.add(join(each, edge, cookies=shown))
        each.do("leave")
    assert len(names) == 1


def sticky_cookie(edge):
    """The cookie that a client is given."""
    with urllib.request.urlopen(edge.url("/", scheme="http")) as answer:
        name, _, rest = answer.headers["Set-Cookie"].partition("=")
    return {name: rest.partition(";")[0]}


# MARK: Without it


def poll(edge, query="", **fields):
    """The status and the text of one poll."""
    url = edge.url(f"/socket.io/?EIO=4&transport=polling{query}", scheme="http")
    request = urllib.request.Request(url, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def opened(edge, **fields):
    """The session that a poll opens."""
    status, text = poll(edge, **fields)
    assert status == 200 and text[0] == "0", text
    return json.loads(text[1:])["sid"]


def test_without_affinity_sessions_are_unknown(start, client):
    """What the affinity is for: the next request goes to a server that knows nothing of it."""
    edge = start(workers=1)
    session = opened(edge)
    status, text = poll(edge, f"&sid={session}")
    assert status == 400 and "Invalid session" in text
    # A client begins anew each time, and with luck it comes to talk.
    with suppress(Failed):
        join(client(), edge, transports=POLLING)
    edge.wait_for("request", count=2, status=400)
    # In one WebSocket there is no next request.
    each = client()
    check_talk(each, join(each, edge, transports=WEBSOCKET), "websocket")


def test_a_foreign_cookie_is_none(start):
    """Nobody can choose a server by making up the cookie."""
    edge = start(STICKY, workers=1)
    made_up = {"Cookie": "sluice_server=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
    session = opened(edge, **made_up)
    assert poll(edge, f"&sid={session}", **made_up)[0] == 400


# MARK: Where WebSockets do not come through


def test_upgrades_are_refused_and_http_goes_on(start, client):
    """The client goes on polling."""
    route = {"origins": ["https://elsewhere.example"], "require_origin": True}
    edge = start(STICKY, route=route)
    each = client()
    name = join(each, edge)
    check_talk(each, name, "polling")
    refused = edge.wait_for("request", status=403, error="origin_required")
    assert "transport=websocket" in refused["target"]
    with pytest.raises(Failed):
        join(client(), edge, transports=WEBSOCKET)


def test_a_route_for_websockets_alone(start, client):
    """Who begins with a WebSocket comes in, and who polls does not."""
    edge = start(STICKY, route={"http": False})
    each = client()
    check_talk(each, join(each, edge, transports=WEBSOCKET), "websocket")
    with pytest.raises(Failed):
        join(client(), edge, transports=POLLING)


# MARK: Rooms


@pytest.mark.parametrize("transports", [None, POLLING], ids=["both", "polling"])
def test_a_team_is_on_one_server(start, client, transports):
    """Who shows the same value meets the others, in rooms and in broadcasts."""
    edge = start(hash_on("query:team"))
    crew = [client() for _ in range(4)]
    options = {"query": "?team=blue", "transports": transports}
    assert len({join(each, edge, **options) for each in crew}) == 1
    for each in crew[:3]:
        each.call("join", "bridge")
    crew[0].do("emit", "say", "bridge", "all hands")
    crew[0].do("emit", "shout", "land ho")
    for each in crew[1:]:
        assert each.until("shouted") == ["land ho"]
    for each in crew[1:3]:
        assert each.until("said") == ["all hands"]
    assert not crew[3].arguments("said") and not crew[0].arguments("said")


# MARK: Servers that go


def test_a_server_goes_and_its_clients_find_the_other(enter, start, client):
    behind = [enter(SocketIOServer(name)) for name in ("one", "two")]
    edge = start(STICKY, behind=behind)
    each = client()
    name = join(each, edge)
    lost, left = behind if name == "one" else reversed(behind)
    lost.kill()
    each.until("disconnect")
    assert each.until("hello", 2) == [left.name]
    check_talk(each, left.name, "websocket")


@pytest.mark.parametrize("transports", [None, POLLING], ids=["both", "polling"])
def test_a_server_is_started_again(enter, start, client, transports):
    server = enter(SocketIOServer("one"))
    edge = start(STICKY, behind=[server])
    each = client()
    join(each, edge, transports=transports)
    server.kill()
    each.until("disconnect")
    eventually(lambda: edge.records("request", status=502), "an attempt while nobody is there")
    enter(SocketIOServer("one again", server.port))
    assert each.until("hello", 2) == ["one again"]
    check_talk(each, "one again", "polling" if transports else "websocket")


def test_a_server_is_drained(start, client, servers):
    """Who has a WebSocket keeps it, and who comes gets another server in spite of the cookie."""
    edge = start(STICKY)
    shown = sticky_cookie(edge)
    before, after = client(), client()
    name = join(before, edge, cookies=shown)
    urls = [
        {"url": server.url, "drain": True} if server.name == name else server.url
        for server in servers
    ]
    changed = edge.reload(configuration(*urls, upstream=STICKY, route={"http": True}))
    assert changed["message"] == "reloaded"
    other = join(after, edge, cookies=shown)
    assert {name, other} == {"one", "two"}
    check_talk(after, other, "websocket")
    check_talk(before, name, "websocket")


# MARK: Browsers


@pytest.fixture(scope="module")
def browser(enter_for_module, chromium, localhost):
    return enter_for_module(Browser(chromium, localhost[0]))


# Opens a session by polling, and goes over to a WebSocket; where it is, before and behind that.
MOVE = """(async (origin) => {
  const session = await io.open(origin);
  const polled = await io.call(session, 'where');
  const texts = [];
  for (let number = 0; number < 5; number += 1) {
    texts.push(await io.call(session, 'echo', `ä ${number}`));
  }
  const socket = await io.upgrade(session);
  return { polled, texts, upgraded: await io.callOver(socket, 'where'),
    echo: (await io.callOver(socket, 'echo', 'x'.repeat(100000))).length };
})"""


def check_moved(told):
    name = told["polled"]["server"]
    assert told["polled"] == {"server": name, "transport": "polling"}
    assert told["texts"] == [f"ä {number}" for number in range(5)]
    assert told["upgraded"] == {"server": name, "transport": "websocket"}
    assert told["echo"] == 100_000


@pytest.mark.parametrize("affinity", ["sticky", "address"])
@pytest.mark.parametrize("http2", [True, False], ids=["http2", "http1"])
def test_a_browser_polls_and_moves_to_a_websocket(
    start, enter, browser, localhost, affinity, http2
):
    """Cookies, polls and the WebSocket are the browser's own; over HTTP/2 all on one connection."""
    edge = start(AFFINITIES[affinity][0], listeners=[secure(localhost, http2=http2)])
    tab = enter(browser.open(edge.url("/", scheme="https")))
    for _ in range(3):
        check_moved(outcome(begin(tab, f"{MOVE}(location.origin)"), PATIENCE))
    tab.close()
    edge.wait_for("tunnel", count=3)
    records = edge.records("request") + edge.records("tunnel")
    assert {record["http"] for record in records} == {"2" if http2 else "1.1"}
    assert len({record["upstream"] for record in records}) == 1


# MARK: Pages of other origins


@pytest.fixture(scope="module")
def elsewhere(enter_for_module, localhost):
    """The origin of pages that are not the edge's."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*localhost)
    page = Answer(body=PAGE, fields=[("Content-Type", "text/html")])
    return enter_for_module(WebServer(page, tls=tls)).url


@pytest.fixture
def shared(start, localhost):
    """`shared(*origins)`: an edge that shares its answers with pages of these origins."""

    def run(*origins):
        route = {"origins": list(origins), "cors": {"credentials": True}}
        return start(STICKY, route=route, listeners=[secure(localhost)])

    return run


def origin_of(edge):
    return edge.url("", scheme="https", host="localhost")


def test_a_page_of_another_origin(shared, enter, browser, elsewhere):
    edge = shared(elsewhere)
    tab = enter(browser.open(f"{elsewhere}/"))
    for _ in range(3):
        check_moved(outcome(begin(tab, f"{MOVE}({json.dumps(origin_of(edge))})"), PATIENCE))
    tab.close()
    edge.wait_for("tunnel", count=3)
    records = edge.records("request") + edge.records("tunnel")
    assert len({record["upstream"] for record in records}) == 1
    assert {record["http"] for record in records} == {"2"}


def test_a_page_of_an_origin_that_is_not_listed(shared, enter, browser, elsewhere):
    edge = shared("https://example.com")
    tab = enter(browser.open(f"{elsewhere}/"))
    origin = json.dumps(origin_of(edge))
    asked = outcome(begin(tab, f"io.open({origin}).then(() => 0, (error) => error.name)"))
    assert asked == "TypeError"
    session = f"{{ url: `${{{origin}}}/socket.io/?EIO=4`, session: '' }}"
    refused = outcome(begin(tab, f"io.upgrade({session}).then(() => 0, (error) => error.message)"))
    assert refused == "closed: 1006"
    edge.wait_for("request", status=403, error="origin_not_allowed")


def test_the_edge_alone_says_who_may_read(start):
    """The server says it for everybody; browsers take one word, and that is the edge's."""
    page = "https://page.example"
    edge = start(STICKY, route={"origins": [page], "cors": {"credentials": True}})
    target = "/socket.io/?EIO=4&transport=polling"
    head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: {page}\r\n\r\n"
    answer = ask(edge.address, head.encode())
    assert answer.status == 200
    assert answer.values("Access-Control-Allow-Origin") == [page]
    assert answer.values("Access-Control-Allow-Credentials") == ["true"]
    asked = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-device"
    head = f"OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: {page}\r\n{asked}\r\n\r\n"
    answer = ask(edge.address, head.encode())
    assert answer.status == 204 and answer["Access-Control-Allow-Headers"].lower() == "x-device"
    assert edge.wait_for("request", method="OPTIONS").get("upstream") is None
