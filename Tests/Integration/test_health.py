"""Servers that fall ill, die, come back, or are taken out of service."""

import asyncio
import os
import signal
import socket
import ssl
import time
from collections import Counter
from contextlib import suppress

import pytest

from harness.backends import NodeBackend, ScriptedBackend, WebSocketsBackend, echo, switching
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import ask, frame, tunnel, upgrade_head

CHECK = {
    "path": "/healthz", "interval": "100ms", "timeout": "300ms",
    "unhealthy_after": 2, "healthy_after": 2,
}  # fmt: skip


class Patient:
    """A backend that answers probes as it is told, and upgrades always."""

    def __init__(self):
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        self.probes, self.upgrades = [], []
        self.backend = ScriptedBackend(self.script)

    def script(self, wire):
        if wire.request.target == "/healthz":
            self.probes.append(wire.request)
            if callable(self.answer):
                self.answer(wire)
            elif self.answer:
                wire.send(self.answer)
            else:
                wire.read_to_end()
        else:
            self.upgrades.append(wire.request)
            echo(wire)

    def __enter__(self):
        self.backend.__enter__()
        self.url = self.backend.url
        return self

    def __exit__(self, *arguments):
        self.backend.__exit__(*arguments)


def settings(*patients, check=None, **upstream):
    check = CHECK | (check or {})
    return configuration(
        *(patient.url for patient in patients), upstream={"health_check": check} | upstream
    )


ILL = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def server(record):
    return record["upstream"].split()[0]


def test_a_server_that_falls_ill_and_recovers(enter):
    ill, well = enter(Patient()), enter(Patient())
    edge = enter(Edge(settings(ill, well)))
    eventually(lambda: len(ill.probes) > 2 and len(well.probes) > 2, "probes")
    assert ill.probes[0]["Host"] == ill.backend.address
    ill.answer = ILL
    record = edge.wait_for("server unhealthy")
    assert server(record) == ill.url and record["probe"] == "status 500", record
    before = len(ill.upgrades)
    for _ in range(10):
        with tunnel(edge.address) as wire:
            wire.echoes()
    assert len(ill.upgrades) == before and len(well.upgrades) == 10
    ill.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    edge.wait_for("server healthy")
    for _ in range(10):
        with tunnel(edge.address) as wire:
            wire.echoes()
    assert len(ill.upgrades) == before + 5


@pytest.mark.parametrize(
    "answer, words",
    [
        (None, "timed out"),
        (lambda wire: wire.close(), "closed before an answer"),
        (lambda wire: wire.reset(), ""),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is no HTTP head"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", "the answer is no HTTP head"),
    ],
)
def test_bad_answers(enter, answer, words):
    patient = enter(Patient())
    patient.answer = answer
    edge = enter(Edge(settings(patient, check={"statuses": "200-299"})))
    record = edge.wait_for("server unhealthy")
    assert words in record["probe"], record
    refusal = ask(edge.address, upgrade_head())
    assert refusal.status == 503 and refusal.json["error"] == "no_healthy_server"


def test_interim_answers_do_not_count(enter):
    patient = enter(Patient())
    patient.answer = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    edge = enter(Edge(settings(patient)))
    assert edge.wait_for("server unhealthy")["probe"] == "status 503"


def test_a_server_that_cannot_be_reached(enter):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
    well = enter(Patient())
    upstream = {"health_check": CHECK}
    edge = enter(Edge(configuration(f"ws://{address}", well.url, upstream=upstream)))
    assert "refused" in edge.wait_for("server unhealthy")["probe"]
    for _ in range(6):
        with tunnel(edge.address) as wire:
            wire.echoes()
    assert not edge.records("upstream attempt failed")


def test_probes_are_upgrades(enter):
    """A server that speaks nothing but WebSocket is asked for that; the connection is closed in order."""
    closes, answers = [], [switching]

    def script(wire):
        wire.send(answers[0](wire.request))
        with suppress(EOFError):
            closes.append(wire.read_frame())

    backend = enter(ScriptedBackend(script))
    check = {"health_check": CHECK | {"request": "upgrade", "path": "/ws"}}
    edge = enter(Edge(configuration(backend.url, upstream=check)))
    eventually(lambda: len(closes) >= 3, "probes")
    assert closes[0] == (8, b"\x03\xe8", True)
    assert backend.requests[0].target == "/ws"
    answers[0] = lambda request: switching(request, Sec_WebSocket_Accept="wrong")
    edge.wait_for("server unhealthy")
    answers[0] = switching
    edge.wait_for("server healthy")


