"""The metrics are what happened, exactly, and Prometheus reads them."""

import json
import re
import shutil
import socket
import ssl
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from harness import tokens
from harness.admin import metric, start
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import configuration
from harness.wire import ask, frame, tunnel, upgrade_head

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/metrics.md"
DASHBOARD = Path(__file__).resolve().parents[2] / "config/grafana-dashboard.json"


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


def settled(admin, condition, what):
    return eventually(lambda: condition(found := admin.metrics()) and found, what)


def test_traffic_is_counted_exactly_while_tunnels_live(enter, backend):
    edge, admin = start(enter, configuration(backend.url, workers=2))
    wires = [enter(tunnel(edge.address)) for _ in range(10)]
    messages, octets = 0, 0
    for number, wire in enumerate(wires):
        for size in (0, 1, 125, 126, 5_000, 70_000)[: 1 + number % 6]:
            payload = b"x" * size
            wire.echoes(payload)
            messages += 1
            octets += len(frame(2, payload))
        wire.send_frame(9, b"ping")
        assert wire.read_frame()[:2] == (9, b"ping")
        octets += len(frame(9, b"ping"))

    def of(name, found, **labels):
        return metric(found, name, route="chat", **labels)

    found = admin.metrics()
    assert of("sluice_tunnels", found) == of("sluice_tunnels_opened_total", found) == 10
    for direction in ("in", "out"):
        assert of("sluice_messages_total", found, direction=direction) == messages
        assert of("sluice_frames_total", found, direction=direction, opcode="ping") == 10
    # A client's frames carry four octets more, for the mask.
    assert of("sluice_octets_total", found, direction="out") == octets
    masks = 4 * (messages + 10)
    assert of("sluice_octets_total", found, direction="in") == octets + masks
    assert metric(found, "sluice_upstream_tunnels", server=backend.url) == 10
    assert metric(found, "sluice_connections") == 10
    for wire in wires:
        wire.send_close(4321)
        wire.read_close()
    found = settled(
        admin, lambda found: metric(found, "sluice_connections") == 0, "the tunnels to end"
    )
    ended = {"reason": "closed", "initiator": "downstream", "code": "4000-4999"}
    assert of("sluice_tunnels_closed_total", found, **ended) == 10
    assert of("sluice_tunnels", found) == 0
    assert of("sluice_requests_total", found, status=101) == 10


def test_refusals_are_counted(enter, backend):
    auth = {"auth": {"jwt": {"keys": [{"algorithm": "HS256", "secret": tokens.SECRET}]}}}
    route = auth | {"match": {"path": "/chat"}, "origins": ["https://example.com"]}
    edge, admin = start(enter, configuration(backend.url, route=route))
    for _ in range(3):
        assert ask(edge.address, upgrade_head("/other")).status == 404
    for _ in range(2):
        assert ask(edge.address, upgrade_head("/chat")).status == 401
    fields = [("Origin", "https://evil.example")]
    assert ask(edge.address, upgrade_head("/chat", fields=fields)).status == 403
    found = admin.metrics()
    refused = "sluice_requests_refused_total"
    assert metric(found, refused, reason="no_route", route="") == 3
    assert metric(found, refused, reason="missing_token", route="chat") == 2
    assert metric(found, refused, reason="origin_not_allowed", route="chat") == 1
    assert metric(found, "sluice_requests_total", status=401) == 2
    assert metric(found, "sluice_connections_accepted_total") == 6


def test_handshakes_are_counted(enter, backend, authority, localhost):
    tls = {"certificates": [{"certificate": str(localhost[0]), "key": str(localhost[1])}]}
    listeners = [{"address": "127.0.0.1:0", "tls": tls}]
    edge, admin = start(enter, configuration(backend.url, listeners=listeners))
    trust = ssl.create_default_context(cafile=authority.ca)
    for _ in range(3):
        with tunnel(edge.address, tls=trust) as wire:
            wire.echoes()
    found = admin.metrics()
    name = "sluice_tls_handshakes_total"
    assert metric(found, name, version="TLSv1.3", resumed="false", result="done") == 3
    for histogram in ("tls_handshake", "admission", "upgrade"):
        assert metric(found, f"sluice_{histogram}_seconds_count") == 3
    assert metric(found, "sluice_upstream_connect_seconds_count", upstream="backend") == 3
    with pytest.raises(ssl.SSLError):
        tunnel(edge.address, tls=ssl.create_default_context())
    settled(admin, lambda found: metric(found, name, result="failed") == 1, "a failed handshake")


