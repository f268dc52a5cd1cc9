"""The events of a session on disk: files of consecutive events, each named by its first."""

import contextlib
import itertools
import os
import re
import secrets
import struct
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: The largest file, unless one event alone is larger.
FILE_BYTES = 4 * 2**20
#: How many files a quota is shared by at least: the oldest goes as a whole.
FILES = 8
#: Before each event: the length of its text, and the number of its binary parts, whose lengths
#: follow. Then the text and the parts.
_HEAD = struct.Struct("<II")
_TEXT = re.compile(rb'\{"type":"event","seq":(\d+),"channel":"(\w+)"')


@dataclass(frozen=True, slots=True)
class Event:
    """One Jupyter message. `text` is the JSON of its frame, `buffers` its binary parts."""

    seq: int
    channel: str
    text: bytes
    buffers: tuple[bytes, ...]
    #: When it came from the kernel, by this process' monotonic clock; 0 for one out of a file.
    arrived: float = 0.0

    @classmethod
    def make(cls, seq: int, channel: str, message: bytes, buffers: tuple[bytes, ...]) -> "Event":
        """Return the event of a message."""
        lengths = b",".join(b"%d" % len(part) for part in buffers)
        text = b'{"type":"event","seq":%d,"channel":"%b","buffers":[%b],"msg":%b}' % (
            seq,
            channel.encode(),
            lengths,
            message,
        )
        return cls(seq, channel, text, buffers, time.monotonic())

    @property
    def size(self) -> int:
        """How many bytes go to a page."""
        return len(self.text) + sum(map(len, self.buffers))

    @property
    def nbytes(self) -> int:
        """The memory that it takes in the log, in bytes."""
        return self.size + 64


class EventFiles:
    """The files in a folder, `quota` bytes of them; beyond that the oldest are given up.

    What is appended is with the system at once, and outlives this process however it ends.
    """

    def __init__(self, folder: Path, quota: int):
        self._folder = folder
        self._quota = quota
        self._file_bytes = min(FILE_BYTES, quota // FILES)
        self._fd = -1
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.id = self._read_id()
        firsts = sorted(int(file.stem) for file in folder.glob("*.events"))
        #: First event and size of each file.
        self._files = deque([first, self._path(first).stat().st_size] for first in firsts)
        self.last = self._cut_torn() if self._files else 0
        self._nbytes = sum(size for _, size in self._files)

    @property
    def written(self) -> datetime | None:
        """When the last event was written; None when there is none."""
        if not self._files:
            return None
        return datetime.fromtimestamp(self._path(self._files[-1][0]).stat().st_mtime, UTC)

    @property
    def first(self) -> int:
        """The number of the oldest event here, or of the next one."""
        return self._files[0][0] if self._files else self.last + 1

    def append(self, event: Event) -> None:
        """Add an event, in a file of its own where it does not follow the last one. OSError, and nothing
        added, where the disk takes no more."""
        follows = self._files and event.seq == self.last + 1
        if not follows or self._files[-1][1] >= self._file_bytes:
            self._begin(event.seq)
        elif self._fd < 0:
            self._fd = os.open(self._path(self._files[-1][0]), os.O_WRONLY | os.O_APPEND)
        lengths = struct.pack(f"<{len(event.buffers)}Q", *map(len, event.buffers))
        head = _HEAD.pack(len(event.text), len(event.buffers))
        data = b"".join((head, lengths, event.text, *event.buffers))
        try:
            written = os.write(self._fd, data)
            while written < len(data):
                written += os.write(self._fd, memoryview(data)[written:])
        except OSError:
            self._cut_last()
            raise
        self._files[-1][1] += len(data)
        self._nbytes += len(data)
        self.last = event.seq
        while self._nbytes > self._quota and len(self._files) > 1:
            self._drop()

    def _begin(self, seq: int) -> None:
        self.close()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._fd = os.open(self._path(seq), flags, 0o600)
        self._files.append([seq, 0])

    def _cut_last(self) -> None:
        """Remove what was written of an event that has found no room."""
        first, size = self._files[-1]
        if size:
            os.ftruncate(self._fd, size)
        else:
            self.close()
            self._files.pop()
            self._path(first).unlink()

    def _drop(self) -> None:
        first, size = self._files.popleft()
        self._nbytes -= size
        self._path(first).unlink(missing_ok=True)

    def forget(self, seq: int) -> None:
        """Remove the files that hold nothing after `seq`."""
        while len(self._files) > 1 and self._files[1][0] <= seq + 1:
            self._drop()

    def after(self, seq: int) -> list[Event]:
        """Return the events after `seq` of the first file that has any, oldest first."""
        firsts = [first for first, _ in self._files]
        for first, following in itertools.zip_longest(firsts, firsts[1:]):
            # Between two files some may be missing, for which there was no room.
            if following is None or following > seq + 1:
                events, _ = _parse(self._path(first).read_bytes(), first)
                if found := events[max(0, seq + 1 - first) :]:
                    return found
        return []

    def _cut_torn(self) -> int:
        """Cut off an event that was being written when its proxy was killed; return the last one's
        number."""
        first, size = self._files[-1]
        events, whole = _parse(self._path(first).read_bytes(), first)
        if whole < size:
            os.truncate(self._path(first), whole)
            self._files[-1][1] = whole
        return first + len(events) - 1

    def _read_id(self) -> str:
        file = self._folder / "id"
        with contextlib.suppress(OSError):
            if text := file.read_text(encoding="ascii"):
                return text
        identifier = secrets.token_hex(8)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="ascii") as target:
            target.write(identifier)
        return identifier

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:016}.events"

    def close(self) -> None:
        """Let go of the file that is being written."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """Remove all files."""
        self.close()
        while self._files:
            self._drop()
        (self._folder / "id").unlink(missing_ok=True)


def _parse(data: bytes, seq: int) -> tuple[list[Event], int]:
    """Return the whole events of a file whose first is `seq`, and where they end."""
    events, position = [], 0
    while position + _HEAD.size <= len(data):
        length, count = _HEAD.unpack_from(data, position)
        start = position + _HEAD.size + 8 * count
        if start > len(data):
            break
        lengths = struct.unpack_from(f"<{count}Q", data, position + _HEAD.size)
        end = start + length + sum(lengths)
        if end > len(data):
            break
        text = data[start : start + length]
        buffers, place = [], start + length
        for size in lengths:
            buffers.append(data[place : place + size])
            place += size
        match = _TEXT.match(text)
        if match is None:
            break
        events.append(Event(seq, match[2].decode(), text, tuple(buffers)))
        seq, position = seq + 1, end
    return events, position
