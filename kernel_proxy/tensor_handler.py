"""HTTP: tensors from shared memory to the page, as safetensors files in a bounded window."""

import asyncio
import re

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from .errors import Refused
from .handlers import ProxyHandler

#: Bytes handed to the socket at a time; larger gains nothing, smaller costs.
SLICE_BYTES = 2**20
_RANGE = re.compile(r"bytes=(\d{1,15})-")


class TensorsHandler(ProxyHandler):
    """One stable URL for all tensors, so that the browser keeps one cached preflight."""

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
