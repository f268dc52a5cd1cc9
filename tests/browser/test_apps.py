"""The page extension in each app of JupyterLite."""

import pytest
from browser.lab import Lab
from browser.test_connect import connect

APPS = {
    "lab": "lab/index.html",
    "notebooks": "notebooks/index.html?path=quickstart.ipynb",
    "tree": "tree/index.html",
    "edit": "edit/index.html?path=quickstart.ipynb",
    "consoles": "consoles/index.html?path=",
    "repl": "repl/index.html",
}


@pytest.mark.parametrize("app", APPS)
def test_it_connects(chromium, served, start_proxy, app):
    """By its dialog, and nothing of it fails or complains."""
    proxy = start_proxy("--origin", served.origin)
    context = chromium.new_context()
    page = context.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(f"jupyterlite-torch? {error}"))
    lab = Lab(page)
    lab.goto(served.url + APPS[app])
    if app in ("consoles", "repl"):
        page.locator(".jp-Dialog .jp-mod-accept").click()
    lab.execute("jupyterlite-torch:connect")
    connect(page, proxy.url, proxy.token)
    page.locator(".jp-Torch-connect").wait_for(state="detached")
    assert not [text for text in said if "jupyterlite-torch" in text]
    context.close()
