"""Serve a built site: `python -m lite_site.serve --site DIR [--port N] [--base /some/path/]`.

A plain static server with no special headers, so a site that works here works on any other.
"""

import argparse
import contextlib
import http.server
import sys
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path

# What the machine's own table of MIME types may lack or have wrong.
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ipynb": "application/json",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".whl": "application/octet-stream",
}


class SiteError(Exception):
    """A folder is not a built JupyterLite site."""


class SiteServer(http.server.ThreadingHTTPServer):
    """Serves the folder `site` below the path `base`, and `overlay` before the folder's files.

    `overlay` maps paths relative to the base to the bytes that are served there instead.
    """

    daemon_threads = True
    # A page asks for a hundred files at once; the default of 5 drops connections.
    request_queue_size = 128

    def __init__(
        self,
        site: Path,
        *,
        base: str = "/",
        port: int = 0,
        ip: str = "127.0.0.1",
        overlay: Mapping[str, bytes] | None = None,
        handler: type["SiteHandler"] | None = None,
    ) -> None:
        if not (site / "jupyter-lite.json").is_file():
            raise SiteError(
                f"{site} is not a built JupyterLite site: it has no jupyter-lite.json. "
                "Build one with `jupyter lite build`."
            )
        self.site = site.resolve()
        self.base = "/" + base.strip("/") + "/" if base.strip("/") else "/"
        self.overlay = dict(overlay or {})
        super().__init__((ip, port), handler or SiteHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def origin(self) -> str:
        """The origin of this server's pages."""
        return f"http://{self.server_address[0]}:{self.server_port}"

    @property
    def url(self) -> str:
        """The address of the site."""
        return self.origin + self.base

    def relative_path(self, target: str) -> str | None:
        """The requested path below the base, or None for one outside."""
        path = urllib.parse.unquote(urllib.parse.urlsplit(target).path)
        return path.removeprefix(self.base) if path.startswith(self.base) else None


class SiteHandler(http.server.SimpleHTTPRequestHandler):
    """Answers one connection to a SiteServer."""

    server: SiteServer
    protocol_version = "HTTP/1.1"
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | TYPES

    def __init__(self, request: object, address: object, server: SiteServer) -> None:
        super().__init__(request, address, server, directory=str(server.site))

    def do_GET(self) -> None:
        """Answer from the overlay, else from the folder."""
        path = self.server.relative_path(self.path)
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        elif path in self.server.overlay:
            self.send_content(self.server.overlay[path], self.guess_type(path))
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer as `do_GET` would, without the content."""
        if self.server.relative_path(self.path) is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            super().do_HEAD()

    def send_content(self, content: bytes, content_type: str) -> None:
        """Answer with `content`."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def translate_path(self, path: str) -> str:
        """The file for a path: the base is taken off here, `..` by the standard library."""
        relative = self.server.relative_path(path) or ""
        return super().translate_path("/" + urllib.parse.quote(relative))

    def list_directory(self, path: str) -> None:
        """Show no listing of a folder without an index.html."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Let no browser keep a file of a site that is being worked on."""
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing for each request."""


@contextlib.contextmanager
def running(server: SiteServer) -> Iterator[SiteServer]:
    """Serve in the background for the length of a `with` block."""
    # The interval bounds how long the end of the block takes.
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lite_site.serve", description=__doc__)
    parser.add_argument("--site", type=Path, default=Path("lite_site/_output"), metavar="DIR")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (%(default)s)")
    parser.add_argument("--ip", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--base", default="/", help="path that the site is served at (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        server = SiteServer(options.site, base=options.base, port=options.port, ip=options.ip)
    except (SiteError, OSError) as error:
        raise SystemExit(str(error)) from None
    print(f"Site: {server.url}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
