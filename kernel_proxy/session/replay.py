"""The output of a cell out of the event log, for a page that has not seen it."""

import asyncio
import json
from typing import Any

from .cells import Cell
from .event_log import EventLog

#: What a person can see of a cell on iopub.
VISIBLE = {
    "stream",
    "display_data",
    "update_display_data",
    "clear_output",
    "execute_result",
    "error",
    "gap",
    "notice",
    "comm_open",
    "comm_msg",
    "comm_close",
}


async def replay(
    log: EventLog, cell: Cell, after: int, nbytes: int
) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return the reply to a replay_request: about `nbytes` of the cell's events after `after`."""
    seq, end, lost = max(after, cell.first - 1), log.last, 0
    name = cell.id.encode()
    found, buffers, size = [], [], 0
    while seq < end and size < nbytes:
        for event in log.after(seq):
            lost += event.seq - seq - 1
            seq = event.seq
            # The ID may have been written with escapes; none that is in use has any.
            if event.channel in ("iopub", "stdin") and name in event.text:
                message = json.loads(event.text)["msg"]
                if message["parent_header"].get("msg_id") == cell.id and _is_visible(cell, message):
                    found.append(
                        {
                            "seq": seq,
                            "channel": event.channel,
                            "msg": message,
                            "buffers": len(event.buffers),
                        }
                    )
                    buffers.extend(event.buffers)
                    size += event.nbytes
            if seq >= end or size >= nbytes:
                break
        # A long log is read in pieces, between which others have their turn.
        await asyncio.sleep(0)
    content = {"status": "ok", "events": found, "seq": seq, "more": seq < end, "lost": lost}
    return content, tuple(buffers)


def _is_visible(cell: Cell, message: dict[str, Any]) -> bool:
    kind = message["header"]["msg_type"]
    if kind == "input_request":
        return message["header"]["msg_id"] == cell.question
    return kind in VISIBLE


async def has_reply(log: EventLog, cell: Cell) -> str | None:
    """Return the status of the cell's reply in the log, or None if there is none."""
    seq, name = cell.first - 1, cell.id.encode()
    while events := log.after(seq):
        for event in events:
            if event.channel == "shell" and name in event.text:
                message = json.loads(event.text)["msg"]
                if message["parent_header"].get("msg_id") == cell.id:
                    return message["content"]["status"]
        seq = events[-1].seq
        await asyncio.sleep(0)
    return None