def test_throttled_time_is_counted(enter, backend):
    limit = {"messages": {"rate": "20/s", "burst": 1}}
    edge, admin = start(enter, configuration(backend.url, route={"limits": limit}))
    with tunnel(edge.address) as wire:
        for _ in range(6):
            wire.send_frame(1, b"x")
        for _ in range(6):
            wire.read_frame()
        found = settled(
            admin, lambda found: metric(found, "sluice_throttled_seconds_total") > 0, "throttling"
        )
        # Five waits of 50 ms, give or take the wheel's ticks.
        assert 0.1 < metric(found, "sluice_throttled_seconds_total") < 5


def test_counts_outlive_a_reload(enter, backend):
    settings = configuration(backend.url)
    edge, admin = start(enter, settings)
    settings["admin"] = {"address": "127.0.0.1:0"}
    with tunnel(edge.address) as wire:
        wire.echoes()
        settings["routes"][0]["idle_timeout"] = "77s"
        edge.reload(settings)
        wire.echoes()
        found = admin.metrics()
        assert metric(found, "sluice_messages_total", route="chat", direction="in") == 2
        assert metric(found, "sluice_reloads_total", result="adopted") == 1
        edge.reload(json.dumps(settings | {"surprise": 1}))
        found = admin.metrics()
        assert metric(found, "sluice_reloads_total", result="refused") == 1
        assert metric(found, "sluice_reload_last_result") == 0


def test_each_metric_is_explained(enter, backend):
    edge, admin = start(enter, configuration(backend.url))
    with tunnel(edge.address) as wire:
        wire.echoes()
        ask(edge.address, upgrade_head("/", without=["Sec-WebSocket-Key"]))
        page = admin.get("/metrics").text
    families = re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M)
    assert len(families) > 25
    explained = re.findall(r"^\| `([a-z0-9_]+)` \|", DOCUMENT.read_text(), re.M)
    assert {name for name, _ in families} <= set(explained)
    for name, kind in families:
        assert (kind == "counter") == name.endswith("_total"), name
    # The dashboard's queries name metrics that there are.
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    ]
    assert len(queries) > 10
    used = {word for query in queries for word in re.findall(r"\b(?:sluice|process)_\w+", query)}
    known = set(explained)
    known |= {f"{name}_{part}" for name in explained for part in ("bucket", "sum", "count")}
    assert used <= known, used - known


def test_promtool_has_nothing_to_say(enter, backend):
    edge, admin = start(enter, configuration(backend.url))
    with tunnel(edge.address) as wire:
        wire.echoes()
        page = admin.get("/metrics").text
    checked = subprocess.run(
        [shutil.which("promtool"), "check", "metrics"], input=page, capture_output=True, text=True
    )
    assert checked.returncode == 0 and not checked.stderr.strip(), checked.stderr


def test_prometheus_scrapes(enter, backend, tmp_path):
    edge, admin = start(enter, configuration(backend.url))
    target = admin.url.removeprefix("http://")
    (tmp_path / "prometheus.yml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
                "scrape_configs": [
                    {"job_name": "sluice", "static_configs": [{"targets": [target]}]}
                ],
            }
        )
    )
    wires = [enter(tunnel(edge.address)) for _ in range(5)]
    for wire in wires:
        wire.echoes()
    with Prometheus(tmp_path) as prometheus:
        assert prometheus.value("up") == 1
        assert prometheus.value("sluice_tunnels", 5) == 5
        query = 'sum(sluice_messages_total{route="chat",direction="in"})'
        assert prometheus.value(query, 5) == 5
        quantile = "histogram_quantile(0.99, sum by (le) (sluice_upgrade_seconds_bucket))"
        assert 0 < prometheus.value(quantile) < 10


class Prometheus:
    """Debian's Prometheus with a configuration of ours."""

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % free.getsockname()[1]
        self.process = subprocess.Popen(
            [
                shutil.which("prometheus"), f"--config.file={self.directory}/prometheus.yml",
                f"--storage.tsdb.path={self.directory}/series",
                f"--web.listen-address={self.address}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def ask(self, query):
        url = f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return json.load(response)["data"]["result"]
        except OSError:
            return []

    def value(self, query, wanted=None):
        """The value of a query, when there is one, and when it is the wanted one."""

        def found():
            result = self.ask(query)
            if not result or result[0]["value"][1] == "NaN":
                return None
            value = float(result[0]["value"][1])
            return [value] if wanted is None or value == wanted else None

        return eventually(found, f"Prometheus to know {query}", 40)[0]
