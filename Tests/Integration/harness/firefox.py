"""Pages in headless Firefox (WebDriver BiDi), to be used like those of `devtools`."""

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import connect

from .conditions import eventually

# Debian's name, and everybody else's.
NAMES = ["firefox-esr", "firefox"]

PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    # Networks without multicast have no mDNS; those of tests may be a loopback alone.
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.loopback": True,
    # Nothing is asked of the network but by the test.
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-manager.url": "data:,",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


def start(enter):
    """A Firefox: $FIREFOX, else the first of its names. Without one the test is skipped."""
    program = os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip("no Firefox in the path: install Debian's `firefox-esr`, or set FIREFOX")
    return enter(Firefox(program))


class Firefox:
    """A headless Firefox with a camera and a microphone that are not real. It trusts everybody."""

    def __init__(self, program):
        self.program = program
        self.count, self.tabs, self.stack = 0, {}, ExitStack()

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        directory = Path(self.profile.name)
        lines = [f'user_pref("{name}", {json.dumps(each)});' for name, each in PREFERENCES.items()]
        (directory / "user.js").write_text("\n".join(lines))
        self.process = subprocess.Popen(
            [
                self.program, "--headless", "--no-remote", "--profile", str(directory),
                "--remote-debugging-port=0",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": self.profile.name, "MOZ_CRASHREPORTER_DISABLE": "1"},
        )  # fmt: skip
        file = directory / "WebDriverBiDiServer.json"

        def port():
            try:
                return json.loads(file.read_text())["ws_port"]
            except (FileNotFoundError, ValueError):
                assert self.process.poll() is None, "Firefox ended by itself"
                return None

        try:
            address = f"ws://127.0.0.1:{eventually(port, 'Firefox', 90)}/session"
            self.socket = self.stack.enter_context(connect(address, max_size=None, proxy=None))
            capabilities = {"alwaysMatch": {"acceptInsecureCerts": True}}
            self.send("session.new", capabilities=capabilities)
            self.send("session.subscribe", events=["log.entryAdded"])
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

    def send(self, method, **parameters):
        self.count += 1
        number = self.count
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(60))
            if message.get("id") == number:
                assert message["type"] == "success", (method, message)
                return message["result"]
            if message.get("method") == "log.entryAdded":
                entry = message["params"]
                tab = self.tabs.get(entry["source"].get("context"))
                if tab:
                    tab.log.append(f"{entry['level']}: {entry['text']}")

    def open(self, url):
        tab = FirefoxTab(self)
        tab.navigate(url)
        return tab


class FirefoxTab:
    """A page of a `Firefox`; `log` has what its console said."""

    def __init__(self, browser):
        self.browser, self.log, self.is_open = browser, [], True
        self.context = browser.send("browsingContext.create", type="window")["context"]
        browser.tabs[self.context] = self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        print(f"console of {self.context}:", *self.log, sep="\n  ")
        self.close()

    def navigate(self, url):
        self.browser.send(
            "browsingContext.navigate", context=self.context, url=url, wait="complete"
        )

    def reload(self):
        """The page is another when it returns."""
        self.browser.send("browsingContext.reload", context=self.context, wait="complete")

    def evaluate(self, expression):
        """What an expression comes to, as if somebody had clicked to have it."""
        # As JSON, because the protocol's own values would have to be put together again.
        result = self.browser.send(
            "script.evaluate", target={"context": self.context}, awaitPromise=True,
            userActivation=True,
            expression=f"(async () => JSON.stringify(await ({expression})))()",
        )  # fmt: skip
        assert result["type"] == "success", (expression, result)
        text = result["result"].get("value")
        return text and json.loads(text)

    def until(self, expression, what, timeout=20):
        return eventually(lambda: self.evaluate(expression), what, timeout)

    def close(self):
        if self.is_open:
            self.is_open = False
            self.browser.send("browsingContext.close", context=self.context)
