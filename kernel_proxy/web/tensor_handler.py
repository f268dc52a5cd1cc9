"""HTTP: tensors from shared memory to the page, as safetensors files in a bounded window."""

import asyncio
import re

from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from ..errors import Refused
from ..operations import metrics
from ..tensors.tensors import Export
from .coding import Coder, worthwhile
from .handlers import ProxyHandler

#: Bytes handed to the socket at a time; larger gains nothing, smaller costs.
SLICE_BYTES = 2**20
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")


class TensorsHandler(ProxyHandler):
    """One stable URL for all tensors, so that the browser keeps one cached preflight."""

    @authenticated
    async def get(self) -> None:
        """Stream the file of a handle, from `Torch-Start` on or a `Range` of it."""
        tensors = self.proxy.sessions.get(self.session_header()).tensors
        handle = self.request.headers.get("Torch-Handle", "")
        if (ahead := self.request.headers.get("Torch-Ahead")) is not None:
            handle = await tensors.ahead.handle(ahead)
        # Closed, it wakes what waits for the page to read on.
        with tensors.lend(handle, self.request.connection.stream.close) as export:
            await self._send(export)

    async def _send(self, export: Export) -> None:
        segment = export.segment
        start, stop, ratio = 0, segment.size, None
        if (wanted := self.request.headers.get("Torch-Start")) is not None:
            start = _number(wanted, "Torch-Start", segment.size)
            ratio = await self._ratio(export, start)
        elif wanted := self.request.headers.get("Range"):
            match = _RANGE.fullmatch(wanted)
            if match:
                start = int(match[1])
                stop = min(stop, int(match[2]) + 1) if match[2] else stop
            if not match or start >= stop:
                raise Refused("Only one `Range: bytes=N-M` inside the file is served.", status=416)
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{segment.size}")
        # What of it is there is not sent of what will never be whole.
        await export.reach(min(start + 1, stop))
        export.check(stop)
        self.set_header("Content-Type", "application/octet-stream")
        if ratio is None:
            self.set_header("Content-Length", str(stop - start))
        else:
            self.set_header("Content-Encoding", "zstd")
            self.set_header("Torch-Length", str(stop - start))
            self.set_header("Torch-Ratio", f"{ratio:.3f}")
        # nginx would collect the stream on its disk first.
        self.set_header("X-Accel-Buffering", "no")
        coder = None if ratio is None else Coder()
        view = segment.view
        try:
            await self.flush()
            for position in range(start, stop, SLICE_BYTES):
                part = view[position : min(position + SLICE_BYTES, stop)]
                await export.reach(position + len(part))
                if coder:
                    part = await asyncio.to_thread(coder.code, part)
                # Writing through the connection spares tornado's copy of each slice.
                await self.request.connection.write(part)
                metrics.bytes_down(len(part), "tensors")
                # A finished write does not yield, and other requests would wait for this one.
                await asyncio.sleep(0)
            if coder:
                await self.request.connection.write(coder.end())
        except StreamClosedError:
            return
        except Refused:
            # The caller hears why when it asks for the rest.
            self.request.connection.stream.close()
            return
        self.finish()

    async def _ratio(self, export: Export, start: int) -> float | None:
        """Return what coding makes of the bytes from `start` on when it pays for this caller, else
        None."""
        codings = self.request.headers.get("Accept-Encoding", "")
        rate = self.request.headers.get("Torch-Rate")
        if rate is None or "zstd" not in re.split(r"[\s,;]+", codings):
            return None
        bytes_per_s = _number(rate, "Torch-Rate", 10**15) or 1
        await export.reach(export.segment.size)
        return await asyncio.to_thread(worthwhile, export.segment.view[start:], bytes_per_s)


def _number(text: str, name: str, most: int) -> int:
    if not re.fullmatch(r"\d{1,15}", text) or int(text) > most:
        raise Refused(f"`{name}` is a whole number up to {most}.", status=416)
    return int(text)
