"""The demo: `python -m lite_site.demo [--headless] [--site DIR]`.

Serves the built site and a proxy, both on this machine alone and paired with each other, until
Ctrl-C. With --headless it runs the quickstart notebook in headless Chromium instead and prints
every cell with its output.
"""

import argparse
import contextlib
import os
import sys
import webbrowser
from pathlib import Path

from lite_site import run
from lite_site.child import unwind_when_told_to_end
from lite_site.proxy import LocalProxy, ProxyError
from lite_site.serve import SiteError, SiteServer, running

HERE = Path(__file__).parent
PORT = 8000
NOTEBOOK = "quickstart.ipynb"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lite_site.demo", description=__doc__)
    parser.add_argument("--headless", action="store_true", help="run the notebook and end")
    parser.add_argument("--site", type=Path, default=HERE / "_output", metavar="DIR")
    parser.add_argument("--output", type=Path, metavar="DIR", help="for the executed notebook")
    options = parser.parse_args(arguments)
    if options.headless:
        output = options.output or HERE.parent / "build" / "demo"
        notebook = str(HERE / "notebooks" / NOTEBOOK)
        site, folder = str(options.site), str(output)
        run.main([notebook, "--site", site, "--output", folder, "--verbose"])
    unwind_when_told_to_end()
    try:
        serve(options.site)
    except (SiteError, ProxyError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped.")


def serve(site: Path) -> None:
    """Serve the site and a proxy until interrupted."""
    with running(_site_server(site)) as server, LocalProxy("--site", server.url) as proxy:
        fragment = proxy.pairing_link().partition("#")[2]
        link = f"{server.url}lab/index.html?path={NOTEBOOK}#{fragment}"
        print(
            f"\nSite:  {server.url}\nProxy: {proxy.url}\n\n"
            f"Open this link, which works once, and answer Connect:\n\n    {link}\n\n"
            "Then run the notebook from the top. Ctrl-C here ends everything.",
            flush=True,
        )
        if _has_display():
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(link)
        proxy.wait()
        raise ProxyError(f"{proxy.log()}\nThe proxy has ended by itself.")


def _site_server(site: Path) -> SiteServer:
    """On the usual port where it is free, so that the browser finds its notebooks again."""
    try:
        return SiteServer(site, port=PORT)
    except OSError:
        return SiteServer(site)


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


if __name__ == "__main__":
    main()
