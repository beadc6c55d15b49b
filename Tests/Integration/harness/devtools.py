"""A page in headless Chromium that a test looks at and clicks on (Chrome DevTools Protocol)."""

import base64
import hashlib
import json
import subprocess
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
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


# MARK: Several pages with cameras


def identity(certificate):
    """A certificate's key as Chromium's list of keys to accept takes it."""
    key = x509.load_pem_x509_certificate(Path(certificate).read_bytes()).public_key()
    octets = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(octets).digest()).decode()


class Browser:
    """A headless Chromium with tabs, a camera and a microphone that are not real.

    It trusts `certificate` and what else it would trust anyway. The camera has few frames: five
    pages that encode four pictures each have to run on two cores.
    """

    def __init__(self, chromium, certificate):
        self.chromium, self.certificate = chromium, certificate
        self.count, self.tabs, self.stack = 0, {}, ExitStack()

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.process = subprocess.Popen(
            [
                self.chromium, "--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0",
                "--use-fake-device-for-media-stream=fps=10", "--use-fake-ui-for-media-stream",
                # Tabs that nobody looks at are to work like those that somebody does.
                "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
                "--disable-backgrounding-occluded-windows", "--disable-popup-blocking",
                # Networks without multicast have no mDNS; those of tests may be a loopback alone.
                "--disable-features=WebRtcHideLocalIpsWithMdns",
                "--allow-loopback-in-peer-connection",
                f"--ignore-certificate-errors-spki-list={identity(self.certificate)}",
                f"--user-data-dir={self.profile.name}", "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            file = Path(self.profile.name) / "DevToolsActivePort"
            eventually(lambda: file.exists() and len(file.read_text().split()) == 2, "Chromium", 60)
            port, path = file.read_text().split()
            address = f"ws://127.0.0.1:{port}{path}"
            self.socket = self.stack.enter_context(connect(address, max_size=None, proxy=None))
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        self.stack.close()
        self.process.kill()
        self.process.wait()
        self.profile.cleanup()

    def send(self, method, session=None, /, **parameters):
        self.count += 1
        number = self.count
        message = {"id": number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            message = json.loads(self.socket.recv(60))
            if message.get("id") == number:
                assert "error" not in message, (method, message)
                return message["result"]
            tab = self.tabs.get(message.get("sessionId"))
            if tab and "method" in message:
                tab.told(message["method"], message["params"])

    def open(self, url):
        """A tab in a window of its own."""
        made = self.send("Target.createTarget", url="about:blank", newWindow=True)
        tab = Tab(self, made["targetId"])
        tab.navigate(url)
        return tab

    def targets(self):
        return {each["targetId"] for each in self.send("Target.getTargets")["targetInfos"]}


class Tab(Page):
    """A page of a `Browser`; `log` has what its console and the browser said."""

    def __init__(self, browser, target):
        self.browser, self.target, self.log = browser, target, []
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        browser.tabs[self.session] = self
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)
        self.is_open = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        print(f"console of {self.target}:", *self.log, sep="\n  ")
        self.close()

    def told(self, method, parameters):
        if method == "Log.entryAdded":
            entry = parameters["entry"]
            self.log.append(f"{entry['level']}: {entry['text']} ({entry['source']})")
        elif method == "Runtime.consoleAPICalled":
            words = (str(each.get("value", each.get("description"))) for each in parameters["args"])
            self.log.append(f"{parameters['type']}: {' '.join(words)}")
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.log.append(f"exception: {details.get('exception', details).get('description')}")

    def send(self, method, **parameters):
        return self.browser.send(method, self.session, **parameters)

    def navigate(self, url):
        failure = self.send("Page.navigate", url=url).get("errorText")
        assert not failure, f"{url}: {failure}"
        loaded = f"location.href === {json.dumps(url)} && document.readyState === 'complete'"
        self.until(loaded, url)

    def reload(self):
        """The page is another when it returns."""
        self.evaluate("window.isOld = true")
        self.send("Page.reload")
        self.until("!window.isOld && document.readyState === 'complete'", "the page, anew")

    def evaluate(self, expression):
        """What an expression comes to, as if somebody had clicked to have it."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in result, (expression, result)
        return result["result"].get("value")

    def crash(self):
        """The page's process dies."""
        self.browser.count += 1
        self.browser.socket.send(json.dumps({
            "id": self.browser.count, "method": "Page.crash", "sessionId": self.session,
        }))  # fmt: skip

    def close(self):
        """As by the cross on the tab."""
        if self.is_open:
            self.is_open = False
            self.browser.send("Target.closeTarget", targetId=self.target)
