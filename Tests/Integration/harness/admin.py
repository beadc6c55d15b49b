"""The admin listener of an edge, and what it says of itself."""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import NamedTuple

from .edge import Edge

ANYWHERE = {"address": "127.0.0.1:0"}


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Admin:
    """Calls to the admin listener."""

    def __init__(self, edge, token=None):
        self.url = edge.wait_for("admin")["url"].rstrip("/")
        self.token = token

    def call(self, method, path, *, body=None, fields=None, **query):
        url = self.url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        octets = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=octets, method=method, headers=fields or {})
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())

    def get(self, path, **query):
        return self.call("GET", path, **query)

    def post(self, path, body=None, **query):
        return self.call("POST", path, body=body, **query)

    def delete(self, path, **query):
        return self.call("DELETE", path, **query)

    def metrics(self):
        """{(name, labels as a frozenset of pairs): value}"""
        found = {}
        for line in self.get("/metrics").text.splitlines():
            if line.startswith("#"):
                continue
            name, _, value = line.rpartition(" ")
            name, _, rest = name.partition("{")
            labels = frozenset(
                tuple(pair.split("=", 1)) for pair in rest.rstrip("}").split('",') if pair
            )
            labels = frozenset((key, text.strip('"')) for key, text in labels)
            found[name, labels] = float(value)
        return found


def metric(metrics, name, **labels):
    """The sum of the samples of this name that have these labels."""
    wanted = {(key, str(value)) for key, value in labels.items()}
    return sum(value for (each, has), value in metrics.items() if each == name and wanted <= has)


def start(enter, settings, **options):
    """An edge with an admin listener, and calls to it."""
    settings = {"admin": ANYWHERE} | settings
    edge = enter(Edge(settings, options=["--no-watch"], **options))
    return edge, Admin(edge, settings["admin"].get("token"))
