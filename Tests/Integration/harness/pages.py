"""Pages that open WebSockets to where they came from, and the server of both."""

import json
import stat
from pathlib import Path

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, NegotiationError
from websockets.http11 import Response

from .authority import pair
from .backends import WebSocketsBackend
from .conditions import eventually

# What a test asks of the page. A socket that closes ends its promises with the event.
PAGE = """<!doctype html><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">
<script>
const told = ({ code, reason, wasClean }) => ({ code, reason, wasClean });
const page = {
  sockets: [],
  open: (target = '/ws', protocols = []) => new Promise((opened, failed) => {
    const socket = new WebSocket(`wss://${location.host}${target}`, protocols);
    socket.binaryType = 'arraybuffer';
    socket.inbox = [];
    socket.waiting = [];
    socket.onmessage = ({ data }) => {
      const taker = socket.waiting.shift();
      if (taker) taker(data); else socket.inbox.push(data);
    };
    socket.ended = new Promise((ended) => {
      socket.onclose = (event) => {
        ended(told(event));
        failed(new Error(`closed: ${event.code}`));
      };
    });
    socket.onopen = () => {
      page.sockets.push(socket);
      opened(socket);
    };
  }),
  next: (socket) => socket.inbox.length
    ? Promise.resolve(socket.inbox.shift())
    : new Promise((taken) => socket.waiting.push(taken)),
  openAll: (count) => Promise.all(Array.from({ length: count }, (_, number) =>
    page.open(`/ws?number=${number}`))).then((all) => all.length),
  isSame: (one, other) => typeof one === 'string' ? one === other
    : one.byteLength === other.byteLength
      && new Uint8Array(one).every((octet, index) => octet === new Uint8Array(other)[index]),
  /** Whether a message comes back as it went. */
  echoes: async (socket, message) => {
    socket.send(message);
    return page.isSame(message, await page.next(socket));
  },
  octets: (count, seed = 0) =>
    Uint8Array.from({ length: count }, (_, index) => (index * 31 + (index >> 8) + seed) & 255)
      .buffer,
  text: (count, seed = 0) => `${seed}: ä€😀 `.repeat(count / 10).slice(0, count),
  /** How many sockets have what they sent come back, all at once. */
  echoesOnAll: async (make) => {
    const all = await Promise.all(page.sockets.map((socket, number) =>
      page.echoes(socket, make(number))));
    return all.filter(Boolean).length;
  },
  closeAll: (code) => {
    for (const socket of page.sockets) socket.close(code);
    return Promise.all(page.sockets.map((socket) => socket.ended));
  },
};
</script>"""

ANSWER_FIELDS = {"Content-Type": "text/html", "Cache-Control": "no-store", "Connection": "close"}
SUBPROTOCOL = "chat.v1"


class PageBackend(WebSocketsBackend):
    """Serves the page, and echoes what it sends over WebSockets.

    A message `close CODE REASON` has the socket closed so, `vanish` has it end without a word, and
    `flood COUNT` brings as many messages of 64 KiB. `ends` are the codes and reasons that
    WebSockets ended with.
    """

    def __init__(self):
        super().__init__(process_request=self.answer, select_subprotocol=self.choose)
        self.ends = []

    def answer(self, _, request):
        if "Upgrade" in request.headers:
            return None
        octets = PAGE.encode()
        fields = ANSWER_FIELDS | {"Content-Length": str(len(octets))}
        return Response(200, "OK", Headers(fields), octets)

    def choose(self, _, offered):
        if offered and SUBPROTOCOL not in offered:
            raise NegotiationError("no such subprotocol")
        return SUBPROTOCOL if offered else None

    async def echo(self, connection):
        self.requests.append(connection.request)
        try:
            async for message in connection:
                await self.heed(connection, message)
        except ConnectionClosed:
            # A tab that is closed says nothing over HTTP/2: Chromium resets its streams.
            pass
        finally:
            self.ends.append((connection.close_code, connection.close_reason))

    async def heed(self, connection, message):
        match message.split(" ", 2) if isinstance(message, str) else None:
            case ["close", code, reason]:
                await connection.close(int(code), reason)
            case ["vanish"]:
                connection.transport.abort()
            case ["flood", count]:
                for number in range(int(count)):
                    await connection.send(number.to_bytes(2, "big") * (32 * 1024))
            case _:
                await connection.send(message)


def secure(issued, **more):
    """A listener with TLS that browsers reach."""
    return {"address": "127.0.0.1:0", "tls": {"certificates": [pair(issued)]}} | more


class NetLog:
    """A Chromium that writes down what its network does, with all that it sends and receives."""

    def __init__(self, chromium, directory):
        self.file = Path(directory) / "network.json"
        self.program = Path(directory) / "chromium"
        self.program.write_text(
            f"#!/bin/sh\nexec '{chromium}' --log-net-log='{self.file}'"
            ' --net-log-capture-mode=Everything "$@"\n'
        )
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    def read(self, browser):
        """Ends the browser, as the log is whole when it has gone by itself."""
        for tab in browser.tabs.values():
            tab.is_open = False
        browser.send("Browser.close")
        eventually(lambda: browser.process.poll() is not None, "Chromium to end", 30)
        log = json.loads(self.file.read_text())
        names = {number: name for name, number in log["constants"]["logEventTypes"].items()}
        end = log["constants"]["logEventPhase"]["PHASE_END"]
        self.events = [
            (names[each["type"]], each["source"]["id"], each.get("params", {}))
            for each in log["events"]
            if each["phase"] != end
        ]
        return self

    def named(self, name):
        """(source, parameters) of the events with this name, without the ends of such."""
        return [(source, said) for each, source, said in self.events if each == name]


def sockets_of(log):
    """(session, stream) of the extended CONNECTs of WebSockets (RFC 8441 §4) in a `NetLog`."""
    return {
        (session, said["stream_id"])
        for session, said in log.named("HTTP2_SESSION_SEND_HEADERS")
        if ":protocol: websocket" in said["headers"] and ":method: CONNECT" in said["headers"]
    }


def opened_of(log):
    """(session, stream) of the streams in a `NetLog` whose answer was 200."""
    return {
        (session, said["stream_id"])
        for session, said in log.named("HTTP2_SESSION_RECV_HEADERS")
        if ":status: 200" in said["headers"]
    }
