"""A large tensor stays on the server until a local cell reads it, in a browser with JSPI and without."""

import pytest

CELLS = {
    "make": "%%torch\nw = torch.arange(10**6, dtype=torch.float64).reshape(1000, 1000)\n"
    "state = {'w': w * 2, 'n': [torch.ones(10**6)]}",
    "functions": "import numpy as np\ndef total(): return float(np.sum(w))",
    "facts": "print(globals()['w'], w.shape, w.dtype, len(w), w is None)",
    "part": "print(w[0, :3], w[[1, 2], 5], w.mean(axis=0)[:2])",
    "still there": "print(type(globals()['w']).__name__)",
    "function": "print(total(), type(w).__name__)",
    "container": "print(state['w'].sum(), state['n'][0][:2], type(state['w']).__name__)",
    "back": "%%torch\n(state['w'] is globals()['state']['w'], w.sum().item())",
    "away": "%%torch\nw = torch.zeros(10**6)",
    "kept": "old = [w]",
    "plot": "%%time\nw.ravel().sum()",
}


@pytest.mark.parametrize("jspi", [True, False])
def test_local_cells_need_no_await(run_notebook, jspi):
    cells = dict(CELLS)
    if not jspi:
        # What asks the server in the middle of a cell.
        del cells["plot"]
    run = run_notebook(list(cells.values()), *([] if jspi else ["--no-jspi"]))
    run.ended(0)
    got = dict(zip(cells, run.cells, strict=True))
    facts = (
        "<RemoteArray w: float64 (1000, 1000), 7.629 MiB on cpu> (1000, 1000) float64 1000 False\n"
    )
    assert got["facts"].stdout == facts
    assert got["part"].stdout == "[0. 1. 2.] [1005. 2005.] [499500. 499501.]\n"
    # Without JSPI a part is a reason to fetch the whole.
    assert got["still there"].stdout == ("RemoteArray\n" if jspi else "ndarray\n")
    assert got["function"].stdout == "499999500000.0 ndarray\n"
    assert got["container"].stdout == "999999000000.0 [1. 1.] ndarray\n"
    assert got["back"].result["text/plain"] == "(True, 499999500000.0)"
