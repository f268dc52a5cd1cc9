"""A person's first minutes in JupyterLab, with clicks and keys, on a site below a path."""

import json
import re
import sys
from urllib.parse import urlsplit

STORAGE = """() => JSON.stringify([
    Object.entries(localStorage), document.cookie, location.href,
    performance.getEntriesByType('resource').map(entry => entry.name),
])"""


def test_connect_by_hand(new_lab, served, start_proxy, artifacts):
    """The token is typed into the page's own field, and is nowhere afterwards."""
    proxy = start_proxy("--origin", served.origin)
    lab = new_lab()
    lab.open_notebook("by-hand.ipynb")
    keyboard = lab.page.keyboard
    lab.page.locator(".jp-Notebook .cm-content").first.click()
    keyboard.type(f"%torch connect {proxy.url}")
    keyboard.press("Shift+Enter")
    lab.page.locator(".jp-Dialog input[type=password]").wait_for()
    lab.page.screenshot(path=artifacts / "connect.png")
    lab.give_token(proxy.token)
    lab.page.get_by_text(f"Connected to {proxy.url}: torch 2.").wait_for()
    keyboard.type("%%torch\ntwo = torch.ones(3) * 2\ntwo")
    keyboard.press("Shift+Enter")
    lab.page.get_by_text("tensor([2., 2., 2.])").wait_for()
    lab.page.screenshot(path=artifacts / "connected.png")
    assert lab.run_cell("two.tolist()").result["text/plain"] == "[2.0, 2.0, 2.0]"

    lab.page.evaluate(
        "() => window.jupyterapp.commands.execute('docmanager:save').then(() => null)"
    )
    saved = json.dumps(lab.saved("by-hand.ipynb"))
    assert "Connected to" in saved and proxy.token not in saved
    assert proxy.token not in lab.page.evaluate(STORAGE)
    assert proxy.token not in str(lab.page.context.storage_state(indexed_db=True))

    # A reload of the tab keeps the connection; another profile has none.
    lab.page.reload()
    lab.ready()
    lab.show("by-hand.ipynb")
    assert "tensor([2., 2., 2.])" in str(lab.run_cell("%%torch\ntwo").outputs)


