"""10,000 requests, frames and messages with something wrong in them: each is refused in a sentence or
ignored, and nothing of them stays."""

import collections
import json
import re
import secrets
import socket
import struct
import urllib.request
import uuid

import pytest
from hostile import (
    BINARY,
    DEPTHS,
    TEXT,
    VALUES,
    RawSocket,
    RawWebSocket,
    damage,
    frame_head,
    mutate,
    nested,
    open_descriptors,
    packed,
    resident_bytes,
)
from processes import wait_until
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel

from jupyterlite_torch import _safetensors

MIB = 2**20
FRAMES, MESSAGES, HELLOS, REQUESTS = 3000, 4500, 1000, 1500
#: What a session may hold of its events, and what the allocator keeps.
GROWTH_BYTES = 32 * MIB
#: What is in the log of a proxy in which something went wrong that nobody had thought of.
FAULTS = ("Traceback", "Exception", "Uncaught", "never retrieved")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("proxy") / "log"


@pytest.fixture(scope="module")
def proxy(log):
    started = Proxy("--log-level", "INFO", "--shared-memory", "64", log=log)
    yield started
    started.interrupt()


@pytest.fixture(scope="module")
def page(proxy):
    """A page that behaves, in a session of its own."""
    opened = RawChannel(proxy)
    assert opened.greet()["type"] == "welcome"
    assert works(opened)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def unharmed(proxy, page, log):
    """After the hostile ones the log has no fault, the others' cells work, and nothing has grown."""
    pid = proxy.process.pid
    before, memory = open_descriptors(pid), resident_bytes(pid)
    yield
    assert works(page)
    said = log.read_text()
    fault = re.search("|".join(FAULTS), said)
    assert not fault, said[max(0, fault.start() - 500) :][:5000]
    assert open_descriptors(pid) <= before + 10
    assert resident_bytes(pid) <= memory + GROWTH_BYTES


def works(page):
    cell = page.cell("1 + 1")
    return page.reply(cell)["msg"]["metadata"]["torch"]["result"] == 2


def file_of(*entries):
    """Return a safetensors file of zeros."""
    head, size = _safetensors.layout([_safetensors.Entry(*entry) for entry in entries])
    return head + bytes(size - len(head))


GOOD_FILE = file_of(("0", "F32", [2, 3]), ("1", "I64", [4]))
PULL = {
    "assigned": ["x"], "stale": [], "mentioned": ["x"], "expressions": {"y": "1 + 1"},
    "eager": 1000, "limit": 0, "hold": None, "dropped": ["x"],
}  # fmt: skip
PUSH = {
    "values": {"x": {"tensor": "0"}, "z": {"tuple": [1, {"array": "1"}]}},
    "device": {"x": "cpu"}, "dtype": None, "imports": {"m": ["math", None]}, "delete": ["q"],
    "tensors": "buffer",
}  # fmt: skip
CODE = {
    "code": "x = 1", "silent": False, "store_history": True, "user_expressions": {},
    "allow_stdin": False, "stop_on_error": True,
}  # fmt: skip
HEADER = {"username": "", "session": "s", "date": "2026-01-01T00:00:00Z", "version": "5.4"}
#: Requests that are in order: channel, type, content, metadata.
GOOD_REQUESTS = [
    ("shell", "execute_request", CODE, {"torch": {"push": PUSH, "pull": PULL}}),
    ("shell", "execute_request", CODE, {"torch": {"push": None, "pull": PULL}}),
    ("shell", "execute_request", CODE, {}),
    ("shell", "complete_request", {"code": "tor", "cursor_pos": 3}, {}),
    ("shell", "comm_open", {"comm_id": "c", "target_name": "t", "data": {}}, {}),
    ("shell", "comm_msg", {"comm_id": "c", "data": {}}, {}),
    ("stdin", "input_reply", {"value": "me"}, {}),
    ("control", "interrupt_request", {"cell": "nothing"}, {}),
    ("control", "cells_request", {}, {}),
    ("control", "replay_request", {"cell": "nothing", "after": 0, "bytes": 1000}, {}),
    ("control", "peek_request", {"expression": "1", "eager": 1000, "limit": 0}, {}),
    (
        "control",
        "use_request",
        {
            "handle": "h", "operation": "call", "name": "sum", "arguments": [{"tensor": "0"}],
            "options": {"dim": 0}, "eager": 1000, "limit": 0,
        },
        {},
    ),
]  # fmt: skip


def request(channel, kind, content, metadata):
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, **HEADER}
    message = {"header": header, "parent_header": {}, "metadata": metadata, "content": content}
    return {"type": "request", "channel": channel, "msg": message}


#: Frames that are in order, and their binary parts.
def good_frames():
    yield request(*GOOD_REQUESTS[0]), [GOOD_FILE]
    yield request(*GOOD_REQUESTS[2]), []
    upload = {"type": "upload", "id": "u" * 12, "start": 0, "total": 5, "crc32": 0}
    yield upload, [b"abcde"]
    yield {"type": "ack", "seq": 0}, []
    yield {"type": "release", "handles": ["h"]}, []
    yield {"type": "drop", "id": "u" * 12}, []
    yield {"type": "seen", "cell": "c"}, []
    yield {"type": "ping"}, []


