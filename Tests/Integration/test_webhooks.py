"""What happens in rooms is told: signed, in order, again where that fails, in no room's way."""

import asyncio
import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
import time
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

from harness import tokens
from harness.admin import metric, start
from harness.conditions import eventually
from harness.rooms import Peer, asynchronous, configuration, joined
from harness.web import Answer, WebServer

SECRET = "a-secret-that-receivers-know"
TAKEN = Answer(204)
BOB = 'Bob "\u202e\\ / ü'
FAILS, RECOVERS = "webhook not delivered: it is tried until it is", "webhook delivered again"


class Receiver(WebServer):
    """Takes webhooks as docs/admin.md says that they come, and believes none that is not signed."""

    def __init__(self, answers=TAKEN, *, secret=SECRET, **options):
        super().__init__(answers, **options)
        self.secret = secret
        self.taken, self.faults = [], []

    def __exit__(self, *details):
        super().__exit__(*details)
        assert not self.faults, self.faults

    def answer(self, request):
        try:
            assert request.command == "POST"
            check_signature(request, self.secret)
        except AssertionError as fault:
            # It would only look like a receiver that fails.
            self.faults.append(fault)
        answer = super().answer(request)
        if answer.status // 100 == 2 and not answer.closes:
            self.taken.append(json.loads(request.body))
        return answer

    @property
    def events(self):
        """What it has taken, each once: a request may come again."""
        events = {each["id"]: each for body in list(self.taken) for each in body["events"]}
        return list(events.values())

    def until(self, count, timeout=15):
        """The events, once there are so many."""
        eventually(lambda: len(self.events) >= count, f"{count} events", timeout)
        assert len(self.events) == count, self.events
        return self.events


def check_signature(request, secret):
    (value,) = request.values("X-Sluice-Signature")
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", value)
    assert found, value
    assert abs(int(found[1]) - time.time()) < 5
    expected = hmac.new(secret.encode(), found[1].encode() + b"." + request.body, hashlib.sha256)
    assert hmac.compare_digest(expected.hexdigest(), found[2]), "the signature is not good"


def webhooks(receiver, **more):
    url = receiver if isinstance(receiver, str) else receiver.url
    return {"webhooks": {"url": url, "secret": SECRET} | more}


def settings(receiver, *, rooms=None, hook=None, **options):
    return configuration(webhooks(receiver, **(hook or {})) | (rooms or {}), **options)


def is_in_order(events):
    return [each["id"] for each in events] == sorted({each["id"] for each in events})


def told(events):
    """Types, and who."""
    return [(each["type"], each.get("peer", {}).get("name")) for each in events]


@pytest.fixture
def receiver(enter):
    return enter(Receiver())


@pytest.fixture
def unused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# What is told -------------------------------------------------------------------------------------


@asynchronous
async def test_what_happens_is_told(enter, receiver):
    edge, admin = start(enter, settings(receiver, rooms={"empty_room_ttl": "0s"}))
    ada = await Peer.join(edge.url("/rooms/lobby"), name="Ada")
    await ada.settle()
    bob = await Peer.join(edge.url("/rooms/lobby"), name=BOB)
    for peer in (ada, bob):
        await peer.send("leave")
        await peer.ended()
    events = receiver.until(6)
    assert is_in_order(events)
    assert [each["type"] for each in events] == [
        "room.opened", "peer.joined", "peer.joined", "peer.left", "peer.left", "room.closed",
    ]  # fmt: skip
    opened, first, second, left, *_, closed = events
    for each in events:
        assert (each["route"], each["room"]) == ("rooms", "lobby")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["at"])
        age = datetime.now(timezone.utc) - datetime.fromisoformat(each["at"])
        assert 0 <= age.total_seconds() < 20
    assert set(opened) == set(closed) == {"id", "type", "at", "route", "room"}
    assert first["peer"] == {"id": ada.id, "name": "Ada", "role": "member", "address": "127.0.0.1"}
    assert (second["peer"]["id"], second["peer"]["name"]) == (bob.id, BOB)
    assert left["reason"] == "closed" and left["peer"] == first["peer"]
    request = receiver.requests[0]
    (agent,) = request.values("User-Agent")
    assert re.fullmatch(r"sluice/\d+\.\d+\.\d+", agent)
    assert request.values("Content-Type") == ["application/json"]
    deliveries = [each.headers["X-Sluice-Delivery"] for each in receiver.requests]
    assert len(set(deliveries)) == len(deliveries)
    delivered = "sluice_webhook_events_delivered_total"
    eventually(lambda: metric(admin.metrics(), delivered, route="rooms") == 6, "the counts")
    found = admin.metrics()
    for name in ("queue", "attempts_failed_total", "events_dropped_total"):
        assert metric(found, f"sluice_webhook_{name}", route="rooms") == 0