def test_errors_of_connecting(new_lab, served, start_proxy, tmp_path):
    """Each says what happened and what to do, and the next try works."""
    kernel = tmp_path / "kernels" / "no-torch"
    kernel.mkdir(parents=True)
    hidden = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Hidden)\n"
        "from ipykernel.kernelapp import launch_new_instance\n"
        "launch_new_instance()\n"
    )
    command = [sys.executable, "-c", hidden, "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "No torch", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    good = start_proxy("--origin", served.origin)
    other_origin = start_proxy("--origin", "https://elsewhere.example")
    torchless = start_proxy(
        "--origin", served.origin, "--kernel", "no-torch", env={"JUPYTER_PATH": str(tmp_path)}
    )
    lab = new_lab()
    lab.open_notebook("errors.ipynb")

    def connect(url, token):
        lab.start_cell(f"%torch connect {url}")
        lab.give_token(token)
        return lab.end_cell()

    not_connected = lab.run_cell("%%torch\n1").failure
    assert "NotConnected" in not_connected and "%torch connect" in not_connected
    assert f"--origin {served.origin}" in not_connected
    assert "is not connected" in lab.run_cell("%torch status").stdout

    # What is wrong with the address is said before a token is asked for.
    failure = lab.run_cell("%torch connect http://127.0.0.1:1").failure
    assert "Nothing answers at http://127.0.0.1:1" in failure
    failure = lab.run_cell(f"%torch connect {served.origin}").failure
    assert "it is not `jupyter torch-proxy`" in failure
    failure = lab.run_cell(f"%torch connect {other_origin.url}").failure
    assert f"--origin {served.origin}" in failure
    failure = connect(torchless.url, torchless.token).failure
    assert "has no PyTorch" in failure and "pip install torch" in failure
    assert "OptionError" in lab.run_cell("%torch connect ftp://x").failure
    assert "OptionError" in lab.run_cell("%torch conect").failure

    # Declining is an answer, too.
    lab.start_cell(f"%torch connect {good.url}")
    lab.page.locator(".jp-Dialog input[type=password]").wait_for()
    lab.page.keyboard.type("not-the-right-token")
    lab.page.keyboard.press("Enter")
    lab.page.get_by_text("does not take this token").wait_for()
    lab.page.keyboard.press("Escape")
    failure = lab.end_cell().failure
    assert "no server was chosen" in failure and "not-the-right-token" not in failure

    assert "Connected to" in connect(good.url, good.token).stdout
    assert lab.run_cell("%%torch\n40 + 2").result["text/plain"] == "42"
    assert "Disconnected from" in lab.run_cell("%torch disconnect").stdout
    assert "NotConnected" in lab.run_cell("%%torch\n1").failure
    assert "Connected to" in connect(good.url, good.token).stdout

    # The server goes away under an open connection.
    good.stop()
    lab.run_cell("%torch disconnect")
    assert "Nothing answers at" in lab.run_cell(f"%torch connect {good.url}").failure


def test_pairing_link(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    assert proxy.link.startswith(f"{served.url}lab/index.html#torch=")
    code = re.search(r"code=([\w-]+)", proxy.link)[1]

    lab = new_lab(proxy.link)
    question = lab.page.locator(".jp-Dialog")
    question.get_by_text("Connect this page").wait_for()
    assert proxy.url in question.inner_text()
    lab.page.screenshot(path=artifacts / "pairing.png")
    # Gone from the address bar, and from what the browser's history would open again.
    assert "torch=" not in lab.page.url and code not in lab.page.evaluate("location.href")
    question.get_by_role("button", name="Connect", exact=True).click()
    question.wait_for(state="detached")
    lab.open_notebook("paired.ipynb")
    assert lab.run_cell("%%torch\n6 * 7").result["text/plain"] == "42"
    assert proxy.url in lab.run_cell("%torch status").stdout

    # The code works once.
    second = new_lab(proxy.link)
    question = second.page.locator(".jp-Dialog")
    question.get_by_role("button", name="Connect", exact=True).click()
    refused = second.page.locator(".jp-Dialog", has_text="Could not connect")
    refused.wait_for()
    assert code in refused.inner_text() and "used before" in refused.inner_text()


def test_stop_restart_and_copies(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook("work.ipynb")
    lab.run_cell("%%torch\nkept = torch.arange(4)\nstays = torch.nn.Linear(2, 2)")

    # What is printed is there while the cell runs; the toolbar's button stops it.
    lab.start_cell("%%torch\nimport time\nhalfway = 1\nprint('begun', flush=True)\ntime.sleep(120)")
    lab.wait_for_output("begun")
    lab.page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]').click()
    stopped = lab.end_cell()
    assert stopped.error.ename == "KeyboardInterrupt", stopped
    plain = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(stopped.error.traceback))
    assert "----> 5 time.sleep(120)" in plain
    assert lab.run_cell("halfway").result["text/plain"] == "1"
    lab.start_cell("%%torch\nprint('again', flush=True)\ntime.sleep(120)")
    lab.wait_for_output("again")
    lab.execute("notebook:interrupt-kernel")
    assert lab.end_cell().error.ename == "KeyboardInterrupt"
    assert lab.run_cell("%%torch\nkept.sum().item(), halfway").result["text/plain"] == "(6, 1)"

    # A restart of the local kernel finds the session; what stayed there is still there.
    lab.page.evaluate(
        """async () => {
            const context = window.jupyterapp.shell.currentWidget.sessionContext;
            await context.restartKernel();
            await context.session.kernel.info;
        }"""
    )
    assert "NameError" in lab.run_cell("kept").failure
    found = lab.run_cell("%%torch\nstays.in_features")
    assert found.result["text/plain"] == "2"
    assert len(found.stderr.splitlines()) == 1 and "session again" in found.stderr
    assert "kept" in found.stderr
    lab.run_cell("%%torch -o kept\nNone")
    assert lab.run_cell("kept.tolist()").result["text/plain"] == "[0, 1, 2, 3]"

    # A copy of the notebook has a session of its own.
    lab.page.evaluate(
        """async () => {
            const { contents } = window.jupyterapp.serviceManager;
            const copy = await contents.copy('work.ipynb', '');
            await contents.rename(copy.path, 'copied.ipynb');
        }"""
    )
    lab.show("copied.ipynb")
    assert lab.run_cell("%%torch\n'kept' in globals()").result["text/plain"] == "False"
    lab.show("work.ipynb")
    assert lab.run_cell("%%torch\n'kept' in globals()").result["text/plain"] == "True"


def test_repl(new_lab, served, start_proxy):
    """`%%torch` in the console app, typed by hand."""
    proxy = start_proxy("--site", served.url)
    fragment = urlsplit(proxy.link).fragment
    lab = new_lab(f"{served.url}repl/index.html?kernel=python#{fragment}")
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    prompt = lab.page.locator(".jp-CodeConsole-promptCell .cm-content")
    prompt.click()
    lab.page.keyboard.type("%%torch\nten = torch.ones(5) * 2; ten.sum()")
    lab.page.keyboard.press("Shift+Enter")
    lab.page.get_by_text("tensor(10.)").wait_for()
    prompt.click()
    lab.page.keyboard.type("type(ten)")
    lab.page.keyboard.press("Shift+Enter")
    lab.page.get_by_text("numpy.ndarray").wait_for()


def test_quickstart_picture(new_lab, served, start_proxy, artifacts, site):
    """Run All in JupyterLab. The README's picture, docs/quickstart.png, is a copy of this one."""
    proxy = start_proxy("--site", served.url)
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.page.set_viewport_size({"width": 1100, "height": 1840})
    lab.show("quickstart.ipynb")
    # It returns when all have run, with the last cell selected, whose code the figure speaks for.
    assert lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    lab.execute("notebook:hide-cell-code")
    lab.execute("application:toggle-left-area")
    lab.page.locator(".jp-Notebook img").last.wait_for()
    training = lab.page.locator(".jp-CodeCell", has_text="epoch 30")
    assert training.count() == 1
    training.evaluate("cell => cell.scrollIntoView({ block: 'start' })")
    lab.page.screenshot(path=artifacts / "quickstart.png")
