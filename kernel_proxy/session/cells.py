"""The cells of a session: which wait, which run, and which have ended before anybody saw that."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import Refused

#: How much of a cell's code is kept, in characters.
CODE_CHARACTERS = 200
#: Ended cells that are kept for a replay, at most.
MAX_UNSEEN = 8
#: A cell that ended unseen is given up when so many later ones were seen.
GIVEN_UP_AFTER = 20
#: Cells of which a page that shows them all the time is told, the latest.
RECENT = 20
#: Ended cells whose ID is remembered, so that none is run a second time.
REMEMBERED = 200


@dataclass
class Cell:
    """One execute_request. What of it came before the event `first` of the log is nothing."""

    id: str
    code: str
    first: int
    header: dict[str, Any]
    #: The request says that nothing is to be shown; the kernel then says nothing when it begins.
    silent: bool = False
    state: str = "queued"
    status: str | None = None
    started: str | None = None
    ended: str | None = None
    #: Its code is on its way to the kernel or there.
    sent: bool = False
    #: Of a `%%torch` cell whose code was sent: what its values come back by.
    extras: dict[str, Any] | None = None
    conflict: list[str] = field(default_factory=list)
    #: Its reply, while its values come back.
    reply: dict[str, str] | None = None
    #: Bytes of the arrays that came with it, and of those that it brings back.
    bytes_up: int = 0
    bytes_down: int = 0
    #: What its code took: seconds, and the most bytes on a GPU at once; None while nobody has said.
    code_s: float | None = None
    peak: int | None = None
    #: The page has asked for its end before its code began.
    interrupted: bool = False
    #: Why it was interrupted, if it was for one of the limits of a cell.
    over_limit: str | None = None
    #: The input_request that waits for an answer.
    question: str | None = None
    seen: bool = False
    seen_later: int = 0

    def begin(self) -> None:
        """Its code begins."""
        self.state = "running"
        self.started = self.started or _now()

    @property
    def seconds(self) -> float:
        """How long it ran, by the wall clock, which a later proxy knows too; 0 if it never began."""
        if not self.started or not self.ended:
            return 0.0
        ran = datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)
        return max(0.0, ran.total_seconds())

    @property
    def age_s(self) -> float:
        """Seconds since its code began, by the wall clock; 0 if it has not."""
        if not self.started:
            return 0.0
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.started)).total_seconds())

    def summary(self) -> dict[str, Any]:
        """Say what it took, and nothing of its code."""
        seconds = self.code_s
        if seconds is None and self.started:
            ended = datetime.fromisoformat(self.ended) if self.ended else datetime.now(UTC)
            began = datetime.fromisoformat(self.started)
            seconds = max(0.0, (ended - began).total_seconds())
        keys = ("id", "state", "status", "started", "peak", "bytes_up", "bytes_down")
        return {**{key: getattr(self, key) for key in keys}, "seconds": seconds}

    def describe(self) -> dict[str, Any]:
        """Say what a page is told about it."""
        keys = ("id", "code", "state", "status", "started", "ended", "seen")
        return {key: getattr(self, key) for key in keys}


class Cells:
    """Cells by their ID, oldest first: all that have not ended, and those that ended unseen."""

    def __init__(self, record: dict[str, Any] | None = None, sent: Sequence[dict[str, Any]] = ()):
        """`record` of an earlier proxy, and the cells that it has noted as `sent` since."""
        record = record or {"cells": [], "done": []}
        known = {cell["id"] for cell in record["cells"]}.union(record["done"])
        later = [cell for cell in sent if cell["id"] not in known]
        self._cells = {cell["id"]: Cell(**cell) for cell in [*record["cells"], *later]}
        self._done: deque[str] = deque(record["done"], maxlen=REMEMBERED)
        self._recent: deque[dict[str, Any]] = deque(record.get("recent", ()), maxlen=RECENT)

    def record(self) -> dict[str, Any]:
        """Say what a later proxy has to know. A cell that was not sent is sent again by its page."""
        cells = [dict(vars(cell)) for cell in self if cell.sent or cell.state == "ended"]
        return {"cells": cells, "done": list(self._done), "recent": list(self._recent)}

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells.values())

    def add(self, message: dict[str, Any], first: int) -> Cell:
        """Take a new cell."""
        header, content = message["header"], message.get("content") or {}
        cell = Cell(
            header["msg_id"],
            str(content.get("code", ""))[:CODE_CHARACTERS],
            first,
            header,
            silent=bool(content.get("silent")),
        )
        self._cells[cell.id] = cell
        return cell

    def find(self, identifier: str | None) -> Cell | None:
        """Return the cell, or None when it is not known any more."""
        return self._cells.get(identifier or "")

    def get(self, identifier: object) -> Cell:
        """Return the cell; Refused when it is not known any more."""
        cell = self.find(identifier) if isinstance(identifier, str) else None
        if cell is None:
            raise Refused("This session knows no such cell any more.", "not-found", 404)
        return cell

    @property
    def open(self) -> list[Cell]:
        """Those that have not ended."""
        return [cell for cell in self if cell.state != "ended"]

    @property
    def taken(self) -> list[str]:
        """The IDs that are not taken again, oldest first."""
        return [*self._done, *self._cells]

    @property
    def last_header(self) -> dict[str, Any]:
        """The header of the last one."""
        return next(reversed(self._cells.values())).header if self._cells else {}

    @property
    def running(self) -> list[Cell]:
        """Those that run: one, and more only if the kernel itself says so."""
        return [cell for cell in self if cell.state == "running"]

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return sum(cell.state == "queued" for cell in self)

    @property
    def first(self) -> int | None:
        """The number of the oldest event that a replay may need."""
        return min((cell.first for cell in self), default=None)

    def end(self, identifier: str, status: str) -> Cell | None:
        """The cell's reply is there; return the cell unless it has ended already."""
        cell = self.find(identifier)
        if cell is None or cell.state == "ended":
            return None
        cell.state, cell.status, cell.ended = "ended", status, _now()
        cell.question = cell.extras = cell.reply = None
        self._done.append(identifier)
        self._recent.append(cell.summary())
        unseen = [cell for cell in self if cell.state == "ended"]
        for old in unseen[:-MAX_UNSEEN]:
            del self._cells[old.id]
        return cell

    def see(self, identifier: str) -> None:
        """A page has shown all of the cell."""
        cell = self.find(identifier)
        if cell is None or cell.state != "ended":
            return
        for earlier in list(self):
            if earlier is cell:
                break
            earlier.seen_later += 1
            if earlier.state == "ended" and earlier.seen_later >= GIVEN_UP_AFTER:
                del self._cells[earlier.id]
        del self._cells[identifier]

    def describe(self) -> list[dict[str, Any]]:
        """Say what a page is told about them."""
        return [cell.describe() for cell in self]

    def summaries(self) -> list[dict[str, Any]]:
        """Say what the latest cells took, the newest last."""
        open_ = [cell.summary() for cell in self.open]
        return [*self._recent, *open_][-RECENT:]


def _now() -> str:
    return datetime.now(UTC).isoformat()
