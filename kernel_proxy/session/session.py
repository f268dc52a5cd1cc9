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

from ..errors import AgentFailure, KernelDied, KernelStartFailed, ProxyError, Refused
from ..kernel.kernel import Kernel
from ..kernel.kernel_process import KernelProcess, Processes
from ..limits import Limits
from ..operations import journal, metrics
from ..tensors.exchange import Exchange
from ..tensors.tensors import Budget, Tensors
from ..web.requests import check
from . import execution, interrupts
from .adoption import adopt
from .cell_time import CellTime
from .cells import Cell, Cells
from .event_files import EventFiles
from .event_log import EventLog
from .gpu_memory import GpuMemory
from .idle import Idle, seconds_since
from .messages import death_sentence, disk_full, error_reply, join, parts, refusal, too_many_cells
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
        self.generation = known.get("generation", 0)
        self.kernelspec = known.get("kernelspec") or processes.choose(kernelspec)
        #: What a person calls it; empty for none.
        self.name: str = known.get("name") or ""
        files = EventFiles(folder.events, limits.event_log_bytes)
        memory = min(limits.event_memory_bytes, limits.event_log_bytes)
        self.log = EventLog(files, memory, logger, self._disk_full)
        cells = folder.load("cells")
        self.cells = Cells(cells)
        self.tensors = Tensors(budget)
        self.exchange = Exchange(self.tensors)
        self.listeners: dict[Listener, int] = {}
        self.idle = watch(self)
        self._quiet_s = seconds_since(cells and cells.get("active"))
        self.execution_state = "starting"
        self._folder = folder
        self.record = Record(identifier[:6], folder, self.cells, lambda: self.idle.quiet_s, logger)
        self._processes = processes
        self._limits = limits
        self._replay_bytes = limits.message_bytes // 4
        self._memory = GpuMemory(self)
        self.cell_time = CellTime(self, limits.max_cell_s, limits.max_cell_cpu_s, logger)
        self._logger = logger
        self.kernel: Kernel | None = None
        self.starting: Kernel | None = None
        #: What an earlier proxy has left of its kernel.
        self._left: dict[str, Any] | None = known.get("kernel")
        self._last_heard = files.written
        self._ready = asyncio.Lock()
        self.one_cell = asyncio.Lock()
        self._taken: dict[str, None] = dict.fromkeys(self.cells.taken)
        self.under_way: dict[str, Request] = {}
        self.waiting: dict[str, asyncio.Future[dict[str, bytes]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.closed = False

    # --- The kernel's life -----------------------------------------------------------------------

    async def ready(self) -> Kernel:
        """Return the kernel, started first if there is none."""
        async with self._ready:
            await self._go_on()
            if self.kernel is None:
                self._refuse_closed()
                try:
                    self.kernel = await self._start()
                except KernelStartFailed as error:
                    journal.note(
                        self._logger,
                        "kernel not started",
                        logging.WARNING,
                        session=self.id[:6],
                        kernel=self.kernelspec,
                        reason=error.reason,
                    )
                    raise
                finally:
                    self.idle.touch()
                self.execution_state = "idle"
            return self.kernel

    async def _go_on(self) -> None:
        """Go on with what an earlier proxy has left; once."""
        left, self._left = self._left, None
        if left is not None:
            process = self._processes.find(left["process"], self._folder.output)
            await adopt(self, process, left, self._last_heard)

    async def resume(self) -> None:
        """Go on with the kernel of an earlier proxy, if there is one."""
        async with self._ready:
            try:
                await self._go_on()
            finally:
                self.idle.begin(self._quiet_s)

    async def _start(self) -> Kernel:
        process = await self._processes.start(self.kernelspec, self._folder.output)
        if self.closed:
            await process.end()
            self._refuse_closed()
        kernel = self.starting = self.talk_to(process)
        # Now, so that a proxy that is started after this one was killed finds the process.
        self.save_kernel(kernel)
        try:
            await kernel.start(self._limits.gpu_memory_share)
        finally:
            self.starting = None
        self.generation += 1
        self.exchange.forget()
        self.save_kernel(kernel)
        return kernel

    def talk_to(self, process: KernelProcess, identity: str | None = None) -> Kernel:
        """Return the conversation with a process; `identity`: the one that it knows already."""
        return Kernel(process, self.received, self._died, self._logger, identity)

    def _refuse_closed(self) -> None:
        if self.closed:
            raise Refused("This session has been shut down.", "not-found", 404)

    def save_kernel(self, kernel: Kernel | None) -> None:
        """Note how a later proxy finds the kernel; None for no kernel."""
        process = kernel.process.record() if kernel else None
        self.record.save(
            "session",
            {
                "created": self.created.isoformat(),
                "generation": self.generation,
                "kernelspec": self.kernelspec,
                "name": self.name,
                "kernel": process
                and {
                    "process": process,
                    "identity": kernel.identity,
                    # Empty until the agent is there.
                    "description": kernel.description,
                },
            },
        )

    async def rename(self, name: str) -> None:
        """Call it something, for a later proxy too."""
        async with self._ready:
            await self._go_on()
            self._refuse_closed()
            self.name = name
            self.save_kernel(self.kernel)

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
        return bool(self.cells.open) or self.execution_state == "busy" or self._ready.locked()

    def dismiss(self, why: str) -> None:
        """Tell its pages in a sentence that it ends."""
        for listener in list(self.listeners):
            listener.dismiss(why)

    def describe(self) -> dict[str, Any]:
        """Say what a page is told on arrival."""
        kernel = self.kernel.description if self.kernel else {}
        return {
            "id": self.id,
            "created": self.created.isoformat(),
            "generation": self.generation,
            "kernel": self.kernelspec,
            **{key: value for key, value in kernel.items() if key not in ("pid", "names")},
        }

    @property
    def directory(self) -> str:
        """Where its kernels are started; Refused where that is another machine."""
        if self.kernel and not self.kernel.process.is_here:
            raise Refused(
                "This session's kernel runs on another machine than its server, which can not reach the "
                "files there. Let a cell fetch or store them.",
                "kernel",
                409,
            )
        return self._processes.directory

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
            return (await (await self.ready()).call("describe"))["names"]
        return []

    def _died(self, exitcode: int | None) -> None:
        kernel, self.kernel = self.kernel, None
        if self.closed or kernel is None:
            return
        metrics.kernel_died()
        journal.note(
            self._logger, "kernel died", logging.WARNING, session=self.id[:6], exitcode=exitcode
        )
        self.fail_requests("KernelDied", death_sentence(exitcode))
        # What it has exported can still be fetched, and uploads are the page's.
        self.run(self._replace(kernel, exitcode))

    async def _replace(self, kernel: Kernel, exitcode: int | None) -> None:
        await kernel.shutdown()
        try:
            await self.ready()
        except ProxyError as error:
            journal.fault(self._logger, "session failed", error, session=self.id[:6])
        self.emit("iopub", "kernel_died", {"exitcode": exitcode, "generation": self.generation})

    def fail_requests(self, ename: str, evalue: str) -> None:
        """Answer every request under way with an error."""
        error = {"ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
        # Of the next kernel, for which a page can send a cell at once.
        error["generation"] = self.generation + 1
        for request in list(self.under_way.values()):
            if request.task and request.task is not asyncio.current_task():
                request.task.cancel()
            content = {"status": "error", "execution_count": 0, **error}
            self.answer(request.channel, request.header, content)

    async def give_up(self, why: str) -> None:
        """Replace a kernel that does not react, and tell every page."""
        await self.restart(why)
        self.emit("iopub", "kernel_died", {"exitcode": None, "generation": self.generation})

    def expect_kernel(self, name: str | None) -> None:
        """See that a page that names a kernelspec gets that one; Refused otherwise."""
        if name is not None and self._processes.choose(name) != self.kernelspec:
            raise Refused(
                f"This notebook's session runs with the kernel {self.kernelspec!r}, not {name!r}. "
                f"Connect without `--kernel` to go on with it; then `%torch restart --kernel {name}` "
                "changes it, which loses its variables.",
                "kernel",
                409,
            )

    async def restart(
        self, why: str = "The remote kernel was restarted.", kernelspec: str | None = None
    ) -> None:
        """Replace the kernel by a fresh one, of another kernelspec if one is named. `why` is the
        error of what was under way."""
        chosen = self._processes.choose(kernelspec or self.kernelspec)
        async with self._ready:
            await self._go_on()
            kernel, self.kernel = self.kernel, None
            self.kernelspec = chosen
        self.fail_requests("KernelRestarted", why)
        self.tensors.close()
        if kernel:
            await kernel.shutdown()
        await self.ready()

    async def close(self, why: str = "asked") -> None:
        """End the kernel and give back all memory. `why` is a word for the operator."""
        journal.note(self._logger, "session ended", session=self.id[:6], why=why)
        self.closed = True
        self.idle.close()
        self.cell_time.close()
        self.record.close()
        left, self._left = self._left, None
        kernel, self.kernel = self.kernel or self.starting, None
        self.fail_requests("SessionClosed", "The session was shut down.")
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
        self.record.save_cells()
        self.closed = True
        self.idle.close()
        self.cell_time.close()
        self.record.close()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        if kernel := self.kernel or self.starting:
            kernel.leave()
        self.tensors.close()
        self.log.close()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
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
                outcome, small = await self.exchange.use(await self.ready(), content, buffers)
                self.answer(channel, header, {"status": "ok"}, {"torch": outcome}, small)
            elif kind == "execute_request":
                await execution.execute(self, message, extras, buffers)
            else:
                (await self.ready()).send(channel, message, buffers)
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
            await self.restart(kernelspec=message["content"].get("kernel"))
        else:
            await self.close()
        content = {"status": "ok", "restart": restart, "generation": self.generation}
        content["session"] = self.describe()
        self.answer(channel, message["header"], content)

    async def _replay(self, channel: str, header: dict[str, Any], content: dict[str, Any]) -> None:
        cell = self.cells.get(content.get("cell"))
        after, nbytes = content.get("after") or 0, content.get("bytes") or self._replay_bytes
        reply, buffers = await replay(self.log, cell, after, min(nbytes, self._replay_bytes))
        self.answer(channel, header, reply, buffers=buffers)

    async def _peek(self, channel: str, header: dict[str, Any], content: dict[str, Any]) -> None:
        """Evaluate an expression aside of the cell that runs."""
        outcome, small = await self.exchange.peek(await self.ready(), content)
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
            if cell and self.kernel:
                self.kernel.process.priority.ended()
        if channel == "shell" and (waiter := self.waiting.get(identifier)):
            if not waiter.done():
                waiter.set_result(message)
        elif channel in ("shell", "control"):
            self.reply(channel, identifier, message, buffers)
        else:
            kind = json.loads(message["header"])["msg_type"]
            if kind == "status":
                self.execution_state = json.loads(message["content"])["execution_state"]
            self.log.append(channel, join(message), buffers)
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
            if self.kernel:
                self.kernel.process.priority.begun()
            self.record.save_cells_soon()
            if cell.interrupted and self.kernel:
                self.run(interrupts.interrupt_begun(self.kernel, cell))
        elif state == "idle" and cell.reply is None and self.kernel:
            self.run(interrupts.settle_unanswered(self, self.kernel, cell))
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
        self.log.append(channel, join(message), buffers)
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
