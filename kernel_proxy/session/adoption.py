"""A session goes on with the kernel and the cells that an earlier proxy has left."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import KernelDied
from ..kernel.kernel import Kernel
from ..kernel.kernel_process import KernelProcess
from .cells import Cell
from .execution import finish
from .messages import DIED_UNSEEN, ENDED_UNHEARD
from .replay import has_reply

if TYPE_CHECKING:
    from .session import Session


async def adopt(
    session: "Session",
    process: KernelProcess | None,
    left: dict[str, Any],
    last_heard: datetime | None,
) -> None:
    """Go on with a `process`, None if it has ended, by what the record says of it.

    `last_heard`: when the earlier proxy noted its last event.
    """
    for cell in session.cells.open:
        # The proxy may have ended between the two that it notes of a reply.
        if status := await has_reply(session.log, cell):
            session.cells.end(cell.id, status)
    for cell in session.cells.open:
        session.expect(cell)
    # Without a description the agent is not there: the proxy ended while the kernel was started.
    if process is not None and not left["description"]:
        await process.end()
        process = None
    if process is not None:
        for cell in session.cells.open:
            if cell.extras is not None:
                # It may have begun unheard.
                cell.begin()
                # It has the whole time again: how long it has run is known by the wall clock only.
                session.cell_time.begun(cell)
                session.waiting[cell.id] = asyncio.get_running_loop().create_future()
                session.under_way[cell.id].task = session.run(_resume_cell(session, cell))
            session.emit("iopub", "gap", _gap(last_heard), cell.header)
        kernel = session.life.starting = session.life.talk_to(process, left["identity"])
        try:
            await kernel.adopt(left["description"], session.cells.last_header)
        except KernelDied:
            await kernel.shutdown()
        else:
            session.life.kernel = kernel
            session.execution_state = "busy" if session.cells.open else "idle"
            session.run(_settle_left(session, kernel))
            return
        finally:
            session.life.starting = None
    session.fail_requests("KernelDied", DIED_UNSEEN)
    session.life.save(None)


def _gap(since: datetime | None) -> dict[str, Any]:
    return {"since": since and since.isoformat(), "until": datetime.now(UTC).isoformat()}


async def _resume_cell(session: "Session", cell: Cell) -> None:
    async with session.one_cell:
        kernel = await session.life.ready()
        await finish(session, kernel, cell)


async def _settle_left(session: "Session", kernel: Kernel) -> None:
    """Answer for the cells that have ended while no proxy was there to hear it."""
    cells = session.cells.open
    await kernel.flush()
    session.settle(cells, "ProxyRestarted", ENDED_UNHEARD)
    for cell in cells:
        # The kernel's own word that a cell is done may have been lost as well.
        session.emit("iopub", "status", {"execution_state": "idle"}, cell.header)
    if not session.cells.open:
        session.execution_state = "idle"
    async with session.one_cell:
        await kernel.forget_exports()
