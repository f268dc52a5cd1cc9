"""What a tensor of torch is made of, and what travels for it; the rules are those of _kinds.py.

Injected into the kernel, as agent.py is.
"""

import sys
import warnings

import _jupyterlite_torch_kinds as kinds
import torch
from _jupyterlite_torch_failure import Failure
from _jupyterlite_torch_values import Untransferable
from IPython.utils.text import SList
from torch.nn.parameter import UninitializedTensorMixin

_SPARSE = {
    torch.sparse_coo: "coo",
    torch.sparse_csr: "csr",
    torch.sparse_csc: "csc",
    torch.sparse_bsr: "bsr",
    torch.sparse_bsc: "bsc",
}
#: Integers in whose dtype the bits of an item can be compared and copied, by its size. Of some
#: dtypes, such as torch.int4, nothing else can be done with (torch 2.13).
_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def plain_value(value):
    """Return the tree of a plain value of a type that torch or IPython has for itself, else None."""
    if isinstance(value, torch.Size):
        return {"tuple": list(value)}
    # What `files = !ls` is.
    return list(value) if isinstance(value, SList) else None


def form(tensor):
    """Return (kind, parts, note): the kind of the tree for a tensor, what that consists of, plain
    tensors among it, and what is to be said or None.

    Raises Failure for a tensor that has no values to bring.
    """
    try:
        return _form(tensor)
    except (RuntimeError, NotImplementedError) as error:
        raise Failure(f"torch can not give its values: {error}") from None


def _form(tensor):
    parts = memory(tensor)
    if tensor.is_nested:
        return "list", parts, kinds.TORCH_KINDS["nested"].note
    if isinstance(tensor, _loaded("torch.masked", "MaskedTensor")):
        return "masked", parts, None
    if tensor.layout in _SPARSE:
        return _sparse_form(tensor, parts)
    (plain,) = parts
    if plain.layout is torch._mkldnn:
        plain = plain.to_dense()
    name = str(plain.dtype).removeprefix("torch.")
    travel = kinds.TRAVELS.get(name)
    if travel is None:
        raise Failure(f"it is of {plain.dtype}, which is unknown here: bring back `.float()` of it")
    if plain.is_quantized:
        plain = plain.dequantize()
    elif travel.wire != name:
        plain = plain.view(getattr(torch, travel.wire))
    return "tensor", [plain], travel.note


def _sparse_form(tensor, parts):
    layout = _SPARSE[tensor.layout]
    if tensor.ndim == 2 and tensor.dense_dim() == 0 and layout != "bsc":
        return "sparse", [layout, list(tensor.shape), *parts], None
    return "tensor", [tensor.to_dense()], kinds.TORCH_KINDS["dense"].note


def memory(tensor):
    """Return the tensors of one piece of memory each that a tensor consists of: mostly itself.

    Raises Failure for one that has no values in memory.
    """
    if isinstance(tensor, UninitializedTensorMixin):
        raise Failure("it is not initialized yet and has no values")
    if tensor.device.type == "meta":
        raise Failure("it is on the meta device and has no values")
    if tensor.is_nested:
        return list(tensor.detach().unbind())
    kind = type(tensor)
    if issubclass(kind, _loaded("torch.masked", "MaskedTensor")):
        return [tensor.get_data(), tensor.get_mask()]
    # torch 2.4 has it in a private module.
    homes = ("torch.distributed.tensor", "torch.distributed._tensor")
    if any(issubclass(kind, _loaded(home, "DTensor")) for home in homes):
        if tensor.device_mesh.size() > 1:
            raise Failure(
                "it is a DTensor of several processes: bring back its `.full_tensor()`, which all "
                "of them have to call"
            )
        return [tensor.to_local()]
    if kind.__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        raise Failure(
            f"it is a {kind.__name__}, which computes its values: bring back a plain tensor of it"
        )
    if tensor.layout in _SPARSE:
        return _sparse_parts(tensor.detach())
    if kind not in (torch.Tensor, torch.nn.Parameter):
        tensor = tensor.as_subclass(torch.Tensor)
    if tensor.layout is torch.strided and tensor.numel() and not tensor.untyped_storage().nbytes():
        raise Failure("its memory was given back, as FSDP does, and it has no values")
    return [tensor]


def _sparse_parts(tensor):
    if tensor.layout is torch.sparse_coo:
        # Not `.indices()`, which wants a coalesced one.
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]


def _loaded(module, name):
    """Return a class of a module of torch, `()` while nobody has imported that."""
    return getattr(sys.modules.get(module), name, ())


def bits(plain):
    """Return a tensor of one piece of memory as integers, its memory as it is."""
    plain = plain.detach()
    if plain.is_quantized:
        return plain.int_repr()
    if plain.layout is torch._mkldnn:
        plain = plain.to_dense()
    # Back to what is in memory, without computing.
    plain = plain.conj() if plain.is_conj() else plain
    plain = torch._neg_view(plain) if plain.is_neg() else plain
    return plain.view(_BITS[plain.itemsize]) if plain.itemsize in _BITS else plain


def sparse(layout, shape, *parts):
    """Return the sparse tensor of a layout whose indices and values are given."""
    with warnings.catch_warnings():
        # Of CSR and its like torch says once that they are beta (torch 2.13).
        warnings.simplefilter("ignore")
        if layout == "coo":
            return torch.sparse_coo_tensor(*parts, size=shape)
        make = getattr(torch, f"sparse_{layout}_tensor")
        return make(*parts, size=shape)


def masked(values, valid):
    """Return the MaskedTensor of these; Untransferable for a dtype that it lacks."""
    # Not loaded with torch.
    from torch.masked import masked_tensor

    with warnings.catch_warnings():
        # It says once that it is a prototype (torch 2.13), and the cell has said so.
        warnings.simplefilter("ignore")
        try:
            return masked_tensor(values, valid)
        except TypeError:
            dtype = str(values.dtype).removeprefix("torch.")
            raise Untransferable(
                f"it is a masked array, and torch's MaskedTensor has no {dtype}: send `.data` and "
                "`~np.ma.getmaskarray(...)` of it"
            ) from None
