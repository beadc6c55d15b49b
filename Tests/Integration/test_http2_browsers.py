"""Chromium and Firefox over HTTP/2: a page, its requests and its WebSockets on one connection."""

import itertools
import json

import pytest

from harness import admin, firefox
from harness.calls import Caller, begin, check_call, demo, outcome
from harness.conditions import eventually
from harness.devtools import Browser
from harness.edge import configuration
from harness.pages import SUBPROTOCOL, NetLog, PageBackend, opened_of, secure, sockets_of
from harness.rooms import configuration as with_rooms

COUNT = 50
ABORTED = 1006
NO_CODE = 1005


@pytest.fixture(scope="module")
def backend(enter_for_module):
    return enter_for_module(PageBackend())


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request, enter_for_module, chromium, localhost):
    if request.param == "firefox":
        return firefox.start(enter_for_module)
    return enter_for_module(Browser(chromium, localhost[0]))


def connections_of(calls):
    """How many connections an edge has had, and on how many of them HTTP/2 was spoken."""
    metrics = calls.metrics()
    names = ("sluice_connections_accepted_total", "sluice_http2_connections_total")
    return [admin.metric(metrics, name) for name in names]


class Visit:
    """A browser's tab with a page that came through an edge."""

    def __init__(self, enter, browser, edge, calls):
        self.enter, self.browser, self.edge, self.admin = enter, browser, edge, calls
        self.tab = enter(browser.open(edge.url("/", scheme="https")))
        self.connections = connections_of(calls)
        # Chromium tries a second one where the first is slow to come, and leaves it alone then.
        assert max(self.connections) <= 2

    def another(self):
        """A second tab of the browser with the same page."""
        return Visit(self.enter, self.browser, self.edge, self.admin)

    def run(self, expression):
        """What an expression comes to, where `page` and `socket`, its first one, are known."""
        return outcome(begin(self.tab, f"(async (socket) => {expression})(page.sockets[0])"))

    def open(self, count=1):
        """Opens so many WebSockets."""
        assert self.run(f"page.openAll({count})") == count

    def check_shared(self):
        """All that was ever asked of this edge came over the connection that brought the page."""
        assert connections_of(self.admin) == self.connections
        records = self.edge.records("tunnel") + self.edge.records("request")
        assert records and {record["http"] for record in records} == {"2"}, records
        assert {record["tls"] for record in records} == {"TLSv1.3"}


def settings_of(backend, issued, *, route=None, **top):
    """A route for ordinary requests and WebSockets, behind TLS."""
    route = {"http": True} | (route or {})
    return configuration(backend.url, listeners=[secure(issued)], route=route, workers=2, **top)


@pytest.fixture
def visit(enter, browser, backend, localhost):
    """`visit(**settings)`: a page that came through an edge of its own."""

    def run(**settings):
        settings = settings_of(backend, localhost, **settings)
        return Visit(enter, browser, *admin.start(enter, settings))

    return run


# MARK: Fifty


def check_fifty(visit):
    """Fifty WebSockets open, carry texts and octets all at once, and close."""
    visit.open(COUNT)
    metrics = visit.admin.metrics()
    assert admin.metric(metrics, "sluice_tunnels", route="chat") == COUNT
    for message in ("`text ${number}`", "page.octets(300 + number)", "page.text(65_536, number)"):
        assert visit.run(f"page.echoesOnAll((number) => {message})") == COUNT, message
    ends = visit.run("page.closeAll(4000)")
    assert ends == [{"code": 4000, "reason": "", "wasClean": True}] * COUNT
    visit.edge.wait_for("tunnel", count=COUNT)
    closed = visit.edge.records(
        "tunnel", http="2", method="CONNECT", status=101, reason="closed", close_code=4000,
        messages_in=3, messages_out=3,
    )  # fmt: skip
    assert len(closed) == COUNT
    assert {record["target"] for record in closed} == {f"/ws?number={n}" for n in range(COUNT)}
    # The page came on a stream, too.
    assert admin.metric(visit.admin.metrics(), "sluice_http2_streams_total") == COUNT + 1
    visit.check_shared()


