"""HTTP: files of a session's folder, down as a stream or in parts, up in parts."""

import asyncio
import os
import re
import zlib
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from ..errors import Refused
from ..files.folder import Folder
from ..operations import metrics
from ..session.session import Session
from .handlers import ProxyHandler

#: The largest body of a `PUT`, and the largest part of a `GET` that has a checksum.
MAX_PART_BYTES = 4 * 2**20
#: Bytes that are read and handed to the socket at a time.
SLICE_BYTES = 2**20
_MAX_HEADER = 4096
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
_UPLOAD = re.compile(r"[A-Za-z0-9_-]{8,64}")


class _FolderHandler(ProxyHandler):
    def _session(self) -> Session:
        session = self.proxy.sessions.find(self.session_header())
        if session is None:
            raise Refused(
                "This notebook has no session on this server. Run a `%%torch` cell in it first.",
                "not-found",
                404,
            )
        # Who moves files uses it.
        session.idle.touch()
        return session

    def _name(self) -> str:
        """Return the name in `Torch-File`, empty where there is none."""
        text = self.request.headers.get("Torch-File", "")
        try:
            if len(text) > _MAX_HEADER:
                raise ValueError
            return unquote_to_bytes(text).decode()
        except ValueError:
            raise Refused(
                f"`Torch-File` is a name in UTF-8, percent-encoded, of at most {_MAX_HEADER} characters."
            ) from None

    def _number(self, header: str) -> int:
        text = self.request.headers.get(header, "")
        if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
            raise Refused(f"The header {header} is a whole number of at most 15 digits.")
        return int(text)


class FilesHandler(_FolderHandler):
    """What lies in a session's folder."""

    @authenticated
    async def get(self) -> None:
        """List it, or the folder in it that `Torch-File` names."""
        folder = Folder(self._session().life.directory)
        self.finish(await asyncio.to_thread(folder.list, self._name()))


class FileHandler(_FolderHandler):
    """One file: one URL for all, as for tensors."""

    async def prepare(self) -> None:
        """Take larger bodies from who is let in, for parts."""
        await super().prepare()
        if self.request.method == "PUT":
            self.body = bytearray()
            self.request.connection.set_max_body_size(MAX_PART_BYTES)

    @authenticated
    async def get(self) -> None:
        """Stream a file, or a `Range` of it; with `Torch-Identity` only if it is still that one."""
        folder, name = Folder(self._session().life.directory), self._name()
        with await asyncio.to_thread(folder.open, name) as file:
            identity, size = _identity(file)
            if self.request.headers.get("Torch-Identity", identity) != identity:
                raise Refused(
                    f"`{name}` was changed on the server while it was on its way. Get it again.",
                    "changed",
                    412,
                )
            await self._send(file, identity, *self._range(size))

    def _range(self, size: int) -> tuple[int, int]:
        wanted = self.request.headers.get("Range")
        if wanted is None or size == 0:
            return 0, size
        match = _RANGE.fullmatch(wanted)
        start = int(match[1]) if match else size
        stop = min(size, int(match[2]) + 1) if match and match[2] else size
        if start >= stop:
            raise Refused("Only one `Range: bytes=N-M` inside the file is served.", status=416)
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        return start, stop

    async def _send(self, file: BinaryIO, identity: str, start: int, stop: int) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", str(stop - start))
        self.set_header("Torch-Identity", identity)
        # nginx would collect the stream on its disk first.
        self.set_header("X-Accel-Buffering", "no")
        await asyncio.to_thread(file.seek, start)
        whole = stop - start <= MAX_PART_BYTES
        try:
            if start == stop:
                self.set_header("Torch-Crc32", "0")
            elif not whole:
                await self.flush()
            while start < stop:
                count = min(stop - start, MAX_PART_BYTES if whole else SLICE_BYTES)
                part = await asyncio.to_thread(_read, file, count)
                if not part or (start + len(part) == stop and _identity(file)[0] != identity):
                    # What has been sent is of no use: the next request says why.
                    self.request.connection.close()
                    return
                if whole:
                    self.set_header("Torch-Crc32", str(zlib.crc32(part)))
                    await self.flush()
                await self.request.connection.write(part)
                metrics.bytes_down(len(part), "files")
                start += len(part)
        except StreamClosedError:
            return
        self.finish()

    @authenticated
    async def put(self) -> None:
        """Take one part of an upload; say how many bytes of it are there."""
        target, key = await self._upload()
        start, total = self._number("Torch-Start"), self._number("Torch-Total")
        checksum, body = self._number("Torch-Crc32"), self.body
        altered = await asyncio.to_thread(zlib.crc32, body) != checksum
        # A part that something on the way has altered is as one that has not come.
        size = await self.proxy.uploads.take(key, target, start, total, b"" if altered else body)
        metrics.bytes_up(len(body), "files")
        self.finish({"size": size, "complete": size == total})

    @authenticated
    async def delete(self) -> None:
        """Give an upload up."""
        target, key = await self._upload()
        await self.proxy.uploads.drop(key, target)
        self.set_status(204)

    async def _upload(self):
        session, upload = self._session(), self.request.headers.get("Torch-Upload", "")
        if not _UPLOAD.fullmatch(upload):
            raise Refused("The header Torch-Upload is 8 to 64 letters, digits, `_` and `-`.")
        folder = Folder(session.life.directory)
        return await asyncio.to_thread(folder.target, self._name()), f"{session.id} {upload}"


def _identity(file: BinaryIO) -> tuple[str, int]:
    """Return what differs when a file has become another one, and its size."""
    status = os.fstat(file.fileno())
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}", status.st_size


def _read(file: BinaryIO, count: int) -> bytes:
    """Read so many bytes, less only at the file's end."""
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
