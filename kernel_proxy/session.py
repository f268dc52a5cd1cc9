"""A session: one remote kernel with its event log and its tensors. It outlives the page."""

import asyncio
import json
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .cells import Cell, Cells
from .errors import AgentFailure, KernelDied, ProxyError, Refused
from .event_files import EventFiles
from .event_log import EventLog
from .exchange import Exchange
from .kernel import Kernel
from .kernel_process import Processes
from .limits import Limits
from .messages import (
    DIED_UNSEEN,
    ENDED_UNHEARD,
    INTERRUPTED,
    death_sentence,
    error_reply,
    join,
    parts,
)
from .replay import has_reply, replay
from .state import SessionFolder
from .tensors import Budget, Tensors

#: The user expression of a `%%torch` cell that brings its values out.
_EXPORT = "jupyterlite-torch"
#: How many message IDs are remembered, to take no request twice after a cut.
_REMEMBERED_REQUESTS = 10_000
#: After which a cell that was interrupted at its very beginning, and goes on, is so once more.
INTERRUPT_AGAIN_S = 0.3
#: In which more of the state may change before it is saved.
SAVE_DELAY_S = 0.1


@dataclass
class Request:
    """A request of the page that has no reply yet."""

    channel: str
    header: dict[str, Any]
    task: asyncio.Task[None] | None = None


