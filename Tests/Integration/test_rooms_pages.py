"""What a route with rooms serves beside them, and what the log has of it all."""

import asyncio

import pytest

from harness.room_fixtures import edge, path, start, url  # noqa: F401
from harness.rooms import (
    Peer, asynchronous, check_refused, open_wire, read_to_close,
)  # fmt: skip
from harness.wire import Response, ask, connect, tunnel, upgrade_head


# MARK: Pages


def get(edge, target, method="GET", fields=()):
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in fields]
    with connect(edge.address) as wire:
        wire.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        if method == "HEAD":
            response = Response(wire.read_until(b"\r\n\r\n"))
            assert wire.read_to_end() == b""
            return response
        return wire.read_response()


PAGES = {"demo": ("text/html", b"<script"), "client.js": ("text/javascript", b"RoomClient")}


@pytest.mark.parametrize("page", PAGES)
def test_pages(edge, page):
    kind, part = PAGES[page]
    response = get(edge, f"/rooms/{page}")
    assert response.status == 200
    assert response["Content-Type"].startswith(kind)
    assert int(response["Content-Length"]) == len(response.body) and part in response.body
    assert response["X-Content-Type-Options"] == "nosniff"
    if page == "demo":
        assert "default-src 'none'" in response["Content-Security-Policy"]
    assert get(edge, f"/rooms/{page}?x=1").body == response.body

    head = get(edge, f"/rooms/{page}", "HEAD")
    assert head.status == 200
    assert head["Content-Length"] == response["Content-Length"]

    tag = response["ETag"]
    for fields in ([("If-None-Match", tag)], [("If-None-Match", f'"other", {tag}')]):
        again = get(edge, f"/rooms/{page}", fields=fields)
        assert again.status == 304 and again["ETag"] == tag and again.body == b""
    assert get(edge, f"/rooms/{page}", fields=[("If-None-Match", '"other"')]).status == 200

    for method in ("POST", "PUT", "DELETE"):
        refused = get(edge, f"/rooms/{page}", method, fields=[("Content-Length", "0")])
        assert refused.status == 405 and "GET" in refused["Allow"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_that_are_not_served(start, page):
    edge = start({"demo": False})
    response = get(edge, f"/rooms/{page}")
    assert 400 <= response.status < 500 and PAGES[page][1] not in response.body
    with open_wire(edge, f"/rooms/{page}") as wire:
        assert wire.welcome["room"]["name"] == page


def test_a_request_that_is_no_upgrade(edge):
    response = get(edge, "/rooms/standup")
    assert 400 <= response.status < 500


# MARK: The log


@asynchronous
async def test_secrets_are_not_logged(start):
    edge = start({"password": "open-sesame-123"}, log={"level": "trace"})
    url = edge.url("/rooms/x")
    peer = await Peer.join(url, password="open-sesame-123")
    name = peer.resume_name
    peer.cut()
    await peer.resume()
    # Not where they are wrong, nor where the member's name is encoded.
    await check_refused(url, 4002, password="wrong-sesame-456")
    with tunnel(edge.address, "/rooms/x?p%61ssword=hidden-sesame-789&r%65sume=hidden-name") as wire:
        read_to_close(wire)
    # Not where the handshake is refused.
    bad = upgrade_head(
        f"/rooms/x?password=open-sesame-123&resume={name}",
        fields=[("Sec-WebSocket-Protocol", "chat")],
    )
    assert ask(edge.address, bad).status == 400
    await peer.refused("not_in_room", "join", password="open-sesame-123", resume=name)
    await peer.close()
    edge.wait_for("peer", peer=peer.id, count=2)
    edge.wait_for("request", status=400)
    for secret in ("sesame", name, name.rpartition(".")[2], "hidden-name"):
        assert secret not in edge.text, f"{secret} is in the log"


@asynchronous
async def test_the_access_record(edge, url):
    peer = await Peer.join(url, name="Ada")
    await peer.acknowledged("broadcast", data=1)
    await peer.close()
    record = await asyncio.to_thread(edge.wait_for, "peer", peer=peer.id)
    assert record["room"] == url.rpartition("/")[2] and record["route"] == "rooms"
    assert (record["close_code"], record["status"]) == (1000, 101)
    assert record["messages_in"] == 1
