"""The proxy that a notebook computes on: one of the runner's own, or one that is already there."""

import collections
import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO

from lite_site.child import Child

TOKEN_VARIABLE = "JUPYTER_TORCH_TOKEN"  # noqa: S105 (a name)
START_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 15


class ProxyError(Exception):
    """The proxy does not start, does not answer, or refuses (then with its word for the reason)."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class LocalProxy:
    """A `jupyter torch-proxy` on a free port of this machine, for one page.

    `page` is its options about the page: `--origin ORIGIN` or `--site ADDRESS`.
    """

    def __init__(self, *page: str) -> None:
        self.token = secrets.token_urlsafe(24)
        self.lines: dict[str, str] = {}
        self._said: collections.deque[str] = collections.deque(maxlen=40)
        self._news: queue.Queue[bool] = queue.Queue()
        self._child = Child(
            [sys.executable, "-m", "kernel_proxy", "--port", "0", *page],
            env={**os.environ, TOKEN_VARIABLE: self.token},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process = self._child.process
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (process.stdout, process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> "LocalProxy":
        try:
            self._wait("Address")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._child.process.stdin.close()
        for reader in self._readers:
            reader.join()
        self._child.close()

    @property
    def url(self) -> str:
        """The address to connect to."""
        return self.lines["Address"]

    def pairing_link(self) -> str:
        """The link that connects the page of `--site` once."""
        return self._wait("Open")

    def wait(self) -> None:
        """Return when the proxy has ended."""
        self._child.process.wait()

    def log(self) -> str:
        """The last lines that it printed."""
        return "\n".join(self._said)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._said.append(line.rstrip("\n"))
            name, colon, value = line.strip().partition(": ")
            if colon and stream is self._child.process.stdout:
                self.lines.setdefault(name, value)
            self._news.put(True)
        self._news.put(False)

    def _wait(self, name: str) -> str:
        while name not in self.lines:
            try:
                alive = self._news.get(timeout=START_TIMEOUT_S)
            except queue.Empty:
                alive = False
            if not alive and name not in self.lines:
                raise ProxyError(f"{self.log()}\nThe proxy of this run did not start.")
        return self.lines[name]


def request(server: str, method: str, path: str, headers: dict[str, str]) -> None:
    """Ask a proxy; raise ProxyError with its own words where it refuses."""
    address = f"{server.rstrip('/')}/kernel_proxy/api/v1/{path}"
    asked = urllib.request.Request(address, method=method, headers=headers)
    opener = urllib.request.build_opener()
    if urllib.parse.urlsplit(server).hostname in ("127.0.0.1", "localhost", "::1"):
        # As in browsers, an HTTP proxy of the environment is not for this machine itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(asked, timeout=ANSWER_TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(server, error, headers) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ProxyError(f"The server {server} can not be reached: {reason}.") from None


def check(server: str, token: str, origin: str) -> None:
    """Raise ProxyError unless the server would let a page of this origin in with this token."""
    request(server, "GET", "", {"Authorization": f"token {token}", "Origin": origin})


@contextlib.contextmanager
def admitted(server: str, token: str, origin: str) -> Iterator[None]:
    """Have the server let pages of this origin in, meanwhile only if it does not anyway."""
    headers = {"Authorization": f"token {token}", "Torch-Origin": origin}
    try:
        check(server, token, origin)
    except ProxyError as error:
        if error.reason != "origin":
            raise
        request(server, "POST", "origins", headers)
    else:
        yield
        return
    try:
        yield
    finally:
        # A server that has gone meanwhile lets nobody in.
        with contextlib.suppress(ProxyError):
            request(server, "DELETE", "origins", headers)


def end_session(server: str, token: str, session: str) -> None:
    """End a session, if the notebook had one."""
    headers = {"Authorization": f"token {token}", "Torch-Session": session}
    try:
        request(server, "DELETE", "sessions", headers)
    except ProxyError as error:
        if error.reason != "not-found":
            raise


def _refusal(server: str, error: urllib.error.HTTPError, headers: dict[str, str]) -> ProxyError:
    try:
        answer = json.loads(error.read())
        reason, message = answer["reason"], answer["message"]
    except (ValueError, KeyError, TypeError):
        return ProxyError(
            f"The server {server} answers {error.code} {error.reason}; "
            "it seems to have no kernel_proxy at that address."
        )
    if reason == "origin":
        origin = headers["Origin"]
        port = urllib.parse.urlsplit(origin).port
        message = (
            f"The server {server} does not let pages of {origin} in: "
            f"start it with --origin {origin}, and this command with --port {port}."
        )
    else:
        message = f"The server {server} refuses: {message}"
    return ProxyError(message, reason)
