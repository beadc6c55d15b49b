"""Rooms as operators see them: lists, what they do to peers and rooms, metrics, the dashboard."""

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from test_admin import faults

from harness import tokens
from harness.admin import ANYWHERE, metric, start
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.devtools import Page
from harness.edge import sluice
from harness.rooms import Closed, Peer, asynchronous, configuration, joined
from harness.web import Answer, WebServer

METRICS = Path(__file__).resolve().parents[2] / "docs/metrics.md"
KINDS = ["offer", "answer", "candidates", "description", "custom"]


@pytest.fixture
def begin(enter):
    """`begin(rooms, **settings)`: an edge with rooms, and calls to it."""
    return lambda rooms=None, **settings: start(enter, configuration(rooms, **settings))


def with_tokens():
    keys = [{"algorithm": "HS256", "secret": tokens.SECRET}]
    return {"auth": {"jwt": {"keys": keys, "token_from": ["subprotocol"]}}}


def token(subject, **claims):
    all_claims = {"room": "*", "can": ["signal", "broadcast"]} | claims
    return tokens.hs256(tokens.claims(sub=subject, **all_claims))


async def until_away(admin):
    """One peer's connection is gone, and its place is kept."""
    async with asyncio.timeout(10):
        while admin.get("/rooms").json["rooms"][0]["away"] != 1:
            await asyncio.sleep(0.01)


# Lists --------------------------------------------------------------------------------------------


@asynchronous
async def test_rooms_are_listed(begin):
    edge, admin = begin({"max_peers": 9}, workers=2)
    assert admin.get("/rooms").json == {"total": 0, "rooms": []}
    for number, count in enumerate((1, 3, 2, 3)):
        await joined(edge.url(f"/rooms/room-{number}"), count)
    listed = admin.get("/rooms").json
    assert listed["total"] == 4
    assert [(each["room"], each["peers"]) for each in listed["rooms"]] == [
        ("room-1", 3), ("room-3", 3), ("room-2", 2), ("room-0", 1),
    ]  # fmt: skip
    for each in listed["rooms"]:
        assert each["route"] == "rooms" and each["max_peers"] == 9 and each["away"] == 0
        assert each["locked"] is False and each["version"] == each["peers"]
        assert 0 <= each["age_seconds"] < 30
    by_age = [each["room"] for each in admin.get("/rooms", sort="age").json["rooms"]]
    assert by_age == [f"room-{number}" for number in range(4)]
    few = admin.get("/rooms", limit=2, route="rooms").json
    assert few["total"] == 4 and [each["room"] for each in few["rooms"]] == ["room-1", "room-3"]
    assert admin.get("/rooms", route="other").json == {"total": 0, "rooms": []}


@asynchronous
async def test_a_rooms_peers_are_listed(begin):
    edge, admin = begin(route=with_tokens())
    url = edge.url("/rooms/r")
    host = await Peer.join(
        url, token=token("hana", role="host", can=["signal", "moderate"], name="Hana")
    )
    guest = await Peer.join(url, token=token("gus", peer="gus-id"))
    await host.acknowledged("lock", locked=True)
    guest.cut()
    await until_away(admin)
    assert (await host.ask("signal", to="gus-id", kind="custom", data=1))["delivered"] is False
    (room,) = admin.get("/rooms").json["rooms"]
    assert room["locked"] is True and (room["peers"], room["away"]) == (2, 1)
    shown = admin.get("/rooms/rooms/r").json
    assert (shown["route"], shown["room"]) == ("rooms", "r")
    peers = {each["id"]: each for each in shown["peers"]}
    one, two = peers[host.id], peers["gus-id"]
    assert (one["name"], one["role"], one["subject"]) == ("Hana", "host", "hana")
    assert one["address"] == "127.0.0.1" and one["away"] is False
    assert (two["role"], two["subject"], two["away"]) == ("guest", "gus", True)
    assert two["kept_messages"] == 1 and "name" not in two


