"""The rooms protocol on the wire: who comes, who is told, and what is said to whom."""

import asyncio
import json
import os
import subprocess

import pytest

from harness.authority import pair
from harness.conditions import Frozen
from harness.refusals import check_refusal
from harness.room_fixtures import edge, path, start, url  # noqa: F401
from harness.rooms import (
    SUBPROTOCOL, Peer, asynchronous, encoded, hear, is_like, joined, open_wire,
    read_to_close, say,
)  # fmt: skip
from harness.wire import TEXT, ask, connect, tunnel, upgrade_head

KIB, MIB = 1 << 10, 1 << 20
MAY_ALL = ["signal", "broadcast", "update"]


# MARK: Coming in


@asynchronous
async def test_a_welcome(url):
    peer = await Peer.join(url)
    assert peer.connection.subprotocol == SUBPROTOCOL
    resume = peer.welcome.pop("resume")
    room = peer.welcome.pop("room")
    assert peer.welcome == {
        "type": "welcome", "peer": peer.id, "resumed": False, "seq": 0, "role": "member",
        "can": MAY_ALL, "peers": [], "ice_servers": [], "limits": {"message_size": 64 * KIB},
        "heartbeat": 25_000,
    }  # fmt: skip
    assert isinstance(resume, str) and len(resume) > len(peer.id) + 16
    version = room.pop("version")
    assert isinstance(version, int) and version >= 0
    assert room == {"name": url.rpartition("/")[2], "locked": False, "max_peers": 64}


@pytest.mark.parametrize("greets", [False, True], ids=["query", "message"])
@asynchronous
async def test_who_comes_is_seen_by_all(url, greets):
    first = await Peer.join(url, name="Ada", greets=greets)
    second = await Peer.join(url, name="Grace Ω <&>\"'", greets=greets)
    message = await first.take("joined", peer=second.id)
    assert set(message) == {"type", "version", "peer", "name", "role", "polite"}
    assert (message["name"], message["role"]) == ("Grace Ω <&>\"'", "member")
    assert second.roster == {first.id: {"name": "Ada", "role": "member"}}
    third = await Peer.join(url, greets=greets)
    for peer in (first, second):
        await peer.sees(*({first, second, third} - {peer}))
        assert peer.roster[third.id] == {"role": "member"}
    assert len({first.id, second.id, third.id}) == 3
    assert len({first.resume_name, second.resume_name, third.resume_name}) == 3


@asynchronous
async def test_each_pair_has_one_polite_peer(url):
    peers = await joined(url, 6)
    polite = {
        (peer.id, each["peer"]): each["polite"]
        for peer in peers
        for message in [peer.welcome, *peer.pending]
        for each in message.get("peers", []) + message.get("joined", []) + [message]
        if "polite" in each
    }
    assert len(polite) == 6 * 5
    for (one, two), is_polite in polite.items():
        assert is_polite == (one < two) and polite[two, one] != is_polite


@asynchronous
async def test_meta_comes_in_the_first_message(url):
    meta = {"camera": True, "tags": ["a", {"b": None}], "é": "\u2028"}
    peer = await Peer.join(url, name="Ada", meta=meta)
    other = await Peer.join(url)
    assert other.roster == {peer.id: {"name": "Ada", "role": "member", "meta": meta}}


@asynchronous
async def test_nothing_but_a_join_before_the_join(url):
    host = await Peer.join(url)
    peer = Peer(url + "?join=message")
    waiting = asyncio.create_task(peer.enter())
    await peer.until(lambda: peer.connection, "the connection")
    await peer.send("broadcast", data=1, id="early")
    error = await peer.take("error")
    assert (error["code"], error["id"]) == ("not_in_room", "early") and "seq" not in error
    await peer.say("nonsense")
    assert (await peer.take("error"))["code"] == "bad_message"
    await peer.send("join", name="x" * 129)
    assert (await peer.take("error"))["code"] == "too_large"
    await peer.send("join", name="late")
    await waiting
    await host.sees(peer)
    assert host.roster[peer.id]["name"] == "late" and not host.inbox
    await peer.refused("not_in_room", "join", name="again")
    await peer.settle()


