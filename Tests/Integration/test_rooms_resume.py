"""Dropped connections, reloads and new processes: nobody loses anything by them."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from harness import admin
from harness.conditions import eventually
from harness.room_fixtures import edge, path, start, url  # noqa: F401
from harness.rooms import Closed, Peer, asynchronous, configuration, encoded, joined
from harness.wire import TEXT, frame, header, is_refused, tunnel

KIB = 1 << 10
LISTENER = Path(__file__).parent / "harness/listener.py"


# MARK: Exactly once

ROUNDS = 200


class Talker:
    """A peer that talks to the others while its connection breaks again and again."""

    def __init__(self, peer, chance):
        self.peer, self.chance = peer, chance
        self.said = {}
        self.count = self.cuts = self.expected = 0

    @property
    def backlog(self):
        """What was said to it and has not come."""
        return self.expected - len(self.peer.inbox)

    async def say_something(self, others):
        """To one or to all; what it is is noted for everybody who has to get it."""
        self.count += 1
        data = [self.count, "x" * self.chance.choice([0, 10, 1_000])]
        if self.chance.random() < 0.5:
            listeners = others
            await self.peer.post("broadcast", data=data)
        else:
            listeners = [self.chance.choice(others)]
            await self.peer.post("signal", to=listeners[0].peer.id, kind="custom", data=data)
        for each in listeners:
            self.said.setdefault(each.peer.id, []).append(self.count)
            each.expected += 1

    async def break_somehow(self, others):
        """In the middle of things, in one of the ways in which connections break."""
        self.cuts += 1
        peer = self.peer
        match self.chance.randrange(5):
            case 0:
                peer.cut()
            case 1:
                for _ in range(self.chance.randrange(20)):
                    await asyncio.sleep(0)
                peer.cut()
            case 2:
                # A frame that ends nowhere, of a message that says what it must not say twice.
                text = next(iter(peer.sent.values()), '{"type":"broadcast","data":"cut off"}')
                octets = frame(TEXT, text.encode(), masked=True)
                peer.connection.transport.write(octets[: self.chance.randrange(len(octets))])
                peer.cut()
            case 3:
                # What it says while it is away waits.
                peer.cut()
                await self.say_something(others)
            case 4:
                # Its old connection is open still, and not read to its end.
                old = await peer.leave_open()
                await peer.resume()
                old.transport.abort()
                return
        assert (await peer.resume())["resumed"]

    async def run(self, others, rounds):
        for _ in range(rounds):
            # Not more than is kept for somebody who is away.
            for other in others:
                await other.peer.until(lambda: other.backlog < 60, "it to listen")
            for _ in range(self.chance.randrange(7)):
                await self.say_something(others)
            if self.chance.random() < 0.5:
                await self.break_somehow(others)
            await self.peer.until(lambda: len(self.peer.sent) < 20, "answers")


@pytest.mark.parametrize("workers, rate", [(1, None), (4, None), (2, "200/s")])
@asynchronous
async def test_nothing_is_lost_and_nothing_comes_twice(start, workers, rate):
    """Also where messages are held back, since they come too fast."""
    seed = int(os.environ.get("ROOMS_SEED", random.randrange(1 << 32)))
    print(f"again with ROOMS_SEED={seed}")
    chance = random.Random(seed)
    limits = {"limits": {"messages": {"rate": rate, "burst": 10}}} if rate else {}
    url = start(workers=workers, route=limits).url("/rooms/x")
    peers = await joined(url, 4)
    talkers = [Talker(peer, random.Random(chance.random())) for peer in peers]
    await asyncio.gather(
        *(each.run([one for one in talkers if one is not each], ROUNDS) for each in talkers)
    )
    for each in talkers:
        await each.peer.until(lambda: not each.peer.sent, "all answers")
        answers = each.peer.answers.values()
        assert {answer["type"] for answer in answers} <= {"ack"}, answers
    for listener in talkers:
        peer = listener.peer
        await peer.until(lambda: listener.backlog <= 0, "all messages")
        for each in talkers:
            heard = [m["data"][0] for m in peer.inbox if m["from"] == each.peer.id]
            assert heard == each.said.get(peer.id, []), f"from {each.peer.id} to {peer.id}"
        assert peer.doubles == 0, "what was seen was sent again"
        await peer.sees(*(one for one in peers if one is not peer))
    errors = [each for peer in peers for each in peer.pending if each["type"] == "error"]
    assert {error["code"] for error in errors} == ({"rate_limited"} if rate else set())
    # Nobody was seen to go or come: the places were kept.
    assert {each["type"] for peer in peers for each in peer.pending} <= {
        "welcome", "joined", "presence", "signal", "broadcast", "ack", "error"
    }  # fmt: skip
    assert sum(each.cuts for each in talkers) > ROUNDS
    assert sum(each.count for each in talkers) > 5 * ROUNDS


@asynchronous
async def test_messages_wait_for_who_is_away(url):
    one, two, three = await joined(url, 3)
    two.cut()
    # The edge has seen it when a message to it is not delivered at once.
    while (await one.ask("signal", to=two.id, kind="custom", data="first"))["delivered"]:
        pass
    expected = [each["data"] for each in two.inbox]
    for number in range(20):
        ack = await one.ask("broadcast", data=number)
        assert ack["type"] == "ack" and ack["delivered"] is False
        ack = await three.ask("signal", to=two.id, kind="offer", data=str(number))
        assert ack["type"] == "ack" and ack["delivered"] is False
        expected += [number, str(number)]
    welcome = await two.resume()
    assert welcome["resumed"] and welcome["peer"] == two.id
    assert {each["peer"] for each in welcome["peers"]} == {one.id, three.id}
    heard = [each["data"] for each in two.inbox]
    assert [each for each in heard if each != "first"] == expected
    assert [each["seq"] for each in two.inbox] == list(range(1, len(heard) + 1))
    for peer in (one, three):
        await peer.settle()
        assert "left" not in [each["type"] for each in peer.pending]


@asynchronous
async def test_answers_wait_for_who_asked(url):
    one, two = await joined(url, 2)
    numbers = [await one.post("broadcast", data=number) for number in range(5)]
    numbers.append(await one.post("signal", to="nobody", kind="custom", data=1))
    await two.until(lambda: len(two.inbox) == 5, "what was said")
    # Nothing of what came meanwhile was read, as far as anybody knows.
    one.cut()
    await one.resume()
    answers = [await one.answer(number) for number in numbers]
    assert [each["type"] for each in answers] == ["ack"] * 5 + ["error"]
    assert [each["seq"] for each in answers] == sorted(each["seq"] for each in answers)
    await two.settle()
    assert len(two.inbox) == 5


@asynchronous
async def test_the_roster_is_the_one_of_now(url):
    one, two, three = await joined(url, 3)
    one.cut()
    await two.acknowledged("update", name="Bea")
    await three.close()
    four = await Peer.join(url, name="Dora")
    await two.sees(one, four)
    welcome = await one.resume()
    assert welcome["resumed"]
    assert one.roster == {
        two.id: {"name": "Bea", "role": "member"}, four.id: {"name": "Dora", "role": "member"},
    }  # fmt: skip
    assert welcome["room"]["version"] == one.version
    await one.settle()
    await one.sees(two, four)


@asynchronous
async def test_what_it_says_of_itself_has_no_meaning_then(url):
    one, two = await joined(url, 2)
    await one.acknowledged("update", name="Ada")
    one.cut()
    await one.enter(
        resume=one.resume_name, seq=one.seen, name="Mallory", meta={"x": 1}, password="wrong"
    )
    assert one.welcome["resumed"]
    third = await Peer.join(url)
    await two.sees(one, third)
    for peer in (two, third):
        assert peer.roster[one.id] == {"role": "member", "name": "Ada"}


# MARK: Places


@asynchronous
async def test_the_newest_connection_wins(url):
    one, two = await joined(url, 2)
    for _ in range(5):
        old = one.detach()
        assert (await one.resume())["resumed"]
        await asyncio.wait_for(old.wait_closed(), 10)
        assert old.close_code == 4000
    await two.acknowledged("signal", to=one.id, kind="custom", data="to the newest")
    await one.take("signal")
    assert not any(each["type"] in ("left", "presence") for each in two.pending)


@pytest.mark.parametrize("seq", [True, False])
@asynchronous
async def test_many_connections_of_one_place(url, seq):
    """One of them is left."""
    one, two = await joined(url, 2)
    await two.acknowledged("signal", to=one.id, kind="custom", data="before")
    await one.until(lambda: one.inbox, "the message")
    copies = [Peer(url) for _ in range(6)]
    for copy in copies:
        copy.welcome, copy.version, copy.id, copy.seen = one.welcome, one.version, one.id, one.seen
    greeting = {"resume": one.resume_name} | ({"seq": one.seen} if seq else {})
    await asyncio.gather(*(copy.enter(**greeting) for copy in copies))
    assert {copy.id for copy in copies} == {one.id}
    assert await one.ended() == 4000

    def left():
        return [copy for copy in copies if copy.close_code is None]

    while len(left()) > 1:
        await asyncio.sleep(0.01)
    (last,) = left()
    assert {copy.close_code for copy in copies if copy is not last} == {4000}
    await two.acknowledged("signal", to=one.id, kind="custom", data="after")
    await last.take("signal")
    if seq:
        assert not any(each["type"] in ("left", "presence") for each in two.pending)


@asynchronous
async def test_the_window_goes_by(start):
    url = start({"resume_window": "1s"}).url("/rooms/x")
    one, two = await joined(url, 2)
    one.cut()
    message = await two.take("left", peer=one.id)
    assert message["reason"] == "timeout"
    # It comes afresh, under its id.
    welcome = await one.resume()
    assert not welcome["resumed"] and welcome["peer"] == one.id and welcome["seq"] == 0
    assert (await two.take("joined"))["peer"] == one.id


@asynchronous
async def test_no_window(start):
    url = start({"resume_window": "0s"}).url("/rooms/x")
    one, two = await joined(url, 2)
    one.cut()
    assert (await two.take("left", peer=one.id))["reason"] == "timeout"
    assert not (await one.resume())["resumed"]
    await two.sees(one)


@asynchronous
async def test_a_page_is_loaded_anew(url):
    """It knows nothing but the name of its place."""
    one, two = await joined(url, 2)
    for is_open in (True, False):
        if is_open:
            old = one.detach()
        else:
            one.cut()
        welcome = await one.resume(seq=False)
        assert not welcome["resumed"] and welcome["peer"] == one.id
        if is_open:
            await asyncio.wait_for(old.wait_closed(), 10)
            assert old.close_code == 4000
        message = await two.take("presence")
        assert message["left"] == [{"peer": one.id, "reason": "moved"}]
        assert [each["peer"] for each in message["joined"]] == [one.id]
    # What was sent to the one before it is not for this one.
    await two.acknowledged("signal", to=one.id, kind="custom", data=1)
    assert (await one.take("signal"))["seq"] == 1


@asynchronous
async def test_the_old_name_of_a_place_keeps_the_id(url):
    """Its place was taken anew since: what is asked for with `seq` is not there."""
    one, two = await joined(url, 2)
    old = one.resume_name
    await one.resume(seq=False)
    assert one.resume_name != old
    again = await Peer.join(url, resume=old, seq=0)
    assert again.id == one.id and not again.welcome["resumed"]
    assert await one.ended() == 4000
    await two.sees(again)


FORGED = {
    "nonsense": lambda name: "nonsense",
    "empty": lambda name: "",
    "cut": lambda name: name[:-1],
    "another tag": lambda name: name[:-4] + ("AAAA" if name[-4:] != "AAAA" else "BBBB"),
    "another id": lambda name: "x" + name[1:] if name[0] != "x" else "y" + name[1:],
    "another number": lambda name: name.replace(".", ".1", 1),
    "longer": lambda name: name + "." + "x" * 3_000,
    "dots": lambda name: "." * 200,
}


@pytest.mark.parametrize("fault", FORGED)
@pytest.mark.parametrize("greets", [False, True], ids=["query", "message"])
@asynchronous
async def test_a_name_that_was_never_given(url, fault, greets):
    """Who shows it is a stranger, and the place stays with its peer."""
    one = await Peer.join(url)
    other = await Peer.join(url, resume=FORGED[fault](one.resume_name), seq=0, greets=greets)
    assert other.id != one.id and not other.welcome["resumed"]
    await one.sees(other)
    await one.settle()


@asynchronous
async def test_a_name_is_good_in_its_own_room_alone(edge, url):
    one = await Peer.join(url)
    other = await Peer.join(edge.url("/rooms/elsewhere"), resume=one.resume_name, seq=0)
    assert other.id != one.id and not other.welcome["resumed"]


@pytest.mark.parametrize("seq", ["-1", "x", "1.5", "", "99999999999999999999999", "1e3"])
@asynchronous
async def test_a_number_that_is_none(url, seq):
    """In the query: nobody gets somebody else's messages for it, and the edge lives."""
    one, two = await joined(url, 2)
    with suppress(Closed):
        again = await Peer.join(url, resume=one.resume_name, seq=seq)
        assert again.id == one.id
    await two.settle()


