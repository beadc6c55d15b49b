"""WebRTC for real: two aiortc peers find each other in a room and talk over a data channel."""

import asyncio

import aioice.ice
import pytest
from aiortc import (
    RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection, RTCSessionDescription,
)  # fmt: skip
from aiortc.sdp import candidate_from_sdp

from harness.edge import Edge
from harness.rooms import asynchronous, configuration, joined
from harness.turn import NEW, TurnServer


@pytest.fixture(autouse=True)
def loopback(monkeypatch):
    """aiortc leaves the loopback out, which may be all that there is."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda **_: ["127.0.0.1"])


@pytest.fixture(scope="module")
def edge(enter_for_module):
    return enter_for_module(Edge(configuration(workers=2)))


def split(sdp):
    """A description without its candidates, as browsers send it, and these."""
    lines = sdp.splitlines()
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    assert candidates, sdp
    dropped = (*candidates, "a=end-of-candidates")
    bare = [line for line in lines if line not in dropped]
    mid = next(line for line in lines if line.startswith("a=mid:")).removeprefix("a=mid:")
    listed = [
        {"candidate": line.removeprefix("a="), "sdpMid": mid, "sdpMLineIndex": 0}
        for line in candidates
    ]
    return "\r\n".join([*bare, ""]), listed


class Link:
    """One side of a WebRTC connection, signaled through a room (perfect negotiation).

    aiortc takes no offer back: who gives way begins anew, with another generation.
    """

    def __init__(self, peer, other_id, configuration=None):
        self.peer, self.other = peer, other_id
        self.is_polite = peer.id < other_id
        self.configuration = configuration or RTCConfiguration(iceServers=[])
        self.generation, self.collisions = 0, 0
        self.heard, self.channel = asyncio.Queue(), None
        self.other_generation = 0
        self.connection = self.fresh()

    def fresh(self):
        connection = RTCPeerConnection(self.configuration)

        @connection.on("datachannel")
        def on_channel(channel):
            self.take(channel)

        return connection

    def take(self, channel):
        self.channel = channel
        channel.on("message", self.heard.put_nowait)

    async def signal(self, kind, data):
        await self.peer.acknowledged(
            "signal", to=self.other, kind=kind, data=data, generation=self.generation
        )

    async def tell(self):
        """Sends the other side a description and then the candidates, all at once."""
        description = self.connection.localDescription
        sdp, candidates = split(description.sdp)
        await self.signal(description.type, {"type": description.type, "sdp": sdp})
        await self.signal("candidates", candidates)

    async def offer(self):
        self.take(self.connection.createDataChannel("chat"))
        await self.connection.setLocalDescription(await self.connection.createOffer())

    async def run(self):
        """Does what is signaled, for as long as it is let."""
        while True:
            message = await self.peer.take("signal", from_=self.other, timeout=60)
            match message["kind"]:
                case "offer":
                    await self.offered(message)
                case "answer":
                    await self.connection.setRemoteDescription(described(message))
                case "candidates" if message["generation"] == self.other_generation:
                    for each in message["data"]:
                        candidate = candidate_from_sdp(each["candidate"].partition(":")[2])
                        candidate.sdpMid = each["sdpMid"]
                        candidate.sdpMLineIndex = each["sdpMLineIndex"]
                        await self.connection.addIceCandidate(candidate)
                    await self.connection.addIceCandidate(None)

    async def offered(self, message):
        if self.connection.signalingState != "stable":
            self.collisions += 1
            if not self.is_polite:
                # What belongs to the offer that is not taken is not, either.
                self.other_generation = message["generation"] + 1
                return
            await self.connection.close()
            self.generation += 1
            self.connection = self.fresh()
        self.other_generation = message["generation"]
        await self.connection.setRemoteDescription(described(message))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        await self.tell()

    async def hear(self):
        async with asyncio.timeout(30):
            return await self.heard.get()


def described(message):
    return RTCSessionDescription(**message["data"])


class Links:
    """Both sides, which run until the `with` ends."""

    def __init__(self, *links):
        self.links = links

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(link.run()) for link in self.links]
        return self.links

    async def __aexit__(self, kind, *_):
        for task in self.tasks:
            if task.done():
                task.result()
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await asyncio.gather(*(link.connection.close() for link in self.links))


def is_open(*links):
    return all(link.channel and link.channel.readyState == "open" for link in links)


async def talk(one, two):
    """Messages go both ways over the data channel, and none of them through the room."""
    async with asyncio.timeout(30):
        while not is_open(one, two):
            await asyncio.sleep(0.01)
    before = one.peer.seen + two.peer.seen
    for number in range(20):
        one.channel.send(f"ping {number}")
        assert await two.hear() == f"ping {number}"
        two.channel.send(b"pong %d" % number)
        assert await one.hear() == b"pong %d" % number
    assert one.peer.seen + two.peer.seen == before


@asynchronous
async def test_an_offer_and_an_answer(edge):
    ada, bob = await joined(edge.url("/rooms/call"), 2)
    async with Links(Link(ada, bob.id), Link(bob, ada.id)) as (one, two):
        await one.offer()
        await one.tell()
        await talk(one, two)
        assert one.connection.connectionState == "connected"


@asynchronous
async def test_both_offer_at_once(edge):
    """One of them is polite, and gives way."""
    ada, bob = await joined(edge.url("/rooms/glare"), 2)
    async with Links(Link(ada, bob.id), Link(bob, ada.id)) as (one, two):
        assert one.is_polite != two.is_polite
        polite = [
            each["polite"] for peer in (ada, bob) for message in (peer.welcome, *peer.pending)
            for each in (*message.get("peers", []), *message.get("joined", []), message)
            if "polite" in each
        ]  # fmt: skip
        assert sorted(set(polite)) == [False, True]
        # Both have an offer of their own before either hears of the other's.
        await asyncio.gather(one.offer(), two.offer())
        await asyncio.gather(one.tell(), two.tell())
        await talk(one, two)
        assert (one.collisions, two.collisions) == (1, 1)
        giving = one if one.is_polite else two
        assert (giving.generation, giving.other_generation) == (1, 0)


@asynchronous
async def test_the_room_may_go_meanwhile(edge):
    """Offer and answer wait for a peer whose WebSocket is gone; the call outlives both."""
    ada, bob = await joined(edge.url("/rooms/outage"), 2)
    one, two = Link(ada, bob.id), Link(bob, ada.id)
    await one.offer()
    bob.cut()
    while (await ada.ask("signal", to=bob.id, kind="custom", data="away?"))["delivered"]:
        pass
    description = one.connection.localDescription
    sdp, candidates = split(description.sdp)
    for kind, data in (("offer", {"type": "offer", "sdp": sdp}), ("candidates", candidates)):
        assert not (await ada.ask("signal", to=bob.id, kind=kind, data=data))["delivered"]
    assert (await bob.resume())["resumed"]
    async with Links(one, two):
        async with asyncio.timeout(30):
            while not is_open(one, two):
                await asyncio.sleep(0.01)
        ada.cut()
        one.channel.send("still here")
        assert await two.hear() == "still here"
        await ada.resume()


@asynchronous
async def test_through_a_turn_server(enter):
    """With what the room says of TURN servers, and no way around them."""
    coturn = enter(TurnServer(NEW))
    turn = {"urls": coturn.urls[:1], "secrets": [NEW]}
    edge = enter(Edge(configuration({"turn": turn})))
    ada, bob = await joined(edge.url("/rooms/relayed"), 2)

    def relayed(peer):
        servers = [RTCIceServer(**each) for each in peer.welcome["ice_servers"]]
        return RTCConfiguration(
            iceServers=servers, iceTransportPolicy=RTCIceTransportPolicy.RELAY
        )

    pair = Link(ada, bob.id, relayed(ada)), Link(bob, ada.id, relayed(bob))
    async with Links(*pair) as (one, two):
        await one.offer()
        sdp = one.connection.localDescription.sdp
        assert " typ relay" in sdp and " typ host" not in sdp
        await one.tell()
        await talk(one, two)


@asynchronous
async def test_three_in_a_room(edge):
    """Each pair by itself: what is for one does not come to another."""
    peers = await joined(edge.url("/rooms/three"), 3)
    links = {
        (one.id, two.id): Link(one, two.id) for one in peers for two in peers if one is not two
    }
    async with Links(*links.values()):
        for (one, two), link in links.items():
            if one < two:
                await link.offer()
                await link.tell()
        await asyncio.gather(
            *(talk_briefly(links[one, two], links[two, one]) for one, two in links if one < two)
        )


async def talk_briefly(one, two):
    async with asyncio.timeout(30):
        while not is_open(one, two):
            await asyncio.sleep(0.01)
    text = f"from {one.peer.id} to {two.peer.id}"
    one.channel.send(text)
    assert await two.hear() == text


