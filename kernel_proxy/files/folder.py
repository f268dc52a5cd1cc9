"""The folder of a session: the directory that its kernel was started in, and what lies in it."""

import contextlib
import itertools
import os
import re
import stat
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..errors import Refused

#: Names of files that are not complete yet.
PART = re.compile(r"\.torch-[0-9a-f]{32}\.part")
#: So many entries of a folder are listed, out of the first so many that the system names.
MAX_LISTED = 1000
MAX_LOOKED_AT = 20_000
MAX_NAME_BYTES = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Folder:
    """Files by names relative to the folder. What leads out of it, by `..` or by a link, is refused."""

    def __init__(self, path: str):
        self.path = Path(path).resolve()

    def find(self, name: str) -> Path:
        """Return where a name leads, with no link left in it; Refused for what is no such name."""
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or _CONTROL.search(name):
            raise Refused(
                f"`{name:.200}` is no name of a file in the session's folder: names are relative to that "
                "folder and have no `..`."
            )
        if len(os.fsencode(name)) > MAX_NAME_BYTES or PART.fullmatch(parts[-1]):
            raise Refused(f"`{name:.200}` can not be the name of a file here. Choose another one.")
        try:
            path = self.path.joinpath(*parts).resolve()
        except (OSError, RuntimeError):
            raise self._missing(name) from None
        if not path.is_relative_to(self.path):
            raise Refused(
                f"`{name}` is a link that leads out of the session's folder ({self.path}). Copy the file "
                "into that folder with a cell first."
            )
        return path

    def target(self, name: str) -> Path:
        """Return where a file of this name is to be; Refused where there can be none."""
        path = self.find(name)
        if path.is_dir():
            raise Refused(
                f"`{name}` is a folder in the session's folder. Name a file: `{name.rstrip('/')}/NAME`."
            )
        if not path.parent.is_dir():
            raise Refused(
                f"There is no folder `{PurePosixPath(name).parent}` in the session's folder "
                f"({self.path}). Make it with a cell first, or choose another name.",
                "not-found",
                404,
            )
        return path

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading; Refused when there is none."""
        path = self.find(name)
        try:
            # It does not wait for who writes into a pipe.
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing(name) from None
        except OSError as error:
            raise Refused(f"`{name}` can not be read on the server: {error.strerror}.") from None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(descriptor, "rb", buffering=0)
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise Refused(
                f"`{name}` is a folder. Pack it with a cell first, as with "
                f"`shutil.make_archive('{path.name}', 'zip', '{name}')`."
            )
        raise Refused(f"`{name}` is no ordinary file on the server.")

    def list(self, name: str) -> dict[str, Any]:
        """Say what lies in the folder, or in the one of that name in it. Hidden files, and what is
        neither file nor folder, are left out."""
        path = self.find(name) if name else self.path
        entries = []
        try:
            with os.scandir(path) as found:
                looked_at = list(itertools.islice(found, MAX_LOOKED_AT))
        except OSError as error:
            raise Refused(
                f"The folder `{name or self.path}` can not be read on the server: {error.strerror}.",
                "not-found",
                404,
            ) from None
        for entry in looked_at:
            # A link may lead nowhere, a file be gone by now, a name be no Unicode.
            with contextlib.suppress(OSError, UnicodeEncodeError):
                entry.name.encode()
                status = entry.stat()
                kind = status.st_mode
                if entry.name.startswith(".") or not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                    continue
                entries.append(
                    {
                        "name": entry.name,
                        "folder": stat.S_ISDIR(kind),
                        "bytes": status.st_size if stat.S_ISREG(kind) else 0,
                        "modified": status.st_mtime,
                    }
                )
        entries.sort(key=lambda entry: entry["name"])
        more = len(looked_at) == MAX_LOOKED_AT or len(entries) > MAX_LISTED
        return {"folder": str(path), "entries": entries[:MAX_LISTED], "more": more}

    def _missing(self, name: str) -> Refused:
        return Refused(
            f"There is no file `{name:.200}` in the session's folder ({self.path}). "
            "`%torch import os; print(os.listdir())` lists it.",
            "not-found",
            404,
        )
