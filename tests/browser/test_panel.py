"""The panel: opened by the status, its actions in real use, and with both kernels busy."""

import os
import re

import pytest

BUSY = "%%torch\nimport time\nprint('begun', flush=True)\ntime.sleep(600)"


class Panel:
    """The panel of a page."""

    def __init__(self, page):
        self.page = page
        self.node = page.locator(".jp-Torch-panel")
        self.server = page.locator(".jp-Torch-server")
        self.variables = page.locator(".jp-Torch-variables")

    def open(self):
        """Open it as a person does."""
        self.page.locator(".jp-Torch-status").first.click()
        self.node.wait_for()
        return self

    def row(self, section, name):
        """The row of a table by what it begins with."""
        pattern = re.compile(f"^{re.escape(name)}")
        heading = self.page.locator("th", has_text=pattern)
        return section.locator("tbody tr[data-key]", has=heading)

    def choose(self, section, name):
        row = self.row(section, name)
        row.click()
        return row

    def press(self, section, name):
        section.get_by_role("button", name=name, exact=True).click()

    def says(self, section, text):
        section.locator(".jp-Torch-line").get_by_text(text).wait_for()

    def agree(self, label):
        dialog = self.page.locator(".jp-Dialog")
        dialog.get_by_role("button", name=label, exact=True).click()
        dialog.wait_for(state="detached")


@pytest.fixture
def panel(lab):
    lab.page.locator(".jp-Torch-status").get_by_text("Torch: 127.0.0.1").wait_for()
    return Panel(lab.page)


def set_theme(lab, name):
    lab.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name
    )
    light = str(name == "JupyterLab Light").lower()
    lab.page.wait_for_function(
        f"document.body.dataset.jpThemeLight === '{light}'"
        " && !document.querySelector('#jupyterlab-splash')"
    )


def test_server_and_sessions(lab, panel, artifacts):
    lab.run_cell("%%torch\nx = torch.arange(5)")
    panel.open()
    server, page = panel.server, lab.page
    server.get_by_text("Connected to 127.0.0.1").wait_for()
    mine = server.locator("tr[data-key]")
    mine.get_by_text("(this notebook)").wait_for()
    assert mine.get_attribute("aria-selected") == "true"
    assert "python3" in mine.inner_text()

    panel.press(server, "Check the connection")
    server.get_by_text("Nothing is wrong").wait_for()

    panel.press(server, "Rename…")
    page.locator(".jp-Dialog input").fill("training")
    panel.agree("Rename")
    mine.get_by_text("training (this notebook)").wait_for()

    # Both kernels are busy, and the panel is not.
    lab.start_cell(BUSY)
    lab.wait_for_output("begun")
    mine.get_by_text("busy").wait_for()
    page.screenshot(path=artifacts / "panel-light.png")
    panel.press(server, "Interrupt")
    assert "KeyboardInterrupt" in str(lab.end_cell().outputs)

    panel.press(server, "Restart…")
    panel.agree("Restart")
    panel.says(server, "Restarted training.")
    assert "NameError" in str(lab.run_cell("%%torch --no-auto\nx").outputs)

    panel.press(server, "Shut down…")
    page.screenshot(path=artifacts / "panel-asks.png")
    panel.agree("Shut down")
    panel.says(server, "Shut down training.")
    mine.wait_for(state="detached")
    server.get_by_text("No sessions").wait_for()
    assert "was shut down from a page" in str(lab.run_cell("%%torch\n1").outputs)
    assert lab.run_cell("%%torch\n6 * 7").result["text/plain"] == "42"

    panel.press(server, "Disconnect")
    server.get_by_text("Not connected to a server.").wait_for()
    panel.press(server, "Connect…")
    page.locator(".jp-Torch-connect input[type=password]").wait_for()


def test_gpus_of_a_server_without_one(lab, panel):
    lab.run_cell("%%torch\n1")
    panel.open()
    panel.node.get_by_text("This server has no GPU: cells run on its processors (cpu).").wait_for()


#: In the form that the manual of nvidia-smi gives: a GPU, and a part of one (MIG) without its load.
SMI = """#!/bin/sh
echo "0, NVIDIA H200, 550.54, $((20000 + $(date +%s) % 60 * 2000)), 143771, $(($(date +%s) % 100))"
echo "1, NVIDIA A100 MIG 1g.5gb, 550.54, 100, 4864, [N/A]"
"""


