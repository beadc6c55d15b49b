"""What people read at the demo page and what it may do: errors, tokens, phones, policies."""

import itertools
import json
import time

import pytest

from harness import tokens
from harness.calls import Caller, begin, check_call, demo, outcome, settings
from harness.devtools import Browser
from harness.edge import Edge

names = (f"page-{number}" for number in itertools.count(1))
AUTH = {
    "jwt": {
        "keys": [{"algorithm": "HS256", "secret": tokens.SECRET}], "token_from": ["subprotocol"],
    }
}  # fmt: skip
NOTICE = "#lobby-notice"
LOOKS = "document.querySelector('#lobby').checkVisibility()"

# Whoever makes WebSockets is counted.
COUNT = """
void (window.sockets = 0, window.WebSocket = class extends WebSocket {
  constructor(...all) { super(...all); window.sockets += 1; }
})
"""


@pytest.fixture(scope="module")
def browser(enter_for_module, chromium, localhost):
    return enter_for_module(Browser(chromium, localhost[0]))


@pytest.fixture
def start(enter, localhost):
    """`start(rooms, **settings)`: an edge with rooms."""
    return lambda rooms=None, **more: enter(Edge(settings(localhost, rooms, **more)))


@pytest.fixture
def caller(enter, browser):
    """`caller(edge, room, name)`: somebody in the lobby."""

    def run(edge, room, name, rest=""):
        made = Caller.open(enter, browser, demo(edge.port, room, rest), name)
        made.tab.evaluate(COUNT)
        return made

    return run


def check_final(caller, words, code, sockets=1):
    """The page is in the lobby again, says why, and has given up."""
    caller.until_text(NOTICE, words)
    assert caller.tab.evaluate(LOOKS)
    assert caller.story["states"][-1] == "closed", caller.story
    assert not caller.tab.evaluate("document.querySelector('#join').disabled")
    # A client that has ended says so to whoever asks it anything, and makes no more connections.
    refused = "window.sluiceDemo.room.broadcast(1).then(() => null, (error) => error.code)"
    assert caller.tab.evaluate(refused) == "closed"
    assert caller.tab.evaluate("window.sockets") == sockets
    assert caller.story["closed"][-1] == code


# MARK: Errors have words


def test_a_wrong_password(start, caller):
    edge = start({"password": "open-sesame-123"})
    room = next(names)
    ada = caller(edge, room, "Ada")
    ada.press_join()
    check_final(ada, "This room has a password, and this is not it.", 4002)
    ada.press_join(password="open-sesame-1234")
    ada.tab.until("window.sockets === 2", "another attempt")
    check_final(ada, "This room has a password, and this is not it.", 4002, sockets=2)
    ada.join(password="open-sesame-123")
    ben = caller(edge, room, "Ben").join(password="open-sesame-123")
    check_call(ada, ben)
    assert "open-sesame" not in edge.text


def test_a_full_room_is_entered_when_there_is_a_place(start, caller):
    edge = start({"max_peers": 1})
    room = next(names)
    ada, ben = caller(edge, room, "Ada").join(), caller(edge, room, "Ben")
    ben.press_join()
    ben.until_text(NOTICE, "The room cannot be reached")
    ben.until_text(NOTICE, "Trying again")
    assert "room_full" in ben.story["errors"]
    # Each attempt waits for longer than the one before.
    ben.until_story("errors.length >= 2", "another attempt")
    assert ben.tab.evaluate("window.sockets") <= 4
    ada.tab.evaluate("document.querySelector('#leave').click()")
    ben.tab.until("!document.querySelector('#call').hidden", "Ben in the call", 60)
    assert ben.text("#count") == "Only you"


def token(**claims):
    return tokens.hs256(tokens.claims(room="*", **claims))