@pytest.mark.parametrize(
    "name, code", [("x" * 129, "too_large"), ("é" * 65, "too_large"), ("a\nb", "bad_message")]
)
@asynchronous
async def test_a_name_that_may_not_be(url, name, code):
    """In the query it is left out, since the rest is good."""
    peer = await Peer.join(url, name=name)
    assert (await peer.take("error"))["code"] == code
    assert (await Peer.join(url)).roster == {peer.id: {"role": "member"}}
    await peer.refused(code, "update", name=name)
    await peer.acknowledged("update", name="x" * 128)


def test_no_join_comes(edge, path):
    """4103 after ten seconds, and nobody was there."""
    with open_wire(edge, path) as host, tunnel(edge.address, f"{path}?join=message") as wire:
        wire.socket.settimeout(30)
        messages, close = read_to_close(wire)
        assert (messages, close.code) == ([], 4103)
        say(host, "ping", id=1)
        assert hear(host)["type"] == "ack"


@pytest.mark.parametrize("scheme", ["plain", "tls"])
def test_node_and_its_ws(start, authority, localhost, scheme):
    listener = {"address": "127.0.0.1:0"}
    if scheme == "tls":
        listener["tls"] = {"certificates": [pair(localhost)]}
    edge = start(listeners=[listener])
    script = """
        const WebSocket = require('ws');
        const url = process.argv[1];
        const open = (name) => new WebSocket(url + '?name=' + name, 'sluice.rooms.v1');
        const ada = open('Ada');
        const say = (peer, message) => peer.send(JSON.stringify(message));
        let bob;
        ada.on('message', (text) => {
          const message = JSON.parse(text);
          if (message.type === 'welcome') {
            bob = open('Bob');
            bob.on('message', (text) => {
              const message = JSON.parse(text);
              if (message.type === 'signal') say(bob, { type: 'broadcast', data: message });
            });
            bob.on('close', (code) => console.log('bob', code));
          } else if (message.type === 'joined') {
            const offer = { type: 'signal', to: message.peer, kind: 'offer', data: 'sdp' };
            say(ada, offer);
          } else if (message.type === 'broadcast') {
            console.log(JSON.stringify(message.data));
            say(ada, { type: 'leave' });
            bob.close(1000);
          }
        });
        ada.on('close', (code) => console.log('ada', code, ada.protocol));
    """
    environment = os.environ | {
        "NODE_PATH": "/usr/share/nodejs", "NODE_EXTRA_CA_CERTS": authority.ca,
    }  # fmt: skip
    url = edge.url("/rooms/node", scheme="wss" if scheme == "tls" else "ws", host="localhost")
    made = subprocess.run(
        ["node", "-e", script, url], env=environment, capture_output=True, text=True, timeout=30
    )
    assert made.returncode == 0, made.stderr
    signal, *closes = made.stdout.splitlines()
    signal = json.loads(signal)
    assert is_like(signal, {"type": "signal", "kind": "offer", "data": "sdp", "generation": 0})
    assert sorted(closes) == [f"ada 1000 {SUBPROTOCOL}", "bob 1000"]


# MARK: The handshake


def test_no_subprotocol(edge, path):
    with tunnel(edge.address, path) as wire:
        assert "Sec-WebSocket-Protocol" not in wire.response
        assert hear(wire)["type"] == "welcome"


@pytest.mark.parametrize("offered", [f"chat, {SUBPROTOCOL}", f"{SUBPROTOCOL},chat", SUBPROTOCOL])
def test_the_subprotocol_among_others(edge, path, offered):
    with tunnel(edge.address, path, fields=[("Sec-WebSocket-Protocol", offered)]) as wire:
        assert wire.response["Sec-WebSocket-Protocol"] == SUBPROTOCOL


@pytest.mark.parametrize("offered", ["chat", "sluice.rooms.v2", "SLUICE.ROOMS.V1", "a, b"])
def test_other_subprotocols_alone(edge, path, offered):
    head = upgrade_head(path, fields=[("Sec-WebSocket-Protocol", offered)])
    check_refusal(ask(edge.address, head), 400)


def test_no_compression_is_negotiated(edge, path):
    """What the relay does not do it does not say."""
    extension = [("Sec-WebSocket-Extensions", "permessage-deflate")]
    with tunnel(edge.address, path, fields=extension) as wire:
        assert "Sec-WebSocket-Extensions" not in wire.response
        assert hear(wire)["type"] == "welcome"


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-"


@pytest.mark.parametrize("name", ["a", ALPHABET, "x" * 128, "...", "-", "~.~"])
def test_names_of_rooms(edge, name):
    with open_wire(edge, f"/rooms/{name}") as wire:
        assert wire.welcome["room"]["name"] == name