# What is done to them -----------------------------------------------------------------------------


@asynchronous
async def test_a_peer_is_removed(begin):
    edge, admin = begin(workers=2)
    ada, bob = await joined(edge.url("/rooms/r"), 2)
    answer = admin.delete(f"/rooms/rooms/r/peers/{bob.id}", reason="too loud")
    assert (answer.status, answer.json) == (200, {"removed": 1})
    assert await bob.ended() == 4003
    (error,) = [each for each in bob.pending if each["type"] == "error"]
    assert (error["code"], error["message"]) == ("kicked", "too loud")
    assert (await ada.take("left"))["reason"] == "kicked"
    assert admin.delete(f"/rooms/rooms/r/peers/{bob.id}").status == 404
    await Peer.join(edge.url("/rooms/r"))


@asynchronous
async def test_a_peer_is_kept_out(begin):
    edge, admin = begin(route=with_tokens(), workers=2)
    url = edge.url("/rooms/r")
    bob = await Peer.join(url, token=token("bob"))
    ada = await Peer.join(url, token=token("ada"))
    assert admin.delete(f"/rooms/rooms/r/peers/{bob.id}", ban="2s").status == 200
    assert await bob.ended() == 4004
    (error,) = [each for each in bob.pending if each["type"] == "error"]
    assert error["code"] == "banned" and error["message"] == "removed by an operator"
    assert 1000 < error["retry_after"] <= 2000
    with pytest.raises(Closed) as refused:
        await Peer.join(url, token=token("bob"))
    assert refused.value.code == 4004 and 0 < refused.value.error["retry_after"] <= 2000
    # The ban is the subject's, in this room.
    await Peer.join(edge.url("/rooms/other"), token=token("bob"))
    await Peer.join(url, token=token("eve"))
    await ada.settle()

    attempts = 0
    while True:
        try:
            again = await Peer.join(url, token=token("bob"))
            break
        except Closed as closed:
            assert closed.code == 4004
            attempts += 1
    assert attempts and again.id in {
        each["id"] for each in admin.get("/rooms/rooms/r").json["peers"]
    }


@asynchronous
async def test_a_room_is_closed(begin):
    edge, admin = begin(workers=2)
    peers = await joined(edge.url("/rooms/r"), 4)
    other = await Peer.join(edge.url("/rooms/other"))
    answer = admin.delete("/rooms/rooms/r", reason="the meeting is over")
    assert (answer.status, answer.json) == (200, {"closed": 4})
    for peer in peers:
        assert await peer.ended() == 4006
        (error,) = [each for each in peer.pending if each["type"] == "error"]
        assert (error["code"], error["message"]) == ("closed", "the meeting is over")
    assert admin.delete("/rooms/rooms/r").status == 404
    assert [each["room"] for each in admin.get("/rooms").json["rooms"]] == ["other"]
    await other.settle()
    # It may be opened again: it is another one.
    await Peer.join(edge.url("/rooms/r"))
    assert admin.get("/rooms/rooms/r").status == 200