def test_who_is_kicked_is_told(start, caller):
    edge = start(route={"auth": AUTH})
    room = next(names)
    may = ["signal", "broadcast", "update"]
    ada = caller(edge, room, "Ada", f"#token={token(can=[*may, 'moderate'])}").join()
    ben = caller(edge, room, "Ben", f"#token={token(can=may)}").join()
    check_call(ada, ben)
    kick = "window.sluiceDemo.room.kick([...window.sluiceDemo.room.peers.keys()][0], {})"
    ada.tab.evaluate(kick.replace("{}", "{ reason: 'too loud' }"))
    check_final(ben, "You were removed from the room.", 4003)
    assert ada.story["left"] == [["Ben", "kicked"]]
    ada.until_text("#alone", "Nobody else is here yet.")
    # He may come back, but not after a ban.
    ben.join()
    check_call(ada, ben)
    ada.tab.evaluate(kick.replace("{}", "{ banFor: 60 }"))
    check_final(ben, "You were removed from the room and may not come back for now.", 4004, 2)
    ben.press_join()
    ben.tab.until("window.sockets === 3", "another attempt")
    check_final(ben, "You were removed from the room and may not come back for now.", 4004, 3)


def test_a_token_for_another_room(start, caller):
    edge = start(route={"auth": AUTH})
    other = tokens.hs256(tokens.claims(room="another"))
    ada = caller(edge, next(names), "Ada", f"#token={other}")
    ada.press_join()
    check_final(ada, "The room does not take your token.", 4001)


def test_no_token_at_all(start, caller):
    """The upgrade is refused, which browsers tell nobody: words, and attempts that become rarer."""
    edge = start(route={"auth": AUTH})
    ada = caller(edge, next(names), "Ada")
    ada.press_join()
    ada.until_text(NOTICE, "The room cannot be reached")
    ada.until_story("errors.length >= 3", "further attempts")


def test_tokens_are_refreshed(start, enter, browser):
    """The peer stays for three times as long as a token is good, on one connection."""
    edge = start(route={"auth": AUTH})
    tab = enter(browser.open(demo(edge.port, "elsewhere")))
    script = """
    (async () => {
      const { RoomClient } = await import('/rooms/client.js');
      const octets = (text) => new TextEncoder().encode(text);
      const encode = (octets) => btoa(String.fromCharCode(...octets))
        .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
      const hmac = { name: 'HMAC', hash: 'SHA-256' };
      const key = await crypto.subtle.importKey('raw', octets(%s), hmac, false, ['sign']);
      const expiries = [];
      // The edge grants 30 s more; what is left of them is five.
      const token = async () => {
        const exp = Math.floor(Date.now() / 1000) - 25;
        expiries.push(exp + 30);
        const payload = { sub: 'ada', room: '*', can: ['broadcast'], exp };
        const parts = [{ alg: 'HS256', typ: 'JWT' }, payload];
        const head = parts.map((part) => encode(octets(JSON.stringify(part)))).join('.');
        const signature = await crypto.subtle.sign('HMAC', key, octets(head));
        return `${head}.${encode(new Uint8Array(signature))}`;
      };
      let sockets = 0;
      class Socket extends WebSocket {
        constructor(...all) {
          super(...all);
          sockets += 1;
        }
      }
      const room = new RoomClient(%s, { token, WebSocket: Socket, storage: null });
      const errors = [];
      room.addEventListener('error', ({ detail }) => errors.push(detail.code));
      await room.join();
      const end = expiries[0] + 11;
      while (Date.now() / 1000 < end && room.state === 'joined') {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const answer = await room.broadcast('still here').catch((error) => error.code);
      const { state } = room;
      await room.leave();
      return { state, answer, sockets, errors, tokens: expiries.length };
    })()
    """ % (json.dumps(tokens.SECRET), json.dumps(f"/rooms/{next(names)}"))
    told = outcome(begin(tab, script))
    assert told["state"] == "joined" and told["answer"] == {"delivered": True}, told
    assert told["sockets"] == 1 and told["tokens"] >= 4, told
    assert not told["errors"], told


