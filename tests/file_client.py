"""The requests with which a page moves files, from CPython."""

import json
import secrets
import urllib.error
import urllib.request
import zlib
from urllib.parse import quote

PART_BYTES = 3 * 2**20


class Refusal(Exception):
    """An error reply, with its `reason` and `status`."""

    def __init__(self, message, reason, status):
        super().__init__(message)
        self.reason, self.status = reason, status


class FileClient:
    """Files of one session at a proxy's `url`. `origin` is that of the page."""

    def __init__(self, url, token, session, origin):
        self._base = f"{url}/kernel_proxy/api/v1/"
        self._headers = {
            "Authorization": f"token {token}",
            "Torch-Session": session,
            "Origin": origin,
        }

    def ask(self, method, path, name=None, body=None, **headers):
        """Return (headers, body) of the reply; Refusal for an error, OSError for a broken line."""
        headers = {key.replace("_", "-"): str(value) for key, value in headers.items()}
        if name is not None:
            headers["Torch-File"] = quote(name)
        request = urllib.request.Request(
            self._base + path, method=method, headers=self._headers | headers, data=body
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.headers, response.read()
        except urllib.error.HTTPError as error:
            with error:
                reply = json.loads(error.read())
            raise Refusal(reply["message"], reply["reason"], error.code) from None

    def list(self, name=None):
        return json.loads(self.ask("GET", "files", name)[1])

    def part(self, name, upload, start, total, data, crc32=None):
        """Put one part; return what the server says of the upload."""
        headers = {
            "Torch_Upload": upload,
            "Torch_Start": start,
            "Torch_Total": total,
            "Torch_Crc32": zlib.crc32(data) if crc32 is None else crc32,
        }
        return json.loads(self.ask("PUT", "file", name, bytes(data), **headers)[1])

    def put(self, name, data, moved=lambda done, total: None):
        """Put a whole file as a page does."""
        upload = secrets.token_urlsafe(12)
        size, complete, tries = 0, False, 0
        while not complete:
            part = data[size : size + PART_BYTES]
            before = size
            try:
                reply = self.part(name, upload, size, len(data), part)
                size, complete = reply["size"], reply["complete"]
            except OSError:
                pass
            tries = 0 if complete or size > before else tries + 1
            assert tries < 5
            moved(size, len(data))

    def drop(self, name, upload):
        self.ask("DELETE", "file", name, Torch_Upload=upload)

    def range(self, name, start, stop, **headers):
        headers, data = self.ask("GET", "file", name, Range=f"bytes={start}-{stop - 1}", **headers)
        assert int(headers["Torch-Crc32"]) == zlib.crc32(data)
        size = headers["Content-Range"]
        return data, headers["Torch-Identity"], int(size.rpartition("/")[2]) if size else 0

    def get(self, name, moved=lambda done, total: None):
        """Get a whole file as a page does."""
        data, identity, total = self.range(name, 0, PART_BYTES)
        parts, size = [data], len(data)
        moved(size, total)
        while size < total:
            data, _, _ = self.range(name, size, size + PART_BYTES, Torch_Identity=identity)
            parts.append(data)
            size += len(data)
            moved(size, total)
        return b"".join(parts)

    def whole(self, name, **headers):
        """Return the file as one stream."""
        return self.ask("GET", "file", name, **headers)[1]
