"""A configuration is read again: what changes, what does not, and who is touched."""

import json
import os
import signal
import socket
import ssl
import time
from pathlib import Path

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.ends import HeldBackend
from harness.wire import ask, connect, is_refused, tunnel, upgrade_head

REFUSED = "reload refused: the edge goes on with the configuration it has"
TUNNELS = 1_000


def routes(*parts):
    """Routes to upstreams of their names, each with one server."""
    return {
        "routes": [
            {"name": name, "match": {"path": f"/{name}"}, "origins": "any", "upstream": name} | more
            for name, _, more in parts
        ],
        "upstreams": [{"name": name, "servers": [url]} for name, url, _ in parts],
        "listeners": [{"address": "127.0.0.1:0"}],
        "log": {"format": "json", "level": "info"},
        "drain_over": "1s",
    }


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


@pytest.fixture
def start(enter):
    """`start(settings)`: an edge that reloads when it is told to, and only then."""
    return lambda settings: enter(Edge(settings, options=["--no-watch"]))


def status(edge, path="/"):
    return ask(edge.address, upgrade_head(path)).status


# What changes ------------------------------------------------------------------------------------


def test_routes_come_and_go(start, backend):
    edge = start(routes(("one", backend.url, {}), ("two", backend.url, {})))
    assert [status(edge, f"/{name}") for name in ("one", "two", "three")] == [101, 101, 404]
    record = edge.reload(routes(("two", backend.url, {}), ("three", backend.url, {})))
    assert record["message"] == "reloaded" and record["trigger"] == "signal"
    assert "routes +three -one" in record["changes"], record
    assert [status(edge, f"/{name}") for name in ("one", "two", "three")] == [404, 101, 101]


def test_nothing_has_changed(start, backend):
    settings = routes(("one", backend.url, {}))
    edge = start(settings)
    assert edge.reload(settings)["changes"] == "nothing"


def test_what_changed_is_reported(start, backend, enter):
    other = enter(ScriptedBackend())
    settings = routes(("one", backend.url, {}), ("two", backend.url, {}))
    edge = start(settings)
    settings["routes"][0]["idle_timeout"] = "77s"
    settings["upstreams"][1]["servers"].append(other.url)
    settings["limits"] = {"connections": 500}
    settings["log"]["access"] = False
    settings["workers"] = 7
    changes = edge.reload(settings)["changes"]
    for part in (
        "routes ~one", "upstreams ~two", f"servers +two {other.url}", "limits", "log",
        "workers (with the next start)",
    ):  # fmt: skip
        assert part in changes, changes
    assert "two" not in changes.partition(";")[0], changes


def test_listeners_come_and_go(start, backend):
    settings = routes(("one", backend.url, {}))
    edge = start(settings)
    (kept,) = edge.addresses
    held = tunnel(kept, "/one")
    free = ScriptedBackend()
    free.socket.close()
    added = free.address
    settings["listeners"] = [{"address": added}, {"address": "127.0.0.1:0"}]
    assert f"listeners +{added}" in edge.reload(settings)["changes"]
    with tunnel(added, "/one") as wire:
        wire.echoes()
    with tunnel(kept, "/one") as wire:
        wire.echoes()
        settings["listeners"] = [{"address": added}]
        edge.reload(settings)
        eventually(lambda: is_refused(kept), "the listener to be gone")
        wire.echoes()
    held.echoes()
    held.close()


def test_an_address_in_use_changes_nothing(start, backend):
    settings = routes(("one", backend.url, {}))
    edge = start(settings)
    settings["listeners"].append({"address": backend.address})
    settings["routes"][0]["match"]["path"] = "/other"
    assert edge.reload(settings)["message"] == REFUSED
    assert backend.address in edge.records("configuration")[-1]["problem"]
    assert status(edge, "/one") == 101


def test_a_certificate_is_replaced(start, backend, authority, tmp_path):
    files = [tmp_path / "certificate.pem", tmp_path / "key.pem"]

    def issue():
        for file, source in zip(files, authority.issue("localhost"), strict=True):
            file.write_bytes(Path(source).read_bytes())

    issue()
    settings = routes(("one", backend.url, {}))
    certificate = {"certificate": str(files[0]), "key": str(files[1])}
    settings["listeners"] = [
        {"address": "127.0.0.1:0", "tls": {"certificates": [certificate]}}
    ]
    edge = start(settings)
    trust = ssl.create_default_context(cafile=authority.ca)

    def served():
        with connect(edge.address, tls=trust) as wire:
            return wire.socket.getpeercert()["serialNumber"]

    held = tunnel(edge.address, "/one", tls=trust)
    before = served()
    assert edge.reload()["changes"] == "nothing"
    assert served() == before
    # Only what the files hold has changed.
    issue()
    assert "listeners ~127.0.0.1:0" in edge.reload()["changes"]
    assert served() != before
    held.echoes()
    held.close()