@pytest.mark.parametrize(
    "name", ["", "a/b", "a%20b", "%C3%A9", "x" * 129, "a+b", "a:b", "a@b", "a%2Fb", "a%00", ".."]
)
def test_what_is_no_name(edge, name):
    check_refusal(ask(edge.address, upgrade_head(f"/rooms/{name}")), 404)


def test_the_origin_is_looked_at(start):
    edge = start(route={"origins": ["https://good.example"]})
    good = upgrade_head("/rooms/x", fields=[("Origin", "https://good.example")])
    bad = upgrade_head("/rooms/x", fields=[("Origin", "https://evil.example")])
    assert ask(edge.address, good).status == 101
    check_refusal(ask(edge.address, bad), 403)


# MARK: Signals and broadcasts


VALUES = ['"sdp"', '{"sdp":"v=0\\r\\n"}', "[]", '[{"candidate":""}]']
SCALARS = ["null", "true", "0", "-1.5e3", '""']


@asynchronous
async def test_a_signal_reaches_one_peer(url):
    one, two, three = await joined(url, 3)
    for kind in ("offer", "answer", "candidates", "description", "custom"):
        for value in VALUES + (SCALARS if kind == "custom" else []):
            data = json.loads(value)
            await one.acknowledged("signal", to=two.id, kind=kind, data=data, generation=7)
            message = await two.take("signal", kind=kind)
            assert set(message) == {"type", "seq", "from", "kind", "generation", "data"}
            assert message["from"] == one.id and message["generation"] == 7
            assert message["data"] == data
    await three.settle()
    assert not three.inbox and not one.inbox


@pytest.mark.parametrize("kind", ["offer", "answer", "candidates", "description"])
@pytest.mark.parametrize("value", SCALARS[:-1])
@asynchronous
async def test_a_description_is_a_string_an_object_or_an_array(url, kind, value):
    one, two = await joined(url, 2)
    data = json.loads(value)
    await one.refused("bad_message", "signal", to=two.id, kind=kind, data=data)
    await two.settle()
    assert not two.inbox


@asynchronous
async def test_a_broadcast_reaches_all_others(url):
    one, *others = await joined(url, 5)
    for value in VALUES + SCALARS:
        await one.acknowledged("broadcast", data=json.loads(value))
    for other in others:
        await other.until(lambda: len(other.inbox) == len(VALUES + SCALARS), "all of them")
        assert [each["data"] for each in other.inbox] == [json.loads(v) for v in VALUES + SCALARS]
        assert [each["seq"] for each in other.inbox] == list(range(1, len(other.inbox) + 1))
        assert all(
            set(each) == {"type", "seq", "from", "data"} and each["from"] == one.id
            for each in other.inbox
        )
    assert not one.inbox


@asynchronous
async def test_alone_in_a_room(url):
    peer = await Peer.join(url)
    await peer.acknowledged("broadcast", data="to nobody")
    await peer.refused("no_such_peer", "signal", to="nobody", kind="custom", data=1)
    await peer.refused("no_such_peer", "signal", to=peer.id, kind="custom", data=1)
    await peer.refused("no_such_peer", "signal", to="no id at all!", kind="custom", data=1)


ODD = [
    ' {"b" : 1.0e+05, "a":[ ] ,\t"a":-0}',
    r'"\u00e9\ud83d\ude00\/ é😀"',
    r'"\ud800 alone"',
    "12345678901234567890123456789.000000001",
    "[1,\n2]",
]


@pytest.mark.parametrize("kind", ["signal", "broadcast"])
@pytest.mark.parametrize("data", ODD)
def test_data_arrives_octet_for_octet(edge, path, kind, data):
    with open_wire(edge, path) as one, open_wire(edge, path) as two:
        text = f'{{"data":{data} ,"type":"{kind}","kind":"custom","to":"{two.welcome["peer"]}"}}'
        one.send_frame(TEXT, text.encode())
        opcode, payload = two.read_message()
        assert opcode == TEXT and data.strip().encode() in payload


@pytest.mark.parametrize("generation", [0, 1, 2**53 - 1])
@asynchronous
async def test_generations(url, generation):
    one, two = await joined(url, 2)
    await one.send("signal", to=two.id, kind="offer", data="x", generation=generation)
    assert (await two.take("signal"))["generation"] == generation


