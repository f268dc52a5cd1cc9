"""What the browser's own `fetch` is measured against: a plain static server, or a bare sink.

`python -m bench.peer static FOLDER` serves a folder with the standard library's server;
`python -m bench.peer sink` reads a request's body and forgets it. Both take a free port, print it,
and let every page in, since they hold nothing.
"""

import asyncio
import functools
import http.server
import sys
from pathlib import Path

import tornado.httpserver
import tornado.netutil
import tornado.web


class StaticHandler(http.server.SimpleHTTPRequestHandler):
    """A static server's answer, readable by a page of another origin."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        """Let every page in, and no cache keep what is measured."""
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing for each request."""


def static(folder: Path) -> None:
    """Serve a folder until the process is ended."""
    handler = functools.partial(StaticHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


@tornado.web.stream_request_body
class SinkHandler(tornado.web.RequestHandler):
    """Reads a body and says how long it was."""

    received = 0

    def set_default_headers(self) -> None:
        """Let every page in."""
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Access-Control-Allow-Methods", "PUT")
        self.set_header("Access-Control-Max-Age", "7200")

    def options(self) -> None:
        """Answer the browser's question before it sends."""
        self.set_status(204)

    def data_received(self, chunk: bytes) -> None:
        """Forget a piece."""
        self.received += len(chunk)

    def put(self) -> None:
        """Answer when all has come."""
        self.finish(str(self.received))


async def sink() -> None:
    """Take bodies until the process is ended."""
    application = tornado.web.Application([("/", SinkHandler)])
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server = tornado.httpserver.HTTPServer(application, max_body_size=2**31, chunk_size=2**20)
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1] == "static":
        static(Path(sys.argv[2]))
    else:
        asyncio.run(sink())
