"""Makes `%%torch` and `%torch` awaited calls before the local kernel looks at the cell.

IPython never awaits a magic, and the Pyodide kernel (0.8.6) would run `%pip` lines of the body here.
Pre-empting both works in every browser, with JSPI or without.
"""

import re
import tokenize

from IPython.core.inputtransformer2 import TokenTransformBase

_CELL = re.compile(r"((?:[ \t]*(?:#[^\n]*)?\n)*)%%torch(?:[ \t]+([^\n]*))?(?:\n|\Z)")


def cell_call(text):
    """Return the call that runs a `%%torch` cell, or None for any other cell."""
    match = _CELL.match(text)
    if match is None:
        return None
    line, body, lead = match[2] or "", text[match.end() :], text[: match.end()]
    return f"await __import__('jupyterlite_torch').run_cell({line!r}, {body!r}, {lead!r})\n"


def cell_transform(bring):
    """Return the transform of whole cells; `bring(text)` fetches what a local cell needs."""

    async def transform_cell(lines):
        text = "".join(lines)
        call = cell_call(text)
        if call is not None:
            return [call]
        error = await bring(text)
        # An error here would leave the kernel; in the cell it is shown as any other.
        return lines if error is None else ["__import__('jupyterlite_torch').fail()\n"]

    return transform_cell


class LineTransform(TokenTransformBase):
    """`%torch ...` and `name = %torch ...` at the start of a line outside of any block."""

    @classmethod
    def find(cls, tokens_by_line):
        """Return the first one, or None; the body of another cell magic is that magic's."""
        for line in tokens_by_line:
            if [token.string for token in line[:2]] == ["%", "%"]:
                return None
            start = _start_of_value(line)
            percent, name = (*line[start : start + 2], None, None)[:2]
            if name is not None and (percent.string, name.string) == ("%", "torch"):
                outside = line[0].start[1] == 0 and line[0].type != tokenize.INDENT
                if outside and name.start == percent.end:
                    return cls(percent.start)
        return None

    async def transform(self, lines):
        """Rewrite that line."""
        number, column = self.start_line, self.start_col
        before, line = lines[number][:column], lines[number][column:]
        line = line.strip().removeprefix("%torch").strip()
        function = "value_of" if before else "run_line"
        call = f"{before}await __import__('jupyterlite_torch').{function}({line!r})\n"
        return [*lines[:number], call, *lines[number + 1 :]]


def _start_of_value(line):
    """Return the index of the token after the first `=` of a line of tokens; 0 if there is none."""
    depth = 0
    for index, token in enumerate(line):
        depth += (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}"))
        if token.string == "=" and depth == 0:
            return index + 1
    return 0


def install(shell, bring):
    """Put both before everything that the local kernel does to a cell."""
    manager = getattr(getattr(shell, "kernel", None), "lite_transform_manager", None)
    if manager is None:
        shell.input_transformers_cleanup.insert(0, _transform_now)
        return
    manager.cleanup_transforms.insert(0, cell_transform(bring))
    manager.token_transformers.insert(0, LineTransform)


def _transform_now(lines):
    call = cell_call("".join(lines))
    return lines if call is None else [call]
