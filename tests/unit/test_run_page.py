"""What the runner's server gives to the page that runs a notebook."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lite_site.page import RunServer
from lite_site.serve import running

NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "index.html").write_text("<body>app</body>")
    settings = {"jupyter-config-data": {"federated_extensions": [{"name": "jupyterlite-torch"}]}}
    (tmp_path / "jupyter-lite.json").write_text(json.dumps(settings))
    workers = tmp_path / "extensions/@jupyterlite/pyodide-kernel-extension/static"
    workers.mkdir(parents=True)
    (workers / "comlink.worker.abc.js").write_text("worker")
    return tmp_path


def ask(url: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        return answer.read()


def test_the_page_gets_its_job_and_its_notebook(site: Path):
    with running(RunServer(site)) as server:
        url = server.offer("mine.ipynb", NOTEBOOK, {"key": "secret"}, True)
        page, _, job_id = url.partition("#")
        assert b"run.js" in ask(page)
        job = json.loads(ask(f"{server.url}lite-run/{job_id}/job", {}))
        assert job == {"path": "mine.ipynb", "storage": {"key": "secret"}, "allowErrors": True}
        assert json.loads(ask(server.url + "files/mine.ipynb")) == NOTEBOOK
        listing = json.loads(ask(server.url + "api/contents/all.json"))
        assert [file["path"] for file in listing["content"]] == ["mine.ipynb"]
        ask(f"{server.url}lite-run/{job_id}/event", {"type": "ready"})
        assert server.events.get(timeout=10) == {"type": "ready"}


def test_a_job_is_for_the_page_alone_that_knows_its_id(site: Path):
    with running(RunServer(site)) as server:
        old = server.offer("mine.ipynb", NOTEBOOK, {}, False).partition("#")[2]
        server.offer("mine.ipynb", NOTEBOOK, {}, False)
        for stranger in ("", "guess", old, server.job_id[:-1]):
            with pytest.raises(urllib.error.HTTPError) as caught:
                ask(f"{server.url}lite-run/{stranger}/job", {})
            assert caught.value.code == 404
            caught.value.close()


def test_the_app_is_open_to_the_page_and_keeps_its_settings(site: Path):
    server = RunServer(site)
    server.server_close()
    settings = json.loads(server.overlay["jupyter-lite.json"])["jupyter-config-data"]
    assert settings["exposeAppInBrowser"] is True
    assert server.extensions == {"jupyterlite-torch"}
    assert b"run.js" in server.overlay["notebooks/index.html"]


@pytest.mark.parametrize("jspi", [True, False])
def test_jspi_is_taken_out_of_the_worker(site: Path, jspi: bool):
    server = RunServer(site, jspi=jspi)
    server.server_close()
    workers = [content for path, content in server.overlay.items() if ".worker." in path]
    assert workers == ([] if jspi else [b"%sworker" % workers[0].removesuffix(b"worker")])
    assert jspi or b"delete WebAssembly.Suspending" in workers[0]
