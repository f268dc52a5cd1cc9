"""HTTP: what all handlers share, the description, pairing, and the list of sessions."""

import json
import logging
import time
from http.client import responses
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError, authenticated, stream_request_body

from .._version import __version__
from ..access.admission import shown_token
from ..access.origins import exact_origin
from ..errors import ProxyError, Refused
from ..operations import journal
from ..settings import PROTOCOL, Proxy

_REQUEST_HEADERS = (
    "Authorization, Content-Type, Range, Torch-Session, Torch-Handle, Torch-Ahead, Torch-Start, "
    "Torch-Rate, Torch-File, Torch-Upload, Torch-Total, Torch-Crc32, Torch-Identity"
)
_REPLY_HEADERS = (
    "Content-Range, Content-Length, Torch-Length, Torch-Ratio, Torch-Identity, Torch-Crc32"
)
#: More than most requests need: that of a pairing code has a body, and parts of files are larger.
MAX_BODY_BYTES = 1024
_MAX_ORIGINS = 64


@stream_request_body
class ProxyHandler(JupyterHandler):
    """Origin first, then host, then token; errors as JSON that the page can read.

    The server's own CORS (jupyter_server 2.21) reflects any origin once one is allowed and drops
    its headers on errors, so it is not used. Each method needs a token unless it is marked with
    `allow_unauthenticated`; `authenticated` is a mark that jupyter_server looks for, no more.
    """

    #: What a body may have.
    max_body_bytes = MAX_BODY_BYTES

    @property
    def proxy(self) -> Proxy:
        """What the extension has set up."""
        return self.settings["kernel_proxy"]

    @property
    def origin(self) -> str | None:
        """The page's origin; None for a caller that is no page."""
        return self.request.headers.get("Origin")

    @property
    def origin_allowed(self) -> bool:
        """True for a listed origin, and for a caller that is no page."""
        return self.origin is None or self.origin in self.proxy.origins

    def set_default_headers(self) -> None:
        """Headers of every reply, errors included."""
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Vary", "Origin")
        if self.origin is not None and self.origin_allowed:
            self.set_header("Access-Control-Allow-Origin", self.origin)
            self.set_header("Access-Control-Expose-Headers", _REPLY_HEADERS)

    def set_cors_headers(self) -> None:
        """Nothing beyond set_default_headers."""

    def check_xsrf_cookie(self) -> None:
        """No cookie is ever used, so there is none to be forged."""

    def set_cookie(self, *args: Any, **kwargs: Any) -> None:
        """None is ever set. The stock provider would, for each token that it knows."""

    async def prepare(self) -> None:
        """Refuse what is not let in, before any method runs. Not the base class's, which would show
        a login page, take cookies, and let its own CORS in."""
        self.current_user = self._jupyter_current_user = None
        self.body = b""
        # Called before any of it is read. A server of other things takes much more.
        self.request.connection.set_max_body_size(self.max_body_bytes)
        self.request.headers.pop("Cookie", None)
        if not self.origin_allowed:
            journal.note(
                self.proxy.log, "origin refused", logging.WARNING, origin=self.origin[:200]
            )
            raise Refused("This origin is not allowed here.", "origin", 403)
        if not self.proxy.hosts.allow(self.request.host):
            raise Refused(
                f"This server does not answer to the host name {self.request.host:.100}. Start it with "
                "--host and that name, or have the reverse proxy in front of it send `Host: 127.0.0.1`.",
                "host",
                403,
            )
        if "token" in self.request.arguments:
            raise Refused("A token does not belong into a URL, where logs keep it.", "token", 401)
        method = getattr(self, self.request.method.lower())
        if not getattr(method, "__allow_unauthenticated", False):
            await self.admit(shown_token(self), HTTP_METHOD_TO_AUTH_ACTION[self.request.method])

    async def admit(self, token: str | None, action: str) -> None:
        """Know who shows this token, and answer no longer than it is good; Refused otherwise."""
        user = await self.proxy.admission.admit(self, token, action)
        self.current_user = self._jupyter_current_user = user
        self.proxy.admission.welcome(self, user)

    def data_received(self, chunk: bytes) -> None:
        """Take a part of the body."""
        self.body += chunk

    def put_out(self, why: str) -> None:
        """Cut an answer off whose token is no good any more; the next request says why."""
        self.request.connection.close()

    def on_finish(self) -> None:
        """The answer is given."""
        self.proxy.admission.forget(self)

    @allow_unauthenticated
    def options(self, *_: str) -> None:
        """Answer a preflight, which browsers send without the token."""
        self.set_status(204)
        if self.origin is not None:
            self.set_header("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
            self.set_header("Access-Control-Allow-Headers", _REQUEST_HEADERS)
            self.set_header("Access-Control-Max-Age", "7200")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors are JSON; what went wrong inside is in the log only."""
        error = kwargs.get("exc_info", (None, None))[1]
        reason, message = "bad-request", "The server could not do this; its log says why."
        if isinstance(error, ProxyError):
            reason, message = error.reason, str(error)
            self.set_status(error.status)
        elif isinstance(error, HTTPError):
            # Not its own words, which are for the log.
            message = f"The server says: {status_code} {responses.get(status_code, '')}.".strip()
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"reason": reason, "message": message}))

    def log_exception(self, typ, value, tb) -> None:
        """Refusals are not faults of the server."""
        if isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)
        elif not isinstance(value, ProxyError):
            journal.fault(self.proxy.log, "request failed", value, method=self.request.method)

    def _request_summary(self) -> str:
        """What tornado (6.6) puts into its log: without the query, where somebody may have written
        a token."""
        return f"{self.request.method} {self.request.path} ({self.request.remote_ip})"

    def session_header(self) -> str:
        """Return the session's ID that the request names."""
        identifier = self.request.headers.get("Torch-Session")
        if identifier is None:
            raise Refused("The header Torch-Session is missing.")
        return identifier


class DescriptionHandler(ProxyHandler):
    """What this server is, for a page that wants to connect."""

    @authenticated
    def get(self) -> None:
        """Return name, version, protocol, clock, kernels and limits."""
        self.finish(
            {
                "name": "jupyterlite-torch",
                "version": __version__,
                "protocol": PROTOCOL,
                "time": time.time(),
                "kernels": self.proxy.kernels,
                "limits": {
                    "message_bytes": self.proxy.limits.message_bytes,
                    "upload_bytes": self.proxy.limits.shared_memory_bytes,
                },
            }
        )


class PairHandler(ProxyHandler):
    """Gives a token for the one-time code that the server printed."""

    @allow_unauthenticated
    def post(self) -> None:
        """Redeem `{"code": ...}`; only a listed page may try."""
        if self.origin is None:
            raise Refused("Pairing is for pages.", "origin", 403)
        try:
            code = json.loads(self.body)["code"]
            if not isinstance(code, str) or not code.isascii():
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise Refused('The body of this request is `{"code": "ABCD-EFGH"}`.') from None
        tokens, log = self.proxy.admission.tokens, self.proxy.log
        try:
            token = tokens.redeem(code, self.origin)
        except OSError as error:
            # The same for a right code and a wrong one, of which neither has been noted.
            raise Refused(
                f"The server can keep no token, because its state folder takes no more "
                f"({error.strerror}). Make room there, then connect again; the code is good as before.",
                "full",
                503,
            ) from None
        if token is None:
            journal.note(log, "code refused", logging.WARNING, origin=self.origin)
            raise Refused(
                "This code is wrong, used, or older than ten minutes. `jupyter torch-proxy pair` on the "
                "server makes a new one.",
                "token",
                403,
            )
        known = tokens.find(token, self.origin)
        journal.note(log, "page paired", origin=self.origin, token=known.id if known else None)
        self.finish({"token": token})


class OriginsHandler(ProxyHandler):
    """Lets a program that holds the token have a page of its own machine let in for a while, as the
    headless runner does with the page that it serves. A page can not: browsers name its origin."""

    @authenticated
    def post(self) -> None:
        """Allow the origin that the header Torch-Origin names."""
        origin = self._wanted()
        if len(self.proxy.origins) >= _MAX_ORIGINS:
            raise Refused("Too many origins are allowed already.", "too-many", 429)
        self.proxy.origins.add(origin)
        self.set_status(204)

    @authenticated
    def delete(self) -> None:
        """Allow it no more."""
        self.proxy.origins.discard(self._wanted())
        self.set_status(204)

    def _wanted(self) -> str:
        if self.origin is not None:
            raise Refused("Pages may not do this.", "origin", 403)
        try:
            origin = exact_origin(self.request.headers.get("Torch-Origin", ""))
        except ValueError as error:
            raise Refused(str(error)) from None
        if urlsplit(origin).hostname not in ("127.0.0.1", "localhost", "::1"):
            raise Refused("Only pages of a loopback address are let in this way; use --origin.")
        return origin


class SessionsHandler(ProxyHandler):
    """The sessions of this server."""

    @authenticated
    def get(self) -> None:
        """List them."""
        self.finish(
            {
                "sessions": [
                    {
                        **session.status(),
                        "name": session.name,
                        "last_activity": time.time() - session.idle.quiet_s,
                        "execution_state": session.execution_state,
                        "listeners": len(session.listeners),
                    }
                    for session in self.proxy.sessions
                ]
            }
        )

    @authenticated
    async def delete(self) -> None:
        """Shut one down, and tell its pages, which begin another one."""
        session = self.proxy.sessions.get(self.session_header())
        why = "This notebook's session was shut down from a page; its variables are gone."
        self.proxy.culling.ended.add(session.id, why)
        session.dismiss(why)
        await self.proxy.sessions.end(session.id)
        self.set_status(204)


class NotFoundHandler(ProxyHandler):
    """Every other address below the proxy's. The server's own page for them fails where a request was
    refused before it was known whose it is (jupyter_server 2.21)."""

    @authenticated
    def get(self) -> None:
        """There is nothing."""
        raise Refused("There is nothing at this address.", "not-found", 404)

    head = post = put = patch = delete = get
