"""What differs with a real CUDA device."""

import kinds
import numpy as np
import pytest
import scipy.sparse

from jupyterlite_torch import _kinds
from jupyterlite_torch._errors import TransferError

pytestmark = pytest.mark.gpu


def test_device_is_the_gpu(notebook):
    notebook.torch("kind = device.type; name = torch.cuda.get_device_name()")
    assert notebook.names["kind"] == "cuda"
    assert notebook.names["name"] in notebook.connection.channel.welcome["session"]["device_name"]


def test_tensors_of_the_gpu_come_back(notebook):
    x = np.random.default_rng(0).standard_normal((1024, 1024)).astype("f4")
    notebook.names["x"] = x
    notebook.torch("g = x.to(device)\nlarge = g.repeat(64, 1)\nt = g.T\nb = g.bfloat16()")
    assert (notebook.names["g"] == x).all()
    assert (notebook.names["large"][-1024:] == x).all()
    assert (notebook.names["t"] == x.T).all()
    assert notebook.names["b"].dtype == np.float32


def test_change_on_the_gpu_comes_back(notebook):
    notebook.torch("g = torch.zeros(5, device=device)")
    notebook.torch("g += 1")
    assert notebook.names["g"].tolist() == [1] * 5


def test_pushed_straight_to_the_gpu(notebook):
    notebook.names["x"] = np.ones(3)
    notebook.torch("where = x.device.type", "-i x:cuda")
    assert notebook.names["where"] == "cuda"
    with pytest.raises(TransferError, match="`x` can not go to 'cuda:99'"):
        notebook.torch("1", "-i x:cuda:99")


def test_an_array_that_is_not_on_the_gpu_is_told_how_to_get_there(notebook):
    notebook.names["x"] = np.ones((2, 3), "f4")
    notebook.torch("net = torch.nn.Linear(3, 1, device='cuda')")
    with pytest.raises(RuntimeError) as caught:
        notebook.torch("net(x)")
    assert "`%%torch -i x:cuda`" in caught.value._render_traceback_()[-1]
    assert notebook.torch("net(x)", "-i x:cuda").shape == (2, 1)


def test_changed_blocks_go_to_the_gpu(notebook):
    x = notebook.names["x"] = np.random.default_rng(0).random(2**20)
    notebook.torch("old = x", "-i x:cuda")
    for n, (line, where) in enumerate([("-i x:cuda", "cuda"), ("", "cpu"), ("-i x:cuda", "cuda")]):
        x[n] = x[-1] = n
        notebook.names["y"] = x.copy()
        notebook.torch("new = x is not old; old = x; same = torch.equal(x.cpu(), y)", line)
        notebook.torch("where = x.device.type")
        names = notebook.names
        assert (names["where"], names["new"], names["same"]) == (where, True, True)


def test_every_dtype_and_layout_of_the_gpu_comes_back(notebook):
    notebook.torch("import warnings\nwarnings.simplefilter('ignore')\n" + kinds.THERE)
    dtypes = [name for name in _kinds.TRAVELS if not name.startswith("q")]
    here = kinds.here
    plans = [(dtype, (2, 3), view) for dtype in dtypes for view in here["views"]]
    # What the same tensors are on the CPU, whose values other tests check.
    notebook.names.update(
        plans=plans,
        raws=[here["random_bytes"](n, 6 * 16, dtype) for n, (dtype, *_) in enumerate(plans)],
    )
    notebook.torch(
        "def made(place):\n"
        "    return [build(raw[:6 * getattr(torch, plan[0]).itemsize].to(place), *plan)\n"
        "            for raw, plan in zip(raws, plans)]\n"
        "there, near = made(device), made('cpu')"
    )
    for got, near in zip(notebook.names["there"], notebook.names["near"], strict=True):
        here["same_bits"](got, near, got.dtype.kind not in "fc")


def test_kinds_of_the_gpu_come_back(notebook):
    notebook.torch(
        "import warnings\nwarnings.simplefilter('ignore')\n"
        "dense = torch.tensor([[0., 1, 0, 0], [2, 0, 0, 3]], device=device)\n"
        "sparse = [dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc(), "
        "dense.to_sparse_bsr((1, 2))]\n"
        "bsc = dense.to_sparse_bsc((1, 2))\n"
        "nested = torch.nested.nested_tensor([dense, dense[:1]], layout=torch.jagged)\n"
        "quantized = torch.quantize_per_tensor(dense, 0.5, 1, torch.quint8)"
    )
    names = notebook.names
    assert [each.format for each in names["sparse"]] == ["coo", "csr", "csc", "bsr"]
    for each in names["sparse"]:
        assert (each.toarray() == names["dense"]).all()
    assert (names["bsc"] == names["dense"]).all() and (names["quantized"] == names["dense"]).all()
    assert [part.shape for part in names["nested"]] == [(2, 4), (1, 4)]


def test_sparse_array_straight_to_the_gpu(notebook):
    notebook.names["x"] = scipy.sparse.csr_array(np.eye(3))
    notebook.torch("where = [x.device.type, str(x.layout)]; dense = x.to_dense()", "-i x:cuda")
    assert notebook.names["where"] == ["cuda", "torch.sparse_csr"]
    assert (notebook.names["dense"] == np.eye(3)).all()


def test_copy_into_shared_memory_is_as_fast_as_a_pinned_one(notebook):
    notebook.torch("""
import sys, time
_export = sys.modules["_jupyterlite_torch_export"]
_safetensors = sys.modules["_jupyterlite_torch_safetensors"]
_x = torch.rand(2**26, device="cuda")
_entry = _safetensors.Entry("0", "F32", _x.shape)
_header, _end = _safetensors.layout([_entry])
_segment = _export.pool.take(_export.file_size(len(_header), _end), pinned=True)
_copying = sys.modules["_jupyterlite_torch_copying"]
_pinned = torch.empty(2**26, pin_memory=True)

def _median(copy):
    times = []
    for n in range(9):
        torch.cuda.synchronize()
        began = time.perf_counter()
        copy()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return sorted(times)[4]

def _copy():
    for start in range(0, _entry.nbytes, _copying.SPAN_BYTES):
        _copying.Copy(_x, _segment, _entry)._part(start, start + _copying.SPAN_BYTES)

ratio = _median(lambda: _pinned.copy_(_x)) / _median(_copy)
right = bool((torch.frombuffer(_segment.view, dtype=torch.float32, count=2**26, offset=_entry.start) == _pinned).all())
_export.pool.give(_segment)
""")
    assert notebook.names["right"]
    assert notebook.names["ratio"] >= 0.8


def test_full_gpu_names_the_array(notebook):
    notebook.names["x"] = np.zeros(2**24)
    notebook.torch("total = torch.cuda.mem_get_info()[1]")
    notebook.torch("torch.cuda.set_per_process_memory_fraction(2**25 / total)")
    with pytest.raises(TransferError, match="`x` can not go to 'cuda'.*128"):
        notebook.torch("x.sum()", "-i x:cuda")
    notebook.torch("torch.cuda.set_per_process_memory_fraction(1.0)")
    notebook.torch("zero = x.sum().item()", "-i x:cuda")
    assert notebook.names["zero"] == 0
