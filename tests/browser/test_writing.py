"""What helps while a `%%torch` cell is written: completions, tooltips, and commands that make one."""

import contextlib

from playwright.sync_api import TimeoutError

LOCAL_LOOP = "import time\nend = time.time() + 90\nprint('begun')\nwhile time.time() < end: pass"
REMOTE_LOOP = "%%torch\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"


def write(lab, source):
    """Type a source into a new cell below."""
    lab.page.evaluate(
        """async () => {
            const app = window.jupyterapp;
            await app.commands.execute('notebook:insert-cell-below');
            app.shell.currentWidget.content.mode = 'edit';
        }"""
    )
    lab.page.locator(".jp-Cell.jp-mod-active .cm-content:focus").wait_for()
    lab.page.keyboard.type(source)


def source(lab):
    """The source of the active cell, with `|` where the cursor is."""
    return lab.page.evaluate(
        """() => {
            const { activeCell } = window.jupyterapp.shell.currentWidget.content;
            const { editor, model } = activeCell;
            const text = model.sharedModel.getSource();
            const place = editor.getOffsetAt(editor.getCursorPosition());
            return text.slice(0, place) + '|' + text.slice(place);
        }"""
    )


def wait_for_source(lab, wanted):
    lab.page.wait_for_function(
        "wanted => window.jupyterapp.shell.currentWidget.content.activeCell.model"
        ".sharedModel.getSource() === wanted",
        arg=wanted.replace("|", ""),
    )
    assert source(lab) == wanted


def matches(lab):
    """Press Tab; return what is offered."""
    items = lab.page.locator(".jp-Completer-item:visible")
    while not items.count():
        lab.page.keyboard.press("Tab")
        # JupyterLab (4.6) waits for a kernel for one second; its first answer may take longer.
        with contextlib.suppress(TimeoutError):
            items.first.wait_for(timeout=3000)
    return [text.strip() for text in items.locator(".jp-Completer-match").all_inner_texts()]


def tooltip(lab, picture):
    """Press Shift-Tab; return what the tooltip says."""
    lab.page.keyboard.press("Shift+Tab")
    shown = lab.page.locator(".jp-Tooltip")
    shown.wait_for()
    lab.page.screenshot(path=picture)
    text = shown.inner_text()
    lab.page.keyboard.press("Escape")
    shown.wait_for(state="detached")
    return text


def test_completion_and_tooltip_while_a_cell_runs(lab, artifacts):
    lab.run_cell(
        "%%torch\nweights = torch.zeros(3)\ndef half(x):\n    'Half of it.'\n    return x / 2"
    )
    for loop in (REMOTE_LOOP, LOCAL_LOOP):
        lab.start_cell(loop)
        lab.wait_for_output("begun")
        head = "# 𝜇 is no character of 16 bits\n%%torch\n'𝜇𝜇'; "
        write(lab, f"{head}weights.requires_g")
        assert matches(lab)[:2] == ["requires_grad", "requires_grad_"]
        where = "remote" if loop is REMOTE_LOOP else "local"
        lab.page.screenshot(path=artifacts / f"completion-while-{where}.png")
        lab.page.keyboard.press("Enter")
        wait_for_source(lab, f"{head}weights.requires_grad|")
        lab.page.keyboard.type(" + half(")
        assert "Half of it." in tooltip(lab, artifacts / f"tooltip-while-{where}.png")
        assert lab.page.evaluate("window.ended === null")
        if loop is REMOTE_LOOP:
            lab.execute("notebook:interrupt-kernel")
            lab.end_cell()


def asked_of_kernel(lab, code):
    """What the page's connection to the kernel says to the end of a text."""
    return lab.page.evaluate(
        """async code => {
            const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
            const reply = await kernel.requestComplete({ code, cursor_pos: code.length });
            return reply.content.matches;
        }""",
        code,
    )


def test_who_is_asked(lab):
    asked = []
    lab.page.on("request", lambda request: asked.append(request.url))
    # Nothing has run on the server, which has no session.
    lab.run_cell("local_name = 1")
    assert "local_name" in asked_of_kernel(lab, "local_na")
    assert not [url for url in asked if url.endswith("/complete")]
    assert "local_name" in asked_of_kernel(lab, "%%torch\nlocal_na")
    assert [url for url in asked if url.endswith("/complete")]
    asked.clear()

    lab.run_cell("%%torch --no-auto\nremote_name = object()")
    assert asked_of_kernel(lab, "%%torch\nremote_na") == ["remote_name"]
    assert "local_name" not in asked_of_kernel(lab, "%%torch --bg job\nlocal_na")
    assert len([url for url in asked if url.endswith("/complete")]) == 2
    # The magic's own line is the magic's, which is here.
    asked_of_kernel(lab, "%%torch -i local_na")
    assert "local_name" in asked_of_kernel(lab, "local_na")
    assert len([url for url in asked if url.endswith("/complete")]) == 2
    # A server that is gone offers nothing, and keeps nobody waiting.
    lab.proxy.stop()
    assert asked_of_kernel(lab, "%%torch\nremote_na") == []


def test_completion_in_the_notebook_app(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    fragment = proxy.link.partition("#")[2]
    lab = new_lab(f"{served.url}notebooks/index.html?path=quickstart.ipynb#{fragment}")
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.info"
    )
    lab.run_cell("%%torch\nweights = torch.zeros(3)\ndef half(x):\n    'Half of it.'")
    write(lab, "%%torch\nweights.requires_g")
    assert "requires_grad_" in matches(lab)
    lab.page.keyboard.press("Escape")
    lab.page.keyboard.type("rad + half(")
    assert "Half of it." in tooltip(lab, artifacts / "tooltip-notebook-app.png")