def test_fifty_websockets(visit):
    check_fifty(visit())


def test_what_chromium_says_of_fifty(enter, chromium, backend, localhost, tmp_path):
    """Its own log of its network: every WebSocket is an extended CONNECT of one session."""
    log = NetLog(chromium, tmp_path)
    browser = enter(Browser(str(log.program), localhost[0]))
    visit = Visit(enter, browser, *admin.start(enter, settings_of(backend, localhost)))
    check_fifty(visit)
    log.read(browser)
    host = f"127.0.0.1:{visit.edge.port}"
    sessions = {source for source, said in log.named("HTTP2_SESSION") if said["host"] == host}
    sockets = sockets_of(log)
    assert len(sockets) == COUNT and sockets <= opened_of(log)
    (session,) = {each for each, _ in sockets}
    assert session in sessions
    heads = log.named("HTTP_TRANSACTION_SEND_REQUEST_HEADERS")
    assert not [said for _, said in heads if host in json.dumps(said)], "requests over HTTP/1.1"


# MARK: Messages


@pytest.mark.parametrize("compression", ["pass", "off", "offload"])
def test_messages_of_all_sizes(visit, compression):
    visit = visit(route={"compression": compression})
    visit.open()
    extensions = visit.run("socket.extensions")
    assert ("permessage-deflate" in extensions) == (compression != "off")
    for count in (0, 1, 125, 126, 65_535, 65_536, 1_048_576):
        for kind in ("text", "octets"):
            assert visit.run(f"page.echoes(socket, page.{kind}({count}))"), (kind, count)
    visit.check_shared()


def test_large_messages_beside_each_other(visit):
    """Eight times a megabyte at once, and each of them comes back whole."""
    visit = visit()
    visit.open(8)
    assert visit.run("page.echoesOnAll((number) => page.octets(1_048_576, number))") == 8
    visit.check_shared()


def test_many_messages_keep_their_order(visit):
    visit = visit()
    visit.open()
    script = """{
      for (let number = 0; number < 2000; number += 1) socket.send(`${number}`);
      for (let number = 0; number < 2000; number += 1) {
        const text = await page.next(socket);
        if (text !== `${number}`) return [number, text];
      }
      return 'in order';
    }"""
    assert visit.run(script) == "in order"


# Opens a WebSocket that brings messages only as they are taken, and takes none of a flood.
HOLD = """(async (count) => {
  const stream = new WebSocketStream(`wss://${location.host}/ws`);
  const { readable, writable } = await stream.opened;
  await writable.getWriter().write(`flood ${count}`);
  page.held = readable.getReader();
  return count;
})"""
# Takes what was held back: the number of messages that came in their order.
TAKE = """(async (count) => {
  for (let number = 0; number < count; number += 1) {
    const { value, done } = await page.held.read();
    if (done || value.byteLength !== 65536 || new DataView(value).getUint16() !== number) {
      return number;
    }
  }
  return count;
})"""


@pytest.mark.parametrize("browser", ["chromium"], indirect=True)
def test_a_page_that_takes_nothing_holds_up_nobody(visit):
    """64 MiB are under way to one WebSocket; the others on the connection echo meanwhile."""
    visit = visit(route={"compression": "off"})
    visit.open(5)
    visit.run(f"{HOLD}(1024)")
    for _ in range(5):
        assert visit.run("page.echoesOnAll((number) => page.octets(100_000, number))") == 5
    passed = admin.metric(visit.admin.metrics(), "sluice_octets_total", direction="out")
    assert passed < 32 * 1024 * 1024, "nothing was held back"
    assert visit.run(f"{TAKE}(1024)") == 1024
    visit.check_shared()


def test_requests_beside_websockets(visit):
    """Thirty requests while ten WebSockets talk, on the same connection."""
    visit = visit()
    visit.open(10)
    script = """{
      const asked = Array.from({ length: 30 }, (_, number) =>
        fetch(`/?number=${number}`).then((answer) => answer.text()));
      const echoed = page.echoesOnAll((number) => page.octets(100_000, number));
      const texts = await Promise.all(asked);
      return [await echoed, texts.filter((text) => text.includes('const page')).length];
    }"""
    assert visit.run(script) == [10, 30]
    visit.edge.wait_for("request", count=31, status=200, method="GET", http="2")
    visit.check_shared()


