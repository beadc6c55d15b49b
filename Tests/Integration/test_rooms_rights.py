"""Who may come into a room and what it may do there: tokens, passwords, moderators."""

import asyncio
import time
from contextlib import suppress

import pytest

from harness import tokens
from harness.edge import Edge
from harness.refusals import check_refusal
from harness.room_fixtures import edge, path, start, url  # noqa: F401
from harness.rooms import (
    SUBPROTOCOL, Closed, Peer, asynchronous, check_refused, configuration, hear, is_like, joined,
)  # fmt: skip
from harness.wire import ask, tunnel, upgrade_head

KIB, MIB = 1 << 10, 1 << 20
LEEWAY = 30
MAY_ALL = ["signal", "broadcast", "update"]


# MARK: Rights


SETTINGS = {
    "keys": [{"algorithm": "HS256", "secret": tokens.SECRET}],
    "token_from": ["authorization", "subprotocol", "query:access_token"],
}


def with_tokens(rooms=None, **more):
    return configuration(rooms, route={"auth": {"jwt": SETTINGS | more}})


@pytest.fixture(scope="module")
def guarded(enter_for_module):
    return enter_for_module(Edge(with_tokens() | {"workers": 2}))


@pytest.fixture
def guarded_url(guarded, path):
    return guarded.url(path)


def mint(**changes):
    """A token for every room and with all rights, but for what is said."""
    every = {"room": "*", "can": [*MAY_ALL, "moderate"], "role": "host"}
    return tokens.hs256(tokens.claims(**(every | changes)))


def ending(seconds):
    """The `exp` of a token that is taken for so many seconds still."""
    return int(time.time()) - LEEWAY + seconds


@pytest.mark.parametrize("place", ["authorization", "subprotocol", "query"])
@asynchronous
async def test_a_token(guarded, guarded_url, place):
    token = mint(sub="ada")
    match place:
        case "authorization":
            peer = await Peer.join(guarded_url, headers={"Authorization": f"Bearer {token}"})
        case "subprotocol":
            peer = await Peer.join(guarded_url, token=token)
            assert peer.connection.subprotocol == SUBPROTOCOL
        case "query":
            peer = await Peer.join(guarded_url, access_token=token)
    assert peer.welcome["expires_at"] == tokens.payload_of(token)["exp"] + LEEWAY
    assert peer.welcome["role"] == "host"
    assert sorted(peer.welcome["can"]) == sorted([*MAY_ALL, "moderate"])
    await peer.close()
    guarded.wait_for("peer", peer=peer.id, subject="ada")
    assert token not in guarded.text


def test_a_bearer_token_without_a_subprotocol(guarded, path):
    """The marker is answered, since a browser wants one of those that it offered."""
    fields = [("Sec-WebSocket-Protocol", f"bearer, {mint()}")]
    with tunnel(guarded.address, path, fields=fields) as wire:
        assert wire.response["Sec-WebSocket-Protocol"] == "bearer"
        assert hear(wire)["type"] == "welcome"


def test_a_bearer_token_with_another_subprotocol(guarded, path):
    fields = [("Sec-WebSocket-Protocol", f"bearer, {mint()}, chat")]
    check_refusal(ask(guarded.address, upgrade_head(path, fields=fields)), 400)


def test_no_token(guarded, path):
    check_refusal(ask(guarded.address, upgrade_head(path)), 401)


@pytest.mark.parametrize("claim, name, is_good", [
    ("standup", "standup", True), ("standup", "standup2", False), ("standup", "Standup", False),
    ("team-*", "team-1", True), ("team-*", "team-", True), ("team-*", "team", False),
    ("team-*", "a-team-1", False), ("*", "anything", True), ("a*b*c", "aXbYc", True),
    ("a*b*c", "acb", False), ("*.eu", "x.y.eu", True), (["one", "two-*"], "two-2", True),
    (["one", "two-*"], "three", False), ([], "x", False), (None, "x", False), ("", "x", False),
    (7, "x", False), ([7, {"a": 1}, "x"], "x", True), ({"x": "x"}, "x", False),
])  # fmt: skip
@asynchronous
async def test_rooms_that_a_token_is_for(guarded, claim, name, is_good):
    url, token = guarded.url(f"/rooms/{name}"), mint(room=claim)
    if is_good:
        peer = await Peer.join(url, token=token)
        await peer.close()
    else:
        await check_refused(url, 4001, "token_refused", token=token)
        await check_refused(url, 4001, "token_refused", token=token, greets=True)


