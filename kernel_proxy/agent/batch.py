"""The tensors of one export, copied into shared memory as safetensors files.

Injected into the kernel, as agent.py is.
"""

import os
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import _jupyterlite_torch_known as known
import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_segment as segment
import _jupyterlite_torch_values as values
import torch

#: Checksums are of blocks of this size, as the page's are.
BLOCK_BYTES = 2**20

#: Segments that the proxy has not opened yet, by id.
outgoing = {}


class Failure(Exception):
    """A request of the page that can not be met; its text goes to the user."""


class TooLarge(Failure):
    """The page has no room for an array."""


class Batch:
    """The tensors of one export, each once however often it occurs."""

    def __init__(self, limit):
        self.limit = limit
        self.tensors = []
        #: What the user's code knows each tensor as: a NumPy array, for one that was made of one.
        self.originals = []
        self._keys = {}
        # By key, for tensors that travel by themselves: the CRC-32 of each MiB, which the page would
        # else have to find out.
        self._checksums = {}

    def encode(self, value):
        """Return the tree of `value`, its tensors added to the batch; all of them or, when one
        fails, none."""
        before, keys = len(self.tensors), dict(self._keys)
        try:
            return values.encode(value, self._leaf)
        except BaseException:
            del self.tensors[before:], self.originals[before:]
            self._keys = keys
            raise

    def _leaf(self, value):
        if isinstance(value, torch.Size):
            return {"tuple": list(value)}
        if isinstance(value, torch.Tensor):
            return {"tensor": self._add(value, value)}
        numpy = sys.modules.get("numpy")
        if numpy and isinstance(value, numpy.ndarray | numpy.generic):
            name = value.dtype.newbyteorder("=").name
            if name not in known.TYPES:
                return None
            native = numpy.array(value, dtype=name, order="C", copy=None)
            kind = "array" if isinstance(value, numpy.ndarray) else "scalar"
            if isinstance(value, numpy.ndarray) and not native.flags.writeable:
                native = native.copy()
            return {kind: self._add(value, torch.from_numpy(native.reshape(value.shape)))}
        return None

    def _add(self, original, tensor):
        key = self._keys.get(id(original))
        if key is None:
            if obstacle := known.obstacle(tensor):
                raise Failure(obstacle)
            nbytes = tensor.numel() * (4 if tensor.dtype is torch.bfloat16 else tensor.itemsize)
            if self.limit and nbytes > self.limit:
                raise TooLarge(
                    f"its {size(nbytes)} are more than the browser can hold in one array. Read a part "
                    "of it, such as `NAME[:1000]`"
                )
            key = self._keys[id(original)] = str(len(self.tensors))
            self.tensors.append(tensor)
            self.originals.append(original)
        return key

    def write(self, eager, hold=None):
        """Copy the tensors into segments: the small ones, `eager` bytes together, into one.

        With `hold(key, original)`, which returns the ID of a handle, the others are not copied.
        """
        entries = [
            safetensors.Entry(str(number), known.CODES[tensor.dtype], tensor.shape)
            for number, tensor in enumerate(self.tensors)
        ]
        small, left = [], eager
        for entry in sorted(entries, key=lambda entry: entry.nbytes):
            left -= entry.nbytes
            if left < 0:
                break
            small.append(entry)
        large = [[entry] for entry in entries if entry not in small]
        segments = [self._write_file(small, eager=True)] if small else []
        if hold is None:
            segments += [self._write_file(group, eager=False) for group in large]
        described = [
            {
                "key": entry.key,
                "dtype": safetensors.NAMES[entry.code],
                "shape": list(entry.shape),
                "device": str(tensor.device),
                "nbytes": entry.nbytes,
                "requires_grad": tensor.requires_grad,
                "crc32": self._checksums.get(entry.key),
                "held": hold(entry.key, self.originals[int(entry.key)])
                if hold and entry not in small
                else None,
            }
            for entry, tensor in zip(entries, self.tensors, strict=True)
        ]
        return described, segments

    def _write_file(self, entries, eager):
        header, length = safetensors.layout(entries)
        try:
            target = segment.Segment.create(length)
        except OSError as error:
            raise Failure(f"no shared memory for {size(length)}: {error}") from None
        view = target.view
        view[: len(header)] = header
        for entry in entries:
            tensor = self.tensors[int(entry.key)].detach().resolve_conj().resolve_neg()
            if entry.nbytes and eager:
                _copy(tensor, view, entry)
            elif entry.nbytes:
                self._checksums[entry.key] = _copy_large(tensor, target, entry)
        identifier = f"{time.monotonic_ns():x}-{entries[0].key}"
        outgoing[identifier] = target
        keys = [entry.key for entry in entries]
        return {"id": identifier, "path": target.path, "keys": keys, "eager": eager}


def _copy(tensor, view, entry):
    target = torch.frombuffer(view, dtype=tensor.dtype, count=tensor.numel(), offset=entry.start)
    target.view(tensor.shape).copy_(tensor)


def _copy_large(tensor, target, entry):
    """Copy a tensor into a segment and return the CRC-32 of each MiB, on several processors."""
    source = None
    if tensor.device.type == "cpu" and tensor.is_contiguous():
        source = known.bytes_of(tensor.view(-1))
    else:
        _copy(tensor, target.view, entry)

    def block(offset):
        place = entry.start + offset
        if source is None:
            return zlib.crc32(
                target.view[place : min(place + BLOCK_BYTES, entry.start + entry.nbytes)]
            )
        data = source[offset : offset + BLOCK_BYTES]
        # Cheaper than a mapping where the pages are fresh, and other threads run meanwhile.
        os.pwrite(target.fd, data, place)
        return zlib.crc32(data)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(block, range(0, entry.nbytes, BLOCK_BYTES)))


def size(nbytes):
    """Return a number of bytes as a person reads it."""
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} GiB"
