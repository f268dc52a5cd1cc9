"""The channel to a session: requests up, events down, over a transport that may break and come back.

A transport has two methods: `async fetch(method, path, headers, body=None)` returning
`(status, JSON)`, and `async open(path)` returning a socket with `send(frame)`, `async receive()`
and `close()`. A frame is text, or a sequence of buffers that go as one binary message. `receive` and
`open` raise ConnectionError when the line is gone.
"""

import asyncio
import json
import uuid
from datetime import UTC, datetime

from . import _frames
from ._errors import ConnectError, KernelDied, ServerError, TransferError
from ._upload import PART_BYTES, PARTS_IN_FLIGHT, Upload

PROTOCOL = 1
#: Seconds between tries to get a broken connection back, and how long it is tried in all.
RETRY_DELAYS_S = (0.1, 0.2, 0.5, 1, 2, 5)
RETRY_FOR_S = 120
#: Seconds after which a person is told that the line is broken.
NOTICE_AFTER_S = 2
#: Events between two acknowledgements.
ACK_EVERY = 50


async def describe(transport, headers):
    """Return the server's description; ConnectError with the reason when it gives none."""
    status, reply = await transport.fetch("GET", "", headers)
    if isinstance(reply, dict):
        if status == 200 and reply.get("name") == "jupyterlite-torch":
            return reply
        if "message" in reply and "reason" in reply:
            raise ConnectError(reply["message"], reply["reason"])
    raise ConnectError(
        f"A server answers at {transport.url}, and it is not `jupyter torch-proxy`. Check the address.",
        "not-a-proxy",
    )


class Reply:
    """What a request came to: the reply message and its binary parts."""

    def __init__(self, message, buffers):
        self.content = message["content"]
        self.metadata = message["metadata"]
        self.buffers = buffers


class _Request:
    """A request under way: what has come for it, in order."""

    def __init__(self, frame):
        self.frame = frame
        self.events = asyncio.Queue()