def test_a_token_that_expires_is_told(start, caller):
    edge = start(route={"auth": AUTH})
    may = ["signal", "broadcast", "update"]
    ada = caller(edge, next(names), "Ada", f"#token={token(can=may, exp=int(time.time()) - 24)}")
    ada.join()
    check_final(ada, "The room does not take your token.", 4001)


# MARK: What the page is


@pytest.fixture(scope="module")
def open_edge(enter_for_module, localhost):
    return enter_for_module(Edge(settings(localhost)))


def phone(caller):
    caller.tab.send(
        "Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2,
        mobile=True,
    )  # fmt: skip


def check_width(caller, where):
    """Nothing is wider than the screen, and nothing that can be pressed is outside of it."""
    wide = """
    (() => {
      const root = document.documentElement;
      const things = 'button, input, select, h1, #signaling, .tile, dd';
      const outside = [...document.querySelectorAll(things)].filter((each) => {
        const { left, right, width } = each.getBoundingClientRect();
        return each.checkVisibility() && width > 1 && (left < -0.5 || right > 390.5);
      });
      return { inner: innerWidth, wide: Math.max(root.scrollWidth, document.body.scrollWidth),
        outside: outside.map((each) => each.outerHTML.slice(0, 80)) };
    })()
    """
    assert caller.tab.evaluate(wide) == {"inner": 390, "wide": 390, "outside": []}, where


def test_a_phone(open_edge, caller):
    room = "a-room-with-a-rather-long-name-" + next(names)
    ada = caller(open_edge, room, "Ada")
    phone(ada)
    check_width(ada, "lobby")
    ada.join()
    check_width(ada, "alone in the call")
    long = "Benedict-Maximilian-without-any-space-in-his-whole-long-name"
    ben = caller(open_edge, room, long).join()
    check_call(ada, ben)
    check_width(ada, "call of two")
    said = "a-word-that-does-not-end-" * 20
    message = f"window.sluiceDemo.room.broadcast({{ chat: {json.dumps(said)} }})"
    ben.tab.evaluate(message)
    ada.until_story(f"toasts.some((each) => each.startsWith({json.dumps(long)}))", "a message")
    check_width(ada, "a toast")
    for panel in ("chat", "stats", "devices"):
        ada.tab.evaluate(f"document.querySelector('[data-opens={panel}]').click()")
        ada.tab.until(f"document.querySelector('[data-panel={panel}]').checkVisibility()", panel)
        check_width(ada, panel)


def test_the_policy_is_kept_and_strangers_are_text(open_edge, caller):
    """Everything that the demo can do, with names and words that would be markup."""
    room = next(names)
    name = '<img src=x onerror="window.broken = 1"><b>x</b>'
    words = '<img src=y onerror="window.broken = 2">'
    ada, mallory = caller(open_edge, room, "Ada").join(), caller(open_edge, room, name).join()
    check_call(ada, mallory)
    mallory.tab.evaluate("document.querySelector('[data-opens=chat]').click()")
    mallory.tab.evaluate(
        f"document.querySelector('#chat-text').value = {json.dumps(words)},"
        "document.querySelector('#chat-form').requestSubmit()"
    )
    ada.until_story(f"toasts.some((each) => each.includes({json.dumps(words)}))", "the toast")
    for panel in ("stats", "devices", "chat"):
        ada.tab.evaluate(f"document.querySelector('[data-opens={panel}]').click()")
        ada.tab.until(f"document.querySelector('[data-panel={panel}]').checkVisibility()", panel)
        if panel == "stats":
            ada.until_text("#stats", name)
    assert name in ada.text("#chat-list") and words in ada.text("#chat-list")
    mallory.tab.evaluate("document.querySelector('#leave').click()")
    ada.until_story(f"toasts.includes({json.dumps(f'{name} left')})", "the farewell")
    for each in (ada, mallory):
        assert each.tab.evaluate("window.broken") is None
        assert each.tab.evaluate("document.querySelectorAll('img, b b').length") == 0
        assert each.story["policy"] == []
        # What the console has would be a violation, an exception, or something that was not found.
        assert each.tab.log == [], each.tab.log
