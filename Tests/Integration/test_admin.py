"""The admin API: what it tells, what it does, and to whom."""

import json
import os
import re
import signal
import socket
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket

from harness import tokens
from harness.admin import ANYWHERE, Admin, start
from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration, sluice
from harness.wire import connect, tunnel

TOKEN = "an-admin-token-of-32-octets-12345"
JWT = {"jwt": {"keys": [{"algorithm": "HS256", "secret": tokens.SECRET}]}}


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


def test_probes(enter, backend):
    edge, admin = start(enter, configuration(backend.url, shutdown_grace="20s"))
    assert admin.get("/healthz").json == {"status": "alive"}
    assert admin.get("/readyz").json == {"status": "ready"}
    with tunnel(edge.address):
        edge.signal()
        eventually(lambda: admin.get("/readyz").status == 503, "the edge not to be ready")
        assert "stop" in admin.get("/readyz").json["reason"]
        assert admin.get("/healthz").status == 200


def test_not_ready_without_a_healthy_server(enter):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = "ws://127.0.0.1:%d" % nobody.getsockname()[1]
    check = {"interval": "100ms", "unhealthy_after": 1}
    edge, admin = start(enter, configuration(url, upstream={"health_check": check}))
    edge.wait_for("server unhealthy")
    answer = admin.get("/readyz")
    assert answer.status == 503 and "backend" in answer.json["reason"]
    (server,) = admin.get("/upstreams").json["upstreams"][0]["servers"]
    assert server["endpoints"][0]["standing"] == "unhealthy"
    assert "refused" in server["endpoints"][0]["probe"]


def open_as(edge, subject):
    token = tokens.hs256(tokens.claims(sub=subject))
    return tunnel(edge.address, fields=[("Authorization", f"Bearer {token}")])


def test_tunnels_are_listed(enter, backend):
    edge, admin = start(enter, configuration(backend.url, route={"auth": JWT}, workers=2))
    wires = [enter(open_as(edge, f"user-{number % 3}")) for number in range(9)]
    for number, wire in enumerate(wires):
        for _ in range(number):
            wire.echoes(b"x" * 100)
    listed = admin.get("/connections").json
    assert listed["total"] == 9 and len(listed["connections"]) == 9
    octets = [each["octets_in"] + each["octets_out"] for each in listed["connections"]]
    assert octets == sorted(octets, reverse=True) and octets[0] > octets[-1]
    first = listed["connections"][0]
    assert (first["messages_in"], first["messages_out"]) == (8, 8)
    assert first["route"] == "chat" and first["client"] == "127.0.0.1"
    assert first["upstream"] == backend.url and re.fullmatch(r"\d+-\d+-\d+", first["id"])
    ages = [each["age_seconds"] for each in admin.get("/connections", sort="age").json["connections"]]
    assert ages == sorted(ages, reverse=True)
    mine = admin.get("/connections", subject="user-1", limit=2).json
    assert mine["total"] == 3 and len(mine["connections"]) == 2
    assert {each["subject"] for each in mine["connections"]} == {"user-1"}
    for filter in ({"route": "other"}, {"address": "10.0.0.1"}, {"subject": "nobody"}):
        assert admin.get("/connections", **filter).json["total"] == 0


def test_one_tunnel_is_closed(enter, backend):
    edge, admin = start(enter, configuration(backend.url))
    with tunnel(edge.address) as goes, tunnel(edge.address) as stays:
        goes.echoes()
        (first, second) = admin.get("/connections", sort="octets").json["connections"]
        assert first["octets_in"] > second["octets_in"]
        answer = admin.delete(f"/connections/{first['id']}", code=4001, reason="go away")
        assert answer.status == 202
        close = goes.read_close()
        assert (close.code, close.reason) == (4001, "go away")
        goes.answer_close(close)
        record = edge.wait_for("tunnel", reason="operator")
        assert record["closed_by"] == "edge" and str(record["close_code"]) == "4001"
        assert admin.delete(f"/connections/{first['id']}").status == 404
        stays.echoes()


def test_a_user_is_logged_out_everywhere(enter, backend):
    edge, admin = start(enter, configuration(backend.url, route={"auth": JWT}, workers=2))
    alice = [enter(open_as(edge, "alice")) for _ in range(6)]
    bob = enter(open_as(edge, "bob"))
    assert admin.delete("/connections", subject="alice").json == {"closed": 6}
    for wire in alice:
        close = wire.read_close()
        assert (close.code, close.reason) == (1008, "closed by an operator")
        wire.answer_close(close)
    bob.echoes()


