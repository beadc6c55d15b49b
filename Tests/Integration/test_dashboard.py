"""The dashboard in headless Chromium: what it shows is what happens, and its buttons do what they say."""

import pytest

from harness import tokens
from harness.admin import ANYWHERE, start
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.devtools import Page
from harness.edge import configuration, sluice
from harness.wire import tunnel

TOKEN = "an-admin-token-of-32-octets-12345"


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


def test_it_shows_what_happens(enter, backend, chromium, tmp_path):
    edge, admin = start(enter, configuration(backend.url))
    wires = [enter(tunnel(edge.address)) for _ in range(3)]
    with Page(chromium, admin.url + "/") as page:
        page.until("document.querySelector('#tunnels-open')?.textContent.trim() === '3'", "3 tunnels")
        assert page.evaluate("document.querySelectorAll('#routes [data-route=chat]').length") == 1
        server = f"document.querySelector('#upstreams [data-server=\"{backend.url}\"]')"
        page.until(f"{server}?.dataset.standing === 'healthy'", "the server")
        page.until("document.querySelectorAll('#connections [data-id]').length === 3", "the list")

        def rate():
            for wire in wires:
                wire.echoes()
            return page.evaluate(
                "parseFloat(document.querySelector('#messages-in-rate').textContent) > 0"
            )

        eventually(rate, "a rate of messages", 20)
        page.screenshot(tmp_path / "dashboard.png")
        assert (tmp_path / "dashboard.png").stat().st_size > 20_000
        # Nothing is loaded from anywhere, and nothing is wider than a phone.
        loaded = "performance.getEntriesByType('resource').map((each) => new URL(each.name).host)"
        hosts = set(page.evaluate(f"[...new Set({loaded})]"))
        assert hosts <= {admin.url.removeprefix("http://")}
        page.send(
            "Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2,
            mobile=True,
        )  # fmt: skip
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_tunnel_is_closed(enter, backend, chromium):
    edge, admin = start(enter, configuration(backend.url))
    wire = enter(tunnel(edge.address))
    with Page(chromium, admin.url + "/") as page:
        page.evaluate("window.confirm = () => true; 0")
        page.until("document.querySelector('#connections [data-id] button.close') !== null", "a row")
        page.evaluate("document.querySelector('#connections [data-id] button.close').click()")
        dialog = "document.querySelector('dialog[open]')"
        if page.evaluate(f"{dialog} !== null"):
            page.evaluate(
                f"({dialog}.querySelector('button.confirm, button[value=ok], button[type=submit]')"
                f" ?? [...{dialog}.querySelectorAll('button')].at(-1)).click()"
            )
        close = wire.read_close()
        assert close.code in (1000, 1008), close
        wire.answer_close(close)
        edge.wait_for("tunnel", reason="operator")


def test_the_token_is_asked_for(enter, backend, chromium):
    edge, admin = start(
        enter, configuration(backend.url) | {"admin": ANYWHERE | {"token": TOKEN}}
    )
    enter(tunnel(edge.address))
    with Page(chromium, admin.url + "/") as page:
        shown = "document.querySelector('#token-form')?.checkVisibility() === true"
        page.until(shown, "the form for the token")
        page.evaluate(
            "(() => { const form = document.querySelector('#token-form');"
            f" form.querySelector('input').value = '{TOKEN}'; form.requestSubmit(); }})()"
        )
        page.until("document.querySelector('#tunnels-open')?.textContent.trim() === '1'", "a tunnel")
        assert not page.evaluate(shown)
        assert TOKEN not in page.evaluate("location.href")


def test_what_strangers_say_is_text(enter, backend, chromium):
    auth = {"auth": {"jwt": {"keys": [{"algorithm": "HS256", "secret": tokens.SECRET}]}}}
    edge, admin = start(enter, configuration(backend.url, route=auth))
    subject = '<img src=x onerror="window.broken = true">'
    token = tokens.hs256(tokens.claims(sub=subject))
    enter(tunnel(edge.address, fields=[("Authorization", f"Bearer {token}")]))
    with Page(chromium, admin.url + "/") as page:
        page.until("document.querySelectorAll('#connections [data-id]').length === 1", "the list")
        text = page.evaluate("document.querySelector('#connections [data-id]').textContent")
        assert subject in text
        assert page.evaluate("window.broken") is None


def test_the_terminal_shows_the_same(enter, backend, tmp_path):
    settings = configuration(backend.url) | {"admin": ANYWHERE}
    edge, admin = start(enter, settings)
    enter(tunnel(edge.address)).echoes()
    settings["admin"] = {"address": admin.url.removeprefix("http://")}
    edge.configure(settings)
    shown = sluice("top", "--once", "--config", str(edge.file))
    assert shown.returncode == 0, shown
    assert "tunnels 1" in shown.stdout and backend.url in shown.stdout
    assert "chat" in shown.stdout and "healthy" in shown.stdout