@asynchronous
async def test_the_generation_is_zero_where_none_is_given(url):
    one, two = await joined(url, 2)
    await one.send("signal", to=two.id, kind="offer", data="x")
    assert (await two.take("signal"))["generation"] == 0


@pytest.mark.parametrize(
    "number", [0, 1, -5, 2**53, "", "a", "x" * 64, 'é"\\\n\0', "é" * 32], ids=repr
)
@asynchronous
async def test_the_answer_repeats_the_id(url, number):
    peer = await Peer.join(url)
    await peer.send("ping", id=number)
    ack = await peer.take("ack")
    assert ack == {"type": "ack", "seq": 1, "id": number, "delivered": True}
    await peer.send("signal", to="nobody", kind="custom", data=1, id=number)
    peer.answers.clear()
    error = await peer.take("error")
    assert is_like(error, {"seq": 2, "id": number, "code": "no_such_peer"})


@asynchronous
async def test_what_has_no_id_has_no_answer(url):
    one, two = await joined(url, 2)
    await one.send("broadcast", data=1)
    await one.send("signal", to=two.id, kind="custom", data=2)
    await one.send("update", name="Ada")
    await one.settle()
    assert [each["type"] for each in one.pending if each["type"] in ("ack", "error")] == ["ack"]
    assert one.seen == 1


# MARK: update


@asynchronous
async def test_a_name_and_meta_come_and_go(url):
    one, two = await joined(url, 2)
    steps = [
        ({"name": "Ada"}, {"name": "Ada"}),
        ({"meta": {"a": 1}}, {"name": "Ada", "meta": {"a": 1}}),
        ({"meta": {}}, {"name": "Ada", "meta": {}}),
        ({"name": None}, {"meta": {}}),
        ({"name": "Bea", "meta": None}, {"name": "Bea"}),
        ({}, {"name": "Bea"}),
    ]
    for change, shown in steps:
        await one.acknowledged("update", **change)
        await two.until(
            lambda: two.roster[one.id] == {"role": "member"} | shown, f"{shown} to be seen"
        )
    assert (await Peer.join(url)).roster[one.id] == {"role": "member", "name": "Bea"}


@asynchronous
async def test_the_largest_meta(url):
    one, two = await joined(url, 2)
    meta = {"x": "y" * (4 * KIB - 8)}
    assert len(encoded(meta)) == 4 * KIB
    await one.acknowledged("update", meta=meta)
    await two.until(lambda: two.roster[one.id].get("meta") == meta, "the meta")
    await one.refused("too_large", "update", meta={"x": meta["x"] + "y"})
    await one.refused("bad_message", "update", meta=[1])


# MARK: null


@asynchronous
async def test_null_is_nothing(url):
    """But of what can be taken away, and of data."""
    one, two = await joined(url, 2)
    signal = {"to": two.id, "kind": "custom", "data": None, "generation": None}
    await one.send("signal", **signal, id=None)
    message = await two.take("signal")
    assert (message["data"], message["generation"]) == (None, 0)
    await one.refused("bad_message", "signal", **(signal | {"kind": None}))
    await one.refused("bad_message", "signal", **(signal | {"to": None}))
    await one.settle()
    assert not any(each["type"] == "ack" and "id" not in each for each in one.pending)


@asynchronous
async def test_null_in_a_join(url):
    peer = await Peer.join(url, greets=True)
    third = Peer(url + "?join=message")
    waiting = asyncio.create_task(third.enter())
    await third.until(lambda: third.connection, "the connection")
    await third.send("join", name=None, meta=None, password=None, resume=None, seq=None)
    await waiting
    await peer.sees(third)
    assert peer.roster[third.id] == {"role": "member"}


# MARK: Bad messages


