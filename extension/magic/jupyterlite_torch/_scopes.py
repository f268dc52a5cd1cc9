"""What a function does to names outside of it, read from its syntax tree."""

import ast
from dataclasses import dataclass


@dataclass(frozen=True)
class Deferred:
    """What happens to global names when a function is called: which it reads, which it assigns."""

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()

    def __or__(self, other):
        return Deferred(self.reads | other.reads, self.writes | other.writes)

    def __bool__(self):
        return bool(self.reads or self.writes)


class _Bound(ast.NodeVisitor):
    """The names that a function's body binds in its own scope."""

    def __init__(self):
        self.names, self.globals, self.outer = set(), set(), set()

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Load):
            self.names.add(node.id)

    def visit_FunctionDef(self, node):
        self.names.add(node.name)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Lambda(self, node):
        pass

    def visit_ListComp(self, node):
        for child in ast.walk(node):
            if isinstance(child, ast.NamedExpr):
                self.names.add(child.target.id)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_alias(self, node):
        self.names.add(node.asname or node.name.split(".")[0])

    def visit_ExceptHandler(self, node):
        if node.name:
            self.names.add(node.name)
        self.generic_visit(node)

    def visit_MatchAs(self, node):
        if node.name:
            self.names.add(node.name)
        self.generic_visit(node)

    def visit_MatchStar(self, node):
        if node.name:
            self.names.add(node.name)

    def visit_MatchMapping(self, node):
        if node.rest:
            self.names.add(node.rest)
        self.generic_visit(node)

    def visit_Global(self, node):
        self.globals.update(node.names)

    def visit_Nonlocal(self, node):
        self.outer.update(node.names)


def bound_in(statements):
    bound = _Bound()
    for statement in statements:
        bound.visit(statement)
    return bound.names - bound.globals - bound.outer


def function(node):
    """Return what calling a function or lambda does to names outside of it."""
    arguments = node.args
    parameters = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    parameters += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    body = node.body if isinstance(node.body, list) else [node.body]
    bound = _Bound()
    for statement in body:
        bound.visit(statement)
    local = ({p.arg for p in parameters} | bound.names) - bound.globals - bound.outer
    reads, writes = set(), bound.globals & bound.names
    for statement in body:
        _collect(statement, local, reads, writes)
    return Deferred(frozenset(reads), frozenset(writes))


def _collect(node, local, reads, writes):
    if isinstance(node, ast.Name):
        if isinstance(node.ctx, ast.Load) and node.id not in local:
            reads.add(node.id)
        return
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        if node.target.id not in local:
            reads.add(node.target.id)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        inner = function(node)
        reads |= inner.reads - local
        writes |= inner.writes
        outside = [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)]
        outside += getattr(node, "decorator_list", [])
        for child in outside:
            _collect(child, local, reads, writes)
        return
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        targets = {
            name.id
            for generator in node.generators
            for name in ast.walk(generator.target)
            if isinstance(name, ast.Name)
        }
        _collect(node.generators[0].iter, local, reads, writes)
        local = local | targets
    for child in ast.iter_child_nodes(node):
        _collect(child, local, reads, writes)
