"""The tensors of a session while they are between kernel and page: exports, and uploads."""

import contextlib
import logging
import secrets
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from weakref import WeakSet

from jupyterlite_torch import _safetensors

from ..errors import Refused
from ..operations import journal
from .ahead import Ahead
from .filling import Filling
from .segment import Segment

#: How often a part of an upload may arrive changed before the upload is refused.
CHANGED_PARTS = 3
#: Seconds without a new part after which an upload's page is taken for gone.
ABANDONED_AFTER_S = 60


#: Pieces of shared memory of all sessions together; each takes an open file of this process.
MAX_PIECES = 1000


class Budget:
    """Shared memory that all sessions of a proxy may hold together: `total` bytes."""

    def __init__(self, total: int, log: logging.Logger):
        self.total, self.used, self._log = total, 0, log
        self.pieces = 0

    def take(self, size: int) -> None:
        """Count `size` bytes more; Refused when there is no room for them."""
        if self.used + size > self.total:
            journal.limit(self._log, "--shared-memory", wanted=size, used=self.used)
            raise Refused(
                f"the server has room for {_size(self.total)} of arrays on their way, of which "
                f"{_size(self.total - self.used)} are free. Send or bring back less at once, or "
                "start it with a larger --shared-memory.",
                "too-large",
                413,
            )
        if self.pieces == MAX_PIECES:
            journal.limit(self._log, "pieces of shared memory", used=self.pieces)
            raise Refused(
                f"{MAX_PIECES} arrays are on their way already, of all the pages of this server. Wait "
                "until some of them have arrived, and run the cell again.",
                "too-many",
                429,
            )
        self.used += size
        self.pieces += 1

    def give_back(self, size: int) -> None:
        """Count `size` bytes less."""
        self.used -= size
        self.pieces -= 1


def _size(nbytes: int) -> str:
    return f"{nbytes / 2**20:,.0f} MiB"


class Upload:
    """A safetensors file that the page sends in parts, in any order."""

    def __init__(self, size: int):
        self.segment = Segment.create(size)
        self.last_part = time.monotonic()
        self.changed = 0
        self._parts: dict[int, int] = {}

    def add(self, start: int, length: int) -> None:
        """Note that the bytes from `start` are there; the same part may come again."""
        self._parts[start] = max(length, self._parts.get(start, 0))
        self.last_part = time.monotonic()

    @property
    def complete(self) -> bool:
        """True when no byte is missing."""
        position = 0
        for start, length in sorted(self._parts.items()):
            if start > position:
                return False
            position = max(position, start + length)
        return position == self.segment.size


class Export(NamedTuple):
    """A segment that a kernel has written, or is going to: then `part` is which of what Filling."""

    segment: Segment
    part: tuple[Filling, int] | None = None

    def check(self, count: int) -> None:
        """Refused when the first `count` bytes are not going to be there."""
        if self.part:
            filling, number = self.part
            filling.check(number, count)

    async def reach(self, count: int) -> None:
        """Return when the first `count` bytes are there; Refused when they are not going to be."""
        if self.part:
            filling, number = self.part
            await filling.reach(number, count)


