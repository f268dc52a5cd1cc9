"""Which names a cell reads, assigns and deletes, read from its syntax tree.

The walk follows the order of execution at the cell's top level, so that a name that the cell has
certainly bound itself is not taken for one that it needs. What a function reads counts where the
function is mentioned, also when an earlier cell defined it; what it reads is remembered as Deferred.
"""

import ast
import re
from dataclasses import dataclass, field

from IPython.core.inputtransformer2 import TransformerManager

from . import _scopes
from ._scopes import Deferred

#: Magics whose text is Python that runs in the same namespace; the value says if names that it
#: assigns stay.
_CODE_MAGICS = {"time": True, "capture": True, "prun": True, "timeit": False}
#: Methods that keep what they are given.
_KEEPING = re.compile(r"(append|appendleft|extend|insert|add|update|setdefault)$|register_")
_BRACES = re.compile(r"[{$]\s*([A-Za-z_]\w*)")


@dataclass
class Names:
    """What a cell does with global names. `functions` is for the cells after it."""

    reads: dict[str, None] = field(default_factory=dict)
    assigned: dict[str, None] = field(default_factory=dict)
    deleted: dict[str, None] = field(default_factory=dict)
    mentioned: dict[str, None] = field(default_factory=dict)
    functions: dict[str, Deferred] = field(default_factory=dict)


def analyze(source, functions=None, after=()):
    """Return the Names of a cell's source, IPython's syntax included.

    `functions` says what the functions of earlier cells read and assign, `after` are expressions
    that are evaluated after the cell. A cell with a syntax error
    has no names: the kernel will say what is wrong with it.
    """
    walk = _Walk(dict(functions or {}))
    try:
        walk.run(source)
        for expression in after:
            walk.run(expression)
    except (SyntaxError, ValueError, RecursionError):
        return Names(functions=dict(functions or {}))
    return walk.names


_transformers = TransformerManager()


def _parse(source):
    try:
        # Of Python IPython makes the same again, which in a browser takes a millisecond.
        return ast.parse(source)
    except SyntaxError:
        return ast.parse(_transformers.transform_cell(source))