class Session:
    """One remote kernel, restarted when it dies, and everything that it has said.

    `folder` keeps what a proxy that is started again needs to go on with it.
    """

    def __init__(
        self,
        identifier: str,
        folder: SessionFolder,
        processes: Processes,
        limits: Limits,
        budget: Budget,
        logger: logging.Logger,
    ):
        record = folder.load("session") or {}
        self.id = identifier
        self.created = datetime.fromisoformat(
            record.get("created") or datetime.now(UTC).isoformat()
        )
        self.last_activity = time.time()
        self.generation = record.get("generation", 0)
        files = EventFiles(folder.events, limits.event_log_bytes)
        memory = min(limits.event_memory_bytes, limits.event_log_bytes)
        self.log = EventLog(files, memory, logger)
        self.cells = Cells(folder.load("cells"))
        self.tensors = Tensors(budget)
        self._exchange = Exchange(self.tensors)
        self.listeners: dict[object, int] = {}
        self.execution_state = "starting"
        self._folder = folder
        self._processes = processes
        self._replay_bytes = limits.message_bytes // 4
        self._logger = logger
        self._kernel: Kernel | None = None
        self._starting: Kernel | None = None
        #: What an earlier proxy has left of its kernel.
        self._left: dict[str, Any] | None = record.get("kernel")
        self._last_heard = files.written
        self._ready = asyncio.Lock()
        self._cell = asyncio.Lock()
        self._taken: dict[str, None] = dict.fromkeys(self.cells.taken)
        self._under_way: dict[str, Request] = {}
        self._waiting: dict[str, asyncio.Future[dict[str, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._saving: asyncio.TimerHandle | None = None
        self.closed = False

    # --- The kernel's life -----------------------------------------------------------------------

    async def ready(self) -> Kernel:
        """Return the kernel, started first if there is none."""
        async with self._ready:
            await self._go_on()
            if self._kernel is None:
                self._refuse_closed()
                self._kernel = await self._start()
                self.execution_state = "idle"
            return self._kernel

    async def resume(self) -> None:
        """Go on with the kernel of an earlier proxy, if there is one."""
        async with self._ready:
            await self._go_on()

    async def _start(self) -> Kernel:
        process = await self._processes.start(self._folder.output)
        if self.closed:
            await process.end()
            self._refuse_closed()
        kernel = self._starting = Kernel(process, self._received, self._died, self._logger)
        # Now, so that a proxy that is started after this one was killed finds the process.
        self._save_session(kernel)
        try:
            await kernel.start()
        finally:
            self._starting = None
        self.generation += 1
        self._exchange.forget()
        self._save_session(kernel)
        return kernel

    def _refuse_closed(self) -> None:
        if self.closed:
            raise Refused("This session has been shut down.", "not-found", 404)

    def _save_session(self, kernel: Kernel | None) -> None:
        process = kernel.process.record() if kernel else None
        self._save(
            "session",
            {
                "created": self.created.isoformat(),
                "generation": self.generation,
                "kernel": process
                and {
                    "process": process,
                    "identity": kernel.identity,
                    # Empty until the agent is there.
                    "description": kernel.description,
                },
            },
        )

    def _save_cells(self) -> None:
        if self._saving:
            self._saving.cancel()
            self._saving = None
        self._save("cells", self.cells.record())

    def _save_cells_soon(self) -> None:
        """Save what the log says as well, or what does no harm if it is lost."""
        if self._saving is None:
            loop = asyncio.get_running_loop()
            self._saving = loop.call_later(SAVE_DELAY_S, self._save_cells)

    def _save(self, name: str, content: Any) -> None:
        if self.closed:
            return
        try:
            self._folder.save(name, content)
        except OSError as error:
            # The cell goes on; only a proxy that is started again will not know of it.
            self._logger.error("session %s: its state is not saved: %s", self.id[:6], error)

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
        self._fail_requests("KernelDied", death_sentence(exitcode))
        self.tensors.close()
        self._run(self._replace(kernel, exitcode))

    async def _replace(self, kernel: Kernel, exitcode: int | None) -> None:
        await kernel.shutdown()
        try:
            await self.ready()
        except ProxyError as error:
            self._logger.error("session %s: %s", self.id[:6], error)
        self._emit("iopub", "kernel_died", {"exitcode": exitcode, "generation": self.generation})

    def _fail_requests(self, ename: str, evalue: str) -> None:
        error = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        for request in list(self._under_way.values()):
            if request.task and request.task is not asyncio.current_task():
                request.task.cancel()
            content = {"status": "error", "execution_count": 0, **error}
            self._answer(request.channel, request.header, content)

    async def restart(self) -> None:
        """Replace the kernel by a fresh one."""
        async with self._ready:
            await self._go_on()
            kernel, self._kernel = self._kernel, None
        self._fail_requests("KernelRestarted", "The remote kernel was restarted.")
        self.tensors.close()
        if kernel:
            await kernel.shutdown()
        await self.ready()

    async def close(self) -> None:
        """End the kernel and give back all memory."""
        self.closed = True
        left, self._left = self._left, None
        kernel, self._kernel = self._kernel or self._starting, None
        self._fail_requests("SessionClosed", "The session was shut down.")
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.tensors.close()
        self.log.remove()
        # Before anything is waited for: a new session may have the same ID.
        self._folder.remove()
        if kernel:
            await kernel.shutdown()
        elif left and (process := self._processes.find(left["process"], self._folder.output)):
            await process.end()

    def leave(self) -> None:
        """Let go of the kernel, which goes on, for a proxy that is started after this one."""
        self._save_cells()
        self.closed = True
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        if kernel := self._kernel or self._starting:
            kernel.leave()
        self.tensors.close()
        self.log.close()

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await coroutine
            except KernelDied:
                pass  # `_fail_requests` answers for all requests at once.
            except ProxyError as error:
                self._logger.error("session %s: %s", self.id[:6], error)

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- After an earlier proxy ------------------------------------------------------------------

    async def _go_on(self) -> None:
        """Go on with the kernel and the cells of an earlier proxy; once."""
        left, self._left = self._left, None
        if left is None:
            return
        for cell in self.cells.open:
            # The proxy may have ended between the two that it notes of a reply.
            if status := await has_reply(self.log, cell):
                self.cells.end(cell.id, status)
        for cell in self.cells.open:
            self._under_way[cell.id] = Request("shell", cell.header)
        # Without a description the agent is not there: the proxy ended while the kernel was started.
        process = self._processes.find(left["process"], self._folder.output)
        if process is not None and not left["description"]:
            await process.end()
            process = None
        if process is not None:
            for cell in self.cells.open:
                if cell.extras is not None:
                    # It may have begun unheard.
                    cell.begin()
                    self._waiting[cell.id] = asyncio.get_running_loop().create_future()
                    self._under_way[cell.id].task = self._run(self._resume_cell(cell))
                self._emit("iopub", "gap", self._gap(), cell.header)
            kernel = self._starting = Kernel(
                process, self._received, self._died, self._logger, left["identity"]
            )
            try:
                await kernel.adopt(left["description"], self.cells.last_header)
            except KernelDied:
                await kernel.shutdown()
            else:
                self._kernel = kernel
                self.execution_state = "busy" if self.cells.open else "idle"
                self._run(self._settle_left(kernel))
                return
            finally:
                self._starting = None
        self._fail_requests("KernelDied", DIED_UNSEEN)
        self._save_session(None)

    def _gap(self) -> dict[str, Any]:
        since = self._last_heard
        return {"since": since and since.isoformat(), "until": datetime.now(UTC).isoformat()}

    async def _resume_cell(self, cell: Cell) -> None:
        async with self._cell:
            kernel = await self.ready()
            await self._finish(kernel, cell)

    async def _settle_left(self, kernel: Kernel) -> None:
        """Answer for the cells that have ended while no proxy was there to hear it."""
        cells = self.cells.open
        await kernel.flush()
        self._settle(cells, "ProxyRestarted", ENDED_UNHEARD)
        for cell in cells:
            # The kernel's own word that a cell is done may have been lost as well.
            self._emit("iopub", "status", {"execution_state": "idle"}, cell.header)
        if not self.cells.open:
            self.execution_state = "idle"
        async with self._cell:
            await kernel.forget_exports()

    def _settle(self, cells: list[Cell], ename: str, evalue: str) -> None:
        """Give those of `cells` a reply that have none, after all that the kernel had to say."""
        for cell in cells:
            if cell.state == "ended" or cell.reply is not None:
                continue
            self._received("shell", cell.header, error_reply(self.id, cell, ename, evalue), ())

    # --- Up: requests of the page ----------------------------------------------------------------

    def request(self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        """Take a Jupyter message of the page; its reply comes as an event."""
        header = message["header"]
        identifier = header["msg_id"]
        if identifier in self._taken:
            return
        self._taken[identifier] = None
        while len(self._taken) > _REMEMBERED_REQUESTS:
            del self._taken[next(iter(self._taken))]
        self.last_activity = time.time()
        request = Request(channel, header)
        if channel in ("shell", "control") and header["msg_type"].endswith("_request"):
            self._under_way[identifier] = request
        if header["msg_type"] == "execute_request":
            self.cells.add(message, self.log.last + 1)
        elif header["msg_type"] == "input_reply":
            self._answered_question()
        request.task = self._run(self._handle(channel, message, buffers))

    def see(self, identifier: str) -> None:
        """A page has shown this cell to its end."""
        self.cells.see(identifier)
        self._save_cells_soon()
        self.forget()

    def forget(self) -> None:
        """Forget the events that every listener has and no replay needs."""
        if self.listeners:
            seq = min(self.listeners.values())
            first = self.cells.first
            self.log.forget(seq if first is None else min(seq, first - 1))

    async def _handle(
        self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...]
    ) -> None:
        header, content = message["header"], message.get("content") or {}
        try:
            kind = header["msg_type"]
            extras = (message.get("metadata") or {}).pop("torch", None)
            if kind == "interrupt_request":
                found = await self._interrupt(content.get("cell"))
                self._answer(channel, header, {"status": "ok", "found": found})
            elif kind == "shutdown_request":
                await self._shutdown(channel, message)
            elif kind == "cells_request":
                state = {"execution_state": self.execution_state, "cells": self.cells.describe()}
                self._answer(channel, header, {"status": "ok", **state})
            elif kind == "replay_request":
                await self._replay(channel, header, content)
            elif kind == "peek_request":
                await self._peek(channel, header, content)
            elif kind == "use_request":
                outcome, small = await self._exchange.use(await self.ready(), content, buffers)
                self._answer(channel, header, {"status": "ok"}, {"torch": outcome}, small)
            elif kind == "execute_request":
                await self._execute(message, extras, buffers)
            else:
                (await self.ready()).send(channel, message, buffers)
        except KernelDied:
            raise
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

    async def _interrupt(self, identifier: object) -> str:
        """Interrupt what runs, or one cell alone; return in which state it was found."""
        if identifier is None:
            running = self.cells.running
            for cell in running:
                cell.interrupted = True
            begun = not running or any(cell.started or not cell.sent for cell in running)
            if self._kernel and begun:
                await self._kernel.interrupt()
            return "running"
        cell = self.cells.find(identifier) if isinstance(identifier, str) else None
        if cell is None or cell.state == "ended":
            return "ended"
        found = cell.state
        if found == "queued" and not cell.sent:
            request = self._under_way[cell.id]
            if request.task:
                request.task.cancel()
            self._answer("shell", cell.header, INTERRUPTED)
            return found
        # A kernel that runs nothing ignores the signal; `_follow` sends it when the code begins.
        cell.interrupted = True
        pushing = not cell.sent and self.cells.running == [cell]
        if self._kernel and (cell.started or pushing):
            await self._kernel.interrupt()
        return found

    async def _replay(self, channel: str, header: dict[str, Any], content: dict[str, Any]) -> None:
        cell = self.cells.get(content.get("cell"))
        after, nbytes = content.get("after", 0), content.get("bytes", self._replay_bytes)
        if type(after) is not int or type(nbytes) is not int:
            raise Refused("`after` and `bytes` of a replay_request are whole numbers.")
        reply, buffers = await replay(self.log, cell, after, min(nbytes, self._replay_bytes))
        self._answer(channel, header, reply, buffers=buffers)

    async def _peek(self, channel: str, header: dict[str, Any], content: dict[str, Any]) -> None:
        """Evaluate an expression aside of the cell that runs."""
        outcome, small = await self._exchange.peek(await self.ready(), content)
        self._answer(channel, header, {"status": "ok"}, {"torch": outcome}, small)

    async def _execute(
        self, message: dict[str, Any], extras: dict[str, Any] | None, buffers: tuple[bytes, ...]
    ) -> None:
        cell = self.cells.get(message["header"]["msg_id"])
        if not extras:
            kernel = await self.ready()
            self._send_cell(kernel, cell, message)
            return
        # One cell after the other: what a cell pushed is there when its own code runs.
        async with self._cell:
            cell.state = "running"
            kernel = await self.ready()
            try:
                cell.conflict = await self._exchange.push(kernel, extras.get("push"), buffers)
            except AgentFailure:
                if not cell.interrupted:
                    raise
            if cell.interrupted:
                self._answer("shell", cell.header, INTERRUPTED)
                return
            message["content"]["stop_on_error"] = False
            if pull := extras.get("pull"):
                # With the cell itself, since asking the kernel once more takes half as long again as
                # a short cell.
                asked = message["content"].get("user_expressions") or {}
                expressions = {**asked, _EXPORT: self._exchange.export(cell.id, pull)}
                message["content"]["user_expressions"] = expressions
            cell.extras = {"pull": pull}
            self._waiting[cell.id] = asyncio.get_running_loop().create_future()
            self._send_cell(kernel, cell, message)
            await self._finish(kernel, cell)

    def _send_cell(self, kernel: Kernel, cell: Cell, message: dict[str, Any]) -> None:
        # Noted before it goes: a cell may be lost with this process, and is never run twice.
        cell.sent = True
        self._save_cells()
        kernel.process.trim_output()
        kernel.send("shell", message)

    async def _finish(self, kernel: Kernel, cell: Cell) -> None:
        """Wait for the reply of a `%%torch` cell that was sent, and bring its values out."""
        try:
            if cell.reply is None:
                reply = await self._waiting[cell.id]
                cell.reply = {key: value.decode() for key, value in reply.items()}
                self._save_cells_soon()
            reply = {key: value.encode() for key, value in cell.reply.items()}
            content = json.loads(reply["content"])
            exported = (content.get("user_expressions") or {}).pop(_EXPORT, None)
            pulled, small = await self._exchange.pull(
                kernel, cell.id, cell.extras["pull"], exported
            )
        finally:
            self._waiting.pop(cell.id, None)
        if exported:
            reply["content"] = json.dumps(content).encode()
        metadata = json.loads(reply["metadata"])
        metadata["torch"] = {**pulled, "conflict": cell.conflict}
        reply["metadata"] = json.dumps(metadata).encode()
        self._reply("shell", cell.id, reply, small)

    # --- Down: messages of the kernel ------------------------------------------------------------

    def _received(
        self,
        channel: str,
        parent: dict[str, Any],
        message: dict[str, bytes],
        buffers: tuple[bytes, ...],
    ) -> None:
        identifier = parent.get("msg_id")
        if channel == "shell" and (waiter := self._waiting.get(identifier)):
            if not waiter.done():
                waiter.set_result(message)
        elif channel in ("shell", "control"):
            self._reply(channel, identifier, message, buffers)
        else:
            kind = json.loads(message["header"])["msg_type"]
            if kind == "status":
                self.execution_state = json.loads(message["content"])["execution_state"]
            self.log.append(channel, join(message), buffers)
            if cell := self.cells.find(identifier):
                self._follow(cell, kind, message)

    def _follow(self, cell: Cell, kind: str, message: dict[str, bytes]) -> None:
        """Note how far a cell has come."""
        state = json.loads(message["content"])["execution_state"] if kind == "status" else None
        if kind == "execute_input" or (state == "busy" and cell.silent):
            cell.begin()
            self._save_cells_soon()
            if cell.interrupted and self._kernel:
                self._run(self._interrupt_begun(self._kernel, cell))
        elif state == "idle" and cell.interrupted and self._kernel:
            self._run(self._settle_interrupted(self._kernel, cell))
        elif kind == "input_request":
            cell.question = json.loads(message["header"])["msg_id"]
            self._save_cells()

    async def _interrupt_begun(self, kernel: Kernel, cell: Cell) -> None:
        """Interrupt a cell whose code has just begun."""
        await kernel.interrupt()
        # A signal that comes right before a system call, as of `time.sleep`, does not end that.
        await asyncio.sleep(INTERRUPT_AGAIN_S)
        if cell.state != "ended" and cell.reply is None:
            await kernel.interrupt()

    async def _settle_interrupted(self, kernel: Kernel, cell: Cell) -> None:
        """See that an interrupted cell gets a reply: a signal that comes between the kernel's own
        lines takes it along (ipykernel 7.4)."""
        await kernel.flush()
        self._settle([cell], "KeyboardInterrupt", "")

    def _answered_question(self) -> None:
        asked = [cell for cell in self.cells if cell.question]
        for cell in asked:
            cell.question = None
        if asked:
            self._save_cells()

    def _reply(
        self, channel: str, identifier: str, message: dict[str, bytes], buffers: tuple[bytes, ...]
    ) -> None:
        request = self._under_way.pop(identifier, None)
        self.last_activity = time.time()
        self.log.append(channel, join(message), buffers)
        if request and request.header["msg_type"] == "execute_request":
            self._end_cell(identifier, json.loads(message["content"]))

    def _end_cell(self, identifier: str, content: dict[str, Any]) -> None:
        ok = content.get("status") == "ok"
        lost = content.get("ename") == "ProxyRestarted"
        self.cells.end(identifier, "unknown" if lost else "ok" if ok else "error")
        self._save_cells_soon()

    def _answer(
        self,
        channel: str,
        parent: dict[str, Any],
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: tuple[bytes, ...] = (),
    ) -> None:
        """Answer in the kernel's place, and say that the request is done."""
        self._under_way.pop(parent["msg_id"], None)
        kind = parent["msg_type"].replace("_request", "_reply")
        self._emit(channel, kind, content, parent, metadata, buffers)
        self._emit("iopub", "status", {"execution_state": "idle"}, parent)
        if parent["msg_type"] == "execute_request":
            self._end_cell(parent["msg_id"], content)

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
        metadata: dict[str, Any] | None = None,
        buffers: tuple[bytes, ...] = (),
    ) -> None:
        message = parts(self.id, kind, parent or {}, metadata or {}, content)
        self.log.append(channel, join(message), buffers)
