"""The channel to a session: requests up, events down, over a transport that may break and come back.

A transport has two methods: `async fetch(method, path, headers, body=None)` returning
`(status, JSON)`, and `async open(path)` returning a socket with `send(frame)`, `async receive()`
and `close()`; all can be cancelled. A frame is text, or a sequence of buffers that go as one binary message. `receive` and
`open` raise ConnectionError when the line is gone.
"""

import asyncio
import json
import uuid
from datetime import UTC, datetime

from . import _frames
from ._errors import ConnectError, KernelDied, ServerError, TransferError
from ._request import Request
from ._upload import PARTS_IN_FLIGHT, Upload

PROTOCOL = 1
#: Seconds between tries to get a broken connection back, and how long it is tried in all; what a
#: sleeping machine slept does not count.
RETRY_DELAYS_S = (0.1, 0.2, 0.5, 1, 2, 5)
RETRY_FOR_S = 120
#: Seconds after which a person is told that the line is broken.
NOTICE_AFTER_S = 2
#: While something is waited for, the server is asked every so many seconds whether it is there; a
#: line that is silent for longer is taken for broken. A browser sees no end of a line that was cut
#: without a word.
PING_EVERY_S = 5
SILENCE_S = 10
_PING = json.dumps({"type": "ping"})
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


