"""A transport for the magic's channel in CPython, so that it can meet a real proxy without a browser."""

import asyncio
import contextlib
import functools
import http.client
import json
import urllib.error
import urllib.request

import websockets
import zstandard

from jupyterlite_torch._download import Ahead, Download, Link, wanted_bytes
from jupyterlite_torch._errors import ConnectError, TransferError


class NativeTransport:
    """What `jupyterlite_torch._browser.Transport` is in the browser."""

    def __init__(self, url, origin=None):
        self.url = url
        self._base = f"{url}/kernel_proxy/api/v1/"
        self.link = Link()
        #: Of each stream that was opened, how much of its size was sent.
        self.ratios = []
        self._origin = {"Origin": origin} if origin else {}

    def _request(self, method, path, headers, body=None):
        request = urllib.request.Request(
            self._base + path, method=method, headers={**headers, **self._origin}, data=body
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    async def fetch(self, method, path, headers):
        try:
            status, _, body = await asyncio.to_thread(self._request, method, path, headers)
        except urllib.error.URLError as error:
            raise ConnectError(f"Nothing answers at {self.url}: {error.reason}") from None
        return status, json.loads(body) if body else None

    async def open(self, path):
        url = "ws" + (self._base + path).removeprefix("http")
        try:
            socket = await websockets.connect(
                url, origin=self._origin.get("Origin"), max_size=None, compression=None
            )
        except (OSError, websockets.WebSocketException) as error:
            raise ConnectionError(str(error)) from None
        return _Socket(socket)

    def ask(self, path, headers):
        return Ahead(functools.partial(self._open_range, path, headers, 0, None))

    async def download(self, path, headers, sink, ahead=None):
        open_range = functools.partial(self._open_range, path, headers)
        return await Download(open_range, sink, self.link, ahead).run()

    async def _open_range(self, path, headers, start, stop):
        wanted = wanted_bytes(start, stop, self.link) | {"Accept-Encoding": "zstd"}
        request = urllib.request.Request(
            self._base + path, headers={**headers, **self._origin, **wanted}
        )
        stream = await asyncio.to_thread(_Stream, request)
        self.ratios.append(stream.ratio)
        return stream


class _Stream:
    def __init__(self, request):
        try:
            self._response = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            with error:
                raise TransferError(json.loads(error.read())["message"]) from None
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(str(error)) from None
        headers = self._response.headers
        self.size = int(headers["Torch-Length"] or headers["Content-Length"])
        self.ratio = float(headers["Torch-Ratio"] or 1)
        self._body = self._response
        if headers["Content-Encoding"] == "zstd":
            self._body = zstandard.ZstdDecompressor().stream_reader(self._response)

    async def read_into(self, view):
        try:
            return await asyncio.to_thread(self._body.readinto, view)
        except (OSError, http.client.HTTPException, zstandard.ZstdError) as error:
            raise ConnectionError(str(error)) from None

    def close(self):
        self._response.close()


#: Sockets that are being closed; to be awaited before their loop ends.
closing = set()


class _Socket:
    def __init__(self, socket):
        self._socket = socket
        self._frames = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._sender = asyncio.ensure_future(self._send())

    async def _send(self):
        # A broken line is told by `receive`.
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self._socket.send(await self._frames.get())

    def send(self, frame):
        self._frames.put_nowait(frame if isinstance(frame, str) else b"".join(frame))

    async def receive(self):
        try:
            return await self._socket.recv()
        except websockets.ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    def close(self):
        self._sender.cancel()
        closing.add(self._loop.create_task(self._socket.close()))