@asynchronous
async def test_without_claims_no_rights(guarded_url):
    token = tokens.hs256(tokens.claims(room="*"))
    one, two = await joined(guarded_url, 2, token=token)
    assert (one.welcome["role"], one.welcome["can"]) == ("guest", [])
    for kind, members in ALL_KINDS.items():
        await one.refused("forbidden", kind, **members(two))
    await one.settle()
    assert not two.inbox and two.roster == {one.id: {"role": "guest"}}


ALL_KINDS = {
    "signal": lambda two: {"to": two.id, "kind": "custom", "data": 1},
    "broadcast": lambda two: {"data": 1},
    "update": lambda two: {"name": "Ada"},
    "lock": lambda two: {"locked": False},
    "room": lambda two: {"meta": {}},
    "role": lambda two: {"peer": two.id, "role": "guest"},
    "kick": lambda two: {"peer": two.id},
}


@pytest.mark.parametrize("right", [*MAY_ALL, "moderate"])
@pytest.mark.parametrize("form", ["list", "text"])
@asynchronous
async def test_each_right_by_itself(guarded_url, right, form):
    can = [right, "fly"] if form == "list" else f"fly {right}"
    token = mint(can=can, role="member")
    one, two = await joined(guarded_url, 2, token=token)
    assert one.welcome["can"] == [right]
    for kind, members in ALL_KINDS.items():
        if kind == right or right == "moderate" and kind not in MAY_ALL:
            await one.acknowledged(kind, **members(two))
        else:
            await one.refused("forbidden", kind, **members(two))


@asynchronous
async def test_an_id_that_a_token_fixes(guarded_url):
    watcher = await Peer.join(guarded_url, token=mint())
    first = await Peer.join(guarded_url, token=mint(peer="ada", name="Ada"))
    assert first.id == "ada"
    await watcher.sees(first)
    # There is one of each id: who comes anew takes the place.
    second = await Peer.join(guarded_url, token=mint(peer="ada", name="Ada II"))
    assert await first.ended() == 4000
    assert second.id == "ada" and not second.welcome["resumed"]
    await watcher.until(lambda: watcher.roster["ada"].get("name") == "Ada II", "the newer one")
    moved = [
        each for message in watcher.pending
        for each in [message, *message.get("left", [])] if each.get("reason") == "moved"
    ]  # fmt: skip
    assert [each["peer"] for each in moved] == ["ada"]
    # A name of a place does not help somebody whose token says another id.
    third = await Peer.join(guarded_url, token=mint(peer="bea"), resume=second.resume_name, seq=0)
    assert third.id == "bea" and not third.welcome["resumed"]
    await second.settle()


@pytest.mark.parametrize("peer", ["", "a b", "é", "x" * 65, "a/b"])
@asynchronous
async def test_an_id_that_is_none(guarded_url, peer):
    await check_refused(guarded_url, 4001, "token_refused", token=mint(peer=peer))


@asynchronous
async def test_a_name_that_a_token_gives(guarded_url):
    one = await Peer.join(guarded_url, token=mint(name="Ada"), name="Mallory")
    two = await Peer.join(guarded_url, token=mint(can=[]))
    assert two.roster[one.id]["name"] == "Ada"
    await one.refused("forbidden", "update", name="Mallory")
    await one.acknowledged("update", meta={"hand": "up"})
    await two.until(lambda: two.roster[one.id].get("meta"), "the meta")
    assert two.roster[one.id]["name"] == "Ada"


