"""Values of the page, defined in the kernel.

Injected into the kernel, as agent.py is.
"""

import ctypes
import importlib
import math

import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_held as held
import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_segment as segment
import _jupyterlite_torch_tables as tables
import _jupyterlite_torch_values as values
import torch
from _jupyterlite_torch_failure import Failure
from _jupyterlite_torch_known import TYPES, Known, changed, exchanged
from _jupyterlite_torch_patch import patched, same
from IPython import get_ipython

#: A tensor smaller than this is copied out of what was sent, so that it does not keep a large
#: neighbour's memory alive.
OWN_MEMORY_BYTES = 2**20


def import_(trees, device=(), imports=(), delete=(), path=None, dtype=None, page=None):
    """Define names here: `trees` of values whose tensors are in the safetensors file at `path`,
    those of a floating-point dtype to be of `dtype`.

    Returns the names whose value here had changed since the last exchange, and was overwritten; or,
    with nothing done, those of what is here and does not fit a patch or is not the same.
    """
    namespace = get_ipython().user_ns
    tensors = read(path) if path else {}
    patches = {
        name: patched(name, tree["patch"], tensors)
        for name, tree in trees.items()
        if isinstance(tree, dict) and "patch" in tree
    }
    # Before a name is given another value.
    named = {each[0]: same(*each) for each in values.contents(list(trees.values()), "same")}
    found = patches | named
    if misfits := [name for name, tensor in found.items() if tensor is None]:
        return {"conflict": [], "misfits": misfits}
    for alias, (module, attribute) in dict(imports).items():
        namespace[alias] = _imported(alias, module, attribute)
    for name in delete:
        namespace.pop(name, None)
        exchanged.pop(name, None)
    if dtype is not None:
        tensors = {key: _as(tensor, getattr(torch, dtype)) for key, tensor in tensors.items()}
    devices = dict(device)
    conflicts = []
    for name, tree in trees.items():
        if name in exchanged and name in namespace and changed(name, namespace[name]):
            conflicts.append(name)
        try:
            value = patches[name] if name in patches else decode(tree, tensors, named)
        except (tables.Unfit, values.Untransferable) as reason:
            raise Failure(f"`{name}` can not be sent to the server: {reason}.") from None
        if name in devices:
            value = _to(value, devices[name], name)
        namespace[name] = value
        # In another dtype it is not what the page has.
        exchanged[name] = Known(value, page if dtype is None else None)
    return {"conflict": conflicts}


def _imported(alias, module, attribute):
    try:
        value = importlib.import_module(module)
        for part in (attribute or "").split(".") if attribute else ():
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        package = module.split(".")[0]
        raise Failure(
            f"`{alias}` is `{module}{'.' + attribute if attribute else ''}` here, and the server's "
            f"kernel can not import it ({error}). Install it there with a cell of two lines, "
            f"`%%torch` and `%pip install {package}`, or use another name."
        ) from None
    return value


def read(path):
    """Return the tensors of the safetensors file at `path`, by key."""
    source = segment.Segment.open(path)
    try:
        view = source.view
        start = safetensors.header_size(view[:8])
        entries = safetensors.parse(view[:start], source.size)
        return {key: _mapped(view, entry, source.size) for key, entry in entries.items()}
    finally:
        source.close()


def _mapped(view, entry, file_size):
    dtype = TYPES.get(safetensors.NAMES[entry.code])
    if dtype is None:
        raise Failure(
            f"torch {torch.__version__} has no {safetensors.NAMES[entry.code]}; convert the array "
            "before it is sent"
        )
    if entry.nbytes == 0:
        return torch.empty(entry.shape, dtype=dtype)
    tensor = torch.frombuffer(
        view, dtype=dtype, count=math.prod(entry.shape), offset=entry.start
    ).view(entry.shape)
    return tensor.clone() if entry.nbytes < min(OWN_MEMORY_BYTES, file_size) else tensor


def decode(tree, tensors, named=None):
    """Return the value of a tree whose tensors are given, and those that are `named` as here already.
    Raises Failure, or Unfit for a table."""

    def leaf(kind, content):
        return named[content[0]] if kind == "same" else _from_wire(kind, content, tensors)

    return values.decode(tree, leaf)


def _from_wire(kind, content, tensors):
    if kind == "held":
        return held.get(content)[0]
    if kind == "sparse":
        return forms.sparse(*content)
    if kind == "masked":
        return forms.masked(*content)
    if kind == "arrow":
        library, name, stream, *rest = content
        return tables.read(library, name, _buffer(stream), *rest, side=tables.KERNEL)
    tensor = tensors[content]
    if kind == "tensor":
        return tensor
    array = _numpy().asarray(tensor)
    return array[()] if kind == "scalar" else array


def _buffer(stream):
    """Return the bytes of a tensor as a buffer that keeps it alive, without NumPy."""
    if not isinstance(stream, torch.Tensor) or stream.dtype != torch.uint8 or not stream.numel():
        raise Failure("the Arrow stream of a table is no tensor of bytes")
    if stream.data_ptr() % safetensors.ALIGNMENT:
        # Arrow reads numbers where they lie.
        stream = stream.clone()
    holder = (ctypes.c_char * stream.numel()).from_address(stream.data_ptr())
    holder.tensor = stream
    return memoryview(holder).cast("B")


def _numpy():
    try:
        return importlib.import_module("numpy")
    except ImportError:
        raise Failure("the server's kernel has no NumPy: `%pip install numpy` there") from None


def _as(tensor, dtype):
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _to(value, device, name):
    if isinstance(value, torch.Tensor):
        try:
            return value.to(device)
        except (RuntimeError, AssertionError) as error:
            raise Failure(f"`{name}` can not go to {device!r}: {error}") from None
    if isinstance(value, list | tuple):
        items = [_to(item, device, name) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        # In place: a new one would be another kind of dict.
        for key, item in value.items():
            value[key] = _to(item, device, name)
    return value