def test_sessions_are_resumed_over_a_reload_that_leaves_the_certificate(
    start, backend, authority, localhost
):
    settings = routes(("one", backend.url, {}))
    certificate = {"certificate": str(localhost[0]), "key": str(localhost[1])}
    settings["listeners"] = [
        {"address": "127.0.0.1:0", "tls": {"certificates": [certificate]}}
    ]
    edge = start(settings)
    trust = ssl.create_default_context(cafile=authority.ca)
    with tunnel(edge.address, "/one", tls=trust) as wire:
        wire.echoes()
        session = wire.socket.session
    settings["routes"][0]["idle_timeout"] = "99s"
    edge.reload(settings)
    host, port = edge.address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as plain:
        with trust.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
            assert secure.session_reused


def test_keys_are_read_again(start, backend, tmp_path):
    keys = tmp_path / "keys.txt"
    keys.write_text("first-key\n")
    rules = {"auth": {"api_keys": {"header": "X-API-Key", "keys": [f"file:{keys}"]}}}
    edge = start(routes(("one", backend.url, rules)))

    def status_with(key):
        return ask(edge.address, upgrade_head("/one", fields=[("X-API-Key", key)])).status

    assert [status_with(key) for key in ("first-key", "second-key")] == [101, 401]
    keys.write_text("second-key\n")
    assert "routes ~one" in edge.reload()["changes"]
    assert [status_with(key) for key in ("first-key", "second-key")] == [401, 101]


def test_the_log_changes(start, backend):
    settings = routes(("one", backend.url, {}))
    settings["log"]["access"] = False
    edge = start(settings)
    with tunnel(edge.address, "/one") as wire:
        wire.echoes()
    settings["log"]["access"] = True
    edge.reload(settings)
    assert not edge.records("tunnel")
    with tunnel(edge.address, "/one") as wire:
        wire.echoes()
    edge.wait_for("tunnel")


# A bad file --------------------------------------------------------------------------------------


def test_a_bad_file_changes_nothing(start, backend):
    settings = routes(("one", backend.url, {}))
    edge = start(settings)
    with tunnel(edge.address, "/one") as wire:
        bad = json.loads(json.dumps(settings))
        bad["routes"][0]["idle_timeout"] = "soon"
        bad["routes"][0]["match"]["path"] = "/other"
        bad["surprise"] = 1
        assert edge.reload(bad)["message"] == REFUSED
        problems = [record["problem"] for record in edge.records("configuration")]
        assert any("idle_timeout" in problem for problem in problems), problems
        assert any("surprise: unknown key" in problem for problem in problems), problems
        wire.echoes()
        assert [status(edge, path) for path in ("/one", "/other")] == [101, 404]
    settings["routes"][0]["match"]["path"] = "/other"
    assert edge.reload(settings)["message"] == "reloaded"
    assert [status(edge, path) for path in ("/one", "/other")] == [404, 101]


@pytest.mark.parametrize("text", ["", "{", "listeners: [", "\0\0", "- 1\n- 2\n"])
def test_a_broken_file_changes_nothing(start, backend, text):
    edge = start(routes(("one", backend.url, {})))
    assert edge.reload(text)["message"] == REFUSED
    assert status(edge, "/one") == 101


def test_no_file_changes_nothing(start, backend):
    edge = start(routes(("one", backend.url, {})))
    edge.file.unlink()
    assert edge.reload()["message"] == REFUSED
    assert "no such file" in edge.records("configuration")[-1]["problem"]
    assert status(edge, "/one") == 101


# Tunnels -----------------------------------------------------------------------------------------