@asynchronous
async def test_who_opens_a_room_says_how_many(guarded_url):
    one = await Peer.join(guarded_url, token=mint(max_peers=2))
    assert one.room["max_peers"] == 2
    await Peer.join(guarded_url, token=mint(max_peers=9))
    await check_refused(guarded_url, 4100, "room_full", token=mint())


@asynchronous
async def test_roles(guarded_url):
    host = await Peer.join(guarded_url, token=mint())
    guest = await Peer.join(guarded_url, token=mint(role="guest", can=["signal"]))
    await guest.refused("forbidden", "lock", locked=True)
    for role in ("member", "host"):
        await host.acknowledged("role", peer=guest.id, role=role)
        message = await guest.take("updated", peer=guest.id)
        assert message["role"] == role
        await host.until(lambda: host.roster[guest.id]["role"] == role, "the role")
    # Who was made a host may moderate, until its role is another.
    await guest.acknowledged("lock", locked=False)
    await host.acknowledged("role", peer=guest.id, role="member")
    await guest.refused("forbidden", "lock", locked=True)
    await host.refused("bad_message", "role", peer=guest.id, role="king")
    await host.refused("no_such_peer", "role", peer="nobody", role="host")


# MARK: Moderation


@asynchronous
async def test_a_peer_is_kicked(guarded_url):
    host, guest, third = await joined(guarded_url, 3, token=mint())
    await host.acknowledged("kick", peer=guest.id, reason="Too loud é")
    assert await guest.ended() == 4003
    error = await guest.until(lambda: [e for e in guest.pending if e["type"] == "error"], "why")
    assert (error[0]["code"], error[0]["message"]) == ("kicked", "Too loud é")
    for peer in (host, third):
        assert (await peer.take("left", peer=guest.id))["reason"] == "kicked"
    # It is not kept out, and its place is not kept.
    again = await Peer.join(
        guarded_url, token=mint(), resume=guest.resume_name, seq=guest.seen
    )
    assert not again.welcome["resumed"]
    await host.refused("no_such_peer", "kick", peer="nobody")
    await host.refused("bad_message", "kick", peer=again.id, ban_for=-1)
    await host.refused("bad_message", "kick", peer=again.id, ban_for=1.5)
    await host.refused("too_large", "kick", peer=again.id, reason="x" * 129)


@asynchronous
async def test_a_ban_holds_for_its_time(guarded_url):
    """For whom the token speaks; another subject may come in."""
    host = await Peer.join(guarded_url, token=mint(sub="host"))
    guest = await Peer.join(guarded_url, token=mint(sub="eve"))
    await host.sees(guest)
    await host.acknowledged("kick", peer=guest.id, ban_for=2)
    assert await guest.ended() == 4004
    error = next(each for each in guest.pending if each["type"] == "error")
    assert (error["code"], error["retry_after"]) == ("banned", 2_000)
    assert (await host.take("left", peer=guest.id))["reason"] == "kicked"
    error = await check_refused(guarded_url, 4004, "banned", token=mint(sub="eve"))
    assert 0 < error["retry_after"] <= 2_000
    # Neither does the name of the old place help.
    await check_refused(
        guarded_url, 4004, "banned", token=mint(sub="eve"), resume=guest.resume_name, seq=0
    )
    await Peer.join(guarded_url, token=mint(sub="mallory"))
    while True:
        try:
            await Peer.join(guarded_url, token=mint(sub="eve"))
            break
        except Closed as refusal:
            assert refusal.code == 4004
            await asyncio.sleep(refusal.error["retry_after"] / 1_000)


@asynchronous
async def test_a_locked_room(guarded_url):
    host, guest = await joined(guarded_url, 2, token=mint())
    await host.acknowledged("lock", locked=True)
    for peer in (host, guest):
        message = await peer.take("room")
        assert set(message) == {"type", "version", "locked", "max_peers"} and message["locked"]
    await check_refused(guarded_url, 4101, "room_locked", token=mint())
    # Who has a place keeps it.
    guest.cut()
    assert (await guest.resume())["resumed"] and guest.room["locked"]
    await host.refused("bad_message", "lock", locked="yes")
    await host.acknowledged("lock", locked=False)
    third = await Peer.join(guarded_url, token=mint())
    assert third.room["locked"] is False


