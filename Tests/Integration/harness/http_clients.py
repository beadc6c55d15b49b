"""HTTP clients: curl in each version of HTTP, and requests that a test writes octet by octet."""

import json
import subprocess
import tempfile
from pathlib import Path

from .edge import configuration
from .wire import Response

# What curl is told for each version; HTTP/2 without TLS is known beforehand.
VERSIONS = {"1.0": "--http1.0", "1.1": "--http1.1", "2": "--http2-prior-knowledge"}
LISTENER = {"address": "127.0.0.1:0", "http2": True}


def forwarding(*servers, route=None, listener=None, **more):
    """The configuration of an edge whose one route forwards ordinary requests, by one worker."""
    listeners = more.pop("listeners", [LISTENER | (listener or {})])
    route = {"http": True} | (route or {})
    return configuration(*servers, route=route, listeners=listeners, **{"workers": 1} | more)


def head(target="/", *fields, method="GET", version="HTTP/1.1", host="localhost"):
    """The head of a request; `fields` are pairs. Without a host nothing names one."""
    fields = ([("Host", host)] if host else []) + list(fields)
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def post(target="/", body=b"", *fields, method="POST"):
    """A request with a body and its length."""
    return head(target, ("Content-Length", len(body)), *fields, method=method) + body


def ask(wire, octets, *, method="GET"):
    """The answer on a connection that goes on behind it."""
    wire.send(octets)
    return read_answer(wire, method)


def read_answer(wire, method="GET"):
    """The next answer that counts; those before it are in its `interim`."""
    interim = []
    while True:
        response = Response(wire.read_until(b"\r\n\r\n"))
        if response.status >= 200:
            break
        interim.append(response)
    wire.buffer = response.octets + wire.buffer
    has_body = method != "HEAD" and response.status not in (204, 304)
    response = wire.read_response() if has_body else Response(wire.read_until(b"\r\n\r\n"))
    response.interim = interim
    return response


def is_reusable(wire, target="/again"):
    """Whether another request on the connection is answered."""
    return ask(wire, head(target)).status == 200


class CurlAnswer:
    """What curl got: `code` is its exit status, `heads` are all heads in their order."""

    def __init__(self, code, heads, body, facts):
        self.code, self.body, self.facts = code, body, facts
        # What stands behind the head that counts are trailers.
        blocks = [block for block in heads.split(b"\r\n\r\n") if block]
        self.heads = [Response(block) for block in blocks if block.startswith(b"HTTP/")]
        self.trailers = [block for block in blocks if not block.startswith(b"HTTP/")]

    @property
    def last(self):
        return self.heads[-1]

    @property
    def status(self):
        return self.last.status if self.heads else 0

    @property
    def json(self):
        return json.loads(self.body)

    def __getitem__(self, name):
        return self.last[name]

    def __contains__(self, name):
        return name in self.last


def curl_command(url, *arguments, http="1.1"):
    version = VERSIONS.get(http, http)
    return ["curl", "--silent", "--show-error", "--noproxy", "*", version, *arguments, url]


def curl(url, *arguments, http="1.1", timeout=20, stdin=b""):
    """One answer, as curl sees it; `http` is a version, or curl's option for one."""
    with tempfile.TemporaryDirectory() as directory:
        heads, body = Path(directory, "heads"), Path(directory, "body")
        into = ["-D", str(heads), "-o", str(body), "-w", "\n%{json}", "--max-time", str(timeout)]
        done = subprocess.run(
            curl_command(url, *into, *arguments, http=http),
            input=stdin, capture_output=True, timeout=timeout + 5,
        )  # fmt: skip
        octets = [each.read_bytes() if each.exists() else b"" for each in (heads, body)]
    return CurlAnswer(done.returncode, *octets, json.loads(done.stdout.splitlines()[-1]))
