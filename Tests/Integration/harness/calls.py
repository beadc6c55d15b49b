"""Calls between browsers: who is in one, what comes through to whom, and lines that are cut."""

import asyncio
import json
import socket
import struct
import threading
from contextlib import suppress

from .authority import pair
from .rooms import configuration

PATIENCE = 45

# What a page needs to answer a test's questions. `probe.story` is what happened since then.
PROBE = r"""
(() => {
  const story = {
    links: [], states: [], left: [], joined: [], errors: [], closed: [], toasts: [], policy: [],
    alone: 0,
  };
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const videoOf = (link) => {
    const tracks = new Set(link.pc.getReceivers().map((receiver) => receiver.track));
    return [...document.querySelectorAll('#tiles video')].find((video) =>
      video.srcObject?.getTracks().some((track) => tracks.has(track)));
  };
  const media = async (link) => {
    const all = [...(await link.pc.getStats()).values()];
    const total = (kind, key) => all
      .filter((each) => each.type === 'inbound-rtp' && each.kind === kind)
      .reduce((sum, each) => sum + (each[key] ?? 0), 0);
    const video = videoOf(link);
    return {
      generation: link.generation, state: link.state,
      frames: total('video', 'framesDecoded'), packets: total('audio', 'packetsReceived'),
      time: video?.currentTime ?? 0, width: video?.videoWidth ?? 0,
    };
  };
  /** Nothing when a peer's pictures and sound have moved on, or what there is of them. */
  const standing = async (id, end) => {
    let first = null, last = null;
    for (;; await wait(100)) {
      const link = window.sluiceDemo.links?.get(id);
      if (link?.pc) {
        last = await media(link).catch(() => last);
        // What an earlier connection received says nothing of the present one.
        if (last && first?.generation !== last.generation) first = last;
        const isMore = (key, count) => last[key] >= first[key] + count;
        if (last && isMore('frames', 4) && isMore('packets', 10) && last.time > first.time
          && last.width > 2) return null;
      }
      if (Date.now() > end) return { id, first, last };
    }
  };
  window.probe = {
    story,
    /** Nothing, or what does not move within a time, of so many others. */
    async stuck(count, patience) {
      const end = Date.now() + patience;
      const links = () => window.sluiceDemo.links.list();
      while (links().length !== count) {
        if (Date.now() > end) return `links to ${links().map((link) => link.id)}`;
        await wait(50);
      }
      const all = await Promise.all(links().map((link) => standing(link.id, end)));
      const found = all.filter(Boolean);
      return found.length ? JSON.stringify(found) : null;
    },
    /** The two ends of the path that is in use to each peer. */
    async paths() {
      const all = await window.sluiceDemo.links.getStats();
      return [...all.values()].map(({ local, remote }) => [local?.type, remote?.type]);
    },
    listen({ room, links }) {
      const on = (source, type, tell) =>
        source.addEventListener(type, ({ detail }) => tell(detail));
      on(room, 'state', ({ state }) => story.states.push(state));
      on(room, 'peerleave', ({ peer, reason }) => story.left.push([peer.name, reason]));
      on(room, 'peerjoin', ({ peer, isNew }) => isNew && story.joined.push(peer.name));
      on(room, 'error', ({ code }) => story.errors.push(code));
      on(room, 'closed', ({ closeCode }) => story.closed.push(closeCode));
      on(links, 'linkstate', ({ state }) => story.links.push(state));
      on(links, 'link', () => story.links.push('link'));
      on(links, 'unlink', () => story.links.push('unlink'));
      on(links, 'error', ({ error }) => story.errors.push(String(error)));
    },
  };
  document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
    story.policy.push(`${violatedDirective} ${blockedURI}`));
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) story.toasts.push(node.textContent);
    }
  }).observe(document.querySelector('#toasts'), { childList: true });
  const alone = document.querySelector('#alone');
  new MutationObserver(() => { story.alone += alone.hidden ? 0 : 1; })
    .observe(alone, { attributeFilter: ['hidden'] });
  // The demo says what it has made before it does anything with it.
  let demo;
  Object.defineProperty(window, 'sluiceDemo', {
    configurable: true,
    get: () => demo,
    set: (value) => {
      demo = value;
      window.probe.begin?.(value);
      window.probe.listen(value);
    },
  });
})()
"""


def settings(localhost, rooms=None, *, route=None, **top):
    """An edge with rooms that browsers reach over TLS."""
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    return configuration(rooms, route=route, listeners=listeners, workers=2, **top)


def demo(port, room, rest=""):
    return f"https://127.0.0.1:{port}/rooms/demo?room={room}{rest}"


