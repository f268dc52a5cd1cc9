"""What the browser gives: fetch, WebSockets, WebAssembly, and waiting. It runs in the kernel's web worker."""

import asyncio
import functools
import json
import pathlib

import js
import pyodide_js
from pyodide.code import run_js
from pyodide.ffi import (
    JsException,
    can_run_sync,
    create_proxy,
    run_sync,
    to_js,
)

from ._download import Ahead, Download, Link, wanted_bytes
from ._errors import ConnectError, TorchError, TransferError

_memory = run_js(pathlib.Path(__file__).with_name("memory.js").read_text("utf-8"))(
    pyodide_js._module
)


def _address(buffer):
    """Return where a buffer that is not empty lies in memory."""
    # Loaded with the first `%%torch` cell, after this module.
    import numpy as np

    return np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]


def _bytes(array):
    """Return the bytes of an ArrayBuffer."""
    array = js.Uint8Array.new(array)
    taken = bytearray(array.length)
    if taken:
        _memory.put(array, _address(taken))
    return bytes(taken)


def webassembly(file):
    """Return the functions of a file of this package, WebAssembly that imports `memory` of `python`;
    None where it can not run."""
    code = pathlib.Path(__file__).with_name(file).read_bytes()
    there = js.Uint8Array.new(len(code))
    _memory.get(_address(code), there)
    try:
        return _memory.run(there)
    except JsException:
        # A Pyodide that keeps its memory elsewhere, or a browser of before 2023, without SIMD.
        return None


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

    # Not the task's own result: see `_stop.unless`.
    results, errors = [], []

    async def run():
        # asyncio would end the event loop for a KeyboardInterrupt that leaves a task.
        try:
            results.append(await coroutine)
        except BaseException as error:
            errors.append(error)

    run_sync(run())
    if errors:
        raise errors.pop()
    return results.pop()


def _object(mapping):
    return to_js(mapping, dict_converter=js.Object.fromEntries)


class Transport:
    """HTTP and WebSockets to one server, `url` being its address without the proxy's own path."""

    def __init__(self, url):
        self.url = url
        self._link = Link()
        self._base = f"{url.rstrip('/')}/kernel_proxy/api/v1/"

    async def _request(self, method, path, headers, signal=None):
        options = {"method": method, "headers": headers, "cache": "no-store", "credentials": "omit"}
        if signal is not None:
            options["signal"] = signal
        return await js.fetch(self._base + path, _object(options))

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

    def ask(self, path, headers):
        """GET a safetensors file before it is known which it is; return the Ahead for its `download`."""
        return Ahead(functools.partial(self._open_range, path, headers, 0, None))

    async def download(self, path, headers, sink, ahead=None):
        """GET a safetensors file as `_download.Download` does, and return what that does; a cancelled
        one ends at once."""
        open_range = functools.partial(self._open_range, path, headers)
        return await Download(open_range, sink, self._link, ahead).run()

    async def _open_range(self, path, headers, start, stop):
        headers, abort = (
            {**headers, **wanted_bytes(start, stop, self._link)},
            js.AbortController.new(),
        )
        try:
            response = await self._request("GET", path, headers, abort.signal)
            if not response.ok:
                raise TransferError(_sentence(await response.text(), response.status))
        except JsException as error:
            raise ConnectionError(str(error)) from None
        except asyncio.CancelledError:
            abort.abort()
            raise
        return _Stream(response)


class _Stream:
    """The body of a response."""

    def __init__(self, response):
        headers = response.headers
        self.size = int(headers.get("Torch-Length") or headers.get("Content-Length"))
        self.ratio = float(headers.get("Torch-Ratio") or 1)
        self._stream = _memory.Stream.new(response)

    async def read_into(self, view):
        """Fill as much of `view` as there is; return how much."""
        try:
            return await self._stream.read(_address(view), len(view))
        except JsException as error:
            raise ConnectionError(str(error)) from None

    def close(self):
        """Put nothing anywhere any more."""
        self._stream.close()


def _sentence(reply, status):
    """Return what the server says in an error reply."""
    try:
        return json.loads(reply)["message"]
    except (ValueError, KeyError, TypeError):
        return f"The server refused a transfer with HTTP status {status}."


class Socket:
    """A WebSocket whose messages are awaited one by one."""

    def __init__(self, socket):
        self._socket = socket
        self._scratch = None
        self._messages = asyncio.Queue()
        self._opened = asyncio.get_running_loop().create_future()
        self._proxies = {
            "open": create_proxy(self._open),
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
        try:
            await opened._opened
        except asyncio.CancelledError:
            socket.close()
            raise
        return opened

    def _open(self, event):
        if not self._opened.done():
            self._opened.set_result(None)

    def _received(self, event):
        data = event.data
        self._messages.put_nowait(data if isinstance(data, str) else _bytes(data))

    def _gone(self, event):
        error = ConnectionError(f"closed with code {event.code}")
        if not self._opened.done():
            self._opened.set_exception(error)
        self._messages.put_nowait(error)
        for proxy in self._proxies.values():
            proxy.destroy()

    def send(self, frame):
        """Send text, or a sequence of buffers as one binary message."""
        if isinstance(frame, str):
            self._socket.send(frame)
            return
        size, position = sum(map(len, frame)), 0
        if self._scratch is None or self._scratch.length < size:
            self._scratch = js.Uint8Array.new(size)
        # The browser copies it before `send` returns; new ones would wait for the collector.
        message = self._scratch.subarray(0, size)
        for piece in frame:
            if len(piece):
                _memory.get(_address(piece), message.subarray(position, position + len(piece)))
            position += len(piece)
        self._socket.send(message)

    async def receive(self):
        """Return the next message, text or bytes; ConnectionError when there will be none."""
        message = await self._messages.get()
        if isinstance(message, ConnectionError):
            raise message
        return message

    def close(self):
        """Close it."""
        self._socket.close()