class Tensors:
    """Handles and uploads of one session, within the `budget` that it shares with the others."""

    def __init__(self, budget: Budget):
        self._budget = budget
        self.ahead = Ahead()
        self._handles: dict[str, Export] = {}
        self._peeked: set[str] = set()
        self._fillings: WeakSet[Filling] = WeakSet()
        self._uploads: dict[str, Upload] = {}
        #: What is being sent, and what ends that; and what of it was released meanwhile.
        self._lent: list[tuple[Segment, Callable[[], None]]] = []
        self._leaving: set[Segment] = set()

    def hold(
        self,
        path: str,
        size: int,
        peeked: bool = False,
        part: tuple[Filling, int] | None = None,
    ) -> tuple[str, Segment]:
        """Take over `size` bytes of a segment of the agent's; return its handle's ID and the segment.
        Refused when they are too many.

        One that was `peeked` is not a cell's: the next cell leaves it alone. `part`: see Export.
        """
        self._budget.take(size)
        try:
            segment = Segment.open(path, size)
        except BaseException:
            self._budget.give_back(size)
            raise
        identifier = secrets.token_urlsafe(18)
        self._handles[identifier] = Export(segment, part)
        if part:
            self._fillings.add(part[0])
        if peeked:
            self._peeked.add(identifier)
        return identifier, segment

    def get(self, identifier: str) -> Export:
        """Return what a handle stands for; Refused when there is none."""
        try:
            return self._handles[identifier]
        except KeyError:
            raise Refused(
                "the server does not hold it for this page any more, as after a restart. Read it again, "
                "or run the cell that made it again.",
                "not-found",
                404,
            ) from None

    def release_cell(self) -> None:
        """Give back the memory of what the last cell has left."""
        for identifier in self._handles.keys() - self._peeked:
            self.release(identifier)

    def release(self, identifier: str) -> None:
        """Give a handle's memory back."""
        self._peeked.discard(identifier)
        if export := self._handles.pop(identifier, None):
            self._close(export.segment)

    @contextlib.contextmanager
    def lend(self, identifier: str, end: Callable[[], None]) -> Iterator[Export]:
        """Give what a handle stands for to somebody who sends it. Its memory is there, and counted, until
        that is done, also if it is released meanwhile. `end` is called when it has to end."""
        export = self.get(identifier)
        segment = export.segment
        self._lent.append((segment, end))
        try:
            yield export
        finally:
            self._lent.remove((segment, end))
            if segment in self._leaving and not self._is_lent(segment):
                self._leaving.discard(segment)
                self._close(segment)

    def _is_lent(self, segment: Segment) -> bool:
        return any(lent is segment for lent, _ in self._lent)

    def _close(self, segment: Segment) -> None:
        if self._is_lent(segment):
            self._leaving.add(segment)
            return
        self._budget.give_back(segment.size)
        segment.close()

    def add_part(self, frame: dict[str, Any], buffers: tuple[bytes, ...]) -> dict[str, Any]:
        """Put a part of an upload into its place; return the frame that answers it."""
        identifier, start, total = frame.get("id"), frame.get("start"), frame.get("total")
        answer = {"type": "uploaded", "id": identifier, "start": start}
        try:
            if not (
                isinstance(identifier, str)
                and 8 <= len(identifier) <= 64
                and type(start) is int
                and type(total) is int
                and len(buffers) == 1
                and 0 <= start < start + len(buffers[0]) <= total >= 8
            ):
                raise Refused(
                    "A part of an upload needs an ID, its place, the total and its bytes."
                )
            upload = self._upload(identifier, total)
            if zlib.crc32(buffers[0]) != frame.get("crc32"):
                upload.changed += 1
                if upload.changed > CHANGED_PARTS:
                    raise Refused(
                        f"{upload.changed} parts arrived changed: their bytes do not have the "
                        "checksums that the page computed. Something between alters what is sent."
                    )
                return answer | {"changed": True}
            # Where the pages are fresh, cheaper than through a mapping.
            upload.segment.write(start, buffers[0])
            upload.add(start, len(buffers[0]))
        except (Refused, OSError) as error:
            answer["message"] = str(error)
        return answer

    def drop(self, identifier: str) -> None:
        """Give up an upload, whole or not."""
        if upload := self._uploads.pop(identifier, None):
            self._close(upload.segment)

    def take_back(self, push: dict[str, Any] | None) -> None:
        """Give up what was uploaded for a cell that is not run."""
        tensors = (push or {}).get("tensors")
        if isinstance(tensors, dict):
            self.drop(str(tensors.get("upload")))

    def _upload(self, identifier: str, size: int) -> Upload:
        upload = self._uploads.get(identifier)
        if upload is None:
            self._drop_abandoned()
            self._budget.take(size)
            try:
                upload = self._uploads[identifier] = Upload(size)
            except OSError as error:
                self._budget.give_back(size)
                raise Refused(
                    f"the server has no shared memory for {_size(size)}: {error.strerror}."
                ) from None
        elif upload.segment.size != size:
            raise Refused("The parts of this upload disagree on its size.")
        return upload

    def _drop_abandoned(self) -> None:
        limit = time.monotonic() - ABANDONED_AFTER_S
        for identifier, upload in list(self._uploads.items()):
            if upload.last_part < limit:
                self.drop(identifier)

    def incoming_bytes(self, push: dict[str, Any] | None, buffers: tuple[bytes, ...]) -> int:
        """Return the size of the arrays that the page sends with a cell."""
        tensors = (push or {}).get("tensors")
        if isinstance(tensors, dict) and (upload := self._uploads.get(str(tensors.get("upload")))):
            return upload.segment.size
        return len(buffers[0]) if tensors == "buffer" and buffers else 0

    @contextlib.contextmanager
    def incoming(self, tensors: object, buffers: tuple[bytes, ...]):
        """Yield the path under which the agent finds what the page sends with a cell, or None."""
        if tensors is None:
            yield None
            return
        if tensors == "buffer" and buffers and len(buffers[0]) >= 8:
            # At most one frame: not counted.
            segment, close = Segment.create(len(buffers[0])), Segment.close
            segment.view[:] = buffers[0]
        elif isinstance(tensors, dict) and (
            upload := self._uploads.get(str(tensors.get("upload")))
        ):
            if not upload.complete:
                raise Refused("A part of the arrays for this cell is missing; run the cell again.")
            segment, close = upload.segment, self._close
            del self._uploads[str(tensors["upload"])]
        else:
            raise Refused("The arrays for this cell are not here; run the cell again.", "not-found")
        try:
            view = segment.view
            start = _safetensors.header_size(view[:8])
            _safetensors.parse(view[:start], segment.size)
            yield segment.path
        except ValueError as error:
            raise Refused(str(error)) from None
        finally:
            close(segment)

    def forget_page(self) -> None:
        """Give back what only the page that is gone could ask for; a cell that is queued has its
        uploads still."""
        self.release_cell()
        for identifier, upload in list(self._uploads.items()):
            if not upload.complete:
                self.drop(identifier)

    def stop_filling(self) -> None:
        """Expect no more of what the kernel was filling: it is gone."""
        for filling in self._fillings:
            filling.close()

    def close(self) -> None:
        """Give everything back, and end what is being sent."""
        self.stop_filling()
        for _, end in list(self._lent):
            end()
        for identifier in list(self._handles):
            self.release(identifier)
        for identifier in list(self._uploads):
            self.drop(identifier)
