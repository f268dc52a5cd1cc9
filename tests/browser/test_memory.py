"""256 MiB each way: right values, and no second whole copy on the way."""

import pytest

pytestmark = pytest.mark.alone

MIB = 2**20
ARRAY = 256 * MIB
# What else may grow meanwhile. Emscripten grows the heap by up to 96 MiB more than it must.
HEAP_SLACK = 128 * MIB
PROXY_SLACK = 96 * MIB
# All of Chromium's processes, until its collector comes round: down, the array itself and chunks of
# the stream; up, the messages under way. Both are below what one whole copy would add.
CHROMIUM_DOWN = 1.75 * ARRAY
CHROMIUM_UP = 0.75 * ARRAY

MAKE = """\
import time
import numpy as np
import pyodide_js

def mark():
    # The length is that of the whole WebAssembly memory, which never shrinks.
    print(time.time(), pyodide_js._module.HEAPU8.length)

# Every bit pattern of a 32-bit multiplicative hash, so that a block out of place is seen.
x = np.arange(2**26, dtype=np.uint32)
x *= 2654435761
x = x.view(np.float32)"""

CHECK_THERE = """\
%%torch
expected = torch.arange(2**26).mul_(2654435761).to(torch.int32)
received = str(x.dtype), bool((x.view(torch.int32) == expected).all())
del expected"""

CHECK_HERE = """\
for start in range(0, len(y), 2**20):
    block = slice(start, start + 2**20)
    assert (y[block].view(np.uint32) == ~x[block].view(np.uint32)).all()
assert y.dtype == np.float32 and y.shape == x.shape
print("the same")"""


@pytest.mark.timeout(280)
def test_256_mib_each_way(run_notebook, start_proxy, watch_memory, port):
    proxy = start_proxy("--origin", f"http://127.0.0.1:{port}")
    cells = [
        "%%torch\nwarm = torch.ones(2**19)",
        "warm += 1",
        "%%torch\nwarm = warm * 2",
        MAKE,
        "mark()",
        CHECK_THERE,
        "mark()",
        "%%torch\ny = x.view(torch.int32).bitwise_not().view(torch.float32)",
        # Read as a whole, it is fetched.
        "y.ravel()[0]",
        "mark()",
        CHECK_HERE,
        "received",
    ]
    with watch_memory(proxy.process.pid) as watch:
        run = run_notebook(
            cells,
            *("--server", proxy.url, "--port", port),
            env={"JUPYTER_TORCH_TOKEN": proxy.token},
        )
    run.ended(0)
    assert run.cells[10].stdout == "the same\n"
    assert run.cells[11].result["text/plain"] == "('torch.float32', True)"
    marks = [cell.stdout.split() for cell in run.cells if cell.source == "mark()"]
    times = [float(when) for when, _ in marks]
    heaps = [int(size) for _, size in marks]
    pushed, pulled = heaps[1] - heaps[0], heaps[2] - heaps[1]
    print(f"heap: push {pushed / MIB:.0f} MiB, pull {pulled / MIB:.0f} MiB")
    in_proxy = watch.growth(proxy.process.pid, times[0], times[2])
    print(f"proxy: {in_proxy / MIB:.0f} MiB")
    up = watch.total_growth("push", times[0], times[1])
    down = watch.total_growth("pull", times[1], times[2])
    assert pushed <= HEAP_SLACK
    assert pulled <= ARRAY + HEAP_SLACK
    assert in_proxy <= PROXY_SLACK
    assert up <= CHROMIUM_UP
    assert down <= CHROMIUM_DOWN


#: Ways to read 64 MiB, each of which binds `here` last.
READS = [
    ["%%torch -o y=w\npass", "here = y.ravel()"],
    ["%%torch -o y=w\npass", "here = await y"],
    ["%%torch -o y=w\npass", "here = np.asarray(y[1:])"],
    ["%%torch --eager 1GiB -o here=w\npass"],
    ["here = %torch peek w", "here = here.ravel()"],
]
HEAP = "print(pyodide_js._module.HEAPU8.length)"


def test_what_is_read_again_and_again_takes_the_place_of_what_was_let_go(run_notebook):
    end = ["assert here.nbytes >= 2**26 - 4 and here[-1] == 2**24 - 1", HEAP, "y = here = None"]
    cells = [
        "%%torch\nw = torch.arange(2**24, dtype=torch.float32)",
        "import gc, numpy as np, pyodide_js",
        # The collector, which comes by when it likes, is not to hide what stays behind.
        "gc.disable()",
        *(cell for read in READS for cell in [*read, *end] * 4),
    ]
    run = run_notebook(cells)
    run.ended(0)
    heaps = [int(cell.stdout) / MIB for cell in run.cells if cell.source == HEAP]
    # The second array may lie behind what the first has left.
    assert heaps[-1] - heaps[1] < 64, heaps


LIMIT = """\
from pyodide.code import run_js

# What the browser does with a page that has nearly all the memory it may have.
run_js('''(() => {
  const { grow } = WebAssembly.Memory.prototype;
  let left = 128 * 2 ** 20 / 65536;
  WebAssembly.Memory.prototype.grow = function (pages) {
    if (pages > left) throw new RangeError("no more memory");
    left -= pages;
    return grow.call(this, pages);
  };
})()''')
x = np.arange(2**20)"""


def test_a_full_browser_heap_is_an_error_that_names_the_array(run_notebook):
    cells = {
        "start": "%%torch\nimport numpy as np\nw = torch.arange(2**26, dtype=torch.float32)",
        "numpy": "import numpy as np",
        "limit": LIMIT,
        # Nearly all that is left, as garbage that only the collector frees.
        "garbage": "import gc\ngc.disable()\nl = [np.ones(12 * 2**20)]\nl.append(l)\ndel l",
        "behind": "%%torch --eager 2GiB\nc = torch.ones(16 * 2**20)",
        "collected": "float(c.sum())\ngc.enable()\nc.nbytes",
        "free": "del c",
        "read": "w.ravel()[0]",
        "eager": "%%torch --eager 2GiB\nb = torch.ones(2**26, dtype=torch.bfloat16)",
        "part": "w[2**23 : 2**23 + 3].tolist()",
        "next": "%%torch\ny = x * 2; y.sum().item()",
        "local": "int(y[-1])",
    }
    run = run_notebook(list(cells.values()), "--allow-errors")
    run.ended(0)
    ran = dict(zip(cells, run.cells, strict=True))
    assert ran["collected"].result["text/plain"] == str(64 * 2**20), ran["behind"].error
    for cell, name in (("read", "w"), ("eager", "b")):
        assert ran[cell].error.evalue.startswith(
            f"`{name}` of 256 MiB is larger than the browser can hold. It stays on the server"
        ), ran[cell].error
    assert ran["part"].result["text/plain"] == f"[{2**23}.0, {2**23 + 1}.0, {2**23 + 2}.0]"
    assert ran["next"].result["text/plain"] == str(2**20 * (2**20 - 1))
    assert ran["local"].result["text/plain"] == str(2 * (2**20 - 1))
