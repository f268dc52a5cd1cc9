"""Load on one proxy, by clients of CPython: many sessions, many pages, many transfers, and its memory.

The clients share the machine with the proxy and its kernels.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import secrets
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import websockets

from bench.lines import line, target

MIB = 2**20
ORIGIN = "http://page.example"
SESSIONS, BUSY, PAGES = 100, 8, 200
PULLS, PULL_MIB = 16, 64
CELLS, RECONNECTS = 10_000, 1_000
LATENCY_TARGET, FAIRNESS_TARGET, GROWTH_TARGET_MIB = 3, 2, 16
#: What a kernel with torch needs for itself, and what is left to everything else.
KERNEL_BYTES, LEFT_BYTES = 165 * MIB, 3 * 2**30
TOKEN = secrets.token_urlsafe(24)
#: Busy without an end; a person's own code holds Python's lock as well.
SPINS = "import time\nwhile True:\n    sum(range(1000))"


class Page:
    """A page of one session: one WebSocket, and what has come over it."""

    def __init__(self, url: str, session: str):
        self.session = session
        self._url = "ws" + url.removeprefix("http") + "/kernel_proxy/api/v1/channel"
        self._log: str | None = None
        self._seq = 0

    async def open(self) -> "Page":
        """Connect, or connect again after what has been seen."""
        self._socket = await websockets.connect(
            self._url, origin=ORIGIN, max_size=None, compression=None, ping_interval=None
        )
        hello = {
            "type": "hello",
            "protocol": 1,
            "token": TOKEN,
            "session": self.session,
            "log": self._log,
            "seq": self._seq,
        }
        await self._socket.send(json.dumps(hello))
        welcome = json.loads(await self._socket.recv())
        if welcome["type"] != "welcome":
            raise RuntimeError(welcome["message"])
        self._log, self._seq = welcome["log"], welcome["seq"]
        return self

    async def send(self, code: str, **pull: Any) -> str:
        """Send a cell; return its ID."""
        identifier = secrets.token_hex(16)
        header = {
            "msg_id": identifier,
            "msg_type": "execute_request",
            "session": self.session,
            "version": "5.4",
        }
        pull = {"assigned": [], "mentioned": [], "eager": 2**20, "limit": 0} | pull
        message = {
            "header": header,
            "metadata": {"torch": {"push": None, "pull": pull}},
            "content": {"code": code},
        }
        await self._socket.send(json.dumps({"type": "request", "channel": "shell", "msg": message}))
        return identifier

    async def run(self, code: str, **pull: Any) -> dict[str, Any]:
        """Run a cell to its end, as a page does; return its `metadata.torch`."""
        identifier = await self.send(code, **pull)
        reply, idle = None, False
        while reply is None or not idle:
            for event in await self._events():
                self._seq = event["seq"]
                message = event["msg"]
                if message["parent_header"].get("msg_id") != identifier:
                    continue
                if event["channel"] == "shell":
                    reply = message
                elif message["header"]["msg_type"] == "status":
                    idle = idle or message["content"]["execution_state"] == "idle"
        for frame in ({"type": "seen", "cell": identifier}, {"type": "ack", "seq": self._seq}):
            await self._socket.send(json.dumps(frame))
        if reply["content"]["status"] != "ok":
            raise RuntimeError(reply["content"]["evalue"])
        return reply["metadata"]["torch"]

    async def watch(self) -> None:
        """Take what others run in the session, until the connection ends."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                for event in await self._events():
                    if event["seq"] % 50 == 0:
                        await self._socket.send(json.dumps({"type": "ack", "seq": event["seq"]}))

    async def _events(self) -> list[dict[str, Any]]:
        """Return the events of the next message."""
        data = await self._socket.recv()
        text = data if isinstance(data, str) else data[4 : 4 + struct.unpack_from("<I", data)[0]]
        frames = json.loads(text)
        frames = frames if isinstance(frames, list) else [frames]
        return [frame for frame in frames if frame["type"] == "event"]

    async def close(self) -> None:
        """Disconnect; the session goes on."""
        await self._socket.close()


@contextlib.contextmanager
def proxy(sessions: int) -> Iterator[tuple[str, psutil.Process]]:
    """Run a proxy; gives its address and its process."""
    with tempfile.TemporaryDirectory(prefix="bench-load-") as folder:
        command = [sys.executable, "-m", "kernel_proxy", "--port", "0", "--origin", ORIGIN]
        command += ["--max-sessions", str(sessions), "--state", f"{folder}/state"]
        environment = {**os.environ, "JUPYTER_TORCH_TOKEN": TOKEN}
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        try:
            said = ""
            while "In a notebook" not in said:
                said += process.stdout.readline()
            yield re.search(r"^Address: (\S+)$", said, re.M)[1], psutil.Process(process.pid)
        finally:
            process.send_signal(2)
            process.wait(timeout=120)
            process.stdout.close()


async def cell_times(page: Page, count: int) -> list[float]:
    """Milliseconds of trivial cells, one after the other with a breath in between."""
    times = []
    for _ in range(count):
        await asyncio.sleep(0.02)
        began = time.perf_counter()
        await page.run("1 + 1")
        times.append((time.perf_counter() - began) * 1000)
    return times


