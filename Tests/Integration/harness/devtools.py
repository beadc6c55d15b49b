"""A page in headless Chromium that a test looks at and clicks on (Chrome DevTools Protocol)."""

import base64
import json
import subprocess
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from websockets.sync.client import connect

from .conditions import eventually


class Page:
    """A page, from its opening to the end of its browser."""

    def __init__(self, chromium, url, *, width=1280, height=900):
        self.chromium, self.url, self.size = chromium, url, (width, height)
        self.count = 0

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        width, height = self.size
        self.process = subprocess.Popen(
            [
                self.chromium, "--headless", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
                f"--window-size={width},{height}", f"--user-data-dir={self.profile.name}", self.url,
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        port_file = Path(self.profile.name) / "DevToolsActivePort"
        eventually(lambda: port_file.exists() and port_file.read_text().strip(), "Chromium", 60)
        port = port_file.read_text().split()[0]

        def page():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as response:
                pages = json.load(response)
            return next((each for each in pages if each["type"] == "page"), None)

        address = eventually(page, "a page", 30)["webSocketDebuggerUrl"]
        self.stack = ExitStack()
        self.socket = self.stack.enter_context(connect(address, max_size=None, proxy=None))
        return self

    def __exit__(self, *_):
        self.stack.close()
        self.process.kill()
        self.process.wait()
        self.profile.cleanup()

    def send(self, method, **parameters):
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(30))
            if message.get("id") == self.count:
                assert "error" not in message, message
                return message["result"]

    def evaluate(self, expression):
        """What an expression in the page comes to."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression, what, timeout=20):
        return eventually(lambda: self.evaluate(expression), what, timeout)

    def screenshot(self, path):
        picture = self.send("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(picture["data"]))