def test_gpus(new_lab, served, start_proxy, tmp_path, artifacts):
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI)
    program.chmod(0o700)
    proxy = start_proxy("--site", served.url, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.page.locator(".jp-Torch-status").get_by_text("NVIDIA H200").wait_for()
    Panel(lab.page).open()
    gpus = lab.page.locator(".jp-Torch-gpus li")
    gpus.nth(0).get_by_text("0: NVIDIA H200").wait_for()
    assert "of 140 GiB" in gpus.nth(0).inner_text()
    assert "Memory: 100 MiB of 4.8 GiB" in gpus.nth(1).inner_text()
    assert "Load: the driver does not tell" in gpus.nth(1).inner_text()
    # Two answers are a line.
    lab.page.wait_for_function(
        "document.querySelector('.jp-Torch-gpus .jp-Torch-curve').getAttribute('d').split('L').length > 3"
    )
    assert gpus.nth(0).get_by_role("img").count() == 2
    set_theme(lab, "JupyterLab Dark")
    lab.page.screenshot(path=artifacts / "panel-gpus-dark.png")


def test_attach_a_notebook_to_a_session(lab, panel):
    lab.run_cell("%%torch --no-auto\nx = 'of the first notebook'")
    lab.open_notebook("other.ipynb")
    lab.run_cell("%%torch --no-auto\nx = 'of the other'")
    panel.open()
    server = panel.server
    server.get_by_text("(this notebook)").wait_for()
    other = server.locator("tr[data-key]", has_not_text="(this notebook)")
    first = other.get_attribute("data-key")
    other.click()
    panel.press(server, "Attach")
    panel.agree("Attach")
    server.locator(f'tr[data-key="{first}"]').get_by_text("(this notebook)").wait_for()
    assert "of the first notebook" in str(lab.run_cell("%%torch --no-auto\nx").outputs)
    # It stays so through a reload, while the session is the other notebook's as well.
    lab.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    lab.page.reload()
    lab.ready()
    lab.show("work.ipynb")
    lab.show("other.ipynb")
    assert "of the first notebook" in str(lab.run_cell("%%torch --no-auto\nx").outputs)


def test_variables(lab, panel, artifacts):
    lab.run_cell(
        "%%torch --no-auto\nw = torch.zeros(1000, 300, requires_grad=True)\n"
        "model = torch.nn.Linear(10, 10)\nlosses = [0.5, 0.25]; text = 'hello'\n"
        "half = torch.ones(100, dtype=torch.float16)"
    )
    lab.run_cell("%%torch\nn = 5")
    # They can be looked at while a remote cell runs.
    lab.start_cell("%%torch -i n\nimport time\nprint('begun', flush=True)\ntime.sleep(600)")
    lab.wait_for_output("begun")
    panel.open()
    page, section = lab.page, panel.variables
    panel.row(section, "w").wait_for()
    names = section.locator("tbody tr[data-key] th").all_inner_texts()
    assert names[:3] == ["w", "model", "half"] and set(names[3:]) == {"losses", "text", "n"}
    cells = panel.row(section, "w").locator("td").all_inner_texts()
    assert cells == ["1.1 MiB", "float32", "(1000, 300)", "cpu", "yes"]

    section.get_by_role("button", name="Name", exact=True).click()
    assert section.locator("tbody th").all_inner_texts() == sorted(names, key=str.lower)
    assert section.locator("th[aria-sort]").inner_text().startswith("Name")

    panel.choose(section, "w")
    panel.press(section, "Preview")
    section.locator("pre").get_by_text("requires_grad=True").wait_for()
    page.screenshot(path=artifacts / "panel-variables-light.png")
    set_theme(lab, "JupyterLab Dark")
    section.locator("pre").scroll_into_view_if_needed()
    page.screenshot(path=artifacts / "panel-variables-dark.png")
    assert panel.row(section, "w").get_attribute("aria-selected") == "true"
    assert section.locator("pre").inner_text().startswith("tensor(")
    set_theme(lab, "JupyterLab Light")

    # With the keyboard alone, and a refresh takes neither focus nor selection.
    panel.row(section, "w").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    section.locator("pre").get_by_text("[0.5, 0.25]").wait_for()
    with page.expect_response(lambda response: response.url.endswith("/variables")):
        page.evaluate("document.querySelector('.jp-Torch-filter button').click()")
    assert panel.row(section, "losses").get_attribute("aria-selected") == "true"
    assert page.evaluate("document.activeElement.dataset.key") == "losses"

    section.get_by_role("searchbox").fill("lin")
    assert section.locator("tbody th").all_inner_texts() == ["model"]
    section.get_by_text("1 of 6").wait_for()
    section.get_by_role("searchbox").fill("")

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.choose(section, "half")
    panel.press(section, "Copy name")
    panel.says(section, "Copied half.")
    assert page.evaluate("navigator.clipboard.readText()") == "half"

    panel.choose(section, "n")
    panel.press(section, "Delete…")
    panel.agree("Delete")
    panel.says(section, "Deleted n.")
    panel.row(section, "n").wait_for(state="detached")

    lab.execute("notebook:interrupt-kernel")
    lab.end_cell()
    lab.run_cell("%%torch\n1")
    assert lab.run_cell("'n' in globals()").result["text/plain"] == "False"

    panel.choose(section, "half")
    panel.press(section, "Fetch")
    panel.says(section, "A cell of the notebook fetches half.")
    page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.content.widgets"
        ".some(cell => cell.model.sharedModel.source === '%%torch -o half\\n'"
        " && cell.model.executionState === 'idle' && cell.model.executionCount)"
    )
    assert lab.run_cell("half.shape, str(half.dtype)").result["text/plain"] == "((100,), 'float16')"


