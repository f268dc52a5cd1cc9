"""100 MiB there and back by clients of CPython: ours, ipyparallel's, and the ways that send JSON.

Each runs in a process of its own. Ours is the magic's own code over the transport of the tests.
"""

import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
#: Prints lines of `way milliseconds`; MIB and ROUNDS are defined.
OURS = """
import asyncio, sys, time
import numpy as np
sys.path.insert(0, "tests")
from native_notebook import NativeNotebook
from proxy import Proxy
proxy = Proxy()
notebook = NativeNotebook(proxy, asyncio.new_event_loop())
x = notebook.names["x"] = np.random.rand(MIB * 2**17)
for n in range(ROUNDS + 1):
    x += 1
    began = time.perf_counter(); notebook.torch("len(x);"); up = time.perf_counter() - began
    notebook.torch("_y = x + 1", "--no-auto")
    began = time.perf_counter()
    notebook.torch("pass", "--no-auto -o y=_y"); notebook.local("id(y)")
    down = time.perf_counter() - began
    assert notebook.names["y"][5] == x[5] + 1
    if n: print("up", up * 1000); print("down", down * 1000)
notebook.close()
proxy.interrupt()
"""
IPYPARALLEL = """
import time
import ipyparallel, numpy as np
with ipyparallel.Cluster(n=1, log_level=40) as client:
    engine = client[0]
    engine.block = True
    x = np.random.rand(MIB * 2**17)
    for n in range(ROUNDS + 1):
        x += 1
        began = time.perf_counter(); engine.push({"x": x}); up = time.perf_counter() - began
        engine.execute("y = x + 1")
        began = time.perf_counter(); y = engine.pull("y"); down = time.perf_counter() - began
        assert y[5] == x[5] + 1
        if n: print("up", up * 1000); print("down", down * 1000)
"""
#: Above 7.6 MiB its messages are refused by the server (jupyter-kernel-client 1.0).
KERNEL_CLIENT = """
import secrets, socket, subprocess, sys, time, urllib.request
import numpy as np
from jupyter_kernel_client import JupyterKernelClient
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
token, url = secrets.token_hex(16), f"http://127.0.0.1:{port}"
command = [sys.executable, "-m", "jupyter_server", f"--port={port}", "--allow-root",
           f"--IdentityProvider.token={token}"]
server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/api"); break
        except OSError:
            time.sleep(0.1)
    with JupyterKernelClient(server_url=url, token=token) as kernel:
        x = np.random.rand(MIB * 2**17)
        for n in range(ROUNDS + 1):
            x += 1
            began = time.perf_counter(); kernel.set_variable("x", x); up = time.perf_counter() - began
            kernel.execute("y = x + 1", silent=True)
            began = time.perf_counter(); y = kernel.get_variable("y"); down = time.perf_counter() - began
            assert y[5] == x[5] + 1
            if n: print("up", up * 1000); print("down", down * 1000)
finally:
    server.terminate(); server.wait()
"""
#: What a notebook does without any of these: lists as JSON, here without even a network.
JSON = """
import json, time
import numpy as np
x = np.random.rand(MIB * 2**17)
for n in range(2):
    began = time.perf_counter()
    text = json.dumps(x.tolist())
    y = np.array(json.loads(text))
    took = time.perf_counter() - began
    print("up", took * 1000); print("down", took * 1000)
"""
#: By name: the code, and its array in MiB if that is not what was asked for.
CLIENTS = {
    "%%torch (CPython)": (OURS, None),
    "ipyparallel": (IPYPARALLEL, None),
    "jupyter-kernel-client, 7 MiB": (KERNEL_CLIENT, 7),
    "JSON, encode and decode": (JSON, None),
}


def report(mib: int = 100) -> None:
    """Print the table."""
    print(f"\n{mib} MiB of float64 by clients of CPython, medians, in s")
    middle = {}
    for name, (code, other) in CLIENTS.items():
        command = [sys.executable, "-c", f"MIB, ROUNDS = {other or mib}, {ROUNDS}\n{code}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["?"])[-1]
            print(f"  {name:30} not measured: {reason}")
            continue
        times: dict[str, list[float]] = {}
        for line in done.stdout.splitlines():
            way, _, ms = line.partition(" ")
            if way in ("up", "down"):
                times.setdefault(way, []).append(float(ms))
        up, down = (statistics.median(times[way]) / 1000 for way in ("up", "down"))
        middle[name] = up + down
        print(f"  {name:30} there {up:6.2f}   back {down:6.2f}")
    if "ipyparallel" in middle:
        ratio = middle["%%torch (CPython)"] / middle["ipyparallel"]
        verdict = "met" if ratio <= 1 else "MISSED"
        print(f"  beside ipyparallel             {ratio:12.2f}   target: at most 1, {verdict}")


if __name__ == "__main__":
    report()
