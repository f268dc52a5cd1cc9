"""Runs a cell: values in, its code, values out."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ..errors import AgentFailure
from ..kernel.kernel import Kernel
from ..operations import metrics
from .cells import Cell
from .messages import INTERRUPTED, replaced

if TYPE_CHECKING:
    from .session import Session

#: The user expression of a `%%torch` cell that brings its values out.
_EXPORT = "jupyterlite-torch"


async def execute(
    session: "Session",
    message: dict[str, Any],
    extras: dict[str, Any] | None,
    buffers: tuple[bytes, ...],
) -> None:
    """Run the cell of an execute_request; `extras` is its `metadata.torch`."""
    cell = session.cells.get(message["header"]["msg_id"])
    if not extras:
        kernel = await session.life.ready()
        _send(session, kernel, cell, message)
        return
    # One cell after the other: what a cell pushed is there when its own code runs.
    async with session.one_cell:
        cell.state = "running"
        kernel = await session.life.ready()
        if extras.get("generation") not in (None, session.life.generation):
            session.tensors.take_back(extras.get("push"))
            session.answer("shell", cell.header, replaced(session.life.generation))
            return
        try:
            cell.bytes_up = session.tensors.incoming_bytes(extras.get("push"), buffers)
            cell.conflict = await session.exchange.push(kernel, extras.get("push"), buffers)
        except AgentFailure:
            if not cell.interrupted:
                raise
        if cell.interrupted:
            session.answer("shell", cell.header, INTERRUPTED)
            return
        message["content"]["stop_on_error"] = False
        if pull := extras.get("pull"):
            # With the cell itself, since asking the kernel once more takes half as long again as
            # a short cell.
            asked = message["content"].get("user_expressions") or {}
            expressions = {**asked, _EXPORT: session.exchange.export(cell.id, pull)}
            message["content"]["user_expressions"] = expressions
        cell.extras = {"pull": pull}
        session.waiting[cell.id] = asyncio.get_running_loop().create_future()
        _send(session, kernel, cell, message)
        await finish(session, kernel, cell)


def _send(session: "Session", kernel: Kernel, cell: Cell, message: dict[str, Any]) -> None:
    cell.sent = True
    session.record.note_sent(cell)
    kernel.process.trim_output()
    kernel.send("shell", message)
    request = session.under_way.get(cell.id)
    if request and request.arrived is not None:
        metrics.cell_sent(request.arrived)


async def finish(session: "Session", kernel: Kernel, cell: Cell) -> None:
    """Wait for the reply of a `%%torch` cell that was sent, and bring its values out."""
    try:
        if cell.reply is None:
            reply = await session.waiting[cell.id]
            if cell.started:
                cell.code_s = cell.age_s
            cell.reply = {key: value.decode() for key, value in reply.items()}
            session.record.save_cells_soon()
        reply = {key: value.encode() for key, value in cell.reply.items()}
        content = json.loads(reply["content"])
        exported = (content.get("user_expressions") or {}).pop(_EXPORT, None)
        pulled, small = await session.exchange.pull(kernel, cell.id, cell.extras["pull"], exported)
        if measured := pulled.pop("receipt", None):
            cell.code_s, cell.peak = measured["seconds"], measured["peak"]
        tensors = pulled.get("tensors", ())
        cell.bytes_down = sum(tensor["nbytes"] for tensor in tensors if not tensor.get("held"))
    finally:
        session.waiting.pop(cell.id, None)
    if exported:
        reply["content"] = json.dumps(content).encode()
    metadata = json.loads(reply["metadata"])
    receipt = _receipt(kernel, cell)
    metadata["torch"] = {**pulled, "conflict": cell.conflict, "receipt": receipt}
    reply["metadata"] = json.dumps(metadata).encode()
    session.reply("shell", cell.id, reply, small)


def _receipt(kernel: Kernel, cell: Cell) -> dict[str, Any]:
    """Say what a cell took, for the page that shows it beside the cell."""
    described = kernel.description
    return {
        "device": described.get("device_name") or described.get("device"),
        "seconds": cell.code_s,
        "peak": cell.peak,
        "bytes_up": cell.bytes_up,
        "bytes_down": cell.bytes_down,
    }
