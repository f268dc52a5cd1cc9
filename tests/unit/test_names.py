"""Which names a cell needs and assigns."""

import pytest

from jupyterlite_torch._names import analyze


@pytest.mark.parametrize(
    ("source", "reads", "assigned"),
    [
        ("x = 1\nprint(x + y)", {"print", "y"}, {"x"}),
        ("x += 1", {"x"}, {"x"}),
        ("x: int = y", {"int", "y"}, {"x"}),
        ("for i in range(n):\n    s = s + i", {"range", "n", "s"}, {"i", "s"}),
        ("if c:\n    v = 1\nv", {"c", "v"}, {"v"}),
        ("if c:\n    v = 1\nelse:\n    v = 2\nv", {"c"}, {"v"}),
        ("while c:\n    v = 1\nv", {"c", "v"}, {"v"}),
        ("with open(p) as f:\n    d = f.read()", {"open", "p"}, {"f", "d"}),
        ("try:\n    t = 1\nexcept E as e:\n    e\nt", {"E", "t"}, {"t"}),
        ("import numpy as np, a.b\nfrom m import n as o", set(), {"np", "a", "o"}),
        ("[a for a in b if c]", {"b", "c"}, set()),
        ("{k: v for k, v in d for w in k}", {"d"}, set()),
        ("[y := f(x) for x in z]", {"f", "z"}, {"y"}),
        ("lambda q: q + r", {"r"}, set()),
        ("a, (b, *c) = d", {"d"}, {"a", "b", "c"}),
        ("x[0] = 1\ny.z = 2", {"x", "y"}, set()),
        (
            "match m:\n    case [a, *b]: pass\n    case {'k': c, **d}: pass",
            {"m"},
            {"a", "b", "c", "d"},
        ),
        ("class A(B):\n    z = q\n    def m(self, w=v): return z", {"B", "q", "v"}, {"A"}),
        ("def f(a, b=c): return a + d", {"c"}, {"f"}),
        ("def f(): return x\nf()", {"x"}, {"f"}),
        ("def f(): return x\nx = 1\nf()", set(), {"f", "x"}),
        ("@dec\ndef f(): return x", {"dec", "x"}, {"f"}),
        ("def f():\n    global g\n    g = h\nf()", {"h"}, {"f", "g"}),
        ("def f():\n    def g(): return x + y\n    y = 1\n    return g\nf()", {"x"}, {"f"}),
        ("await z", {"z"}, set()),
        ("%time y = f(x)", {"f", "x"}, {"y"}),
        ("%%time\ny = f(x)\nz = y", {"f", "x"}, {"y", "z"}),
        ("%timeit -n 3 y = f(x)", {"f", "x"}, set()),
        ("!echo {name} $other", {"name", "other"}, set()),
        ("%pip install x", set(), set()),
        ("print(f'{a:{b}}')", {"print", "a", "b"}, set()),
        ("def (", set(), set()),
        ("", set(), set()),
    ],
)
def test_reads_and_assigned(source, reads, assigned):
    names = analyze(source)
    assert (set(names.reads), set(names.assigned)) == (reads, assigned)


def test_functions_of_earlier_cells():
    first = analyze("def f(x): return g(x) * scale\ndef g(x): return x + shift")
    second = analyze("y = f(1)", first.functions)
    assert set(second.reads) == {"f", "g", "scale", "shift"}
    assert set(analyze("f = 1", first.functions).functions) == {"g"}


def test_instances_do_what_their_class_does():
    first = analyze("class Net(Base):\n    def forward(self, x): return x * scale\nmodel = Net()")
    assert "scale" in analyze("model(x)", first.functions).reads
    third = analyze("class Other(Net): pass\no = Other()", first.functions)
    assert "scale" in analyze("o(x)", third.functions).reads


@pytest.mark.parametrize(
    ("cell", "later"),
    [
        ("f = lambda a: a * k", "f(1)"),
        ("f: Callable = lambda a: a * k", "f(1)"),
        ("if (f := lambda: k): pass", "f()"),
        ("fs = {'double': lambda a: a * k}", "fs['double'](1)"),
        ("fs = [(lambda: k) for _ in range(2)]", "fs[0]()"),
        ("f = functools.partial(lambda a, b: a * k, 1)", "f(2)"),
        ("f, n = (lambda: k), 1", "f()"),
        ("def f(): return k\nfs = {}\nfs['f'] = f\nfs['g'] = lambda: 1", "fs['f']()"),
        ("def f(): return k\nobject.methods.f = f", "object.methods.f()"),
        ("def f(): return k\nfs = []\nfs.append(f)\nfs.append(len)", "fs[0]()"),
        ("w.register_hook(lambda gradient: gradient * k)", "w.sum().backward()"),
        ("def hook(*each): print(k)\nmodel[0].register_forward_hook(hook=hook)", "model(x)"),
    ],
)
def test_what_holds_functions_does_what_they_do(cell, later):
    assert "k" in analyze(later, analyze(cell).functions).reads


def test_a_name_that_is_given_something_else_holds_no_function():
    cell = "f = lambda: k\nf = 1\ng = lambda: k\ndel g\nx = 1\nclass A:\n    h = lambda self: k"
    first = analyze(cell)
    assert set(analyze("f, g, x, h", first.functions).reads) == {"f", "g", "x", "h"}
    assert "k" in analyze("A().h()", first.functions).reads


def test_functions_that_call_each_other_end():
    names = [f"f{n}" for n in range(40)]
    cell = "\n".join(
        f"def {name}(): return {' + '.join(f'{each}()' for each in names)} + k" for name in names
    )
    assert set(analyze("f0()", analyze(cell).functions).reads) == {*names, "k"}


def test_recursive_functions_end():
    first = analyze("def even(n): return odd(n)\ndef odd(n): return even(n) + k")
    assert "k" in analyze("even(2)", first.functions).reads


def test_deleted():
    names = analyze("x = 1\ndel x, y")
    assert list(names.deleted) == ["x", "y"] and not names.assigned
    assert not analyze("del x\nx = 1").deleted


def test_expressions_after_the_cell():
    names = analyze("x = 1", after=["x + y"])
    assert set(names.reads) == {"y"}
