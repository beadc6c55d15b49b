"""Both sides offer at once, again and again, in real browsers: no pair ever stands still."""

import itertools
import json

import pytest

from harness import firefox
from harness.calls import begin, demo, outcome, settings
from harness.devtools import Browser
from harness.edge import Edge

names = (f"glare-{number}" for number in itertools.count(1))

# One end of a pair: each round it adds a transceiver, takes the one before out, and waits until
# that is agreed on and a message has come through the channel.
END = """
async (room) => {
  const { RoomClient, PeerLinks } = await import('/rooms/client.js');
  const end = { collisions: 0, errors: [], got: [] };
  class Connection extends RTCPeerConnection {
    setRemoteDescription(description) {
      // Its own offer is rolled back.
      const { type } = description;
      if (type === 'offer' && this.signalingState === 'have-local-offer') end.collisions += 1;
      return super.setRemoteDescription(description);
    }
  }
  const wait = async (condition, what, ms = 90000) => {
    for (const limit = Date.now() + ms; !condition();) {
      if (Date.now() > limit) {
        const pc = end.link?.pc;
        throw new Error(`${what}: ${JSON.stringify({
          signaling: pc?.signalingState, state: pc?.connectionState, peers: end.room.peers.size,
          channel: end.link?.channels.get('c')?.readyState, got: end.got, errors: end.errors,
          media: pc?.getTransceivers().map(({ mid, currentDirection }) => [mid, currentDirection]),
        })}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  end.room = new RoomClient(`/rooms/${room}`, { storage: null, RTCPeerConnection: Connection });
  // No politeness at first: the first offers of a pair collide, too.
  end.links = new PeerLinks(end.room, { channels: { c: {} }, politeOfferDelay: 0 });
  end.links.addEventListener('error', ({ detail }) => end.errors.push(String(detail.error)));
  end.links.addEventListener('link', ({ detail }) => { end.link = detail.link; });
  end.links.addEventListener('channel', ({ detail: { channel } }) => {
    channel.onmessage = ({ data }) => end.got.push(data);
  });
  /** Offers something new. */
  end.offer = () => {
    end.last?.stop();
    end.last = end.link.pc.addTransceiver('audio');
  };
  /** When what was offered is agreed on and the other side is heard. */
  end.settled = async (round) => {
    const channel = () => end.link?.channels.get('c');
    await wait(() => channel()?.readyState === 'open', `round ${round}: no channel`);
    channel().send(`round ${round}`);
    await wait(() => end.got.includes(`round ${round}`), `round ${round}: no message`);
    await wait(() => end.link.pc.signalingState === 'stable'
      && (round === 0 || end.last.currentDirection !== null), `round ${round}: not agreed on`);
  };
  end.join = async () => {
    await end.room.join();
    await wait(() => end.link, 'nobody else came');
  };
  return end;
}
"""

# Both ends in one page: they offer in the same turn of its loop.
TOGETHER = """
(async () => {
  const open = %s;
  const pairs = await Promise.all(%s.map((room) => Promise.all([open(room), open(room)])));
  await Promise.all(pairs.flat().map((end) => end.join()));
  for (let round = 0; round <= %d; round += 1) {
    if (round > 0) for (const end of pairs.flat()) end.offer();
    await Promise.all(pairs.flat().map((end) => end.settled(round)));
  }
  const ends = pairs.flat();
  for (const end of ends) await end.room.leave();
  const collisions = ends.reduce((sum, end) => sum + end.collisions, 0);
  return { collisions, errors: ends.flatMap((end) => end.errors) };
})()
"""

# One end in each of two pages, which tell each other by another way than the edge when to begin.
APART = """
(async () => {
  const end = await (%s)(%s);
  const other = new BroadcastChannel(%s);
  const heard = new Set();
  let tell = () => {};
  other.onmessage = ({ data }) => { heard.add(data); tell(); };
  const meet = async (round) => {
    other.postMessage(round);
    while (!heard.has(round)) await new Promise((resolve, reject) => {
      tell = resolve;
      setTimeout(reject, 90000, new Error(`round ${round}: the other page is not there`));
    });
  };
  await end.join();
  for (let round = 0; round <= %d; round += 1) {
    await meet(round);
    if (round > 0) end.offer();
    await end.settled(round);
  }
  await meet('over');
  const { collisions, errors } = end;
  return { collisions, errors };
})()
"""


@pytest.fixture(scope="module")
def edge(enter_for_module, localhost):
    return enter_for_module(Edge(settings(localhost)))


@pytest.fixture(scope="module")
def browser(enter_for_module, chromium, localhost):
    return enter_for_module(Browser(chromium, localhost[0]))


@pytest.fixture
def open_tab(enter, edge):
    """`open_tab(browser)`: a page that may import the client, and is in no room."""
    return lambda browser: enter(browser.open(demo(edge.port, "elsewhere")))


def check(*told):
    assert not any(each["errors"] for each in told), told
    assert sum(each["collisions"] for each in told) > 0, f"there was no glare: {told}"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_two_in_one_page(enter, open_tab, browser, kind):
    tab = open_tab(firefox.start(enter) if kind == "firefox" else browser)
    rooms = [next(names) for _ in range(6)]
    check(outcome(begin(tab, TOGETHER % (END, json.dumps(rooms), 20)), 200))


@pytest.mark.timeout(240)
def test_two_pages(open_tab, browser):
    room = json.dumps(next(names))
    tabs = [begin(open_tab(browser), APART % (END, room, room, 200)) for _ in range(2)]
    check(*(outcome(tab, 200) for tab in tabs))