def encoded(frame, parts, rng):
    """Return (kind, bytes) of a frame, some of them nested absurdly."""
    text = json.dumps(frame)
    if rng.random() < 0.03:
        text = text.replace("1", nested(rng.choice(DEPTHS), rng), 1)
    if parts or rng.random() < 0.1:
        return BINARY, packed(text.encode(), parts)
    return TEXT, text.encode()


def broken_frame(rng):
    """Return (kind, bytes) of a frame with something wrong."""
    frame, parts = rng.choice(list(good_frames()))
    if parts:
        frame["buffers"] = [len(part) for part in parts]
    if rng.random() < 0.6:
        return encoded(mutate(frame, rng, rng.randrange(1, 4)), parts, rng)
    kind, data = encoded(frame, parts, rng)
    return rng.choice([kind, kind, TEXT, BINARY, 3, 9, 10]), damage(data, rng)


def test_frames(proxy, rng):
    """Each of a page that has said hello; it comes back when it is refused."""
    session = secrets.token_urlsafe(12)
    line = opened(proxy, session)
    for _ in range(FRAMES):
        kind, data = broken_frame(rng)
        line.frame(data, kind)
        line.frame(b'{"type":"ping"}')
        if not answered(line):
            line.close()
            line = opened(proxy, session)
    line.close()
    ask(proxy, "sessions", "DELETE", session)


def runs_a_cell(line):
    """Run one; False when the line was closed."""
    cell = request("shell", "execute_request", CODE, {"torch": {"push": None, "pull": None}})
    line.frame(json.dumps(cell).encode())
    return answered(line, f'"msg_id": "{cell["msg"]["header"]["msg_id"]}"')


def opened(proxy, session):
    line = RawWebSocket(proxy)
    answer = line.hello(session)
    assert answer["type"] == "welcome", answer
    return line


def answered(line, text="pong"):
    """Read until a frame has `text` and is a pong or a reply; False when the line was closed."""
    try:
        while True:
            kind, data = line.receive()
            if kind == 8:
                return False
            if text.encode() in data and (b'"pong"' in data or b"execute_reply" in data):
                assert b"too-many" not in data
                return True
    except ConnectionError:
        return False