BAD = {
    "no JSON": "hello",
    "nothing": "",
    "an array": "[]",
    "a number": "1",
    "null": "null",
    "two objects": "{}{}",
    "cut off": '{"type":"ping","id":1',
    "no type": '{"id":"x"}',
    "an unknown type": '{"type":"unknown"}',
    "the type is a number": '{"type":1}',
    "the type twice": '{"type":"ping","type":"ping","id":1}',
    "another member twice": '{"type":"ping","id":1,"id":2}',
    "a member twice in escapes": '{"type":"ping","id":1,"i\\u0064":2}',
    "a ping without id": '{"type":"ping"}',
    "an id that is no whole number": '{"type":"ping","id":1.5}',
    "an id of 65 octets": '{"type":"ping","id":"' + "x" * 65 + '"}',
    "an object as id": '{"type":"ping","id":{}}',
    "no data": '{"type":"broadcast"}',
    "no kind": '{"type":"signal","to":"x","data":"x"}',
    "no such kind": '{"type":"signal","to":"x","kind":"hello","data":"x"}',
    "no to": '{"type":"signal","kind":"offer","data":"x"}',
    "the to is a number": '{"type":"signal","to":1,"kind":"offer","data":"x"}',
    "a negative generation": '{"type":"signal","to":"x","kind":"offer","data":"","generation":-1}',
    "half a generation": '{"type":"signal","to":"x","kind":"offer","data":"","generation":0.5}',
    "too high a generation":
        '{"type":"signal","to":"x","kind":"offer","data":"","generation":9007199254740992}',
    "the meta is a string": '{"type":"update","meta":"x"}',
    "the name is a number": '{"type":"update","name":1}',
    "control characters in a name": '{"type":"update","name":"a\\u0007b"}',
    "a trailing comma": '{"type":"ping","id":1,}',
    "single quotes": "{'type':'ping','id':1}",
    "a leading zero": '{"type":"broadcast","data":01}',
    "not a number": '{"type":"broadcast","data":NaN}',
    "a raw line feed in a string": '{"type":"broadcast","data":"a\nb"}',
    "a broken escape": '{"type":"broadcast","data":"\\x"}',
    "a comment": '{"type":"ping","id":1}//',
    "a byte order mark": '\ufeff{"type":"ping","id":1}',
    "a million brackets": '{"type":"broadcast","data":' + "[" * 30_000 + "]" * 30_000 + "}",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
@asynchronous
async def test_bad_messages(url, text):
    one, two = await joined(url, 2)
    await one.say(text)
    error = await one.take("error")
    assert error["code"] == "bad_message" and error["message"], error
    await one.settle()
    await two.settle()
    assert not two.inbox and not two.roster[one.id].get("name")


@asynchronous
async def test_an_error_names_the_message(url):
    peer = await Peer.join(url)
    await peer.refused("bad_message", "broadcast")
    await peer.refused("bad_message", "unknown")
    await peer.refused("bad_message", "signal", to="x", kind="offer", data=1)


@asynchronous
async def test_members_without_a_meaning_are_ignored(url):
    one, two = await joined(url, 2)
    await one.acknowledged("broadcast", data=1, colour="red", deep={"data": [2]}, password=3)
    assert (await two.take("broadcast"))["data"] == 1


@asynchronous
async def test_names_of_members_are_compared_as_they_mean(url):
    """An escape in a name is no other name (RFC 8259 §8.3)."""
    peer = await Peer.join(url)
    await peer.say('{"t\\u0079pe":"ping","id":"x"}')
    assert (await peer.take("ack"))["id"] == "x"


# MARK: Presence of many at once


def test_several_changes_come_in_one_message(start):
    """To be applied in the order left, joined, updated; each peer sees the same room."""
    edge = start(workers=1)
    with open_wire(edge, "/rooms/x") as host:
        roster, is_batched = {}, False
        for turn in range(30):
            present = list(roster)
            with Frozen(edge):
                wires = []
                for number in range(4):
                    wire = connect(edge.address)
                    wire.send(upgrade_head(f"/rooms/x?name=n{turn}-{number}"))
                    wires.append(wire)
            ids = set()
            for wire in wires:
                assert wire.read_response().status == 101
                ids.add(hear(wire)["peer"])
            while not ids <= set(roster):
                message = hear(host)
                is_batched |= message["type"] == "presence"
                apply(roster, message)
            for wire in wires:
                say(wire, "leave")
                wire.finish()
                wire.close()
            while set(roster) & ids:
                message = hear(host)
                is_batched |= message["type"] == "presence"
                apply(roster, message)
            assert list(roster) == present
            if is_batched:
                break
        assert is_batched, "no two changes ever came together"


def apply(roster, message):
    single = {"joined": [message], "left": [message], "updated": [message]}
    lists = message if message["type"] == "presence" else {message["type"]: single[message["type"]]}
    for each in lists.get("left", []):
        del roster[each["peer"]]
    for each in lists.get("joined", []):
        assert each["peer"] not in roster
        roster[each["peer"]] = each.get("name")
    for each in lists.get("updated", []):
        roster[each["peer"]] = each.get("name")
