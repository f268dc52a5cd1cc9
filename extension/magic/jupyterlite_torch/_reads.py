"""What a local cell does with RemoteArrays: those that it reads as a whole are fetched before it
runs, and of those that it displays the server says how they look."""

import ast
import re
import sys
from typing import NamedTuple

from . import _names

#: Methods of arrays that change them.
_CHANGING = frozenset("fill itemset partition put resize setfield setflags sort".split())
_WORD = re.compile(r"[^\W\d]\w*")


def any_alive():
    """True if there is a RemoteArray at all; without the import of NumPy where there is none."""
    module = sys.modules.get(f"{__package__}._remote_array")
    return module is not None and bool(module.alive)


def functions_of(text, functions):
    """Return `functions`, what the functions of local cells read, with those of one more cell."""
    return _names.analyze(text, functions).functions


class Found(NamedTuple):
    """`whole`: names whose RemoteArrays a cell reads as a whole. `shown`: (name, "preview" or "plot")
    of those that it displays. `functions`: what functions read, with those of this cell."""

    whole: list
    shown: list
    functions: dict


def of_cell(text, namespace, functions, can_wait):
    """Return what is Found in a cell.

    Only attributes that need no values, being displayed, and parts where the browser can wait for
    them, leave a RemoteArray on the server.
    """
    from ._containers import contained
    from ._remote_array import RemoteArray

    # Of other names the values, which may be long lists, are not looked at.
    words = set(_WORD.findall(text)).union(*(each.reads for each in functions.values()))
    remote = {name for name in words if next(contained(namespace.get(name)), None) is not None}
    single = {name for name in remote if isinstance(namespace[name], RemoteArray)}
    walk = _Walk(dict(functions), remote, single, can_wait)
    # IPython's own is no name of the notebook's, unless it was imported.
    display = getattr(namespace.get("display"), "__module__", "IPython")
    walk.displays = str(display).startswith("IPython")
    try:
        walk.run(text)
    except (SyntaxError, ValueError, RecursionError):
        return Found([], [], functions)
    plotted = {name for name, what in walk.shown if what == "plot"}
    # An ndarray has no `plot`.
    whole = [name for name in walk.names.reads if name in remote and name not in plotted]
    shown = [(name, what) for name, what in walk.shown if name not in whole]
    return Found(whole, shown, walk.names.functions)


async def fetch(name, namespace, ledger):
    """Put arrays in the place of the RemoteArrays that a name holds."""
    from ._containers import contained, replaced
    from ._remote_array import fetch_all

    fetched = list(contained(namespace[name]))
    was_agreed = not ledger.is_stale(name)
    await fetch_all(fetched)
    namespace[name] = replaced(namespace[name])
    if was_agreed:
        ledger.fetched(name, {id(array.fetched): array.checksums for array in fetched})


def forget_shown():
    """Let go of how RemoteArrays looked before earlier cells."""
    from ._remote_array import alive

    for array in list(alive.values()):
        array.forget_shown()


class _Walk(_names._Walk):
    """Passes over what a RemoteArray answers without its values. `remote`: names that hold any,
    `single`: those that are one."""

    def __init__(self, functions, remote, single, can_wait):
        super().__init__(functions)
        self._all, self._remote = remote, single
        self._can_wait = can_wait
        self.displays = True
        # In order, and each once.
        self.shown = {}

    def run(self, source):
        statements = _names._parse(source).body
        for statement in statements:
            self.visit(statement)
        last = statements[-1] if statements else None
        if isinstance(last, ast.Expr) and not source.rstrip().endswith(";"):
            self._show(last.value, "preview")

    def _is_remote(self, node):
        return isinstance(node, ast.Name) and node.id in self._remote and node.id not in self.bound

    def _show(self, node, what):
        is_remote = self._is_remote(node)
        if is_remote:
            self.shown[node.id, what] = None
        return is_remote

    def visit_Expr(self, node):
        # A name alone is displayed at most, which needs no values.
        if not (isinstance(node.value, ast.Name) and node.value.id in self._all - self.bound):
            super().visit_Expr(node)

    def _visit_root(self, node):
        """Read `w` as a whole for `w[0].T[1] = 2`: the parts are to be views of it."""
        while isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        self.visit(node)

    def visit_Attribute(self, node):
        from ._remote_array import LAZY, VALUES

        changes = not isinstance(node.ctx, ast.Load)
        if changes or node.attr in _CHANGING:
            self._visit_root(node)
        lazy = not changes and node.attr in LAZY and (self._can_wait or node.attr not in VALUES)
        if not (lazy and self._is_remote(node.value)):
            self.generic_visit(node)
        elif node.attr == "plot":
            self._show(node.value, "plot")

    def visit_Subscript(self, node):
        if not isinstance(node.ctx, ast.Load):
            self._visit_root(node)
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
        function = node.func.id if isinstance(node.func, ast.Name) else None
        if function == "len" and len(node.args) == 1 and self._is_remote(node.args[0]):
            return
        if function == "display" and self.displays and function not in self.bound:
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                if not self._show(argument, "preview"):
                    self.visit(argument)
            return
        super().visit_Call(node)
