"""What the extension adds to the page has no fault that axe-core calls serious or critical."""

import pytest
from browser.accessibility import violations

THEMES = ("JupyterLab Light", "JupyterLab Dark")


@pytest.fixture(params=THEMES)
def themed(request, new_lab, artifacts):
    """A page in a theme: `themed(address or None)`, and what checks a part of it."""
    theme = request.param

    def make(url=None):
        lab = new_lab(url)
        lab.page.evaluate(
            """async theme => {
                await window.jupyterapp.commands.execute('apputils:change-theme', { theme });
            }""",
            theme,
        )
        lab.page.wait_for_function(
            "theme => document.body.dataset.jpThemeName === theme", arg=theme
        )
        return lab

    def check(page, name, selector):
        page.screenshot(path=artifacts / f"accessible-{name}-{theme.split()[1].lower()}.png")
        assert violations(page, selector) == []

    make.check = check
    return make


def test_the_connect_dialog(themed):
    lab = themed()
    lab.execute("jupyterlite-torch:connect")
    form = lab.page.locator(".jp-Torch-connect")
    form.get_by_label("Token or one-time code").wait_for()
    themed.check(lab.page, "connect", ".jp-Torch-connect")
    # With a fault and its commands.
    form.get_by_label("Address").fill("127.0.0.1:9")
    form.get_by_role("button", name="Connect", exact=True).click()
    form.locator(".jp-Torch-fault").wait_for()
    themed.check(lab.page, "fault", ".jp-Torch-connect")


def test_the_question_of_a_link(themed, served, start_proxy):
    lab = themed(start_proxy("--site", served.url).link)
    lab.page.locator(".jp-Torch-question").wait_for()
    themed.check(lab.page, "pairing", ".jp-Dialog")


def test_the_status(themed, served, start_proxy):
    proxy = start_proxy("--site", served.url)
    lab = themed(proxy.link)
    status = lab.page.locator(".jp-Torch-status")
    themed.check(lab.page, "status-off", ".jp-Torch-status")
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    status.get_by_text("127.0.0.1", exact=False).wait_for()
    themed.check(lab.page, "status-on", ".jp-Torch-status")
    proxy.stop()
    status.get_by_text("is gone; trying again in").wait_for()
    themed.check(lab.page, "status-lost", ".jp-Torch-status")


def test_the_panel_and_a_mark(themed, served, start_proxy):
    proxy = start_proxy("--site", served.url)
    lab = themed(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook("work.ipynb")
    lab.run_cell("%%torch\nweights = torch.ones(3)")
    lab.execute("jupyterlite-torch:panel")
    lab.page.locator(".jp-Torch-panel").get_by_text("weights").first.wait_for()
    themed.check(lab.page, "panel", ".jp-Torch-panel")
    themed.check(lab.page, "mark", ".jp-Torch-mark")


def test_the_check_finds_what_is_wrong(new_lab):
    lab = new_lab()
    bad = "<input><button></button><p style='color: #777; background: #888'>grey</p>"
    lab.page.evaluate(
        "bad => document.body.insertAdjacentHTML('beforeend', `<div id=bad>${bad}</div>`)", bad
    )
    found = violations(lab.page, "#bad")
    rules = {line.split()[1] for line in found}
    assert rules == {"label:", "button-name:", "color-contrast:"}, found
