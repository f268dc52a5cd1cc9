"""Run notebooks in a built JupyterLite site, in headless Chromium, and save what they give.

Python runs on Pyodide in the page; %%torch cells run on the server. Each notebook has a browser
profile and a session of its own. Outputs that it was saved with are dropped; everything else of
it stays as it is.
"""

import argparse
import contextlib
import os
import signal
import sys
from pathlib import Path

from lite_site.browser import BrowserError, find_chromium
from lite_site.child import unwind_when_told_to_end
from lite_site.notebook import Notebook, NotebookError, Outcome, run_notebook
from lite_site.page import RunServer
from lite_site.proxy import TOKEN_VARIABLE, LocalProxy, ProxyError, admitted
from lite_site.serve import SiteError, running

EPILOG = """\
status: 0 no cell raised (or --allow-errors), 1 a cell raised, 2 it could not run, with the reason.
A cell with the tag raises-exception may raise.
A --server lets the page of the run in until it ends. Without --server a proxy is started for the run, on this machine, and ended with it."""

EXTENSION = "jupyterlite-torch"


class Refusal(Exception):
    """The command can not be done as asked."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    options = _parser().parse_args(arguments)
    unwind_when_told_to_end()
    try:
        sys.exit(run(options))
    except (Refusal, SiteError, NotebookError, BrowserError, ProxyError, OSError) as error:
        print(f"jupyter lite-run: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def run(options: argparse.Namespace) -> int:
    """Run all notebooks; return the exit status."""
    targets = _targets(options.notebooks, options.output)
    token = _token(options) if options.server else ""
    find_chromium()
    status = 0
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(
            running(RunServer(options.site, port=options.port, jspi=not options.no_jspi))
        )
        server = options.server
        if server:
            stack.enter_context(admitted(server, token, site.origin))
        elif EXTENSION in site.extensions:
            proxy = stack.enter_context(LocalProxy("--origin", site.origin))
            server, token = proxy.url, proxy.token
        for path, target in targets.items():
            print(f"{path}", flush=True)
            try:
                notebook = Notebook.read(path)
                outcome = run_notebook(
                    notebook,
                    site,
                    server,
                    token,
                    timeout_s=options.timeout,
                    allow_errors=options.allow_errors,
                    verbose=options.verbose,
                )
            except (NotebookError, BrowserError, ProxyError) as error:
                print(f"jupyter lite-run: {path}: {error}", file=sys.stderr)
                status = 2
                continue
            if outcome.ran:
                notebook.write(target)
                print(f"  written to {target}", flush=True)
            if outcome.reason:
                print(f"jupyter lite-run: {path}: {outcome.reason}", file=sys.stderr)
            status = max(status, _status(outcome, options.allow_errors))
    return status


def _status(outcome: Outcome, allow_errors: bool) -> int:
    if outcome.reason:
        return 2
    return 1 if outcome.raised and not allow_errors else 0


def _targets(notebooks: list[Path], folder: Path | None) -> dict[Path, Path]:
    """Where each executed notebook is written."""
    targets: dict[Path, Path] = {}
    for path in notebooks:
        beside = path.with_name(f"{path.stem}.executed.ipynb")
        target = folder / path.name if folder else beside
        if target in targets.values():
            raise Refusal(f"two of the notebooks would be written to {target}; run them apart.")
        targets[path] = target
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    return targets


def _token(options: argparse.Namespace) -> str:
    token = os.environ.get(TOKEN_VARIABLE, "")
    if options.token_file:
        token = options.token_file.read_text(encoding="utf-8").strip()
    if not token:
        raise Refusal(
            f"--server needs a token: set {TOKEN_VARIABLE}, or name a file with --token-file."
        )
    return token


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jupyter lite-run",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    add("--site", type=Path, required=True, metavar="DIR", help="a built JupyterLite site")
    add("--server", metavar="URL", help="address of a running `jupyter torch-proxy`")
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help=f"holds the token of --server (else the environment variable {TOKEN_VARIABLE})",
    )
    add(
        "--port",
        type=int,
        default=0,
        help="port of the site (default: a free one)",
    )
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="where executed notebooks are written, under their own names "
        "(without it: beside each notebook, as NAME.executed.ipynb)",
    )
    add(
        "--timeout",
        type=float,
        default=600,
        metavar="S",
        help="seconds for each notebook, the start of Python included (%(default)s)",
    )
    add("--allow-errors", action="store_true", help="run on after a cell that raised; status 0")
    add("--no-jspi", action="store_true", help="run as in a browser without JSPI")
    add("--verbose", action="store_true", help="print every cell with its outputs")
    return parser


if __name__ == "__main__":
    main()
