"""A page in headless Chromium."""

import shutil
import subprocess
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Debian's, Ubuntu's and Google's names. $CHROMIUM comes first: see conftest.py.
NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
TIMEOUT = 90

PAGE = """<!doctype html><meta charset="utf-8"><title>test</title><pre id="outcome"></pre>
<img src="/held">
<script>
const show = (value) => {
  document.getElementById("outcome").textContent = JSON.stringify(value);
  return fetch("/done", { method: "POST" });
};
(async () => { %s })().then(show, (error) => show({ error: String(error) }));
</script>"""


def find(named=None):
    """The path of a Chromium, or None."""
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def outcome(chromium, script):
    """What the asynchronous `script` returns, as the text of an element of its page (JSON).

    Chromium prints the document when it has loaded. It has loaded when an image has come, and that
    is kept back until the script has reported.
    """
    is_done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/held":
                is_done.wait(TIMEOUT)
            octets = (PAGE % script).encode() if self.path == "/" else b""
            self.send_response(200 if octets else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def do_POST(self):
            is_done.set()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", f"--user-data-dir={profile}", "--dump-dom",
            f"http://127.0.0.1:{server.server_port}/",
        ]  # fmt: skip
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        finally:
            is_done.set()
            server.shutdown()
    _, found, rest = made.stdout.partition('<pre id="outcome">')
    assert found, f"no page (exit status {made.returncode}):\n{made.stdout}\n{made.stderr}"
    return rest.partition("</pre>")[0]