@asynchronous
async def test_why_a_peer_is_gone(enter, receiver):
    keys = [{"algorithm": "HS256", "secret": tokens.SECRET}]
    auth = {"auth": {"jwt": {"keys": keys, "token_from": ["subprotocol"]}}}
    edge, admin = start(enter, settings(receiver, rooms={"resume_window": "200ms"}, route=auth))
    url = edge.url("/rooms/r")

    def token(subject, **claims):
        return tokens.hs256(tokens.claims(sub=subject, room="r", can=["signal"], **claims))

    host = token("hana", role="host")
    (kicked, lost, kept) = [
        await Peer.join(url, token=each)
        for each in (host, token("lost", name="Lost"), token("kept", peer="fixed-id"))
    ]
    assert admin.delete(f"/rooms/rooms/r/peers/{kicked.id}").status == 200
    assert await kicked.ended() == 4003
    lost.cut()
    moved = await Peer.join(url, token=token("kept", peer="fixed-id"))
    assert await kept.ended() == 4000 and moved.id == kept.id == "fixed-id"
    eventually(lambda: len(receiver.events) >= 8, "the departures")
    gone = {
        (each["peer"]["subject"], each["reason"]): each["peer"]
        for each in receiver.events
        if each["type"] == "peer.left"
    }
    assert set(gone) == {("hana", "kicked"), ("lost", "timeout"), ("kept", "moved")}
    assert gone["hana", "kicked"]["role"] == "host"
    assert gone["lost", "timeout"]["name"] == "Lost"


@asynchronous
async def test_what_happened_meanwhile_is_told_together(enter, receiver):
    """One request at a time: what comes during one is in the next, a hundred at most."""
    edge, _ = start(enter, settings(receiver, workers=2))
    gate = threading.Event()
    receiver.answers = Answer(200, holds=gate)
    first = await Peer.join(edge.url("/rooms/r-0"))
    eventually(lambda: receiver.count == 1, "the first request")
    peers = [await Peer.join(edge.url(f"/rooms/r-{number % 10}")) for number in range(240)]
    assert receiver.count == 1
    receiver.answers = TAKEN
    gate.set()
    opened = {each["room"] for each in receiver.until(10 + 241) if each["type"] == "room.opened"}
    assert len(opened) == 10
    assert is_in_order(receiver.events)
    sizes = [len(body["events"]) for body in receiver.taken]
    assert sizes[0] <= 2 and max(sizes) == 100 and len(sizes) <= 5, sizes
    ids = [each["peer"]["id"] for each in receiver.events if each["type"] == "peer.joined"]
    assert set(ids) == {each.id for each in [first, *peers]}


@asynchronous
async def test_a_room_is_told_in_order_over_workers(enter, receiver):
    edge, _ = start(enter, settings(receiver, workers=2, rooms={"empty_room_ttl": "0s"}))

    async def visit(number):
        for turn in range(4):
            peer = await Peer.join(edge.url(f"/rooms/r-{number}"), name=f"{turn}")
            await peer.send("leave")
            await peer.ended()

    await asyncio.gather(*(visit(number) for number in range(20)))
    events = receiver.until(20 * 4 * 4)
    assert is_in_order(events)
    for number in range(20):
        mine = told([each for each in events if each["room"] == f"r-{number}"])
        assert mine == [
            each
            for turn in map(str, range(4))
            for each in (
                ("room.opened", None), ("peer.joined", turn), ("peer.left", turn),
                ("room.closed", None),
            )
        ]  # fmt: skip


# What fails ---------------------------------------------------------------------------------------


@asynchronous
async def test_a_failure_is_repeated(enter, receiver):
    edge, admin = start(enter, settings(receiver))
    receiver.answers = Answer(500)
    peer = await Peer.join(edge.url("/rooms/r"), name="Ada")
    eventually(lambda: receiver.count == 3, "three attempts")
    await peer.send("leave")
    receiver.answers = TAKEN
    assert told(receiver.until(3)) == [
        ("room.opened", None), ("peer.joined", "Ada"), ("peer.left", "Ada"),
    ]  # fmt: skip
    assert is_in_order(receiver.events)
    attempts = [each for each in receiver.requests if each.body == receiver.requests[0].body]
    assert len(attempts) == 4
    assert len({each.headers["X-Sluice-Delivery"] for each in attempts}) == 1
    record = edge.wait_for(RECOVERS)
    assert (record["failed"], record["dropped"]) == ("3", "0")
    (failure,) = edge.records(FAILS)
    assert failure["reason"] == "the status is 500" and failure["url"] == receiver.url
    delivered = "sluice_webhook_events_delivered_total"
    eventually(lambda: metric(admin.metrics(), delivered, route="rooms") == 3, "the counts")
    assert metric(admin.metrics(), "sluice_webhook_attempts_failed_total", route="rooms") == 3


