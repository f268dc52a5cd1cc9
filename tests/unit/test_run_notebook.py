"""Notebooks as the runner reads, fills and writes them, and what it refuses to do."""

import json
from pathlib import Path

import nbformat
import pytest

from lite_site import run
from lite_site.notebook import Notebook, NotebookError


def write(path: Path, **metadata: object) -> Path:
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("1 + 1", execution_count=7),
    ]
    cells[1].outputs = [nbformat.v4.new_output("stream", name="stdout", text="old")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_old_outputs_go_and_all_else_stays(tmp_path: Path):
    path = write(
        tmp_path / "mine.ipynb", mine={"kept": True}, kernelspec={"name": "x", "display_name": "X"}
    )
    before = json.loads(path.read_text())
    notebook = Notebook.read(path)
    assert notebook.for_the_page()["metadata"]["kernelspec"]["name"] == "python"
    result = {"output_type": "execute_result", "data": {"text/plain": "2"}, "metadata": {}}
    notebook.fill(1, [{**result, "execution_count": None}], 1)
    notebook.write(tmp_path / "out.ipynb")
    after = json.loads((tmp_path / "out.ipynb").read_text())
    assert after["cells"][1]["outputs"][0]["execution_count"] == 1
    assert after["cells"][1]["execution_count"] == 1
    before["cells"][1] |= {"outputs": after["cells"][1]["outputs"], "execution_count": 1}
    assert after == before


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "can not be read"), ("{", "is not a notebook"), ("{}", "is not a notebook")],
)
def test_what_is_no_notebook(tmp_path: Path, content: str | None, says: str):
    path = tmp_path / "bad.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NotebookError, match=says):
        Notebook.read(path)


def test_another_language_is_refused(tmp_path: Path):
    path = write(tmp_path / "r.ipynb", language_info={"name": "R"})
    with pytest.raises(NotebookError, match="written in R"):
        Notebook.read(path)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "notebooks").mkdir(parents=True)
    (site / "notebooks" / "index.html").write_text("<body></body>")
    (site / "jupyter-lite.json").write_text("{}")
    return site


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["mine.ipynb", "--site", "."], {}, "is not a built JupyterLite site"),
        (["mine.ipynb", "--site", "site"], {"CHROME_PATH": "/no/chrome"}, "/no/chrome"),
        (["mine.ipynb", "--site", "site"], {"PATH": ""}, "No Chromium found"),
        (["mine.ipynb", "--site", "site", "--server", "http://x"], {}, "needs a token"),
        (["mine.ipynb", "a/mine.ipynb", "--site", "site", "--output", "o"], {}, "run them apart"),
        (
            ["mine.ipynb", "--site", "site", "--server", "http://127.0.0.1:9"],
            {"JUPYTER_TORCH_TOKEN": "t" * 20},
            "can not be reached",
        ),
        (
            ["mine.ipynb", "--site", "site", "--server", "http://x", "--token-file", "absent"],
            {},
            "absent",
        ),
        (["absent.ipynb", "--site", "site"], {}, "can not be read"),
    ],
)
def test_what_can_not_run_ends_with_2_and_one_sentence(
    arguments: list[str],
    environment: dict[str, str],
    says: str,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    write(tmp_path / "mine.ipynb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JUPYTER_TORCH_TOKEN", raising=False)
    # Any program will do: none of these gets as far as starting it.
    for name, value in {"CHROME_PATH": "/bin/sh", **environment}.items():
        monkeypatch.setenv(name, value)
    if "PATH" in environment:
        monkeypatch.delenv("CHROME_PATH")
        monkeypatch.setattr("lite_site.browser.MAC_APPS", ())
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("jupyter lite-run: ") and error.count("\n") == 1
