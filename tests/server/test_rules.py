"""The rules of the magic, each against a real kernel: docs/guide.md, "Rules"."""

import numpy as np
import pytest
from kinds import same_bits

from jupyterlite_torch._errors import RemoteError


def test_torch_and_device_are_there(notebook):
    notebook.torch("kind = str(device); version = torch.__version__")
    assert notebook.names["kind"] in ("cpu", "cuda:0", "cuda")
    assert notebook.names["version"].startswith("2.")


def test_arrays_go_and_come_back(notebook):
    notebook.names["x"] = np.linspace(0, 1, 7)
    notebook.torch("assert isinstance(x, torch.Tensor) and x.dtype == torch.float64\ny = x * 2")
    same_bits(notebook.names["y"], np.linspace(0, 1, 7) * 2)


def test_views_and_gradients_come_back(notebook):
    notebook.torch(
        "w = torch.arange(12.).reshape(3, 4).requires_grad_()\nt = w.T\nc = torch.randn(3, "
        "dtype=torch.complex64).conj()\nplain = c.resolve_conj()\ne = torch.ones(2, 1).expand(2, 5)"
    )
    same_bits(notebook.names["t"], np.ascontiguousarray(np.arange(12, dtype="f4").reshape(3, 4).T))
    same_bits(notebook.names["c"], notebook.names["plain"])
    same_bits(notebook.names["e"], np.ones((2, 5), "f4"))


def test_module_alias_is_imported_there(notebook):
    notebook.local("import math as m, numpy as np\nfrom math import sqrt\nfrom os import path as p")
    notebook.torch("a = m.floor(2.5); b = sqrt(9); c = p.join('x', 'y'); d = np.float32(2)")
    assert [notebook.names[n] for n in "abc"] == [2, 3.0, "x/y"]
    assert notebook.names["d"] == np.float32(2) and type(notebook.names["d"]) is np.float32


def test_what_a_remote_function_reads_is_pushed(notebook):
    notebook.names["scale"] = 2
    notebook.torch("def times(x): return x * scale\na = times(3)")
    notebook.names["scale"] = 5
    notebook.torch("b = times(3)")
    assert (notebook.names["a"], notebook.names["b"]) == (6, 15)


def test_what_a_held_function_reads_is_pushed(notebook):
    notebook.names["k"] = 2
    notebook.torch("double = lambda x: x * k\nsteps = [double]")
    notebook.names["k"] = 5
    assert notebook.torch("double(3)") == 15
    notebook.names["k"] = 7
    assert notebook.torch("steps[0](3)") == 21


def test_global_assigned_by_a_called_function_comes_back(notebook):
    notebook.names["count"] = 1
    notebook.torch("def up():\n    global count\n    count += 1")
    notebook.torch("up(); up()")
    assert notebook.names["count"] == 3


def test_under_time_and_friends(notebook):
    notebook.names["x"] = 4
    notebook.torch("%time y = x * 2")
    notebook.torch("%%time\nz = y + x")
    assert (notebook.names["y"], notebook.names["z"]) == (8, 12)


def test_augmented_assignment_reads(notebook):
    notebook.names["x"] = np.ones(2)
    notebook.torch("x += 1")
    same_bits(notebook.names["x"], np.full(2, 2.0))


def test_in_place_change_there_reaches_aliases_here(notebook):
    notebook.local("import numpy as np\na = np.zeros(3); alias = a; losses = []; keep = losses")
    notebook.torch("a.add_(1)\nlosses.append(0.5)")
    same_bits(notebook.names["alias"], np.ones(3))
    assert notebook.names["keep"] == [0.5]


def test_change_through_numpy_there_comes_back(notebook):
    notebook.names["a"] = np.zeros(4)
    notebook.torch("a.numpy()[:] = 7")
    same_bits(notebook.names["a"], np.full(4, 7.0))


def test_in_place_change_here_is_pushed(notebook):
    notebook.names["a"] = np.arange(4.0)
    notebook.torch("first = a.clone()")
    notebook.names["a"][:] = notebook.names["a"][::-1].copy()  # A sum would not see it.
    notebook.torch("second = a.clone()")
    same_bits(notebook.names["second"], np.arange(4.0)[::-1].copy())


def test_unchanged_array_is_not_sent_again(notebook):
    notebook.names["a"] = np.arange(1e6)
    notebook.torch("there = id(a)")
    there = notebook.names["there"]
    notebook.torch("there = id(a)")
    assert notebook.names["there"] == there


