"""Stop: ends what a session runs, or one of its cells in whichever state that is."""

import asyncio
from typing import TYPE_CHECKING

from ..kernel.kernel import Kernel
from .cells import Cell
from .messages import INTERRUPTED, REPLY_LOST

if TYPE_CHECKING:
    from .session import Session

#: A cell that was interrupted before this, in seconds from its beginning, and goes on, is so once more
#: after INTERRUPT_AGAIN_S: a signal that comes right before a system call, as of `time.sleep`, does not
#: end that. Not later, when the first one may have begun something that takes its time.
JUST_BEGUN_S = 1
INTERRUPT_AGAIN_S = 0.3
#: By then the reply to a cell has come that the kernel has called done on another socket before.
REPLY_LATE_S = 1


async def interrupt(session: "Session", identifier: object) -> str:
    """Interrupt what runs, or one cell alone; return in which state it was found."""
    if identifier is None:
        running = session.cells.running
        for cell in running:
            cell.interrupted = True
        begun = not running or any(cell.started or not cell.sent for cell in running)
        if session.life.kernel and begun:
            await session.life.kernel.interrupt()
        return "running"
    cell = session.cells.find(identifier) if isinstance(identifier, str) else None
    if cell is None or cell.state == "ended":
        return "ended"
    found = cell.state
    if found == "queued" and not cell.sent:
        request = session.under_way[cell.id]
        if request.task:
            request.task.cancel()
        session.answer("shell", cell.header, INTERRUPTED)
        return found
    # A kernel that runs nothing ignores the signal; it is sent when the code begins.
    cell.interrupted = True
    pushing = not cell.sent and session.cells.running == [cell]
    if session.life.kernel and (cell.started or pushing):
        kernel = session.life.kernel
        await kernel.interrupt()
        if cell.started and cell.age_s < JUST_BEGUN_S:
            session.run(_interrupt_again(kernel, cell))
    return found


async def interrupt_begun(kernel: Kernel, cell: Cell) -> None:
    """Interrupt a cell whose code has just begun."""
    await kernel.interrupt()
    await _interrupt_again(kernel, cell)


async def _interrupt_again(kernel: Kernel, cell: Cell) -> None:
    await asyncio.sleep(INTERRUPT_AGAIN_S)
    if cell.state != "ended" and cell.reply is None:
        await kernel.interrupt()


async def settle_unanswered(session: "Session", kernel: Kernel, cell: Cell) -> None:
    """See that a cell gets a reply of which the kernel says that it is done. A signal that comes
    between the kernel's own lines takes it along, and so does an error whose text holds half a
    character (ipykernel 7.4)."""
    if not cell.interrupted:
        await asyncio.sleep(REPLY_LATE_S)
        if cell.state == "ended" or cell.reply is not None:
            return
    await kernel.flush()
    if cell.interrupted:
        session.settle([cell], "KeyboardInterrupt", "")
    else:
        session.settle([cell], "ReplyLost", REPLY_LOST)
