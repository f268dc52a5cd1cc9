"""What the browser gives: fetch, WebSockets, and the private line to the page.

The one module that needs Pyodide. It runs in the kernel's web worker.
"""

import asyncio
import json

import js
import pyodide_js
from pyodide.ffi import JsException, can_run_sync, create_proxy, run_sync, to_js

from . import _safetensors
from ._errors import ConnectError, NotConnected, TorchError, TransferError

#: Parts of an upload under way at a time; two hide the time that the browser takes to copy one.
PARALLEL_PARTS = 2
#: How often a broken transfer is taken up again before it is given up.
TRIES = 5


def origin():
    """Return the origin of this page."""
    return js.self.location.origin


async def load(package):
    """Make a package of Pyodide importable; nothing happens when it is there."""
    await pyodide_js.loadPackage(package)


def wait_for(coroutine):
    """Run a coroutine from synchronous code, where the browser can block (JSPI)."""
    if not can_run_sync():
        coroutine.close()
        raise TorchError(
            "This browser can not wait inside of other code (it lacks JSPI). Put `%%torch` or "
            "`%torch` at the top of a cell of its own, not under `%%time`, in a loop or a function."
        )

    async def outcome():
        # asyncio would end the event loop for a KeyboardInterrupt that leaves a task.
        try:
            return await coroutine, None
        except BaseException as error:
            return None, error

    value, error = run_sync(outcome())
    if error is not None:
        raise error
    return value


def _object(mapping):
    return to_js(mapping, dict_converter=js.Object.fromEntries)


class Transport:
    """HTTP and WebSockets to one server, `url` being its address without the proxy's own path."""

    def __init__(self, url):
        self.url = url
        self._base = f"{url.rstrip('/')}/kernel_proxy/v1/"

    async def _request(self, method, path, headers, body=None):
        options = {"method": method, "headers": headers, "cache": "no-store", "credentials": "omit"}
        request = _object(options)
        if body is not None:
            request.body = body
        return await js.fetch(self._base + path, request)

    async def fetch(self, method, path, headers):
        """Return (status, JSON or None). ConnectError when there is no answer that can be read."""
        try:
            response = await self._request(method, path, headers)
        except JsException:
            raise await self._unreachable() from None
        try:
            return response.status, json.loads(await response.text())
        except (ValueError, JsException):
            return response.status, None

    async def _unreachable(self):
        """Tell a server that is down from one that refuses this page: a page can not read why."""
        try:
            await js.fetch(self.url, _object({"mode": "no-cors", "credentials": "omit"}))
        except JsException:
            return ConnectError(
                f"Nothing answers at {self.url}. Check the address, and that `jupyter torch-proxy` "
                "runs there and can be reached from this machine (through a firewall: with an SSH "
                "tunnel)."
            )
        return ConnectError(
            f"A server answers at {self.url}, but it does not let this page in. Start it with "
            f"`jupyter torch-proxy --origin {origin()}`, and check that the address is the one that "
            "it prints.",
            "origin",
        )

    async def open(self, path):
        """Return a Socket."""
        return await Socket.open("ws" + (self._base + path).removeprefix("http"))

    async def upload(self, path, headers, pieces, size, part_bytes):
        """PUT `pieces`, buffers of `size` bytes in all, in parts; TransferError when refused."""
        starts = iter(range(0, size, part_bytes))

        async def worker():
            for start in starts:
                stop = min(start + part_bytes, size)
                content_range = f"bytes {start}-{stop - 1}/{size}"
                part = _gather(pieces, start, stop)
                await self._upload_part(path, {**headers, "Content-Range": content_range}, part)

        await asyncio.gather(*(worker() for _ in range(PARALLEL_PARTS)))

    async def _upload_part(self, path, headers, part):
        for attempt in range(TRIES):
            try:
                response = await self._request("PUT", path, headers, part)
            except JsException:
                await asyncio.sleep(0.2 * 2**attempt)
                continue
            if response.ok:
                return
            raise TransferError(await _message(response))
        raise TransferError(f"The connection to {self.url} broke while arrays were sent.")

    async def download(self, path, headers, place):
        """GET a safetensors file into `place(header, file size)`, a writable view for its data.

        A broken stream is taken up where it was.
        """
        position = _Position(place)
        for attempt in range(TRIES):
            wanted = {"Range": f"bytes={position.received}-"} if position.received else {}
            try:
                response = await self._request("GET", path, {**headers, **wanted})
                if not response.ok:
                    raise TransferError(await _message(response))
                if not position.received:
                    position.size = int(response.headers.get("Content-Length"))
                reader = response.body.getReader()
                while not (chunk := await reader.read()).done:
                    position.take(chunk.value)
            except JsException:
                await asyncio.sleep(0.2 * 2**attempt)
            if position.size is not None and position.received == position.size:
                return
        raise TransferError(f"The connection to {self.url} broke while an array came back.")