def test_probes_are_made_over_tls(enter, authority, localhost):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, localhost))
    backend = enter(WebSocketsBackend(ssl=context))
    check = {"health_check": CHECK | {"request": "upgrade", "path": "/"}, "tls": {"ca": authority.ca}}
    url = "wss://localhost:" + backend.address.partition(":")[2]
    edge = enter(Edge(configuration(url, upstream=check)))
    eventually(lambda: len(backend.requests) > 2, "probes")
    assert not edge.records("server unhealthy")


@pytest.mark.parametrize("action", ["close", "keep"])
def test_tunnels_of_a_dead_server(enter, action):
    ill, well = enter(Patient()), enter(Patient())
    edge = enter(Edge(settings(ill, well, check={"on_unhealthy": action})))
    wires = []
    for _ in range(8):
        before = len(ill.upgrades)
        wires.append((tunnel(edge.address), len(ill.upgrades) > before))
    assert sum(is_ill for _, is_ill in wires) == 4
    ill.answer = ILL
    edge.wait_for("server unhealthy")
    for wire, is_ill in wires:
        if is_ill and action == "close":
            close = wire.read_close()
            assert (close.code, close.reason) == (1012, "the server is gone")
            wire.answer_close(close)
        else:
            wire.echoes()
    if action == "close":
        edge.wait_for("tunnel", count=4, reason="server_dead", closed_by="edge", timeout=15)
    for wire, _ in wires:
        wire.close()


def test_a_reload_keeps_what_is_known(enter):
    ill, well = enter(Patient()), enter(Patient())
    ill.answer = ILL
    parts = settings(ill, well)
    edge = enter(Edge(parts, options=["--no-watch"]))
    edge.wait_for("server unhealthy")
    parts["routes"][0]["idle_timeout"] = "99s"
    edge.reload(parts)
    for _ in range(4):
        with tunnel(edge.address) as wire:
            wire.echoes()
    assert not ill.upgrades


def test_a_check_that_is_taken_away(enter):
    patient = enter(Patient())
    patient.answer = ILL
    edge = enter(Edge(settings(patient), options=["--no-watch"]))
    edge.wait_for("server unhealthy")
    assert ask(edge.address, upgrade_head()).status == 503
    edge.reload(configuration(patient.url))
    with tunnel(edge.address) as wire:
        wire.echoes()


# Ejection ----------------------------------------------------------------------------------------


def test_a_server_that_fails_its_clients_is_passed_over(enter):
    bad = enter(ScriptedBackend(lambda wire: wire.send(b"HTTP/1.1 101 No\r\n\r\n")))
    good = enter(ScriptedBackend())
    eject = {"consecutive_failures": 3, "for": "2s"}
    edge = enter(Edge(configuration(bad.url, good.url, upstream={"eject": eject, "retries": 0})))
    statuses = Counter(ask(edge.address, upgrade_head()).status for _ in range(20))
    assert statuses == {502: 3, 101: 17}, statuses
    edge.wait_for("server ejected")
    # It is given another chance, and then passed over for longer.
    eventually(lambda: ask(edge.address, upgrade_head()).status == 502, "another chance", 10)


def test_the_last_server_is_not_given_up(enter):
    answers = [b"HTTP/1.1 101 No\r\n\r\n"]

    def script(wire):
        if answers[0]:
            wire.send(answers[0])
        else:
            echo(wire)

    backend = enter(ScriptedBackend(script))
    eject = {"consecutive_failures": 2, "for": "1h"}
    edge = enter(Edge(configuration(backend.url, upstream={"eject": eject})))
    for _ in range(4):
        assert ask(edge.address, upgrade_head()).status == 502
    edge.wait_for("server ejected")
    answers[0] = None
    with tunnel(edge.address) as wire:
        wire.echoes()


# Out of service ----------------------------------------------------------------------------------


