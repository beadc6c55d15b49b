"""TURN credentials: what peers are told is what coturn takes, and nothing else is."""

import asyncio
import base64
import hmac
import time

import pytest

from harness import tokens
from harness.edge import Edge
from harness.rooms import Peer, asynchronous, configuration, joined
from harness.turn import NEW, OLD, TurnServer


def password(username, secret):
    """What goes with a username (draft-uberti-behave-turn-rest-00 §2.2)."""
    return base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


@pytest.fixture(scope="module")
def coturn(enter_for_module):
    return enter_for_module(TurnServer(NEW))


@pytest.fixture(scope="module")
def edge(enter_for_module, coturn):
    rooms = {
        "stun": ["stun:stun.example.com"],
        "turn": {"urls": coturn.urls, "secrets": [NEW], "ttl": "1h"},
    }
    return enter_for_module(Edge(configuration(rooms, workers=2)))


@asynchronous
async def test_what_peers_are_told(edge, coturn):
    before = int(time.time())
    one, two = await joined(edge.url("/rooms/told"), 2)
    names = []
    for peer in (one, two):
        stun, turn = peer.welcome["ice_servers"]
        assert stun == {"urls": ["stun:stun.example.com"]}
        assert set(turn) == {"urls", "username", "credential"} and turn["urls"] == coturn.urls
        expiry, _, name = turn["username"].partition(":")
        assert name == peer.id, "the server's log would not say whose it is"
        assert int(expiry) == peer.welcome["ice_expires_at"]
        assert before + 3_600 <= int(expiry) <= int(time.time()) + 3_600
        assert turn["credential"] == password(turn["username"], NEW)
        names.append(turn["username"])
    # Nobody is told the others'.
    heard = str(two.pending[1:]) + str(one.pending[1:])
    assert "credential" not in heard and not any(name in heard for name in names)
    assert NEW not in edge.text and one.welcome["ice_servers"][1]["credential"] not in edge.text


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@asynchronous
async def test_packets_are_relayed(edge, coturn, transport):
    peer = await Peer.join(edge.url("/rooms/relayed"))
    assert await coturn.relays(peer.welcome["ice_servers"][1], transport=transport)


@asynchronous
async def test_what_was_not_told_is_refused(edge, coturn):
    peer = await Peer.join(edge.url("/rooms/forged"))
    turn = peer.welcome["ice_servers"][1]
    expiry, _, name = turn["username"].partition(":")
    past = f"{int(time.time()) - 10}:{name}"
    forged = {
        "another password": turn | {"credential": password(turn["username"], OLD)},
        "a longer life": turn | {"username": f"{int(expiry) + 60}:{name}"},
        "another peer": turn | {"username": f"{expiry}:somebody"},
        "no expiry": turn | {"username": name},
        # Signed as the edge would have signed it.
        "expired": {"username": past, "credential": password(past, NEW)},
    }
    results = await asyncio.gather(*(coturn.relays(each) for each in forged.values()))
    assert dict(zip(forged, results, strict=True)) == dict.fromkeys(forged, False)
    assert await coturn.relays(turn)


@asynchronous
async def test_a_secret_is_changed(enter, coturn):
    """Servers may know the new secret already, or the old one still: one entry is good for each."""
    old = enter(TurnServer(OLD))
    rooms = {"turn": {"urls": coturn.urls, "secrets": [NEW, OLD]}}
    edge = enter(Edge(configuration(rooms)))
    peer = await Peer.join(edge.url("/rooms/x"))
    first, second = peer.welcome["ice_servers"]
    assert first["urls"] == second["urls"] == coturn.urls
    assert first["username"] == second["username"]
    results = await asyncio.gather(
        coturn.relays(first), coturn.relays(second), old.relays(first), old.relays(second)
    )
    assert results == [True, False, False, True]


@asynchronous
async def test_a_token_that_fixes_the_id(enter):
    """The username has it, with every character that an id may have."""
    identity = "Ada.Lovelace_~-1"
    auth = {
        "jwt": {
            "keys": [{"algorithm": "HS256", "secret": tokens.SECRET}],
            "token_from": ["subprotocol"],
        }
    }
    rooms = {"turn": {"urls": ["turn:turn.example.com"], "secrets": [NEW]}}
    edge = enter(Edge(configuration(rooms, route={"auth": auth})))
    token = tokens.hs256(tokens.claims(room="*", peer=identity))
    peer = await Peer.join(edge.url("/rooms/x"), token=token)
    (turn,) = peer.welcome["ice_servers"]
    assert turn["username"] == f"{peer.welcome['ice_expires_at']}:{identity}"
    assert turn["credential"] == password(turn["username"], NEW)


@asynchronous
async def test_other_servers(enter):
    """Peers that are there are told when the configuration has others; who is away, later."""
    turn = {"urls": ["turn:one.example"], "secrets": [NEW]}
    edge = enter(Edge(configuration({"turn": turn}), options=["--no-watch"]))
    one, two = await joined(edge.url("/rooms/x"), 2)
    two.cut()
    other = configuration({"turn": turn | {"urls": ["turn:two.example"]}})
    await asyncio.to_thread(edge.reload, other)
    message = await one.take("ice")
    (server,) = message["ice_servers"]
    assert server["urls"] == ["turn:two.example"]
    assert server["username"] == f"{message['ice_expires_at']}:{one.id}"
    (server,) = (await two.resume())["ice_servers"]
    assert server["urls"] == ["turn:two.example"]
    await asyncio.to_thread(edge.reload, configuration({"stun": ["stun:three.example"]}))
    for peer in (one, two):
        message = await peer.take("ice")
        assert message == {"type": "ice", "ice_servers": [{"urls": ["stun:three.example"]}]}
    # What is the same is not said again.
    await asyncio.to_thread(
        edge.reload, configuration({"stun": ["stun:three.example"], "max_peers": 5})
    )
    for peer in (one, two):
        await peer.settle()
        assert "ice" not in [each["type"] for each in peer.pending]


@asynchronous
async def test_new_credentials_come_in_time(enter, coturn):
    """At half of the old ones' lifetime, a minute at least; who comes back then has them, too."""
    rooms = {"turn": {"urls": coturn.urls, "secrets": [NEW], "ttl": "1m"}, "resume_window": "5m"}
    edge = enter(Edge(configuration(rooms)))
    one, two = await joined(edge.url("/rooms/x"), 2)
    two.cut()
    message = await one.take("ice", timeout=45)
    assert set(message) == {"type", "ice_servers", "ice_expires_at"}
    (old,), (new,) = one.welcome["ice_servers"], message["ice_servers"]
    assert message["ice_expires_at"] > one.welcome["ice_expires_at"]
    # The old ones are good still.
    assert one.welcome["ice_expires_at"] > time.time()
    assert new["username"] == f"{message['ice_expires_at']}:{one.id}" and new["urls"] == old["urls"]
    expiry = two.welcome["ice_expires_at"]
    welcome = await two.resume()
    assert welcome["resumed"] and welcome["ice_expires_at"] > expiry
    assert await coturn.relays(new)
