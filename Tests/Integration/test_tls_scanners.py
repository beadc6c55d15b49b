"""sslyze and testssl.sh look at a listener with default settings and find nothing."""

import json
import subprocess
import sys

import pytest

from harness.authority import pair
from harness.edge import Edge, configuration

# What testssl.sh reports about every server of this kind, with the reason why it stands.
ACCEPTED = {
    # Says that BREACH was not tested for want of an HTTP answer to HEAD.
    "BREACH",
}
SERIOUS = {"LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN"}


@pytest.fixture(scope="module")
def edge(enter_for_module, node_backend, localhost):
    listeners = [{"address": "127.0.0.1:0", "tls": {"certificates": [pair(localhost)]}}]
    return enter_for_module(Edge(configuration(node_backend.url, listeners=listeners)))


def test_sslyze(edge, authority, tmp_path):
    """Mozilla's intermediate profile, and the known attacks."""
    report = tmp_path / "sslyze.json"
    made = subprocess.run(
        [
            sys.executable, "-m", "sslyze", "--mozilla_config=intermediate",
            f"--certinfo_ca_file={authority.ca}", f"--json_out={report}",
            f"localhost:{edge.port}",
        ],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.timeout(300)
def test_testssl(edge, authority, tmp_path):
    report = tmp_path / "testssl.json"
    made = subprocess.run(
        [
            "testssl", "--quiet", "--color", "0", "--warnings", "off", "--ip", "127.0.0.1",
            "--add-ca", authority.ca, "--jsonfile", str(report),
            "-p", "-s", "-f", "-P", "-U", f"localhost:{edge.port}",
        ],
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert report.is_file(), made.stdout + made.stderr
    findings = [
        f"{entry['severity']} {entry['id']}: {entry['finding']}"
        for entry in json.loads(report.read_text())
        if entry["severity"] in SERIOUS and entry["id"] not in ACCEPTED
    ]
    assert not findings, "\n".join(findings)
