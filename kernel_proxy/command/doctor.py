"""`jupyter torch-proxy doctor`: looks for what would keep `%%torch` cells from running here."""

import argparse
import contextlib
import fcntl
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from jupyter_core.paths import jupyter_runtime_dir

from ..access.origins import exact_origin
from ..app import KernelProxy
from ..operations import gpu
from ..tensors.segment import Segment
from .finding import PROBLEM, Finding, ok, problem, warning
from .kernel_check import check_kernel
from .options import DEFAULT_PORT, TOKEN_VARIABLE
from .page_check import check_address, who_answers

_GIB = 2**30
#: Less than this in /dev/shm is too little for what torch's own data loaders put there.
_SMALL_SHM = _GIB
# Looked at only; nothing is put there.
_SHM = "/dev/shm"  # noqa: S108
_EVERY_ADDRESS = ("", "0.0.0.0", "::", "*")  # noqa: S104
_SEGMENT_BYTES = 64 * 2**20


def main(argv: list[str]) -> None:
    """Print what was found; the status is 1 if there is a problem."""
    arguments = _parser().parse_args(argv)
    arguments.token = arguments.token or os.environ.get(TOKEN_VARIABLE)
    checks = _of_address(arguments) if arguments.address else _of_this_machine(arguments)
    problems = 0
    for finding in checks:
        print(finding, flush=True)
        problems += finding.level == PROBLEM
    sys.exit(1 if problems else 0)


def _parser() -> argparse.ArgumentParser:
    """The options are those of the server, by name and meaning."""
    parser = argparse.ArgumentParser(
        prog="jupyter torch-proxy doctor",
        description="Look for what would keep %%torch cells from running on this machine, or with "
        "--address for what a page would meet there.",
    )
    add = parser.add_argument
    add("--address", metavar="URL", help="ask a running server, as a page of each --origin would")
    add("--origin", "--site", action="append", default=[], dest="origins", metavar="ADDRESS")
    add(
        "--token-file",
        type=_token,
        dest="token",
        metavar="FILE",
        help=f"the token to try, else that of {TOKEN_VARIABLE}",
    )
    add("--kernel", action="append", dest="kernels", metavar="NAME", help="default python3")
    add("--port", type=int, default=DEFAULT_PORT, help="default %(default)s")
    add("--ip", default="127.0.0.1")
    add("--directory", default=os.getcwd())
    add("--state")
    add("--shared-memory", type=int, default=KernelProxy.shared_memory.default_value, metavar="MIB")
    add("--event-log", type=int, default=KernelProxy.event_log.default_value, metavar="MIB")
    return parser


def _of_this_machine(arguments: argparse.Namespace) -> Iterator[Finding]:
    gpus = yield from check_gpus()
    for name in arguments.kernels or ["python3"]:
        yield from check_kernel(name, arguments.directory, gpus > 0)
    yield check_port(arguments.ip, arguments.port, arguments.token)
    yield from check_memory(arguments.shared_memory * 2**20)
    folder = Path(arguments.state or f"{jupyter_runtime_dir()}/torch-proxy-{arguments.port}")
    yield from check_state(folder, arguments.event_log * 2**20)
    yield from check_origins(arguments.origins)


def _of_address(arguments: argparse.Namespace) -> Iterator[Finding]:
    address = arguments.address.rstrip("/")
    try:
        # It has the form of an origin, but for a path.
        exact_origin(address)
    except ValueError as error:
        yield problem(str(error), "--address http://127.0.0.1:8889, as the server has printed it.")
        return
    if not arguments.origins:
        yield problem("It is not said for which page.", "--origin https://name.github.io")
        return
    yield from check_origins(arguments.origins)
    for text in arguments.origins:
        with contextlib.suppress(ValueError):
            yield from check_address(address, exact_origin(text), arguments.token)


