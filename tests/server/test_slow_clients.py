"""Clients that do not go on: half a request, or one byte a second of a large array. Others do not notice."""

import contextlib
import json
import os
import statistics
import threading
import time

import pytest
from hostile import RawSocket, RawWebSocket, frame_head, open_descriptors
from native_notebook import NativeNotebook
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel

MIB = 2**20
#: Of each kind.
MANY = 60
#: How much slower others may be, and what is too short to be compared, in seconds.
SLOWER, NOISE_S = 2, 0.03


@pytest.fixture(scope="module")
def proxy():
    started = Proxy("--shared-memory", "512")
    yield started
    started.interrupt()


HEAD = f"GET /kernel_proxy/api/v1/ HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {ORIGIN}\r\n"
BODY = f"POST /kernel_proxy/api/v1/pair HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {ORIGIN}\r\n"
HELLO = b'{"type": "hello", "proto'


def half_head(proxy):
    line = RawSocket(proxy)
    line.send(HEAD.encode())
    return line


def half_body(proxy):
    line = RawSocket(proxy)
    line.send(f'{BODY}Content-Length: 100\r\n\r\n{{"code"'.encode())
    return line


def half_hello(proxy):
    line = RawWebSocket(proxy)
    line.send(frame_head(200) + HELLO)
    return line


def no_hello(proxy):
    return RawWebSocket(proxy)


def nothing(proxy):
    return RawSocket(proxy)


def ended(line):
    """True when the other end has closed it; what it says before is not looked at."""
    with contextlib.suppress(TimeoutError, BlockingIOError):
        line.socket.setblocking(False)
        try:
            while line.socket.recv(2**16):
                pass
        except ConnectionResetError:
            pass
        return True
    return False


def cell_times(notebook, count=15):
    """Seconds of trivial cells."""
    times = []
    for n in range(count):
        began = time.perf_counter()
        assert notebook.torch(f"{n} + 1") == n + 1
        times.append(time.perf_counter() - began)
    return times


def not_slower(without, with_them):
    """Compare medians, since the machine has other things to do."""
    before, after = statistics.median(without), statistics.median(with_them)
    assert after <= max(SLOWER * before, NOISE_S), (before, after)


@pytest.mark.alone
def test_half_requests(proxy, loop):
    notebook = NativeNotebook(proxy, loop)
    without = cell_times(notebook)
    before = open_descriptors(proxy.process.pid)
    kinds = (half_head, half_body, half_hello, no_hello, nothing)
    lines = [kind(proxy) for kind in kinds for _ in range(MANY)]
    try:
        not_slower(without, cell_times(notebook))
        deadline = time.monotonic() + 40
        while left := [line for line in lines if not ended(line)]:
            assert time.monotonic() < deadline, f"{len(left)} are still there"
            notebook.torch("1")
            time.sleep(0.2)
    finally:
        for line in lines:
            line.close()
    assert open_descriptors(proxy.process.pid) <= before + 2
    notebook.close()


def test_a_page_that_sends_half_a_frame(proxy):
    """It has said hello, so that it may take its time; its session goes on for others."""
    page = RawChannel(proxy)
    page.greet()
    line = RawWebSocket(proxy)
    assert line.hello(page.session)["type"] == "welcome"
    line.send(frame_head(20 * MIB) + bytes(MIB))
    cell = page.cell("1 + 1")
    assert page.reply(cell)["msg"]["metadata"]["torch"]["result"] == 2
    line.close()
    page.shut_down()


def exported(page, code, size):
    """Run a cell that assigns `y`; return what fetches it, and its size in bytes."""
    cell = page.cell(code, assigned=["y"], eager=0)
    (tensor,) = page.reply(cell)["msg"]["metadata"]["torch"]["tensors"]
    assert tensor["nbytes"] == size, tensor
    return tensor["handle"]


class Download(RawSocket):
    """A pull whose bytes are read when the test wants them."""

    def __init__(self, proxy, page, handle):
        super().__init__(proxy)
        self.send(
            f"GET /kernel_proxy/api/v1/tensors HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {ORIGIN}\r\n"
            f"Authorization: token {proxy.token}\r\nTorch-Session: {page.session}\r\n"
            f"Torch-Handle: {handle}\r\nConnection: close\r\n\r\n".encode()
        )

    def body(self):
        """Return all of the file."""
        return self.rest().partition(b"\r\n\r\n")[2]


