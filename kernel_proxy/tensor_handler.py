"""HTTP: tensors between page and shared memory, as safetensors files in a bounded window."""

import asyncio
import re

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated, stream_request_body

from .errors import Refused
from .handlers import ProxyHandler
from .tensors import Upload

#: Bytes handed to the socket at a time; larger gains nothing, smaller costs.
SLICE_BYTES = 2**20
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")
_RANGE = re.compile(r"bytes=(\d{1,15})-")


@stream_request_body
class TensorsHandler(ProxyHandler):
    """One stable URL for all tensors, so that the browser keeps one cached preflight."""

    _upload: Upload | None = None
    _position = 0

    async def prepare(self):
        """Take a part's place before its bytes are read."""
        await super().prepare()
        if self._finished or self.request.method != "PUT":
            return
        session = self.proxy.sessions.get(self.session_header())
        match = _CONTENT_RANGE.fullmatch(self.request.headers.get("Content-Range", ""))
        length = self.request.headers.get("Content-Length", "")
        identifier = self.request.headers.get("Torch-Upload", "")
        if not match or not length.isdigit() or not 8 <= len(identifier) <= 64:
            raise Refused(
                "A part of an upload needs Content-Range, Content-Length and Torch-Upload."
            )
        start, last, total = map(int, match.groups())
        if int(length) != last + 1 - start or last >= total:
            raise Refused("Content-Range and Content-Length of this part disagree.")
        if int(length) > self.proxy.limits.upload_part_bytes:
            raise Refused("This part is larger than the server takes.", "too-large", 413)
        self.request.connection.set_max_body_size(int(length))
        self._upload = session.tensors.upload(identifier, total)
        self._start = self._position = start

    def data_received(self, chunk: bytes) -> None:
        """Put a piece of the body into its place."""
        if self._upload is not None:
            view = self._upload.segment.view
            view[self._position : self._position + len(chunk)] = chunk
            self._position += len(chunk)

    @authenticated
    @authorized
    def put(self) -> None:
        """The part is whole."""
        assert self._upload is not None
        self._upload.add(self._start, self._position - self._start)
        self.set_status(204)

    @authenticated
    @authorized
    async def get(self) -> None:
        """Stream the file of a handle, from `Range` on."""
        session = self.proxy.sessions.get(self.session_header())
        segment = session.tensors.get(self.request.headers.get("Torch-Handle", ""))
        start = 0
        if wanted := self.request.headers.get("Range"):
            match = _RANGE.fullmatch(wanted)
            if not match or int(match[1]) >= segment.size:
                raise Refused("Only `Range: bytes=N-` inside the file is served.", status=416)
            start = int(match[1])
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{segment.size - 1}/{segment.size}")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", str(segment.size - start))
        # nginx would collect the stream on its disk first.
        self.set_header("X-Accel-Buffering", "no")
        view = segment.view
        try:
            await self.flush()
            for position in range(start, segment.size, SLICE_BYTES):
                # Writing through the connection spares tornado's copy of each slice.
                await self.request.connection.write(view[position : position + SLICE_BYTES])
                # A finished write does not yield, and other requests would wait for this one.
                await asyncio.sleep(0)
        except StreamClosedError:
            return
        self.finish()