def ask(proxy, path, method, session):
    request = urllib.request.Request(
        f"{proxy.url}/kernel_proxy/api/v1/{path}",
        headers={"Authorization": f"token {proxy.token}", "Torch-Session": session},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def broken_request(rng):
    """Return a request with something wrong in a part of its message, and its binary part."""
    frame = request(*rng.choice(GOOD_REQUESTS))
    message = frame["msg"]
    for part, chance in (("content", 0.7), ("metadata", 0.5), ("header", 0.02)):
        if rng.random() < chance:
            message[part] = mutate(message[part], rng, rng.randrange(1, 3))
    if rng.random() < 0.02:
        message["header"][rng.choice(["subshell_id", "date", "version", "x"])] = rng.choice(VALUES)
    if rng.random() < 0.1:
        frame["channel"] = rng.choice(["shell", "control", "stdin"])
    if message["header"].get("msg_type") == "interrupt_request":
        # Interrupts whatever runs, and a signal that comes between its own lines ends a kernel.
        message["content"] = {"cell": rng.choice(["", "x" * 200, 5, []])}
    part = rng.choice([GOOD_FILE, GOOD_FILE, lying_file(rng), damage(GOOD_FILE, rng), b""])
    frame["buffers"] = [len(part)]
    return frame, part


def lying_file(rng):
    """Return a safetensors file whose header is JSON and says something else than what is there."""
    head = json.loads(GOOD_FILE[8 : _safetensors.header_size(GOOD_FILE[:8])])
    text = json.dumps(mutate(head, rng, rng.randrange(1, 3))).encode()
    return struct.pack("<Q", len(text)) + text + GOOD_FILE[-56:]


def test_messages(proxy, rng):
    """Requests in frames that are in order, of a page that goes on: each gets a reply."""
    session = secrets.token_urlsafe(12)
    line = opened(proxy, session)
    for number in range(MESSAGES):
        frame, part = broken_request(rng)
        kind, data = encoded(frame, [part], rng)
        line.frame(data, kind)
        if number % 10 and frame["msg"]["header"].items() >= HEADER.items():
            continue
        # None of them keeps another one waiting.
        while not runs_a_cell(line):
            line.close()
            line = opened(proxy, session)
    line.close()
    page = RawChannel(proxy, session)
    assert page.greet()["type"] == "welcome" and works(page)

    def all_ended():
        return {cell["state"] for cell in page.ask("cells_request")[0]["cells"]} == {"ended"}

    # What the closed line still held is taken beside the new one, and may come after its cell.
    wait_until(all_ended)
    page.shut_down()


def test_hellos(proxy, rng):
    """First messages of strangers and of pages: a refusal, or the end of the line."""
    good = {
        "type": "hello", "protocol": 1, "token": proxy.token, "session": "s" * 12, "log": None, "seq": 0,
    }  # fmt: skip
    for _ in range(HELLOS):
        with RawWebSocket(proxy) as line:
            # Never a session: they are few.
            hello = mutate(good | {"token": "wrong" * 5}, rng, rng.randrange(1, 4))
            kind, data = encoded(hello, [], rng)
            if rng.random() < 0.3:
                data = damage(data, rng)
            elif rng.random() < 0.2:
                data = json.dumps(
                    good | {"session": rng.choice(["", "../..", "a/b", "x" * 65])}
                ).encode()
            if rng.random() < 0.1:
                line.send(frame_head(rng.choice([2**16, 2**31, 2**62, len(data) + 1]), kind) + data)
                line.socket.shutdown(socket.SHUT_WR)
            else:
                line.frame(data, kind)
            assert not answered(line)


#: Requests that are in order: method, path, headers.
GOOD_HTTP = [
    ("GET", "", {}),
    ("GET", "sessions", {}),
    ("DELETE", "sessions", {"Torch-Session": "nothing-there"}),
    ("POST", "pair", {"Content-Type": "application/json"}),
    (
        "GET",
        "tensors",
        {"Torch-Session": "SESSION", "Torch-Handle": "HANDLE", "Range": "bytes=0-9"},
    ),
    ("GET", "tensors", {"Torch-Session": "SESSION", "Torch-Handle": "HANDLE", "Torch-Start": "3"}),
    (
        "GET",
        "tensors",
        {
            "Torch-Session": "SESSION",
            "Torch-Handle": "HANDLE",
            "Torch-Start": "3",
            "Torch-Rate": "1000",
            "Accept-Encoding": "zstd",
        },
    ),
    ("POST", "origins", {"Torch-Origin": "http://127.0.0.1:1"}),
    ("DELETE", "origins", {"Torch-Origin": "http://127.0.0.1:1"}),
    ("OPTIONS", "tensors", {"Access-Control-Request-Method": "GET"}),
    ("GET", "channel", {"Upgrade": "websocket", "Connection": "Upgrade"}),
]
HEADERS = ["", "-1", "0", "9" * 15, "9" * 400, "bytes=-1", "bytes=5-2", "bytes=0-1,3-4", "..", "\x00",
           "é", "a: b", "null", "*", "chunked", "x" * 9000, "gzip", "token"]  # fmt: skip
METHODS = [
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "HEAD",
    "TRACE",
    "get",
    "X" * 300,
    "",
]
PATHS = [
    "../../etc/passwd",
    "%2e%2e%2f",
    "tensors/%00",
    "sessions?token=x",
    "//",
    "\\",
    "%ff",
    "é",
    "#",
]


def broken_http(proxy, rng, values):
    """Return the bytes of a request with something wrong."""
    method, path, headers = rng.choice(GOOD_HTTP)
    headers = {
        "Host": "127.0.0.1",
        "Origin": ORIGIN,
        "Authorization": f"token {proxy.token}",
    } | headers
    headers = {name: values.get(value, value) for name, value in headers.items()}
    body = rng.choice([b"", b'{"code": "AAAA-AAAA"}', b"[]", b'{"code": 5}', b"\xff", b"[" * 5000])
    headers["Content-Length"] = str(len(body))
    for _ in range(rng.randrange(3)):
        extra = rng.choice(["Range", "Transfer-Encoding", "Content-Encoding", "Expect", "Cookie"])
        headers[rng.choice([*headers, extra])] = rng.choice(HEADERS)
    if rng.random() < 0.2:
        method = rng.choice(METHODS)
    if rng.random() < 0.2:
        path = rng.choice(PATHS)
    head = [f"{method} /kernel_proxy/api/v1/{path} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    first, *rest = [*head, "Connection: close", "", ""]
    data = "\r\n".join(rest).encode() + body
    # Not the address: others are the stock server's.
    return f"{first}\r\n".encode() + (damage(data, rng) if rng.random() < 0.3 else data)


def test_requests(proxy, rng):
    """HTTP of all kinds: each is answered, or its line is closed, and none with 500."""
    page = RawChannel(proxy)
    page.greet()
    cell = page.cell("y = torch.ones(1000)", assigned=["y"], eager=0)
    (tensor,) = page.reply(cell)["msg"]["metadata"]["torch"]["tensors"]
    statuses = collections.Counter()
    for _ in range(REQUESTS):
        data = broken_http(proxy, rng, {"SESSION": page.session, "HANDLE": tensor["handle"]})
        with RawSocket(proxy) as line:
            line.send(data)
            line.socket.shutdown(socket.SHUT_WR)
            answer = line.rest()
        status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/1.1 ") else b"none"
        assert not status.startswith(b"5") or status == b"501", (data, answer)
        assert b"Traceback" not in answer
        statuses[status] += 1
    # All of these were met, so that what was tried had reached every handler.
    assert statuses.keys() >= {
        b"200",
        b"206",
        b"204",
        b"400",
        b"401",
        b"403",
        b"404",
        b"405",
        b"416",
    }
    page.shut_down()
