"""All sessions of a proxy."""

import asyncio
import logging
import re
from collections.abc import Callable

from ..errors import Refused
from ..operations import journal
from .session import Session

_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{8,64}")


class Sessions:
    """Sessions by their ID; `create(identifier, kernel)` makes one, with a kernelspec of that name if
    it is new, None for the first.

    At most `limit` of them, and `limit_each` that one page token has opened since the proxy's start.
    """

    def __init__(
        self,
        create: Callable[[str, str | None], Session],
        limit: int,
        limit_each: int,
        log: logging.Logger,
    ):
        self._create = create
        self._limit, self._limit_each = limit, limit_each
        self._log = log
        self._sessions: dict[str, Session] = {}
        self._opened_by: dict[str, str] = {}

    def __iter__(self):
        # A page may have shut one down itself.
        return iter([session for session in self._sessions.values() if not session.closed])

    def find(self, identifier: str) -> Session | None:
        """Return the session, None when there is none."""
        return self._sessions.get(identifier)

    def get(self, identifier: str) -> Session:
        """Return the session; Refused when there is none."""
        if session := self.find(identifier):
            return session
        raise Refused("There is no such session on this server.", "not-found", 404)

    def restore(self, identifiers: list[str]) -> None:
        """Know the sessions of an earlier proxy again."""
        for identifier in identifiers:
            self._sessions[identifier] = self._create(identifier, None)

    async def resume(self) -> None:
        """Go on with their kernels."""
        resumed = (session.resume() for session in self)
        for outcome in await asyncio.gather(*resumed, return_exceptions=True):
            if isinstance(outcome, Exception):
                journal.fault(self._log, "session left alone", outcome)

    def open(
        self, identifier: str, kernel: str | None = None, token: str | None = None
    ) -> tuple[Session, bool]:
        """Return the session, and whether it was created for this call; `token` is the ID of the page
        token that asks for it. Refused when it is there with another kernelspec than `kernel`."""
        self._sessions = {k: session for k, session in self._sessions.items() if not session.closed}
        if identifier in self._sessions:
            session = self._sessions[identifier]
            session.life.expect(kernel)
            return session, False
        if not _IDENTIFIER.fullmatch(identifier):
            raise Refused("A session's ID is 8 to 64 letters, digits, `_` and `-`.")
        if len(self._sessions) >= self._limit:
            journal.limit(self._log, "--max-sessions")
            raise Refused(
                f"The server has {self._limit} sessions already, which is its limit. "
                "Restart it, which ends them all, or start it with a higher --max-sessions.",
                "too-many",
                429,
            )
        self._opened_by = {k: by for k, by in self._opened_by.items() if k in self._sessions}
        if token and list(self._opened_by.values()).count(token) >= self._limit_each:
            journal.limit(self._log, "--max-sessions-per-token")
            raise Refused(
                f"This page has opened {self._limit_each} sessions already, which is the limit for one "
                "token. Start the server with a higher --max-sessions-per-token; sessions that nobody "
                "uses end after --cull-after.",
                "too-many",
                429,
            )
        try:
            session = self._create(identifier, kernel)
        except OSError as error:
            raise Refused(
                f"The server can not begin a session, because its state folder takes no more "
                f"({error.strerror}). Make room there, or start it with another --state; then connect "
                "again.",
                "kernel-start",
                503,
            ) from None
        self._sessions[identifier] = session
        if token:
            self._opened_by[identifier] = token
        journal.note(
            self._log, "session started", session=identifier[:6], kernel=session.life.kernelspec
        )
        return session, True

    async def end(self, identifier: str, why: str = "asked") -> None:
        """Shut a session down and forget it."""
        session = self.get(identifier)
        del self._sessions[identifier]
        self._opened_by.pop(identifier, None)
        await session.close(why)

    async def close(self) -> None:
        """End all sessions."""
        sessions = list(self._sessions)
        await asyncio.gather(*(self.end(identifier, "server-ends") for identifier in sessions))

    def leave(self) -> None:
        """Let go of all kernels, which go on."""
        for session in self:
            session.leave()
