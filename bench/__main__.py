"""Measure what %%torch costs in a real browser, beside what the browser itself can do.

A warm cell without arrays is held against an empty local cell of the same page and the same code
through jupyter_client, run before: in a kernel that has torch, too, and at the pace of the page, since
one that is asked again at once has all it needs still in the processor's cache. Arrays are held
against `fetch` in a worker of the same page, from a plain static server and to a server that forgets
what it reads; each figure of ours is the time of whole cells with their checksums: of the `%%torch`
cell and the local one that reads the array, or of the first alone where `--eager` brings the array
with it. Medians; the cells and the transfers of a pair take turns, and each transfer begins a tenth of
a second after what came before. Server and page share this machine.

Then clients of CPython: the magic's own, ipyparallel's, jupyter-kernel-client's, and the JSON way; and
load.
"""

import argparse
import contextlib
import json
import os
import platform
import queue
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import KernelManager

from bench import load, native
from bench.lines import line, target
from bench.memory import MemoryWatch, chromiums, proxies
from lite_site.browser import BrowserError, Chromium
from lite_site.child import Child, unwind_when_told_to_end
from lite_site.notebook import SERVER_KEY, SESSION_KEY, Notebook
from lite_site.page import RunServer
from lite_site.proxy import LocalProxy, ProxyError
from lite_site.serve import SiteError, running

DRIVER = Path(__file__).with_name("drive.js")
SITE = Path(__file__).resolve().parents[1] / "lite_site" / "_output"
NAME = "bench.ipynb"
MIB = 2**20
#: What each way of an array has to reach of the browser's own rate.
RATE_TARGET = 0.85
CELL_TARGET_MS = 8
#: Between the end of a `%%torch` cell and the next one the page runs a local one and tells two figures.
PAUSE_S = 0.02
MANY_TARGET = 3
MEMORY_TARGET_MIB = 64
# One round of figures; the first waits for Pyodide and torch.
TIMEOUT_S = 180


