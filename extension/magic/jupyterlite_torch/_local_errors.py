"""What the errors of local cells say when the server has what they lack."""

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


def install(shell, offer, is_there):
    """Make errors say what to do when a cell has failed for want of torch, or of a name that the server
    has (`is_there(name)`); `offer()` shows how."""
    if NoTorchHere not in sys.meta_path:
        sys.meta_path.append(NoTorchHere)
    show = shell._showtraceback

    # Where IPython (9) shows an error that nobody has caught; a library that tries torch catches it.
    def show_and_offer(etype, error, traceback):
        lacks_torch = isinstance(error, ModuleNotFoundError) and error.name == "torch"
        lacks_name = type(error) is NameError and is_there(error.name)
        if lacks_name:
            note = f"`{error.name}` is on the server, not here: cells with `%%torch` can use it."
            traceback = [*traceback, note]
        show(etype, error, traceback)
        if lacks_torch or lacks_name:
            offer()

    shell._showtraceback = show_and_offer