def test_tunnels_of_a_route_that_is_gone(start, enter, backend):
    """Every client gets 1001, and the closes are spread."""
    held = enter(HeldBackend())
    settings = routes(("gone", held.url, {}), ("stays", backend.url, {}))
    settings["drain_over"] = "4s"
    edge = start(settings)
    kept = [tunnel(edge.address, "/stays") for _ in range(10)]
    wires = [tunnel(edge.address, "/gone") for _ in range(TUNNELS)]
    begin = time.monotonic()
    edge.reload(routes(("stays", backend.url, {})) | {"drain_over": "4s"})
    times = []
    for wire in wires:
        close = wire.read_close()
        assert (close.code, close.reason) == (1001, "the route is gone")
        wire.answer_close(close)
    edge.wait_for("tunnel", count=TUNNELS, timeout=20, reason="route_removed")
    assert time.monotonic() - begin > 2.5, "the closes were not spread"
    stamps = sorted(record["time"] for record in edge.records("tunnel", reason="route_removed"))
    seconds = [float(stamp[17:23]) + 60 * int(stamp[14:16]) for stamp in stamps]
    times = [(second - seconds[0]) % 3600 for second in seconds]
    for part in range(1, 4):
        passed = sum(at < part for at in times)
        assert 0.1 * TUNNELS < passed - sum(at < part - 1 for at in times) < 0.5 * TUNNELS, times
    for wire in kept:
        wire.echoes()
        wire.close()
    for wire in wires:
        wire.close()


def test_tunnels_of_a_server_that_is_gone(start, enter):
    stays, goes = enter(ScriptedBackend()), enter(ScriptedBackend())
    settings = routes(("one", stays.url, {}))
    settings["upstreams"][0]["servers"] = [stays.url, goes.url]
    edge = start(settings)
    wires = {stays.url: [], goes.url: []}
    for _ in range(6):
        count = len(goes.requests)
        wire = tunnel(edge.address, "/one")
        wires[goes.url if len(goes.requests) > count else stays.url].append(wire)
    assert all(wires.values())
    settings["upstreams"][0]["servers"] = [stays.url]
    assert f"servers -one {goes.url}" in edge.reload(settings)["changes"]
    for wire in wires[goes.url]:
        close = wire.read_close()
        assert (close.code, close.reason) == (1012, "the server was taken out of service")
        wire.answer_close(close)
    for wire in wires[stays.url]:
        wire.echoes()
    edge.wait_for("tunnel", count=len(wires[goes.url]), reason="server_removed", closed_by="edge")
    for wire in wires[stays.url] + wires[goes.url]:
        wire.close()


def test_a_route_that_comes_back_keeps_its_tunnels(start, backend):
    settings = routes(("one", backend.url, {}), ("two", backend.url, {})) | {"drain_over": "60s"}
    edge = start(settings)
    with tunnel(edge.address, "/one") as wire:
        edge.reload(routes(("two", backend.url, {})) | {"drain_over": "60s"})
        edge.reload(settings | {"drain_over": "1s"})
        wire.echoes()
        edge.reload(settings | {"drain_over": "1s"})
        wire.echoes()


def test_a_tighter_limit_holds_for_tunnels_that_live(tunnels):
    setting = tunnels()
    ends = setting.open()
    ends.client.send_frame(2, b"x" * 5_000)
    ends.server.read_frame()
    settings = configuration(setting.backend.url, route={"limits": {"message_size": "1KiB"}})
    setting.edge.reload(settings)
    ends.client.send_frame(2, b"x" * 1_000)
    ends.server.read_frame()
    ends.client.send_frame(2, b"x" * 2_000)
    ends.check_closed(client=1009, server=1001, reason="message_size")


def test_a_rate_holds_for_tunnels_that_live(tunnels):
    setting = tunnels()
    ends = setting.open()
    limit = {"messages": {"rate": "1/h", "burst": 3, "exceed": "close"}}
    setting.edge.reload(configuration(setting.backend.url, route={"limits": limit}))
    for _ in range(3):
        ends.client.send_frame(1, b"x")
        ends.server.read_frame()
    ends.client.send_frame(1, b"x")
    ends.check_closed(client=1008, server=1001, reason="message_rate")


# Files that change by themselves -----------------------------------------------------------------


def rename(path, text):
    new = path.with_suffix(".swp")
    new.write_text(text)
    new.rename(path)


def write_in_place(path, text):
    path.write_text(text)


def write_in_pieces(path, text):
    with path.open("w") as file:
        for piece in (text[:50], text[50:]):
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())


def remove_and_write(path, text):
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("write", [rename, write_in_place, write_in_pieces, remove_and_write])
def test_a_file_that_changes_is_read(enter, backend, write):
    edge = enter(Edge(routes(("one", backend.url, {}))))
    for turn, name in enumerate(("two", "three"), start=1):
        write(edge.file, json.dumps(routes((name, backend.url, {}))))
        edge.wait_for("reloaded", trigger="file", count=turn)
        assert status(edge, f"/{name}") == 101
    assert not edge.records(REFUSED)