@asynchronous
async def test_a_receiver_is_down_and_comes_back(enter, unused_port):
    edge, admin = start(enter, settings(f"http://127.0.0.1:{unused_port}/hooks?key=1"))
    edge.configure(settings("http://127.0.0.1:1/"))
    names = [f"{number}" for number in range(60)]
    for name in names:
        peer = await Peer.join(edge.url("/rooms/r"), name=name)
        await peer.send("leave")
        await peer.ended()
    edge.wait_for(FAILS)
    assert metric(admin.metrics(), "sluice_webhook_queue", route="rooms") == 121
    receiver = enter(Receiver(port=unused_port))
    events = receiver.until(121)
    expected = [("room.opened", None)]
    expected += [(word, name) for name in names for word in ("peer.joined", "peer.left")]
    assert told(events) == expected and is_in_order(events)
    assert {each.path for each in receiver.requests} == {"/hooks?key=1"}
    edge.wait_for(RECOVERS)
    (failure,) = edge.records(FAILS)
    assert "key" not in failure["url"]
    queue = "sluice_webhook_queue"
    eventually(lambda: metric(admin.metrics(), queue, route="rooms") == 0, "an empty queue")
    assert metric(admin.metrics(), "sluice_webhook_events_dropped_total", route="rooms") == 0


@asynchronous
async def test_the_queue_is_bounded(enter, unused_port):
    edge, admin = start(enter, settings(f"http://127.0.0.1:{unused_port}/", hook={"queue": 100}))
    first = await Peer.join(edge.url("/rooms/r"), name="first")
    edge.wait_for(FAILS)
    for number in range(80):
        peer = await Peer.join(edge.url("/rooms/r"), name=f"{number}")
        await peer.send("leave")
        await peer.ended()
    await first.settle()
    # Those of the request that is repeated do not wait.
    found = admin.metrics()
    waiting = metric(found, "sluice_webhook_queue", route="rooms")
    dropped = metric(found, "sluice_webhook_events_dropped_total", reason="queue_full")
    assert waiting + dropped == 2 + 160 and 101 <= waiting <= 102
    assert len(edge.records("webhook queue full: the oldest events are dropped")) == 1
    receiver = enter(Receiver(port=unused_port))
    events = receiver.until(waiting)
    expected = [("room.opened", None), ("peer.joined", "first")]
    expected += [(word, f"{n}") for n in range(80) for word in ("peer.joined", "peer.left")]
    under_way = int(waiting) - 100
    assert told(events) == expected[:under_way] + expected[-100:]
    assert is_in_order(events)
    record = edge.wait_for(RECOVERS)
    assert int(record["dropped"]) == dropped