@pytest.mark.parametrize(
    "method, path, query, status, word",
    [
        ("GET", "/rooms", {"limit": "0"}, 400, "bad_limit"),
        ("GET", "/rooms", {"limit": "10001"}, 400, "bad_limit"),
        ("GET", "/rooms", {"sort": "octets"}, 400, "bad_sort"),
        ("GET", "/rooms", {"rout": "rooms"}, 400, "unknown_parameter"),
        ("GET", "/rooms/rooms/none", {}, 404, "no_such_room"),
        ("GET", "/rooms/none/none", {}, 404, "no_such_route"),
        ("GET", "/rooms/tunnels/none", {}, 404, "no_such_route"),
        ("GET", "/rooms/rooms/a%20b", {}, 400, "bad_room"),
        ("GET", "/rooms/rooms/" + "x" * 129, {}, 400, "bad_room"),
        ("GET", "/rooms/rooms/r", {"limit": "1"}, 400, "unknown_parameter"),
        ("DELETE", "/rooms/rooms/none", {}, 404, "no_such_room"),
        ("DELETE", "/rooms/rooms/r", {"reason": "x" * 124}, 400, "bad_reason"),
        ("DELETE", "/rooms/rooms/r", {"ban": "1s"}, 400, "unknown_parameter"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {}, 404, "no_such_peer"),
        ("DELETE", "/rooms/rooms/none/peers/nobody", {}, 404, "no_such_peer"),
        ("DELETE", "/rooms/rooms/r/peers/a%2Fb", {}, 400, "bad_peer"),
        ("DELETE", "/rooms/rooms/r/peers/" + "x" * 65, {}, 400, "bad_peer"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {"ban": "0s"}, 400, "bad_ban"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {"ban": "30"}, 400, "bad_ban"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {"ban": "-5s"}, 400, "bad_ban"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {"ban": "8d"}, 400, "bad_ban"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {"ban": "9" * 30 + "d"}, 400, "bad_ban"),
        ("DELETE", "/rooms/rooms/r/peers/nobody", {"ban": "7dd"}, 400, "bad_ban"),
        ("DELETE", "/rooms", {}, 405, None),
    ],
)  # fmt: skip
@asynchronous
async def test_what_is_wrong_is_said(enter, method, path, query, status, word):
    backend = enter(ScriptedBackend())
    settings = configuration(upstreams=[{"name": "backend", "servers": [backend.url]}])
    settings["routes"].append(
        {"name": "tunnels", "match": {"path": "/"}, "origins": "any", "upstream": "backend"}
    )
    edge, admin = start(enter, settings)
    peer = await Peer.join(edge.url("/rooms/r"))
    answer = admin.call(method, path, **query)
    if word:
        assert answer.json["error"] == word and answer.json["reason"].endswith(".")
        assert answer.status == status
    else:
        assert 400 <= answer.status < 500
    await peer.settle()


@asynchronous
async def test_strangers_may_not(begin):
    secret = "an-admin-token-of-32-octets-12345"
    edge, admin = begin(admin=ANYWHERE | {"token": secret})
    ada = await Peer.join(edge.url("/rooms/r"))
    admin.token = None
    for method, path in (
        ("GET", "/rooms"), ("GET", "/rooms/rooms/r"), ("DELETE", "/rooms/rooms/r"),
        ("DELETE", f"/rooms/rooms/r/peers/{ada.id}"),
    ):  # fmt: skip
        assert admin.call(method, path).status == 401, path
    await ada.settle()
    admin.token = secret
    assert admin.get("/rooms").json["total"] == 1


@asynchronous
async def test_the_description_is_true(begin):
    """Each call about rooms that OpenAPI describes is made, and answered as described."""
    edge, admin = begin(route=with_tokens())
    document = admin.get("/openapi.json").json
    peers = [
        await Peer.join(edge.url("/rooms/r"), token=token(name, name=name, role="member"))
        for name in ("ada", "bob")
    ]
    made = {
        ("get", "/rooms"): "/rooms",
        ("get", "/rooms/{route}/{room}"): "/rooms/rooms/r",
        ("delete", "/rooms/{route}/{room}/peers/{peer}"): f"/rooms/rooms/r/peers/{peers[0].id}",
        ("delete", "/rooms/{route}/{room}"): "/rooms/rooms/r",
    }
    described = {
        (method, path)
        for path, each in document["paths"].items()
        for method in each
        if path.startswith("/rooms")
    }
    assert described == set(made)
    for (method, path), target in (*made.items(), (("get", "/routes"), "/routes")):
        operation = document["paths"][path][method]
        answer = admin.call(method.upper(), target)
        described = operation["responses"][str(answer.status)]
        assert answer.status == 200
        schema = described["content"]["application/json"]["schema"]
        assert not faults(answer.json, schema, document), (method, path)
        # What fails is described, too.
        if "{" in path:
            answer = admin.call(method.upper(), re.sub(r"rooms/r\b", "rooms/none", target))
            assert answer.status == 404 and "404" in operation["responses"]
        if "parameters" in operation:
            named = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
            reason = admin.call(method.upper(), target, surprise=1).json["reason"]
            assert all(name in reason for name in named), (reason, named)
    schema = {"$ref": "#/components/schemas/Stats"}
    assert not faults(admin.get("/stats").json, schema, document)