class Caller:
    """Somebody at the demo page, from its lobby on. `tab` is of either browser."""

    def __init__(self, tab, name):
        self.tab, self.name = tab, name
        self.look()

    def look(self):
        """Puts the probe into a page that is new."""
        camera = "document.querySelector('#preview')?.srcObject"
        self.tab.until(f"Boolean({camera})", "a camera", PATIENCE)
        self.tab.evaluate(PROBE)

    @classmethod
    def open(cls, enter, browser, url, name):
        return cls(enter(browser.open(url)), name)

    def press_join(self, *, password=None, begin=None):
        """Fills the lobby's form; `begin`, a function of `{room, links}`, runs first of all."""
        if begin:
            self.tab.evaluate(f"void (window.probe.begin = {begin})")
        self.tab.evaluate(
            f"document.querySelector('#name').value = {json.dumps(self.name)},"
            f"document.querySelector('#password').value = {json.dumps(password or '')},"
            "document.querySelector('#join').click()"
        )

    def join(self, **options):
        self.press_join(**options)
        shown = "!document.querySelector('#call').hidden"
        self.tab.until(shown, f"{self.name} in the call", PATIENCE)
        return self

    def reload(self):
        self.tab.reload()
        self.look()
        return self.join()

    @property
    def id(self):
        return self.tab.evaluate("window.sluiceDemo.room.id")

    @property
    def story(self):
        return self.tab.evaluate("window.probe.story")

    def until_story(self, condition, what, timeout=PATIENCE):
        members = "{ links, states, left, joined, errors, closed, toasts, alone }"
        expression = f"(({members}) => {condition})(window.probe.story)"
        self.tab.until(expression, f"{self.name}: {what}", timeout)

    def text(self, selector):
        return self.tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def until_text(self, selector, words, timeout=PATIENCE):
        """The words are shown there."""
        element = f"document.querySelector({json.dumps(selector)})"
        self.tab.until(
            f"{element}.checkVisibility() && {element}.textContent.includes({json.dumps(words)})",
            f"{self.name} is shown {words!r}", timeout,
        )  # fmt: skip

    def names(self):
        """What stands on the plates of the pictures."""
        plates = "document.querySelectorAll('#tiles .plate b')"
        return sorted(self.tab.evaluate(f"[...{plates}].map((each) => each.textContent)"))

    def generations(self):
        """Which RTCPeerConnections there are; another number is another one."""
        links = "window.sluiceDemo.links.list()"
        return sorted(self.tab.evaluate(f"{links}.map((link) => link.generation)"))

    def check_media(self, count, patience=PATIENCE):
        """Frames are decoded and shown, and sound arrives, from so many others."""
        stuck = self.tab.evaluate(f"window.probe.stuck({count}, {patience * 1000})")
        assert not stuck, f"{self.name} does not receive all: {stuck}; {self.story}"


def begin(tab, script):
    """Has a page do something that takes longer than one question; the tab."""
    tab.evaluate(
        f"void (window.outcome = null, ({script}).then("
        "(told) => { window.outcome = { told }; },"
        "(error) => { window.outcome = { error: String(error) }; }))"
    )
    return tab


def outcome(tab, patience=PATIENCE):
    """What came of it."""
    made = tab.until("window.outcome", "the script to end", patience)
    assert "error" not in made, made["error"]
    return made.get("told")


def check_call(*callers):
    """All of them see and hear all others."""
    for caller in callers:
        caller.check_media(len(callers) - 1)
    for caller in callers:
        others = sorted(other.name for other in callers if other is not caller)
        assert caller.names() == sorted([f"{caller.name} (you)", *others])


class Line:
    """A network between a browser and the edge: it can be cut at any octet."""

    def __init__(self, port):
        self.to = port

    def __enter__(self):
        started = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(started,), daemon=True)
        self.thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()

    def run(self, started):
        asyncio.run(self.serve(started))

    async def serve(self, started):
        self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
        self.held, self.silent = {"up": set(), "down": set()}, set()
        server = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self.stop.wait()
        server.close()
        self.abort()

    async def carry(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self.held["up"].add(far_writer)
        self.held["down"].add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        for each in ends:
            each.transport.abort()
        for each in (*self.held.values(), self.silent):
            each -= ends

    async def pump(self, reader, writer):
        while octets := await reader.read(65_536):
            if writer not in self.silent:
                writer.write(octets)
                await writer.drain()
        writer.write_eof()

    def abort(self):
        for each in self.held["up"] | self.held["down"]:
            sock = each.get_extra_info("socket")
            # A reset: nothing that is under way arrives any more.
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            each.transport.abort()

    def do(self, action):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (action(), done.set()))
        assert done.wait(10)

    def cut(self):
        """All connections break. New ones are carried."""
        self.do(self.abort)

    def silence(self, *ways):
        """What goes up to the edge, or down from it, is lost on the connections that there are.

        Nobody is told.
        """
        self.do(lambda: self.silent.update(*(self.held[way] for way in ways)))
