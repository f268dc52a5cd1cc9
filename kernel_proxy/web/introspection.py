"""HTTP for what a page shows while a cell is written: completions, and what a name stands for.

Over HTTP and not the channel, whose other end is the local kernel: that one hears nothing while a
cell of its own runs.
"""

import asyncio
import json
from typing import Any
from weakref import WeakKeyDictionary

from tornado.web import authenticated

from ..errors import Refused
from ..kernel.kernel import Kernel
from .handlers import ProxyHandler

MAX_BODY_BYTES = 256 * 1024
#: A kernel that runs Python answers sooner; one whose code holds Python's lock does not.
LIMIT_S = 8

#: What each kernel was asked last. The next question waits for the answer, so that a kernel that can
#: not answer has one of them to do afterwards and not as many as there were keystrokes.
_asked: "WeakKeyDictionary[Kernel, asyncio.Task[dict[str, Any]]]" = WeakKeyDictionary()


class _IntrospectionHandler(ProxyHandler):
    """Asks the kernel of a session aside of the cell that runs; starts none."""

    max_body_bytes = MAX_BODY_BYTES
    method: str

    @authenticated
    async def post(self) -> None:
        """Return what the agent answers to the question in the body."""
        question = self._question()
        session = self.proxy.sessions.get(self.session_header())
        if session.life.kernel is None:
            raise Refused("This session has no kernel now.", "not-found", 404)
        session.idle.touch()
        try:
            async with asyncio.timeout(LIMIT_S):
                self.finish(await _ask(session.life.kernel, self.method, question))
        except TimeoutError:
            raise Refused(
                f"The kernel has not answered within {LIMIT_S} s: its code holds Python's lock, or its "
                "machine has too much to do. Try again later.",
                "busy",
                504,
            ) from None

    def _question(self) -> dict[str, Any]:
        try:
            body = json.loads(self.body)
            code, place = body["code"], body["cursor_pos"]
            # Of half a character there is no Unicode to look at.
            code.encode()
            if type(place) is not int or not 0 <= place <= len(code):
                raise ValueError
            return {"code": code, "cursor_pos": place, **self._more(body)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Refused(
                'The body of this request is `{"code": TEXT, "cursor_pos": N}`, N a place in the text.'
            ) from None

    def _more(self, body: dict[str, Any]) -> dict[str, Any]:
        return {}


class CompleteHandler(_IntrospectionHandler):
    """Completions."""

    method = "complete"


class InspectHandler(_IntrospectionHandler):
    """What a name stands for, with its source for `detail_level` 1."""

    method = "inspect"

    def _more(self, body: dict[str, Any]) -> dict[str, Any]:
        level = body.get("detail_level", 0)
        if type(level) is not int or level not in (0, 1):
            raise ValueError
        return {"detail_level": level}


async def _ask(kernel: Kernel, method: str, question: dict[str, Any]) -> dict[str, Any]:
    while (earlier := _asked.get(kernel)) and not earlier.done():
        await asyncio.wait([earlier])
    task = _asked[kernel] = asyncio.create_task(kernel.call_aside(method, **question))
    # What nobody waits for any more may fail.
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    # The kernel has the question, whoever has gone.
    return await asyncio.shield(task)