@pytest.mark.alone
def test_one_byte_a_second_of_256_mib(proxy, loop):
    notebook = NativeNotebook(proxy, loop)
    notebook.torch("z = torch.ones(8 * 2**20)")

    def fetch_times():
        times = []
        for n in range(5):
            notebook.torch(f"z = torch.full((4 * 2**20,), {n}.)")
            began = time.perf_counter()
            notebook.local("id(z)")
            times.append(time.perf_counter() - began)
        return times

    cells, fetches = cell_times(notebook), fetch_times()
    page = RawChannel(proxy)
    page.greet()
    handle = exported(page, "y = torch.ones(64 * 2**20)", 256 * MIB)
    slow = Download(proxy, page, handle)
    stop = threading.Event()

    def read_slowly():
        while slow.socket.recv(1) and not stop.wait(1):
            pass

    reader = threading.Thread(target=read_slowly)
    reader.start()
    try:
        not_slower(cells, cell_times(notebook))
        not_slower(fetches, fetch_times())
        # Its own page's cells run as well, and the memory is counted as long as it is held.
        assert page.reply(page.cell("1 + 1"))["msg"]["metadata"]["torch"]["result"] == 2
        page.send(type="release", handles=[handle])
        cell = page.cell("y = torch.ones(68 * 2**20)", assigned=["y"], eager=0)
        (refused,) = page.reply(cell)["msg"]["metadata"]["torch"]["tensors"]
        assert "--shared-memory" in refused["error"], refused
    finally:
        stop.set()
        reader.join()
        slow.close()
    # When it is gone there is room.
    deadline = time.monotonic() + 20
    while True:
        cell = page.cell("y = torch.ones(68 * 2**20)", assigned=["y"], eager=0)
        (tensor,) = page.reply(cell)["msg"]["metadata"]["torch"]["tensors"]
        if "error" not in tensor:
            break
        assert time.monotonic() < deadline
    page.shut_down()
    notebook.close()


def test_memory_that_is_being_sent_is_not_used_again(proxy):
    page = RawChannel(proxy)
    page.greet()
    slow = Download(proxy, page, exported(page, "y = torch.full((8 * 2**20,), 7.)", 32 * MIB))
    assert slow.socket.recv(9) == b"HTTP/1.1 "
    # Each of the next cells gives the memory of the one before back to the kernel's pool.
    for n in range(5):
        fast = Download(
            proxy, page, exported(page, f"y = torch.full((8 * 2**20,), {n}.)", 32 * MIB)
        )
        assert set(struct_floats(fast.body())) == {n}
        fast.close()
    assert set(struct_floats(slow.body())) == {7}
    slow.close()
    page.shut_down()


def struct_floats(file):
    """The numbers of a file with one tensor of float32."""
    view = memoryview(file)
    start = 8 + int.from_bytes(view[:8], "little")
    (entry,) = json.loads(bytes(view[8:start])).values()
    return view[start : start + entry["data_offsets"][1]].cast("f")


def test_the_end_of_a_session_ends_what_it_sends(proxy):
    page = RawChannel(proxy)
    page.greet()
    slow = Download(proxy, page, exported(page, "y = torch.ones(8 * 2**20)", 32 * MIB))
    assert slow.socket.recv(9) == b"HTTP/1.1 "
    before = shared(proxy.process.pid)
    page.shut_down()
    assert len(slow.body()) < 32 * MIB
    slow.close()
    deadline = time.monotonic() + 10
    while shared(proxy.process.pid) != before - 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def shared(pid):
    """How many pieces of shared memory a process has mapped."""
    with open(f"/proc/{pid}/maps") as maps:
        return sum("memfd:jupyterlite-torch" in line for line in maps)


def test_shared_memory_is_for_its_user_alone(proxy):
    page = RawChannel(proxy)
    page.greet()
    exported(page, "y = torch.ones(2**20)", 4 * MIB)
    modes = set()
    for name in os.listdir(f"/proc/{proxy.process.pid}/fd"):
        path = f"/proc/{proxy.process.pid}/fd/{name}"
        if "memfd:jupyterlite-torch" in os.readlink(path):
            modes.add(oct(os.stat(path).st_mode & 0o777))
    assert modes == {"0o600"}
    page.shut_down()
