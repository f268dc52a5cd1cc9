"""A cell's text as the server gets it, so that a traceback has the numbers that the person sees."""

import re

_FIRST_CODE = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*([ \t]*)(%%)?")
_ANSI = r"(?:\x1b\[[0-9;]*m)*"
#: How IPython (7 to 9) heads the frames of a cell.
_HEAD = re.compile(rf"(In{_ANSI} ?{_ANSI}\[{_ANSI})(\d+)({_ANSI}\]{_ANSI}(?:, line| in {_ANSI}<))")


class Source:
    """The body of a `%%torch` cell. `lead` is what stands before it in the cell: comments, and the
    line with the magic."""

    def __init__(self, body, lead=""):
        self.body = body
        self.lead = lead

    @property
    def code(self):
        """What runs: the lead as comments, so that line numbers are those of the whole cell.

        A body that starts with a cell magic is left alone, since that must be its first line.
        """
        indent, magic = _FIRST_CODE.match(self.body).groups()
        if magic:
            return self.body
        lines = (line.strip().removeprefix("#") for line in self.lead.splitlines())
        # IPython takes the first line's indentation away from all.
        return "".join(f"{indent}#{line}\n" for line in lines) + self.body


class Numbers:
    """Which `In[n]` of the page a cell of the server is."""

    def __init__(self):
        self._here = {}

    def note(self, content, here):
        """Note the number that a reply has there, and the cell's number here."""
        self._here[content.get("execution_count")] = here

    def translate(self, traceback):
        """Return a traceback with the numbers that the page shows."""
        return [_HEAD.sub(self._translated, line) for line in traceback]

    def _translated(self, match):
        there = int(match[2])
        return f"{match[1]}{self._here.get(there, there)}{match[3]}"