def test_links_that_are_swapped(enter, backend, tmp_path):
    """As Kubernetes mounts a ConfigMap: a link to a file behind a link that is replaced."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        settings = routes((name, backend.url, {}))
        (tmp_path / name / "sluice.yaml").write_text(json.dumps(settings))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "sluice.yaml").symlink_to("..data/sluice.yaml")
    edge = enter(Edge(arguments=["run", "--config", str(tmp_path / "sluice.yaml")]))
    assert status(edge, "/one") == 101
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    edge.wait_for("reloaded", trigger="file")
    assert [status(edge, path) for path in ("/one", "/two")] == [404, 101]


def test_a_named_file_that_changes_is_read(enter, backend, tmp_path):
    keys = tmp_path / "keys.txt"
    keys.write_text("first-key\n")
    rules = {"auth": {"api_keys": {"header": "X-API-Key", "keys": [f"file:{keys}"]}}}
    edge = enter(Edge(routes(("one", backend.url, rules))))
    rename(keys, "second-key\n")
    assert "routes ~one" in edge.wait_for("reloaded", trigger="file")["changes"]
    assert ask(edge.address, upgrade_head("/one", fields=[("X-API-Key", "second-key")])).status == 101


@pytest.mark.parametrize("trigger", ["file", "signal"])
def test_a_file_in_a_directory_that_a_reload_named(enter, backend, tmp_path, trigger):
    keys = tmp_path / "keys.txt"
    keys.write_text("first-key\n")
    rules = {"auth": {"api_keys": {"header": "X-API-Key", "keys": [f"file:{keys}"]}}}
    edge = enter(Edge(routes(("one", backend.url, {}))))
    rename(edge.file, json.dumps(routes(("one", backend.url, rules))))
    if trigger == "signal":
        edge.signal(signal.SIGHUP)
    edge.wait_for("reloaded", trigger=trigger)
    count = len(edge.records("reloaded", trigger="file"))
    rename(keys, "second-key\n")
    edge.wait_for("reloaded", trigger="file", count=count + 1)
    assert ask(edge.address, upgrade_head("/one", fields=[("X-API-Key", "second-key")])).status == 101


def test_a_file_that_is_touched_is_left_alone(enter, backend):
    settings = routes(("one", backend.url, {}))
    edge = enter(Edge(settings))
    rename(edge.file, json.dumps(settings, indent=2))
    rename(edge.file, json.dumps(routes(("two", backend.url, {}))))
    edge.wait_for("reloaded", trigger="file")
    assert len(edge.records("reloaded")) == 1


def test_sighup_ends_what_has_no_file(enter, backend):
    """`sluice proxy` in a terminal that is closed must not live on."""
    edge = enter(
        Edge(
            arguments=["proxy", "--to", backend.url, "--listen", "127.0.0.1:0"],
            awaits_ready=False,
        )
    )
    eventually(lambda: "ready" in edge.text, "the edge to serve")
    edge.signal(signal.SIGHUP)
    assert edge.wait_for_exit() == 0


# Many times --------------------------------------------------------------------------------------

LIVE, RELOADS = 2_000, 100


def test_a_hundred_reloads_under_load(start, node_backend, backend):
    """Tunnels of a route that nobody touches live on, and memory comes back to where it was."""
    steady = ("steady", node_backend.url, {})
    edge = start(routes(steady))
    wires = [tunnel(edge.address, "/steady") for _ in range(LIVE)]
    variants = [
        routes(steady, ("extra", backend.url, {"idle_timeout": f"{60 + number}s"}))
        for number in range(2)
    ]
    for number in range(10):
        edge.reload(variants[number % 2])
    before = edge.resident
    for number in range(RELOADS):
        edge.reload(variants[number % 2])
        # All are used in turn, and some of a route that changes all the time.
        for wire in wires[number::RELOADS]:
            wire.echoes()
        with tunnel(edge.address, "/extra") as wire:
            wire.echoes()
    assert len(edge.records("reloaded")) == 10 + RELOADS
    for wire in wires:
        wire.echoes()
    assert not edge.records("tunnel", route="steady"), "a tunnel was lost"
    eventually(
        lambda: edge.resident < before * 1.05,
        f"memory to come back to {before}: it is {edge.resident}",
    )
    for wire in wires:
        wire.close()