# MARK: Subprotocols, refusals


def test_subprotocols(visit):
    visit = visit()
    names = f"['chat.v2', '{SUBPROTOCOL}']"
    assert visit.run(f"page.open('/ws', {names}).then((socket) => socket.protocol)") == SUBPROTOCOL
    assert visit.run("page.open('/ws').then((socket) => socket.protocol)") == ""
    visit.check_shared()


PRIVATE = {
    "name": "private", "match": {"path": "/private"}, "origins": ["https://example.com"],
    "upstream": "backend",
}  # fmt: skip


def refusals_of(visit):
    """What the page is told where the edge refuses a WebSocket, and where the server does."""
    attempts = ["page.open('/private')", "page.open('/ws', ['nobody.knows.it'])"]
    return [visit.run(f"{each}.then(() => 0, (error) => error.message)") for each in attempts]


def test_a_refused_websocket_leaves_the_others_alone(visit, backend):
    route = configuration(backend.url, route={"http": True})["routes"][0]
    visit = visit(routes=[PRIVATE, route])
    visit.open()
    assert refusals_of(visit) == [f"closed: {ABORTED}"] * 2
    assert visit.run("page.echoes(socket, 'still there')")
    # On a connection of its own where it is Firefox, which takes no other after a refusal.
    visit.open()
    visit.edge.wait_for("request", status=403, route="private", http="2")
    visit.edge.wait_for("request", status=400, route="chat", http="2")


# MARK: Ends


@pytest.mark.parametrize("code", [1000, 3000, 4999])
def test_the_page_closes(visit, backend, code):
    visit = visit()
    visit.open()
    ended = visit.run(f"(socket.close({code}, 'good ä'), socket.ended)")
    assert ended == {"code": code, "reason": "good ä", "wasClean": True}
    record = visit.edge.wait_for("tunnel", close_code=code)
    assert record["closed_by"] == "downstream" and record["reason"] == "closed"
    eventually(lambda: backend.ends[-1:] == [(code, "good ä")], "the server to hear it")
    visit.check_shared()


def test_the_page_closes_without_a_code(visit):
    visit = visit()
    visit.open()
    ended = visit.run("(socket.close(), socket.ended)")
    assert ended == {"code": NO_CODE, "reason": "", "wasClean": True}
    visit.edge.wait_for("tunnel", close_code=NO_CODE, closed_by="downstream")
    visit.check_shared()


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 4321])
def test_the_server_closes(visit, code):
    visit = visit()
    visit.open()
    ended = visit.run(f"(socket.send('close {code} so it is'), socket.ended)")
    assert ended == {"code": code, "reason": "so it is", "wasClean": True}
    record = visit.edge.wait_for("tunnel", close_code=code)
    assert record["closed_by"] == "upstream" and record["reason"] == "closed"
    visit.check_shared()


def test_the_server_is_lost(visit):
    """The page is told 1012, and the other WebSockets of its connection go on."""
    visit = visit()
    visit.open(2)
    ended = visit.run("(socket.send('vanish'), socket.ended)")
    assert ended["code"] == 1012 and ended["wasClean"], ended
    visit.edge.wait_for("tunnel", reason="lost", closed_by="upstream")
    assert visit.run("page.echoes(page.sockets[1], 'still there')")
    visit.check_shared()


def test_a_tab_is_closed(visit):
    """Its WebSockets end; those of another tab on the same connection do not."""
    visit = visit()
    visit.open()
    other = visit.another()
    other.open(10)
    other.tab.close()
    # Firefox says 1001; Chromium resets its streams and says nothing.
    visit.edge.wait_for("tunnel", count=10, closed_by="downstream")
    codes = {record["close_code"] for record in visit.edge.records("tunnel")}
    assert codes in ({1001}, {ABORTED}), codes
    assert visit.run("page.echoes(socket, 'still there')")
    visit.check_shared()


