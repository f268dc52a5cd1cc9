"""What a value was when page and kernel last agreed on it, cheap enough to compare after a cell.

Injected into the kernel, as agent.py is.
"""

import ctypes
import sys
import weakref
import zlib

import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_tables as tables
import _jupyterlite_torch_values as values
import torch
from _jupyterlite_torch_failure import Failure
from IPython import get_ipython

#: CPU tensors up to this size are checked for changes by their bytes, all others by torch's version
#: counter, which sees every in-place operation but not what goes through `.data` or NumPy.
CHECKSUM_BYTES = 16 * 2**20

TYPES = {name: getattr(torch, name) for name in safetensors.CODES if hasattr(torch, name)}
CODES = {dtype: safetensors.CODES[name] for name, dtype in TYPES.items()}


class Known:
    """What a name was when both sides last agreed on it, cheap enough to compare after a cell.

    `page`: which page it was that has it, None for none. A `large` one no page has, and what is in it
    is not looked at.
    """

    def __init__(self, value, page=None, large=False):
        self.page, self.large = page, large
        self.identity = id(value)
        try:
            self.alive = weakref.ref(value)
        except TypeError:
            self.alive = None
        self.fingerprint = None if large else fingerprint(value)
        self.version = None if self.fingerprint is None else version(value)

    def is_same_object(self, value):
        """True if `value` is the object that was exchanged, changed in place or not."""
        if self.alive is not None:
            return self.alive() is value
        return self.identity == id(value)


def fingerprint(value):
    """Return something that differs when the value does; None for what can not travel."""
    try:
        tree = values.encode(value, _fingerprint_leaf)
    except Exception:
        # Of a value whose own code raises as well, which `isinstance` may run.
        return None
    return zlib.crc32(repr(tree).encode()) if isinstance(tree, list | dict) else repr(tree)


def _fingerprint_leaf(value):
    if (tree := forms.plain_value(value)) is not None:
        return tree
    if isinstance(value, torch.Tensor):
        return {"tensor": _tensor_facts(value)}
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.ma.MaskedArray):
        parts = value.data, numpy.ma.getmaskarray(value)
        return {"masked": [_fingerprint_leaf(part) for part in parts]}
    if numpy and isinstance(value, numpy.ndarray | numpy.generic):
        array = numpy.ascontiguousarray(value)
        if array.dtype.hasobject:
            return None
        return {
            "array": [array.dtype.str, list(value.shape), zlib.crc32(array.reshape(-1).view("u1"))]
        }
    if table := tables.kind(value):
        return {"arrow": [*table, *_table_facts(value)]}
    return None


def _table_facts(value):
    nbytes = tables.nbytes(value)
    if nbytes > tables.AUTO_BYTES:
        # Comes only when it is asked for, changed or not.
        return [id(value), nbytes]
    try:
        return [tables.checksum(value, tables.KERNEL), *tables.rest(value)]
    except tables.Unfit as reason:
        return [id(value), str(reason)]


def _tensor_facts(tensor):
    small = is_plain(tensor) and 0 < tensor.nbytes <= CHECKSUM_BYTES
    if small and tensor.device.type == "cpu" and tensor.is_contiguous():
        # As below, in a third of the time: a cell may have thousands of them.
        checksum = zlib.crc32(bytes_of(tensor.view(-1)))
        return [str(tensor.dtype), list(tensor.shape), tensor._version, tensor.data_ptr(), checksum]
    try:
        parts = forms.memory(tensor)
    except (Failure, RuntimeError, NotImplementedError):
        return id(tensor)
    shape = [] if tensor.is_nested else list(tensor.shape)
    facts = [str(tensor.dtype), shape, str(tensor.device), version(tensor)]
    return [*facts, *((list(part.shape), _checksum(part, tensor)) for part in parts)]


def _checksum(part, tensor):
    """Checksum the bytes of a part of a tensor where that is cheap, else name the memory."""
    strided = part.layout is torch.strided
    if strided and (part.nbytes > CHECKSUM_BYTES or part.device.type != "cpu" or not part.nbytes):
        return [part.data_ptr(), id(tensor)]
    # Bound to a name, for `bytes_of` does not keep a copy alive.
    flat = forms.bits(part).contiguous().view(-1)
    # A view of the same memory may be negated or conjugated.
    return [
        zlib.crc32(bytes_of(flat)),
        part.is_neg(),
        part.is_conj(),
    ]


def bytes_of(flat):
    """View the memory of a contiguous CPU tensor of one dimension, without NumPy, while the caller
    keeps the tensor."""
    return memoryview((ctypes.c_char * flat.nbytes).from_address(flat.data_ptr())).cast("B")


def is_plain(tensor):
    """True for a tensor that is nothing but one piece of memory as it is."""
    return (
        type(tensor) is torch.Tensor
        and tensor.layout is torch.strided
        and not (tensor.requires_grad or tensor.is_nested or tensor.is_quantized)
        and not (tensor.is_conj() or tensor.is_neg() or tensor.is_inference())
        and tensor.device.type != "meta"
        and (tensor.untyped_storage().nbytes() > 0 or tensor.numel() == 0)
    )


def version(value):
    """Return what every in-place operation changes; None where torch does not count them."""
    if not isinstance(value, torch.Tensor):
        return None
    if is_plain(value):
        return [(value._version, value.data_ptr())]
    try:
        parts = forms.memory(value)
    except (Failure, RuntimeError, NotImplementedError):
        return None
    if any(part.is_inference() or part.layout is not torch.strided for part in parts):
        return None
    return [(part._version, part.data_ptr()) for part in parts]


#: The names that both sides have, or that the page has seen stay here (fingerprint None).
exchanged = {}


def touched(name):
    """True if an exchanged tensor was changed in place, as far as that costs nothing to see; a cell
    can do so without mentioning its name, as an optimizer's step does."""
    value, known = get_ipython().user_ns.get(name), exchanged[name]
    return known.version is not None and (
        not known.is_same_object(value) or known.version != version(value)
    )


def changed(name, value):
    """True if an exchanged name's value is not what both sides had."""
    known = exchanged[name]
    if known.large and known.is_same_object(value) and values.is_large(value):
        return False
    return not known.is_same_object(value) or known.fingerprint != fingerprint(value)


class OnPage:
    """The values that a page has under these names, unless a cell of this or another page has changed
    them."""

    def __init__(self, page, names):
        namespace = get_ipython().user_ns
        self._names = {}
        for name in names:
            known = exchanged.get(name)
            if name in namespace and known is not None and known.page == page is not None:
                self._names.setdefault(id(namespace[name]), []).append(name)

    def name_of(self, value):
        """Return a name under which the page has this very object, None if it has not."""
        names = self._names.get(id(value), ())
        return next((name for name in names if not changed(name, value)), None)

    def forget(self, name):
        """The value of this name comes anew."""
        for names in self._names.values():
            if name in names:
                names.remove(name)