@asynchronous
async def test_a_room_has_meta_and_a_size(guarded_url):
    host, guest = await joined(guarded_url, 2, token=mint())
    await host.acknowledged("room", meta={"topic": "é"}, max_peers=2)
    message = await guest.take("room")
    assert is_like(message, {"meta": {"topic": "é"}, "max_peers": 2, "locked": False})
    await check_refused(guarded_url, 4100, "room_full", token=mint())
    await host.acknowledged("room", max_peers=3)
    third = await Peer.join(guarded_url, token=mint())
    assert is_like(third.welcome["room"], {"meta": {"topic": "é"}, "max_peers": 3})
    await host.acknowledged("room", meta=None)
    await third.take("room", max_peers=3)
    assert "meta" not in third.room
    # No more than the route allows.
    await host.acknowledged("room", max_peers=1_000)
    await third.until(lambda: third.room["max_peers"] == 64, "the route's size")
    await host.refused("too_large", "room", meta={"x": "y" * 4 * KIB})
    await host.refused("bad_message", "room", max_peers=0)
    await host.refused("bad_message", "room", meta=[])


@asynchronous
async def test_an_empty_room_keeps_its_lock(start):
    """For `empty_room_ttl`, and no longer."""
    settings = with_tokens({"empty_room_ttl": "1s"})["routes"][0]
    url = start(settings["rooms"], route=settings).url("/rooms/x")
    host = await Peer.join(url, token=mint())
    await host.acknowledged("lock", locked=True)
    await host.close()
    await check_refused(url, 4101, "room_locked", token=mint())

    async def is_open():
        with suppress(Closed):
            return await Peer.join(url, token=mint())

    while not (peer := await is_open()):
        await asyncio.sleep(0.1)
    assert peer.room["locked"] is False


# MARK: Tokens that end


@asynchronous
async def test_a_token_ends(guarded_url):
    mate = await Peer.join(guarded_url, token=mint())
    peer = await Peer.join(guarded_url, token=mint(exp=ending(3)))
    await mate.sees(peer)
    assert await peer.ended() == 4001
    assert (await mate.take("left", peer=peer.id))["reason"] == "expired"
    assert [each["code"] for each in peer.pending if each["type"] == "error"] == ["token_refused"]


@asynchronous
async def test_a_peer_that_is_away_ends_with_its_token(guarded_url):
    mate = await Peer.join(guarded_url, token=mint())
    peer = await Peer.join(guarded_url, token=mint(exp=ending(3)))
    await mate.sees(peer)
    peer.cut()
    assert (await mate.take("left", peer=peer.id))["reason"] == "expired"


@asynchronous
async def test_a_fresh_token_keeps_a_peer(guarded_url):
    exp = ending(4)
    peer = await Peer.join(guarded_url, token=mint(exp=exp))
    other = await Peer.join(guarded_url, token=mint(exp=exp))
    assert peer.welcome["expires_at"] == exp + LEEWAY
    fresh = mint()
    ack = await peer.acknowledged("token", token=fresh)
    assert ack["expires_at"] == tokens.payload_of(fresh)["exp"] + LEEWAY
    assert await other.ended() == 4001
    assert (await peer.take("left", peer=other.id))["reason"] == "expired"
    await peer.settle()


@asynchronous
async def test_a_token_that_may_end(start):
    """`on_expiry: ignore`; who is held to it ends at the same time."""
    route = with_tokens(on_expiry="ignore")["routes"][0]
    url, exp = start(route=route).url("/rooms/x"), ending(3)
    strict = start(route=with_tokens()["routes"][0]).url("/rooms/x")
    peer = await Peer.join(url, token=mint(exp=exp))
    other = await Peer.join(strict, token=mint(exp=exp))
    assert await other.ended() == 4001
    await peer.settle()