def test_a_cell_is_turned_and_back(new_lab, artifacts):
    lab = new_lab()
    lab.open_notebook(
        "turn.ipynb", ["first = 1\nsecond = 2", "# why\n%%torch -i x\nx + 1", "third"]
    )
    page = lab.page
    page.locator(".jp-Cell").nth(0).locator(".cm-line").nth(1).click()
    page.keyboard.press("End")
    page.keyboard.type("0")
    assert source(lab) == "first = 1\nsecond = 20|"
    # What is typed right before is another step.
    lab.execute("jupyterlite-torch:toggle-cell")
    wait_for_source(lab, "%%torch\nfirst = 1\nsecond = 20|")
    page.keyboard.type("0")
    page.keyboard.press("Control+z")
    wait_for_source(lab, "%%torch\nfirst = 1\nsecond = 20|")
    page.keyboard.press("Control+z")
    wait_for_source(lab, "first = 1\nsecond = 20|")
    page.keyboard.press("Control+z")
    wait_for_source(lab, "first = 1\nsecond = 2|")
    # By a key, and back.
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    wait_for_source(lab, "%%torch\nfirst = 1\nsecond = 2|")
    page.keyboard.press("t")
    wait_for_source(lab, "first = 1\nsecond = 2|")
    # By the menu, in a cell with a comment before and options, where nothing else is lost.
    second = page.locator(".jp-Cell").nth(1)
    second.locator(".cm-line").nth(2).click()
    page.keyboard.press("End")
    second.locator(".jp-InputPrompt").click(button="right")
    item = page.get_by_role("menuitem", name="Make this a local cell")
    item.wait_for()
    page.screenshot(path=artifacts / "turn-menu.png")
    item.click()
    wait_for_source(lab, "# why\nx + 1|")
    page.locator(".jp-Cell").nth(2).locator(".jp-InputPrompt").click(button="right")
    page.get_by_role("menuitem", name="Make this a %%torch cell").click()
    lab.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.getSource()"
        " === '%%torch\\nthird'"
    )


def test_several_cells_are_turned_at_once(new_lab):
    lab = new_lab()
    lab.open_notebook("several.ipynb", ["a", "%%torch\nb", "c"])
    lab.execute("notebook:select-all")
    lab.page.wait_for_function(
        "(content => content.widgets.every(cell => content.isSelectedOrActive(cell)))"
        "(window.jupyterapp.shell.currentWidget.content)"
    )
    lab.execute("jupyterlite-torch:toggle-cell")
    sources = (
        "window.jupyterapp.shell.currentWidget.content.widgets"
        ".map(cell => cell.model.sharedModel.getSource()).join('|')"
    )
    wanted = "%%torch\na|%%torch\nb|%%torch\nc"
    lab.page.wait_for_function(f"wanted => {sources} === wanted", arg=wanted)
    lab.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets"
        ".forEach(cell => cell.model.sharedModel.undo())"
    )
    lab.page.wait_for_function(f"{sources} === 'a|%%torch\\nb|c'")


def test_import_torch_offers_the_server(lab, artifacts):
    cell = lab.run_cell("import torch\nprint(torch.ones(2).sum())")
    # The error is there as ever.
    assert "ModuleNotFoundError" in cell.failure and "does not run in the browser" in cell.failure
    button = lab.page.get_by_role("button", name="Run this cell with %%torch")
    button.wait_for()
    lab.page.screenshot(path=artifacts / "offer.png")
    button.click()
    lab.page.get_by_text("tensor(2.)").wait_for()
    assert source(lab) == "%%torch\n|import torch\nprint(torch.ones(2).sum())"
    button.wait_for(state="detached")

    # Who has caught the error gets no button, and neither does a remote cell.
    lab.run_cell("try:\n    import torch\nexcept ImportError:\n    print('without')")
    lab.run_cell("%%torch\nraise ModuleNotFoundError('no torch', name='torch')")
    assert not button.count()
    # A cell that awaits.
    lab.run_cell("import asyncio\nawait asyncio.sleep(0)\nfrom torch import nn")
    button.wait_for()


def test_a_name_that_stays_there_offers_the_server(lab, artifacts):
    lab.run_cell("%%torch\nnet = torch.nn.Linear(2, 1)")
    cell = lab.run_cell("net.weight.shape")
    assert "NameError" in cell.failure and "`net` is on the server" in cell.error.traceback[-1]
    button = lab.page.get_by_role("button", name="Run this cell with %%torch")
    button.wait_for()
    lab.page.screenshot(path=artifacts / "stays-there.png")
    button.click()
    lab.page.get_by_text("torch.Size([1, 2])").wait_for()
    lab.run_cell("nett")
    assert not button.count()


def test_run_all_ends_at_the_import(new_lab):
    lab = new_lab()
    lab.open_notebook("all.ipynb", ["import torch", "ran = 1"])
    lab.page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    lab.page.get_by_role("button", name="Run this cell with %%torch").wait_for()
    assert lab.run_cell("'ran' in globals()").result["text/plain"] == "False"


def test_the_offer_in_a_console(lab):
    lab.page.evaluate(
        """async () => {
            const app = window.jupyterapp;
            const panel = await app.commands.execute('console:create', {
                kernelPreference: { name: 'python' }, activate: true });
            await panel.sessionContext.ready;
            await panel.sessionContext.session.kernel.info;
            panel.console.inject('import torch\\ntorch.ones(3).sum()');
        }"""
    )
    lab.page.get_by_role("button", name="Run this cell with %%torch").click()
    lab.page.get_by_text("tensor(3.)").wait_for()
