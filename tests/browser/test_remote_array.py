"""A large tensor stays on the server until a local cell reads it, in a browser with JSPI and without."""

import pytest

CELLS = {
    "make": "%%torch\ntorch.manual_seed(0); curve = torch.randn(10**6).cumsum(0)\nw = torch.arange(10**6, dtype=torch.float64).reshape(1000, 1000)\n"
    "state = {'w': w * 2, 'n': [torch.ones(10**6)]}",
    "functions": "import numpy as np\ndef total(): return float(np.sum(w))",
    "facts": "print(globals()['w'], w.shape, w.dtype, len(w), w is None)",
    "part": "print(w[0, :3], w[[1, 2], 5], w.mean(axis=0)[:2])",
    "still there": "print(type(globals()['w']).__name__)",
    "shown": "w",
    "quiet": "w; print(type(globals()['w']).__name__)",
    "displayed": "display(curve)\ncurve.plot()",
    "container shown": "state",
    "function": "print(total(), type(w).__name__)",
    "container": "print(state['w'].sum(), state['n'][0][:2], type(state['w']).__name__)",
    "awaited": "print((await w)[0, 1], (await state['w'])[0, 1], await w.max())",
    "back": "%%torch\n(state['w'] is globals()['state']['w'], w.sum().item())",
    "away": "%%torch\nw = torch.zeros(10**6)",
    "kept": "old = [w]",
    "plot": "%%time\nw.ravel().sum()",
}


PICTURES = """%%torch
torch.manual_seed(0)
a, b = (torch.linspace(-1, 1, n) for n in (480, 640))
weights = torch.randn(4096, 1024, dtype=torch.float64).cumsum(0).cumsum(1)
photo = torch.stack([(a[:, None] ** 2 + b ** 2 < r) * (a[:, None] + b + 2) / 4 for r in (.2, .6, 1)])
loss = (torch.arange(10**6) / -2e5).exp() + torch.randn(10**6) * .02
loss[500_000:501_000] = float("nan")
labels = torch.randint(0, 10, (10**6,))
half = torch.randn(64, 3, 64, 64).bfloat16()
"""


def test_it_is_good_to_look_at(lab, artifacts):
    """For a person: pictures of previews and plots, in the light theme and the dark one."""
    lab.run_cell(PICTURES)
    shown = lab.run_cell("display(weights, photo, loss, labels, half)")
    assert len(shown.displays) == 5
    for theme in ("Light", "Dark"):
        lab.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            f"JupyterLab {theme}",
        )
        lab.page.wait_for_function(
            "theme => document.body.dataset.jpThemeName === theme", arg=f"JupyterLab {theme}"
        )
        _photograph(lab, artifacts / f"preview-{theme.lower()}.png")
    plotted = lab.run_cell("loss.plot()\nweights.plot()\nphoto.plot()\nhalf.plot()")
    assert len(plotted.displays) == 4
    _photograph(lab, artifacts / "plot-dark.png")


def _photograph(lab, path):
    area = lab.page.locator(".jp-Cell-outputWrapper").last
    lab.page.set_viewport_size({"width": 1280, "height": 2400})
    area.screenshot(path=path)


@pytest.mark.parametrize("jspi", [True, False])
def test_local_cells_need_no_await(run_notebook, jspi):
    cells = dict(CELLS)
    if not jspi:
        # What asks the server in the middle of a cell.
        del cells["plot"], cells["part"], cells["still there"]
    run = run_notebook(list(cells.values()), *([] if jspi else ["--no-jspi"]))
    run.ended(0)
    got = dict(zip(cells, run.cells, strict=True))
    facts = (
        "<RemoteArray w: float64 (1000, 1000), 7.629 MiB on cpu> (1000, 1000) float64 1000 False\n"
    )
    assert got["facts"].stdout == facts
    # Without JSPI a part is a reason to fetch the whole.
    if jspi:
        assert got["part"].stdout == "[0. 1. 2.] [1005. 2005.] [499500. 499501.]\n"
        assert got["still there"].stdout == "RemoteArray\n"
    html = got["shown"].result["text/html"]
    assert "<svg" in html and "image/png" in html and ">500000<" in html
    assert got["shown"].result["text/plain"] == facts.split(">")[0] + ">"
    assert got["quiet"].stdout == "RemoteArray\n"
    previewed, plotted = (each["text/html"] for each in got["displayed"].displays)
    assert "not fetched" in previewed and "</pre>" in previewed and "999,999" in plotted
    assert got["container shown"].result["text/plain"].count("<RemoteArray state") == 2
    assert got["function"].stdout == "499999500000.0 ndarray\n"
    assert got["container"].stdout == "999999000000.0 [1. 1.] ndarray\n"
    assert got["awaited"].stdout == "1.0 2.0 999999.0\n"
    assert got["back"].result["text/plain"] == "(True, 499999500000.0)"
