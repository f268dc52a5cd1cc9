"""What lies between a page and a server that is as it should be, and what the page says of it."""

import ssl
from datetime import UTC, datetime, timedelta

import fronts
import pytest
from browser.lab import Lab
from browser.test_connect import connect, said
from faketime import LIBRARY

from kernel_proxy.command.tls import self_signed
from lite_site.browser import find_chromium
from lite_site.serve import running

HOUR_S = 3600


@pytest.fixture
def dialog(new_lab):
    def opened(lab=None):
        lab = lab or new_lab()
        lab.execute("jupyterlite-torch:connect")
        lab.page.locator(".jp-Torch-connect input[type=password]").wait_for()
        return lab.page

    return opened


@pytest.mark.program("nginx")
def test_a_web_server_that_lets_no_websocket_pass(dialog, served, start_proxy, tmp_path):
    proxy, port = start_proxy("--origin", served.origin), fronts.free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {tmp_path}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {fronts.temporary_paths(tmp_path)} server {{\n"
        f"listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{proxy.port}; }} }} }}"
    )
    command = [fronts.program("nginx"), "-e", "stderr", "-p", tmp_path, "-c", configuration]
    with fronts.running(command, port, tmp_path / "log"):
        page = dialog()
        connect(page, f"http://127.0.0.1:{port}", proxy.token)
        assert "its WebSocket can not be opened" in said(page)


@pytest.mark.program("openssl")
def test_a_certificate_that_the_browser_does_not_know(
    dialog, new_lab, served, start_proxy, tmp_path
):
    proxy = start_proxy(
        "--origin", served.origin, "--self-signed", "--state", str(tmp_path / "state")
    )
    page = dialog()
    connect(page, proxy.url, proxy.token)
    text = said(page)
    assert "does not trust its certificate" in text and proxy.url in text and "clock" not in text

    late = new_lab()
    # The device's clock, which cannot be had wrong otherwise.
    late.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=3))
    page = dialog(late)
    connect(page, proxy.url, proxy.token)
    assert "The clock of this device is 3 days ahead of it." in said(page)


@pytest.mark.program("openssl")
def test_a_page_on_https(dialog, chromium, site_server, start_proxy, tmp_path):
    certificate = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.cert, certificate.key)
    server = site_server()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        origin = server.origin.replace("http:", "https:")
        proxy = start_proxy("--origin", origin)
        browser = chromium.new_context(ignore_https_errors=True)
        lab = Lab(browser.new_page())
        lab.goto(f"{origin}/some/path/lab/index.html")
        page = dialog(lab)
        connect(page, "http://gpubox.lan:8888", "a-token")
        text = said(page)
        assert "no page on https talk to http on another machine" in text
        assert "ssh -N -L 8889:127.0.0.1:8888 gpubox.lan" in text
        connect(page, proxy.url, proxy.token)
        page.locator(".jp-Torch-connect").wait_for(state="detached")
        browser.close()


def test_the_browser_asks_before_a_page_reaches_this_machine(
    chromium, served, start_proxy, dialog, artifacts
):
    """Of a page that is not on this machine; here Chromium is told so of the site's port."""
    proxy = start_proxy("--origin", served.origin)
    place = served.origin.removeprefix("http://")
    browser = chromium.browser_type.launch(
        executable_path=find_chromium(),
        args=["--no-sandbox", f"--ip-address-space-overrides={place}=public"],
    )
    try:
        context = browser.new_context()
        lab = Lab(context.new_page())
        lab.goto(f"{served.url}lab/index.html")
        page = dialog(lab)
        connect(page, proxy.url, proxy.token)
        assert "The browser keeps this page from your local network" in said(page)
        page.screenshot(path=artifacts / "connect-dialog-permission.png")
        context.grant_permissions(["local-network-access"], origin=served.origin)
        connect(page, proxy.url, proxy.token)
        page.locator(".jp-Torch-connect").wait_for(state="detached")
    finally:
        browser.close()


@pytest.mark.faketime
def test_clocks_that_differ(new_lab, served, start_proxy):
    proxy = start_proxy(
        "--origin", served.origin, env={"LD_PRELOAD": LIBRARY, "FAKETIME": f"-{3 * HOUR_S}"}
    )
    lab = new_lab()
    lab.open_notebook("clock.ipynb")
    lab.start_cell(f"%torch connect {proxy.url}")
    lab.give_token(proxy.token)
    lab.end_cell()
    text = lab.run_cell("%torch doctor").stdout
    assert "Nothing is wrong" in text and "The clock of this device is 3 hours ahead of it." in text
