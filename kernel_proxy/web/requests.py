"""What the requests of a page that mean something to the proxy itself are made of."""

import json
from typing import Any

from ..errors import Refused

_EXPORT = {"eager": int, "limit": int}
_CONTENT: dict[str, dict[str, type]] = {
    "execute_request": {
        "code": str,
        "silent": bool,
        "store_history": bool,
        "user_expressions": dict,
        "allow_stdin": bool,
        "stop_on_error": bool,
    },
    "interrupt_request": {"cell": str},
    "shutdown_request": {"restart": bool},
    "replay_request": {"cell": str, "after": int, "bytes": int},
    "peek_request": {"expression": str, **_EXPORT},
    "use_request": {
        "handle": str,
        "handles": list,
        "operation": str,
        "name": str,
        "arguments": list,
        "options": dict,
        **_EXPORT,
    },
}
_PUSH = {
    "page": str,
    "values": dict,
    "device": dict,
    "dtype": str,
    "imports": dict,
    "delete": list,
}
_PULL = {
    "page": str,
    "assigned": list,
    "stale": list,
    "mentioned": list,
    "current": list,
    "expressions": dict,
    "hold": int,
    "dropped": list,
    **_EXPORT,
}
_NAMES = {str: "text", bool: "true or false", dict: "an object", list: "a list", int: "a number"}


def check(channel: str, message: dict[str, Any]) -> None:
    """Refused for a request of which a part has another type than it should; null is none.

    What is for the kernel alone it is left to judge, but for what it can not even say that of.
    """
    kind, content = message["header"]["msg_type"], message["content"]
    _check(kind, content, _CONTENT.get(kind, {}))
    _check_text(content)
    if kind != "execute_request":
        return
    if channel != "shell":
        raise Refused("An execute_request is sent on the channel `shell`.")
    if message["header"].get("subshell_id") is not None:
        raise Refused("A cell runs in the main shell of its kernel.")
    # Without these there is no reply (ipykernel 7.4).
    if content.get("code") is None:
        raise Refused("An execute_request needs `code`.")
    content["silent"] = bool(content.get("silent"))
    extras = _object("torch", message["metadata"].get("torch"))
    _check("torch", extras, {"generation": int})
    push, pull = _object("push", extras.get("push")), _object("pull", extras.get("pull"))
    _check("push", push, _PUSH)
    _check("pull", pull, _PULL)
    # The values themselves may have such a text, and arrive.
    _check_text({**push, "values": list(push.get("values") or {})})
    _check_text(pull)


def _check_text(content: dict[str, Any]) -> None:
    """JSON can hold half a character; of a kernel that repeats it there is no reply (ipykernel 7.4)."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused("A text of this request has half of a character and is no Unicode.") from None


def _object(name: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise Refused(f"`{name}` of a cell's metadata is an object.")
    return value or {}


def _check(what: str, given: dict[str, Any], types: dict[str, type]) -> None:
    for name, kind in types.items():
        value = given.get(name)
        # `isinstance` takes True for a number.
        if value is not None and type(value) is not kind:
            raise Refused(f"`{name}` of `{what}` is {_NAMES[kind]}.")
