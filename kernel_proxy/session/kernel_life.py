"""The kernel of a session: started when somebody needs it, adopted from an earlier proxy, replaced
when it dies or does not react."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..errors import KernelStartFailed, ProxyError, Refused
from ..kernel.kernel import Kernel
from ..kernel.kernel_process import KernelProcess, Processes
from ..operations import journal, metrics
from .adoption import adopt
from .messages import death_sentence
from .state import SessionFolder

if TYPE_CHECKING:
    from .session import Session


class KernelLife:
    """The kernels of one session, one after the other; `generation` counts them.

    `known` is what `save` has kept, empty for a new session, which is to run with `kernelspec`.
    `last_heard`: when an earlier proxy noted its last event.
    """

    def __init__(
        self,
        session: "Session",
        known: dict[str, Any],
        kernelspec: str | None,
        folder: SessionFolder,
        processes: Processes,
        gpu_memory_share: float,
        last_heard: datetime | None,
        logger: logging.Logger,
    ):
        self._session = session
        self.generation: int = known.get("generation", 0)
        self.kernelspec: str = known.get("kernelspec") or processes.choose(kernelspec)
        self.kernel: Kernel | None = None
        self.starting: Kernel | None = None
        #: What an earlier proxy has left of its kernel.
        self._left: dict[str, Any] | None = known.get("kernel")
        self._last_heard = last_heard
        self._folder = folder
        self._processes = processes
        self._gpu_memory_share = gpu_memory_share
        self._logger = logger
        self._ready = asyncio.Lock()

    @property
    def is_starting(self) -> bool:
        """True while a kernel is started, adopted or taken away."""
        return self._ready.locked()

    @property
    def directory(self) -> str:
        """Where kernels are started; Refused where that is another machine."""
        if self.kernel and not self.kernel.process.is_here:
            raise Refused(
                "This session's kernel runs on another machine than its server, which can not reach the "
                "files there. Let a cell fetch or store them.",
                "kernel",
                409,
            )
        return self._processes.directory

    async def ready(self) -> Kernel:
        """Return the kernel, started first if there is none."""
        async with self._ready:
            await self._go_on()
            if self.kernel is None:
                self._session.refuse_closed()
                try:
                    self.kernel = await self._start()
                except KernelStartFailed as error:
                    journal.note(
                        self._logger,
                        "kernel not started",
                        logging.WARNING,
                        session=self._session.id[:6],
                        kernel=self.kernelspec,
                        reason=error.reason,
                    )
                    raise
                finally:
                    self._session.idle.touch()
                self._session.execution_state = "idle"
            return self.kernel

    async def resume(self) -> None:
        """Go on with the kernel of an earlier proxy, if there is one."""
        async with self._ready:
            await self._go_on()

    async def _go_on(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            process = self._processes.find(left["process"], self._folder.output)
            await adopt(self._session, process, left, self._last_heard)

    async def _start(self) -> Kernel:
        process = await self._processes.start(self.kernelspec, self._folder.output)
        if self._session.closed:
            await process.end()
            self._session.refuse_closed()
        kernel = self.starting = self.talk_to(process)
        # Now, so that a proxy that is started after this one was killed finds the process.
        self.save(kernel)
        try:
            await kernel.start(self._gpu_memory_share)
        finally:
            self.starting = None
        self.generation += 1
        self._session.exchange.forget()
        self.save(kernel)
        return kernel

    def talk_to(self, process: KernelProcess, identity: str | None = None) -> Kernel:
        """Return the conversation with a process; `identity`: the one that it knows already."""
        return Kernel(process, self._session.received, self._died, self._logger, identity)

    def save(self, kernel: Kernel | None) -> None:
        """Note what the session is and how a later proxy finds its kernel; None for no kernel."""
        process = kernel.process.record() if kernel else None
        self._session.record.save(
            "session",
            {
                "created": self._session.created.isoformat(),
                "generation": self.generation,
                "kernelspec": self.kernelspec,
                "name": self._session.name,
                "kernel": process
                and {
                    "process": process,
                    "identity": kernel.identity,
                    # Empty until the agent is there.
                    "description": kernel.description,
                },
            },
        )

    async def save_session(self) -> None:
        """Note what has changed of the session beside its kernel."""
        async with self._ready:
            await self._go_on()
            self._session.refuse_closed()
            self.save(self.kernel)

    def _died(self, exitcode: int | None) -> None:
        kernel, self.kernel = self.kernel, None
        session = self._session
        if session.closed or kernel is None:
            return
        metrics.kernel_died()
        journal.note(
            self._logger, "kernel died", logging.WARNING, session=session.id[:6], exitcode=exitcode
        )
        session.fail_requests("KernelDied", death_sentence(exitcode))
        # What it has exported can still be fetched, and uploads are the page's.
        session.run(self._replace(kernel, exitcode))

    async def _replace(self, kernel: Kernel, exitcode: int | None) -> None:
        await kernel.shutdown()
        try:
            await self.ready()
        except ProxyError as error:
            journal.fault(self._logger, "session failed", error, session=self._session.id[:6])
        self._tell_of_death(exitcode)

    def _tell_of_death(self, exitcode: int | None) -> None:
        content = {"exitcode": exitcode, "generation": self.generation}
        self._session.emit("iopub", "kernel_died", content)

    async def give_up(self, why: str) -> None:
        """Replace a kernel that does not react, and tell every page."""
        await self.restart(why)
        self._tell_of_death(None)

    def expect(self, kernelspec: str | None) -> None:
        """See that a page that names a kernelspec gets that one; Refused otherwise."""
        if kernelspec is not None and self._processes.choose(kernelspec) != self.kernelspec:
            raise Refused(
                f"This notebook's session runs with the kernel {self.kernelspec!r}, not {kernelspec!r}. "
                f"Connect without `--kernel` to go on with it; then `%torch restart --kernel "
                f"{kernelspec}` changes it, which loses its variables.",
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
        self._session.fail_requests("KernelRestarted", why)
        self._session.tensors.close()
        if kernel:
            await kernel.shutdown()
        await self.ready()

    def part(self) -> Callable[[], Awaitable[None]] | None:
        """Have no kernel any more; return what ends it, or the process that an earlier proxy left."""
        left, self._left = self._left, None
        kernel, self.kernel = self.kernel or self.starting, None
        if kernel:
            return kernel.shutdown
        process = left and self._processes.find(left["process"], self._folder.output)
        return process.end if process else None

    def leave(self) -> None:
        """Let go of the kernel, which goes on, for a proxy that is started after this one."""
        if kernel := self.kernel or self.starting:
            kernel.leave()
