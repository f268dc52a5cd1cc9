"""Measure what %%torch costs in a real browser, beside what the browser itself can do.

A warm cell without arrays is held against an empty local cell of the same page and the same code
through jupyter_client, run before. Arrays are held against `fetch` in a worker of the same page, from a plain
static server and to a server that forgets what it reads; each figure of ours is the time of whole
cells, with their checksums. Medians; the cells and the transfers of a pair take turns. Server and page
share this machine.
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

import nbformat
from jupyter_client import KernelManager

from lite_site.browser import BrowserError, Chromium
from lite_site.child import Child, unwind_when_told_to_end
from lite_site.notebook import SERVER_KEY, SESSION_KEY, Notebook
from lite_site.page import RunServer
from lite_site.proxy import LocalProxy, ProxyError
from lite_site.serve import SiteError, running

DRIVER = Path(__file__).with_name("drive.js")
SITE = Path(__file__).resolve().parents[1] / "lite_site" / "_output"
NAME = "bench.ipynb"
CELL_TARGET_MS = 25
TRANSFER_TARGET = 2
# One figure; the first waits for Pyodide and torch.
TIMEOUT_S = 180


class BenchError(Exception):
    """The page could not measure."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    unwind_when_told_to_end()
    try:
        direct = through_jupyter_client(options.cells)
        measured = in_the_page(options)
    except (BenchError, BrowserError, ProxyError, SiteError) as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    measured["direct"] = direct
    report(measured, options.mib)


def through_jupyter_client(count: int) -> list[float]:
    """Milliseconds from a request to its reply and the end of its outputs, in a native kernel."""
    manager = KernelManager()
    # ipykernel 7 warns there of TCP without encryption, which stays on this machine.
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        times = []
        for _ in range(count + 5):
            began = time.perf_counter()
            client.execute_interactive("pass", timeout=60)
            times.append((time.perf_counter() - began) * 1000)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return times[5:]


def in_the_page(options: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds by what was measured."""
    size = options.mib * 2**20
    measured: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        file = folder / "bytes.bin"
        with file.open("wb") as out:
            for _ in range(options.mib):
                out.write(os.urandom(2**20))
        static = stack.enter_context(peer("static", str(file)))
        sink = stack.enter_context(peer("sink"))
        site = RunServer(options.site)
        site.overlay["lite-run/run.js"] = DRIVER.read_bytes()
        stack.enter_context(running(site))
        proxy = stack.enter_context(LocalProxy("--origin", site.origin))
        storage = {
            SERVER_KEY.format(base=site.base): json.dumps({"url": proxy.url, "token": proxy.token}),
            SESSION_KEY.format(base=site.base, path=NAME): secrets.token_urlsafe(24),
        }
        empty = Notebook(NAME, nbformat.v4.new_notebook()).for_the_page()
        url = site.offer(NAME, empty, storage, False)
        site.job["bench"] = {
            "cells": options.cells,
            "pairs": options.pairs,
            "size": size,
            "download": f"{static}/{file.name}",
            "upload": f"{sink}/",
        }
        events = site.events
        with Chromium(url, lambda: events.put({"type": "failed", "reason": "Chromium ended"})):
            while (event := _next(events))["type"] != "done":
                if event["type"] == "failed":
                    raise BenchError(event["reason"])
                if event["type"] == "measured":
                    measured.setdefault(event["name"], []).append(event["ms"])
    return measured


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


def report(measured: dict[str, list[float]], mib: int) -> None:
    """Print the table."""
    middle = {name: statistics.median(times) for name, times in measured.items()}
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores\n")
    print(f"A warm cell without arrays, medians of {len(measured['remote'])}, in ms")
    labels = {
        "remote": "%%torch cell",
        "local": "empty local cell",
        "direct": "the same code through jupyter_client",
    }
    for name, label in labels.items():
        spread = statistics.quantiles(measured[name], n=20)
        print(
            f"  {label:38} {middle[name]:8.1f}   (5 to 95 %: {spread[0]:.1f} to {spread[-1]:.1f})"
        )
    extra = middle["remote"] - middle["local"] - middle["direct"]
    _compare("more than both together", f"{extra:8.1f} ms", CELL_TARGET_MS, extra, " ms")
    print(f"\n{mib} MiB of float32, medians of {len(measured['cell up'])} pairs, in s")
    for way, label in {"down": "to the browser", "up": "to the server"}.items():
        for name in (f"cell {way}", f"fetch {way}"):
            who = "whole cells" if name.startswith("cell") else "the browser's own fetch"
            seconds = middle[name] / 1000
            rate = mib * 2**20 / seconds / 1e9
            print(f"  {label + ', ' + who:38} {seconds:8.2f}   ({rate:.2f} GB/s)")
        ratio = middle[f"cell {way}"] / middle[f"fetch {way}"]
        _compare("ratio", f"{ratio:8.2f}", TRANSFER_TARGET, ratio, "")


def _compare(label: str, figure: str, target: float, value: float, unit: str) -> None:
    verdict = "met" if value <= target else "MISSED"
    print(f"  {label:38} {figure}   target: at most {target}{unit}, {verdict}")


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
    add("--mib", type=int, default=256, help="size of the array (%(default)s)")
    return parser


if __name__ == "__main__":
    main()
