"""A GPU without room, as torch says it, on a machine that may have none."""

import numpy as np
import pytest

from jupyterlite_torch._errors import TransferError

#: Has a function raise, once.
FAILS_ONCE = """\
import sys, torch
_export = sys.modules["_jupyterlite_torch_export"]
def _fails_once(holder, name):
    function = getattr(holder, name)
    def fail(*arguments, **options):
        setattr(holder, name, function)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\\nDetails")
    setattr(holder, name, fail)
"""


def test_in_a_cell(notebook):
    notebook.torch("kept = torch.ones(2**20)")
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        notebook.torch("kept_too = 1\nraise torch.OutOfMemoryError('CUDA out of memory.')")
    assert notebook.names["kept_too"] == 1
    assert notebook.torch("int(kept.sum())") == 2**20


def test_as_a_tensor_goes_to_the_gpu(notebook):
    notebook.torch(FAILS_ONCE)
    notebook.names["x"] = np.ones(2**20)
    notebook.torch("_fails_once(torch.Tensor, 'to')")
    with pytest.raises(TransferError, match="`x` can not go to 'cpu': CUDA out of memory"):
        notebook.torch("total = x.sum()", "-i x:cpu")
    notebook.torch("total = x.sum()", "-i x:cpu")
    assert notebook.names["total"] == 2**20


def test_as_a_tensor_is_copied_out(notebook):
    notebook.torch(FAILS_ONCE)
    # Not from its first byte to its last, and so before the reply.
    notebook.torch("y = torch.ones(2**10, 2**10).T\n_fails_once(_export.Copy, 'run')")
    with pytest.raises(
        TransferError, match=r"`y` \(4 MiB\) is still on the server.*no room for a copy"
    ):
        notebook.local("id(y)")
    notebook.local("id(y)")
    assert (notebook.names["y"] == 1).all()


def test_as_a_tensor_is_copied_behind_the_reply(notebook):
    notebook.torch(FAILS_ONCE)
    notebook.torch("y = torch.ones(2**22)\n_fails_once(_export.Copy, '_part')")
    with pytest.raises(TransferError, match=r"`y` \(16 MiB\) did not arrive: the server could not"):
        notebook.local("id(y)")
    notebook.local("id(y)")
    assert (notebook.names["y"] == 1).all()
