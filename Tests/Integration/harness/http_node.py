"""Node's HTTP server as a backend, and what it understood of the requests that it got."""

import json
import subprocess

from .backends import HERE, Program
from .wire import ask


class NodeServer(Program):
    def __enter__(self):
        self.start("node", HERE / "http_node.js", stdout=subprocess.PIPE)
        port = self.process.stdout.readline().strip()
        assert port, "node did not start"
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        return self

    def requests(self):
        """All requests since the last call: one of the test's own marks the end."""
        ask(self.address, b"GET /mark HTTP/1.1\r\nHost: mark\r\nConnection: close\r\n\r\n")
        seen = []
        while (request := json.loads(self.process.stdout.readline()))["url"] != "/mark":
            seen.append(request)
        return seen
