"""Headless Chromium as a child process.

It is driven by the page that it opens, never through its debugging protocol, which slows a page's
WebSockets 5 to 7 times.
"""

import collections
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from lite_site.child import Child

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = (
    "--headless",
    "--no-first-run",
    "--no-default-browser-check",
    "--enable-logging=stderr",
    "--disable-gpu",
    "--disable-quic",
    # It looks up hosts of its maker at every start otherwise.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that nobody looks at is slowed down otherwise.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    # /dev/shm is 64 MiB in a container by default, which arrays fill.
    "--disable-dev-shm-usage",
    "--window-size=1280,1600",
)
LOG_LINES = 200
# How Chromium 156 logs a console message; a message of several lines ends in a later one.
CONSOLE = re.compile(r':CONSOLE:\d+\] "(.*?)(?:", source: .*)?$')
# What JupyterLab 4.6 says of itself at every start.
NOISE = (
    "Skipping [object Object] default shortcut",
    "Menu entry for command",
    "Starting WebSocket",
    "Uploader widget not found",
)


class BrowserError(Exception):
    """There is no Chromium, or it does not start."""


def find_chromium() -> str:
    """The path of the Chromium to use."""
    chosen = os.environ.get("CHROME_PATH")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise BrowserError(f"CHROME_PATH is {chosen}, which is not a program.")
        return found
    for name in (*NAMES, *MAC_APPS):
        found = shutil.which(name)
        if found:
            return found
    raise BrowserError(
        f"No Chromium found (looked for {', '.join(NAMES)}). "
        "Install Chromium or Chrome, or set CHROME_PATH to its program."
    )


class Chromium:
    """One headless Chromium with a fresh profile, showing `url`.

    `on_exit` is called, in another thread, when the process has ended for whatever reason.
    """

    def __init__(self, url: str, on_exit: Callable[[], None]) -> None:
        program = find_chromium()
        profile = Path(tempfile.mkdtemp(prefix="lite-run-"))
        # The address is secret and a command line is not: any user of the machine can list it.
        start = profile / "start.html"
        start.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(url)}">')
        command = [program, *FLAGS, f"--user-data-dir={profile}"]
        # Chromium's sandbox refuses to work for root.
        if sys.platform == "linux" and os.geteuid() == 0:
            command.append("--no-sandbox")
        self._log: collections.deque[str] = collections.deque(maxlen=LOG_LINES)
        self._on_exit = on_exit
        self._child = Child(
            [*command, start.as_uri()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            remove=profile,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        self._on_exit = lambda: None
        self._child.process.stdin.close()
        self._reader.join()
        self._child.close()

    def _read(self) -> None:
        for line in self._child.process.stderr:
            self._log.append(line.rstrip("\n"))
        self._on_exit()

    def log(self, lines: int = 10) -> str:
        """The last lines of the page's console, or of Chromium itself if there are none."""
        console = [match[1] for line in self._log if (match := CONSOLE.search(line))]
        told = [line for line in console if not line.startswith(NOISE)]
        return "\n".join((told or list(self._log))[-lines:])
