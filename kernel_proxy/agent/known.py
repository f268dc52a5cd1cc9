"""What a value was when page and kernel last agreed on it, cheap enough to compare after a cell.

Injected into the kernel, as agent.py is.
"""

import ctypes
import sys
import weakref
import zlib

import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_values as values
import torch

#: CPU tensors up to this size are checked for changes by their bytes, all others by torch's version
#: counter, which sees every in-place operation but not what goes through `.data` or NumPy.
CHECKSUM_BYTES = 16 * 2**20

TYPES = {name: getattr(torch, name) for name in safetensors.CODES if hasattr(torch, name)}
CODES = {dtype: safetensors.CODES[name] for name, dtype in TYPES.items()}


class Known:
    """What a name was when both sides last agreed on it, cheap enough to compare after a cell."""

    def __init__(self, value):
        self.identity = id(value)
        try:
            self.alive = weakref.ref(value)
        except TypeError:
            self.alive = None
        self.fingerprint = fingerprint(value)
        self.version = version(value)

    def is_same_object(self, value):
        """True if `value` is the object that was exchanged, changed in place or not."""
        if self.alive is not None:
            return self.alive() is value
        return self.identity == id(value)


def fingerprint(value):
    """Return something that differs when the value does; None for what can not travel."""
    try:
        tree = values.encode(value, _fingerprint_leaf)
    except values.Untransferable:
        return None
    return zlib.crc32(repr(tree).encode()) if isinstance(tree, list | dict) else repr(tree)


def _fingerprint_leaf(value):
    if isinstance(value, torch.Size):
        return {"tuple": list(value)}
    if isinstance(value, torch.Tensor):
        if obstacle(value):
            return {"tensor": id(value)}
        facts = [str(value.dtype), list(value.shape), str(value.device)]
        return {"tensor": [*facts, version(value), _tensor_checksum(value)]}
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.ndarray | numpy.generic):
        array = numpy.ascontiguousarray(value)
        if array.dtype.hasobject:
            return None
        return {
            "array": [array.dtype.str, list(value.shape), zlib.crc32(array.reshape(-1).view("u1"))]
        }
    return None


def _tensor_checksum(tensor):
    """Checksum the bytes where that is cheap, else name the memory."""
    if tensor.nbytes > CHECKSUM_BYTES or tensor.device.type != "cpu" or tensor.nbytes == 0:
        return [tensor.data_ptr(), id(tensor)]
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().view(-1)
    return zlib.crc32(bytes_of(plain))


def bytes_of(flat):
    """View the memory of a contiguous CPU tensor of one dimension, without NumPy."""
    return memoryview((ctypes.c_char * flat.nbytes).from_address(flat.data_ptr())).cast("B")


def version(value):
    """Return what every in-place operation changes; None where torch does not count them."""
    if not isinstance(value, torch.Tensor) or obstacle(value) or value.is_inference():
        return None
    return value._version, value.data_ptr()


def obstacle(tensor):
    """Say why a tensor has no plain array of its values; None for one that has."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        return "it is sparse or nested: bring back `.to_dense()` or a part of it"
    if tensor.is_quantized:
        return "it is quantized: bring back `.dequantize()` of it"
    if tensor.device.type == "meta":
        return "it is on the meta device and has no values"
    if tensor.dtype not in CODES:
        return f"it is of {tensor.dtype}: bring back `.float()` of it"
    return None
