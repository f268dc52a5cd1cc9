"""What a cell can raise.

TorchError                 shown as its sentence, without a traceback of this package
├── OptionError            the line after `%%torch` or `%torch`
├── NotConnected
├── ConnectError           connecting failed, and why
├── TransferError          a value can not be sent, or not be brought back
├── KernelDied             the remote kernel ended by itself
└── ServerError            the server could not do what it was asked
RemoteError                an exception of the remote cell, also a subclass of that exception's type
"""

import builtins


class _Named(type):
    # The page shows `str(type)` as the error's name (pyodide-kernel 0.8.6).
    def __str__(cls):
        return cls.__name__


class TorchError(Exception, metaclass=_Named):
    """Base of what goes wrong on the way; its text says what happened and what to do."""

    def _render_traceback_(self):
        return [f"\x1b[31m{type(self).__name__}\x1b[39m: {self}"]


class OptionError(TorchError):
    """The line after `%%torch` or `%torch` is not understood."""


class NotConnected(TorchError):
    """No server is known to this notebook."""


class ConnectError(TorchError):
    """Connecting failed; `reason` is a word for programs."""

    def __init__(self, message, reason="unreachable"):
        super().__init__(message)
        self.reason = reason


class TransferError(TorchError):
    """A value can not be sent, or not be brought back."""


class KernelDied(TorchError):
    """The remote kernel ended by itself; its variables are gone."""


class ServerError(TorchError):
    """The server could not do what it was asked."""


class RemoteError(Exception, metaclass=_Named):
    """An exception of the remote cell, with its name, message and traceback."""

    def __init__(self, ename, evalue, traceback):
        super().__init__(evalue)
        self.ename, self.evalue, self.traceback = ename, evalue, traceback

    def __str__(self):
        return self.evalue

    def _render_traceback_(self):
        return self.traceback


#: Leaving a coroutine with one of these means something else to Python.
_CONTROL_FLOW = (StopIteration, StopAsyncIteration, GeneratorExit)


def remote_error(ename, evalue, traceback):
    """Return an instance of RemoteError and, where it is a built-in one, of the remote type."""
    name = ename.rpartition(".")[2]
    base = getattr(builtins, name, None)
    bases = (RemoteError,)
    if isinstance(base, type) and issubclass(base, BaseException) and base not in _CONTROL_FLOW:
        bases = (RemoteError, base)
    try:
        kind = _Named(name, bases, {"__module__": "builtins", "__init__": RemoteError.__init__})
        return kind(ename, evalue, traceback)
    except TypeError:
        # Some built-in exceptions have a memory layout or a constructor of their own.
        kind = _Named(name, (RemoteError,), {"__module__": "builtins"})
        return kind(ename, evalue, traceback)
