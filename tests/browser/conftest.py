"""A built site, real proxies, and two ways to drive a page: the runner, and clicks and keys."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from browser.executed import Executed, Run
from browser.lab import START_TIMEOUT_S, Lab
from playwright.sync_api import sync_playwright
from proxy import Proxy

from bench.memory import MemoryWatch, chromiums
from lite_site.browser import find_chromium
from lite_site.serve import SiteServer, running

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"


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


@pytest.fixture
def port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def start_proxy():
    """Start proxies, as `Proxy` takes it: `start_proxy(*arguments, port=0, env=None)`."""
    started = []

    def start(*arguments, **options):
        started.append(Proxy(*arguments, **options))
        return started[-1]

    yield start
    for each in started:
        # With their kernels, which may outlive a proxy that ends otherwise.
        each.interrupt()


# --- Notebooks through the runner ----------------------------------------------------------------


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


# --- Pages with clicks and keys ------------------------------------------------------------------


@pytest.fixture(scope="module")
def site_server(site):
    """A server of the site below a path, as GitHub Pages does, with the app in `window.jupyterapp`."""
    settings = json.loads((site / "jupyter-lite.json").read_text(encoding="utf-8"))
    settings["jupyter-config-data"]["exposeAppInBrowser"] = True
    overlay = {"jupyter-lite.json": json.dumps(settings).encode()}
    return lambda: SiteServer(site, base="/some/path/", overlay=overlay)


@pytest.fixture(scope="module")
def served(site_server):
    """Serve the site."""
    with running(site_server()) as server:
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


@pytest.fixture
def lab(new_lab, served, start_proxy):
    """A page that is connected, with an empty notebook `work.ipynb`."""
    proxy = start_proxy("--site", served.url)
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook("work.ipynb")
    lab.proxy = proxy
    return lab


@pytest.fixture
def watch_memory():
    """Follow the private memory of Chromium's processes, and of more by their pids."""

    def find(pids):
        return dict.fromkeys(pids, "given") | chromiums()

    return lambda *pids: MemoryWatch(lambda: find(pids))
