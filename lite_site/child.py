"""A process that never outlives the one that started it, however that one ends.

The command runs under this file as a script, which holds the reading end of a pipe. The system
closes the pipe when the starting process is gone, by Ctrl-C, an exception or `kill -9` alike, and
the script then ends the command with everything that it has started, and removes its files.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

# Long enough for the proxy to shut its kernels down.
GRACE_S = 15
# From Linux's <sys/prctl.h>: a signal when the parent dies, and orphaned descendants as children.
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Child:
    """Runs `command`; leaving the `with` block ends it, and removes the folder `remove`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        remove: Path | None = None,
    ) -> None:
        self._remove = remove
        guard = [sys.executable, "-I", __file__, str(remove or "")]
        self.process = subprocess.Popen(
            [*guard, *command],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            env=env,
            text=True,
            encoding="utf-8",
            errors="replace",
            # The terminal's Ctrl-C is for this process, which then ends its children in order.
            start_new_session=True,
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the command and wait until it is gone."""
        self.process.stdin.close()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        if self._remove:
            # Done already, unless the guard itself was killed.
            shutil.rmtree(self._remove, ignore_errors=True)


def unwind_when_told_to_end() -> None:
    """Let SIGTERM and SIGINT end this process through its `with` blocks, in the main thread.

    A shell starts background commands with SIGINT ignored, which Python then leaves so.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def guard(remove: str, command: list[str]) -> int:
    """Run the command until it ends or standard input does; return its exit status."""
    end_with_this = None
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

        def end_with_this() -> None:
            prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=end_with_this
    )
    ended = threading.Event()

    def end_group(signal_number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal_number)

    def stop_at_end_of_input() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        end_group(signal.SIGTERM)
        if not ended.wait(GRACE_S):
            end_group(signal.SIGKILL)

    signal.signal(signal.SIGTERM, lambda *_: end_group(signal.SIGTERM))
    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    status = child.wait()
    ended.set()
    end_group(signal.SIGKILL)
    end_orphans()
    if remove:
        shutil.rmtree(remove, ignore_errors=True)
    return status


def end_orphans() -> None:
    """End what the command started in process groups of its own, on Linux."""
    while True:
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children() -> list[int]:
    """The processes whose parent is this one, as Linux's /proc has them."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        # A process that has gone meanwhile has no file any more.
        with contextlib.suppress(OSError):
            # The second field, the name in brackets, may hold anything.
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                found.append(int(status.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(guard(sys.argv[1], sys.argv[2:]))
