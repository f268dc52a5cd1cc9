"""The tensors of one export: values as trees, their tensors out of line.

Injected into the kernel, as agent.py is.
"""

import sys

import _jupyterlite_torch_export as export
import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_kinds as kinds
import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_values as values
import torch
from _jupyterlite_torch_failure import Failure, TooLarge, size


class Batch:
    """The tensors of one export, each once however often it occurs."""

    def __init__(self, limit):
        self.limit = limit
        self.tensors = []
        # By the memory of a tensor: two that share all of it are one there and will be one here.
        self._keys = {}
        # The trees of tensors and arrays that were met, by the ID of each, and itself so that no
        # other one takes that ID.
        self._met = {}

    def encode(self, value):
        """Return the tree of `value`, its tensors added to the batch; all of them or, when one
        fails, none. Raises Untransferable for what stays without a word, else Failure."""
        before, keys, met = len(self.tensors), dict(self._keys), dict(self._met)
        try:
            return values.encode(value, self._leaf)
        except BaseException as error:
            del self.tensors[before:]
            self._keys, self._met = keys, met
            if isinstance(error, values.Endless):
                raise Failure(str(error)) from None
            raise

    def _leaf(self, value):
        if isinstance(value, torch.Size):
            return {"tuple": list(value)}
        numpy = sys.modules.get("numpy")
        if id(value) not in self._met:
            if isinstance(value, torch.Tensor):
                tree = self._tensor(value)
            elif numpy and isinstance(value, numpy.ndarray | numpy.generic):
                tree = self._array(value, numpy)
            else:
                return None
            self._met[id(value)] = value, tree
        return self._met[id(value)][1]

    def _tensor(self, tensor):
        kind, parts, note = forms.form(tensor)
        if kind == "tensor":
            tree = {"tensor": self._add(*parts)}
        else:
            trees = [self._leaf(part) if isinstance(part, torch.Tensor) else part for part in parts]
            tree = trees if kind == "list" else {kind: trees}
        return {"noted": [note, tree]} if note else tree

    def _array(self, value, numpy):
        name = value.dtype.newbyteorder("=").name
        if name not in kinds.TRAVELS or kinds.TRAVELS[name].here != name:
            return None
        native = numpy.array(value, dtype=name, order="C", copy=None)
        kind = "array" if isinstance(value, numpy.ndarray) else "scalar"
        if isinstance(value, numpy.ndarray) and not native.flags.writeable:
            native = native.copy()
        return {kind: self._add(torch.from_numpy(native.reshape(value.shape)))}

    def _add(self, tensor):
        """Return the key of a plain tensor of a dtype that travels."""
        memory = _memory(tensor)
        key = self._keys.get(memory)
        if key is None:
            name = str(tensor.dtype).removeprefix("torch.")
            code = safetensors.CODES[kinds.TRAVELS[name].here]
            nbytes = tensor.numel() * safetensors.ITEM_SIZES[code]
            if self.limit and nbytes > self.limit:
                raise TooLarge(
                    f"its {size(nbytes)} are more than the browser can hold in one array. It stays "
                    "on the server: bring back a part of it, as with `%%torch -o part=NAME[:1000]`, "
                    "or give it a name that starts with `_`, which always stays"
                )
            key = self._keys[memory] = str(len(self.tensors))
            self.tensors.append(tensor)
        return key

    def write(self, eager):
        """Copy the tensors into segments; see `export.write`."""
        return export.write(self.tensors, eager)


def _memory(tensor):
    """Return what is the same for tensors that are the same memory in the same way."""
    if tensor.numel() == 0:
        return id(tensor)
    view = tensor.shape, tensor.stride(), tensor.is_conj(), tensor.is_neg()
    return tensor.data_ptr(), tensor.dtype, str(tensor.device), *view