def test_a_server_that_drains_takes_nothing_new(enter):
    stays, drains = enter(ScriptedBackend()), enter(ScriptedBackend())
    edge = enter(Edge(configuration(stays.url, drains.url), options=["--no-watch"]))
    wires = [tunnel(edge.address) for _ in range(6)]
    assert len(drains.requests) == 3
    edge.reload(configuration(stays.url, {"url": drains.url, "drain": True}))
    for _ in range(6):
        with tunnel(edge.address) as wire:
            wire.echoes()
    assert len(drains.requests) == 3
    for wire in wires:
        wire.echoes()
        wire.close()


def test_all_servers_drain(enter):
    backend = enter(ScriptedBackend())
    edge = enter(Edge(configuration({"url": backend.url, "drain": True})))
    assert ask(edge.address, upgrade_head()).status == 503


def test_a_backend_is_killed_under_load(enter):
    """kill -9 of one among three: clients of the other two notice nothing, its own come back."""
    backends = [enter(NodeBackend()) for _ in range(3)]
    check = {"interval": "100ms", "timeout": "300ms", "unhealthy_after": 2, "request": "upgrade"}
    edge = enter(
        Edge(
            configuration(
                *(backend.url for backend in backends),
                upstream={"health_check": check}, log={"access": False},
            )
        )
    )
    result = asyncio.run(talk_while_one_dies(edge, backends[0]))
    assert result["lost"] and set(result["lost"]) <= {1011, 1012}, result
    assert sum(result["lost"].values()) <= result["of the dead"], result
    assert result["refused"] == 0, result
    edge.wait_for("server unhealthy")


async def talk_while_one_dies(edge, victim, clients=60, seconds=4.0):
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus

    result = {"lost": Counter(), "refused": 0, "messages": 0, "of the dead": 0}
    end = time.monotonic() + seconds

    async def talk():
        while time.monotonic() < end:
            try:
                async with connect(edge.url(), proxy=None, compression=None) as socket:
                    while time.monotonic() < end:
                        await socket.send("hello")
                        assert await asyncio.wait_for(socket.recv(), 10) == "hello"
                        result["messages"] += 1
                        await asyncio.sleep(0.02)
            except ConnectionClosed as closed:
                result["lost"][closed.rcvd.code if closed.rcvd else 1006] += 1
            except InvalidStatus:
                result["refused"] += 1

    async def kill():
        await asyncio.sleep(seconds / 4)
        result["of the dead"] = clients // 3 + 1
        os.kill(victim.process.pid, signal.SIGKILL)

    await asyncio.gather(kill(), *(talk() for _ in range(clients)))
    return result


# Balance -----------------------------------------------------------------------------------------


def test_tunnels_are_counted_over_all_workers(enter):
    backends = [enter(ScriptedBackend()) for _ in range(2)]
    servers = [{"url": backends[0].url, "weight": 3}, backends[1].url]
    edge = enter(
        Edge(configuration(*servers, upstream={"balance": "least_connections"}, workers=4))
    )
    wires = [enter(tunnel(edge.address)) for _ in range(40)]
    assert [len(backend.requests) for backend in backends] == [30, 10]
    # Those that end make room where they were.
    counts = [30, 10]
    for wire in wires[:20]:
        wire.close()
    edge.wait_for("tunnel", count=20)
    ended = Counter(server(record) for record in edge.records("tunnel"))
    left = [count - ended[backend.url] for count, backend in zip(counts, backends, strict=True)]
    more = [enter(tunnel(edge.address)) for _ in range(20)]
    now = [len(backend.requests) - 30 * (1 - n) - 10 * n for n, backend in enumerate(backends)]
    assert [l + n for l, n in zip(left, now, strict=True)] == [30, 10]
    assert more


HASHED = {
    "header:X-User": lambda user: {"fields": [("X-User", user)]},
    "cookie:session": lambda user: {"fields": [("Cookie", f"a=b; session={user}; c=d")]},
    "query:room": lambda user: {"target": f"/?x=y&room={user}"},
}


