"""The main path in Firefox: a link, a remote cell, and its array in the next local one."""

import pytest
from browser.firefox import PROGRAM, firefox
from browser.lab import Lab

pytestmark = pytest.mark.program(PROGRAM)

REMOTE = """%%torch
import torch
for step in range(3):
    print("step", step)
weights = torch.arange(6, dtype=torch.float32).reshape(2, 3)"""


def test_a_remote_cell_and_its_array_in_firefox(served, start_proxy, tmp_path, artifacts):
    proxy = start_proxy("--site", served.url)
    with firefox(tmp_path) as page:
        lab = Lab(page)
        lab.goto(proxy.link)
        page.click_button("Connect")
        page.wait_for_function("!document.querySelector('.jp-Dialog')")
        lab.open_notebook("firefox.ipynb")
        assert lab.run_cell(REMOTE).stdout == "step 0\nstep 1\nstep 2\n"
        local = lab.run_cell("type(weights).__module__, weights.shape, float(weights.sum())")
        assert local.result["text/plain"] == "('numpy', (2, 3), 15.0)"
        page.wait_for_function("/Torch: cpu/.test(document.body.innerText)")
        page.screenshot(artifacts / "firefox.png")