def test_the_edge_stops(visit):
    visit = visit(shutdown_grace="1s")
    visit.open(20)
    visit.edge.signal()
    ends = visit.run("Promise.all(page.sockets.map((socket) => socket.ended))")
    assert {(end["code"], end["wasClean"]) for end in ends} == {(1001, True)}
    assert visit.edge.wait_for_exit() == 0
    assert len(visit.edge.records("tunnel", reason="shutdown", http="2")) == 20


def test_a_route_is_taken_away(visit, backend, localhost):
    """Its WebSockets are closed one after the other, and the page goes on asking for others."""
    visit = visit(drain_over="1s")
    visit.open(10)
    settings = settings_of(backend, localhost, drain_over="1s", route={"name": "other"})
    settings["admin"] = admin.ANYWHERE
    assert visit.edge.reload(settings)["message"] == "reloaded"
    ends = visit.run("Promise.all(page.sockets.map((socket) => socket.ended))")
    assert {(end["code"], end["wasClean"]) for end in ends} == {(1001, True)}
    assert visit.run("page.open('/ws').then((again) => page.echoes(again, 'of the other route'))")
    visit.check_shared()


# MARK: Rooms

names = (f"room-{number}" for number in itertools.count(1))

# As many peers as there are clients in the page; each says one thing to all others.
CROWD = """(async (room, count) => {
  const { RoomClient } = await import('/rooms/client.js');
  const clients = Array.from({ length: count }, (_, number) =>
    new RoomClient(room, { name: `peer ${number}`, storage: null }));
  const heard = clients.map(() => new Set());
  clients.forEach((client, number) => client.addEventListener('message', ({ detail }) =>
    heard[number].add(detail.data.number)));
  await Promise.all(clients.map((client) => client.join()));
  const delivered = await Promise.all(clients.map((client, number) =>
    client.broadcast({ number, padding: 'x'.repeat(30_000) })));
  const until = Date.now() + 20_000;
  while (heard.some((each) => each.size < count - 1) && Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const sizes = heard.map((each) => each.size);
  await Promise.all(clients.map((client) => client.leave()));
  return { sizes, delivered: delivered.filter((each) => each.delivered).length };
})"""


@pytest.fixture
def hall(enter, localhost):
    """`hall(**rooms)`: an edge with rooms, at an address with HTTP/2 and at one without."""

    def run(**rooms):
        listeners = [secure(localhost), secure(localhost, http2=False)]
        return admin.start(enter, with_rooms(rooms, listeners=listeners, workers=2))

    return run


def port_of(edge, listener):
    return edge.addresses[listener].rpartition(":")[2]


def test_a_crowd_on_one_connection(hall, enter, browser):
    """Twenty peers of a room in one page."""
    edge, calls = hall()
    tab = enter(browser.open(edge.url("/rooms/demo", scheme="https")))
    before = connections_of(calls)
    told = outcome(begin(tab, f"{CROWD}('/rooms/{next(names)}', 20)"))
    assert told == {"sizes": [19] * 20, "delivered": 20}
    edge.wait_for("peer", count=20, http="2", method="CONNECT", close_code=1000)
    assert edge.records("request", target="/rooms/client.js", status=200, http="2")
    assert edge.records("request", target="/rooms/demo", status=200, http="2")
    assert connections_of(calls) == before and max(before) <= 2


@pytest.mark.timeout(240)
def test_a_call_between_versions(hall, enter, chromium, localhost):
    """Two in Chromium and one in Firefox over HTTP/2, another one over HTTP/1.1."""
    edge, _ = hall()
    room = next(names)
    chrome, fox = enter(Browser(chromium, localhost[0])), firefox.start(enter)
    callers = [
        Caller.open(enter, each, demo(port_of(edge, listener), room), name).join()
        for each, listener, name in [
            (chrome, 0, "Ada"), (fox, 0, "Ben"), (chrome, 1, "Cleo"), (chrome, 0, "Dan"),
        ]
    ]  # fmt: skip
    check_call(*callers)
    for each in callers:
        each.tab.evaluate("document.querySelector('#leave').click()")
    edge.wait_for("peer", count=4)
    versions = sorted(record["http"] for record in edge.records("peer"))
    assert versions == ["1.1", "2", "2", "2"]
