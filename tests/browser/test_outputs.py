"""Each thing that a kernel can say, said by a remote cell: as if a local cell had said it."""

import itertools

import pytest

from .test_cells import outcome, source_of

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

MIME_TYPES = f"""\
import base64
from IPython.display import HTML, JSON, Image, Latex, Markdown, Math, SVG, display
display(HTML("<b>bold</b>"), Markdown("*a*"), Latex("$x^2$"), Math(r"\\frac{{1}}{{2}}"))
display(SVG('<svg xmlns="http://www.w3.org/2000/svg" width="20" height="9"><circle r="9"/></svg>'))
display(Image(data=base64.b64decode("{PNG}"), width=20, alt="a dot"))
display(JSON({{"a": [None, True, 1.5, {{}}]}}, expanded=True))
display({{"text/plain": "a figure", "application/vnd.plotly.v1+json":
    {{"data": [{{"y": [1, None, 2.5], "type": "bar"}}], "layout": {{"title": {{"text": "ü"}}}}}}}}, raw=True)"""

# pyodide-kernel 0.8.6 loses these of a local cell: there is nothing to compare with.
ANY_JSON = """\
display({"application/x-nobody+json": {"none": None, "int": 2**53 - 1, "small": -2**53 + 1,
    "float": 1e300, "tiny": 5e-324, "nested": [[[]], {}], "text": "\\u2028 \\\\ \\" 🙂"},
    "application/x-nobody": "<&> ü"},
    metadata={"application/x-nobody+json": {"none": None}}, raw=True)
display({"text/plain": "0", "application/x-big+json": [2**64, -2**70, float("nan")]}, raw=True)"""

REPR = """\
class Table:
    def _repr_html_(self):
        return "<style type='text/css'>#T_1 td {color: red}</style><table id='T_1'><td>1</td></table>"
    def __repr__(self):
        return "a table"
Table()"""

BUNDLE = """\
class Bundle:
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/plain": "plain", "application/x-nobody": "n"}, {"application/x-nobody": {"m": 1}}
Bundle()"""

TEXT = """\
print("ü 漢字 🙂 \\u2028 \\x1b[31mred\\x1b[0m <b>&amp;", end="")
print("\\ttab", "", sep="\\n")
print("10%\\r20%\\r", end="")
print("done")
print("abc\\b\\bX")"""

# Each runs as a local cell and as a remote one, which say the same.
SAME = {
    "mime types": MIME_TYPES,
    "object with styles": REPR,
    "object with a bundle": BUNDLE,
    "text": TEXT,
    "streams": "import sys\nfor i in range(3):\n    print('out', i, flush=True)\n"
    "    print('err ü', i, file=sys.stderr, flush=True)",
    "update": "from IPython.display import display, HTML\nhandle = display('before', display_id='SIDE-1')\n"
    "handle.update(HTML('<i>after</i>'))\nprint('then')",
    "update later": "from IPython.display import display\ndisplay('first', display_id='SIDE-2');",
    "updates": "from IPython.display import update_display\nupdate_display('changed', display_id='SIDE-2')",
    "clear": "from IPython.display import clear_output\nprint('gone')\nclear_output()\nprint('left')",
    "clear and wait": "for i in range(5):\n    print(i)\n    clear_output(wait=True)\nprint('last')",
    "clear for nothing": "print('stays')\nclear_output(wait=True)",
    "result": "[1, 'two', None]",
    "result again": "_[1] + Out[max(Out)][1]",
    "none": "None",
    "silent": "'not shown';",
    "display and result": "display(1)\nprint(2)\n3",
    "empty": "",
    "comment": "# only a comment\n\n# and another",
    "braces": "name = 'SIDE'\nprint('{name}', '$name', f'{{name}}')",
    "functions": "def double(x):\n    return x * 2",
    "functions used": "double('ab')",
    "await": "import asyncio\nasync def soon():\n    await asyncio.sleep(0.01)\n    return 'awaited'\n"
    "await soon()",
    "unicode names": "größe, 変数 = 1, 'ü'\ngröße, 変数",
    "one MB": "n = 0\n" + "n += 1  # 0123456789012345678901234567890123456789\n" * 20_000 + "n",
}


def said(cell):
    """What a cell has said, without what differs between two cells that say the same."""
    outputs = [dict(output) for output in cell.outputs]
    for output in outputs:
        output.pop("execution_count", None)
    return outputs


