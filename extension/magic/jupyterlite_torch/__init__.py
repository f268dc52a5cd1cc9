"""`%%torch` for notebooks on Pyodide: cells that run with PyTorch on a GPU server.

The browser's kernel loads this by itself; see docs/guide.md for what a cell can do.
"""

__version__ = "0.1.0"
__all__ = ["as_awaitable", "fail", "load_ipython_extension", "run_cell", "run_line", "value_of"]

from ._awaits import AwaitTransform, as_awaitable

_notebook = None
_error = None


def load_ipython_extension(shell):
    """Set up `%%torch` and `%torch` in the Pyodide kernel."""
    from . import _browser, _local_errors, _page, _transform
    from ._connection import Connection
    from ._magic import Notebook, TorchMagics

    global _notebook
    connection = Connection(_browser.Transport, _page.Page, _browser.origin())
    _notebook = Notebook(shell, connection, _browser.load, _browser.wait_for, _browser.can_run_sync)
    shell.register_magics(TorchMagics(shell, _notebook))
    _transform.install(shell, _bring)
    shell.ast_transformers.append(AwaitTransform())
    _local_errors.install(shell, _notebook.offer_to_run_there, _notebook.is_there)


async def _bring(text):
    """Fetch what a local cell reads; return the error if that can not be."""
    global _error
    try:
        await _notebook.bring(text)
    except BaseException as error:
        _error = error
        return error
    return None


def fail():
    """Raise what kept a local cell from running: what the transform makes of such a cell."""
    raise _error


async def run_cell(line, body, lead=""):
    """Run a `%%torch` cell: what the transform makes of one."""
    await _notebook.run_cell(line, body, lead)


async def run_line(line):
    """Run a `%torch` line: what the transform makes of one."""
    await _notebook.run_line(line)


async def value_of(line):
    """Return the value of a `%torch` line: what the transform makes of `name = %torch ...`."""
    return await _notebook.run_line(line, show_result=False)
