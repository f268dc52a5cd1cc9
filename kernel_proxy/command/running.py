"""Which proxies run on this account, told to its commands by files in Jupyter's runtime folder."""

import contextlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from jupyter_core.paths import jupyter_runtime_dir

from ..session.state import is_in_use, load_json, save_json


@dataclass(frozen=True)
class Running:
    """A proxy that runs. `state` is its folder, `address` how pages reach it."""

    pid: int
    port: int
    address: str
    state: str
    site: str
    origins: list[str]
    owner: str
    shared: bool


class Announcement:
    """The file of a proxy that runs."""

    def __init__(self, proxy: Running):
        self._file = Path(jupyter_runtime_dir()) / f"torch-proxy-{proxy.pid}.json"
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_json(self._file, asdict(proxy))

    def withdraw(self) -> None:
        """It runs no more."""
        self._file.unlink(missing_ok=True)


def announce(**described: Any) -> Announcement:
    """Tell the commands of this proxy."""
    return Announcement(Running(os.getpid(), **described))


def running() -> list[Running]:
    """Return the proxies that run; the files of those that were killed are removed."""
    found = []
    for file in sorted(Path(jupyter_runtime_dir()).glob("torch-proxy-*.json")):
        with contextlib.suppress(ValueError, TypeError):
            proxy = Running(**load_json(file))
            if psutil.pid_exists(proxy.pid) and is_in_use(Path(proxy.state)):
                found.append(proxy)
            else:
                file.unlink(missing_ok=True)
    return found


def choose(port: int | None) -> Running:
    """Return the proxy on `port`, or the only one that runs; LookupError with a sentence if not."""
    found = [proxy for proxy in running() if port in (None, proxy.port)]
    if len(found) == 1:
        return found[0]
    if found:
        ports = ", ".join(str(proxy.port) for proxy in found)
        raise LookupError(f"several servers run on this account: say --port, one of {ports}.")
    where = "on this account" if port is None else f"on port {port} of this account"
    raise LookupError(f"no server runs {where}. Start one with `jupyter torch-proxy`.")
