"""Makes `%%torch` and `%torch` awaited calls before the local kernel looks at the cell.

IPython never awaits a magic, and the Pyodide kernel (0.8.6) would run `%pip` lines of the body here.
Pre-empting both works in every browser, with JSPI or without.
"""

import re

from IPython.core.inputtransformer2 import TokenTransformBase

_CELL = re.compile(r"((?:[ \t]*(?:#[^\n]*)?\n)*)%%torch(?:[ \t]+([^\n]*))?(?:\n|\Z)")


def cell_call(text):
    """Return the call that runs a `%%torch` cell, or None for any other cell."""
    match = _CELL.match(text)
    if match is None:
        return None
    line, body = match[2] or "", text[match.end() :]
    return f"await __import__('jupyterlite_torch').run_cell({line!r}, {body!r})\n"


async def transform_cell(lines):
    """Rewrite the lines of a cell that starts with `%%torch`, comments before it allowed."""
    call = cell_call("".join(lines))
    return lines if call is None else [call]


class LineTransform(TokenTransformBase):
    """`%torch ...` at the start of a line outside of any block."""

    @classmethod
    def find(cls, tokens_by_line):
        """Return the first one, or None; the body of another cell magic is that magic's."""
        for line in tokens_by_line:
            if [token.string for token in line[:2]] == ["%", "%"]:
                return None
            if len(line) > 1 and line[0].string == "%" and line[0].start[1] == 0:
                if line[1].string == "torch" and line[1].start == line[0].end:
                    return cls(line[0].start)
        return None

    async def transform(self, lines):
        """Rewrite that line."""
        line = lines[self.start_line].strip().removeprefix("%torch").strip()
        call = f"await __import__('jupyterlite_torch').run_line({line!r})\n"
        return [*lines[: self.start_line], call, *lines[self.start_line + 1 :]]


def install(shell):
    """Put both before everything that the local kernel does to a cell."""
    manager = getattr(getattr(shell, "kernel", None), "lite_transform_manager", None)
    if manager is None:
        shell.input_transformers_cleanup.insert(0, _transform_now)
        return
    manager.cleanup_transforms.insert(0, transform_cell)
    manager.token_transformers.insert(0, LineTransform)


def _transform_now(lines):
    call = cell_call("".join(lines))
    return lines if call is None else [call]
