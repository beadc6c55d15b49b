"""The log: one JSON object a line, as much of it as the file asks for."""

import json
from contextlib import suppress

import pytest

from harness.backends import ScriptedBackend
from harness.conditions import eventually
from harness.edge import Edge, configuration
from harness.wire import ask, tunnel, upgrade_head

KEYS = {
    "request_id", "route", "client", "subject", "upstream", "method", "target", "host", "status",
    "octets_in", "octets_out", "duration_ms", "closed_by", "reason", "error", "http", "tls",
    "close_code", "messages_in", "messages_out", "detail",
}  # fmt: skip


@pytest.fixture
def backend(enter):
    return enter(ScriptedBackend())


def test_every_line_is_an_object(enter, backend):
    edge = enter(Edge(configuration(backend.url)))
    tunnel(edge.address).close()
    edge.wait_for("tunnel")
    ask(edge.address, upgrade_head(method="POST"))
    edge.wait_for("request")
    assert len(edge.log) == len(edge.lines)
    for record in edge.log:
        assert {"time", "level", "message"} <= set(record)


def test_keys_of_the_access_records(enter, backend):
    edge = enter(Edge(configuration(backend.url)))
    tunnel(edge.address).close()
    ended = edge.wait_for("tunnel")
    # A key without a value may be left out; there are no others.
    assert set(ended) - {"time", "level", "message"} <= KEYS
    assert KEYS - set(ended) <= {"subject", "tls", "error", "detail"}
    ask(edge.address, upgrade_head("/x", method="POST", host="a.example"))
    refused = edge.wait_for("request")
    assert set(refused) - {"time", "level", "message"} <= KEYS
    assert (refused["method"], refused["target"], refused["host"]) == ("POST", "/x", "a.example")
    assert refused["request_id"] != ended["request_id"]


def test_a_client_cannot_write_into_the_log(enter, backend):
    """Quotes, backslashes, escapes and octets beyond ASCII stay inside one string."""
    edge = enter(Edge(configuration(backend.url)))
    targets = ['/"x":1', "/\\", "/%0a%0dready", "/\xff\xfe", "/{}[],:"]
    for target in targets:
        ask(edge.address, upgrade_head(target, method="POST", fields=[("X", '"\\\x80')]))
    edge.wait_for("request", count=len(targets))
    assert len(edge.log) == len(edge.lines)
    assert len(edge.records("ready")) == 1


@pytest.mark.parametrize("format", ["json", "text"])
def test_without_access_records(enter, backend, tmp_path, format):
    path = tmp_path / "edge.sock"
    settings = configuration(
        backend.url, listeners=[{"address": f"unix:{path}"}],
        log={"access": False, "format": format},
    )  # fmt: skip
    edge = enter(Edge(settings, awaits_ready=format == "json"))
    eventually(path.exists, "the listener")
    open_when_listening(f"unix:{path}").close()
    ask(f"unix:{path}", upgrade_head(method="POST"))
    edge.signal()
    assert edge.wait_for_exit() == 0
    assert not edge.records("tunnel") and not edge.records("request")
    assert "request_id" not in edge.text
    assert "listening" in edge.text


def open_when_listening(address):
    def attempt():
        with suppress(ConnectionRefusedError):
            return tunnel(address)

    return eventually(attempt, "the listener to accept")


def test_text_format(enter, backend, tmp_path):
    path = tmp_path / "edge.sock"
    listeners = [{"address": f"unix:{path}"}]
    settings = configuration(backend.url, listeners=listeners, log={"format": "text"})
    edge = enter(Edge(settings, awaits_ready=False))
    eventually(path.exists, "the listener")
    open_when_listening(f"unix:{path}").close()
    eventually(lambda: "tunnel" in edge.text, "the record")
    for line in edge.lines:
        with pytest.raises(ValueError):
            json.loads(line)


def test_level(enter, backend, tmp_path):
    """At `error` a start without errors says nothing."""
    path = tmp_path / "edge.sock"
    listeners = [{"address": f"unix:{path}"}]
    settings = configuration(backend.url, listeners=listeners, log={"level": "error"})
    edge = enter(Edge(settings, awaits_ready=False))
    eventually(path.exists, "the listener")
    open_when_listening(f"unix:{path}").close()
    edge.signal()
    assert edge.wait_for_exit() == 0
    assert edge.lines == []
