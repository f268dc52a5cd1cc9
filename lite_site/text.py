"""A notebook's cells and outputs as text for a terminal."""

import base64
import re
import struct
from collections.abc import Mapping
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# pyodide-kernel 0.8.6 gives an error's type as `str(type)` where Jupyter has its name.
TYPE = re.compile(r"<class '(?:.*\.)?(\w+)'>")
# The first of these that an output has is shown, others by their name.
READABLE = ("text/plain", "text/markdown", "text/latex", "text/html")


def text_of(value: str | list[str]) -> str:
    """A notebook's multi-line string."""
    return value if isinstance(value, str) else "".join(value)


def first_line(source: str) -> str:
    """What a cell is called in a list: its first line that says something."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    named = next((line for line in lines if not line.startswith(("#", "%%"))), "")
    magic = lines[0] + "  " if lines and lines[0].startswith("%%") else ""
    return magic + (named or (lines[0] if lines and not magic else ""))


def error_line(output: Mapping[str, Any]) -> str:
    """One line for an error."""
    value = ANSI.sub("", output.get("evalue", "")).strip().splitlines()
    name = TYPE.sub(r"\1", output.get("ename", "Error"))
    return f"{name}: {value[0]}" if value else name


def render(output: Mapping[str, Any], colour: bool = False) -> str:
    """One output, with terminal colours or without."""
    match output["output_type"]:
        case "stream":
            text = text_of(output["text"])
        case "error":
            text = "\n".join(output.get("traceback") or [error_line(output)])
        case _:
            text = _bundle(output.get("data", {}))
    return (text if colour else ANSI.sub("", text)).rstrip("\n")


def _bundle(data: Mapping[str, Any]) -> str:
    pictures = [f"[{kind}{_size(kind, data[kind])}]" for kind in data if kind.startswith("image/")]
    if pictures:
        return "\n".join(pictures)
    for kind in READABLE:
        if kind in data:
            return text_of(data[kind])
    return "\n".join(f"[{kind}]" for kind in data)


def _size(kind: str, data: str | list[str]) -> str:
    """The width and height that a PNG's header states."""
    if kind != "image/png":
        return ""
    header = base64.b64decode(text_of(data)[:64])
    return " {}x{}".format(*struct.unpack(">II", header[16:24]))
