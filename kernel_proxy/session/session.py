"""A session: one remote kernel with its event log and its tensors. It outlives the page."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from ..errors import AgentFailure, KernelDied, ProxyError, Refused
from ..kernel.kernel_process import Processes
from ..limits import Limits
from ..operations import journal, metrics
from ..tensors.exchange import Exchange
from ..tensors.tensors import Budget, Tensors
from ..web.requests import check
from . import execution, interrupts
from .cell_time import CellTime
from .cells import Cell, Cells
from .event_files import EventFiles
from .event_log import EventLog
from .gpu_memory import GpuMemory
from .idle import Idle, seconds_since
from .kernel_life import KernelLife
from .messages import disk_full, error_reply, join, parts, refusal, too_many_cells
from .record import Record
from .replay import replay
from .state import SessionFolder

#: How many message IDs are remembered, to take no request twice after a cut.
_REMEMBERED_REQUESTS = 10_000


class Listener(Protocol):
    """A page that follows a session."""

    def dismiss(self, why: str) -> None:
        """Tell it why the session ends."""


@dataclass
class Request:
    """A request of the page that has no reply yet."""

    channel: str
    header: dict[str, Any]
    #: When it came, by the monotonic clock; None for a cell that waits for another one.
    arrived: float | None = None
    task: asyncio.Task[None] | None = None
    #: The kernel has said that it is done with it, on another socket than that of the reply.
    is_done: bool = False


class Session:
    """One remote kernel, restarted when it dies, and everything that it has said.

    `folder` keeps what a proxy that is started again needs to go on with it. `watch` gives what ends
    it when nothing happens any more.
    """

    def __init__(
        self,
        identifier: str,
        kernelspec: str | None,
        folder: SessionFolder,
        processes: Processes,
        limits: Limits,
        budget: Budget,
        watch: Callable[["Session"], Idle],
        logger: logging.Logger,
    ):
        known = folder.load("session") or {}
        self.id = identifier
        self.created = datetime.fromisoformat(known.get("created") or datetime.now(UTC).isoformat())
        #: What a person calls it; empty for none.
        self.name: str = known.get("name") or ""
        files = EventFiles(folder.events, limits.event_log_bytes)
        memory = min(limits.event_memory_bytes, limits.event_log_bytes)
        self.log = EventLog(files, memory, logger, self._disk_full)
        cells, sent = folder.load("cells"), folder.noted("sent")
        self.cells = Cells(cells, [note["cell"] for note in sent])
        self.tensors = Tensors(budget)
        self.exchange = Exchange(self.tensors, self.run)
        self.listeners: dict[Listener, int] = {}
        self.idle = watch(self)
        newest = sent[-1] if sent else cells
        self._quiet_s = seconds_since(newest and newest.get("active"))
        self.execution_state = "starting"
        self._folder = folder
        self.record = Record(identifier[:6], folder, self.cells, lambda: self.idle.quiet_s, logger)
        self._limits = limits
        self._replay_bytes = limits.message_bytes // 4
        self._memory = GpuMemory(self)
        self.cell_time = CellTime(self, limits.max_cell_s, limits.max_cell_cpu_s, logger)
        self._logger = logger
        share = limits.gpu_memory_share
        self.life = KernelLife(
            self, known, kernelspec, folder, processes, share, files.written, logger
        )
        self.one_cell = asyncio.Lock()
        self._taken: dict[str, None] = dict.fromkeys(self.cells.taken)
        self.under_way: dict[str, Request] = {}
        self.waiting: dict[str, asyncio.Future[dict[str, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    # --- The whole of it -------------------------------------------------------------------------

    async def resume(self) -> None:
        """Go on with the kernel of an earlier proxy, if there is one."""
        try:
            await self.life.resume()
        finally:
            self.idle.begin(self._quiet_s)

    def refuse_closed(self) -> None:
        """Raise Refused when it has been shut down."""
        if self.closed:
            raise Refused("This session has been shut down.", "not-found", 404)

    async def rename(self, name: str) -> None:
        """Call it something, for a later proxy too."""
        self.name = name
        await self.life.save_session()

    def _disk_full(self, why: str) -> None:
        running = self.cells.running
        text = disk_full(why, self._limits.event_memory_bytes)
        # What a cell says may come after its reply.
        header = running[0].header if running else self.cells.last_header
        self.emit("iopub", "notice", {"text": text}, header)

    @property
    def is_busy(self) -> bool:
        """True while anything runs or waits to run: cells, what widgets have set off, a start."""
        if self.closed:
            return False
        return bool(self.cells.open) or self.execution_state == "busy" or self.life.is_starting

    def dismiss(self, why: str) -> None:
        """Tell its pages in a sentence that it ends."""
        for listener in list(self.listeners):
            listener.dismiss(why)

    def describe(self) -> dict[str, Any]:
        """Say what a page is told on arrival."""
        kernel = self.life.kernel.description if self.life.kernel else {}
        return {
            "id": self.id,
            "created": self.created.isoformat(),
            "generation": self.life.generation,
            "kernel": self.life.kernelspec,
            **{key: value for key, value in kernel.items() if key not in ("pid", "names")},
        }

    def status(self) -> dict[str, Any]:
        """Say how it does, for a page that shows that all the time."""
        running = next((cell for cell in self.cells if cell.state == "running"), None)
        queued = sum(cell.state == "queued" for cell in self.cells)
        seconds = None
        if running and running.started:
            began = datetime.fromisoformat(running.started)
            seconds = max(0.0, (datetime.now(UTC) - began).total_seconds())
        return {
            **self.describe(),
            "state": self.execution_state,
            "cell_s": seconds,
            "queued": queued,
            "cells": self.cells.summaries(),
            "memory": self._memory.now() if running else None,
            # Another one whenever anything has happened there.
            "seq": self.log.last,
        }

    async def names(self) -> list[str]:
        """Return the names that page and kernel have exchanged; none while a cell runs."""
        if self.one_cell.locked() or self.execution_state == "busy":
            return []
        with contextlib.suppress(AgentFailure):
            # A cell may come in between and fail, which drops what waits behind it.
            return (await (await self.life.ready()).call("describe"))["names"]
        return []

    def fail_requests(self, ename: str, evalue: str) -> None:
        """Answer every request under way with an error."""
        error = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        # Of the next kernel, for which a page can send a cell at once.
        error["generation"] = self.life.generation + 1
        for request in list(self.under_way.values()):
            if request.task and request.task is not asyncio.current_task():
                request.task.cancel()
            content = {"status": "error", "execution_count": 0, **error}
            self.answer(request.channel, request.header, content)

    async def close(self, why: str = "asked") -> None:
        """End the kernel and give back all memory. `why` is a word for the operator."""
        journal.note(self._logger, "session ended", session=self.id[:6], why=why)
        self.closed = True
        self.idle.close()
        self.cell_time.close()
        self.record.close()
        end_kernel = self.life.part()
        self.fail_requests("SessionClosed", "The session was shut down.")
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.tensors.close()
        self.log.remove()
        # Before anything is waited for: a new session may have the same ID.
        self._folder.remove()
        if end_kernel:
            await end_kernel()

    def leave(self) -> None:
        """Let go of the kernel, which goes on, for a proxy that is started after this one."""
        self.record.save_cells()
        self.closed = True
        self.idle.close()
        self.cell_time.close()
        self.record.close()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        self.life.leave()
        self.tensors.close()
        self.log.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Run a part of this session's work, which ends with it."""

        async def run() -> None:
            try:
                await coroutine
            except KernelDied:
                pass  # `fail_requests` answers for all requests at once.
            except ProxyError as error:
                journal.fault(self._logger, "session failed", error, session=self.id[:6])

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- Up: requests of the page ----------------------------------------------------------------

    def request(self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        """Take a Jupyter message of the page; its reply comes as an event."""
        header = message["header"]
        identifier = header["msg_id"]
        if identifier in self._taken:
            return
        self._taken[identifier] = None
        while len(self._taken) > _REMEMBERED_REQUESTS:
            oldest = next(iter(self._taken))
            del self._taken[oldest]
            if self.cells.find(oldest) is None:
                # There are requests that a kernel does not answer.
                self.under_way.pop(oldest, None)
        self.idle.touch()
        request = Request(channel, header, None if self.cells.open else time.monotonic())
        if channel in ("shell", "control") and header["msg_type"].endswith("_request"):
            self.under_way[identifier] = request
        if header["msg_type"] == "execute_request":
            if self.cells.queued >= self._limits.max_queued:
                journal.limit(self._logger, "--max-queued", session=self.id[:6])
                self._answer_error(channel, header, too_many_cells(self._limits.max_queued))
                return
            self.cells.add(message, self.log.last + 1)
        elif header["msg_type"] == "input_reply":
            self._answered_question()
        request.task = self.run(self._handle(channel, message, buffers))

    def see(self, identifier: str) -> None:
        """A page has shown this cell to its end."""
        self.cells.see(identifier)
        self.record.save_cells_soon()
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
        header, content = message["header"], message["content"]
        try:
            kind = header["msg_type"]
            check(channel, message)
            extras = message["metadata"].pop("torch", None)
            if kind == "interrupt_request":
                found = await interrupts.interrupt(self, content.get("cell"))
                self.answer(channel, header, {"status": "ok", "found": found})
            elif kind == "shutdown_request":
                await self._shutdown(channel, message)
            elif kind == "cells_request":
                state = {"execution_state": self.execution_state, "cells": self.cells.describe()}
                self.answer(channel, header, {"status": "ok", **state})
            elif kind == "replay_request":
                await self._replay(channel, header, content)
            elif kind == "peek_request":
                await self._peek(channel, header, content)
            elif kind == "use_request":
                outcome, small = await self.exchange.use(await self.life.ready(), content, buffers)
                self.answer(channel, header, {"status": "ok"}, {"torch": outcome}, small)
            elif kind == "execute_request":
                await execution.execute(self, message, extras, buffers)
            else:
                (await self.life.ready()).send(channel, message, buffers)
        except KernelDied:
            raise
        except ProxyError as error:
            self._answer_error(channel, header, error)
        except RecursionError:
            self._answer_error(channel, header, Refused("This request is nested too deeply."))
        except Exception as error:
            journal.fault(self._logger, "request failed", error, session=self.id[:6])
            self._answer_error(channel, header, ProxyError(f"{type(error).__name__}: {error}"))

    async def _shutdown(self, channel: str, message: dict[str, Any]) -> None:
        restart = bool(message["content"].get("restart"))
        self.under_way.pop(message["header"]["msg_id"], None)
        if restart:
            await self.life.restart(kernelspec=message["content"].get("kernel"))
        else:
            await self.close()
        content = {"status": "ok", "restart": restart, "generation": self.life.generation}
        content["session"] = self.describe()
        self.answer(channel, message["header"], content)

    async def _replay(self, channel: str, header: dict[str, Any], content: dict[str, Any]) -> None:
        cell = self.cells.get(content.get("cell"))
        after, nbytes = content.get("after") or 0, content.get("bytes") or self._replay_bytes
        reply, buffers = await replay(self.log, cell, after, min(nbytes, self._replay_bytes))
        self.answer(channel, header, reply, buffers=buffers)

    async def _peek(self, channel: str, header: dict[str, Any], content: dict[str, Any]) -> None:
        """Evaluate an expression aside of the cell that runs."""
        outcome, small = await self.exchange.peek(await self.life.ready(), content)
        self.answer(channel, header, {"status": "ok"}, {"torch": outcome}, small)

    def expect(self, cell: Cell) -> None:
        """Take a cell that the kernel has from before for a request under way."""
        self.under_way[cell.id] = Request("shell", cell.header)

    def settle(self, cells: list[Cell], ename: str, evalue: str) -> None:
        """Give those of `cells` a reply that have none, after all that the kernel had to say."""
        for cell in cells:
            if cell.state == "ended" or cell.reply is not None:
                continue
            self.received("shell", cell.header, error_reply(self.id, cell, ename, evalue), ())

    # --- Down: messages of the kernel ------------------------------------------------------------

    def received(
        self,
        channel: str,
        parent: dict[str, Any],
        message: dict[str, bytes],
        buffers: tuple[bytes, ...],
    ) -> None:
        """Take a message of the kernel."""
        self.idle.touch()
        identifier = parent.get("msg_id")
        if channel == "shell":
            self.cell_time.ended(identifier)
            cell = self.cells.find(identifier)
            message = self.cell_time.explain(cell, message)
            if cell and self.life.kernel:
                self.life.kernel.process.priority.ended()
        if channel == "shell" and (waiter := self.waiting.get(identifier)):
            if not waiter.done():
                waiter.set_result(message)
        elif channel in ("shell", "control"):
            self.reply(channel, identifier, message, buffers)
        else:
            kind = json.loads(message["header"])["msg_type"]
            followed = kind == "execute_input"
            if kind == "status":
                state = self.execution_state = json.loads(message["content"])["execution_state"]
                request = self.under_way.get(identifier)
                followed = state == "busy" or request is not None
                if request and state == "idle":
                    request.is_done = True
            self.log.append(channel, join(message), buffers, followed)
            cell = self.cells.find(identifier)
            # What a cell says as it begins may come after its reply, on another socket.
            if cell and cell.state != "ended":
                self._follow(cell, kind, message)

    def _follow(self, cell: Cell, kind: str, message: dict[str, bytes]) -> None:
        """Note how far a cell has come."""
        state = json.loads(message["content"])["execution_state"] if kind == "status" else None
        if kind == "execute_input" or (state == "busy" and cell.silent):
            cell.begin()
            self.cell_time.begun(cell)
            if self.life.kernel:
                self.life.kernel.process.priority.begun()
            self.record.save_cells_soon()
            if cell.interrupted and self.life.kernel:
                self.run(interrupts.interrupt_begun(self.life.kernel, cell))
        elif state == "idle" and cell.reply is None and self.life.kernel:
            self.run(interrupts.settle_unanswered(self, self.life.kernel, cell))
        elif kind == "input_request":
            cell.question = json.loads(message["header"])["msg_id"]
            self.record.save_cells()

    def _answered_question(self) -> None:
        asked = [cell for cell in self.cells if cell.question]
        for cell in asked:
            cell.question = None
        if asked:
            self.record.save_cells()

    def reply(
        self, channel: str, identifier: str, message: dict[str, bytes], buffers: tuple[bytes, ...]
    ) -> None:
        """Pass a reply of the kernel on."""
        request = self.under_way.pop(identifier, None)
        self.idle.touch()
        followed = request is not None and not request.is_done
        self.log.append(channel, join(message), buffers, followed)
        if request and request.header["msg_type"] == "execute_request":
            self._end_cell(identifier, json.loads(message["content"]))

    def _end_cell(self, identifier: str, content: dict[str, Any]) -> None:
        self.cell_time.ended(identifier)
        ok = content.get("status") == "ok"
        lost = content.get("ename") == "ProxyRestarted"
        outcome = "unknown" if lost else "ok" if ok else "error"
        if cell := self.cells.end(identifier, outcome):
            metrics.cell_ended(outcome, cell.seconds)
            journal.note(
                self._logger,
                "cell ended",
                session=self.id[:6],
                outcome=outcome,
                seconds=cell.seconds,
                bytes_up=cell.bytes_up,
                bytes_down=cell.bytes_down,
            )
        self.idle.touch()
        self.record.save_cells_soon()

    def answer(
        self,
        channel: str,
        parent: dict[str, Any],
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: tuple[bytes, ...] = (),
    ) -> None:
        """Answer in the kernel's place, and say that the request is done."""
        self.under_way.pop(parent["msg_id"], None)
        kind = parent["msg_type"].replace("_request", "_reply")
        self.emit(channel, kind, content, parent, metadata, buffers)
        self.emit("iopub", "status", {"execution_state": "idle"}, parent)
        if parent["msg_type"] == "execute_request":
            self._end_cell(parent["msg_id"], content)

    def _answer_error(self, channel: str, parent: dict[str, Any], error: ProxyError) -> None:
        self.answer(channel, parent, refusal(error))

    def emit(
        self,
        channel: str,
        kind: str,
        content: dict[str, Any],
        parent: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        buffers: tuple[bytes, ...] = (),
    ) -> None:
        """Add an event in the kernel's place."""
        message = parts(self.id, kind, parent or {}, metadata or {}, content)
        self.log.append(channel, join(message), buffers)
