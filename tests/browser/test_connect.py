"""The dialog that connects, and what it says of servers that are not as they should be."""

import contextlib
import http.server
import re
import subprocess
import sys
import threading

import pytest


@pytest.fixture
def dialog(new_lab):
    """Open the dialog in a page: `dialog()`; each gives the page."""

    def opened():
        lab = new_lab()
        lab.execute("jupyterlite-torch:connect")
        lab.page.locator(".jp-Torch-connect input[type=password]").wait_for()
        return lab

    return opened


def connect(page, address, credential):
    """Fill in and press Connect."""
    form = page.locator(".jp-Torch-connect")
    form.get_by_label("Address").fill(address)
    form.get_by_label("Token or one-time code").fill(credential)
    form.get_by_role("button", name="Connect", exact=True).click()


def said(page):
    """What the dialog says when it has failed."""
    fault = page.locator(".jp-Torch-fault")
    fault.wait_for()
    return page.locator(".jp-Torch-said").inner_text()


def test_connect_with_the_dialog(dialog, served, start_proxy, artifacts):
    proxy = start_proxy("--origin", served.origin)
    lab = dialog()
    lab.page.screenshot(path=artifacts / "connect-dialog.png")
    # A mistake does not close it, and what was typed stays.
    connect(lab.page, proxy.url, "not-the-right-token")
    assert "does not take this token" in said(lab.page)
    # In the guide, as docs/connect-dialog-fault.png.
    window = lab.page.locator(".jp-Torch-connect .jp-Dialog-content")
    window.screenshot(path=artifacts / "connect-dialog-fault.png")
    connect(lab.page, proxy.url.removeprefix("http://"), proxy.token)
    lab.page.locator(".jp-Torch-connect").wait_for(state="detached")
    lab.open_notebook("dialog.ipynb")
    assert lab.run_cell("%%torch\n6 * 7").result["text/plain"] == "42"
    # Another one has it, too, but not another tab.
    lab.open_notebook("second.ipynb")
    assert proxy.url in lab.run_cell("%torch status").stdout
    stored = "() => JSON.stringify(Object.entries(localStorage))"
    assert proxy.token not in lab.page.evaluate(stored)
    lab.execute("jupyterlite-torch:disconnect")
    assert "NotConnected" in lab.run_cell("%%torch\n1").failure
    # Its address is offered again, after a reload as well; of the token the settings know nothing.
    lab.page.reload()
    lab.ready()
    lab.execute("jupyterlite-torch:connect")
    address = lab.page.locator(".jp-Torch-connect").get_by_label("Address")
    address.wait_for()
    assert address.input_value() == proxy.url
    settings = lab.page.evaluate(
        "window.jupyterapp.serviceManager.settings.fetch('jupyterlite-torch:plugin').then(s => s.raw)"
    )
    assert proxy.url in settings and proxy.token not in settings


def test_stay_connected(dialog, served, start_proxy):
    proxy = start_proxy("--origin", served.origin)
    lab = dialog()
    lab.page.get_by_text("Stay connected on this device").click()
    connect(lab.page, proxy.url, proxy.token)
    lab.page.locator(".jp-Torch-connect").wait_for(state="detached")
    lab.open_notebook("first.ipynb")
    second = type(lab)(lab.page.context.new_page())
    second.goto(f"{served.url}lab/index.html")
    second.open_notebook("second.ipynb")
    assert second.run_cell("%%torch\n6 * 7").result["text/plain"] == "42"
    # Leaving forgets it for tabs to come.
    second.run_cell("%torch disconnect")
    third = type(lab)(lab.page.context.new_page())
    third.goto(f"{served.url}lab/index.html")
    third.open_notebook("third.ipynb")
    assert "NotConnected" in third.run_cell("%%torch\n1").failure


def test_the_error_has_a_button(new_lab, served, start_proxy):
    proxy = start_proxy("--origin", served.origin)
    lab = new_lab()
    lab.open_notebook("button.ipynb")
    assert "NotConnected" in lab.run_cell("%%torch\n1").failure
    lab.page.get_by_role("button", name="Connect to a GPU server…").click()
    connect(lab.page, proxy.url, proxy.token)
    lab.page.locator(".jp-Torch-connect").wait_for(state="detached")
    assert lab.run_cell("%%torch\n6 * 7").result["text/plain"] == "42"