class _Walk(ast.NodeVisitor):
    """The top level of a cell, in order."""

    def __init__(self, functions):
        self.names = Names(functions=functions)
        self.bound = set()
        self._masks = []
        # What the functions do that were mentioned lately; see `_heard`.
        self._mentioned = Deferred()

    def run(self, source):
        for statement in _parse(source).body:
            self.visit(statement)

    # --- Names -----------------------------------------------------------------------------------

    def _is_masked(self, name):
        """True for a name of a scope inside of the cell's."""
        return any(name in mask for mask in self._masks)

    def load(self, name, seen=None):
        if self._is_masked(name):
            return
        self.names.mentioned[name] = None
        if name not in self.bound:
            self.names.reads[name] = None
        deferred = self.names.functions.get(name)
        # Each function once, however many ways lead to it.
        seen = set() if seen is None else seen
        if deferred and name not in seen:
            seen.add(name)
            self._mentioned |= deferred
            self._call(deferred, seen)

    def _call(self, deferred, seen=None):
        seen = set() if seen is None else seen
        for read in sorted(deferred.reads):
            self.load(read, seen)
        for write in sorted(deferred.writes):
            self.names.mentioned[write] = None
            self.names.assigned[write] = None

    def store(self, name):
        if self._is_masked(name):
            return
        self.bound.add(name)
        self.names.assigned[name] = None
        self.names.deleted.pop(name, None)
        self.names.functions.pop(name, None)

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            self.load(node.id)
        elif isinstance(node.ctx, ast.Store):
            self.store(node.id)
        else:
            self.load(node.id)
            self.bound.discard(node.id)
            self.names.assigned.pop(node.id, None)
            self.names.functions.pop(node.id, None)
            self.names.deleted[node.id] = None

    # --- Functions that a name holds -------------------------------------------------------------

    def _heard(self, *nodes):
        """Visit nodes; return what the functions do that they mention."""
        before, self._mentioned = self._mentioned, Deferred()
        for node in nodes:
            self.visit(node)
        heard = self._mentioned
        self._mentioned |= before
        return heard

    def _hold(self, name, deferred):
        """A name can do later what the functions do that it was given."""
        if deferred and not self._is_masked(name):
            self.names.functions[name] = self.names.functions.get(name, Deferred()) | deferred

    def visit_Expr(self, node):
        call = node.value
        kept = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if not (kept and _KEEPING.match(call.func.attr)):
            self.generic_visit(node)
            return
        self.visit(call.func)
        deferred = self._heard(*call.args, *(keyword.value for keyword in call.keywords))
        holder = call.func
        while isinstance(holder, ast.Attribute | ast.Subscript):
            holder = holder.value
        if isinstance(holder, ast.Name):
            self._hold(holder.id, deferred)

    # --- Statements that bind --------------------------------------------------------------------

    def _assign(self, value, targets):
        # `model = Net()` can do later what Net's methods do.
        deferred = Deferred() if value is None else self._heard(value)
        for target in targets:
            self.visit(target)
            for node in ast.walk(target):
                if isinstance(node, ast.Name):
                    self._hold(node.id, deferred)

    def visit_Assign(self, node):
        self._assign(node.value, node.targets)

    def visit_AnnAssign(self, node):
        self.visit(node.annotation)
        if node.value is not None:
            self._assign(node.value, [node.target])

    def visit_NamedExpr(self, node):
        # A comprehension may not rebind its own target, so no mask holds this name.
        self._assign(node.value, [node.target])

    def visit_AugAssign(self, node):
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self.load(node.target.id)
        self.visit(node.target)

    def visit_Import(self, node):
        for alias in node.names:
            self.store(alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node):
        for alias in node.names:
            if alias.name != "*":
                self.store(alias.asname or alias.name)

    def visit_FunctionDef(self, node):
        arguments = node.args
        defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
        annotated = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        annotations = [a.annotation for a in annotated if a.annotation is not None]
        for expression in [*node.decorator_list, *defaults, *annotations, node.returns]:
            if expression is not None:
                self.visit(expression)
        deferred = _scopes.function(node)
        self.store(node.name)
        if node.decorator_list:
            self._call(deferred)
        if deferred and not self._masks:
            self.names.functions[node.name] = deferred

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node):
        for expression in [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]:
            self.visit(expression)
        deferred = Deferred()
        for child in ast.walk(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                deferred |= _scopes.function(child)
        # Methods of a base class do what they did.
        for base in node.bases:
            for name in ast.walk(base):
                if isinstance(name, ast.Name):
                    deferred |= self.names.functions.get(name.id, Deferred())
        self._masks.append(_scopes.bound_in(node.body))
        for statement in node.body:
            self.visit(statement)
        self._masks.pop()
        self.store(node.name)
        if deferred:
            self.names.functions[node.name] = deferred

    # --- Statements that branch ------------------------------------------------------------------

    def _branch(self, *blocks):
        """Visit blocks of which one or none runs; return what each has bound."""
        before, ends = set(self.bound), []
        for block in blocks:
            self.bound = set(before)
            for node in block:
                self.visit(node)
            ends.append(self.bound)
        self.bound = before
        return ends

    def visit_If(self, node):
        self.visit(node.test)
        self.bound = set.intersection(*self._branch(node.body, node.orelse))

    def visit_For(self, node):
        self.visit(node.iter)
        self._branch([node.target, *node.body], node.orelse)

    visit_AsyncFor = visit_For

    def visit_While(self, node):
        self.visit(node.test)
        self._branch(node.body, node.orelse)

    def visit_Try(self, node):
        self._branch([*node.body, *node.orelse], *([handler] for handler in node.handlers))
        for statement in node.finalbody:
            self.visit(statement)

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node):
        if node.type is not None:
            self.visit(node.type)
        # `except E as e` unbinds e at its end.
        self._masks.append({node.name} if node.name else set())
        for statement in node.body:
            self.visit(statement)
        self._masks.pop()

    def visit_With(self, node):
        for item in node.items:
            self._assign(item.context_expr, [item.optional_vars] if item.optional_vars else [])
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With

    def visit_Match(self, node):
        self.visit(node.subject)
        self._branch(*([case] for case in node.cases))

    def visit_MatchAs(self, node):
        self.generic_visit(node)
        if node.name:
            self.store(node.name)

    def visit_MatchStar(self, node):
        if node.name:
            self.store(node.name)

    def visit_MatchMapping(self, node):
        self.generic_visit(node)
        if node.rest:
            self.store(node.rest)

    def visit_BoolOp(self, node):
        self.visit(node.values[0])
        self._branch(node.values[1:])

    def visit_IfExp(self, node):
        self.visit(node.test)
        self._branch([node.body], [node.orelse])

    # --- Scopes inside expressions ---------------------------------------------------------------

    def visit_Lambda(self, node):
        for expression in [
            *node.args.defaults,
            *(d for d in node.args.kw_defaults if d is not None),
        ]:
            self.visit(expression)
        deferred = _scopes.function(node)
        self._mentioned |= deferred
        self._call(deferred)

    def _comprehension(self, node, *results):
        self.visit(node.generators[0].iter)
        targets = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        self._masks.append(targets)
        for number, generator in enumerate(node.generators):
            if number:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
        for result in results:
            self.visit(result)
        self._masks.pop()

    def visit_ListComp(self, node):
        self._comprehension(node, node.elt)

    visit_SetComp = visit_GeneratorExp = visit_ListComp

    def visit_DictComp(self, node):
        self._comprehension(node, node.key, node.value)

    # --- IPython's syntax ------------------------------------------------------------------------

    def visit_Call(self, node):
        magic = _magic(node)
        if magic is None:
            self.generic_visit(node)
            return
        kind, *texts = magic
        if kind in ("system", "getoutput"):
            for name in _BRACES.findall(texts[0]):
                self.load(name)
        elif texts[0] in _CODE_MAGICS:
            self._code_magic(_CODE_MAGICS[texts[0]], texts[-1])
        else:
            for name in _BRACES.findall(texts[1]):
                self.load(name)

    def _code_magic(self, stays, text):
        # Options come before the code.
        words = text.split(" ")
        while words:
            try:
                tree = _parse(" ".join(words))
                break
            except SyntaxError:
                words.pop(0)
        else:
            return
        assigned, bound = dict(self.names.assigned), set(self.bound)
        for statement in tree.body:
            self.visit(statement)
        if not stays:
            self.names.assigned, self.bound = assigned, bound


def _magic(node):
    """Return (method, constant arguments) of a call that IPython made from its own syntax."""
    function = node.func
    if not (
        isinstance(function, ast.Attribute)
        and function.attr in ("run_line_magic", "run_cell_magic", "system", "getoutput")
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "get_ipython"
    ):
        return None
    texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return (function.attr, *texts) if len(texts) == len(node.args) and texts else None