@asynchronous
async def test_a_fresh_token_says_what_holds(guarded_url):
    mate, peer = await joined(guarded_url, 2, token=mint(role="host"))
    token = mint(role="guest", can=["signal"], name="Ada")
    await peer.acknowledged("token", token=token)
    await mate.until(
        lambda: mate.roster[peer.id] == {"role": "guest", "name": "Ada"}, "the new role and name"
    )
    await peer.refused("forbidden", "broadcast", data=1)
    await peer.refused("forbidden", "lock", locked=True)
    await peer.acknowledged("signal", to=mate.id, kind="custom", data=1)


WRONG = {
    "garbage": lambda: "a.b.c",
    "empty": lambda: "",
    "expired": lambda: mint(exp=ending(-5)),
    "of another signer": lambda: tokens.hs256(tokens.claims(room="*"), secret="x" * 40),
    "for another room": lambda: mint(room="elsewhere"),
    "for no room": lambda: mint(room=None),
    "for another peer": lambda: mint(peer="somebody-else"),
    "of another subject": lambda: mint(sub="mallory"),
    "with an id that is none": lambda: mint(peer="a b"),
}


@pytest.mark.parametrize("fault", WRONG)
@asynchronous
async def test_a_fresh_token_that_is_not_taken(guarded_url, fault):
    mate, peer = await joined(guarded_url, 2, token=mint())
    await peer.send("token", token=WRONG[fault](), id="renewal")
    assert await peer.ended() == 4001
    assert (await mate.take("left", peer=peer.id))["reason"] == "expired"
    assert [each["code"] for each in peer.pending if each["type"] == "error"] == ["token_refused"]


@asynchronous
async def test_a_token_where_none_is_asked_for(url):
    peer = await Peer.join(url)
    await peer.refused("forbidden", "token", token="a.b.c")
    await peer.refused("bad_message", "token", token=7)
    await peer.settle()


# MARK: Passwords, and who opens a room


@pytest.fixture(scope="module")
def closed_edge(enter_for_module):
    rooms = {
        "password": "sésame öffne dich",
        "create": "listed",
        "list": ["plain", {"name": "small", "max_peers": 1}, {"name": "own", "password": "other"}],
    }
    return enter_for_module(Edge(configuration(rooms)))


@pytest.mark.parametrize("greets", [False, True], ids=["query", "message"])
@asynchronous
async def test_a_password(closed_edge, greets):
    url = closed_edge.url("/rooms/plain")
    password = "sésame öffne dich"
    for wrong in (None, "Sésame öffne dich", "other", password + " "):
        await check_refused(url, 4002, "wrong_password", password=wrong, greets=greets)
    peer = await Peer.join(url, password=password, greets=greets)
    peer.cut()
    assert (await peer.resume(greets=greets))["resumed"]
    own = closed_edge.url("/rooms/own")
    await check_refused(own, 4002, "wrong_password", password=password, greets=greets)
    await Peer.join(own, password="other", greets=greets)


@asynchronous
async def test_rooms_that_are_listed(closed_edge):
    await check_refused(closed_edge.url("/rooms/unlisted"), 4005, "no_such_room")
    url = closed_edge.url("/rooms/small")
    options = {"password": "sésame öffne dich"}
    peer = await Peer.join(url, **options)
    assert peer.room["max_peers"] == 1
    await check_refused(url, 4100, "room_full", **options)
    await peer.close()
    await Peer.join(url, **options)


@asynchronous
async def test_a_token_opens_a_room(start):
    """Others may come in once it is open."""
    auth = {"jwt": SETTINGS, "api_keys": {"keys": ["the-key"]}}
    edge = start({"create": "token"}, route={"auth": auth})
    url, key = edge.url("/rooms/x"), {"headers": {"X-API-Key": "the-key"}}
    await check_refused(url, 4005, "no_such_room", **key)
    await Peer.join(url, token=mint())
    guest = await Peer.join(url, **key)
    assert (guest.welcome["role"], guest.welcome["can"]) == ("member", MAY_ALL)
