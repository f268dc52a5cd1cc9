"""Thousands of tensors in one value, which go together: none is a request of its own."""

import numpy as np
import pytest

from jupyterlite_torch._channel import Channel
from jupyterlite_torch._errors import TransferError

pytestmark = pytest.mark.one_kernel

MAKE = "y = [torch.arange(n, n + {length}) for n in range({count})]"


def made(count, length):
    return [np.arange(n, n + length) for n in range(count)]


def same(values, expected):
    return len(values) == len(expected) and all(map(np.array_equal, values, expected))


@pytest.fixture
def asked(monkeypatch, notebook):
    """What goes to the server for what is fetched: requests of the channel and files."""
    asked, transport = [], notebook.connection.transport
    request, download = Channel.request, transport.download

    def count_request(channel, kind, *arguments):
        asked.append(kind)
        return request(channel, kind, *arguments)

    def count_download(*arguments):
        asked.append("file")
        return download(*arguments)

    monkeypatch.setattr(Channel, "request", count_request)
    monkeypatch.setattr(transport, "download", count_download)
    return asked


def test_what_is_read_comes_together(notebook, asked):
    # 47 MiB: 8 MiB with the cell, two times at most 32 MiB later.
    notebook.torch(MAKE.format(count=6000, length=1024))
    notebook.local("len(y)")
    assert same(notebook.names["y"], made(6000, 1024))
    assert asked == ["use_request", "file", "use_request"]
    # It is what the server has.
    notebook.torch(
        "same = all(bool((a == torch.arange(n, n + 1024)).all()) for n, a in enumerate(y))"
    )
    assert notebook.names["same"] is True


def test_what_is_asked_for_at_once_comes_together(notebook, asked):
    # More than there may be files of a cell.
    notebook.torch(MAKE.format(count=1500, length=2**14), "--eager 1GB")
    assert same(notebook.names["y"], made(1500, 2**14))
    assert asked == ["file"] * 6


def test_all_sizes_and_kinds_beside_each_other(notebook):
    notebook.torch("""
sizes = [0, 1, 7, 1000, 2**16, 2**18 + 3, 2**20 - 1, 2**20, 2**20 + 1] * 2
y = {n: torch.arange(size).to(dtype) for n, size in enumerate(sizes) for dtype in [
    (torch.bfloat16, torch.complex64, torch.int8, torch.float64, torch.bool)[n % 5]]}
y["scalar"], y["view"] = torch.tensor(5), torch.arange(2**21)[::2].reshape(2, -1).T
y["again"] = y[6]
there = {name: tensor.clone() for name, tensor in y.items()}
None
""")
    notebook.local("len(y)")
    lazily = notebook.names["y"]
    assert lazily["again"] is lazily[6]
    notebook.torch("pass", "--eager 1GB -o at_once=there")
    at_once = notebook.names["at_once"]
    assert list(lazily) == list(at_once) and len(lazily) == 21
    for name, value in lazily.items():
        assert value.dtype == at_once[name].dtype and value.shape == at_once[name].shape
        assert value.tobytes() == at_once[name].tobytes(), name
    assert lazily["view"].shape == (2**19, 2) and lazily[5].dtype == np.float32


def test_changes_are_said_once(notebook, capsys):
    notebook.torch(MAKE.format(count=3000, length=1024))
    notebook.torch("for each in y: each += 1\nNone", "--no-auto")
    capsys.readouterr()
    notebook.local("len(y)")
    assert capsys.readouterr().err.count("was changed in place") == 1
    first = 2**23 // 8192
    assert same(notebook.names["y"][first:], [each + 1 for each in made(3000, 1024)[first:]])


def test_one_that_is_gone_is_named_and_the_others_can_be_had(notebook):
    notebook.torch(MAKE.format(count=3000, length=1024))
    notebook.torch("rest = y[:-1]\ny = None", "--no-auto")
    with pytest.raises(TransferError, match="the value that `y` had is not on the server any more"):
        notebook.local("len(y)")
    assert np.array_equal(np.asarray(notebook.names["y"][-2]), made(3000, 1024)[-2])


def test_several_handles_can_only_be_fetched(notebook):
    notebook.torch("w = torch.ones(2**19)")
    handle = notebook.names["w"].handle[1]
    for given, said in [
        ({"operation": "index", "handles": [handle]}, "several handles at once"),
        ({"operation": "get", "handles": handle}, "`handles` of `use_request` is a list"),
    ]:
        reply = notebook.wait(notebook.connection.channel.request("use_request", given))
        assert reply.content["status"] == "error" and said in reply.content["evalue"]
    request = {"operation": "get", "handles": [[], handle, "none"], "eager": 2**22}
    reply = notebook.wait(notebook.connection.channel.request("use_request", request))
    described = reply.metadata["torch"]
    assert described["changed"] == [None, False, None]
    assert described["value"] == [None, {"tensor": "0"}, None]
