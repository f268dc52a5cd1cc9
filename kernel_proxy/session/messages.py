"""Messages that the proxy writes in the kernel's place."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from ..errors import ProxyError, Refused
from .cells import Cell

#: The content of the reply to a cell that was interrupted before it ran.
INTERRUPTED = {
    "status": "error",
    "ename": "KeyboardInterrupt",
    "evalue": "",
    "traceback": [],
    "execution_count": 0,
}
ENDED_UNHEARD = (
    "The server was restarted while this cell ran, and the cell ended before it was back. Its "
    "variables are there; what it printed meanwhile, and its error if it had one, are lost."
)
REPLY_LOST = (
    "This cell has ended, and the remote kernel could not say how: an error or a value of it holds text "
    "that is no Unicode. Its variables are there."
)
DIED_UNSEEN = (
    "The remote kernel died while the server was away, nobody knows how; its variables are gone. A "
    "fresh one is being started: run the cells that define what you need again."
)


def parts(
    session: str,
    kind: str,
    parent: dict[str, Any],
    metadata: dict[str, Any],
    content: dict[str, Any],
) -> dict[str, bytes]:
    """Return a message of the proxy as if the kernel had written it."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "session": session,
        "username": "kernel_proxy",
        "date": datetime.now(UTC).isoformat(),
        "version": "5.4",
    }
    message = {"header": header, "parent_header": parent, "metadata": metadata, "content": content}
    return {key: json.dumps(value).encode() for key, value in message.items()}


def too_many_cells(limit: int) -> Refused:
    """Say that a cell was not taken, since `limit` of its session wait already."""
    return Refused(
        f"The server did not take this cell: {limit} of this notebook wait there already, which is its "
        "limit (--max-queued). Run it again when some of them have ended.",
        "too-many",
        429,
    )


def replaced(generation: int) -> dict[str, Any]:
    """Return the content of the reply to a cell that counts on a kernel that is gone."""
    evalue = (
        "The remote kernel died or was restarted before this cell ran there; its variables are gone. A "
        "fresh one is there: run the cells that define what you need again."
    )
    return {**INTERRUPTED, "ename": "KernelDied", "evalue": evalue, "generation": generation}


def refusal(error: ProxyError) -> dict[str, Any]:
    """Return the content of a reply that says what the proxy itself could not do."""
    return {
        "status": "error",
        "ename": type(error).__name__,
        "evalue": str(error),
        "traceback": [],
        "execution_count": 0,
        "reason": error.reason,
    }


def error_reply(session: str, cell: Cell, ename: str, evalue: str) -> dict[str, bytes]:
    """Return a reply to a cell that the kernel has not answered."""
    content = {**INTERRUPTED, "ename": ename, "evalue": evalue}
    return parts(session, "execute_reply", cell.header, {}, content)


def join(message: dict[str, bytes]) -> bytes:
    """Return the JSON text of a message in parts."""
    return b"{" + b",".join(b'"%b":%b' % (key.encode(), message[key]) for key in message) + b"}"


def disk_full(why: str, memory: int) -> str:
    """Say that what a session says is not kept on the disk."""
    return (
        f"The server's disk takes no more ({why}). Until it does, of what this notebook's cells say only "
        f"the latest {memory / 2**20:.0f} MiB are kept for a page that is away. Make room there, or move "
        "its state folder (--state)."
    )


def death_sentence(exitcode: int | None) -> str:
    """Say that the kernel died, and of what."""
    why = {-9: "killed, often because the machine ran out of memory", -11: "a segmentation fault"}
    cause = why.get(exitcode or 0, "")
    how = "nobody knows how" if exitcode is None else f"exit code {exitcode}"
    return (
        f"The remote kernel died ({how}{': ' + cause if cause else ''}); its variables "
        "are gone. A fresh one is being started: run the cells that define what you need again."
    )