def _token(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{file}: {error.strerror}") from None


def check_gpus() -> Iterator[Finding]:
    """Ask the driver; return how many GPUs there are."""
    try:
        gpus = gpu.read()
    except gpu.GpuError as error:
        yield problem(
            f"The GPU's driver does not answer: {error}.",
            "run `nvidia-smi`; after an update of the driver this machine must be started again.",
        )
        return 0
    if not gpus:
        yield warning(
            "There is no NVIDIA GPU, or no driver for one: torch computes on the processor.",
            "if there is one, install its driver until `nvidia-smi` lists it; in a container start "
            "that with `--gpus all`.",
        )
    for one in gpus:
        memory = "" if one.total is None else f", {one.total / _GIB:.0f} GiB"
        used = "" if one.used is None or not one.total else f", {one.used / one.total:.0%} in use"
        yield ok(f"GPU {one.index}: {one.name}{memory}{used}, driver {one.driver}.")
    return len(gpus)


def check_port(ip: str, port: int, token: str | None = None) -> Finding:
    """Say whether the port is free, or who has it; `token` is shown to a proxy there."""
    host = "127.0.0.1" if ip in _EVERY_ADDRESS else ip
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except PermissionError:
            return problem(f"This user may not listen on port {port}.", "--port 8889")
        except OSError as error:
            return _port_taken(host, port, error, token)
    return ok(f"Port {port} of {host} is free.")


def _port_taken(host: str, port: int, error: OSError, token: str | None) -> Finding:
    address = f"[{host}]" if ":" in host else host
    who = who_answers(f"http://{address}:{port}", token)
    if who:
        return ok(
            f"{who} has port {port} of {host}. This one is checked from outside with --address."
        )
    return problem(
        f"Port {port} of {host} can not be had: {error.strerror}; what answers there, if anything, is "
        "no torch-proxy.",
        f"end that program (`ss -ltnp sport = :{port}` shows it), or choose another --port.",
    )


def check_memory(wanted: int) -> Iterator[Finding]:
    """Look at what arrays on their way lie in, and at what torch's data loaders use."""
    try:
        segment = Segment.create(_SEGMENT_BYTES)
        segment.write(_SEGMENT_BYTES - 1, b"\0")
        segment.close()
    except OSError as error:
        yield problem(
            f"No shared memory can be had: {error.strerror}.", "give this machine more memory."
        )
        return
    free = _free_memory()
    if free < wanted:
        yield warning(
            f"{free / _GIB:.1f} GiB of memory are free, and arrays on their way may take "
            f"{wanted / _GIB:.1f} GiB.",
            f"start with --shared-memory {max(1, free // 2 // 2**20)}, or with less beside it.",
        )
    else:
        yield ok(f"Arrays on their way have {wanted / _GIB:.1f} GiB of memory.")
    yield from _check_shm()


def _check_shm() -> Iterator[Finding]:
    if not os.path.isdir(_SHM):
        return
    total = shutil.disk_usage(_SHM).total
    if total < _SMALL_SHM:
        yield warning(
            f"{_SHM} has {total / 2**20:.0f} MiB. The proxy does not use it; torch's DataLoader "
            "with workers does, and fails when it is full.",
            "start the container with --shm-size=8g.",
        )
    else:
        yield ok(f"{_SHM} has {total / _GIB:.1f} GiB, for torch's data loaders.")


def _free_memory() -> int:
    """Return the bytes that can still be had here, by the container's limit too."""
    free = psutil.virtual_memory().available
    group = Path("/sys/fs/cgroup")
    # There is none outside of a container, and none in many.
    with contextlib.suppress(OSError, ValueError):
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return max(0, free)


def check_state(folder: Path, quota: int) -> Iterator[Finding]:
    """Look at the folder that outlives the proxy, and change nothing there."""
    place = folder
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        yield problem(f"This user can not write into {place}.", "name another folder with --state.")
        return
    if place == folder and folder.stat().st_mode & 0o077:
        yield problem(f"Others may enter {folder}.", f"chmod 700 {folder}")
        return
    free = shutil.disk_usage(place).free
    if free < quota:
        yield warning(
            f"{free / _GIB:.1f} GiB are free for {folder}, where each session may keep "
            f"{quota / _GIB:.1f} GiB of output.",
            f"make room, start with --event-log {max(1, free // 4 // 2**20)}, or choose another "
            "--state.",
        )
        return
    yield ok(f"State goes to {folder}{', which a proxy is using' if _is_locked(folder) else ''}.")


def _is_locked(folder: Path) -> bool:
    try:
        with open(folder / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def check_origins(origins: list[str]) -> Iterator[Finding]:
    """Check how origins are written."""
    if not origins:
        yield warning(
            "No page is let in.",
            "--site https://name.github.io/page/ names the page that may come.",
        )
    for text in origins:
        try:
            origin = exact_origin(text)
        except ValueError as error:
            yield problem(str(error), "give the page's address as the browser shows it.")
            continue
        yield ok(f"Pages of {origin} are let in.")
        if origin.endswith(".github.io"):
            yield warning(
                f"All pages of {origin} are one origin, whatever repository they come from.",
                "use a domain of its own if others can publish there.",
            )
