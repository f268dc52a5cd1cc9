"""A session: one remote kernel with its event log and its tensors. It outlives the page."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from .errors import AgentFailure, KernelDied, ProxyError, Refused
from .event_log import EventLog
from .kernel import Kernel
from .tensors import Tensors

#: Requests whose reply ends something that the page waits for.
_REPLIES = {"shell": "_reply", "control": "_reply"}
#: How many message IDs are remembered, to take no request twice after a cut.
_REMEMBERED_REQUESTS = 10_000
#: More tensor bytes than this in one event would make it too large for a WebSocket frame.
MAX_EAGER_BYTES = 8 * 2**20


class Session:
    """One remote kernel, restarted when it dies, and everything that it has said.

    `start_kernel(listener, on_death)` makes a Kernel that is not started yet.
    """

    def __init__(
        self,
        identifier: str,
        start_kernel: Callable[..., Kernel],
        log_quota: int,
        memory_budget: int,
        log: logging.Logger,
    ):
        self.id = identifier
        self.created = datetime.now(UTC)
        self.last_activity = time.time()
        self.generation = 0
        self.log = EventLog(log_quota)
        self.tensors = Tensors(memory_budget)
        self.listeners: dict[object, int] = {}
        self.execution_state = "starting"
        self._start_kernel = start_kernel
        self._logger = log
        self._kernel: Kernel | None = None
        self._ready = asyncio.Lock()
        self._cell = asyncio.Lock()
        self._seen: dict[str, None] = {}
        self._under_way: dict[str, tuple[str, dict[str, Any]]] = {}
        self._waiting: dict[str, asyncio.Future[dict[str, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: list[str] = []
        self.closed = False

    # --- The kernel's life -----------------------------------------------------------------------

    async def ready(self) -> Kernel:
        """Return the kernel, started first if there is none."""
        async with self._ready:
            if self._kernel is None:
                if self.closed:
                    raise Refused("This session has been shut down.", "not-found", 404)
                kernel = self._start_kernel(self._received, self._died)
                await kernel.start()
                self.generation += 1
                self._opened.clear()
                self._kernel = kernel
                self.execution_state = "idle"
            return self._kernel

    def describe(self) -> dict[str, Any]:
        """Say what a page is told on arrival."""
        kernel = self._kernel.description if self._kernel else {}
        return {
            "id": self.id,
            "created": self.created.isoformat(),
            "generation": self.generation,
            **{key: value for key, value in kernel.items() if key not in ("pid", "names")},
        }

    async def names(self) -> list[str]:
        """Return the names that page and kernel have exchanged; none while a cell runs."""
        if self._cell.locked() or self.execution_state == "busy":
            return []
        return (await (await self.ready()).call("describe"))["names"]

    def _died(self, exitcode: int | None) -> None:
        kernel, self._kernel = self._kernel, None
        if self.closed or kernel is None:
            return
        self._logger.warning("kernel of session %s died with exit code %s", self.id[:6], exitcode)
        self._run(self._replace(kernel, exitcode))

    async def _replace(self, kernel: Kernel, exitcode: int | None) -> None:
        await kernel.shutdown()
        self._fail_requests("KernelDied", _death_sentence(exitcode))
        self.tensors.close()
        try:
            await self.ready()
        except ProxyError as error:
            self._logger.error("session %s: %s", self.id[:6], error)
        self._emit("iopub", "kernel_died", {"exitcode": exitcode, "generation": self.generation})

    def _fail_requests(self, ename: str, evalue: str) -> None:
        error = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        for waiter in self._waiting.values():
            if not waiter.done():
                waiter.set_exception(KernelDied(evalue))
        for channel, header in list(self._under_way.values()):
            self._answer(channel, header, {"status": "error", "execution_count": 0, **error})

    async def restart(self) -> None:
        """Replace the kernel by a fresh one."""
        async with self._ready:
            kernel, self._kernel = self._kernel, None
        if kernel:
            await kernel.shutdown()
        self._fail_requests("KernelRestarted", "The remote kernel was restarted.")
        self.tensors.close()
        await self.ready()

    async def close(self) -> None:
        """End the kernel and give back all memory."""
        self.closed = True
        kernel, self._kernel = self._kernel, None
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        if kernel:
            await kernel.shutdown()
        self._fail_requests("SessionClosed", "The session was shut down.")
        self.tensors.close()

    def _run(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- Up: requests of the page ----------------------------------------------------------------

    def request(self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        """Take a Jupyter message of the page; its reply comes as an event."""
        header = message["header"]
        identifier = header["msg_id"]
        if identifier in self._seen:
            return
        self._seen[identifier] = None
        while len(self._seen) > _REMEMBERED_REQUESTS:
            del self._seen[next(iter(self._seen))]
        self.last_activity = time.time()
        if channel in _REPLIES and header["msg_type"].endswith("_request"):
            self._under_way[identifier] = (channel, header)
        self._run(self._handle(channel, message, buffers))

    async def _handle(
        self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...]
    ) -> None:
        header = message["header"]
        try:
            kind = header["msg_type"]
            extras = (message.get("metadata") or {}).pop("torch", None)
            if kind == "interrupt_request":
                if self._kernel:
                    await self._kernel.interrupt()
                self._answer(channel, header, {"status": "ok"})
            elif kind == "shutdown_request":
                await self._shutdown(channel, message)
            elif kind == "execute_request" and extras:
                await self._execute(message, extras, buffers)
            else:
                (await self.ready()).send(channel, message, buffers)
        except KernelDied:
            pass  # `_fail_requests` answers for all requests at once.
        except ProxyError as error:
            self._answer_error(channel, header, error)
        except Exception as error:
            self._logger.exception("session %s: %s failed", self.id[:6], header["msg_type"])
            self._answer_error(channel, header, ProxyError(f"{type(error).__name__}: {error}"))

    async def _shutdown(self, channel: str, message: dict[str, Any]) -> None:
        restart = bool(message["content"].get("restart"))
        self._under_way.pop(message["header"]["msg_id"], None)
        if restart:
            await self.restart()
        else:
            await self.close()
        content = {"status": "ok", "restart": restart, "generation": self.generation}
        self._answer(channel, message["header"], content)

    async def _execute(
        self, message: dict[str, Any], extras: dict[str, Any], buffers: tuple[bytes, ...]
    ) -> None:
        """Run a `%%torch` cell: bring its values in, run it, bring its values out."""
        header = message["header"]
        # One cell after the other: what a cell pushed is there when its own code runs.
        async with self._cell:
            kernel = await self.ready()
            conflict = await self._push(kernel, extras.get("push"), buffers)
            future = self._waiting[header["msg_id"]] = asyncio.get_running_loop().create_future()
            try:
                message["content"]["stop_on_error"] = False
                kernel.send("shell", message)
                reply = await future
                values, small = await self._pull(kernel, extras.get("pull"))
            finally:
                del self._waiting[header["msg_id"]]
        metadata = json.loads(reply["metadata"])
        metadata["torch"] = {**values, "conflict": conflict}
        reply["metadata"] = json.dumps(metadata).encode()
        self._reply("shell", header["msg_id"], reply, small)

    async def _push(
        self, kernel: Kernel, push: dict[str, Any] | None, buffers: tuple[bytes, ...]
    ) -> list[str]:
        if not push:
            return []
        with self.tensors.incoming(push.get("tensors"), buffers) as path:
            outcome = await kernel.call(
                "import",
                trees=push.get("values") or {},
                device=push.get("device") or {},
                imports=push.get("imports") or {},
                delete=push.get("delete") or [],
                path=path,
            )
        return outcome["conflict"]

    async def _pull(
        self, kernel: Kernel, pull: dict[str, Any] | None
    ) -> tuple[dict[str, Any], tuple[bytes, ...]]:
        if not pull:
            return {}, ()
        # What an earlier cell's page has not fetched by now, it never will.
        self.tensors.release_all()
        release, self._opened = self._opened, []
        try:
            outcome = await kernel.call(
                "export",
                assigned=pull.get("assigned") or [],
                stale=pull.get("stale") or [],
                mentioned=pull.get("mentioned"),
                expressions=pull.get("expressions") or {},
                eager=min(int(pull.get("eager") or 0), MAX_EAGER_BYTES),
                limit=int(pull.get("limit") or 0),
                release=release,
            )
        except AgentFailure as error:
            return {"failure": str(error)}, ()
        self._opened = [segment["id"] for segment in outcome["segments"]]
        try:
            small = self._hold(outcome)
        except Refused as error:
            self.tensors.release_all()
            return {"failure": str(error)}, ()
        return outcome, small

    def _hold(self, outcome: dict[str, Any]) -> tuple[bytes, ...]:
        """Take over the segments of an export and put their handles into it; return the small ones'
        bytes."""
        tensors = {tensor["key"]: tensor | {"handle": None} for tensor in outcome["tensors"]}
        small: tuple[bytes, ...] = ()
        for segment in outcome.pop("segments"):
            handle, memory = self.tensors.hold(segment["path"])
            if segment["eager"]:
                small = (bytes(memory.view),)
                self.tensors.release(handle)
            else:
                for key in segment["keys"]:
                    tensors[key]["handle"] = handle
        outcome["tensors"] = list(tensors.values())
        return small

    # --- Down: messages of the kernel ------------------------------------------------------------

    def _received(
        self, channel: str, message: dict[str, bytes], buffers: tuple[bytes, ...]
    ) -> None:
        identifier = json.loads(message["parent_header"]).get("msg_id")
        if channel == "iopub":
            header = json.loads(message["header"])
            if header["msg_type"] == "status":
                self.execution_state = json.loads(message["content"])["execution_state"]
        waiter = self._waiting.get(identifier) if channel == "shell" else None
        if waiter is not None:
            if not waiter.done():
                waiter.set_result(message)
        elif channel in _REPLIES:
            self._reply(channel, identifier, message, buffers)
        else:
            self.log.append(channel, _join(message), buffers)

    def _reply(
        self, channel: str, identifier: str, message: dict[str, bytes], buffers: tuple[bytes, ...]
    ) -> None:
        self._under_way.pop(identifier, None)
        self.last_activity = time.time()
        self.log.append(channel, _join(message), buffers)

    def _answer(self, channel: str, parent: dict[str, Any], content: dict[str, Any]) -> None:
        """Answer in the kernel's place, and say that the request is done."""
        self._under_way.pop(parent["msg_id"], None)
        kind = parent["msg_type"].replace("_request", "_reply")
        self._emit(channel, kind, content, parent)
        self._emit("iopub", "status", {"execution_state": "idle"}, parent)

    def _answer_error(self, channel: str, parent: dict[str, Any], error: ProxyError) -> None:
        content = {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": [],
            "execution_count": 0,
            "reason": error.reason,
        }
        self._answer(channel, parent, content)

    def _emit(
        self,
        channel: str,
        kind: str,
        content: dict[str, Any],
        parent: dict[str, Any] | None = None,
    ) -> None:
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "session": self.id,
            "username": "kernel_proxy",
            "date": datetime.now(UTC).isoformat(),
            "version": "5.4",
        }
        parts = {
            "header": header,
            "parent_header": parent or {},
            "metadata": {},
            "content": content,
        }
        self.log.append(channel, json.dumps(parts).encode())


def _join(message: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(b'"%b":%b' % (key.encode(), message[key]) for key in message) + b"}"


def _death_sentence(exitcode: int | None) -> str:
    why = {-9: "killed, often because the machine ran out of memory", -11: "a segmentation fault"}
    cause = why.get(exitcode or 0, "")
    return (
        f"The remote kernel died (exit code {exitcode}{': ' + cause if cause else ''}); its variables "
        "are gone. A fresh one is being started: run the cells that define what you need again."
    )