def test_assigned_name_comes_back_even_if_the_server_thinks_it_known(notebook):
    notebook.torch("x = 5")
    notebook.names["x"] = 7
    notebook.torch("x = 5")
    assert notebook.names["x"] == 5


def test_deleted_on_either_side(notebook):
    notebook.torch("x = 1; y = 2")
    notebook.torch("del x")
    assert "x" not in notebook.names
    notebook.local("del y")
    with pytest.raises(NameError, match="'y' is not defined"):
        notebook.torch("y")


def test_underscore_names_stay(notebook):
    notebook.torch("_hidden = 1; shown = 2")
    assert "_hidden" not in notebook.names and notebook.names["shown"] == 2


def test_conflict_is_said_once_and_local_wins(notebook, capsys):
    notebook.torch("x = torch.zeros(2)")
    notebook.torch("import __main__; __main__.__dict__['x'].fill_(3)", "--no-auto")
    notebook.names["x"] = np.ones(2, "f4")
    notebook.torch("y = x + 0")
    same_bits(notebook.names["y"], np.ones(2, "f4"))
    assert "`x` was changed here and on the server" in capsys.readouterr().err
    notebook.torch("y = x + 0")
    assert capsys.readouterr().err == ""


def test_error_midway_brings_back_what_was_assigned(notebook):
    with pytest.raises(ZeroDivisionError):
        notebook.torch("x = 1\n1/0\ny = 2")
    assert notebook.names["x"] == 1 and "y" not in notebook.names


def test_remote_error_is_also_its_own_type(notebook):
    with pytest.raises(RuntimeError, match="shape") as caught:
        notebook.torch("torch.ones(2, 3) @ torch.ones(2, 3)")
    assert isinstance(caught.value, RemoteError)
    with pytest.raises(KeyError):
        notebook.torch("{}['x']")
    with pytest.raises(SyntaxError):
        notebook.torch("def (")
    with pytest.raises(RemoteError, match="mine") as caught:
        notebook.torch("class Mine(Exception): pass\nraise Mine('mine')")
    assert str(type(caught.value)) == "Mine"
    assert "line 2" in "".join(caught.value._render_traceback_()).replace("\x1b[32m", "")


def test_optimizer_step_changes_what_it_does_not_name(notebook):
    notebook.torch(
        "w = torch.ones(2, requires_grad=True)\nstep = torch.optim.SGD([w], lr=1.0).step\n"
        "w.sum().backward()"
    )
    notebook.torch("step()")
    same_bits(notebook.names["w"], np.zeros(2, "f4"))


def test_inference_tensors_come_back(notebook):
    notebook.torch("with torch.inference_mode():\n    p = torch.ones(2) * 2")
    same_bits(notebook.names["p"], np.full(2, 2, "f4"))
    notebook.torch("q = p + 1")
    same_bits(notebook.names["q"], np.full(2, 3, "f4"))


def test_a_second_name_of_what_is_here_is_the_same_object(notebook):
    x = notebook.names["x"] = np.ones(3)
    notebook.torch("y = x; pair = {'x': x, 'z': x + 1}; on_cpu = x.to('cpu'); keyed = {x: 1}")
    assert notebook.names["y"] is notebook.names["on_cpu"] is notebook.names["pair"]["x"] is x
    same_bits(notebook.names["pair"]["z"], np.full(3, 2.0))
    assert "keyed" not in notebook.names
    notebook.torch("y += 1; other = x; x = torch.zeros(2)")
    assert notebook.names["other"] is notebook.names["y"] is x
    same_bits(x, np.full(3, 2.0))
    same_bits(notebook.names["x"], np.zeros(2, "f4"))


def test_a_second_name_of_what_stays_there_is_not_what_is_here(notebook, open_notebook):
    x = notebook.names["x"] = np.ones(3)
    notebook.torch("x")
    notebook.torch("x = torch.empty(2, device='meta')")
    assert notebook.names["x"] is x
    notebook.torch("y = x")
    assert "y" not in notebook.names
    # Another page has it since.
    notebook.torch("x = torch.zeros(3)")
    other = open_notebook(notebook.page.session)
    other.torch("x = torch.full((3,), 2.)")
    notebook.torch("z = x")
    same_bits(notebook.names["z"], np.full(3, 2, "f4"))