# Figures ------------------------------------------------------------------------------------------


@asynchronous
async def test_counts_are_what_clients_did(begin):
    edge, admin = begin(
        {
            "max_peers": 4, "resume_window": "2s", "empty_room_ttl": "0s",
            "turn": {"urls": ["turn:t.example.com"], "secrets": ["a-secret-for-turn"]},
        },
        workers=2,
    )  # fmt: skip
    ada, bob, eve, max_ = await joined(edge.url("/rooms/full"), 4)
    for _ in range(3):
        with pytest.raises(Closed):
            await Peer.join(edge.url("/rooms/full"))
    for number, kind in enumerate(KINDS):
        for _ in range(number + 1):
            await ada.acknowledged("signal", to=bob.id, kind=kind, data={"x": 1})
    for _ in range(7):
        await bob.acknowledged("broadcast", data=[])
    for _ in range(2):
        await eve.refused("no_such_peer", "signal", to="nobody", kind="custom", data=0)
    await eve.refused("forbidden", "kick", peer=bob.id)
    # One comes back in time, one does not, and one has missed too much.
    eve.cut()
    await until_away(admin)
    assert (await ada.ask("signal", to=eve.id, kind="custom", data=0))["delivered"] is False
    assert (await eve.resume())["resumed"]
    assert eve.inbox[-1]["data"] == 0
    max_.cut()
    await ada.sees(bob, eve)
    for name in ("a", "b"):
        peer = await Peer.join(edge.url(f"/rooms/{name}"))
        await peer.send("leave")
        await peer.ended()
    eventually(lambda: len(admin.get("/rooms").json["rooms"]) == 1, "the rooms to be over")
    found = admin.metrics()

    def of(name, **labels):
        return metric(found, f"sluice_{name}", route="rooms", **labels)

    assert of("rooms") == 1 and of("room_peers") == 3
    assert (of("rooms_opened_total"), of("rooms_closed_total")) == (3, 2)
    assert (of("room_joins_total"), of("room_joins_refused_total")) == (6, 3)
    assert of("room_departures_total") == 3
    outcomes = [of("room_resumes_total", outcome=each) for each in ("won", "lapsed", "afresh")]
    assert outcomes == [1, 1, 0]
    kinds = [of("room_messages_total", kind=each) for each in (*KINDS, "broadcast")]
    assert kinds == [1, 2, 3, 4, 6, 7]
    # Those to all go to three others.
    assert of("room_deliveries_total") == 15 + 7 * 3
    assert (of("room_messages_held_total"), of("room_messages_undelivered_total")) == (1, 2)
    assert of("room_faults_total") == 3 and of("room_throttled_total") == 0
    # One at each welcome.
    assert of("turn_credentials_total") == 7
    # Those that went out, and the one that was kept and went out later.
    assert metric(found, "sluice_relay_seconds_count") == 15 + 7 * 3 + 1
    assert 0 < metric(found, "sluice_relay_seconds_sum") < 5
    route = admin.get("/stats").json["routes"][0]
    assert route["rooms"] == {
        "open": 1, "opened": 3, "peers": 3, "joins": 6, "refused": 3, "relayed": 23,
        "delivered": 36,
    }  # fmt: skip


@asynchronous
async def test_what_comes_too_fast_is_counted(begin):
    edge, admin = begin(route={"limits": {"messages": {"rate": "20/s", "burst": 1}}})
    ada = await Peer.join(edge.url("/rooms/r"))
    numbers = [await ada.post("ping") for _ in range(6)]
    await ada.answer(numbers[-1])
    assert metric(admin.metrics(), "sluice_room_throttled_total", route="rooms") >= 1


