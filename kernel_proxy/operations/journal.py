"""What an operator reads: one line for each thing that happens, without secrets and users' code."""

import json
import logging
import re
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_PLAIN = re.compile(r"[\w.:/+,-]+")


def note(log: logging.Logger, what: str, level: int = logging.INFO, **fields: Any) -> None:
    """Write a line: what happened, and to which thing. A field that is None is left out.

    No field holds a token, a code, a whole session's name, or anything that a user has written.
    """
    fields = {key: value for key, value in fields.items() if value is not None}
    text = "".join(f" {key}={_quoted(value)}" for key, value in fields.items())
    log.log(level, "%s", what + text, extra={"journal": {"what": what, **fields}})


def limit(log: logging.Logger, option: str, **fields: Any) -> None:
    """Somebody was refused something for a limit, which `option` sets."""
    note(log, "limit hit", logging.WARNING, limit=option, **fields)


def fault(log: logging.Logger, what: str, error: BaseException, **fields: Any) -> None:
    """Something failed that should not: what kind of error, and where. Not its text, nor lines of
    code, in which there may be what a user has written."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    note(log, what, logging.ERROR, **fields, error=type(error).__name__, where=where)


def _quoted(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class JsonFormatter(logging.Formatter):
    """One JSON object for each line; also for what jupyter_server itself says."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        line |= getattr(record, "journal", None) or {"what": record.getMessage()}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
