"""Socket.IO: servers and clients of python-socketio (Debian package python3-socketio)."""

import json
import queue
import subprocess
import threading
from pathlib import Path

from .backends import Program
from .conditions import eventually

HERE = Path(__file__).resolve().parent
# Debian's modules are its own Python's. `-I` keeps what lies beside the programs out of their way.
PYTHON = ["/usr/bin/python3", "-I", "-W", "ignore::DeprecationWarning"]
PATIENCE = 15

# A page that speaks Engine.IO 4 with Socket.IO 5 in it, since Debian has no client for browsers:
# it polls by `fetch`, and goes over to a WebSocket as a client does.
PAGE = """<!doctype html><meta charset="utf-8"><title>page</title><link rel="icon" href="data:,">
<script>
const io = {
  open: async (origin = location.origin) => {
    const url = `${origin}/socket.io/?EIO=4`;
    const ask = async (rest, options = {}) => {
      const answer = await fetch(`${url}&transport=polling${rest}`, {
        credentials: 'include', ...options,
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${answer.status}: ${text}`);
      return text;
    };
    const { sid, upgrades } = JSON.parse((await ask('')).slice(1));
    const session = `&sid=${sid}`;
    const post = (body) => ask(session, {
      method: 'POST', body, headers: { 'Content-Type': 'text/plain;charset=UTF-8' },
    });
    const poll = async () => (await ask(session)).split('\\u001e');
    await post('40');
    const packets = [];
    const until = async (mark) => {
      for (;;) {
        const found = packets.findIndex((packet) => packet.startsWith(mark));
        if (found >= 0) return packets.splice(found, 1)[0];
        packets.push(...await poll());
      }
    };
    await until('40');
    return { url, session, upgrades, post, until, packets };
  },
  /** What a call with an acknowledgement is answered with, by polling. */
  call: async ({ post, until }, ...event) => {
    await post(`421${JSON.stringify(event)}`);
    return JSON.parse((await until('431')).slice(3))[0];
  },
  /** The WebSocket of a session, when the server has taken it in the place of polling. */
  upgrade: ({ url, session }) => new Promise((done, failed) => {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}&transport=websocket${session}`);
    socket.onopen = () => socket.send('2probe');
    socket.onclose = ({ code }) => failed(new Error(`closed: ${code}`));
    socket.onmessage = ({ data }) => {
      if (data !== '3probe') return;
      socket.send('5');
      done(socket);
    };
  }),
  callOver: (socket, ...event) => new Promise((done) => {
    socket.onmessage = ({ data }) => {
      if (data.startsWith('431')) done(JSON.parse(data.slice(3))[0]);
    };
    socket.send(`421${JSON.stringify(event)}`);
  }),
};
</script>"""


class SocketIOServer(Program):
    """A server that tells its name; it can be ended and begin again at its port."""

    def __init__(self, name, port=0):
        self.name, self.port = name, port

    def __enter__(self):
        self.start(
            *PYTHON, HERE / "socket_io_server.py", self.name, str(self.port), PAGE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        line = self.process.stdout.readline().strip()
        assert line, "no Socket.IO server: are python3-socketio and python3-aiohttp installed?"
        self.port = int(line)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def kill(self):
        """Ends it at once; its clients are told nothing."""
        self.process.kill()
        self.process.wait()


class Failed(Exception):
    """What the client could not do, in its words."""


class SocketIOClient:
    """A client; `events` are those that came, as lists."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [*PYTHON, HERE / "socket_io_client.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.count, self.events, self.outcomes = 0, [], queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def listen(self):
        for line in self.process.stdout:
            number, *rest = json.loads(line)
            if number is None:
                self.events.append(rest)
            else:
                self.outcomes.put((number, *rest))

    def do(self, deed, *arguments):
        """What comes of one thing that it is told to do."""
        self.count += 1
        self.process.stdin.write(json.dumps([self.count, deed, *arguments]) + "\n")
        self.process.stdin.flush()
        number, value, failure = self.outcomes.get(timeout=PATIENCE)
        assert number == self.count
        if failure:
            raise Failed(failure)
        return value

    def join(self, url, **options):
        """Connects, with `transports`, `fields` and `cookies`; the name of its server."""
        wanted = ("transports", "fields", "cookies")
        self.do("join", url, *(options.get(each) for each in wanted))
        return self.until("hello")[0]

    def call(self, event, *arguments):
        """What the server acknowledges an event with."""
        return self.do("call", event, *arguments)

    def arguments(self, event):
        """What came with all events of a name."""
        return [rest for each, *rest in list(self.events) if each == event]

    def until(self, event, count=1):
        """What came with the `count`th event of a name, when it has come."""
        what = f"{count} times {event}, not {self.events}"
        eventually(lambda: len(self.arguments(event)) >= count, what, PATIENCE)
        return self.arguments(event)[count - 1]