@asynchronous
async def test_counts_outlive_a_reload(enter):
    settings = configuration(workers=2)
    edge, admin = start(enter, settings)
    ada, bob = await joined(edge.url("/rooms/r"), 2)
    await ada.acknowledged("broadcast", data=1)
    settings["admin"] = ANYWHERE
    settings["routes"][0]["rooms"] = {"max_peers": 5}
    edge.reload(settings)
    await bob.acknowledged("broadcast", data=1)
    found = admin.metrics()
    assert metric(found, "sluice_room_joins_total", route="rooms") == 2
    assert metric(found, "sluice_room_messages_total", route="rooms", kind="broadcast") == 2
    assert metric(found, "sluice_room_peers", route="rooms") == 2


@asynchronous
async def test_where_routes_lead(enter):
    backend = enter(ScriptedBackend())
    tunnels = {"name": "tunnels", "match": {"path": "/"}, "origins": "any", "upstream": "backend"}
    settings = configuration(
        upstreams=[{"name": "backend", "servers": [backend.url]}], drain_over="20s"
    )
    settings["routes"].append(tunnels)
    settings["admin"] = ANYWHERE
    edge, admin = start(enter, settings)
    await Peer.join(edge.url("/rooms/r"))

    def routes():
        return {each["name"]: each for each in admin.get("/routes").json["routes"]}

    assert routes()["rooms"]["leads_to"] == "rooms" and "upstream" not in routes()["rooms"]
    assert routes()["tunnels"]["leads_to"] == "upstream" and "rooms" not in routes()["tunnels"]
    assert routes()["tunnels"]["upstream"] == "backend"
    assert not any(each["gone"] for each in routes().values())
    settings["routes"] = [tunnels]
    edge.reload(settings)
    gone = routes()["rooms"]
    assert gone["gone"] and gone["leads_to"] == "rooms" and gone["rooms"]["peers"] == 1
    assert not routes()["tunnels"]["gone"]
    # It is still there to be closed.
    assert admin.delete("/rooms/rooms/r").json == {"closed": 1}
    # A route that is gone keeps nobody from being ready.
    assert admin.get("/readyz").status == 200


@asynchronous
async def test_each_metric_is_explained(enter):
    receiver = enter(WebServer(Answer(204)))
    hook = {"webhooks": {"url": receiver.url, "secret": "a-secret-of-16-octets"}}
    edge, admin = start(enter, configuration(hook))
    ada, bob = await joined(edge.url("/rooms/r"), 2)
    await ada.acknowledged("signal", to=bob.id, kind="offer", data="sdp")
    page = admin.get("/metrics").text
    families = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
    explained = re.findall(r"^\| `([a-z0-9_]+)` \|", METRICS.read_text(), re.M)
    assert set(families) <= set(explained), set(families) - set(explained)
    rooms = {each for each in explained if re.match(r"sluice_(rooms?|relay|turn|webhook)_?", each)}
    assert rooms <= set(families) and len(rooms) > 18
    for name, kind in families.items():
        assert (kind == "counter") == name.endswith("_total"), name
    checked = subprocess.run(
        [shutil.which("promtool"), "check", "metrics"], input=page, capture_output=True, text=True
    )
    assert checked.returncode == 0 and not checked.stderr.strip(), checked.stderr


@asynchronous
async def test_the_terminal_shows_rooms(enter):
    settings = configuration() | {"admin": ANYWHERE}
    edge, admin = start(enter, settings)
    await joined(edge.url("/rooms/r"), 3)
    settings["admin"] = {"address": admin.url.removeprefix("http://")}
    edge.configure(settings)
    shown = sluice("top", "--once", "--config", str(edge.file))
    assert shown.returncode == 0, shown
    (head, row) = re.search(r"^(ROOMS OF.*)\n(.*)$", shown.stdout, re.M).groups()
    assert re.split(" {2,}", head.strip()) == [
        "ROOMS OF", "ROOMS", "PEERS", "JOINS", "REFUSED", "RELAYED", "DELIVERED",
    ]  # fmt: skip
    assert row.split() == ["rooms", "1", "3", "3", "0", "0", "0"]