@asynchronous
async def test_a_receiver_that_hangs_is_in_nobodys_way(enter, receiver):
    gate = threading.Event()
    receiver.answers = Answer(200, holds=gate)
    edge, admin = start(enter, settings(receiver, hook={"timeout": "300ms"}))
    ada, bob = await joined(edge.url("/rooms/r"), 2)
    eventually(lambda: receiver.count >= 1, "the first request")
    waits = []
    until = receiver.count + 3
    while receiver.count < until:
        began = time.monotonic()
        await ada.acknowledged("signal", to=bob.id, kind="custom", data=len(waits))
        visitor = await Peer.join(edge.url("/rooms/other"))
        await visitor.send("leave")
        waits.append(time.monotonic() - began)
    assert len(waits) > 30
    assert sorted(waits)[len(waits) // 2] < 0.05 and max(waits) < 1, max(waits)
    assert [each["data"] for each in bob.inbox[:3]] == [0, 1, 2]
    assert metric(admin.metrics(), "sluice_webhook_attempts_failed_total", route="rooms") >= 2
    (failure,) = edge.records(FAILS)
    assert failure["reason"] == "timed out"
    gate.set()
    receiver.answers = TAKEN
    events = receiver.until(3 + 1 + 2 * len(waits))
    assert is_in_order(events)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
@asynchronous
async def test_who_says_no_is_believed(enter, receiver, status):
    receiver.answers = Answer(status)
    edge, admin = start(enter, settings(receiver))
    for turn in range(3):
        await Peer.join(edge.url(f"/rooms/{turn}"))
    dropped = "sluice_webhook_events_dropped_total"
    eventually(lambda: metric(admin.metrics(), dropped, reason="refused") == 6, "refusals")
    assert len({each.body for each in receiver.requests}) == receiver.count
    (record,) = edge.records("webhook refused: its events are dropped")
    assert record["reason"] == f"the status is {status}"
    receiver.answers = TAKEN
    await Peer.join(edge.url("/rooms/r"), name="Ada")
    assert ("peer.joined", "Ada") in told(receiver.until(2))
    assert edge.wait_for(RECOVERS)["dropped"] == "6"
    assert metric(admin.metrics(), "sluice_webhook_attempts_failed_total") == 0


@pytest.mark.parametrize("status", [408, 302, 503])
@asynchronous
async def test_what_may_get_better_is_repeated(enter, receiver, status):
    elsewhere = enter(Receiver())
    receiver.answers = Answer(status, fields=[("Location", elsewhere.url)])
    edge, _ = start(enter, settings(receiver))
    await Peer.join(edge.url("/rooms/r"))
    eventually(lambda: receiver.count == 2, "a second attempt")
    receiver.answers = TAKEN
    receiver.until(2)
    assert elsewhere.count == 0


@pytest.mark.parametrize("form", ["seconds", "date"])
@asynchronous
async def test_a_receiver_says_when(enter, receiver, form):
    times = []

    def answer(request):
        times.append(time.monotonic())
        if len(times) > 1:
            return TAKEN
        date = format_datetime(datetime.fromtimestamp(time.time() + 4, timezone.utc), usegmt=True)
        return Answer(429, fields=[("Retry-After", "3" if form == "seconds" else date)])

    receiver.answers = answer
    edge, _ = start(enter, settings(receiver))
    await Peer.join(edge.url("/rooms/r"))
    receiver.until(2)
    # A date has whole seconds.
    assert 2.9 <= times[1] - times[0] < 6


@asynchronous
async def test_attempts_become_rarer(enter, receiver):
    times = []

    def answer(request):
        times.append(time.monotonic())
        return Answer(502)

    receiver.answers = answer
    edge, _ = start(enter, settings(receiver))
    await Peer.join(edge.url("/rooms/r"))
    eventually(lambda: len(times) == 4, "four attempts", 20)
    waits = [two - one for one, two in zip(times, times[1:])]
    # 1 s, 2 s and 4 s, each but for as much as half of it.
    for wait, most in zip(waits, (1, 2, 4)):
        assert most / 2 <= wait < most + 0.5, waits


@asynchronous
async def test_connections_that_break(enter, receiver):
    """A receiver that is cut off in the midst, and one that closes a kept connection."""
    receiver.answers = Answer(closes=True)
    edge, admin = start(enter, settings(receiver))
    await Peer.join(edge.url("/rooms/r"))
    edge.wait_for(FAILS)
    receiver.answers = Answer(200, "x" * 200_000)
    receiver.until(2)
    receiver.answers = Answer(200, fields=[("Connection", "close")])
    for number in range(5):
        await Peer.join(edge.url("/rooms/r"))
        receiver.until(3 + number)
    assert len(edge.records(FAILS)) == 1


@asynchronous
async def test_one_receiver_does_not_wait_for_another(enter, receiver, unused_port):
    hooks = settings(receiver)
    other = settings(f"http://127.0.0.1:{unused_port}/")["routes"][0]
    hooks["routes"].append(other | {"name": "other", "match": {"path": "/other/"}})
    edge, admin = start(enter, hooks)
    for number in range(10):
        await Peer.join(edge.url(f"/other/{number}"))
        await Peer.join(edge.url(f"/rooms/{number}"))
    assert {each["route"] for each in receiver.until(20)} == {"rooms"}
    assert metric(admin.metrics(), "sluice_webhook_queue", route="other") == 20


# Reloads and ends ---------------------------------------------------------------------------------


@asynchronous
async def test_a_reload_changes_secret_and_receiver(enter, receiver):
    receiver.answers = Answer(500, fields=[("Retry-After", "60")])
    edge, admin = start(enter, settings(receiver))
    await Peer.join(edge.url("/rooms/r"), name="Ada")
    edge.wait_for(FAILS)
    other = enter(Receiver(secret="another-secret-of-16-octets"))
    edge.reload(settings(other, hook={"secret": other.secret}))
    # What waited is told at once, and who is told now knows the other secret.
    assert told(other.until(2)) == [("room.opened", None), ("peer.joined", "Ada")]
    bodies = [each.body for each in (*receiver.requests, *other.requests)]
    assert bodies[0] == bodies[1], "the request that failed, as it was"
    count = receiver.count
    await Peer.join(edge.url("/rooms/r"), name="Bob")
    assert told(other.until(3))[-1] == ("peer.joined", "Bob")
    assert receiver.count == count
    # A reload that is refused changes nothing.
    edge.reload(json.dumps(settings(receiver) | {"surprise": 1}))
    await Peer.join(edge.url("/rooms/r"), name="Eve")
    other.until(4)


@asynchronous
async def test_a_reload_begins_and_ends_it(enter, receiver):
    edge, admin = start(enter, configuration())
    await Peer.join(edge.url("/rooms/r"), name="before")
    edge.reload(settings(receiver))
    await Peer.join(edge.url("/rooms/r"), name="Ada")
    assert told(receiver.until(1)) == [("peer.joined", "Ada")]
    receiver.answers = Answer(500)
    await Peer.join(edge.url("/rooms/r"), name="Bob")
    edge.wait_for(FAILS)
    edge.reload(configuration())
    found = admin.metrics()
    assert metric(found, "sluice_webhook_queue", route="rooms") == 0
    assert metric(found, "sluice_webhook_events_dropped_total", reason="removed") == 1
    assert metric(found, "sluice_webhook_events_delivered_total", route="rooms") == 1
    receiver.answers = TAKEN
    edge.reload(settings(receiver))
    await Peer.join(edge.url("/rooms/r"), name="Eve")
    assert told(receiver.until(2))[-1] == ("peer.joined", "Eve")


@asynchronous
async def test_the_peers_of_a_route_that_is_gone_are_told(enter, receiver):
    rooms = {"resume_window": "200ms", "empty_room_ttl": "0s"}
    edge, _ = start(enter, settings(receiver, rooms=rooms))
    ada = await Peer.join(edge.url("/rooms/r"), name="Ada")
    receiver.until(2)
    other = configuration(drain_over="0s")
    other["routes"][0] |= {"name": "other", "match": {"path": "/other/"}}
    edge.reload(other)
    assert await ada.ended() == 4201
    events = receiver.until(4)
    assert told(events)[2:] == [("peer.left", "Ada"), ("room.closed", None)]
    assert events[2]["reason"] == "timeout"


@asynchronous
async def test_the_end_waits_for_what_can_be_told(enter, unused_port):
    edge, _ = start(enter, settings(f"http://127.0.0.1:{unused_port}/", shutdown_grace="1s"))
    for number in range(200):
        peer = await Peer.join(edge.url("/rooms/r"), name=f"{number}")
        await peer.send("leave")
        await peer.ended()
    edge.wait_for(FAILS)
    receiver = enter(Receiver(port=unused_port))
    edge.signal()
    assert edge.wait_for_exit() == 0
    assert len(receiver.events) == 401 and is_in_order(receiver.events)
    assert not edge.records("webhook events are lost: the process ends")


@pytest.mark.parametrize("way", ["down", "hangs"])
@asynchronous
async def test_the_end_is_not_held_up(enter, unused_port, way):
    if way == "hangs":
        enter(Receiver(Answer(holds=threading.Event()), port=unused_port))
    url = f"http://127.0.0.1:{unused_port}/"
    edge, _ = start(enter, settings(url, hook={"timeout": "30s"}, shutdown_grace="1s"))
    peer = await Peer.join(edge.url("/rooms/r"))
    await peer.send("leave")
    await peer.ended()
    if way == "down":
        edge.wait_for(FAILS)
    began = time.monotonic()
    edge.signal()
    assert edge.wait_for_exit() == 0
    took = time.monotonic() - began
    assert took < (2 if way == "down" else 5.5), took
    (lost,) = edge.records("webhook events are lost: the process ends")
    assert (lost["route"], lost["events"]) == ("rooms", "3")


@asynchronous
async def test_nobody_is_told_where_nobody_asked(enter):
    """Rooms per client are counted with the same notices."""
    edge, admin = start(enter, configuration({"limits": {"rooms_per_client": 1}}))
    await Peer.join(edge.url("/rooms/r"))
    assert not [name for name, _ in admin.metrics() if name.startswith("sluice_webhook")]


@asynchronous
async def test_a_receiver_under_tls_is_verified(enter, localhost):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*localhost)
    receiver = enter(Receiver(tls=context))
    edge, _ = start(enter, settings(receiver))
    await Peer.join(edge.url("/rooms/r"))
    assert "CERTIFICATE_VERIFY_FAILED" in edge.wait_for(FAILS)["reason"]
    assert receiver.count == 0
