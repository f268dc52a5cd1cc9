"""What a site pays for `%%torch` in which nobody uses it."""

import gzip
from pathlib import PurePosixPath

# Of the page extension's JavaScript and CSS, as GitHub Pages sends them: compressed by gzip.
LIMIT_BYTES = 15 * 1024


def test_a_site_that_never_uses_it_loads_little_and_asks_nobody(new_lab, served, site):
    lab = new_lab()
    asked = []
    for kind in ("request", "websocket"):
        lab.page.on(kind, lambda opened: asked.append(opened.url))
    # From the start again, now that somebody listens.
    lab.page.reload()
    lab.ready()
    lab.open_notebook("local.ipynb")
    assert lab.run_cell("6 * 7").result["text/plain"] == "42"
    assert lab.page.locator(".jp-Torch-status").inner_text() == "Torch: not connected"

    assert not [url for url in asked if "kernel_proxy" in url]
    loaded = code_of_extension(asked, served)
    sizes = {name: len(gzip.compress((site / name).read_bytes())) for name in loaded}
    print(*(f"{size:6} {name}" for name, size in sizes.items()), sep="\n")
    # The code of the extension is found at all.
    assert any("remoteEntry" in name for name in sizes)
    assert sum(sizes.values()) < LIMIT_BYTES, sizes


def code_of_extension(urls, served):
    """Paths below the site of the extension's JavaScript and CSS among what was asked for."""
    below = [url.partition("?")[0].removeprefix(served.url) for url in urls]
    ours = {path for path in below if path.startswith("extensions/jupyterlite-torch/")}
    return sorted(path for path in ours if PurePosixPath(path).suffix in (".js", ".css"))