class Channel:
    """One session of one server. `notice(text)` is called for what a person should know."""

    def __init__(self, transport, token, session, notice):
        self._transport = transport
        self._token = token
        self._session = session
        self._notice = notice
        self._socket = None
        self._pump = None
        self._log = None
        self._seq = 0
        self._acknowledged = 0
        self._requests = {}
        self._uploads = {}
        self._closed = False
        self.limits = {}
        self.welcome = None

    # --- Opening ---------------------------------------------------------------------------------

    async def open(self):
        """Connect; return the server's welcome. ConnectError says what is wrong."""
        await self._describe()
        await self._hello()
        self._pump = asyncio.ensure_future(self._receive())
        return self.welcome

    async def _describe(self):
        # A page can read the errors of a plain fetch, and nothing of a WebSocket's.
        description = await describe(self._transport, self._headers())
        if description.get("protocol") != PROTOCOL:
            raise ConnectError(
                f"The server's jupyterlite-torch {description.get('version')} speaks protocol "
                f"{description.get('protocol')} and this page {PROTOCOL}: install the same release on "
                "both sides.",
                "protocol",
            )
        self.limits = description["limits"]

    async def _hello(self):
        socket = await self._transport.open("channel")
        hello = {
            "type": "hello",
            "protocol": PROTOCOL,
            "token": self._token,
            "session": self._session,
            "log": self._log,
            "seq": self._seq,
        }
        socket.send(json.dumps(hello))
        frame, _ = _frames.parse(await socket.receive())
        if frame["type"] == "refused":
            socket.close()
            raise ConnectError(frame["message"], frame["reason"])
        if frame["log"] != self._log and (self._requests or self._uploads):
            self._fail_all(KernelDied("The server was restarted, and its kernels with it."))
        if frame["lost"]:
            self._notice(_lost(frame["lost"]))
        self._log, self._seq = frame["log"], frame["seq"]
        self._acknowledged = self._seq
        self._socket, self.welcome = socket, frame
        for request in self._requests.values():
            # The server takes a request that it already has only once.
            socket.send(request.frame)
        for upload in self._uploads.values():
            for start in upload.in_flight:
                socket.send(upload.part(start))

    def _headers(self):
        return {"Authorization": f"token {self._token}"}

    @property
    def session_headers(self):
        """The headers of a request that concerns this session."""
        return {**self._headers(), "Torch-Session": self._session}

    def close(self):
        """End the connection; the session goes on at the server."""
        self._closed = True
        if self._pump:
            self._pump.cancel()
        if self._socket:
            self._socket.close()

    # --- Up --------------------------------------------------------------------------------------

    async def execute(self, code, on_event, metadata=None, buffers=()):
        """Run code in the session; `on_event(message)` gets each message of it, in order.

        Streams that follow each other come as one. Returns the Reply.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        return await self.request(
            "shell", "execute_request", content, on_event, metadata or {}, buffers
        )

    async def request(
        self, channel, kind, content, on_event=lambda message: None, metadata=None, buffers=()
    ):
        """Send a Jupyter request and return its Reply, once its last event has come."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "username": "",
            "session": self._session,
            "date": datetime.now(UTC).isoformat(),
            "version": "5.4",
        }
        message = {
            "header": header,
            "parent_header": {},
            "metadata": metadata or {},
            "content": content,
        }
        frame = {
            "type": "request",
            "channel": channel,
            "msg": message,
            "buffers": [len(part) for part in buffers],
        }
        request = _Request(_frames.build(frame, buffers))
        size = sum(map(len, request.frame)) if buffers else len(request.frame)
        if size > self.limits["message_bytes"]:
            raise ServerError(
                f"This cell and its plain values are {size / 2**20:.0f} MiB, and the "
                f"server takes {self.limits['message_bytes'] / 2**20:.0f}: make arrays of long lists."
            )
        self._requests[header["msg_id"]] = request
        try:
            if self._socket is not None:
                self._socket.send(request.frame)
            return await self._follow(request, channel, on_event)
        finally:
            self._requests.pop(header["msg_id"], None)

    async def _follow(self, request, channel, on_event):
        reply, idle = None, False
        while reply is None or not idle:
            for kind, item in _joined(await _batch(request.events)):
                if kind == "failed":
                    raise item
                message, buffers = item
                if kind == channel:
                    reply = Reply(message, buffers)
                elif message["header"]["msg_type"] == "status":
                    idle = idle or message["content"]["execution_state"] == "idle"
                else:
                    on_event(message)
        self._acknowledge()
        return reply

    async def upload(self, identifier, pieces, size):
        """Send `pieces`, buffers of `size` bytes in all; TransferError when the server refuses.

        A request that is sent afterwards finds them there.
        """
        upload = self._uploads[identifier] = Upload(identifier, pieces, size)
        try:
            for start in range(0, size, PART_BYTES):
                await upload.room(PARTS_IN_FLIGHT)
                upload.in_flight[start] = None
                if self._socket is not None:
                    self._socket.send(upload.part(start))
            await upload.room(1)
        finally:
            del self._uploads[identifier]

    def release(self, handles):
        """Let the server give back the memory of tensor handles."""
        if handles and self._socket is not None:
            self._socket.send(json.dumps({"type": "release", "handles": list(handles)}))

    def _acknowledge(self):
        if self._socket is not None and self._acknowledged < self._seq:
            self._acknowledged = self._seq
            self._socket.send(json.dumps({"type": "ack", "seq": self._seq}))

    # --- Down ------------------------------------------------------------------------------------

    async def _receive(self):
        while not self._closed:
            try:
                self._take(*_frames.parse(await self._socket.receive()))
            except ConnectionError:
                self._socket = None
                try:
                    await self._reconnect()
                except ConnectError as error:
                    self._fail_all(error)
                    return

    def _take(self, frame, buffers):
        if frame["type"] == "lost":
            self._notice(_lost(frame["count"]))
            return
        if frame["type"] == "uploaded" and frame["id"] in self._uploads:
            error = TransferError(frame["message"]) if "message" in frame else None
            self._uploads[frame["id"]].settle(frame.get("start"), error)
        if frame["type"] != "event":
            return
        self._seq = frame["seq"]
        if self._seq - self._acknowledged >= ACK_EVERY:
            self._acknowledge()
        message = frame["msg"]
        if message["header"]["msg_type"] == "kernel_died":
            self.welcome["session"]["generation"] = message["content"]["generation"]
        request = self._requests.get(message["parent_header"].get("msg_id"))
        if request is not None:
            request.events.put_nowait((frame["channel"], (message, buffers)))

    async def _reconnect(self):
        loop = asyncio.get_running_loop()
        start, noticed = loop.time(), False
        for attempt in range(10**6):
            await asyncio.sleep(RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S) - 1)])
            try:
                await self._hello()
            except (ConnectionError, ConnectError) as error:
                gone = loop.time() - start
                if isinstance(error, ConnectError) and error.reason != "unreachable":
                    raise
                waited_for = self._requests or self._uploads
                if gone > RETRY_FOR_S or not waited_for:
                    raise ConnectError(
                        "The connection to the server broke and did not come back. What runs there "
                        "goes on; `%torch connect` finds it again."
                    ) from None
                if gone > NOTICE_AFTER_S and not noticed:
                    noticed = True
                    self._notice("The connection to the server broke; trying to get it back…")
            else:
                if noticed:
                    self._notice("Connected again; nothing was lost.")
                return

    def give_up(self):
        """Stop waiting for a broken connection; False when it is not broken."""
        if self._socket is not None:
            return False
        self._pump.cancel()
        self._fail_all(
            ConnectError(
                "Stopped waiting for the broken connection. What runs on the server goes on; the "
                "next `%%torch` cell connects again."
            )
        )
        return True

    @property
    def is_open(self):
        """False when the line is gone for good and a new Channel is needed."""
        return not self._closed and self._pump is not None and not self._pump.done()

    def _fail_all(self, error):
        for request in self._requests.values():
            request.events.put_nowait(("failed", error))
        for upload in self._uploads.values():
            upload.settle(error=error)
        # What has failed is not sent again, to a kernel that may be another one.
        self._requests.clear()


async def _batch(queue):
    """Wait for one item and return it with all that are there already."""
    items = [await queue.get()]
    while not queue.empty():
        items.append(queue.get_nowait())
    return items


def _joined(items):
    """Join stream messages that follow each other: the page takes each `write` one by one."""
    joined = []
    for kind, item in items:
        if kind == "iopub" and item[0]["header"]["msg_type"] == "stream" and joined:
            last_kind, last = joined[-1]
            if (
                last_kind == "iopub"
                and last[0]["header"]["msg_type"] == "stream"
                and last[0]["content"]["name"] == item[0]["content"]["name"]
            ):
                last[0]["content"]["text"] += item[0]["content"]["text"]
                continue
        joined.append((kind, item))
    return joined


def _lost(count):
    return (
        f"{count} messages of this session were lost: they waited longer than the server's event "
        "log has room."
    )
