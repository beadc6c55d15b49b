"""An HTTP server of the test's own: what it answers can change at any time."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """What is answered; `holds` is an event for which the answer waits."""

    def __init__(self, status=200, body=b"", fields=(), *, holds=None, closes=False):
        self.status, self.fields, self.holds, self.closes = status, list(fields), holds, closes
        self.body = body.encode() if isinstance(body, str) else body


class Request:
    """What was asked."""

    def __init__(self, handler):
        self.command, self.path, self.headers = handler.command, handler.path, handler.headers
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))

    def values(self, name):
        return self.headers.get_all(name, [])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes.
    disable_nagle_algorithm = True

    def do_GET(self):
        request = Request(self)
        with self.server.lock:
            self.server.requests.append(request)
        answer = self.server.answers(request)
        if answer.holds and not answer.holds.wait(60):
            return
        if answer.closes:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # For many connections at once; with a short queue some would wait a second.
    request_queue_size = 512

    def handle_error(self, *_):
        """A client that goes away is no error."""


class WebServer:
    """A server whose `answers` is an Answer, or a function of the Request that gives one.

    `tls` is an ssl.SSLContext; `port` is where it listens, anywhere by default.
    """

    def __init__(self, answers=None, *, tls=None, port=0):
        self.answers = answers or Answer(404)
        self.tls = tls
        self.port = port

    def __enter__(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.lock = threading.Lock()
        self.server.requests = []
        self.server.answers = self.answer
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        if self.tls:
            self.url = f"https://localhost:{self.server.server_port}"
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request):
        return self.answers(request) if callable(self.answers) else self.answers

    @property
    def requests(self):
        with self.server.lock:
            return list(self.server.requests)

    @property
    def count(self):
        return len(self.requests)
