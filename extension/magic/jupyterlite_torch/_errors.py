"""What a cell can raise.

TorchError                 shown as its sentence, without a traceback of this package
├── OptionError            the line after `%%torch` or `%torch`
├── NotConnected
├── ConnectError           connecting failed, and why
├── TransferError          a value can not be sent, or not be brought back
│   └── Refused            an array can not be asked there for what was wanted
├── KernelDied             the remote kernel ended by itself
└── ServerError            the server could not do what it was asked
RemoteError                an exception of the remote cell, and of that exception's built-in type
"""

import builtins
import contextlib


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
    """A value can not be sent, or not be brought back. `lacks`: packages that this page would need."""

    lacks = ()


class Refused(TransferError):
    """An array of the server can not be asked there for what was wanted, such as an index that torch
    does not take."""


class KernelDied(TorchError):
    """The remote kernel ended by itself; its variables are gone."""


class ServerError(TorchError):
    """The server could not do what it was asked."""


class RemoteError(BaseException, metaclass=_Named):
    """An exception of the remote cell, with its name, message and traceback.

    Not an `Exception` by itself: a remote KeyboardInterrupt passes an `except Exception`, too.
    """

    def __init__(self, ename, evalue, traceback):
        super().__init__(evalue)
        self.ename, self.evalue, self.traceback = ename, evalue, traceback

    def __str__(self):
        return self.evalue

    def _render_traceback_(self):
        return self.traceback


#: Leaving a coroutine with one of these means something else to Python.
_CONTROL_FLOW = (StopIteration, StopAsyncIteration, GeneratorExit)


def remote_error(ename, evalue, traceback, bases=()):
    """Return an instance of RemoteError and of the built-in exception that the remote one is.

    `bases` are the names of the built-in classes among the remote type's ancestors, nearest first.
    """
    name = ename.rpartition(".")[2]
    members = {"__module__": "builtins", "__init__": RemoteError.__init__}
    for base in [name, *bases, "Exception"]:
        found = getattr(builtins, base, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            # Some have a memory layout or a constructor of their own; their ancestors have none.
            with contextlib.suppress(TypeError):
                if found not in _CONTROL_FLOW:
                    return _Named(name, (RemoteError, found), members)(ename, evalue, traceback)
    raise AssertionError(ename)


def stopped_here(text):
    """Return a KeyboardInterrupt for what Stop ended on this side; `text` says what that was."""
    traceback = [f"\x1b[31mKeyboardInterrupt\x1b[39m: {text}"]
    return remote_error("KeyboardInterrupt", text, traceback)
