"""The tensors of one export: values as trees, their tensors out of line.

Injected into the kernel, as agent.py is.
"""

import sys

import _jupyterlite_torch_export as export
import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_kinds as kinds
import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_tables as tables
import _jupyterlite_torch_values as values
import torch
from _jupyterlite_torch_failure import Failure, TooLarge
from _jupyterlite_torch_size import human_size

_REASONS = (values.Untransferable, Failure, torch.cuda.OutOfMemoryError)


def _no_name(value):
    return None


class Batch:
    """The tensors of one export, each once however often it occurs."""

    def __init__(self, limit, holds=False):
        """`limit`: the bytes of the largest tensor that may travel, 0 for any. `holds`: those that
        the user's code knows may stay here, whatever their size."""
        self._limit = limit
        self._holds = holds
        self._asked = True
        self._name_of = _no_name
        self.tensors = []
        # What the user's code knows each of them as: several objects where they share all of their
        # memory, none for a part of a value.
        self._originals = []
        # By the memory of a tensor: two that share all of it are one there and will be one here.
        self._keys = {}
        # The trees of tensors and arrays that were met, by the ID of each, and itself so that no
        # other one takes that ID.
        self._met = {}

    def encode(self, value, asked=True, name_of=_no_name):
        """Return the tree of `value`, its tensors added to the batch; all of them or, when one
        fails, none. Raises Untransferable for what stays without a word, else Failure, which a table
        larger than AUTO_BYTES is that nobody has `asked` for. `name_of(value)` returns the name under
        which the page has a tensor, array or table, None for one that it has not."""
        self._asked, self._name_of = asked, name_of
        before, keys, met = len(self.tensors), dict(self._keys), dict(self._met)
        try:
            return values.encode(value, self._leaf)
        except BaseException as error:
            del self.tensors[before:], self._originals[before:]
            self._keys, self._met = keys, met
            if isinstance(error, values.Endless):
                raise Failure(str(error)) from None
            if isinstance(error, Exception) and not isinstance(error, _REASONS):
                # The value's own code: already what `isinstance` asks may raise.
                raise Failure(f"looking at it raises {type(error).__name__}") from None
            raise

    def _leaf(self, value):
        if (tree := forms.plain_value(value)) is not None:
            return tree
        if (name := self._name_of(value)) is not None:
            return {"name": name}
        numpy = sys.modules.get("numpy")
        if id(value) not in self._met:
            if isinstance(value, torch.Tensor):
                tree = self._tensor(value)
            elif numpy and isinstance(value, numpy.ndarray | numpy.generic):
                tree = self._array(value, numpy)
            elif table := tables.kind(value):
                tree = self._table(value, table)
            else:
                return None
            self._met[id(value)] = value, tree
        return self._met[id(value)][1]

    def _tensor(self, tensor, whole=True):
        kind, parts, note = forms.form(tensor)
        if kind == "tensor":
            tree = {"tensor": self._add(*parts, original=tensor if whole else None)}
        else:
            trees = [
                self._tensor(part, whole=False) if isinstance(part, torch.Tensor) else part
                for part in parts
            ]
            tree = trees if kind == "list" else {kind: trees}
        return {"noted": [note, tree]} if note else tree

    def _array(self, value, numpy, whole=True):
        if isinstance(value, numpy.ma.MaskedArray):
            parts = value.data, ~numpy.ma.getmaskarray(value)
            return {"masked": [self._array(part, numpy, whole=False) for part in parts]}
        name = value.dtype.name
        if name not in kinds.TRAVELS or kinds.TRAVELS[name].here != name:
            raise values.Untransferable(f"it is an array of dtype {value.dtype}")
        native = numpy.array(value, dtype=name, order="C", copy=None)
        kind = "array" if isinstance(value, numpy.ndarray) else "scalar"
        if isinstance(value, numpy.ndarray) and not native.flags.writeable:
            native = native.copy()
        original = value if whole and isinstance(value, numpy.ndarray) else None
        return {kind: self._add(torch.from_numpy(native.reshape(value.shape)), original)}

    def _table(self, value, kind):
        if not self._asked and tables.nbytes(value) > tables.AUTO_BYTES:
            raise Failure(
                f"its {human_size(tables.nbytes(value))} are above the {human_size(tables.AUTO_BYTES)} that come "
                "by themselves; `%%torch -o NAME` brings it"
            )
        try:
            stream, rest, lost = tables.write(value, tables.KERNEL)
        except tables.Unfit as reason:
            raise Failure(str(reason)) from None
        # A part of the value: a handle to it would be one to a copy.
        key = self._add(torch.frombuffer(stream, dtype=torch.uint8))
        tree = {"arrow": [*kind, {"tensor": key}, *rest]}
        return {"noted": [kinds.CONTAINERS["table"].note.format(lost=lost), tree]} if lost else tree

    def _add(self, tensor, original=None):
        """Return the key of a plain tensor of a dtype that travels."""
        memory = _memory(tensor)
        key = self._keys.get(memory)
        if key is None:
            name = str(tensor.dtype).removeprefix("torch.")
            code = safetensors.CODES[kinds.TRAVELS[name].here]
            if tensor.ndim > safetensors.MAX_DIMENSIONS:
                raise Failure(
                    f"it has {tensor.ndim} dimensions, and arrays of NumPy have "
                    f"{safetensors.MAX_DIMENSIONS} at most"
                )
            nbytes = tensor.numel() * safetensors.ITEM_SIZES[code]
            if self._limit and nbytes > self._limit and not (self._holds and original is not None):
                raise TooLarge(
                    f"its {human_size(nbytes)} are more than the browser can hold in one array. Read a part "
                    "of it, such as `NAME[:1000]`"
                )
            key = self._keys[memory] = str(len(self.tensors))
            self.tensors.append(tensor)
            self._originals.append([])
        if original is not None:
            self._originals[int(key)].append(original)
        return key

    def write(self, eager, hold=None, filling=None):
        """Copy the tensors into segments; return as `export.write`, as the reply has it.

        With `hold(key, originals)`, which returns the ID of a handle, large ones stay here.
        """

        def stay(key):
            originals = self._originals[int(key)]
            return hold(key, originals) if hold and originals else None

        names = "tensors", "segments", "filling"
        return dict(zip(names, export.write(self.tensors, eager, stay, filling), strict=True))


def _memory(tensor):
    """Return what is the same for tensors that are the same memory in the same way."""
    if tensor.numel() == 0:
        return id(tensor)
    view = tensor.shape, tensor.stride(), tensor.is_conj(), tensor.is_neg()
    return tensor.data_ptr(), tensor.dtype, str(tensor.device), *view
