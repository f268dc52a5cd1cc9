"""A built site, real proxies, and two ways to drive a page: the runner, and clicks and keys."""

import contextlib
import dataclasses
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import sync_playwright

from lite_site.browser import find_chromium
from lite_site.serve import SiteServer, running

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
# The first cell waits for Pyodide, and the first remote one for torch.
START_TIMEOUT_S = 240


@pytest.fixture(scope="session")
def site():
    """The folder of the built site; SITE_DIR names another than that of `make site`."""
    folder = Path(os.environ.get("SITE_DIR") or ROOT / "lite_site" / "_output")
    if not (folder / "jupyter-lite.json").is_file():
        pytest.fail(f"{folder} holds no built site: run `make site` first.", pytrace=False)
    return folder


@pytest.fixture
def artifacts():
    """Where pictures of a test are left for a person to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    return ARTIFACTS


# --- The proxy -----------------------------------------------------------------------------------


class Proxy:
    """`jupyter torch-proxy` as a user starts it."""

    def __init__(self, *arguments, env=None):
        self.token = secrets.token_urlsafe(24)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kernel_proxy", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "JUPYTER_TORCH_TOKEN": self.token, **(env or {})},
        )
        self.printed = ""
        while "In a notebook" not in self.printed:
            line = self.process.stdout.readline()
            assert line, f"the proxy ended with {self.process.wait()}: {self.printed}"
            self.printed += line
        self.url = re.search(r"^Address: (\S+)$", self.printed, re.M)[1]

    @property
    def link(self):
        """The pairing link of `--site`."""
        return re.search(r"^Open: (\S+)$", self.printed, re.M)[1]

    def stop(self):
        """End it and its kernels."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def start_proxy():
    """Start proxies: `start_proxy(*arguments)`."""
    started = []

    def start(*arguments, env=None):
        started.append(Proxy(*arguments, env=env))
        return started[-1]

    yield start
    for each in started:
        each.stop()


# --- Notebooks through the runner ----------------------------------------------------------------


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


@pytest.fixture
def run_file(site, tmp_path):
    """Run a notebook file as `jupyter lite-run` does: `run_file(path, *options)`."""

    def run(path, *options, env=None):
        target = tmp_path / "executed"
        command = [sys.executable, "-m", "lite_site.run", str(path), "--site", str(site)]
        done = subprocess.run(
            [*command, "--output", str(target), "--timeout", "200", *map(str, options)],
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            env={**os.environ, **(env or {})},
            cwd=ROOT,
        )
        written = target / path.name
        notebook = nbformat.read(written, as_version=4) if written.exists() else None
        cells = [Executed(c) for c in notebook.cells if c.cell_type == "code"] if notebook else []
        return Run(done.returncode, done.stdout, done.stderr, cells, notebook)

    return run


@pytest.fixture
def run_notebook(run_file, tmp_path):
    """Run the sources of cells as a notebook: `run_notebook(cells, *options)`."""

    def run(cells, *options, env=None):
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        path = tmp_path / "notebook.ipynb"
        nbformat.write(node, path)
        return run_file(path, *options, env=env)

    return run


# --- Memory --------------------------------------------------------------------------------------


class MemoryWatch(threading.Thread):
    """Samples the private memory of processes: `samples[pid]` is a list of (time, bytes).

    `find()` returns their pids with their kinds, and is asked again and again, since processes come
    and go; `kinds` holds all of them.
    """

    INTERVAL_S = 0.02
    FIND_EVERY = 25

    def __init__(self, find):
        super().__init__(daemon=True)
        self.samples, self.kinds = {}, {}
        self._find, self._ended = find, threading.Event()

    def run(self):
        pids, turn = {}, 0
        while not self._ended.wait(self.INTERVAL_S):
            if turn % self.FIND_EVERY == 0:
                pids = self._find()
                self.kinds |= pids
            turn += 1
            for pid in pids:
                try:
                    text = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if anonymous := re.search(r"^RssAnon:\s+(\d+) kB", text, re.M):
                    sample = time.time(), int(anonymous[1]) * 1024
                    self.samples.setdefault(pid, []).append(sample)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()

    def growth(self, pid, start, stop):
        """How much more than at `start` a process held, at most, until `stop`, in bytes."""
        samples = self.samples.get(pid, [])
        before = [size for when, size in samples if when <= start][-1:]
        during = [size for when, size in samples if start <= when <= stop]
        return max(during) - before[0] if before and during else 0

    def total_growth(self, label, start, stop):
        """The growth of all of Chromium's processes together, told by their kinds."""
        growths = {
            pid: self.growth(pid, start, stop)
            for pid, kind in self.kinds.items()
            if kind != "given"
        }
        for pid, growth in growths.items():
            if growth >= 2**20:
                print(f"{label}, {self.kinds[pid]} process: {growth / 2**20:.0f} MiB more")
        return sum(growths.values())


