"""What differs with a real CUDA device."""

import numpy as np
import pytest

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
