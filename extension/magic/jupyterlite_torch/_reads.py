"""Which RemoteArrays a local cell reads as a whole, so that they are fetched before it runs."""

import ast
import sys

from . import _names


def any_waiting():
    """True if there is a RemoteArray at all; without the import of NumPy where there is none."""
    module = sys.modules.get(f"{__package__}._remote_array")
    return module is not None and bool(module.waiting)


def functions_of(text, functions):
    """Return `functions`, what the functions of local cells read, with those of one more cell."""
    return _names.analyze(text, functions).functions


def whole(text, namespace, functions, can_wait):
    """Return (names whose RemoteArrays the cell reads as a whole, `functions` with this cell's).

    Only attributes that need no values, and parts where the browser can wait for them, leave one
    on the server.
    """
    from ._remote_array import RemoteArray, contained

    remote = {
        name for name, value in list(namespace.items()) if next(contained(value), None) is not None
    }
    single = {name for name in remote if isinstance(namespace[name], RemoteArray)}
    walk = _Walk(dict(functions), single, can_wait)
    try:
        walk.run(text)
    except (SyntaxError, ValueError, RecursionError):
        return [], functions
    return [name for name in walk.names.reads if name in remote], walk.names.functions


async def fetch(name, namespace, ledger):
    """Put arrays in the place of the RemoteArrays that a name holds."""
    from ._remote_array import contained, replaced

    fetched = list(contained(namespace[name]))
    was_agreed = not ledger.is_stale(name)
    for array in fetched:
        await array
    namespace[name] = replaced(namespace[name])
    if was_agreed:
        checksums = {id(await a): a.checksums for a in fetched if a.checksums}
        ledger.agree(name, checksums)


class _Walk(_names._Walk):
    """Passes over what a RemoteArray answers without its values."""

    def __init__(self, functions, remote, can_wait):
        super().__init__(functions)
        self._remote = remote
        self._can_wait = can_wait

    def _is_remote(self, node):
        return isinstance(node, ast.Name) and node.id in self._remote and node.id not in self.bound

    def visit_Attribute(self, node):
        from ._remote_array import LAZY, VALUES

        lazy = node.attr in LAZY and (self._can_wait or node.attr not in VALUES)
        if not (lazy and self._is_remote(node.value)):
            self.generic_visit(node)

    def visit_Subscript(self, node):
        if self._can_wait and isinstance(node.ctx, ast.Load) and self._is_remote(node.value):
            self.visit(node.slice)
        else:
            self.generic_visit(node)

    def visit_Await(self, node):
        if not self._is_remote(node.value):
            self.generic_visit(node)

    def visit_Compare(self, node):
        (against, *more) = node.comparators
        is_none = isinstance(against, ast.Constant) and against.value is None and not more
        if not (is_none and self._is_remote(node.left)):
            self.generic_visit(node)

    def visit_Call(self, node):
        of_one = isinstance(node.func, ast.Name) and node.func.id == "len" and len(node.args) == 1
        if not (of_one and self._is_remote(node.args[0])):
            super().visit_Call(node)