def _gather(pieces, start, stop):
    """Return a JavaScript array of the bytes from `start` to `stop` of all pieces in a row."""
    part = js.Uint8Array.new(stop - start)
    position = 0
    for piece in pieces:
        low, high = max(start, position), min(stop, position + len(piece))
        if low < high:
            part.subarray(low - start, high - start).assign(piece[low - position : high - position])
        position += len(piece)
    return part


class _Position:
    """Where a download is: first its header is collected, then its data goes into place."""

    def __init__(self, place):
        self._place = place
        self._header = b""
        self._data = None
        self._data_start = None
        self.received = 0
        self.size = None

    def take(self, chunk):
        if self._data is None:
            chunk = self._take_header(chunk)
        if chunk is not None and chunk.length:
            start = self.received - self._data_start
            # Straight into the array's memory.
            chunk.assign_to(self._data[start : start + chunk.length])
            self.received += chunk.length

    def _take_header(self, chunk):
        """Take what belongs to the header; return the rest of the chunk once it is whole."""
        while True:
            wanted = 8 if len(self._header) < 8 else _safetensors.header_size(self._header[:8])
            missing = wanted - len(self._header)
            self._header += chunk.subarray(0, missing).to_bytes()
            self.received += min(missing, chunk.length)
            if chunk.length < missing:
                return None
            chunk = chunk.subarray(missing)
            if wanted > 8:
                self._data = self._place(self._header, self.size)
                self._data_start = wanted
                return chunk


async def _message(response):
    try:
        return json.loads(await response.text())["message"]
    except (ValueError, KeyError, TypeError, JsException):
        return f"The server refused a transfer with HTTP status {response.status}."


class Socket:
    """A WebSocket whose messages are awaited one by one."""

    def __init__(self, socket):
        self._socket = socket
        self._messages = asyncio.Queue()
        self._opened = asyncio.get_running_loop().create_future()
        self._proxies = {
            "open": create_proxy(lambda event: self._opened.set_result(None)),
            "message": create_proxy(self._received),
            "close": create_proxy(self._gone),
        }
        for kind, proxy in self._proxies.items():
            socket.addEventListener(kind, proxy)

    @classmethod
    async def open(cls, url):
        """Connect; ConnectionError when that fails."""
        socket = js.WebSocket.new(url)
        socket.binaryType = "arraybuffer"
        opened = cls(socket)
        await opened._opened
        return opened

    def _received(self, event):
        data = event.data
        self._messages.put_nowait(data if isinstance(data, str) else data.to_bytes())

    def _gone(self, event):
        error = ConnectionError(f"closed with code {event.code}")
        if not self._opened.done():
            self._opened.set_exception(error)
        self._messages.put_nowait(error)
        for proxy in self._proxies.values():
            proxy.destroy()

    def send(self, frame):
        """Send text or bytes."""
        self._socket.send(frame if isinstance(frame, str) else to_js(frame))

    async def receive(self):
        """Return the next message, text or bytes; ConnectionError when there will be none."""
        message = await self._messages.get()
        if isinstance(message, ConnectionError):
            raise message
        return message

    def close(self):
        """Close it."""
        self._socket.close()


def _from_page(data):
    # `to_py` would make JavaScript's null a `jsnull`, which is not None (Pyodide 314).
    return json.loads(js.JSON.stringify(data))


class Page:
    """The private line to the page: a port that the page hands to this worker alone.

    Comms wait while a cell runs, and a BroadcastChannel is heard by every page of the origin.
    `on_server(server)` is called with `{"url", "token"}` or None, `on_interrupt()` on Stop.
    """

    def __init__(self, on_server, on_interrupt):
        self.session = None
        self.default_url = None
        self._on_server, self._on_interrupt = on_server, on_interrupt
        self._port = None
        self._questions = {}
        self._first = create_proxy(self._arrived)
        self._next = create_proxy(self._received)
        js.self.addEventListener("message", self._first)

    def _arrived(self, event):
        if getattr(event.data, "type", None) != "jupyterlite-torch" or not event.ports.length:
            return
        hello = _from_page(event.data)
        self._port = event.ports[0]
        self._port.onmessage = self._next
        self.session = hello["session"]
        self.default_url = hello.get("default")
        self._on_server(hello.get("server"))

    def _received(self, event):
        message = _from_page(event.data)
        if message["type"] == "token":
            answer = self._questions.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(message["token"])
        elif message["type"] == "server":
            self._on_server(message["server"])
        elif message["type"] == "interrupt":
            self._on_interrupt()

    def tell(self, **message):
        """Send the page a message; nothing happens where no page listens."""
        if self._port is not None:
            self._port.postMessage(_object(message))

    async def ask_token(self, url):
        """Let the page ask the person for a token; None when they decline."""
        if self._port is None:
            raise NotConnected(
                "This page lacks the jupyterlite-torch extension, which asks for the token. Build "
                "the site in an environment with jupyterlite-torch installed."
            )
        identifier = str(len(self._questions)) + js.crypto.randomUUID()
        answer = self._questions[identifier] = asyncio.get_running_loop().create_future()
        self.tell(type="ask-token", id=identifier, url=url)
        return await answer