class Channel:
    """One session of one server.

    `kernel` names the kernelspec that its session has to have, None for whichever it has.
    `notice(text)` is called for what a person should know while no cell of theirs waits, and
    `on_event(message, buffers)` for each event that belongs to no request of this page.
    """

    def __init__(
        self,
        transport,
        token,
        session,
        notice,
        on_event=lambda message, buffers: None,
        kernel=None,
    ):
        self._transport = transport
        self._token = token
        self._session = session
        self.kernel = kernel
        self._notice = notice
        self._on_event = on_event
        self._socket = None
        self._pump = None
        self._watch = None
        self._silent_since = None
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
        self._watch = asyncio.ensure_future(self._watch_line())
        return self.welcome

    async def _describe(self):
        # A page can read the errors of a plain fetch, and nothing of a WebSocket's.
        description = await describe(self._transport, self._headers())
        if description.get("protocol") != PROTOCOL:
            raise ConnectError(_other_protocol(description), "protocol")
        self.limits = description["limits"]

    async def _hello(self):
        try:
            socket = await asyncio.wait_for(self._transport.open("channel"), SILENCE_S)
        except TimeoutError:
            raise ConnectionError("the server does not answer") from None
        try:
            await self._greet(socket)
        except BaseException:
            socket.close()
            raise

    async def _greet(self, socket):
        hello = {
            "type": "hello",
            "protocol": PROTOCOL,
            "token": self._token,
            "session": self._session,
            "kernel": self.kernel,
            "log": self._log,
            "seq": self._seq,
        }
        socket.send(json.dumps(hello))
        frame = await _first_answer(socket)
        if frame["type"] == "refused":
            raise ConnectError(frame["message"], frame["reason"])
        if frame["log"] != self._log and self.is_waiting:
            self._fail_all(KernelDied("The server was restarted, and its kernels with it."))
        if self.welcome is not None and frame["proxy"] != self.welcome["proxy"]:
            lost = TransferError(
                "The server was restarted while arrays were on their way; run the cell again."
            )
            for upload in self._uploads.values():
                upload.settle(error=lost)
        if frame["lost"]:
            self._tell(_lost(frame["lost"]))
        self._log, self._seq = frame["log"], frame["seq"]
        self._acknowledged = self._seq
        self._socket, self.welcome = socket, frame
        self._silent_since = None
        for request in self._requests.values():
            # The server takes a request that it already has only once.
            if request.frame is not None:
                socket.send(request.frame)
        for upload in self._uploads.values():
            for start in upload.in_flight if upload.error is None else ():
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
        for task in (self._pump, self._watch):
            if task:
                task.cancel()
        if self._socket:
            self._socket.close()

    # --- Up --------------------------------------------------------------------------------------

    def execute(self, code, metadata=None, buffers=(), identifier=None):
        """Send code to run in the session; return the Request, to be given to `finish`.

        `identifier` is its `msg_id` if it is not to be a random one.
        """
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": False,
        }
        return self._begin("execute_request", content, "shell", metadata, buffers, True, identifier)

    async def request(self, kind, content, buffers=()):
        """Send a request on the control channel and return its Reply."""
        return await self.finish(self._begin(kind, content, "control", None, buffers))

    def post(self, channel, kind, content, metadata=None, buffers=(), identifier=None, parent=None):
        """Send a message that has no reply: of a comm, or the answer to an input request."""
        frame, _ = self._frame(channel, kind, content, metadata, buffers, identifier, parent)
        if self._socket is not None:
            self._socket.send(frame)

    def _begin(
        self, kind, content, channel, metadata=None, buffers=(), shown=False, identifier=None
    ):
        frame, identifier = self._frame(channel, kind, content, metadata, buffers, identifier)
        size = sum(map(len, frame)) if buffers else len(frame)
        if size > self.limits["message_bytes"]:
            raise ServerError(
                f"This cell and its plain values are {size / 2**20:.0f} MiB, and the "
                f"server takes {self.limits['message_bytes'] / 2**20:.0f}: make arrays of long lists."
            )
        request = self._requests[identifier] = Request(identifier, channel, frame, shown)
        if self._socket is not None:
            self._socket.send(frame)
        return request

    def _frame(self, channel, kind, content, metadata, buffers, identifier=None, parent=None):
        identifier = identifier or uuid.uuid4().hex
        header = {
            "msg_id": identifier,
            "msg_type": kind,
            "username": "",
            "session": self._session,
            "date": datetime.now(UTC).isoformat(),
            "version": "5.4",
        }
        message = {
            "header": header,
            "parent_header": parent or {},
            "metadata": metadata or {},
            "content": content,
        }
        frame = {
            "type": "request",
            "channel": channel,
            "msg": message,
            "buffers": [len(part) for part in buffers],
        }
        return _frames.build(frame, buffers), identifier

    async def finish(self, request, on_event=lambda message, buffers: None):
        """Return the Reply to a Request, once its last event has come.

        `on_event(message, buffers)` gets each message of it, in order.
        """
        try:
            return await request.follow(on_event)
        finally:
            self.forget(request)
            self._acknowledge()

    def follow(self, identifier):
        """Return the Request of a cell that another page has begun, to be given to `finish`."""
        request = self._requests[identifier] = Request(identifier, "shell", None, True)
        return request

    def forget(self, request):
        """Wait for a Request no more."""
        self._requests.pop(request.id, None)

    def awaits(self, identifier):
        """True for a request of this page that is under way."""
        return identifier in self._requests

    def seen(self, identifier):
        """Say that a cell has been shown to its end, and need not be kept for a replay."""
        self._send({"type": "seen", "cell": identifier})

    async def upload(self, identifier, pieces, size, moved=lambda count: None):
        """Send `pieces`, buffers of `size` bytes in all; TransferError when the server refuses.

        `moved(count)` is told of bytes that are there. A request that is sent afterwards finds them.
        """
        upload = Upload(identifier, pieces, size, moved)
        self._uploads[identifier] = upload
        try:
            for start in upload.parts:
                await upload.room(PARTS_IN_FLIGHT)
                upload.in_flight[start] = None
                if self._socket is not None:
                    self._socket.send(upload.part(start))
            await upload.room(1)
        except asyncio.CancelledError:
            self._send({"type": "drop", "id": identifier})
            raise
        finally:
            del self._uploads[identifier]

    def release(self, handles):
        """Let the server give back the memory of tensor handles."""
        if handles := list(handles):
            self._send({"type": "release", "handles": handles})

    def _acknowledge(self):
        if self._socket is not None and self._acknowledged < self._seq:
            self._acknowledged = self._seq
            self._send({"type": "ack", "seq": self._seq})

    def _send(self, frame):
        if self._socket is not None:
            self._socket.send(json.dumps(frame))

    # --- Down ------------------------------------------------------------------------------------

    async def _receive(self):
        while not self._closed:
            try:
                if self._socket is None:
                    await self._reconnect()
                for frame, buffers in _frames.parse(await self._socket.receive()):
                    self._take(frame, buffers)
            except ConnectionError:
                self._socket = None
            except ConnectError as error:
                self._fail_all(error)
                return

    def _take(self, frame, buffers):
        self._silent_since = None
        if frame["type"] == "lost":
            self._tell(_lost(frame["count"]))
        elif frame["type"] == "uploaded" and frame["id"] in self._uploads:
            upload = self._uploads[frame["id"]]
            if frame.get("changed"):
                self._socket.send(upload.part(frame["start"]))
                return
            error = TransferError(frame["message"]) if "message" in frame else None
            upload.settle(frame.get("start"), error)
        elif frame["type"] == "ended":
            if not self.is_waiting:
                self._notice(frame["message"])
            raise ConnectError(frame["message"], frame.get("reason", "ended"))
        elif frame["type"] == "event":
            self._take_event(frame, buffers)

    def _take_event(self, frame, buffers):
        self._seq = frame["seq"]
        if self._seq - self._acknowledged >= ACK_EVERY:
            self._acknowledge()
        message = frame["msg"]
        if message["header"]["msg_type"] == "kernel_died":
            self.welcome["session"]["generation"] = message["content"]["generation"]
        request = self._requests.get(message["parent_header"].get("msg_id"))
        if message["header"]["msg_type"] == "notice" and not message["parent_header"]:
            # It says that nothing runs; what is under way has made that void.
            if not self.is_waiting:
                self._notice(message["content"]["text"])
        elif request is not None:
            request.take(self._seq, frame["channel"], message, buffers)
        else:
            self._on_event(message, buffers)

    # --- A line that breaks ----------------------------------------------------------------------

    async def _watch_line(self):
        """Find out that the line is dead while something is waited for."""
        loop = asyncio.get_running_loop()
        while not self._pump.done():
            await asyncio.sleep(PING_EVERY_S)
            if self._socket is None or not self.is_waiting:
                self._silent_since = None
            elif self._silent_since is None:
                self._silent_since = loop.time()
                self._socket.send(_PING)
            elif loop.time() - self._silent_since >= SILENCE_S:
                self._pump.cancel()
                self._socket.close()
                self._socket = None
                self._pump = asyncio.ensure_future(self._receive())

    async def _reconnect(self):
        loop = asyncio.get_running_loop()
        notice = loop.call_later(NOTICE_AFTER_S, self._say_broken)
        start, tried_for = loop.time(), 0.0
        try:
            for attempt in range(10**6):
                delay = RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S) - 1)]
                began = loop.time()
                await asyncio.sleep(delay)
                try:
                    await self._hello()
                except (ConnectionError, ConnectError) as error:
                    if isinstance(error, ConnectError) and error.reason != "unreachable":
                        raise
                else:
                    break
                tried_for += min(loop.time() - began, delay + SILENCE_S)
                if tried_for > RETRY_FOR_S or not self.is_waiting:
                    raise ConnectError(
                        "The connection to the server broke and did not come back. What runs there "
                        "goes on; `%torch connect` finds it again, and `%torch replay` shows what "
                        "it has printed."
                    ) from None
        finally:
            notice.cancel()
        if loop.time() - start > NOTICE_AFTER_S:
            self._tell("Connected again.")

    @property
    def is_waiting(self):
        """True while an answer of the server is due."""
        return bool(self._requests or self._uploads)

    def _say_broken(self):
        self._tell(
            "The connection to the server broke; trying to get it back… What runs there goes on. "
            "Stop ends the waiting."
        )

    def give_up(self):
        """Stop waiting for a broken connection; False when it is not broken."""
        if self._socket is not None:
            return False
        self._pump.cancel()
        self._fail_all(
            ConnectError(
                "Stopped waiting for the broken connection. What runs on the server goes on; the "
                "next `%%torch` cell connects again, and `%torch replay` shows what was printed."
            )
        )
        return True

    @property
    def is_open(self):
        """False when the line is gone for good and a new Channel is needed."""
        return not self._closed and self._pump is not None and not self._pump.done()

    def _tell(self, text):
        """Say something in the output areas of the cells that wait, if there are any."""
        shown = [request for request in self._requests.values() if request.shown]
        for request in shown:
            request.tell(text)
        if not shown:
            self._notice(text)

    def _fail_all(self, error):
        for request in self._requests.values():
            request.fail(error)
        for upload in self._uploads.values():
            upload.settle(error=error)
        # What has failed is not sent again, to a kernel that may be another one.
        self._requests.clear()


async def _first_answer(socket):
    """Return the first frame that is not a `pong`; a session's start may take its time."""
    silence = 0
    while True:
        try:
            message = await asyncio.wait_for(socket.receive(), PING_EVERY_S)
        except TimeoutError:
            silence += PING_EVERY_S
            if silence >= 2 * SILENCE_S:
                raise ConnectionError("the server is silent") from None
            socket.send(_PING)
            continue
        silence = 0
        ((frame, _),) = _frames.parse(message)
        if frame["type"] != "pong":
            return frame


def _other_protocol(description):
    version, protocol = description.get("version"), description.get("protocol")
    older = not isinstance(protocol, int) or protocol < PROTOCOL
    what = "server, with `pip install --upgrade jupyterlite-torch`" if older else "page's site"
    return (
        f"The server's jupyterlite-torch {version} speaks protocol {protocol} and this page {PROTOCOL}, "
        f"which do not go together: update the {what}."
    )


def _lost(count):
    return (
        f"{count} messages of this session were lost: they waited longer than the server's event "
        "log has room."
    )