@pytest.mark.alone
def test_ten_thousand_variables_scroll(lab, panel, artifacts):
    lab.run_cell("%%torch --no-auto\nfor i in range(10_000): globals()[f'v{i}'] = torch.zeros(i)")
    panel.open()
    page, section = lab.page, panel.variables
    panel.row(section, "v9999").wait_for()
    scrolled = page.evaluate(
        """() => new Promise(resolve => {
            const table = document.querySelector('.jp-Torch-variables .jp-Torch-table');
            let [most, steps, last] = [0, 0, performance.now()];
            const times = [];
            const step = () => {
                const now = performance.now();
                times.push(now - last);
                last = now;
                most = Math.max(most, table.querySelectorAll('tbody tr').length);
                table.scrollTop = (++steps % 100) * 2400;
                if (steps < 200) return requestAnimationFrame(step);
                resolve({ most, typical: times.sort((a, b) => a - b)[100] });
            };
            requestAnimationFrame(step);
        })"""
    )
    # Of frames 17 ms apart; other work of the machine may hold some up.
    assert scrolled["most"] < 100 and scrolled["typical"] < 100, scrolled
    # To the end and back, by the keyboard.
    panel.row(section, "v9999").or_(section.locator("tbody tr[data-key]").first).first.click()
    page.keyboard.press("End")
    section.locator('tr[aria-rowindex="10002"]:focus').wait_for()
    page.keyboard.press("Home")
    section.locator('tr[data-key="v9999"]:focus').wait_for()
    section.get_by_role("searchbox").fill("v123")
    section.get_by_text("11 of 10001").wait_for()
    page.screenshot(path=artifacts / "panel-many.png")


def test_with_the_local_kernel_busy(lab, panel):
    lab.run_cell("%%torch --no-auto\nx = torch.zeros(7)")
    # Python of the browser, which nothing can interrupt.
    lab.start_cell("import time\nend = time.time() + 8\nwhile time.time() < end: pass\n'over'")
    panel.open()
    panel.row(panel.variables, "x").wait_for()
    panel.choose(panel.variables, "x")
    panel.press(panel.variables, "Preview")
    panel.variables.locator("pre").get_by_text("tensor([0., 0.").wait_for()
    assert lab.page.evaluate("window.ended === null"), "the cell ended before the panel answered"
    assert lab.end_cell().result["text/plain"] == "'over'"


def test_in_the_notebook_app(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    fragment = proxy.link.partition("#")[2]
    lab = new_lab(f"{served.url}notebooks/index.html?path=quickstart.ipynb#{fragment}")
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.page.locator(".jp-Torch-status").get_by_text("127.0.0.1", exact=False).wait_for()
    panel = Panel(lab.page).open()
    panel.server.get_by_text("Connected to 127.0.0.1").wait_for()
    panel.server.get_by_text("No sessions").wait_for()
    lab.page.screenshot(path=artifacts / "panel-notebook-app.png")


def test_in_an_app_without_sidebars(new_lab, served, artifacts):
    lab = new_lab(f"{served.url}repl/index.html?kernel=python")
    lab.execute("jupyterlite-torch:panel")
    panel = Panel(lab.page)
    panel.server.get_by_text("Not connected to a server.").wait_for()
    lab.page.screenshot(path=artifacts / "panel-repl.png")
    # What it asks comes before it.
    panel.press(panel.server, "Connect…")
    lab.page.locator(".jp-Torch-connect").get_by_role("button", name="Cancel").click()
    panel.node.get_by_role("button", name="Close", exact=True).click()
    panel.node.wait_for(state="detached")


def test_nothing_is_asked_while_the_panel_is_closed(lab, panel):
    lab.run_cell("%%torch\n1")
    asked = []
    lab.page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    panel.open()
    panel.server.get_by_text("(this notebook)").wait_for()
    assert "sessions" in asked and "variables" in asked
    lab.page.get_by_role("tab", name="GPU server").click()
    panel.node.wait_for(state="hidden")
    asked.clear()
    lab.run_cell("%%torch\n2")
    # The status bar's own question.
    lab.page.wait_for_event("request", lambda request: request.url.endswith("/status"))
    assert not {"sessions", "variables"} & set(asked)