@pytest.mark.parametrize("key", HASHED)
def test_one_session_one_server(enter, key):
    backends = [enter(ScriptedBackend()) for _ in range(4)]
    upstream = {"balance": "hash", "hash_on": key}
    parts = configuration(*(each.url for each in backends), upstream=upstream)
    edge = enter(Edge(parts, options=["--no-watch"]))
    users = [f"user-{number}" for number in range(40)]

    def places():
        found = {}
        for user in users:
            before = [len(each.requests) for each in backends]
            with tunnel(edge.address, **HASHED[key](user)):
                pass
            after = [len(each.requests) for each in backends]
            found[user] = [a > b for a, b in zip(after, before, strict=True)].index(True)
        return found

    first = places()
    assert len(set(first.values())) == 4, "all servers have their part"
    assert places() == first
    # One that goes moves its own sessions alone.
    parts["upstreams"][0]["servers"] = [each.url for each in backends[:3]]
    edge.reload(parts)
    for user, place in places().items():
        assert place != 3 and (place == first[user] or first[user] == 3)


def test_the_client_address_is_hashed(enter):
    backends = [enter(ScriptedBackend()) for _ in range(3)]
    upstream = {"balance": "hash", "hash_on": "client_address"}
    edge = enter(Edge(configuration(*(each.url for each in backends), upstream=upstream)))
    for _ in range(9):
        with tunnel(edge.address):
            pass
    assert sorted(len(each.requests) for each in backends) == [0, 0, 9]


def cookie_of(response):
    (text,) = response.values("Set-Cookie")
    value, *attributes = text.split("; ")
    return value, attributes


def open_with(edge, cookie=None, tls=None):
    fields = [("Cookie", cookie)] if cookie else []
    return ask(edge.address, upgrade_head(fields=fields), tls=tls)


def test_a_cookie_leads_back(enter):
    backends = [enter(ScriptedBackend()) for _ in range(4)]
    upstream = {"sticky_cookie": {"name": "where", "ttl": "1h", "same_site": "strict"}}
    parts = configuration(*(each.url for each in backends), upstream=upstream)
    edge = enter(Edge(parts, options=["--no-watch"]))
    cookie, attributes = cookie_of(open_with(edge))
    assert cookie.startswith("where=") and "127.0.0.1" not in cookie
    assert attributes == ["Path=/", "Max-Age=3600", "HttpOnly", "SameSite=Strict"]
    home = [len(each.requests) for each in backends].index(1)
    for _ in range(8):
        response = open_with(edge, cookie)
        assert not response.values("Set-Cookie"), "it has a good one"
    assert [len(each.requests) for each in backends][home] == 9
    # A reload, and a process that takes over, know it.
    edge.reload(parts | {"drain_over": "7s"})
    open_with(edge, cookie)
    assert len(backends[home].requests) == 10
    # One that was tampered with is as good as none.
    broken = cookie[:-2] + ("AA" if cookie[-2:] != "AA" else "BB")
    assert open_with(edge, broken).values("Set-Cookie")
    # A server that is gone is replaced, and the client is told where it is from now on.
    parts["upstreams"][0]["servers"] = [
        each.url for place, each in enumerate(backends) if place != home
    ]
    edge.reload(parts)
    moved, _ = cookie_of(open_with(edge, cookie))
    assert not open_with(edge, moved).values("Set-Cookie")


def test_a_cookie_is_secure_over_tls(enter, authority, localhost):
    backend = enter(ScriptedBackend())
    tls = {"certificates": [{"certificate": str(localhost[0]), "key": str(localhost[1])}]}
    upstream = {"sticky_cookie": {"ttl": "1h", "same_site": "none"}}
    listeners = [{"address": "127.0.0.1:0", "tls": tls}]
    edge = enter(Edge(configuration(backend.url, upstream=upstream, listeners=listeners)))
    cookie, attributes = cookie_of(
        open_with(edge, tls=ssl.create_default_context(cafile=authority.ca))
    )
    assert cookie.startswith("sluice_server=")
    assert {"Secure", "SameSite=None", "HttpOnly"} <= set(attributes)


def test_a_cookie_outlives_the_process(enter, request):
    backends = [enter(ScriptedBackend()) for _ in range(4)]
    upstream = {"sticky_cookie": {"ttl": "1h"}}
    parts = configuration(*(each.url for each in backends), upstream=upstream, shutdown_grace="1s")
    edge = enter(Edge(parts))
    cookie, _ = cookie_of(open_with(edge))
    edge.process.send_signal(signal.SIGUSR2)
    number = int(edge.wait_for("ready", count=2)["pid"])
    request.addfinalizer(lambda: os.kill(number, signal.SIGKILL))
    edge.is_stopped = True
    assert edge.process.wait(10) == 0
    assert not open_with(edge, cookie).values("Set-Cookie")
