"""What a page of an origin would meet at an address: asks as a browser does, from this machine."""

import base64
import http.client
import json
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..settings import PROTOCOL
from .finding import Finding, ok, problem, warning

_API = "/kernel_proxy/api/v1/"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TIMEOUT_S = 10
#: The same for a program on this machine.
_NEAR_TIMEOUT_S = 2
_MAX_ANSWER = 2**16


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `body` is what its JSON says, empty if it is none."""

    status: int
    headers: http.client.HTTPMessage
    body: dict


def ask(
    address: str, method: str, path: str, headers: dict[str, str], timeout: float = _TIMEOUT_S
) -> Answer:
    """Send one request, past any HTTP proxy; OSError when nothing answers in HTTP."""
    parts = urlsplit(address)
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    line = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        line.request(method, parts.path.rstrip("/") + _API + path, headers=headers)
        reply = line.getresponse()
        # An open WebSocket has no body that ends.
        text = b"" if reply.status == 101 else reply.read(_MAX_ANSWER)
    except http.client.HTTPException as error:
        raise OSError(f"what answers there does not speak HTTP ({type(error).__name__})") from None
    finally:
        line.close()
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Answer(reply.status, reply.headers, body if isinstance(body, dict) else {})


def who_answers(address: str, token: str | None) -> str | None:
    """Say which server of ours answers at an address, None for none of ours. Its version is told to
    one who has a token."""
    headers = {"Authorization": f"token {token}"} if token else {}
    try:
        if ask(address, "GET", "health", {}, _NEAR_TIMEOUT_S).body != {"status": "ok"}:
            return None
        version = ask(address, "GET", "", headers, _NEAR_TIMEOUT_S).body.get("version")
    except OSError:
        return None
    return f"A running torch-proxy {version}" if version else "A running torch-proxy"


def check_address(address: str, origin: str, token: str | None) -> Iterator[Finding]:
    """Go the way of a page of `origin`, until something stops it."""
    yield from _mixed_content(address, origin)
    try:
        health = ask(address, "GET", "health", {"Origin": origin})
    except ssl.SSLCertVerificationError as error:
        yield problem(
            f"The certificate at {address} is not trusted here: {error.verify_message}.",
            f"open {address}{_API}health in the browser; a page can connect once it shows no warning.",
        )
        return
    except OSError as error:
        yield problem(
            f"Nothing answers at {address}: {error.strerror or error}.",
            "start `jupyter torch-proxy` there, or forward its port (ssh -L).",
        )
        return
    if stop := _stopped(address, origin, health):
        yield stop
        return
    yield ok(f"A torch-proxy answers at {address}, and lets pages of {origin} in.")
    yield _preflight(address, origin)
    yield _socket(address, origin)
    if token:
        yield _version(address, origin, token)


def _mixed_content(address: str, origin: str) -> Iterator[Finding]:
    parts = urlsplit(address)
    if origin.startswith("https:") and parts.scheme == "http":
        if parts.hostname not in _LOOPBACK:
            yield problem(
                f"A browser lets no page of https talk to {address}.",
                "put TLS before it (docs/hosting.md), or forward the port with ssh -L.",
            )
        else:
            yield warning(
                "Chrome asks whether the page may reach this machine, and older Safaris refuse.",
                "answer *Allow*; for Safari start the proxy with --self-signed.",
            )


def _stopped(address: str, origin: str, health: Answer) -> Finding | None:
    """Return what stops a page at its first request."""
    reason = health.body.get("reason")
    if reason == "origin":
        return problem(
            f"The server at {address} does not let pages of {origin} in.",
            f"start it with --origin {origin}",
        )
    if reason == "host":
        return problem(
            f"The server at {address} refuses the host name that it is called by.",
            "have the reverse proxy send `Host: 127.0.0.1` and the port (docs/hosting.md), or start the "
            f"server with --host {urlsplit(address).hostname}",
        )
    if health.body != {"status": "ok"}:
        return problem(
            f"What answers at {address} with status {health.status} is no torch-proxy.",
            f"check the address; a reverse proxy there has to pass {_API} on.",
        )
    if health.headers.get("Access-Control-Allow-Origin") != origin:
        return problem(
            f"On the way from {address} the CORS headers are lost, so browsers hide the answers.",
            "have the reverse proxy pass Access-Control-Allow-Origin on as it is.",
        )
    return None


def _preflight(address: str, origin: str) -> Finding:
    """Ask as a browser does before it sends a token."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    try:
        answer = ask(address, "OPTIONS", "", asked)
    except OSError as error:
        return problem(f"A preflight got no answer: {error}.", "look into the reverse proxy's log.")
    allowed = answer.headers.get("Access-Control-Allow-Headers", "").lower()
    if answer.status >= 300 or "authorization" not in allowed:
        return problem(
            f"A preflight (OPTIONS) is answered with {answer.status}, and allows no token.",
            "have what is in between pass OPTIONS on, without a login of its own.",
        )
    return ok("Preflights are answered.")


def _socket(address: str, origin: str) -> Finding:
    """Open the channel, and say nothing on it."""
    wanted = {
        "Origin": origin,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    try:
        status = ask(address, "GET", "channel", wanted).status
    except OSError as error:
        status = error
    if status != 101:
        return problem(
            f"A WebSocket can not be opened there ({status}).",
            "have the reverse proxy pass `Upgrade` and `Connection` on (docs/hosting.md).",
        )
    return ok("WebSockets pass.")


def _version(address: str, origin: str, token: str) -> Finding:
    """Ask with the token."""
    headers = {"Origin": origin, "Authorization": f"token {token}"}
    try:
        answer = ask(address, "GET", "", headers)
    except OSError as error:
        return problem(f"The server does not answer any more: {error}.", "look into its log.")
    if answer.status == 401:
        return problem("The server does not know the token.", "take the one that it has printed.")
    version, protocol = answer.body.get("version"), answer.body.get("protocol")
    if protocol != PROTOCOL:
        return problem(
            f"The server is jupyterlite-torch {version} and speaks protocol {protocol}; this one "
            f"speaks {PROTOCOL}.",
            "install the same release on both sides.",
        )
    return ok(f"The token is good; the server is jupyterlite-torch {version}, protocol {protocol}.")
