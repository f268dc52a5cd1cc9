"""The state folder: what a proxy that is started again goes on with."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

from ..errors import StateInUse


class State:
    """A folder for its owner alone, and for one proxy at a time.

    `keep`: a later proxy will look for it; otherwise it is a temporary one.
    """

    def __init__(self, folder: Path, keep: bool):
        self.keep = keep
        self.folder = folder
        self._sessions = folder / "sessions"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise ValueError(
                f"others may enter {folder}. `chmod 700` it, or name a folder that is not there yet "
                "with --state."
            )
        self._sessions.mkdir(mode=0o700, exist_ok=True)
        # Held as long as this process lives; the system lets go of it with the process.
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise StateInUse(
                f"another proxy is using {folder}. Stop that one, or start this one with another "
                "--port or --state."
            ) from None

    def session(self, identifier: str) -> "SessionFolder":
        """Return the folder of a session, made if there is none."""
        return SessionFolder(self._sessions / identifier, self.keep)

    def left(self) -> list[str]:
        """Return the IDs of the sessions that an earlier proxy has left."""
        left = []
        for path in self._sessions.iterdir():
            if (path / "session.json").exists():
                left.append(path.name)
            else:
                # Its kernel was never started.
                shutil.rmtree(path, ignore_errors=True)
        return left

    def load(self, name: str) -> Any:
        """Return what was saved under `name`, or None."""
        return load_json(self.folder / f"{name}.json")

    def save(self, name: str, content: Any) -> None:
        """Keep `content` under `name`, in the place of what was there."""
        if self.keep:
            save_json(self.folder / f"{name}.json", content)

    def remove(self) -> None:
        """Remove what is kept: nothing of this proxy goes on."""
        shutil.rmtree(self._sessions, ignore_errors=True)
        for name in ("tokens.json", "tokens.lock", "ended.json", "lock"):
            (self.folder / name).unlink(missing_ok=True)
        # A folder of the user's may hold other things.
        with contextlib.suppress(OSError):
            self.folder.rmdir()


def is_in_use(folder: Path) -> bool:
    """True while a proxy has the state folder, by its lock, which ends with the process."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


class SessionFolder:
    """What is kept of one session."""

    def __init__(self, path: Path, keep: bool):
        path.mkdir(mode=0o700, exist_ok=True)
        self._path = path
        self.keep = keep
        self.events = path / "events"
        #: What the kernel's process itself prints.
        self.output = path / "kernel.log"

    def load(self, name: str) -> Any:
        """Return what was saved under `name`, or None."""
        return load_json(self._path / f"{name}.json")

    def save(self, name: str, content: Any) -> None:
        """Keep `content` under `name`, in the place of what was there."""
        if self.keep:
            save_json(self._path / f"{name}.json", content)

    def note(self, name: str, content: Any) -> None:
        """Add `content` to the notes under `name`, which takes a seventh of the time of saving all."""
        if not self.keep:
            return
        line = json.dumps(content).encode() + b"\n"
        with open(self._notes(name), "ab", buffering=0, opener=_for_the_owner) as notes:
            if notes.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def noted(self, name: str) -> list[Any]:
        """Return the notes under `name`, without what a full disk has cut short."""
        notes = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._notes(name).read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    notes.append(json.loads(line))
        return notes

    def drop_notes(self, name: str) -> None:
        """Remove the notes under `name`."""
        self._notes(name).unlink(missing_ok=True)

    def _notes(self, name: str) -> Path:
        return self._path / f"{name}.jsonl"

    def remove(self) -> None:
        """Remove it all."""
        shutil.rmtree(self._path, ignore_errors=True)


def load_json(file: Path) -> Any:
    """Return what a file holds; None if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads(file.read_bytes())
    return None


def save_json(file: Path, content: Any) -> None:
    """Write a file for its owner alone."""
    # Whole or not at all, whenever this process is killed.
    fresh = file.with_suffix(".new")
    with open(fresh, "wb", buffering=0, opener=_for_the_owner) as target:
        target.write(json.dumps(content).encode())
    fresh.replace(file)


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
