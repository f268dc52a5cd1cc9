"""One notebook, and its run in a browser from start to end."""

import json
import queue
import secrets
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from lite_site import text
from lite_site.browser import Chromium
from lite_site.page import RunServer
from lite_site.proxy import ProxyError, end_session

# Where the page extension of a site at a path looks for the server of this tab, and for a notebook's
# session.
SERVER_KEY = "jupyterlite-torch:{base}:server"
SESSION_KEY = "jupyterlite-torch:{base}:session:{path}"
# The only kernel of the site. Without one in its metadata a notebook opens with a question.
KERNEL = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}


class NotebookError(Exception):
    """A file is not a notebook that can run here."""


@dataclass
class Outcome:
    """How a run ended: the cells that raised, and the reason if it did not come to its end."""

    ran: bool = False
    raised: list[int] = field(default_factory=list)
    reason: str = ""


class Notebook:
    """A notebook whose outputs are filled in as it runs, and which else stays as it was read."""

    def __init__(self, name: str, node: NotebookNode) -> None:
        self.name = name
        self.node = node
        self.code_count = sum(cell.cell_type == "code" for cell in node.cells)
        for cell in node.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None

    @classmethod
    def read(cls, path: Path) -> "Notebook":
        """Read a file; older formats are brought to version 4."""
        try:
            node = nbformat.read(path, as_version=4)
            nbformat.validate(node)
        except OSError as error:
            raise NotebookError(f"can not be read: {error.strerror}.") from None
        except Exception as error:
            # nbformat raises whatever its parsers do.
            raise NotebookError(f"is not a notebook: {str(error).splitlines()[0]}") from None
        language = node.metadata.get("language_info", {}).get("name", "python")
        if language not in ("python", "ipython"):
            raise NotebookError(f"is written in {language}; only Python runs in the site.")
        return cls(path.name, node)

    def for_the_page(self) -> dict[str, Any]:
        """The copy that the browser opens."""
        copy = json.loads(nbformat.writes(self.node))
        copy["metadata"]["kernelspec"] = KERNEL
        return copy

    def fill(self, index: int, outputs: list[dict[str, Any]], count: int | None = None) -> None:
        """Put in what a cell has given so far."""
        cell = self.node.cells[index]
        cell.outputs = [nbformat.from_dict(output) for output in outputs]
        if count is not None:
            cell.execution_count = count
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count

    def write(self, path: Path) -> None:
        """Write it as it is now, as JupyterLab does: an output that the format forbids is said on
        standard error, and kept."""
        nbformat.write(self.node, path)


def run_notebook(
    notebook: Notebook,
    site: RunServer,
    server: str | None,
    token: str,
    *,
    timeout_s: float,
    allow_errors: bool = False,
    verbose: bool = False,
) -> Outcome:
    """Run all cells in a browser of its own and a fresh session, printing how each one ends."""
    session = secrets.token_urlsafe(24)
    storage = {}
    if server:
        where = {"base": site.base, "path": notebook.name}
        storage[SERVER_KEY.format(**where)] = json.dumps({"url": server, "token": token})
        storage[SESSION_KEY.format(**where)] = session
    url = site.offer(notebook.name, notebook.for_the_page(), storage, allow_errors)
    events = site.events
    report = Report(notebook, verbose)
    deadline = time.monotonic() + timeout_s
    try:
        with Chromium(url, lambda: events.put({"type": "gone"})) as browser:
            outcome = _follow(notebook, events, deadline, report)
            if outcome.reason:
                outcome.reason = _explain(outcome.reason, timeout_s, report, browser)
            return outcome
    finally:
        if server:
            try:
                end_session(server, token, session)
            except ProxyError as error:
                print(f"The session of {notebook.name} was not ended: {error}", file=sys.stderr)


def _follow(
    notebook: Notebook, events: queue.Queue[dict[str, Any]], deadline: float, report: "Report"
) -> Outcome:
    outcome = Outcome()
    while True:
        try:
            event = events.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            event = {"type": "timeout"}
        match event["type"]:
            case "ready":
                outcome.ran = True
            case "start":
                report.start(event["index"])
            case "outputs":
                notebook.fill(event["index"], event["outputs"])
            case "end":
                index = event["index"]
                notebook.fill(index, event["outputs"], event["execution_count"])
                tags = notebook.node.cells[index].metadata.get("tags", [])
                if event["raised"] and "raises-exception" not in tags:
                    outcome.raised.append(index)
                report.end(index, event["raised"])
            case "done":
                return outcome
            case "failed":
                outcome.reason = event["reason"]
                return outcome
            case ended:
                outcome.reason = ended
                return outcome


def _explain(reason: str, timeout_s: float, report: "Report", browser: Chromium) -> str:
    if reason == "timeout":
        reason = f"{report.where()} after {timeout_s:g} s (--timeout)."
        if report.index is not None:
            return reason
    elif reason == "gone":
        reason = f"Chromium ended by itself; {report.where()}."
    else:
        reason = f"the page failed: {reason}; {report.where()}."
    log = browser.log()
    return f"{reason}\nThe browser's last lines:\n{log}" if log else reason


class Report:
    """Prints the cells of a notebook as they end."""

    def __init__(self, notebook: Notebook, verbose: bool) -> None:
        self.notebook, self.verbose = notebook, verbose
        self.number, self.index, self.began = 0, None, 0.0

    def start(self, index: int) -> None:
        """A cell begins."""
        if self.verbose:
            after = 0 if self.index is None else self.index + 1
            for cell in self.notebook.node.cells[after:index]:
                print(f"\n{cell.source}")
        self.number += 1
        self.index, self.began = index, time.monotonic()

    def end(self, index: int, raised: bool) -> None:
        """A cell has ended."""
        cell = self.notebook.node.cells[index]
        seconds = time.monotonic() - self.began
        outcome = "ok"
        if raised:
            errors = [output for output in cell.outputs if output.output_type == "error"]
            outcome = text.error_line(errors[-1]) if errors else "raised"
        if self.verbose:
            count = cell.execution_count if cell.execution_count is not None else " "
            print(f"\nIn [{count}]:\n{_indented(cell.source)}")
            for output in cell.outputs:
                print(text.render(output, sys.stdout.isatty()))
            print(f"-- {outcome}, {seconds:.1f} s", flush=True)
        else:
            place = f"{self.number}/{self.notebook.code_count}"
            title = text.first_line(cell.source)[:60]
            print(f"  [{place}] {seconds:6.1f} s  {title:60}  {outcome}", flush=True)

    def where(self) -> str:
        """How far the run has come."""
        if self.index is None:
            return "Python had not started in the page"
        source = self.notebook.node.cells[self.index].source
        return (
            f"cell {self.number} of {self.notebook.code_count} was running "
            f"({text.first_line(source)[:60]})"
        )


def _indented(source: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in source.splitlines())
