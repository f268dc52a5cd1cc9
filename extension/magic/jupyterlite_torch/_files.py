"""`%torch put` and `%torch get`: a file between this notebook's folder and the session's."""

import contextlib
import os
import shlex

from . import _progress
from ._errors import OptionError, TransferError
from ._size import human_size


async def move(direction, rest, notebook):
    """Move a file as a line says what follows `put` or `get`; return a sentence. The file is there
    under its name when it is complete."""
    source, target = _names(direction, rest)
    put = direction == "put"
    here, there = (source, target) if put else (target, source)
    await notebook.ready()
    output = notebook.output()
    way = f"`{source}` to the server" if put else f"`{source}` from the server"
    with contextlib.ExitStack() as shown:
        progress, before = None, 0

        def moved(done, total):
            nonlocal progress, before
            if progress is None:
                progress = shown.enter_context(_progress.shown(output, way, max(1, total)))
            progress.moved(done - before)
            before = done

        local = os.path.join(os.getcwd(), here)
        size = await notebook.stops.wait(
            notebook.connection.page.move_file(direction, local, there, moved),
            f"stopped while `{source}` was on its way; nothing was changed {'there' if put else 'here'}.",
        )
    folder = "the session's folder" if put else "this notebook's folder"
    name = "" if os.path.basename(source) == target else f" as `{target}`"
    return f"`{source}` ({human_size(size)}) is in {folder}{name}."


def _names(direction, rest):
    """Return the names at both ends, that of the target as the user leaves it open."""
    usage = f"The line is: %torch {direction} FILE [NAME]."
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise OptionError(f"{error}: a name with spaces stands in quotes. {usage}") from None
    if len(words) not in (1, 2):
        raise OptionError(f"`%torch {direction}` takes a file and, if need be, a name. {usage}")
    for word in words:
        if os.path.isabs(word) or ".." in word.split("/") or not word.strip("./"):
            raise OptionError(
                f"`{word}` is no name of a file in the folder: names are relative to the notebook's "
                f"folder here and to the session's there, and have no `..`. {usage}"
            )
    words = [_normal(word) for word in words]
    source, target = words[0], words[-1]
    if len(words) == 1 or target.endswith("/"):
        target = target * (len(words) - 1) + os.path.basename(source)
    return source, target


def _normal(word):
    return os.path.normpath(word) + "/" * word.endswith("/")


def in_drive(path):
    """Return where a local path is in the page's drive; TransferError if it is not there."""
    if not path.startswith("/drive/"):
        raise TransferError(
            f"This notebook works in {os.path.dirname(path)}, and files go from and to the page's "
            "drive, below /drive. `%cd /drive` leads there; where that fails, the page has no service "
            "worker, which browsers allow for https and localhost only."
        )
    return path.removeprefix("/drive/")
