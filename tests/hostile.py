"""What no page would send: frames, messages and requests with something wrong in them."""

import copy
import json
import os
import socket
import struct

from proxy import ORIGIN

#: What a value is replaced by.
VALUES = [
    None, True, -1, 0, 7, 2**31, 2**63, 2**64, -(2**70), 0.5, 1e308, float("nan"), float("inf"), "",
    "x", "x" * 5000, "../../etc/passwd", "..\\..\\x", "/dev/null", "\x00", "\ud800", "é" * 300, "%00",
    "__import__('os')", [], {}, [None], [[[]]], {"": {}}, {"a": 1, "b": 2}, [2**62] * 4,
]  # fmt: skip
#: Levels of a value that is nested absurdly.
DEPTHS = (150, 900, 5000)
_HANDSHAKE = (
    "GET /kernel_proxy/api/v1/channel HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {origin}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
TEXT, BINARY = 1, 2


def nested(depth, rng):
    """Return JSON text of a value of so many levels."""
    begin, end = rng.choice([("[", "]"), ('{"a":', "}")])
    return begin * depth + "1" + end * depth


def mutate(value, rng, times=1):
    """Return a copy of a JSON value with parts replaced, left out or added."""
    value = copy.deepcopy(value)
    for _ in range(times):
        places = list(_places(value))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        how = rng.randrange(4)
        if how == 0 and isinstance(holder, dict):
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            holder[rng.choice(["", "torch", "subshell_id", "buffers", "é", key])] = _hostile(rng)
        else:
            holder[key] = _hostile(rng)
    return value


def _hostile(rng):
    return copy.deepcopy(rng.choice(VALUES))


def _places(value):
    """Yield (container, key) of all that is inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield value, key
        if isinstance(item, dict | list) and item:
            yield from _places(item)


def damage(data, rng):
    """Return bytes with some of them changed, left out, added or repeated."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data) + 1)
        how = rng.randrange(5)
        if how == 0 and place < len(data):
            data[place] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[place:]
        elif how == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif how == 3:
            del data[place : place + rng.randrange(1, 9)]
        else:
            data[place:place] = data[place : place + rng.randrange(1, 99)]
    return bytes(data)


def packed(text, parts, lengths=None):
    """Return a binary frame; `lengths` in the place of the right ones is the text's affair."""
    return struct.pack("<I", len(text)) + text + b"".join(parts)


class RawSocket:
    """A connection to a proxy whose bytes the test makes itself."""

    def __init__(self, proxy, timeout_s=30):
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), timeout_s)

    def send(self, data):
        """Send bytes; what the other end does not want any more is no error."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def rest(self):
        """Return what comes until the other end closes."""
        data = bytearray()
        try:
            while more := self.socket.recv(2**20):
                data += more
        except ConnectionResetError:
            pass
        return bytes(data)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class RawWebSocket(RawSocket):
    """A WebSocket whose frames may be anything."""

    def __init__(self, proxy, origin=ORIGIN):
        super().__init__(proxy)
        self._proxy = proxy
        self.send(_HANDSHAKE.format(origin=origin).encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._read()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head

    def hello(self, session, **changes):
        """Say hello and return the first answer."""
        self.frame(json.dumps({
            "type": "hello", "protocol": 1, "token": self._proxy.token, "session": session,
            "log": None, "seq": 0, **changes,
        }).encode())  # fmt: skip
        while (answer := self.receive())[0] == 9:
            pass
        return json.loads(answer[1])

    def frame(self, data, kind=TEXT):
        """Send a whole frame."""
        return self.send(frame_head(len(data), kind) + data)

    def receive(self):
        """Return the next (kind, data); kind 8 with the close code."""
        head = self._take(2)
        size = head[1] & 127
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8))
        return head[0] & 15, self._take(size)

    def _take(self, count):
        while len(self._data) < count:
            self._read()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def _read(self):
        more = self.socket.recv(2**16)
        if not more:
            raise ConnectionError("closed")
        self._data += more


def frame_head(size, kind=TEXT):
    """Return what comes before the bytes of a client's frame; the mask is zero."""
    if size < 126:
        length = bytes([128 | size])
    elif size < 2**16:
        length = bytes([128 | 126]) + struct.pack(">H", size)
    else:
        length = bytes([128 | 127]) + struct.pack(">Q", size)
    return bytes([128 | kind]) + length + bytes(4)


def resident_bytes(pid):
    """What a process has in memory that is its own."""
    with open(f"/proc/{pid}/statm") as file:
        total, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def open_descriptors(pid):
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