def test_remote_cells_say_what_local_cells_say(run_notebook):
    pairs = [
        (code.replace("SIDE", "local"), "%%torch\n" + code.replace("SIDE", "remote"))
        for code in SAME.values()
    ]
    local = len(pairs)
    # All of one side and then all of the other, since what a cell defines comes back.
    run = run_notebook([*(pair[0] for pair in pairs), "%reset -f", *(pair[1] for pair in pairs)])
    run.ended(0)
    here = dict(zip(SAME, run.cells[:local], strict=True))
    there = dict(zip(SAME, run.cells[local + 1 :], strict=True))
    for name in SAME:
        assert said(there[name]) == said(here[name]), name

    # Two that say nothing would be the same, too.
    shown = there["mime types"].displays
    assert len(shown) == 8
    assert shown[0]["text/html"] == "<b>bold</b>" and shown[5]["image/png"].strip() == PNG
    assert shown[7]["application/vnd.plotly.v1+json"]["data"][0]["y"] == [1, None, 2.5]
    assert there["object with styles"].result["text/html"].startswith("<style")
    assert there["update"].displays[0]["text/html"] == "<i>after</i>"
    assert there["update later"].displays[0]["text/plain"] == "'changed'"
    assert there["clear"].stdout == "left\n" and there["clear and wait"].stdout == "last\n"
    assert there["result again"].result["text/plain"] == "'twotwo'"
    assert there["braces"].stdout == "{name} $name {name}\n"
    assert there["await"].result["text/plain"] == "'awaited'"
    assert there["one MB"].result["text/plain"] == "20000"
    for name in ("none", "silent", "empty", "comment", "functions"):
        assert there[name].outputs == [], name


def test_cells_around_and_below(run_notebook):
    cells = {
        "tqdm": "%%torch\nfrom tqdm import tqdm\nfor _ in tqdm(range(3), desc='bar'):\n    pass",
        "figures": "%%torch\nimport matplotlib.pyplot as plt\nfor n in range(2):\n    plt.figure()\n"
        "    plt.plot([1, 3, 2])\nprint('drawn')",
        "json": "%%torch\n" + ANY_JSON,
        "capture": "%%capture taken\n%%torch\nimport sys\nprint('captured')\nprint('e', file=sys.stderr)\n"
        "display(1)\ncaptured = 2",
        "captured": "assert (taken.stdout, taken.stderr) == ('captured\\n', 'e\\n')\n"
        "assert len(taken.outputs) == 1 and captured == 2\ntaken.outputs[0].data",
        "time": "%%time\n%%torch\nprint('timed')\nunder_time = 1",
        "leading": "# why\n\n  # indented\n%%torch\nleading = 1; leading",
        "magics": "%%torch\n%pip --version\n!echo from a shell\nlines = !echo one line\nlines[0]",
        "loop": "results = []\nfor i in range(3):\n    y = %torch i * 2\n    results.append(y)\nresults",
        "function": "def f(a):\n    b = %torch a + 1\n    return b\n[f(n) for n in (1, 2)]",
        "if": "if True:\n    get_ipython().run_cell_magic('torch', '', 'print(\"nested\")\\ninside = 3')\ninside",
        "line": "%torch print('said'); 40 + 2",
    }
    run = run_notebook(source_of(cells))
    run.ended(0)
    got = outcome(run, cells)
    assert "bar: 100%|" in got["tqdm"].stderr and "3/3" in got["tqdm"].stderr
    # The second is drawn by the end of the cell, as with any inline backend.
    assert ["image/png" in shown for shown in got["figures"].displays] == [True, True]
    assert got["figures"].stdout == "drawn\n"
    (nobody, big), metadata = got["json"].displays, got["json"].outputs[0].metadata
    assert nobody["application/x-nobody"] == "<&> ü"
    assert nobody["application/x-nobody+json"] == {
        "none": None, "int": 2**53 - 1, "small": -(2**53) + 1, "float": 1e300, "tiny": 5e-324,
        "nested": [[[]], {}], "text": '\u2028 \\ " 🙂',
    }  # fmt: skip
    assert metadata == {"application/x-nobody+json": {"none": None}}
    # A page's numbers have 53 bits; JSON has no NaN, and ipykernel 7.4 sends the word.
    *integers, nan = big["application/x-big+json"]
    assert [*map(float, integers)] == [2.0**64, -(2.0**70)] and nan == "nan"
    assert got["capture"].outputs == []
    assert "1" in got["captured"].result["text/plain"]
    assert "timed\n" in got["time"].stdout and "Wall time" in got["time"].stdout
    assert got["leading"].result["text/plain"] == "1"
    assert "site-packages" in got["magics"].stdout and "from a shell\n" in got["magics"].stdout
    assert got["magics"].result["text/plain"] == "'one line'"
    assert got["loop"].result["text/plain"] == "[0, 2, 4]"
    assert got["function"].result["text/plain"] == "[2, 3]"
    assert got["if"].stdout == "nested\n" and got["if"].result["text/plain"] == "3"
    assert got["line"].stdout == "said\n" and got["line"].result["text/plain"] == "42"


