"""The site's own notebooks, and that nothing passes where there is no server."""

import base64
import re
from pathlib import Path

import pytest

import lite_site
from lite_site.proxy import ProxyError, check

NOTEBOOKS = Path(lite_site.__file__).parent / "notebooks"


def test_quickstart(run_file):
    run = run_file(NOTEBOOKS / "quickstart.ipynb")
    run.ended(0)
    (training,) = [cell for cell in run.cells if cell.source.startswith("%%torch")]
    assert re.search(r"epoch 30 +loss 0\.\d+", training.stdout)
    (told,) = [cell.stdout for cell in run.cells if "digits that it had never seen" in cell.stdout]
    assert float(told.partition("%")[0]) > 97
    figure = run.cells[-1].displays[-1]["image/png"]
    assert len(base64.b64decode(figure)) > 20_000


def test_pyodide_question(run_file):
    run = run_file(NOTEBOOKS / "pyodide-question.ipynb")
    run.ended(0)
    assert re.match(r"'2\.\d+", run.cells[0].result["text/plain"])
    assert run.cells[1].stdout.startswith("tensor([[")
    assert run.cells[2].result["text/plain"].startswith("array([[")
    assert "1000 numbers on" in run.cells[4].stdout


def test_status_2_without_a_server(run_notebook, port):
    """Before any browser is started, and with the reason."""
    server = f"http://127.0.0.1:{port}"
    run = run_notebook(
        ["%%torch\n1"], "--server", server, env={"JUPYTER_TORCH_TOKEN": "a-token-of-nobody"}
    )
    run.ended(2)
    assert f"The server {server} can not be reached" in run.stderr
    assert run.notebook is None


def test_status_2_where_the_server_refuses_the_token(run_notebook, start_proxy):
    proxy = start_proxy("--origin", "https://elsewhere.example")
    run = run_notebook(
        ["%%torch\n1"], "--server", proxy.url, env={"JUPYTER_TORCH_TOKEN": "a-token-of-nobody"}
    )
    run.ended(2)
    assert "token" in run.stderr and run.notebook is None


def test_server_that_lists_other_pages_lets_the_run_in_and_no_longer(
    run_notebook, start_proxy, port
):
    proxy = start_proxy("--origin", "https://elsewhere.example")
    options = ("--server", proxy.url, "--port", port)
    run = run_notebook(["%%torch\nx = 1", "x"], *options, env={"JUPYTER_TORCH_TOKEN": proxy.token})
    run.ended(0)
    assert run.cells[1].result["text/plain"] == "1"
    with pytest.raises(ProxyError, match="does not let pages"):
        check(proxy.url, proxy.token, f"http://127.0.0.1:{port}")
