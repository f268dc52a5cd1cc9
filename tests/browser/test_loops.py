"""The loops of loops.wat in the browser, beside NumPy's, which stand in where they can not run."""

BOTH = """\
import numpy as np
from jupyterlite_torch import _browser, _loops

wasm, rng = _loops._wasm, np.random.default_rng(0)

def both(call):
    of_wasm, _loops._wasm = call(), None
    of_numpy, _loops._wasm = call(), wasm
    return of_wasm, of_numpy
print(wasm is not None)"""

COMBINED = """\
data = bytearray(rng.bytes(2**20 + 8))
edges = [2**15 * n + more for n in (1, 2) for more in range(-5, 6)]
for start in (0, 4, 7):
    for count in (*range(10), *edges, 2**16 + 3, 2**17):
        words = memoryview(data)[start : start + 8 * count]
        of_wasm, of_numpy = both(lambda: _loops.combined(words) % 2**64)
        assert of_wasm == of_numpy, (start, count)
print("same")"""

WIDEN = """\
def widen(count, codes):
    # With memory on both sides of what is written.
    memory = np.full(count + 2, 7, np.float32)
    _loops.widen_bfloat16(codes, memory[1:-1])
    return memory.tobytes()

for count in (*range(20), 2**16):
    codes = np.arange(count, dtype=np.uint16) if count == 2**16 else rng.integers(0, 2**16, count, np.uint16)
    of_wasm, of_numpy = both(lambda: widen(count, codes))
    assert of_wasm == of_numpy, count
print("same")"""


def test_the_same_as_numpy(run_notebook):
    # The last one holds no WebAssembly, as far as a browser without its vectors can tell.
    cells = [BOTH, COMBINED, WIDEN, "print(_browser.webassembly('_loops.py'))"]
    run = run_notebook(cells)
    run.ended(0)
    assert [cell.stdout for cell in run.cells] == ["True\n", "same\n", "same\n", "None\n"]