@asynchronous
async def test_who_has_left_has_no_place(url):
    one, two = await joined(url, 2)
    await one.send("leave")
    await one.ended()
    await two.take("left", peer=one.id)
    welcome = await one.resume()
    assert not welcome["resumed"] and welcome["peer"] == one.id


@asynchronous
async def test_a_process_is_killed(start):
    """Its kernel ends the connection; the place is kept for the window, and no longer."""
    url = start({"resume_window": "1s"}).url("/rooms/x")
    watcher = await Peer.join(url)
    client = subprocess.Popen(
        [sys.executable, LISTENER, url], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    try:
        peer = (await watcher.take("joined"))["peer"]
        client.kill()
        assert (await watcher.take("left", peer=peer))["reason"] == "timeout"
    finally:
        client.kill()
        client.wait()
        client.stdout.close()


@asynchronous
async def test_a_connection_breaks_that_is_not_read(start):
    """Its peer was too fast; its place is kept no longer for that."""
    limits = {"messages": {"rate": "1/m", "burst": 2}}
    edge = start({"resume_window": "1s"}, route={"limits": limits})
    watcher = await Peer.join(edge.url("/rooms/x"))
    loud = await asyncio.to_thread(opened, edge)
    peer = (await watcher.take("joined"))["peer"]
    for number in range(5):
        text = encoded({"type": "broadcast", "data": number})
        loud.send_frame(TEXT, text.encode())
    for number in range(2):
        await watcher.take("broadcast", data=number)
    loud.reset()
    assert (await watcher.take("left", peer=peer))["reason"] == "timeout"


@asynchronous
async def test_a_connection_has_lived_long_enough(start):
    """It is asked to come back at once, and has its place then."""
    url = start(route={"max_lifetime": "1s"}).url("/rooms/x")
    watcher, peer = await joined(url, 2)
    assert await peer.ended() == 4201
    assert (await peer.resume())["resumed"]
    assert await watcher.ended() == 4201
    assert not any(each["type"] in ("left", "presence") for each in watcher.pending)


# MARK: Missed too much


async def is_away(peer, other):
    """Makes sure that the edge has seen that `other` is gone; how many messages that took."""
    count = 1
    while (await peer.ask("signal", to=other.id, kind="custom", data="away?"))["delivered"]:
        count += 1
    return count


@pytest.mark.parametrize("count, is_kept", [(256, True), (257, False), (1_000, False)])
@asynchronous
async def test_so_many_messages_are_kept(url, count, is_kept):
    one, two = await joined(url, 2)
    seen = two.seen
    two.cut()
    for number in range(count - await is_away(one, two)):
        await one.post("signal", to=two.id, kind="custom", data=number)
    await one.until(lambda: not one.sent, "all answers")
    if is_kept:
        assert (await two.resume())["resumed"] and len(two.inbox) == count
        return
    with pytest.raises(Closed) as caught:
        await two.resume()
    assert caught.value.code == 4200
    # Nobody has seen anything of that. It comes afresh, and all see it go and come.
    await one.settle()
    assert two.id in one.roster and not any(m["type"] == "presence" for m in one.pending)
    two.seen = seen
    welcome = await two.resume(seq=False)
    assert not welcome["resumed"] and welcome["peer"] == two.id
    message = await one.take("presence")
    assert message["left"] == [{"peer": two.id, "reason": "moved"}]
    assert [each["peer"] for each in message["joined"]] == [two.id]


@pytest.mark.parametrize("count, is_kept", [(8, True), (9, False)])
@asynchronous
async def test_so_many_octets_are_kept(url, count, is_kept):
    """256 KiB, of messages with 30 KiB each."""
    one, two = await joined(url, 2)
    two.cut()
    await is_away(one, two)
    for number in range(count):
        await one.ask("signal", to=two.id, kind="custom", data=[number, "x" * 30 * KIB])
    if is_kept:
        assert (await two.resume())["resumed"]
        assert [m["data"][0] for m in two.inbox if m["data"] != "away?"] == list(range(count))
    else:
        with pytest.raises(Closed) as caught:
            await two.resume()
        assert caught.value.code == 4200


@asynchronous
async def test_a_number_that_was_never_reached(url):
    one, two = await joined(url, 2)
    one.cut()
    with pytest.raises(Closed) as caught:
        await one.enter(resume=one.resume_name, seq=5)
    assert caught.value.code == 4200
    assert (await one.resume())["resumed"]
    await two.sees(one)


@asynchronous
async def test_what_has_arrived_need_not_be_kept(url):
    """Far more than is kept at a time passes to somebody who reads it, and who then resumes."""
    one, two = await joined(url, 2)
    for number in range(1_000):
        await one.post("signal", to=two.id, kind="custom", data=[number, "x" * 1_000])
        if number % 100 == 99:
            await two.until(lambda: len(two.inbox) == number + 1, "the messages")
    two.cut()
    assert (await two.resume())["resumed"]
    await one.acknowledged("signal", to=two.id, kind="custom", data="after")
    await two.until(lambda: two.inbox[-1]["data"] == "after", "what came after")
    assert len(two.inbox) == 1_001


# MARK: The process ends


@asynchronous
async def test_a_process_that_stops_says_so(start):
    """`goaway` to each, and 4201 within the time that it has; they are sent away one by one."""
    edge = start(shutdown_grace="3s", workers=2)
    peers = [await Peer.join(edge.url(f"/rooms/{number % 5}")) for number in range(20)]
    edge.signal(signal.SIGTERM)
    waits = []
    for peer in peers:
        message = await peer.take("goaway")
        assert set(message) == {"type", "after_ms", "reason"} and message["reason"]
        waits.append(message["after_ms"])
    assert all(0 <= wait <= 3_000 for wait in waits) and len(set(waits)) > 10, waits
    # Rooms work until then.
    last = peers[waits.index(max(waits))]
    await last.acknowledged("broadcast", data="still here")
    assert [await peer.ended() for peer in peers] == [4201] * 20
    assert await asyncio.to_thread(edge.wait_for_exit) == 0
    assert is_refused(edge.address)


@asynchronous
async def test_who_does_not_answer_is_cut(start):
    edge = start(shutdown_grace="1s")
    peer = await Peer.join(edge.url("/rooms/x"))
    with opened(edge) as deaf:
        edge.signal(signal.SIGTERM)
        assert await peer.ended() == 4201
        assert await asyncio.to_thread(edge.wait_for_exit) == 0
        assert b'"goaway"' in deaf.read_to_end()


@asynchronous
async def test_a_new_process_takes_over(start, succeed):
    """All come back under their ids: the names of their places are good there, too."""
    edge = start(shutdown_grace="3s", workers=2)
    url = edge.url("/rooms/x")
    peers = await joined(url, 6)
    ids = [peer.id for peer in peers]
    await asyncio.to_thread(succeed, edge)

    async def follow(peer):
        assert (await peer.take("goaway"))["after_ms"] <= 3_000
        assert await peer.ended() == 4201
        welcome = await peer.resume()
        assert not welcome["resumed"], "the new process knows no places"

    await asyncio.gather(*(follow(peer) for peer in peers))
    assert [peer.id for peer in peers] == ids
    for peer in peers:
        await peer.sees(*(other for other in peers if other is not peer))
    await peers[0].acknowledged("broadcast", data="again")
    for peer in peers[1:]:
        await peer.take("broadcast", data="again")
    assert await asyncio.to_thread(edge.process.wait, 20) == 0
    # And now the places are the new process's own.
    peers[0].cut()
    assert (await peers[0].resume())["resumed"]


# MARK: Another configuration


def changed(edge, **route):
    settings = json.loads(json.dumps(edge.settings))
    settings["routes"][0] |= route
    return settings


@asynchronous
async def test_a_route_goes(start):
    edge = start(drain_over="2s", workers=2)
    peers = [await Peer.join(edge.url(f"/rooms/{number % 3}")) for number in range(12)]
    record = await asyncio.to_thread(
        edge.reload, changed(edge, name="others", match={"path": "/others/"})
    )
    assert record["message"] == "reloaded", record
    waits = [(await peer.take("goaway"))["after_ms"] for peer in peers]
    assert all(0 <= wait <= 2_000 for wait in waits) and len(set(waits)) > 6, waits
    assert [await peer.ended() for peer in peers] == [4201] * 12
    await Peer.join(edge.url("/others/x"))


@asynchronous
async def test_a_route_that_comes_back_in_time(start):
    """Peers of it stay; those of one that does not come back go."""
    two = configuration()["routes"][0] | {"name": "two", "match": {"path": "/two/"}}
    settings = configuration(drain_over="3s")
    settings["routes"].append(two)
    edge = start(**settings)
    stay = await joined(edge.url("/rooms/x"), 6)
    go = await joined(edge.url("/two/x"), 6)
    gone = settings | {"routes": [two | {"name": "three", "match": {"path": "/three/"}}]}
    await asyncio.to_thread(edge.reload, gone)
    for peer in stay + go:
        await peer.take("goaway")
    await asyncio.to_thread(edge.reload, settings | {"routes": settings["routes"][:1]})
    assert [await peer.ended() for peer in go] == [4201] * 6
    here = [peer for peer in stay if peer.close_code is None]
    assert here, "nobody stayed"
    for peer in here:
        await peer.settle()


@asynchronous
async def test_new_limits_hold_for_those_who_are_here(start):
    edge = start()
    url = edge.url("/rooms/x")
    one, two = await joined(url, 2)
    data = "x" * 10 * KIB
    await one.acknowledged("broadcast", data=data)
    await asyncio.to_thread(edge.reload, changed(edge, limits={"message_size": "2KiB"}))
    await one.say(encoded({"type": "broadcast", "data": data}))
    assert (await one.take("error"))["code"] == "too_large"
    await asyncio.to_thread(edge.reload, changed(edge, limits={"message_size": "128KiB"}))
    await one.acknowledged("broadcast", data=data * 10)
    one.cut()
    assert (await one.resume())["limits"]["message_size"] == 128 * KIB
    limits = {"messages": {"rate": "1/m", "burst": 3, "exceed": "close"}}
    await asyncio.to_thread(edge.reload, changed(edge, limits=limits))
    for number in range(6):
        await one.send("broadcast", data=number)
    assert await one.ended() == 4008
    await two.sees()


@asynchronous
async def test_a_smaller_room_sends_nobody_away(start):
    edge = start()
    url = edge.url("/rooms/x")
    peers = await joined(url, 3)
    await asyncio.to_thread(
        edge.reload, changed(edge, rooms={"max_peers": 2, "password": "a password"})
    )
    for peer in peers:
        await peer.settle()
    with pytest.raises(Closed) as caught:
        await Peer.join(url)
    assert caught.value.code == 4002
    with pytest.raises(Closed) as caught:
        await Peer.join(url, password="a password")
    assert caught.value.code == 4100
    peers[0].cut()
    assert (await peers[0].resume())["resumed"], "who has a place keeps it"
    for peer in peers[:2]:
        await peer.close()
    await peers[2].sees()
    await Peer.join(url, password="a password")


@asynchronous
async def test_rooms_of_a_client_that_is_in_some_already(start):
    edge = start()
    for name in ("one", "two"):
        await Peer.join(edge.url(f"/rooms/{name}"))
    await asyncio.to_thread(
        edge.reload, changed(edge, rooms={"limits": {"rooms_per_client": 2}})
    )
    await Peer.join(edge.url("/rooms/two"))
    with pytest.raises(Closed) as caught:
        await Peer.join(edge.url("/rooms/three"))
    assert caught.value.code == 4102


@asynchronous
async def test_another_window(start):
    edge = start({"resume_window": "1h"})
    one, two = await joined(edge.url("/rooms/x"), 2)
    await asyncio.to_thread(edge.reload, changed(edge, rooms={"resume_window": "1s"}))
    one.cut()
    assert (await two.take("left", peer=one.id))["reason"] == "timeout"


def opened(edge, path="/rooms/x"):
    """A raw connection that has its welcome."""
    wire = tunnel(edge.address, path)
    assert json.loads(wire.read_message()[1])["type"] == "welcome"
    return wire


@pytest.mark.parametrize("first, then", [("1KiB", "64KiB"), ("64KiB", "1KiB")])
def test_a_limit_changes_in_the_middle_of_a_message(start, first, then):
    """The message is taken as a whole or refused as a whole: never a part of it."""
    edge = start(route={"limits": {"message_size": first}})
    with ExitStack() as stack:
        mate, wire = (stack.enter_context(opened(edge)) for _ in range(2))
        assert json.loads(mate.read_message()[1])["type"] == "joined"
        inner = b'{"type":"broadcast","data":"smuggled","id":1}'
        text = b'{"type":"broadcast","data":"' + b"x" * 8 * KIB
        end = b'","id":2}'
        wire.send(header(TEXT, len(text + inner), key=bytes(4)) + text)
        eventually(lambda: wire.is_taken, "the edge to take the first part")
        edge.reload(changed(edge, limits={"message_size": then}))
        wire.send(inner)
        message = json.loads(wire.read_message()[1])
        assert message["type"] == "error", message
        assert message["code"] in ("too_large", "bad_message") and "id" not in message
        # The same in fragments.
        edge.reload(changed(edge, limits={"message_size": first}))
        wire.send(header(TEXT, len(text), final=False, key=bytes(4)) + text)
        eventually(lambda: wire.is_taken, "the edge to take the first part")
        edge.reload(changed(edge, limits={"message_size": then}))
        wire.send(header(0, len(end), key=bytes(4)) + end)
        message = json.loads(wire.read_message()[1])
        assert (message["type"], message.get("code")) in (("ack", None), ("error", "too_large"))
        is_whole = message["type"] == "ack"
        mate.send_frame(TEXT, b'{"type":"ping","id":3}')
        message = json.loads(mate.read_message()[1])
        assert message["type"] == ("broadcast" if is_whole else "ack"), message


# MARK: Several workers


@asynchronous
async def test_peers_of_a_room_are_on_several_workers(start):
    """Forty connections over four sockets of one port; nobody can tell where the others are."""
    edge = start(workers=4, admin=admin.ANYWHERE)
    peers = await joined(edge.url("/rooms/x"), 40)
    listed = (await asyncio.to_thread(admin.Admin(edge).get, "/connections")).json
    for number, peer in enumerate(peers):
        await peer.post("broadcast", data=number)
        to = peers[number - 1]
        await peer.post("signal", to=to.id, kind="custom", data=[number])
    for number, peer in enumerate(peers):
        await peer.until(lambda: len(peer.inbox) == 40, "all messages")
        heard = [each["data"] for each in peer.inbox if each["type"] == "broadcast"]
        assert sorted(heard) == [each for each in range(40) if each != number]
        signals = [each["data"] for each in peer.inbox if each["type"] == "signal"]
        assert signals == [[(number + 1) % 40]]
        assert {answer["delivered"] for answer in peer.answers.values()} <= {True}
    # They go at once, too.
    await asyncio.gather(*(peer.close() for peer in peers[1:]))
    await peers[0].sees()
    assert len(workers_of(listed)) > 1, listed


def workers_of(listed):
    """The workers on which the listed tunnels are: an id begins with its worker."""
    return {each["id"].partition("-")[0] for each in listed["connections"]}