def test_what_was_changed_here_is_not_lost_to_a_change_aside(notebook, capsys):
    notebook.torch("x = torch.zeros(3); _step = x.add_; gone = x")
    notebook.local("x = x + 5; del gone")
    notebook.torch("_step(1)")
    same_bits(notebook.names["x"], np.full(3, 5, "f4"))
    assert "gone" not in notebook.names
    assert "`x` was changed here and on the server" in capsys.readouterr().err
    assert notebook.torch("x.sum().item()") == 15
    with pytest.raises(NameError):
        notebook.torch("gone")


def test_what_a_cell_only_names_stays_as_it_is_here(notebook):
    notebook.torch("x = {'n': 2}; y = 1")
    notebook.local("del x['n']; y = 7")
    notebook.torch("if not True: x = {'n': 3}")
    with pytest.raises(ZeroDivisionError):
        notebook.torch("1 / 0\ny = 1")
    assert notebook.names["x"] == {} and notebook.names["y"] == 7
    assert notebook.torch("x, y") == ({}, 7)
    notebook.names["y"] = 8
    notebook.torch("y = 7")
    assert notebook.names["y"] == 7


def test_what_a_fresh_page_only_names_stays_on_the_server(notebook, open_notebook):
    notebook.torch("model = torch.nn.Linear(2, 3); x = 5")
    fresh = open_notebook(notebook.page.session)
    fresh.names["x"] = 6
    fresh.torch("if not True: model = x = None")
    assert fresh.torch("model.out_features") == 3


def test_what_changes_aside_comes_to_a_fresh_page(notebook, open_notebook):
    notebook.torch("x = torch.zeros(3); y = torch.zeros(3); _steps = [x.add_, y.add_]")
    fresh = open_notebook(notebook.page.session)
    fresh.names["y"] = 5
    fresh.torch("for _step in _steps: _step(1)")
    same_bits(fresh.names["x"], np.ones(3, "f4"))
    assert fresh.names["y"] == 5
    assert fresh.torch("x.sum().item(), y") == (3, 5)


def test_value_of_the_last_expression(notebook):
    assert notebook.torch("x = torch.ones(2)\nx + 1").tolist() == [2, 2]
    assert notebook.names["_"].tolist() == [2, 2]
    assert notebook.torch("x") is notebook.names["x"]
    assert notebook.torch("None") is None
    assert notebook.torch("x;") is None
    assert notebook.torch("{'a': 1}") == {"a": 1}


def test_empty_and_comment_cells(notebook):
    assert notebook.torch("") is None
    assert notebook.torch("# nothing\n") is None


def test_top_level_await_and_pip_and_shell(notebook, capsys):
    notebook.names["who"] = "you"
    notebook.torch("import asyncio\nawait asyncio.sleep(0)\nx = 1\n!echo hello {who}")
    assert notebook.names["x"] == 1
    assert "hello you" in capsys.readouterr().out
    notebook.torch("lines = !echo {who}; echo me")
    assert notebook.names["lines"] == ["you", "me"]


def test_restart_forgets_and_pushes_again(notebook):
    notebook.names["x"] = np.ones(3)
    notebook.torch("y = x + 1; z = 3")
    notebook.line("restart")
    notebook.torch("y = x + 2")
    same_bits(notebook.names["y"], np.full(3, 3.0))


def test_kernel_that_dies_is_said_and_replaced(notebook):
    from jupyterlite_torch._errors import KernelDied

    notebook.names["x"] = np.ones(3)
    with pytest.raises(KernelDied, match="variables are gone"):
        notebook.torch("import os; os.kill(os.getpid(), 9)")
    notebook.torch("y = x + 2")
    same_bits(notebook.names["y"], np.full(3, 3.0))


def test_session_is_found_again(open_notebook, capsys):
    first = open_notebook()
    first.torch("w = torch.ones(3)")
    first.connection.disconnect()
    second = open_notebook(first.page.session)
    said = capsys.readouterr().err
    assert "Found this notebook's session again" in said and "holds w" in said
    second.torch("v = w * 2")
    assert second.names["v"].tolist() == [2, 2, 2]


def test_two_notebooks_have_their_own(open_notebook):
    first, second = open_notebook(), open_notebook()
    first.torch("x = 1")
    with pytest.raises(NameError):
        second.torch("x")


def test_large_arrays_both_ways(notebook):
    notebook.names["x"] = np.random.default_rng(1).standard_normal(2**22)
    notebook.torch("y = x.flip(0)")
    notebook.local("y.ravel()")
    same_bits(notebook.names["y"], notebook.names["x"][::-1].copy())
