"""The marks of `%%torch` cells, in JupyterLab and in the notebook app."""

import re

import pytest
from playwright.sync_api import expect

MARK = ".jp-Torch-mark"
TIP = "#jp-Torch-receipt"
SLEEP = "%%torch\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"
TIMEOUT_MS = 60_000
SECONDS = r"[\d.]+ m?s"


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=30_000)
    yield
    expect.set_options(timeout=5_000)


def connect(lab):
    lab.page.get_by_role("button", name="Connect", exact=True).click()


def mark_of_cell(page, index):
    """The mark of a cell of the notebook in front; its cells are numbered from 0."""
    return page.locator(".jp-Notebook:visible .jp-Cell").nth(index).locator(MARK)


def theme(lab, name):
    lab.page.evaluate(
        "theme => { window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }", name
    )
    lab.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
    # What JupyterLab covers the page with meanwhile.
    lab.page.locator("#jupyterlab-splash").wait_for(state="detached")


def test_mark_follows_edits(new_lab, artifacts):
    lab = new_lab()
    page = lab.page
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    lab.open_notebook("typed.ipynb", ["1 + 1", "# text"])
    marks = page.locator(MARK)
    before = len(asked)
    page.locator(".jp-Notebook .cm-content").nth(1).click()
    page.keyboard.press("Control+A")
    page.keyboard.type("%%torc")
    expect(marks).to_have_count(0)
    # The code that draws marks has not been asked for.
    assert len(asked) == before, asked[before:]
    page.keyboard.type("h")
    expect(marks).to_have_text("%%torch · not connected")
    assert marks.get_attribute("aria-label") == "%%torch, not connected"
    page.keyboard.press("Backspace")
    expect(marks).to_have_count(0)
    page.keyboard.type("h -o w\nw = 1")
    expect(mark_of_cell(page, 1)).to_have_count(1)
    page.screenshot(path=artifacts / "mark-typed.png")
    # Markdown is no code, whatever it says; and a mark goes with its cell.
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    expect(marks).to_have_count(0)
    page.keyboard.press("y")
    expect(marks).to_have_count(1)
    lab.execute("notebook:move-cell-up")
    expect(mark_of_cell(page, 0)).to_have_count(1)
    expect(mark_of_cell(page, 1)).to_have_count(0)
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(marks).to_have_count(0)
    page.keyboard.press("z")
    expect(marks).to_have_count(1)
    # Comments may come before; the name must be the whole word.
    lab.open_notebook("later.ipynb", ["# note\n\n%%torch\n1", "%%torchvision\n1", " %%torch\n1"])
    expect(mark_of_cell(page, 0)).to_have_count(1)
    expect(mark_of_cell(page, 1)).to_have_count(0)
    expect(mark_of_cell(page, 2)).to_have_count(0)
    mark_of_cell(page, 0).click(timeout=TIMEOUT_MS)
    page.locator(".jp-Torch-connect input[type=password]").wait_for()


def test_mark_while_a_cell_runs_and_its_receipt(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    lab = new_lab(proxy.link)
    page = lab.page
    connect(lab)
    lab.open_notebook("marks.ipynb", ["%%torch\n1"])
    first = mark_of_cell(page, 0)
    expect(first).to_have_text(re.compile(r"^%%torch · 127\.0\.0\.1:\d+$"))
    first.hover()
    expect(page.locator(TIP)).to_have_text("Not run since this page was opened.")
    page.mouse.move(5, 5)
    expect(page.locator(TIP)).to_have_count(0)

    # Both kernels are busy while the seconds go by.
    lab.start_cell(SLEEP)
    lab.wait_for_output("begun")
    running = mark_of_cell(page, 1)
    expect(running).to_have_text(re.compile(r"^%%torch · cpu · 0:0[2-9]$"), timeout=TIMEOUT_MS)
    assert running.get_attribute("data-state") == "running"
    page.screenshot(path=artifacts / "mark-running.png")
    lab.execute("notebook:interrupt-kernel")
    lab.end_cell()
    expect(running).to_have_text(re.compile(r"^%%torch · cpu · [\d.]+ s$"))

    lab.run_cell("import numpy as np\nx = np.ones(2**18, dtype='f4')")
    lab.run_cell("%%torch --eager 1MiB\ny = x[:2**17] + 1")
    done = mark_of_cell(page, 3)
    expect(done).to_have_text(re.compile(rf"^%%torch · cpu · {SECONDS}$"))
    tip = page.locator(TIP)
    done.hover()
    expect(tip).to_contain_text("Devicecpu")
    expect(tip).to_contain_text(re.compile(rf"Time{SECONDS}"))
    expect(tip).to_contain_text("Peak GPU memorynone")
    expect(tip).to_contain_text("Sent1.0 MiBReceived512 KiB")
    page.screenshot(path=artifacts / "mark-receipt-light.png")
    page.mouse.move(5, 5)
    expect(tip).to_have_count(0)

    # With the keyboard, and to those who hear it.
    done.focus()
    expect(tip).to_contain_text("Sent1.0 MiB")
    name = done.get_attribute("aria-label")
    assert re.fullmatch(
        rf"%%torch, cpu, {SECONDS}\. Device: cpu\. Time: {SECONDS}\. Peak GPU memory: none\. "
        r"Sent: 1\.0 MiB\. Received: 512 KiB",
        name,
    )
    theme(lab, "JupyterLab Dark")
    page.screenshot(path=artifacts / "mark-receipt-dark.png")
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)

    # A receipt goes with its cell, and no file has it.
    lab.execute("notebook:move-cell-up")
    expect(mark_of_cell(page, 2)).to_have_text(re.compile(rf"cpu · {SECONDS}$"))
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)")
    assert "bytes" not in str(lab.saved("marks.ipynb"))
    page.reload()
    lab.ready()
    lab.show("marks.ipynb")
    expect(mark_of_cell(page, 2)).to_have_text(re.compile(r"^%%torch · [^·]+$"))


def test_a_job_has_a_mark_of_its_own(lab):
    page = lab.page
    lab.run_cell("%%torch --bg train\nimport time\ntime.sleep(3)")
    job = mark_of_cell(page, 1)
    expect(job).to_have_attribute("data-state", "running")
    lab.run_cell("await train")
    expect(job).to_have_text(re.compile(r"^%%torch · cpu · 3\.\d s$"))


def test_a_restart_of_the_local_kernel_ends_what_runs(lab):
    lab.start_cell(SLEEP)
    lab.wait_for_output("begun")
    mark = mark_of_cell(lab.page, 1)
    expect(mark).to_have_attribute("data-state", "running")
    lab.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        ".then(() => null)"
    )
    expect(mark).to_have_attribute("data-state", "idle")


def test_mark_in_the_notebook_app(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    fragment = proxy.link.partition("#")[2]
    lab = new_lab(f"{served.url}notebooks/index.html?path=quickstart.ipynb#{fragment}")
    connect(lab)
    page = lab.page
    mark = page.locator(MARK).first
    expect(mark).to_have_text(re.compile(r"^%%torch · 127\.0\.0\.1:\d+$"), timeout=TIMEOUT_MS)
    mark.focus()
    page.locator(TIP).wait_for()
    page.screenshot(path=artifacts / "mark-notebook-app.png")