class BenchError(Exception):
    """The page could not measure."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    unwind_when_told_to_end()
    if options.load:
        print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")
        load.report()
        return
    arrays = [
        {"name": f"{mib} MiB {dtype}", "bytes": mib * MIB, "dtype": dtype, "pairs": pairs}
        for mib, dtype, pairs in (
            (options.mib, "float32", options.pairs),
            (64, "bfloat16", options.pairs),
            (1024, "float32", 3),
        )
    ]
    if options.quick:
        arrays.pop()
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")
    try:
        direct = through_jupyter_client(options.cells)
        at_once = through_jupyter_client(options.cells, pause_s=0)
        measured = in_the_page(options, arrays)
    except (BenchError, BrowserError, ProxyError, SiteError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    measured |= {"direct": direct, "direct at once": at_once}
    report(measured, arrays)
    if not options.quick:
        native.report()
        load.report()


def through_jupyter_client(count: int, pause_s: float = PAUSE_S) -> list[float]:
    """Milliseconds from a request to its reply and the end of its outputs, in a native kernel that is
    asked after a pause."""
    manager = KernelManager()
    # ipykernel 7 warns there of TCP without encryption, which stays on this machine.
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive("import torch", timeout=60)
        times = []
        for _ in range(count + 5):
            time.sleep(pause_s)
            began = time.perf_counter()
            client.execute_interactive("pass", timeout=60)
            times.append((time.perf_counter() - began) * 1000)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return times[5:]


def in_the_page(
    options: argparse.Namespace, arrays: list[dict[str, Any]]
) -> dict[str, list[float]]:
    """What was measured, by name: milliseconds, or for memory bytes."""
    measured: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        for size in {array["bytes"] for array in arrays}:
            with (folder / str(size)).open("wb") as out:
                for _ in range(size // MIB):
                    out.write(os.urandom(MIB))
        static = stack.enter_context(peer("static", str(folder)))
        sink = stack.enter_context(peer("sink"))
        site = RunServer(options.site)
        site.overlay["lite-run/run.js"] = DRIVER.read_bytes()
        stack.enter_context(running(site))
        proxy = stack.enter_context(LocalProxy("--origin", site.origin))
        where = {"base": site.base, "path": NAME}
        storage = {
            SERVER_KEY.format(**where): json.dumps({"url": proxy.url, "token": proxy.token}),
            SESSION_KEY.format(**where): secrets.token_urlsafe(24),
        }
        empty = Notebook(NAME, nbformat.v4.new_notebook()).for_the_page()
        url = site.offer(NAME, empty, storage, False)
        site.job["bench"] = {
            "cells": options.cells,
            "pairs": options.pairs,
            "arrays": arrays,
            "download": static,
            "upload": f"{sink}/",
        }
        events = site.events
        # Only while memory is measured: it takes time of the processors.
        watching = stack.enter_context(contextlib.ExitStack())
        with Chromium(url, lambda: events.put({"type": "failed", "reason": "Chromium ended"})):
            while (event := _next(events))["type"] != "done":
                if event["type"] == "failed":
                    raise BenchError(event["reason"])
                if event["type"] == "measured":
                    name, value = event["name"], event["value"]
                    if name == "watch":
                        watching.close()
                        if value:
                            watch = MemoryWatch(lambda: chromiums() | proxies())
                            watching.enter_context(watch)
                    elif name.startswith("memory"):
                        for kind, growth in _growth(watch, *value).items():
                            measured.setdefault(f"{name} {kind}", []).append(growth)
                    else:
                        measured.setdefault(name, []).append(value)
    return measured


def _growth(watch: MemoryWatch, start: float, stop: float) -> dict[str, float]:
    """The most that processes of a kind grew by, in bytes."""
    grown: dict[str, float] = {}
    for pid, kind in watch.kinds.items():
        grown[kind] = max(grown.get(kind, 0), watch.growth(pid, start, stop))
    return grown


def _next(events: queue.Queue[dict]) -> dict:
    try:
        return events.get(timeout=TIMEOUT_S)
    except queue.Empty:
        raise BenchError(f"the page measured nothing for {TIMEOUT_S} s") from None


@contextlib.contextmanager
def peer(*arguments: str) -> Iterator[str]:
    """Run one of `bench.peer` in a process of its own; gives its address."""
    command = [sys.executable, "-m", "bench.peer", *arguments]
    with Child(command, stdout=subprocess.PIPE) as child:
        yield f"http://127.0.0.1:{int(child.process.stdout.readline())}"


def report(measured: dict[str, list[float]], arrays: list[dict[str, Any]]) -> None:
    """Print the table."""
    middle = {name: statistics.median(values) for name, values in measured.items()}
    print(f"\nA warm cell without arrays, medians of {len(measured['remote'])}, in ms")
    labels = {
        "remote": "%%torch cell",
        "local": "empty local cell",
        "direct": "the same code through jupyter_client",
        "direct at once": "the same, asked again at once",
    }
    for name, label in labels.items():
        spread = statistics.quantiles(measured[name], n=20)
        line(label, f"{middle[name]:.1f}", f"5 to 95 %: {spread[0]:.1f} to {spread[-1]:.1f}")
    extra = middle["remote"] - middle["local"] - middle["direct"]
    target("more than both together", extra, "at most", CELL_TARGET_MS, "ms")

    print(
        f"\n1,000 tensors of 4 KiB beside one of 4 MiB, medians of {len(measured['many up'])}, in ms"
    )
    for way, label in {"down": "to the browser", "up": "to the server"}.items():
        one, many = middle[f"one {way}"], middle[f"many {way}"]
        line(label, f"{many:.0f}", f"one: {one:.0f}")
        target("ratio", many / one, "at most", MANY_TARGET)

    for array in arrays:
        name, size = array["name"], array["bytes"]
        print(f"\n{name}, medians of {len(measured[f'pull {name}'])}, in s")
        for own, theirs in PAIRS.items():
            if f"{own} {name}" not in middle:
                continue
            for way in (own, *theirs):
                seconds = middle[f"{way} {name}"] / 1000
                line(WAYS[way], f"{seconds:.2f}", f"{size / seconds / 1e9:.2f} GB/s")
            best = min(middle[f"{way} {name}"] for way in theirs)
            target("of the browser's rate", best / middle[f"{own} {name}"], "at least", RATE_TARGET)

    name = arrays[0]["name"]
    print(f"\nMemory that {name} needs above the arrays, medians of peaks, in MiB")
    for way, label in {"down": "to the browser", "up": "to the server"}.items():
        for kind in ("renderer", "proxy"):
            figure = middle[f"memory {way} {name} {kind}"] / MIB
            target(f"{label}, {kind}", figure, "at most", MEMORY_TARGET_MIB, "MiB")


#: Ways of ours, each with the browser's own.
PAIRS = {
    "pull": ("get",),
    "pull at once": ("get",),
    "pull awaited": ("get",),
    "push": ("put", "put parts"),
}
WAYS = {
    "pull": "to the browser, read by the next cell",
    "pull at once": "to the browser, one cell with --eager",
    "pull awaited": "to the browser, `await` of a handle",
    "get": "the browser's own fetch",
    "push": "to the server, whole %%torch cell",
    "put": "the browser's own PUT",
    "put parts": "32 MiB parts, two at a time",
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--site", type=Path, default=SITE, metavar="DIR", help="a built site")
    add("--cells", type=int, default=50, help="cells of each kind (%(default)s)")
    add("--pairs", type=int, default=7, help="transfers of each kind (%(default)s)")
    add("--mib", type=int, default=256, help="size of the first array (%(default)s)")
    add(
        "--quick",
        action="store_true",
        help="leave out the largest array, CPython's clients and load",
    )
    add("--load", action="store_true", help="measure load alone")
    return parser


if __name__ == "__main__":
    main()
