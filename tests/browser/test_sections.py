"""The sections of cells and transfers, beside a notebook whose local kernel is busy."""

import re

import pytest
from playwright.sync_api import expect

PANEL = "jupyterlite-torch:panel"


@pytest.fixture(autouse=True)
def patience():
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


def test_cells_and_transfers(lab, artifacts):
    page = lab.page
    lab.run_cell("%%torch\nw = torch.ones(3)")
    lab.run_cell("%%torch\n1 / 0")
    lab.execute(PANEL)
    cells, transfers = page.locator(".jp-Torch-cells"), page.locator(".jp-Torch-transfers")
    rows = cells.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("error")
    expect(rows.nth(1)).to_contain_text("done")
    expect(rows.nth(1)).to_contain_text("12 B")
    expect(transfers).to_contain_text("Nothing is on its way.")
    assert "1 / 0" not in cells.inner_text()

    lab.start_cell("%%torch\nimport time\nprint('begun', flush=True)\ntime.sleep(600)")
    lab.wait_for_output("begun")
    expect(rows.nth(0)).to_contain_text(re.compile("runs0:0[2-9]"))
    page.screenshot(path=artifacts / "sections-running.png")
    lab.execute("notebook:interrupt-kernel")
    lab.end_cell()
    expect(rows.nth(0)).to_contain_text("error")
    expect(rows).to_have_count(3)

    # Slow enough to be seen, and to be cancelled.
    lab.run_cell(
        "import numpy as np\nfrom jupyterlite_torch import _progress, _upload\n"
        "_progress.AFTER_S = 0\n_room = _upload.Upload.room\n"
        "async def _slow(upload, parts):\n"
        "    import asyncio\n"
        "    await asyncio.sleep(0.2)\n"
        "    await _room(upload, parts)\n"
        "_upload.Upload.room = _slow\n"
        "big = np.ones(2**26, dtype='u1')"
    )
    lab.start_cell("%%torch\ntotal = int(big.sum())")
    bar = transfers.locator("progress")
    expect(bar).to_have_count(1)
    expect(transfers).to_contain_text("big to the server")
    expect(transfers).to_contain_text(re.compile(r"MiB of 64 MiB, [\d.:]+ (s )?left"))
    page.screenshot(path=artifacts / "sections-transfer.png")
    cancel = transfers.get_by_role("button", name="Cancel: big to the server")
    cancel.focus()
    page.keyboard.press("Enter")
    cell = lab.end_cell()
    assert "the cell did not run there" in str(cell.outputs)
    expect(bar).to_have_count(0)
    expect(transfers).to_contain_text("Nothing is on its way.")
    page.evaluate(
        "theme => { window.jupyterapp.commands.execute('apputils:change-theme', { theme }); }",
        "JupyterLab Dark",
    )
    page.wait_for_function("document.body.dataset.jpThemeName === 'JupyterLab Dark'")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.screenshot(path=artifacts / "sections-dark.png")
