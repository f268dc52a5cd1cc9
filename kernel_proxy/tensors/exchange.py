"""Values between page and kernel: in before a cell, out after it, or while it runs."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import AgentFailure, PatchRefused, Refused
from ..kernel import injection
from ..kernel.kernel import Kernel, result
from .filling import Filling
from .tensors import Tensors

#: More tensor bytes than this in one event would make it too large for a WebSocket frame.
MAX_EAGER_BYTES = 8 * 2**20
#: When a kernel is told of what was taken over, unless it has heard with another request, in seconds:
#: not while that is being sent, for it takes 5 ms of a processor.
TELL_AFTER_S = 1
#: For less memory than this, in bytes, the next cell is soon enough.
TELL_BYTES = 2**20
#: What was peeked at and not fetched by then is given up, in seconds.
PEEK_LIFETIME_S = 600


class Exchange:
    """Brings the values of one session's cells in and out. `tensors` holds them on the way, `run`
    does what nobody waits for."""

    def __init__(
        self, tensors: Tensors, run: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[None]]
    ):
        self._tensors = tensors
        self._run = run
        # What was taken over, of which the kernel does not know yet; and what of it the cell that runs
        # is going to tell.
        self._taken: set[str] = set()
        self._telling: list[str] = []

    def forget(self) -> None:
        """The kernel is another one, and has exported nothing."""
        self._taken.clear()
        self._tensors.stop_filling()

    async def push(
        self, kernel: Kernel, push: dict[str, Any] | None, buffers: tuple[bytes, ...]
    ) -> list[str]:
        """Have the agent define what a page sends with a cell; return the names that were changed
        on both sides. PatchRefused, with nothing done, when an array has to come whole."""
        if not push:
            return []
        with self._tensors.incoming(push.get("tensors"), buffers) as path:
            outcome = await kernel.call(
                "import",
                trees=push.get("values") or {},
                device=push.get("device") or {},
                dtype=push.get("dtype"),
                imports=push.get("imports") or {},
                delete=push.get("delete") or [],
                path=path,
                page=push.get("page"),
            )
        if misfits := outcome.get("misfits"):
            raise PatchRefused(f"The server no longer has what was sent of {', '.join(misfits)}.")
        return outcome["conflict"]

    def export(self, cell: str, pull: dict[str, Any]) -> str:
        """Return the expression that has the agent export what a cell assigned; the same cell's
        once more is what it was."""
        self._telling = list(self._taken)
        arguments = {
            "cell": cell,
            "page": pull.get("page"),
            "assigned": pull.get("assigned") or [],
            "stale": pull.get("stale") or [],
            "mentioned": pull.get("mentioned"),
            "current": pull.get("current") or [],
            "expressions": pull.get("expressions") or {},
            "eager": min(int(pull.get("eager") or 0), MAX_EAGER_BYTES),
            "limit": int(pull.get("limit") or 0),
            "release": self._telling,
            "hold": pull.get("hold"),
            "dropped": pull.get("dropped") or [],
        }
        return injection.call("export", json.dumps(arguments))

    async def pull(
        self,
        kernel: Kernel,
        cell: str,
        pull: dict[str, Any] | None,
        exported: dict[str, Any] | None,
    ) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """Bring out what a cell assigned; return what `metadata.torch` of its reply says, and the
        bytes of small tensors. `exported` is what its `export` came to; None if the kernel has not
        said, as of a cell that raised."""
        if not pull:
            return {}, ()
        # What an earlier cell's page has not fetched by now, it never will.
        self._tensors.release_cell()
        try:
            outcome = result(exported or await kernel.evaluate(self.export(cell, pull)))
        except AgentFailure as error:
            return {"failure": str(error)}, ()
        self._taken.difference_update(self._telling)
        small, handles = self._hold(outcome)
        if handles or sum(map(len, small)) >= TELL_BYTES:
            asyncio.get_running_loop().call_later(TELL_AFTER_S, self._tell, kernel)
        return outcome, small

    def _hold(
        self, outcome: dict[str, Any], peeked: bool = False
    ) -> tuple[tuple[bytes, ...], list[str]]:
        """Take over the segments of an export and put their handles into it; return the small ones'
        bytes, and the handles."""
        tensors = {tensor["key"]: tensor | {"handle": None} for tensor in outcome["tensors"]}
        small: tuple[bytes, ...] = ()
        handles: list[str] = []
        segments, pipe = outcome.pop("segments"), outcome.pop("filling")
        sizes = {each["filling"]: each["size"] for each in segments if each["filling"] is not None}
        filling: Filling | None = None
        for segment in segments:
            self._taken.add(segment["id"])
            number, part = segment["filling"], None
            try:
                if number is not None:
                    filling = filling or Filling(pipe, sizes)
                    part = filling, number
                handle, memory = self._tensors.hold(segment["path"], segment["size"], peeked, part)
            except (Refused, OSError, ValueError) as error:
                for key in segment["keys"]:
                    tensors[key]["error"] = str(error)
                continue
            if segment["eager"]:
                small = (bytes(memory.view),)
                self._tensors.release(handle)
            else:
                handles.append(handle)
                for key in segment["keys"]:
                    tensors[key]["handle"] = handle
        outcome["tensors"] = list(tensors.values())
        return small, handles

    async def peek(
        self, kernel: Kernel, content: dict[str, Any]
    ) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """Evaluate the `expression` of a peek_request aside of the cell that runs; return as `pull`
        does."""
        expression = content.get("expression")
        if not isinstance(expression, str):
            raise Refused("A peek_request needs an `expression`.")
        return await self._aside(kernel, content, "peek", expression=expression)

    async def use(
        self, kernel: Kernel, content: dict[str, Any], buffers: tuple[bytes, ...]
    ) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        """Do what a use_request asks of a handle, aside of the cell that runs; return as `pull`
        does."""
        several = content.get("handles")
        with self._tensors.incoming("buffer" if buffers else None, buffers) as path:
            return await self._aside(
                kernel,
                content,
                "use",
                handle=str(content.get("handle")),
                handles=several and [str(each) for each in several],
                operation=str(content.get("operation")),
                name=str(content.get("name") or ""),
                arguments=content.get("arguments") or [],
                options=content.get("options") or {},
                path=path,
            )

    async def _aside(
        self, kernel: Kernel, content: dict[str, Any], method: str, **arguments: Any
    ) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        handles: list[str] = []
        try:
            outcome = await self._call_aside(
                kernel,
                method,
                **arguments,
                eager=min(int(content.get("eager") or 0), MAX_EAGER_BYTES),
                limit=int(content.get("limit") or 0),
            )
            small, handles = self._hold(outcome, peeked=True)
        finally:
            self._tensors.ahead.tell(
                content.get("ahead"), handles[0] if len(handles) == 1 else None
            )
        loop = asyncio.get_running_loop()
        loop.call_later(TELL_AFTER_S, self._tell, kernel)
        for handle in handles:
            loop.call_later(PEEK_LIFETIME_S, self._tensors.release, handle)
        return outcome, small

    async def _call_aside(
        self, kernel: Kernel, method: str | None, **arguments: Any
    ) -> dict[str, Any]:
        told = list(self._taken)
        outcome = await kernel.call_aside(method, told, **arguments)
        self._taken.difference_update(told)
        return outcome

    def _tell(self, kernel: Kernel) -> None:
        if self._taken:
            self._run(self._told(kernel))

    async def _told(self, kernel: Kernel) -> None:
        # A kernel without subshells hears with its next cell.
        with contextlib.suppress(AgentFailure):
            await self._call_aside(kernel, None)