@pytest.mark.parametrize(
    "method, path, query, word",
    [
        ("DELETE", "/connections", {}, "no_filter"),
        ("DELETE", "/connections", {"subjekt": "alice"}, "unknown_parameter"),
        ("DELETE", "/connections", {"subject": "a", "code": "1006"}, "bad_code"),
        ("DELETE", "/connections", {"subject": "a", "code": "70000"}, "bad_code"),
        ("DELETE", "/connections", {"subject": "a", "reason": "x" * 124}, "bad_reason"),
        ("GET", "/connections", {"limit": "0"}, "bad_limit"),
        ("GET", "/connections", {"limit": "10001"}, "bad_limit"),
        ("GET", "/connections", {"sort": "size"}, "bad_sort"),
        ("DELETE", "/connections/1-2", {}, "no_such_connection"),
        ("DELETE", "/connections/9-0-1", {}, "no_such_connection"),
        ("POST", "/upstreams/nobody/servers/0", {}, "no_such_upstream"),
        ("POST", "/upstreams/backend/servers/7", {}, "no_such_server"),
        ("POST", "/upstreams/backend/servers/0", {}, "bad_body"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(enter, backend, method, path, query, word):
    _, admin = start(enter, configuration(backend.url))
    answer = admin.call(method, path, **query)
    assert 400 <= answer.status < 500
    assert answer.json["error"] == word and answer.json["reason"].endswith(".")


def test_a_server_is_taken_out_and_back(enter):
    one, two = enter(ScriptedBackend()), enter(ScriptedBackend())
    edge, admin = start(enter, configuration(one.url, two.url))

    def counts(opened=6):
        before = len(one.requests), len(two.requests)
        for _ in range(opened):
            with tunnel(edge.address):
                pass
        return len(one.requests) - before[0], len(two.requests) - before[1]

    assert counts() == (3, 3)
    changed = admin.post("/upstreams/backend/servers/1", {"drain": True})
    assert changed.status == 200
    server = changed.json["upstreams"][0]["servers"][1]
    assert server["drain"] and server["overridden"]
    assert counts() == (6, 0)
    edge.reload()
    assert counts() == (6, 0), "a reload that changes nothing keeps it"
    # By its URL, too.
    path = f"/upstreams/backend/servers/{two.url.replace('/', '%2F')}"
    assert admin.post(path, {"drain": False, "weight": 2}).status == 200
    assert counts() == (2, 4)
    assert admin.post(path, {"revert": True}).status == 200
    assert counts() == (3, 3)
    for bad in ({"weight": 0}, {"weight": 1001}, {"drain": "yes"}, {"revert": False}, []):
        assert admin.post(path, bad).status == 400, bad


def test_a_reload_is_asked_for(enter, backend):
    settings = configuration(backend.url) | {"admin": ANYWHERE}
    edge, admin = start(enter, settings)
    assert admin.get("/stats").json.get("reload") is None
    settings["routes"][0]["idle_timeout"] = "77s"
    edge.configure(settings)
    answer = admin.post("/reload")
    assert answer.status == 200 and answer.json == {"changes": "routes ~chat"}
    edge.configure(json.dumps(settings | {"surprise": 1}))
    answer = admin.post("/reload")
    assert answer.status == 422 and "surprise: unknown key" in answer.json["problems"][0]
    last = admin.get("/stats").json["reload"]
    assert not last["good"] and last["trigger"] == "request" and last["problems"]


def test_sluice_reload(enter, backend):
    settings = configuration(backend.url) | {"admin": ANYWHERE | {"token": TOKEN}}
    edge, admin = start(enter, settings)
    settings["admin"] = {"address": admin.url.removeprefix("http://"), "token": TOKEN}
    settings["routes"][0]["idle_timeout"] = "77s"
    edge.configure(settings)
    done = sluice("reload", "--config", str(edge.file))
    assert done.returncode == 0 and "routes ~chat" in done.stdout, done
    edge.configure(json.dumps(settings | {"surprise": 1}))
    failed = sluice("reload", "--config", str(edge.file))
    assert failed.returncode == 1 and "surprise: unknown key" in failed.stderr, failed


def test_sluice_reload_where_nobody_listens(tmp_path, backend):
    file = tmp_path / "sluice.yaml"
    file.write_text(json.dumps(configuration(backend.url)))
    failed = sluice("reload", "--config", str(file))
    assert failed.returncode == 1 and "admin" in failed.stderr
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
    file.write_text(json.dumps(configuration(backend.url, admin={"address": address})))
    failed = sluice("reload", "--config", str(file))
    assert failed.returncode == 1 and address in failed.stderr


def test_a_drain_is_asked_for(enter, backend):
    edge, admin = start(enter, configuration(backend.url, shutdown_grace="1s"))
    with tunnel(edge.address) as wire:
        assert admin.post("/drain").status == 202
        edge.is_stopped = True
        assert wire.read_close().code == 1001
    assert edge.wait_for_exit() == 0


def test_the_configuration_is_shown_without_its_secrets(enter, backend, tmp_path):
    keys = tmp_path / "keys.txt"
    keys.write_text("a-key-in-a-file\n")
    auth = JWT | {"api_keys": {"keys": ["a-plain-key", f"file:{keys}"]}}
    edge, admin = start(
        enter,
        configuration(backend.url, route={"auth": auth}) | {"admin": ANYWHERE | {"token": TOKEN}},
    )
    shown = admin.get("/config")
    for secret in (tokens.SECRET, "a-plain-key", "a-key-in-a-file", TOKEN):
        assert secret not in shown.text
    assert shown.json["routes"][0]["auth"]["api_keys"]["keys"] == ["********", f"file:{keys}"]
    assert shown.json["upstreams"][0]["servers"] == [backend.url]
    assert shown.json["routes"][0]["match"] == {"path": "/"}


# Who may ------------------------------------------------------------------------------------------


def test_the_token(enter, backend):
    edge, admin = start(
        enter, configuration(backend.url) | {"admin": ANYWHERE | {"token": TOKEN}}
    )
    assert admin.get("/stats").status == 200
    for stranger in (Admin(edge), Admin(edge, TOKEN + "x"), Admin(edge, TOKEN[:-1] + "x")):
        for path in ("/stats", "/metrics", "/config", "/connections", "/openapi.json"):
            assert stranger.get(path).status == 401, path
        assert stranger.post("/drain").status == 401
        # A page that holds nothing, and what supervisors ask.
        for path in ("/", "/healthz", "/readyz"):
            assert stranger.get(path).status == 200
    live = admin.url.replace("http:", "ws:") + "/live"
    with websocket(live, subprotocols=["bearer", TOKEN], proxy=None) as socket:
        assert socket.subprotocol == "bearer" and json.loads(socket.recv(10))["pid"]
    for offered in (None, ["bearer", TOKEN[:-1] + "x"]):
        check_refused(live, "token", subprotocols=offered)


def check_refused(url, words, **options):
    """A script in a page is told nothing of a status, but a close code."""
    with websocket(url, proxy=None, **options) as socket, pytest.raises(ConnectionClosed):
        socket.recv(10)
    assert socket.close_code == 1008 and words in socket.close_reason


def test_no_page_of_another_site(enter, backend):
    edge, admin = start(enter, configuration(backend.url))
    host = admin.url.removeprefix("http://")
    for fields, status in (
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"http://{host}.evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Origin": f"http://{host}"}, 200),
        ({"Host": "localhost:1"}, 200),
    ):
        assert admin.call("GET", "/stats", fields=fields).status == status, fields
    assert admin.call("POST", "/drain", fields={"Origin": "https://evil.example"}).status == 403
    live = admin.url.replace("http:", "ws:") + "/live"
    with websocket(live, origin=f"http://{host}", proxy=None) as socket:
        socket.recv(10)
    check_refused(live, "other sites", origin="https://evil.example")
    check_refused(live.replace("/live", "/other"), "/live")


def test_a_token_is_needed_where_others_can_come(tmp_path, backend):
    file = tmp_path / "sluice.yaml"
    for admin, word in (
        ({"address": "0.0.0.0:0"}, "admin.token: missing"),
        ({"address": "192.0.2.1:9900"}, "admin.token: missing"),
        ({"address": "127.0.0.1:0", "token": "short"}, "admin.token: it is short"),
    ):
        file.write_text(json.dumps(configuration(backend.url, admin=admin)))
        checked = sluice("check", "--config", str(file))
        assert checked.returncode == 1 and word in checked.stderr, checked


def test_the_token_changes_with_a_reload(enter, backend):
    settings = configuration(backend.url) | {"admin": ANYWHERE | {"token": TOKEN}}
    edge, admin = start(enter, settings)
    settings["admin"] = ANYWHERE | {"token": TOKEN[::-1]}
    assert "admin.token" in edge.reload(settings)["changes"]
    assert admin.get("/stats").status == 401
    assert Admin(edge, TOKEN[::-1]).get("/stats").status == 200


# The feed ----------------------------------------------------------------------------------------


def test_the_feed(enter, backend):
    edge, admin = start(enter, configuration(backend.url))
    with websocket(admin.url.replace("http:", "ws:") + "/live", proxy=None) as socket:
        first = json.loads(socket.recv(10))
        with tunnel(edge.address) as wire:
            wire.echoes()
            later = json.loads(socket.recv(10))
            while later["tunnels"]["open"] < 1:
                later = json.loads(socket.recv(10))
        assert later["time"] > first["time"] and later["pid"] == first["pid"]
        assert later["messages"] == {"in": 1, "out": 1}
        socket.ping().wait(10)


def test_a_new_process_has_the_address(enter, request, backend):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    settings = configuration(backend.url, shutdown_grace="1s", admin={"address": address})
    edge, admin = start(enter, settings)
    before = admin.get("/stats").json["pid"]
    edge.process.send_signal(signal.SIGUSR2)
    number = int(edge.wait_for("ready", count=2)["pid"])
    request.addfinalizer(lambda: end(number))
    edge.is_stopped = True

    def pid():
        try:
            return admin.get("/stats").json["pid"]
        except OSError:
            return before

    eventually(lambda: pid() == number, "the new process to answer", 20)


def end(number):
    os.kill(number, signal.SIGKILL)


def test_garbage_hurts_nobody(enter, backend):
    edge, admin = start(enter, configuration(backend.url))
    address = admin.url.removeprefix("http://")
    for octets in (
        b"\x00\xff" * 500, b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    ):  # fmt: skip
        with connect(address) as wire:
            wire.send(octets)
            wire.shutdown_write()
            wire.read_to_end()
    assert admin.get("/healthz").status == 200


# The description ---------------------------------------------------------------------------------


def faults(value, schema, document, place="$"):
    """What of a JSON value contradicts its schema, as far as the document's schemas go."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return [] if any(not faults(value, each, document) for each in schema["anyOf"]) else [place]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{place}: {value}"]
    kinds = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
        "boolean": bool, "null": type(None),
    }  # fmt: skip
    names = schema.get("type", [])
    names = names if isinstance(names, list) else [names]
    if names and not any(isinstance(value, kinds[name]) for name in names):
        return [f"{place}: {value!r} is no {names}"]
    found = []
    if isinstance(value, dict) and "properties" in schema:
        found += [f"{place}: no {key}" for key in schema.get("required", []) if key not in value]
        for key, part in value.items():
            if key in schema["properties"]:
                found += faults(part, schema["properties"][key], document, f"{place}.{key}")
            elif schema.get("additionalProperties") is False:
                found.append(f"{place}.{key} is not described")
    for index, part in enumerate(value if isinstance(value, list) else []):
        found += faults(part, schema.get("items", {}), document, f"{place}[{index}]")
    return found


def test_the_description_is_true(enter, backend):
    """Each call that OpenAPI describes is made, and its answer is as described."""
    check = {"interval": "100ms", "request": "upgrade"}
    edge, admin = start(
        enter, configuration(backend.url, upstream={"health_check": check}, shutdown_grace="1s")
    )
    document = admin.get("/openapi.json").json
    here = Path(__file__).resolve().parents[2] / "Sources/Control/Admin/openapi.json"
    assert document == json.loads(here.read_text())
    wire = enter(tunnel(edge.address))
    wire.echoes()
    (listed,) = admin.get("/connections").json["connections"]
    made = {
        ("post", "/upstreams/{upstream}/servers/{server}"): lambda: admin.post(
            "/upstreams/backend/servers/0", {"weight": 3}
        ),
        ("delete", "/connections"): lambda: admin.delete("/connections", route="none"),
        ("delete", "/connections/{id}"): lambda: admin.delete(f"/connections/{listed['id']}"),
    }
    # Those about one room are made in test_room_admin.py, where there is one.
    paths = {path: each for path, each in document["paths"].items() if "{room}" not in path}
    calls = [(method, path) for path, each in paths.items() for method in each]
    # The last one ends the edge.
    calls.sort(key=lambda call: (call[1] == "/drain", call[0] == "delete"))
    for method, path in calls:
        operation = document["paths"][path][method]
        answer = made.get((method, path), lambda: admin.call(method.upper(), path))()
        assert str(answer.status) in operation["responses"], (method, path, answer)
        assert answer.status < 300, (method, path, answer)
        content = operation["responses"][str(answer.status)]["content"]
        if schema := content.get("application/json", {}).get("schema"):
            assert not faults(answer.json, schema, document), (method, path)
    edge.is_stopped = True
    assert edge.wait_for_exit() == 0