def percentile(times: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(times, n=100)[-1]


async def sessions(count: int, cells: int) -> None:
    """Latency beside sessions that are idle, that are busy, and beside many pages."""
    with proxy(count + 1) as (url, _):
        mine = await Page(url, secrets.token_urlsafe(12)).open()
        await cell_times(mine, 20)
        alone = percentile(await cell_times(mine, cells))
        began = time.perf_counter()
        others = [Page(url, secrets.token_urlsafe(12)) for _ in range(count - 1)]
        # As many kernels start at a time as there are processors.
        for first in range(0, len(others), os.cpu_count() or 1):
            group = others[first : first + (os.cpu_count() or 1)]
            await asyncio.gather(*(page.open() for page in group))
        took = time.perf_counter() - began
        print(
            f"\n{count} sessions with kernels, the last {count - 1} of them started in {took:.0f} s"
        )
        beside_idle = await cell_times(mine, cells)
        all_of_them = [mine, *others]
        watching = [Page(url, all_of_them[n % count].session) for n in range(PAGES - count)]
        await asyncio.gather(*(page.open() for page in watching))
        tasks = [asyncio.create_task(page.watch()) for page in watching]
        beside_pages = await cell_times(mine, cells)
        await asyncio.gather(*(page.close() for page in watching))
        await asyncio.gather(*tasks)
        for page in others[:BUSY]:
            await page.send(SPINS)
        await asyncio.sleep(2)
        beside_busy = await cell_times(mine, cells)
        line("one session, 99 % of cells within", f"{alone:.1f} ms", f"{cells} cells")
        for label, times in {
            f"beside {count - 1} idle ones": beside_idle,
            f"and {PAGES} connected pages in all": beside_pages,
            f"{BUSY} of them busy": beside_busy,
        }.items():
            line(label, f"{percentile(times):.1f} ms", f"median {statistics.median(times):.1f} ms")
            target("  ratio", percentile(times) / alone, "at most", LATENCY_TARGET)


async def pulls(rounds: int = 5) -> None:
    """Transfers at the same time: how fairly they share the wire."""
    with proxy(PULLS) as (url, _):
        pages = [Page(url, secrets.token_urlsafe(12)) for _ in range(4)]
        for page in pages:
            await page.open()
        ratios, rates = [], []
        for _ in range(rounds):
            wanted = []
            for page in pages:
                names = [f"y{n}" for n in range(PULLS // len(pages))]
                code = "\n".join(f"{name} = torch.rand({PULL_MIB * MIB // 4})" for name in names)
                described = await page.run(code, assigned=names, eager=0)
                wanted += [(page.session, each["handle"]) for each in described["tensors"]]
            times = await asyncio.to_thread(_fetch_all, url, wanted)
            ratios.append(max(times) / min(times))
            rates.append(PULLS * PULL_MIB * MIB / max(times) / 1e9)
    print(f"\n{PULLS} pulls of {PULL_MIB} MiB at once, medians of {rounds}")
    line("all together", f"{statistics.median(rates):.2f}", "GB/s")
    target("slowest by fastest", statistics.median(ratios), "at most", FAIRNESS_TARGET)


def _fetch_all(url: str, wanted: list[tuple[str, str]]) -> list[float]:
    """Fetch tensors at once, each with a thread of its own; return the seconds of each."""
    times: list[float] = []
    start = threading.Barrier(len(wanted))
    threads = [
        threading.Thread(target=_fetch, args=(url, *each, start.wait, times.append))
        for each in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _fetch(
    url: str,
    session: str,
    handle: str,
    ready: Callable[[], object],
    took: Callable[[float], None],
) -> None:
    # A client of its own, so that what is compared is not shared by one process's lock.
    code = (
        "import sys, time, urllib.request as u\n"
        "url, token, session, handle = sys.argv[1:]\n"
        "headers = {'Authorization': f'token {token}', 'Torch-Session': session, 'Torch-Handle': handle}\n"
        "request = u.Request(f'{url}/kernel_proxy/api/v1/tensors', headers=headers)\n"
        "room = bytearray(2**20)\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        "began = time.perf_counter()\n"
        "with u.urlopen(request) as stream:\n    while stream.readinto(room): pass\n"
        "print(time.perf_counter() - began)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, url, TOKEN, session, handle],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        client.stdout.readline()
        ready()
        client.stdin.write("go\n")
        client.stdin.flush()
        took(float(client.stdout.readline()))


async def memory(cells: int, reconnects: int) -> tuple[float, float]:
    """Bytes by which the proxy grows over cells, and over reconnections, after a tenth of each."""
    with proxy(2) as (url, process):
        page = await Page(url, secrets.token_urlsafe(12)).open()
        code = "print('x' * 100)\ny = torch.ones(100)"

        async def run(count: int) -> None:
            for _ in range(count):
                await page.run(code, assigned=["y"])

        async def reconnect(count: int) -> None:
            for _ in range(count):
                await page.close()
                await page.open()

        async def growth(work: Callable[[int], Any], count: int) -> float:
            await work(count // 10)
            before = process.memory_info().rss
            await work(count - count // 10)
            return process.memory_info().rss - before

        over_cells = await growth(run, cells)
        over_reconnects = await growth(reconnect, reconnects)
        await page.close()
        return over_cells, over_reconnects


def report(cells: int = 1000) -> None:
    """Measure and print."""
    count = min(SESSIONS, int((psutil.virtual_memory().available - LEFT_BYTES) / KERNEL_BYTES))
    if count < SESSIONS:
        print(f"\nThis machine's memory has room for {count} kernels of {SESSIONS}.")
    asyncio.run(sessions(count, cells))
    asyncio.run(pulls())
    over_cells, over_reconnects = asyncio.run(memory(CELLS, RECONNECTS))
    print("\nMemory of the proxy")
    for label, growth in {
        f"more after {CELLS:,} cells": over_cells,
        f"more after {RECONNECTS:,} reconnections": over_reconnects,
    }.items():
        target(label, growth / MIB, "at most", GROWTH_TARGET_MIB, "MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--cells", type=int, default=1000, help="of each kind (%(default)s)")
    report(parser.parse_args().cells)
