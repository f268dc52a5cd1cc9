"""Large arrays that have changed in part: what is sent of them, and what is there then."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from relay import UP

from jupyterlite_torch import _ledger, _patch
from jupyterlite_torch._errors import TransferError

MIB = 2**20


class Line:
    """A notebook and the bytes that have gone up from it."""

    def __init__(self, notebook, relay):
        self.notebook, self.names = notebook, notebook.names
        self._bytes, self.relay = 0, relay
        relay.alter = self._count

    def _count(self, direction, passed, data):
        self._bytes += len(data) * (direction == UP)
        return data

    def sent(self, body, line=""):
        """Run a `%%torch` cell; return how many MiB it sent, rounded."""
        before = self._bytes
        self.notebook.torch(body, line)
        return round((self._bytes - before) / MIB)

    def both_have(self, x):
        """Give both sides `x`, in a memory of its own."""
        self.names["x"] = x
        self.notebook.torch("old = x", "-i x --no-auto")
        return x

    def assert_equal(self, name="x"):
        """Look whether the server has what is here, bit for bit."""
        here = self.names[name]
        self.notebook.torch("", f"-o there={name}.view(-1).view(torch.uint8)")
        there = self.notebook.wait(_awaited(self.names["there"]))
        native = np.ascontiguousarray(here, dtype=here.dtype.newbyteorder("="))
        assert there.tobytes() == native.tobytes()


async def _awaited(value):
    return value if isinstance(value, np.ndarray) else await value


@pytest.fixture
def line(start_relay, open_notebook):
    relay = start_relay()
    return Line(open_notebook(url=relay.url), relay)


def floats(nbytes, dtype="f4"):
    """Random numbers that no narrower dtype can hold."""
    return np.random.default_rng(0).random(nbytes // np.dtype(dtype).itemsize).astype(dtype)


def test_only_the_changed_blocks_go(line):
    x = line.both_have(floats(8 * MIB).reshape(1024, -1))
    x[3] = 1
    assert line.sent("total = x.sum()") == 1
    line.assert_equal()
    x[0, 0], x[-1, -1], x[512] = 2, 3, 4
    assert line.sent("total = x.sum()") == 3
    line.assert_equal()
    assert line.sent("total = x.sum()") == 0


def test_a_new_array_with_most_of_the_old_values_goes_in_part(line):
    x = line.both_have(floats(8 * MIB))
    line.names["x"] = np.concatenate([x[:-5], np.ones(5, "f4")])
    assert line.sent("x") == 1
    line.assert_equal()


def test_what_came_from_the_server_goes_back_in_part(line):
    line.notebook.torch("x = torch.rand(1024, 2048).T")
    line.notebook.local("x = x.copy(); x[5] = 7")
    assert line.sent("x") == 1
    line.assert_equal()


def test_small_arrays_and_large_changes_go_whole(line):
    small = line.both_have(floats(3 * MIB))
    small[0] = 1
    assert line.sent("x") == 3
    x = line.both_have(floats(4 * MIB))
    x[: 2 * MIB // 4 + 1] = 1
    assert line.sent("x") == 4
    line.assert_equal()
    x[: MIB // 4 + 1] = 2
    assert line.sent("x") == 2
    line.assert_equal()


def test_asked_for_and_unchanged_it_does_not_travel(line):
    line.both_have(floats(4 * MIB))
    assert line.sent("new = x is not old", "-i x") == 0
    assert line.names["new"] is True
    line.assert_equal()


def test_it_is_a_new_tensor_there(line):
    x = line.both_have(floats(4 * MIB))
    before = x[0].item()
    x[0] = 5
    assert line.sent("new = x is not old; kept = old[0].item(); now = x[0].item()") == 1
    assert (line.names["new"], line.names["kept"], line.names["now"]) == (True, before, 5)


@pytest.mark.parametrize(
    "change",
    [
        "x[-1] += 1",
        "x.data[-1] += 1",
        "x.numpy()[-1] += 1",
        "x = x + 1",
        "x = x.view(2, -1)",
        "x = x.double()",
        "x = [x]",
        "x.requires_grad_()",
        "del x",
    ],
)
def test_what_is_something_else_there_goes_whole(line, change):
    x = line.both_have(floats(4 * MIB))
    # Of a name that the text does not have, nothing comes back.
    line.notebook.torch(f"exec({change!r}, globals())", "--no-auto")
    x[0] = 5
    assert line.sent("shape = list(x.shape); grad = x.requires_grad") == 5
    assert (line.names["shape"], line.names["grad"]) == ([MIB], False)
    assert line.names["x"] is x
    line.assert_equal()


def test_conflicts_are_said_once(line, capsys):
    x = line.both_have(floats(4 * MIB))
    line.names["y"] = y = np.zeros(3)
    line.notebook.torch("y")
    for place in ("0", "-1"):
        line.notebook.torch(f"exec('x[{place}] = 9; y[0] = 9', globals())", "--no-auto")
        x[0] += 1
        y[1] += 1
        capsys.readouterr()
        # In the place that has changed here the patch fits, in the other one it does not.
        assert line.sent("x, y;") == (1 if place == "0" else 5)
        said = capsys.readouterr().err
        assert said.count("`x` was changed here and on the server") == 1
        assert said.count("`y` was changed here and on the server") == 1
        line.assert_equal()
        line.assert_equal("y")


def test_nothing_is_done_before_all_patches_fit(line):
    x = line.both_have(floats(4 * MIB))
    line.names["y"], line.names["z"] = floats(5 * MIB, "f8"), 1
    line.notebook.torch("y, z;")
    line.notebook.torch("exec('x[-1] = 9', globals())", "--no-auto")
    x[0] = line.names["y"][0] = 2
    del line.names["z"]
    # The name that is gone here is gone there, in the second try too.
    line.notebook.torch("gone = 'z' not in globals(); x, y; z = 0")
    line.notebook.torch("z;")
    line.assert_equal()
    line.assert_equal("y")


def test_names_of_one_array_have_one_tensor(line):
    x = line.both_have(floats(4 * MIB))
    line.names["y"] = x
    line.notebook.torch("x, y;")
    x[0] = 2
    line.notebook.torch("one = x is y")
    assert line.names["one"] is True
    x[0] = 3
    line.names["box"] = [x]
    line.notebook.torch("one = x is box[0]")
    assert line.names["one"] is True


@pytest.mark.parametrize(
    "made",
    [
        "w = torch.rand(2**20)",
        "w = torch.ones(2**20)",
        "w = torch.rand(2**21).bfloat16()",
        "w = torch.arange(2**20).view(-1, 4).T",
    ],
)
def test_what_the_server_has_under_another_name_is_not_sent(line, made):
    line.notebook.torch(made)
    line.notebook.local("u = w; box = {'a': [w, 1]}")
    assert type(line.names["u"]) is np.ndarray
    assert line.sent("one = u is w and box['a'][0] is w") == 0
    assert line.names["one"] is True
    u = line.names["u"]
    line.notebook.torch("u[0] = 7")
    assert (u[0] == 7).all() and u is line.names["w"] is line.names["box"]["a"][0]
    x = line.both_have(floats(4 * MIB))
    line.names["pair"] = [x, 1]
    assert line.sent("one = pair[0] is x") == 0 and line.names["one"] is True


@pytest.mark.parametrize(
    "change",
    ["x[-1] += 1", "x = x + 1", "x = x.double()", "x = [x]", "x.requires_grad_()", "del x"],
)
def test_what_is_something_else_under_its_name_is_sent(line, change):
    x = line.both_have(floats(4 * MIB))
    line.notebook.torch(f"exec({change!r}, globals())", "--no-auto")
    line.names["y"] = x
    line.names["z"] = [x]
    assert line.sent("one = y is z[0]") == 4
    assert line.names["one"] is True
    line.assert_equal("y")


def test_a_name_that_changes_here_does_not_stand_for_another(line):
    x = line.both_have(floats(4 * MIB))
    line.names["y"], line.names["x"] = x, floats(4 * MIB)[::-1]
    assert line.sent("one = y is x") == 8
    assert line.names["one"] is False
    line.assert_equal("x")
    line.assert_equal("y")


def test_another_dtype_is_not_patched(line):
    x = line.both_have(floats(4 * MIB))
    line.notebook.torch("x", "-i x --as float16")
    x[0] = 2
    assert line.sent("kind = str(x.dtype)") >= 4
    assert line.names["kind"] == "torch.float32"
    line.assert_equal()
    x[0] = 3
    line.notebook.torch("kind = str(x.dtype)", "--as bfloat16")
    assert line.names["kind"] == "torch.bfloat16"
    line.notebook.torch("x = torch.arange(2**21, dtype=torch.bfloat16)")
    line.notebook.local("x = x + 0; x[0] = 0.1")
    assert line.sent("kind = str(x.dtype)") == 8
    line.assert_equal()


def test_it_is_on_the_device_that_was_asked_for(line):
    x = line.both_have(floats(4 * MIB))
    x[0] = 2
    assert line.sent("where = x.device.type", "-i x:meta") == 1
    assert line.names["where"] == "meta"
    line.both_have(x)
    line.notebook.line("device meta")
    x[0] = 3
    assert line.sent("where = x.device.type") == 1
    assert line.names["where"] == "meta"
    line.notebook.line("device cpu")
    x[0] = 4
    line.notebook.torch("where = x.device.type")
    assert line.names["where"] == "cpu"
    line.assert_equal()


def test_the_limit_is_for_what_goes(line, monkeypatch):
    monkeypatch.setattr(_ledger, "AUTO_PUSH_BYTES", 4 * MIB)
    x = line.both_have(floats(6 * MIB))
    x[0] = 2
    assert line.sent("x") == 1
    x[: 5 * MIB // 4 - 1] = 3
    with pytest.raises(TransferError, match=r"`x` is 6 MiB, above the 4 MiB"):
        line.notebook.torch("x")
    assert line.sent("x", "-i x") == 6
    # Nor does it go whole by itself where a patch can not be used, or not be made.
    line.notebook.torch("exec('x[-1] = 9', globals())", "--no-auto")
    x[0] = 4
    with pytest.raises(TransferError, match=r"`x` is 6 MiB, above the 4 MiB"):
        line.notebook.torch("x")
    line.both_have(x)
    line.names["y"] = x
    x[0] = 5
    with pytest.raises(TransferError, match=r"`x` is 6 MiB, above the 4 MiB"):
        line.notebook.torch("x, y;")


def test_jobs_send_arrays_whole(line):
    x = line.both_have(floats(4 * MIB))
    x[0] = 2
    assert line.sent("first = x[0].item()", "--bg job") == 4
    line.notebook.wait(_awaited(line.names["job"]))
    assert line.names["first"] == 2
    line.assert_equal()


def test_a_patch_behind_a_job_that_changes_the_array(line):
    x = line.both_have(floats(4 * MIB))
    line.notebook.torch("import time\ntime.sleep(1)\nexec('x.data[-1] = 9')", "--bg job")
    x[0] = 2
    assert line.sent("first, last = x[0].item(), x[-1].item()") == 5
    assert (line.names["first"], line.names["last"]) == (2, x[-1].item())
    line.assert_equal()


@pytest.mark.parametrize("after", [1000, MIB // 2, MIB + MIB // 2])
def test_a_line_that_breaks_meanwhile(line, after):
    x = line.both_have(floats(6 * MIB))
    before = x[0].item()
    x[0] = x[-1] = 2
    line.relay.cut_after(after, UP)
    line.notebook.torch("first = old[0].item()")
    line.notebook.torch("total = x.sum()")
    assert line.relay.cuts == 1 and line.names["first"] == before
    line.assert_equal()


def test_another_kernel_has_nothing_to_patch(line):
    x = line.both_have(floats(4 * MIB))
    line.notebook.line("restart")
    x[0] = 2
    assert line.sent("x") == 4
    line.assert_equal()


DTYPES = "float64 float32 float16 int64 int32 uint16 int8 bool complex64 complex128".split()
LAYOUTS = {
    "plain": lambda a: a,
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: a[::-1],
    "swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(sorted(LAYOUTS)),
    rows=st.integers(64, 90),
    row_bytes=st.integers(4100, 5000).map(lambda words: words * 16),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 10**6)), max_size=4),
    seed=st.integers(0, 2**32),
    again=st.booleans(),
)
def test_every_change_arrives_bit_for_bit(
    line, dtype, layout, rows, row_bytes, changes, seed, again
):
    rng = np.random.default_rng(seed)
    highest = 2 if dtype == "bool" else 256
    raw = rng.integers(0, highest, rows * row_bytes, dtype=np.uint8)
    x = LAYOUTS[layout](raw.view(dtype).reshape(rows, -1))
    line.names["x"] = x
    line.notebook.torch("x;", "-i x")
    for place, count in changes:
        start = int(place * (x.size - 1))
        part = slice(start, start + count)
        flat = x.ravel()
        new = rng.integers(0, highest, flat[part].nbytes, dtype=np.uint8)
        flat[part] = new.view(dtype)
        x[...] = flat.reshape(x.shape)
    line.notebook.torch("x;", "-i x" if again else "")
    line.assert_equal()


def test_patches_are_at_the_blocks_that_differ():
    def print_of(*sums, shape=(5 * MIB // 4 + 1,)):
        return json.dumps({"tensor": ["<f4", shape, sums]})

    old = print_of(1, 2, 3, 4, 5, 6)
    patch = _patch.between(old, print_of(1, 0, 0, 4, 5, 0))
    assert (patch.numbers, patch.nbytes) == ([1, 2, 5], 2 * MIB + 4)
    assert list(_patch.runs(patch.numbers)) == [(1, 3), (5, 6)]
    assert _patch.between(old, old).nbytes == 0
    assert _patch.between(old, print_of(0, 0, 0, 0, 5, 0)) is None
    for agreed in (None, "", ("object", 1), '"text"', print_of(1, 2, 3, 4, 5, 6, shape=(1, 2))):
        assert _patch.between(agreed, old) is None
