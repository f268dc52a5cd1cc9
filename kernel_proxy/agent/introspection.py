"""What a page shows while a cell is written: completions, and what a name stands for.

Injected into the kernel, as agent.py is. Called in a subshell, so a cell may be running.
"""

from IPython import get_ipython

MAX_MATCHES = 1000
#: Characters of a whole answer.
MAX_TEXT = 200_000
#: Where JupyterLab (4.6) finds the type of each match.
_TYPES = "_jupyter_types_experimental"


def complete(code, cursor_pos):
    """Return the content of a `complete_reply`, with as many matches as there is room for.

    `cursor_pos` counts code points.
    """
    # The kernel's own way, with the settings that its user has made.
    reply = get_ipython().kernel.do_complete(code, cursor_pos)
    types, left = reply["metadata"].get(_TYPES) or [], MAX_TEXT
    matches = []
    for number, match in enumerate(reply["matches"][:MAX_MATCHES]):
        described = types[number] if number < len(types) else {}
        left -= len(match) + sum(len(part) for part in described.values() if isinstance(part, str))
        if left < 0:
            break
        matches.append(match)
    metadata = {_TYPES: types[: len(matches)]} if types else {}
    return reply | {"matches": matches, "metadata": metadata}


def inspect(code, cursor_pos, detail_level):
    """Return the content of an `inspect_reply`; text that there is no room for is cut."""
    reply = get_ipython().kernel.do_inspect(code, cursor_pos, detail_level)
    data, left = {}, MAX_TEXT
    for mime_type, text in sorted(reply["data"].items(), key=lambda item: item[0] != "text/plain"):
        if len(text) > left:
            # A part of any other type than this need not mean anything.
            if mime_type != "text/plain":
                continue
            text = f"{text[: left - 2]}\n…"
        left -= len(text)
        data[mime_type] = text
    return reply | {"data": data}
