"""Values that the page has a handle of, and not their bytes.

Injected into the kernel, as agent.py is.
"""

import itertools
import weakref

import _jupyterlite_torch_known as known
from _jupyterlite_torch_failure import Failure

_held = {}
_numbers = itertools.count(1)


class Held:
    """One value. Not `strong`: it lives only as long as something else here keeps it."""

    def __init__(self, objects, name, strong):
        self.name = name
        self.version = known.version(objects[0])
        self._kept = objects[0] if strong else None
        self._references = [weakref.ref(value) for value in objects]

    @property
    def value(self):
        """The value; None when it is gone."""
        alive = (reference() for reference in self._references)
        return next((value for value in alive if value is not None), None)


def hold(objects, name, strong):
    """Return the ID of a new handle of a value that the page knows as `name`.

    `objects`: all that have it here, such as a tensor and a view of the whole of it.
    """
    identifier = str(next(_numbers))
    _held[identifier] = Held(objects, name, strong)
    return identifier


def get(identifier):
    """Return (value, changed in place since the handle was made)."""
    held = _held.get(identifier)
    value = held and held.value
    if value is None:
        what = f"`{held.name}`" if held else "this array"
        raise Failure(
            f"the value that {what} had is not on the server any more: the name was assigned anew "
            "there, and nothing else kept the value. `-o` keeps what it names"
        )
    return value, held.version != known.version(value)


def name(identifier):
    """Return the name that the page knows a handle's value by."""
    return _held[identifier].name


def drop(identifiers):
    """Let go of handles that nobody on the page has any more."""
    for identifier in identifiers:
        _held.pop(identifier, None)
