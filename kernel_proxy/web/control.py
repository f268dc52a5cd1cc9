"""HTTP: a page looks into a session and steers it, also while its cell and the page's own kernel run.

All of it is about the session that `Torch-Session` names. None of it begins one, and none of it counts
as its use.
"""

import asyncio
import json
from typing import Any

from tornado.web import authenticated

from ..errors import KernelStartFailed, Refused
from ..session import interrupts
from ..session.session import Session
from .handlers import ProxyHandler

#: In which a kernel must answer, in seconds.
ANSWER_S = 10
#: Characters of a session's name, and of a variable's.
MAX_NAME = 80
MAX_VARIABLE_NAME = 200
#: Characters of a preview.
PREVIEW_CHARACTERS = 4000


class ControlHandler(ProxyHandler):
    """What they share: the session, and a body that is an object."""

    #: Room for the names of some hundred variables.
    max_body_bytes = 16 * 2**10

    def session(self) -> Session:
        """Return the session that is named; Refused when there is none."""
        session = self.proxy.sessions.get(self.session_header())
        if session.closed:
            raise Refused("This session has been shut down.", "not-found", 404)
        return session

    def field(self, name: str) -> Any:
        """Return a field of the body; Refused when there is none."""
        try:
            return json.loads(self.body)[name]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Refused(f"The body of this request is an object with `{name}`.") from None

    async def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call the agent aside of what runs there; AgentFailure when it refuses."""
        kernel = self.session().life.kernel
        if kernel is None:
            raise KernelStartFailed(
                "The session's kernel is not there yet. Try again in a moment, or run a cell."
            )
        try:
            async with asyncio.timeout(ANSWER_S):
                return await kernel.call_aside(method, **arguments)
        except TimeoutError:
            raise Refused(
                f"The session's kernel does not answer within {ANSWER_S} seconds: what runs there lets "
                "no other Python run. Try again later, or interrupt it.",
                "busy",
                503,
            ) from None


class VariablesHandler(ControlHandler):
    """The variables of a session."""

    @authenticated
    async def get(self) -> None:
        """List them, the largest first."""
        session = self.session()
        listed = await self.ask("list_variables")
        self.finish({**listed, "generation": session.life.generation})

    @authenticated
    async def delete(self) -> None:
        """Delete those of `{"names": [NAME]}`."""
        names = self.field("names")
        if not isinstance(names, list) or not all(map(_is_variable, names)):
            raise Refused("`names` is a list of names of variables.")
        self.finish(await self.ask("delete_variables", names=names))


class PreviewHandler(ControlHandler):
    """A variable as text."""

    @authenticated
    async def post(self) -> None:
        """Show the variable of `{"name": NAME}` as its `repr` does, up to a length and a time."""
        name = self.field("name")
        if not _is_variable(name):
            raise Refused("`name` is the name of a variable.")
        self.finish(await self.ask("show_variable", name=name, limit=PREVIEW_CHARACTERS))


class InterruptHandler(ControlHandler):
    """Stop, for whatever runs."""

    @authenticated
    async def post(self) -> None:
        """Interrupt the cell that runs."""
        await interrupts.interrupt(self.session(), None)
        self.set_status(204)


class RestartHandler(ControlHandler):
    """A fresh kernel."""

    @authenticated
    async def post(self) -> None:
        """Replace the kernel, and tell every page; returns when the new one is there."""
        session = self.session()
        await session.life.give_up("The remote kernel was restarted from a page.")
        self.finish({"generation": session.life.generation})


class RenameHandler(ControlHandler):
    """What a person calls a session."""

    @authenticated
    async def post(self) -> None:
        """Take the name of `{"name": TEXT}`, empty for none."""
        name = self.field("name")
        if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
            raise Refused(
                f"The name of a session is one line of at most {MAX_NAME} printable characters."
            )
        await self.session().rename(name.strip())
        self.set_status(204)


def _is_variable(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MAX_VARIABLE_NAME and name.isidentifier()