# The dashboard ------------------------------------------------------------------------------------


def confirm(page):
    page.until("document.querySelector('#confirm').open", "the question")
    page.evaluate("document.querySelector('#confirm-yes').click()")


@asynchronous
async def test_the_dashboard_shows_rooms(begin, chromium, tmp_path):
    edge, admin = begin({"max_peers": 8}, workers=2)
    evil = '<img src=x onerror="window.broken = true">'
    ada = await Peer.join(edge.url("/rooms/lobby"), name=evil)
    bob = await Peer.join(edge.url("/rooms/lobby"), name="Bob")
    eve = await Peer.join(edge.url("/rooms/" + "x" * 128), name="y" * 128)
    others = [await Peer.join(edge.url(f"/rooms/r-{number}")) for number in range(4)]
    await ada.acknowledged("broadcast", data=1)
    with Page(chromium, admin.url + "/", height=1400) as page:
        find = "document.querySelector"
        page.until(f"{find}('#rooms')?.checkVisibility() === true", "the section")
        page.evaluate(f"{find}('#rooms').scrollIntoView()")
        page.until(f"{find}All('#room-list [data-room]').length === 6", "the list")
        assert page.evaluate(f"{find}('#room-list [data-room]').dataset.room") == "lobby"
        page.until(f"{find}('#room-peers').textContent === '7'", "the peers' count")
        row = page.evaluate(f"{find}('#halls [data-route=rooms]').textContent")
        assert row.startswith("rooms67")
        page.evaluate(f"{find}('#room-list [data-room=lobby] button.open').click()")
        page.until(f"{find}All('#peers [data-peer]').length === 2", "the peers")
        assert evil in page.evaluate(f"{find}('#peers').textContent")
        assert page.evaluate("window.broken") is None
        # The feed may have been slow to tell of the message.
        page.until(f"{find}('#relay-p50').textContent !== '–'", "a latency")
        page.screenshot(tmp_path / "rooms.png")

        page.evaluate(f"{find}('#peers [data-peer=\"{bob.id}\"] button.kick').click()")
        confirm(page)
        assert await bob.ended() == 4003
        page.evaluate(f"{find}('#peers [data-peer=\"{ada.id}\"] button.ban').click()")
        confirm(page)
        assert await ada.ended() == 4004
        page.until(f"{find}All('#peers [data-peer]').length === 0", "an empty room")
        page.evaluate(f"{find}('#room-list [data-room=r-1] button.close').click()")
        page.until(f"{find}('#confirm').open", "the question")
        page.evaluate(f"{find}('#confirm-no').click()")
        page.evaluate(f"{find}('#room-list [data-room=r-2] button.close').click()")
        confirm(page)
        assert await others[2].ended() == 4006
        page.until(f"{find}('#room-list [data-room=r-2]') === null", "the room to be gone")
        await others[1].settle()
        await eve.settle()
        for width in (390, 1280):
            page.send(
                "Emulation.setDeviceMetricsOverride", width=width, height=844,
                deviceScaleFactor=2, mobile=width < 500,
            )  # fmt: skip
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@asynchronous
async def test_the_dashboard_without_rooms(enter, chromium):
    backend = enter(ScriptedBackend())
    settings = configuration(upstreams=[{"name": "backend", "servers": [backend.url]}])
    settings["routes"] = [
        {"name": "tunnels", "match": {"path": "/"}, "origins": "any", "upstream": "backend"}
    ]
    _, admin = start(enter, settings)
    with Page(chromium, admin.url + "/") as page:
        page.until("document.querySelector('#routes [data-route=tunnels]') !== null", "a route")
        assert page.evaluate("document.querySelector('#rooms').checkVisibility()") is False
