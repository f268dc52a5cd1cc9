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
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")


class TensorsHandler(ProxyHandler):
    """One stable URL for all tensors, so that the browser keeps one cached preflight."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Stream the file of a handle, from `Range` on."""
        session = self.proxy.sessions.get(self.session_header())
        segment = session.tensors.get(self.request.headers.get("Torch-Handle", ""))
        start, stop = 0, segment.size
        if wanted := self.request.headers.get("Range"):
            match = _RANGE.fullmatch(wanted)
            if match:
                start = int(match[1])
                stop = min(stop, int(match[2]) + 1) if match[2] else stop
            if not match or start >= stop:
                raise Refused("Only one `Range: bytes=N-M` inside the file is served.", status=416)
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{segment.size}")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", str(stop - start))
        # nginx would collect the stream on its disk first.
        self.set_header("X-Accel-Buffering", "no")
        view = segment.view
        try:
            await self.flush()
            for position in range(start, stop, SLICE_BYTES):
                # Writing through the connection spares tornado's copy of each slice.
                part = view[position : min(position + SLICE_BYTES, stop)]
                await self.request.connection.write(part)
                # A finished write does not yield, and other requests would wait for this one.
                await asyncio.sleep(0)
        except StreamClosedError:
            return
        self.finish()
