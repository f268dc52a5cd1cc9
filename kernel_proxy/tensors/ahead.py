"""Tensors that a page asks for before it knows under which handle: a way to the server and back less."""

import asyncio
import re

from ..errors import Refused

#: How long either side waits for the other, in seconds.
LIFETIME_S = 30
#: How many of a session may be under way; a page without asks as usual.
MOST = 32
_IDENTIFIER = re.compile(r"[\w-]{16,64}", re.ASCII)


class Ahead:
    """Brings together, by an ID of the page's, the request for a tensor and that for its bytes, which may
    come in any order."""

    def __init__(self) -> None:
        self._handles: dict[str, asyncio.Future[str | None]] = {}

    async def handle(self, identifier: str) -> str:
        """Return the handle once it is known; Refused when there is none."""
        if (handle := await self._handle(identifier)) is None:
            raise Refused("Nothing came that is to be fetched.", "not-found", 404)
        return handle

    def tell(self, identifier: object, handle: str | None) -> None:
        """Say which handle it is, None for none."""
        if isinstance(identifier, str) and not (told := self._handle(identifier)).done():
            told.set_result(handle)

    def _handle(self, identifier: str) -> asyncio.Future[str | None]:
        if identifier in self._handles:
            return self._handles[identifier]
        loop = asyncio.get_running_loop()
        handle = loop.create_future()
        if len(self._handles) == MOST or not _IDENTIFIER.fullmatch(identifier):
            handle.set_result(None)
        else:
            self._handles[identifier] = handle
            loop.call_later(LIFETIME_S, self._forget, identifier)
        return handle

    def _forget(self, identifier: str) -> None:
        if not (handle := self._handles.pop(identifier)).done():
            handle.set_result(None)