def descendants(pid):
    """The processes that a process has started, and theirs."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        # A process that has gone meanwhile has no file any more.
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def chromiums():
    """The processes of every Chromium that these tests have started, by pid."""
    found = {}
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if "chrom" in Path(f"/proc/{pid}/comm").read_text():
                # Chromium rewrites its children's command lines, with spaces between.
                command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                kind = re.search(r"--type=([\w-]+)", command)
                found[pid] = kind[1] if kind else "browser"
    return found


@pytest.fixture
def watch_memory():
    """Follow the private memory of Chromium's processes, and of more by their pids."""

    def find(pids):
        return dict.fromkeys(pids, "given") | chromiums()

    return lambda *pids: MemoryWatch(lambda: find(pids))


@pytest.fixture
def port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- Pages with clicks and keys ------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(site):
    """Serve the site below a path, as GitHub Pages does, with the app in `window.jupyterapp`."""
    settings = json.loads((site / "jupyter-lite.json").read_text(encoding="utf-8"))
    settings["jupyter-config-data"]["exposeAppInBrowser"] = True
    overlay = {"jupyter-lite.json": json.dumps(settings).encode()}
    with running(SiteServer(site, base="/some/path/", overlay=overlay)) as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    """One headless Chromium for the pages of a module."""
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to work for root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=[*arguments, "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


class Lab:
    """JupyterLab in a page; `page` is Playwright's."""

    def __init__(self, page):
        self.page = page
        page.set_default_timeout(START_TIMEOUT_S * 1000)

    def goto(self, url):
        """Open an address and wait until the app is there."""
        self.page.goto(url)
        self.ready()

    def ready(self):
        """Wait until the app is there."""
        self.page.wait_for_function("window.jupyterapp")
        self.page.evaluate("window.jupyterapp.restored.then(() => null)")

    def open_notebook(self, path, sources=("",)):
        """Write a notebook into the browser's storage and open it."""
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
        node.metadata["kernelspec"] = {"name": "python", "display_name": "Python (Pyodide)"}
        self.page.evaluate(
            """async ([path, content]) => {
                const app = window.jupyterapp;
                const model = { type: 'notebook', format: 'json', content };
                await app.serviceManager.contents.save(path, model);
            }""",
            [path, node],
        )
        self.show(path)

    def show(self, path):
        """Open a notebook of the browser's storage, or bring it to the front."""
        self.page.evaluate(
            """async path => {
                const app = window.jupyterapp;
                const panel = await app.commands.execute('docmanager:open', { path });
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.revealed;
                app.shell.activateById(panel.id);
                await panel.sessionContext.session.kernel.info;
            }""",
            path,
        )

    def start_cell(self, source):
        """Put a source into a new last cell and run it; returns without waiting for its end."""
        self.page.evaluate(
            """async source => {
                const app = window.jupyterapp;
                const panel = app.shell.currentWidget;
                const notebook = panel.content;
                notebook.activeCellIndex = notebook.widgets.length - 1;
                await app.commands.execute('notebook:insert-cell-below');
                notebook.activeCell.model.sharedModel.setSource(source);
                window.ran = app.commands.execute('notebook:run-cell');
                window.cell = notebook.activeCell;
            }""",
            source,
        )

    def end_cell(self):
        """Wait for the end of the cell that was started last; return it."""
        cell = self.page.evaluate(
            """async () => {
                await window.ran;
                return window.cell.model.toJSON();
            }"""
        )
        return Executed(nbformat.from_dict(cell))

    def run_cell(self, source):
        """Run a source in a new last cell; return it."""
        self.start_cell(source)
        return self.end_cell()

    def wait_for_output(self, text):
        """Wait until the running cell shows a text."""
        self.page.wait_for_function(
            "text => JSON.stringify(window.cell.model.outputs.toJSON()).includes(text)", arg=text
        )

    def execute(self, command):
        """Run a command of JupyterLab; do not wait for what it returns."""
        self.page.evaluate("command => { window.jupyterapp.commands.execute(command); }", command)

    def saved(self, path):
        """A file as JSON, as the browser's storage has it."""
        return self.page.evaluate(
            "path => window.jupyterapp.serviceManager.contents.get(path, { content: true })", path
        )

    def give_token(self, token):
        """Answer the page's question with the keyboard."""
        field = self.page.locator(".jp-Dialog input[type=password]")
        field.wait_for()
        # The question takes the focus by itself.
        self.page.wait_for_function("document.activeElement?.type === 'password'")
        self.page.keyboard.type(token)
        self.page.keyboard.press("Enter")
        field.wait_for(state="detached")


@pytest.fixture
def new_lab(chromium, served):
    """Open JupyterLab in a browser profile of its own: `new_lab(address or None)`."""
    contexts = []

    def make(url=None):
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 900}))
        lab = Lab(contexts[-1].new_page())
        lab.goto(url or f"{served.url}lab/index.html")
        return lab

    yield make
    for context in contexts:
        context.close()
