"""What `import torch` says in a cell that runs in the browser."""

import sys

MESSAGE = (
    "PyTorch does not run in the browser. Put `%%torch` into the first line of the cell, and the cell "
    "runs on your GPU server; `torch` is defined there."
)


class NoTorchHere:
    """The last finder of `sys.meta_path`: reached when no module `torch` was found.

    A question (`importlib.util.find_spec("torch")`) is answered as ever, since libraries ask.
    """

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Raise for an import statement of torch; None for everything else."""
        if name == "torch" and sys._getframe(2).f_code.co_name == "_find_and_load_unlocked":
            raise ModuleNotFoundError(MESSAGE, name="torch")
        return None


def install(shell, offer):
    """Make `import torch` say what to do; `offer()` shows how when a cell has failed for want of it."""
    if NoTorchHere not in sys.meta_path:
        sys.meta_path.append(NoTorchHere)
    show = shell._showtraceback

    # Where IPython (9) shows an error that nobody has caught; a library that tries torch catches it.
    def show_and_offer(etype, error, traceback):
        show(etype, error, traceback)
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            offer()

    shell._showtraceback = show_and_offer
