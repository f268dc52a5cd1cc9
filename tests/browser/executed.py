"""What a run leaves behind: the executed cells with their outputs."""

import dataclasses
import json
import re

import nbformat
import pytest

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Executed:
    """One code cell of an executed notebook."""

    def __init__(self, cell):
        self.source, self.outputs = cell.source, cell.outputs
        self.count = cell.execution_count

    def stream(self, name):
        """All text of `stdout` or `stderr`."""
        texts = [o.text for o in self.outputs if o.output_type == "stream" and o.name == name]
        return "".join(texts)

    @property
    def stdout(self):
        return self.stream("stdout")

    @property
    def stderr(self):
        return self.stream("stderr")

    @property
    def result(self):
        """The MIME bundle of `Out[n]`."""
        (bundle,) = [o.data for o in self.outputs if o.output_type == "execute_result"]
        return bundle

    @property
    def displays(self):
        """The MIME bundles that were displayed, in order."""
        return [o.data for o in self.outputs if o.output_type == "display_data"]

    @property
    def error(self):
        """The error output, None for a cell that raised nothing."""
        return next((o for o in self.outputs if o.output_type == "error"), None)

    @property
    def failure(self):
        """Name and text of the error in one line, with no colours; empty without one."""
        return ANSI.sub("", f"{self.error.ename}: {self.error.evalue}") if self.error else ""

    def __repr__(self):
        return f"{self.source}\n-> {json.dumps(self.outputs, indent=1)[:3000]}"


@dataclasses.dataclass
class Run:
    """What `jupyter lite-run` did with one notebook."""

    status: int
    stdout: str
    stderr: str
    cells: list[Executed]
    notebook: nbformat.NotebookNode | None

    def ended(self, status):
        """Fail with everything that there is to see unless it ended with this status."""
        if self.status != status:
            told = [c for c in self.cells if c.error]
            parts = [f"status {self.status}, not {status}", self.stdout, self.stderr]
            pytest.fail("\n".join([*parts, *map(repr, told)]), pytrace=False)
