"""What the options of `%%torch` and the settings of `%torch` do, against a real kernel."""

import numpy as np
import pytest
from kinds import same_bits

from jupyterlite_torch._errors import OptionError, TransferError


def test_device_of_what_is_sent(notebook):
    # The meta device is there without a GPU, and shows where a tensor went.
    notebook.local(
        "from collections import namedtuple\nimport numpy as np\nP = namedtuple('P', 'a b')"
    )
    notebook.local("x = np.ones(2); y = [x, 1]; p = P(x, 2); n = 3")
    notebook.torch("where = x.device.type", "-i x:meta")
    assert notebook.names["where"] == "meta"
    notebook.line("device meta")
    notebook.torch("where = [y[0].device.type, p.a.device.type, n]")
    assert notebook.names["where"] == ["meta", "meta", 3]
    notebook.names["x"] = np.zeros(2)
    notebook.torch("where = x.device.type", "-i x:cpu")
    assert notebook.names["where"] == "cpu"
    with pytest.raises(OptionError):
        notebook.line("device 'cuda'")


def test_floating_point_arrays_are_sent_as(notebook):
    notebook.local("import numpy as np\nx = np.array([0.1, 1e300]); y = x[:1].astype('f4')")
    notebook.local(
        "i = np.arange(3); z = x * 1j; both = {'x': x, 'again': x, 'n': 2.5, 'b': i > 1}"
    )
    kinds = "[str(v.dtype) for v in (x, y, i, z, both['x'], both['b'])]"
    notebook.torch(f"kinds = {kinds}; same = both['x'] is x, both['n']; h = x", "--as float16")
    half = ["torch.float16", "torch.float16", "torch.int64", "torch.complex128"]
    assert notebook.names["kinds"] == [*half, "torch.float16", "torch.bool"]
    assert notebook.names["same"] == (True, 2.5)
    assert notebook.names["h"].dtype == np.float16
    assert np.array_equal(notebook.names["h"], np.array([0.1, np.inf], "f2"))
    # What has not changed is not sent again, whatever that cell asks for.
    notebook.torch(f"kinds = {kinds}", "--as float64")
    assert notebook.names["kinds"][:2] == half[:2]
    notebook.torch(f"kinds = {kinds}; where = x.device.type", "--as bfloat16 -i x:meta")
    assert notebook.names["kinds"][:2] == ["torch.bfloat16", "torch.float16"]
    assert notebook.names["where"] == "meta"


def test_what_was_sent_as_another_dtype_comes_back_when_it_changes(notebook):
    notebook.local("import numpy as np\nx = np.array([0.1, 2, 3]); alias = x")
    notebook.torch("s = x.sum()", "--as bfloat16")
    assert notebook.names["x"][0] == 0.1
    notebook.torch("x += 1")
    x = notebook.names["x"]
    assert x is notebook.names["alias"] and x.tolist() == [1.1015625, 3, 4]
    notebook.torch("kind = str(x.dtype)")
    assert notebook.names["kind"] == "torch.bfloat16"
    notebook.local("x[0] = 0.25")
    notebook.torch("kind = str(x.dtype), x[0].item()")
    assert notebook.names["kind"] == ("torch.float64", 0.25)


def test_as_saves_bytes_on_the_wire(notebook, monkeypatch):
    sizes = []
    channel = type(notebook.connection.channel)
    upload = channel.upload

    async def count(self, identifier, pieces, size, *rest):
        sizes.append(size)
        await upload(self, identifier, pieces, size, *rest)

    monkeypatch.setattr(channel, "upload", count)
    notebook.local("import numpy as np\nx = np.linspace(0, 1, 10**6)")
    for dtype, itemsize in (("float64", 8), ("float32", 4), ("float16", 2), ("bfloat16", 4)):
        total = notebook.torch(
            f"(x.double().sum() - {notebook.names['x'].sum()}).item()", f"-i x --as {dtype}"
        )
        assert abs(total) < 500
        assert 0 <= sizes.pop() - itemsize * 10**6 < 1000


def test_eager(notebook, capsys):
    make = "a = torch.ones(2**20); b = torch.ones(3 * 2**20); c = torch.ones(5 * 2**18)"

    def here():
        return [type(notebook.names[n]) is np.ndarray for n in "abc"]

    notebook.torch(make)
    assert here() == [False, False, False]
    notebook.torch(make, "--eager 8MiB")
    assert here() == [True, False, True] and notebook.names["a"].sum() == 2**20
    notebook.torch(make, "--eager 100MiB")
    assert here() == [True, True, True] and notebook.names["b"].sum() == 3 * 2**20
    notebook.torch("s = torch.ones(3); t = [torch.ones(4), 1]", "--eager 0")
    assert type(notebook.names["s"]).__name__ == "RemoteArray"
    capsys.readouterr()
    notebook.line("eager 5120 KiB")
    notebook.line("device meta")
    notebook.line("status")
    said = capsys.readouterr().out
    assert "Arrays go to meta. Arrays of up to 5 MiB each are here right after their cell." in said
    notebook.torch(make)
    assert here() == [True, False, True]
    notebook.torch(make, "--eager 1M")
    assert here() == [False, False, False]
    notebook.line("eager default")
    assert "Arrays of 1 MiB together" in capsys.readouterr().out
    with pytest.raises(OptionError, match="`%torch eager` takes a size"):
        notebook.line("eager lots")


def test_output_expressions(notebook):
    notebook.torch("w = torch.arange(10.)", "-o part=w[:3],total=w.sum()")
    same_bits(notebook.names["part"], np.arange(3, dtype="f4"))
    assert notebook.names["total"] == 45 and notebook.names["total"].shape == ()
    with pytest.raises(TransferError, match="IndexError"):
        notebook.torch("1", "-o part=w[99]")
    notebook.names.update(x=np.arange(5.0), k=2)
    notebook.torch("", "-o head=x[:k]")
    same_bits(notebook.names["head"], np.arange(2.0))


def test_output_expressions_are_read_by_the_next_cell(notebook):
    notebook.torch(
        "w = torch.arange(10.)", "-o part=w[:3],facts=dict(w=w[1:],n=2),number=w.sum().item()"
    )
    assert notebook.torch("part.sum().item(), facts['w'].sum().item(), number") == (3, 45, 45)
    notebook.torch("k = 1", "-o k=k+1")
    assert notebook.torch("k") == notebook.names["k"] == 2
    # Unlike what a name stands for, a value does not follow what it was computed from.
    notebook.torch("w.zero_()")
    same_bits(notebook.names["part"], np.arange(3, dtype="f4"))


def test_no_auto_exchanges_nothing(notebook):
    notebook.names["x"] = 1
    with pytest.raises(NameError):
        notebook.torch("x", "--no-auto")
    notebook.torch("y = 2", "--no-auto")
    assert "y" not in notebook.names


def test_name_that_does_not_exist(notebook):
    with pytest.raises(TransferError, match="`nothing` does not exist on the server"):
        notebook.torch("1", "-o nothing")
    with pytest.raises(TransferError, match="`nothing` of -i does not exist here"):
        notebook.torch("1", "-i nothing")
    with pytest.raises(NameError, match="nothing"):
        notebook.torch("nothing")
