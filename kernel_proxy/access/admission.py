"""Who is let in: a page by its page token, a program by what the server's own provider knows."""

import asyncio
import getpass
import logging
import os
import re
from typing import Protocol

from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.identity import LegacyIdentityProvider
from jupyter_server.utils import ensure_async
from tornado.web import RequestHandler

from ..errors import Refused
from ..operations import journal
from .auth import RESOURCE, TokenIdentityProvider
from .tokens import Tokens

#: How often it is looked whether the tokens of what is open are still good, in seconds.
LOOK_EVERY_S = 1.0
_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(\S+)", re.IGNORECASE)
_TOKEN = re.compile(r"[!-~]+")
# They know one shared secret and make up a name for whoever has it (jupyter_server 2.21).
_NAMELESS = (
    IdentityProvider.get_user,
    LegacyIdentityProvider.get_user,
    TokenIdentityProvider.get_user,
)


class PageUser(User):
    """Whoever holds a page token. No handler but the proxy's own ever sees one."""

    token: str


class Guest(Protocol):
    """What is open with a page token: a handler in the middle of its answer, a channel."""

    def put_out(self, why: str) -> None:
        """End it; `why` is a sentence for its person."""


class Admission:
    """Lets users in, and puts those out whose page token is no good any more.

    `shared`: persons other than the first may come.
    """

    def __init__(self, tokens: Tokens, shared: bool, log: logging.Logger):
        self.tokens, self.shared = tokens, shared
        self._log = log
        #: The one whose account this is.
        self.owner = owner()
        #: The origin by which pages reach this server.
        self.home: str | None = None
        self._guests: dict[Guest, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def admit(self, handler: RequestHandler, token: str | None, action: str) -> User:
        """Return who shows `token`; Refused if that is nobody, or may not do this.

        The provider is asked with nothing in the request but the token: it would take a cookie, too.
        """
        if token is None or not _TOKEN.fullmatch(token):
            raise _unknown()
        if known := self.tokens.find(token, self._origin(handler)):
            self._check_person(known.person, self.owner)
            user = PageUser(known.person)
            user.token = known.id
            return user
        provider = handler.identity_provider
        # One that knows no secret would let everybody in.
        if not provider.auth_enabled:
            raise _unknown()
        handler.request.headers["Authorization"] = f"token {token}"
        user = await ensure_async(provider.get_user(handler))
        if user is None:
            raise _unknown()
        if not await ensure_async(
            handler.authorizer.is_authorized(handler, user, action, RESOURCE)
        ):
            raise Refused("This server does not let its user do this.", "token", 403)
        if type(provider).get_user not in _NAMELESS:
            self._check_person(user.username, self._first(user.username))
        return user

    def _origin(self, handler: RequestHandler) -> str | None:
        """Return the page's origin. Of one that has the server's own, browsers name it in this way for
        a GET, and no page can (Fetch Metadata)."""
        headers = handler.request.headers
        same = headers.get("Sec-Fetch-Site") == "same-origin"
        return headers.get("Origin") or (self.home if same else None)

    def _first(self, name: str) -> str:
        # A hub starts a server for one of its users, who need not be the first to come.
        hub = "JUPYTERHUB_USER" in os.environ
        return self.owner if hub else self.tokens.first_person(name)

    def _check_person(self, name: str, owner: str) -> None:
        if name != owner and not self.shared:
            raise Refused(
                f"This server runs as one account, that of {owner}, and {name} would have all rights of "
                "it. Start it with --shared-account if all who use it may do that to each other.",
                "person",
                403,
            )

    def welcome(self, guest: Guest, user: User) -> None:
        """Put `guest` out when the page token of its user is no good any more."""
        if token := token_of(user):
            self._guests[guest] = token
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def forget(self, guest: Guest) -> None:
        """It has ended by itself."""
        self._guests.pop(guest, None)

    def use(self, guest: Guest) -> None:
        """What is open is used, which keeps its token alive."""
        if guest in self._guests:
            self.tokens.use(self._guests[guest])

    def _look(self) -> None:
        self._timer = None
        for guest, token in list(self._guests.items()):
            if why := self.tokens.why_void(token):
                del self._guests[guest]
                journal.note(self._log, "page put out", token=token, why=why)
                guest.put_out(
                    f"The token of this page {why}. What runs on the server goes on. `jupyter "
                    "torch-proxy pair` there gives a link that connects the page again."
                )
        if self._guests:
            self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)


def token_of(user: User) -> str | None:
    """Return the ID of the page token that a user has shown; None for users of the server itself."""
    return user.token if isinstance(user, PageUser) else None


def owner() -> str:
    """Return the name of the person whose account this is."""
    return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()


def shown_token(handler: RequestHandler) -> str | None:
    """Return the token of the Authorization header, the only place where one is taken from."""
    match = _AUTHORIZATION.fullmatch(handler.request.headers.get("Authorization", ""))
    return match[1] if match else None


def _unknown() -> Refused:
    return Refused(
        "This server does not know the token, or it has expired or was revoked. Connect again: "
        "`jupyter torch-proxy pair` on the server gives a link.",
        "token",
        401,
    )
