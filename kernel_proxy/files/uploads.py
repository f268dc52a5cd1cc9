"""Files that come part by part, each into a file beside the one that it is going to be."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import time
import weakref
from pathlib import Path

from ..errors import Refused
from .folder import PART

#: A file of which nothing more has come for so long is given up, in seconds.
LIFETIME_S = 3600
#: So many are under way at a time, and so many that are complete are remembered.
MAX_UNDER_WAY = 100
_REMEMBERED = 200


class Uploads:
    """Those of all sessions. An upload is known by its key and its target.

    A part has its place right behind what is there, so that one that comes again does no harm, and
    the size of what is there says where to go on.
    """

    def __init__(self):
        self._locks: weakref.WeakValueDictionary[Path, asyncio.Lock] = weakref.WeakValueDictionary()
        self._timers: dict[Path, asyncio.TimerHandle] = {}
        self._complete: dict[Path, int] = {}

    async def take(self, key: str, target: Path, start: int, total: int, body: bytes) -> int:
        """Put a part into its place, the last one making the target; return how many bytes are there
        then, `total` when it is complete. Refused when the disk takes no more, with nothing left."""
        part = _part(key, target)
        async with self._locks.setdefault(part, asyncio.Lock()):
            if part in self._complete:
                return self._complete[part]
            if part not in self._timers and len(self._timers) >= MAX_UNDER_WAY:
                raise Refused(
                    f"{MAX_UNDER_WAY} files are on their way to this server already. Wait for one of "
                    "them.",
                    "too-many",
                    429,
                )
            self._end_timer(part)
            size = await asyncio.to_thread(_append, part, target, start, total, body)
            if size == total:
                self._complete[part] = total
                while len(self._complete) > _REMEMBERED:
                    del self._complete[next(iter(self._complete))]
            else:
                loop = asyncio.get_running_loop()
                self._timers[part] = loop.call_later(LIFETIME_S, self._give_up, part)
            return size

    async def drop(self, key: str, target: Path) -> None:
        """Give an upload up: nothing of it is left."""
        part = _part(key, target)
        async with self._locks.setdefault(part, asyncio.Lock()):
            self._end_timer(part)
            await asyncio.to_thread(_remove, part)

    def _give_up(self, part: Path) -> None:
        self._timers.pop(part, None)
        _remove(part)

    def _end_timer(self, part: Path) -> None:
        if timer := self._timers.pop(part, None):
            timer.cancel()


def _part(key: str, target: Path) -> Path:
    digest = hashlib.sha256(f"{key}\0{target}".encode(errors="surrogateescape")).hexdigest()
    return target.parent / f".torch-{digest[:32]}.part"


def _append(part: Path, target: Path, start: int, total: int, body: bytes) -> int:
    try:
        size = part.lstat().st_size
    except FileNotFoundError:
        size = 0
        _remove_old(part.parent)
        _expect_room(part.parent, target.name, total)
    if start != size:
        return size
    try:
        if start + len(body) > total:
            raise Refused("This part goes beyond the end of its file.")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(part, flags, 0o666), "wb", buffering=0) as file:
            left = memoryview(body)
            while left:
                left = left[file.write(left) :]
        if start + len(body) == total:
            os.replace(part, target)
    except OSError as error:
        _remove(part)
        raise Refused(
            f"The server can not keep `{target.name}` ({error.strerror}); nothing of it is left there. "
            "Make room there, or choose another name, then put it again.",
            "full",
            507,
        ) from None
    except Refused:
        _remove(part)
        raise
    return start + len(body)


def _expect_room(folder: Path, name: str, total: int) -> None:
    with contextlib.suppress(OSError):
        disk = shutil.disk_usage(folder)
        # Some file systems say nothing of their size.
        if disk.total and disk.free < total:
            raise Refused(
                f"The server's disk has room for {disk.free} more bytes, and `{name}` has {total}. Make "
                "room there, then put it again.",
                "full",
                507,
            )


def _remove_old(folder: Path) -> None:
    """Remove what an earlier proxy has left in a folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if PART.fullmatch(entry.name) and time.time() - entry.stat().st_mtime > LIFETIME_S:
                _remove(Path(entry.path))


def _remove(part: Path) -> None:
    with contextlib.suppress(OSError):
        part.unlink()
