"""What the browser gives: fetch, WebSockets, and the private line to the page.

The one module that needs Pyodide. It runs in the kernel's web worker.
"""

import asyncio
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

from ._download import Download, Link, wanted_bytes
from ._errors import ConnectError, NotConnected, TorchError, TransferError

# Bytes between JavaScript and Python's memory. Pyodide's own conversions take an address above 2 GiB
# for a negative one (314): there `to_bytes` and `assign_to` fail, and `assign` reads zeros. The memory
# is looked up each time, since one that grows gets another view.
_memory = run_js(
    """module => ({
      put: (bytes, address) => module.HEAPU8.set(bytes, address),
      get: (address, bytes) =>
        bytes.set(module.HEAPU8.subarray(address, address + bytes.length)),
      run: code =>
        new WebAssembly.Instance(new WebAssembly.Module(code), {
          python: { memory: module.memory },
        }).exports,
      Stream: class {
        constructor({ body }) {
          this.closed = false;
          try {
            // One buffer for all of it: 1.4 times as fast as a new one for each chunk, which also
            // wait for the collector by the hundred MiB (Chromium 156).
            this.reader = body.getReader({ mode: 'byob' });
            this.buffer = new ArrayBuffer(2 ** 20);
          } catch {
            this.reader = body.getReader();
          }
        }
        async next(wanted) {
          if (this.rest?.length) return { value: this.rest };
          if (!this.buffer) return this.reader.read();
          const length = Math.min(wanted, this.buffer.byteLength);
          const view = new Uint8Array(this.buffer, 0, length);
          const result = await this.reader.read(view, { min: length });
          this.buffer = result.value?.buffer ?? this.buffer;
          return result;
        }
        // From Python each chunk would cost as much as copying several of them.
        async read(address, wanted) {
          let filled = 0;
          while (filled < wanted) {
            const { done, value } = await this.next(wanted - filled);
            // The place is somebody else's once Python has closed the stream.
            if (this.closed) break;
            const part = value?.subarray(0, wanted - filled) ?? [];
            module.HEAPU8.set(part, address + filled);
            filled += part.length;
            this.rest = value?.subarray(part.length);
            if (done) break;
          }
          return filled;
        }
        close() {
          this.closed = true;
          this.reader.cancel().catch(() => {});
        }
      },
    })"""
)(pyodide_js._module)


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

    async def download(self, path, headers, sink):
        """GET a safetensors file as `_download.Download` does; a cancelled one ends at once."""
        abort = js.AbortController.new()

        async def open_range(start, stop):
            wanted = wanted_bytes(start, stop, self._link)
            try:
                response = await self._request("GET", path, {**headers, **wanted}, abort.signal)
                if not response.ok:
                    raise TransferError(_sentence(await response.text(), response.status))
            except JsException as error:
                raise ConnectionError(str(error)) from None
            return _Stream(response)

        try:
            await Download(open_range, sink, self._link).run()
        except asyncio.CancelledError:
            abort.abort()
            raise


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


def _from_page(data):
    # `to_py` would make JavaScript's null a `jsnull`, which is not None (Pyodide 314).
    return json.loads(js.JSON.stringify(data))


#: What the page answers, and under which key.
_ANSWERS = {"chosen": "server", "doctor": "text", "input": "value", "file": "outcome"}


class Page:
    """The private line to the page: a port that the page hands to this worker alone.

    Comms wait while a cell runs, and a BroadcastChannel is heard by every page of the origin.
    `on_server(server)` is called with `{"url", "token"}` or None, `on_interrupt()` on Stop,
    `on_restart()` when the person has chosen to restart a kernel that did not react to it,
    `on_session()` when they have chosen another session, and `on_cancel(id)` when they cancel a
    transfer.
    """

    def __init__(self, on_server, on_interrupt, on_restart, on_session, on_cancel):
        self.session = None
        self.default_url = None
        self._on_server, self._on_interrupt, self._on_restart = on_server, on_interrupt, on_restart
        self._on_session, self._on_cancel = on_session, on_cancel
        self._port = None
        self._questions = {}
        self._moved = {}
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
        if message["type"] in _ANSWERS:
            answer = self._questions.pop(message["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(message[_ANSWERS[message["type"]]])
        elif message["type"] == "moved":
            if moved := self._moved.get(message["id"]):
                moved(message["done"], message["total"])
        elif message["type"] == "server":
            self._on_server(message["server"])
        elif message["type"] == "session":
            self.session = message["session"]
            self._on_session()
        elif message["type"] == "interrupt":
            self._on_interrupt()
        elif message["type"] == "restart":
            self._on_restart()
        elif message["type"] == "cancel":
            self._on_cancel(message["id"])

    def tell(self, **message):
        """Send the page a message; nothing happens where no page listens."""
        if self._port is not None:
            # Not `_object`: None is to be null there, not undefined.
            self._port.postMessage(js.JSON.parse(json.dumps(message)))

    async def ask_server(self, url):
        """Let the person choose a server and give its token: `{"url", "token"}`, None when they
        decline. `url` is the address if that is known."""
        if self._port is None:
            raise NotConnected(
                "This page lacks the jupyterlite-torch extension, which asks for the token. Build "
                "the site in an environment with jupyterlite-torch installed."
            )
        return await self._ask("ask-server", js.crypto.randomUUID(), {"url": url})

    async def ask_doctor(self, url):
        """Return what the page finds of the server at `url`, of the one that is known for None."""
        if self._port is None:
            return "This page lacks the jupyterlite-torch extension, which would look."
        return await self._ask("ask-doctor", js.crypto.randomUUID(), {"url": url})

    async def ask_input(self, prompt, password, cell):
        """Let the page ask what a remote `input()` wants to know, in the output area of the local
        message `cell`; None when the person declines."""
        if self._port is None:
            return None
        identifier = js.crypto.randomUUID()
        question = {"prompt": prompt, "password": password, "cell": cell}
        try:
            return await self._ask("ask-input", identifier, question)
        except asyncio.CancelledError:
            self.tell(type="withdraw-input", id=identifier)
            raise

    async def move_file(self, direction, here, there, moved):
        """Have the page move a file between the local path `here`, in its drive, and the name `there`
        in the session's folder; return its size. `moved(done, total)` is told of bytes."""
        from ._files import in_drive

        if self._port is None:
            raise NotConnected(
                "This page lacks the jupyterlite-torch extension, which moves files."
            )
        identifier = js.crypto.randomUUID()
        self._moved[identifier] = moved
        question = {"direction": direction, "here": in_drive(here), "there": there}
        try:
            outcome = await self._ask("ask-file", identifier, question)
        except asyncio.CancelledError:
            self.tell(type="withdraw-file", id=identifier)
            raise
        finally:
            del self._moved[identifier]
        if outcome["error"]:
            raise TransferError(outcome["error"])
        return outcome["size"]

    async def _ask(self, kind, identifier, question):
        answer = self._questions[identifier] = asyncio.get_running_loop().create_future()
        self.tell(type=kind, id=identifier, **question)
        return await answer