def test_a_line_without_an_address_asks_for_it(new_lab, served, start_proxy):
    proxy = start_proxy("--origin", served.origin)
    lab = new_lab()
    lab.open_notebook("line.ipynb")
    lab.start_cell("%torch connect")
    connect(lab.page, proxy.url, proxy.token)
    assert f"Connected to {proxy.url}" in lab.end_cell().stdout


class Program(http.server.BaseHTTPRequestHandler):
    """Something that is no proxy, or one between."""

    def do_GET(self):
        self.answer()

    do_OPTIONS = do_GET

    def log_message(self, *_):
        pass


class Login(Program):
    def answer(self):
        self.send_response(200 if self.path == "/login" else 302)
        self.send_header("Location", "/login")
        self.end_headers()


class OtherProgram(Program):
    """Lets everybody read that it has nothing."""

    def answer(self):
        self.send_response(404 if self.command == "GET" else 204)
        for name in ("Origin", "Headers"):
            self.send_header(f"Access-Control-Allow-{name}", "*")
        self.send_header("Access-Control-Allow-Headers", "Authorization")
        self.end_headers()


@contextlib.contextmanager
def serving(handler):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def jupyter_server(tmp_path):
    """An ordinary Jupyter server, whose extension lets no page in."""
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0", "--allow-root"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        yield found[0]
        process.terminate()
        process.stderr.read()


def test_faults(dialog, served, start_proxy, tmp_path, artifacts):
    """Each server really has its fault; the dialog says which, and what to type."""
    unlisted = start_proxy("--origin", "https://elsewhere.example")
    page = dialog().page

    def fault(address, credential="a-token-of-somebody"):
        connect(page, address, credential)
        page.wait_for_function("!document.querySelector('.jp-Torch-said').innerText.includes('…')")
        return said(page)

    assert "no address of a server" in fault("ftp://x")
    down = fault("http://127.0.0.1:1")
    assert "Nothing answers at http://127.0.0.1:1" in down
    assert f"jupyter torch-proxy --origin {served.origin}" in down
    text = fault(unlisted.url)
    assert "does not let this page in" in text and f"--origin {served.origin}" in text
    with jupyter_server(tmp_path) as url:
        text = fault(url)
        assert f"A Jupyter server answers at {url}" in text and "lacks jupyterlite-torch" in text
    with serving(Login) as url:
        assert "a web server that wants a login first" in fault(url)
    with serving(OtherProgram) as url:
        assert "status 404, but it is not `jupyter torch-proxy`" in fault(url)
    wrong_code = start_proxy("--origin", served.origin)
    version = "import kernel_proxy.settings as settings\nsettings.PROTOCOL = {}\n"
    for protocol, advice in (
        (0, "pip install --upgrade jupyterlite-torch"),
        (2, "Reload the page"),
    ):
        folder = tmp_path / str(protocol)
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(version.format(protocol))
        other = start_proxy("--origin", served.origin, env={"PYTHONPATH": str(folder)})
        assert advice in fault(other.url, other.token)
    assert "The code ABCD-EFGH is wrong" in fault(wrong_code.url, "ABCD-EFGH")
    page.screenshot(path=artifacts / "connect-dialog-code.png")


def test_the_doctor_in_a_cell(new_lab, served, start_proxy):
    proxy = start_proxy("--origin", served.origin)
    unlisted = start_proxy("--origin", "https://elsewhere.example")
    lab = new_lab()
    lab.open_notebook("doctor.ipynb")
    assert "knows no server" in lab.run_cell("%torch doctor").stdout
    assert f"--origin {served.origin}" in lab.run_cell(f"%torch doctor {unlisted.url}").stdout
    assert "has no token for it" in lab.run_cell(f"%torch doctor {proxy.url}").stdout
    lab.start_cell(f"%torch connect {proxy.url}")
    lab.give_token(proxy.token)
    lab.end_cell()
    assert "Nothing is wrong" in lab.run_cell("%torch doctor").stdout
    proxy.stop()
    assert f"Nothing answers at {proxy.url}" in lab.run_cell("%torch doctor").stdout
