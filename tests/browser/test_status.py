"""The status in the status bar of JupyterLab, and in the toolbar of the notebook app."""


def status_of(page):
    return page.locator(".jp-Torch-status")


def test_status_in_the_lab(new_lab, served, start_proxy, tmp_path, artifacts):
    proxy = start_proxy("--site", served.url, "--state", str(tmp_path / "state"))
    lab = new_lab(proxy.link)
    page, status = lab.page, status_of(lab.page)
    page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook("status.ipynb")
    lab.run_cell("%%torch\n1")
    status.get_by_text("Torch: cpu", exact=False).wait_for()
    # The page's own question, so that it is answered while both kernels are busy.
    lab.start_cell("%%torch\nimport time\nprint('begun', flush=True)\ntime.sleep(600)")
    lab.wait_for_output("begun")
    page.wait_for_function(
        "/· 0:0[2-9]/.test(document.querySelector('.jp-Torch-status').innerText)"
    )
    page.screenshot(path=artifacts / "status-busy.png")
    lab.execute("notebook:interrupt-kernel")
    lab.end_cell()
    page.wait_for_function("!/·/.test(document.querySelector('.jp-Torch-status').innerText)")

    # A server that is gone, and comes back.
    proxy.stop()
    status.get_by_text("is gone; trying again in").wait_for()
    page.screenshot(path=artifacts / "status-lost.png")
    proxy.start()
    status.get_by_text("Torch: cpu", exact=False).wait_for()

    status.click()
    page.get_by_text("Nothing is wrong").wait_for()
    page.get_by_role("button", name="Disconnect", exact=True).click()
    status.get_by_text("Torch: not connected").wait_for()
    status.click()
    page.locator(".jp-Torch-connect input[type=password]").wait_for()


def test_status_in_the_notebook_app(new_lab, served, start_proxy, artifacts):
    proxy = start_proxy("--site", served.url)
    fragment = proxy.link.partition("#")[2]
    lab = new_lab(f"{served.url}notebooks/index.html?path=quickstart.ipynb#{fragment}")
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    status_of(lab.page).get_by_text("127.0.0.1", exact=False).wait_for()
    lab.page.screenshot(path=artifacts / "status-toolbar.png")
