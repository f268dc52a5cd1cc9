"""Stop: ends what a session runs, or one of its cells in whichever state that is."""

import asyncio
from typing import TYPE_CHECKING

from .cells import Cell
from .kernel import Kernel
from .messages import INTERRUPTED

if TYPE_CHECKING:
    from .session import Session

#: After which a cell that was interrupted at its very beginning, and goes on, is so once more.
INTERRUPT_AGAIN_S = 0.3


async def interrupt(session: "Session", identifier: object) -> str:
    """Interrupt what runs, or one cell alone; return in which state it was found."""
    if identifier is None:
        running = session.cells.running
        for cell in running:
            cell.interrupted = True
        begun = not running or any(cell.started or not cell.sent for cell in running)
        if session.kernel and begun:
            await session.kernel.interrupt()
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
    if session.kernel and (cell.started or pushing):
        await session.kernel.interrupt()
    return found


async def interrupt_begun(kernel: Kernel, cell: Cell) -> None:
    """Interrupt a cell whose code has just begun."""
    await kernel.interrupt()
    # A signal that comes right before a system call, as of `time.sleep`, does not end that.
    await asyncio.sleep(INTERRUPT_AGAIN_S)
    if cell.state != "ended" and cell.reply is None:
        await kernel.interrupt()


async def settle_interrupted(session: "Session", kernel: Kernel, cell: Cell) -> None:
    """See that an interrupted cell gets a reply: a signal that comes between the kernel's own
    lines takes it along (ipykernel 7.4)."""
    await kernel.flush()
    session.settle([cell], "KeyboardInterrupt", "")