# --- In a page, where a person watches -----------------------------------------------------------

WATCH_GAPS = """() => {
    let last = performance.now();
    window.gap = 0;
    window.watching = setInterval(() => {
        const now = performance.now();
        window.gap = Math.max(window.gap, now - last);
        last = now;
    }, 10);
}"""


@pytest.mark.alone
def test_100_000_lines_while_the_page_answers(lab, artifacts, capsys):
    lab.run_cell("%%torch\nready = 1")
    lab.page.evaluate(WATCH_GAPS)
    cell = lab.run_cell("%%torch\nfor i in range(100_000):\n    print('line', i)")
    gap = lab.page.evaluate("() => { clearInterval(window.watching); return window.gap; }")
    with capsys.disabled():
        print(f" longest gap of the page: {gap:.0f} ms ", end="")
    assert [output.output_type for output in cell.outputs] == ["stream"]
    lines = cell.stdout.splitlines()
    for got, i in itertools.zip_longest(lines, range(100_000)):
        assert got == f"line {i}"
    lab.page.screenshot(path=artifacts / "lines.png")
    # What is left is Chromium's layout of so long an output: half a second where nothing else runs.
    assert gap < 3000


def test_what_a_person_sees(lab, artifacts):
    """Pictures to look at; what is rendered is JupyterLab's own matter."""
    cell = lab.run_cell("%%torch\n" + MIME_TYPES)
    assert cell.error is None and len(cell.displays) == 8
    output = lab.page.locator(".jp-CodeCell").last
    output.locator("mjx-container, .MathJax").first.wait_for()
    output.locator("strong, b", has_text="bold").wait_for()
    output.locator("em", has_text="a").wait_for()
    output.locator("svg circle, img[src^='data:image/svg']").first.wait_for()
    output.locator("img[src^='data:image/png']").wait_for()
    lab.page.screenshot(path=artifacts / "mime-types.png")


def test_pager_and_next_cell(lab, artifacts):
    """What a kernel asks of the page in its reply."""
    pager = lab.run_cell("%%torch\nlen?")
    assert len(pager.outputs) == 1
    assert "Return the number of items in a container" in str(pager.outputs)
    lab.page.screenshot(path=artifacts / "pager.png")

    def sources():
        return lab.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.widgets.map("
            "    cell => cell.model.sharedModel.source)"
        )

    lab.run_cell("%%torch\nget_ipython().set_next_input('x = 1  # next')\nprint('asked')")
    assert sources()[-1] == "x = 1  # next"
    before = sources()
    lab.run_cell("%%torch\nget_ipython().set_next_input('y = 2', replace=True)")
    assert sources()[:-1] == before and sources()[-1] == "y = 2"


def test_several_notebooks_and_tabs_at_once(lab, tmp_path):
    """On one proxy, each has a session of its own, and none waits for another."""
    gate = tmp_path / "gate"
    tab = type(lab)(lab.page.context.new_page())
    tab.goto(lab.page.url)
    tab.show("work.ipynb")
    tab.start_cell(f"%torch connect {lab.proxy.url}")
    tab.page.locator(".jp-Dialog input[type=password]").or_(
        tab.page.get_by_text("Connected to")
    ).first.wait_for()
    if tab.page.locator(".jp-Dialog input[type=password]").count():
        tab.give_token(lab.proxy.token)
    assert "Connected to" in tab.end_cell().stdout

    lab.run_cell("%%torch\nmine = 'first tab'")
    lab.start_cell(
        "%%torch\nimport os, time\nprint('begun')\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.02)\nprint('ended')"
    )
    lab.wait_for_output("begun")
    lab.page.evaluate("() => { window.first = window.cell; window.firstRan = window.ran; }")

    # Meanwhile the same notebook in another tab, and another notebook in this one.
    assert tab.run_cell("%%torch\n'mine' in globals()").result["text/plain"] == "False"
    tab.run_cell("%%torch\nmine = 'second tab'")
    lab.open_notebook("other.ipynb")
    assert lab.run_cell("%%torch\n'mine' in globals()").result["text/plain"] == "False"
    assert lab.run_cell("%%torch\nmine = 'other'\nmine").result["text/plain"] == "'other'"

    still = "() => JSON.stringify(window.first.model.outputs.toJSON())"
    assert "begun" in lab.page.evaluate(still) and "ended" not in lab.page.evaluate(still)
    gate.touch()
    lab.page.evaluate("() => window.firstRan.then(() => null)")
    assert "ended" in lab.page.evaluate(still)
    lab.show("work.ipynb")
    assert lab.run_cell("%%torch\nmine").result["text/plain"] == "'first tab'"
    assert tab.run_cell("%%torch\nmine").result["text/plain"] == "'second tab'"
