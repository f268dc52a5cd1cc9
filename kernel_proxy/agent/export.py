"""Tensors into shared memory, as safetensors files that the proxy opens.

Injected into the kernel, as agent.py is.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import _jupyterlite_torch_known as known
import _jupyterlite_torch_safetensors as safetensors
import torch
from _jupyterlite_torch_checksum import BLOCK_BYTES, block_checksum
from _jupyterlite_torch_pool import Pool

#: Tensors of at most this size come with the reply even beyond `eager`, so many bytes of them.
SMALL_BYTES = 2**16
SMALL_TOGETHER_BYTES = 8 * 2**20

#: Segments that the proxy may not have opened yet, by id.
outgoing = {}
pool = Pool()


def release(identifiers):
    """Take back segments that the proxy has opened."""
    for identifier in list(identifiers):
        if used := outgoing.pop(identifier, None):
            pool.give(used)


def forget():
    """Let go of all segments: the proxy that they were for is gone."""
    while outgoing:
        outgoing.popitem()[1].close()
    pool.clear()


def write(tensors, eager, stay):
    """Copy tensors into segments: the small ones, `eager` bytes together, into one.

    A large one for which `stay(key)` returns the ID of a handle is not copied. Returns what `metadata.torch` says of each tensor, and the segments for the proxy. A tensor that
    can not be copied is described with an `error`.
    """
    entries = [
        safetensors.Entry(str(number), known.CODES[tensor.dtype], tensor.shape)
        for number, tensor in enumerate(tensors)
    ]
    described = {
        entry.key: {
            "key": entry.key,
            "dtype": safetensors.NAMES[entry.code],
            "shape": list(entry.shape),
            "device": str(tensor.device),
            "nbytes": entry.nbytes,
            "requires_grad": tensor.requires_grad,
            "checksums": None,
            "held": None,
        }
        for entry, tensor in zip(entries, tensors, strict=True)
    }
    small, large = _split(entries, eager)
    for entry in large:
        described[entry.key]["held"] = stay(entry.key)
    large = [entry for entry in large if described[entry.key]["held"] is None]
    segments = []
    for group in ([small] if small else []) + [[entry] for entry in large]:
        try:
            segments.append(_write_file(group, tensors, described, eager=group is small))
        except (OSError, torch.cuda.OutOfMemoryError) as error:
            for entry in group:
                described[entry.key]["error"] = _no_room(error)
    return list(described.values()), segments


def _split(entries, eager):
    """Return the entries whose tensors come with the reply, and the others."""
    small, large, together = [], [], 0
    for entry in sorted(entries, key=lambda entry: entry.nbytes):
        together += entry.nbytes
        bound = SMALL_TOGETHER_BYTES if eager and entry.nbytes <= SMALL_BYTES else eager
        (small if together <= bound else large).append(entry)
    return small, large


def _no_room(error):
    if isinstance(error, OSError):
        return f"the server has no shared memory for it: {os.strerror(error.errno)}"
    return f"the GPU has no room for a copy of it: {str(error).splitlines()[0]}"


def _write_file(entries, tensors, described, eager):
    header, length = safetensors.layout(entries)
    # A GPU writes several times as fast to memory that stays where it is.
    on_gpu = not eager and tensors[int(entries[0].key)].device.type == "cuda"
    target = pool.take(length, pinned=on_gpu)
    try:
        target.view[: len(header)] = header
        for entry in entries:
            tensor = tensors[int(entry.key)].detach().resolve_conj().resolve_neg()
            if entry.nbytes and eager:
                _copy(tensor, target.view, entry)
            elif entry.nbytes:
                described[entry.key]["checksums"] = _copy_large(tensor, target, entry)
    except BaseException:
        pool.give(target)
        raise
    identifier = f"{time.monotonic_ns():x}-{entries[0].key}"
    outgoing[identifier] = target
    keys = [entry.key for entry in entries]
    return {"id": identifier, "path": target.path, "size": length, "keys": keys, "eager": eager}


def _copy(tensor, view, entry):
    target = torch.frombuffer(view, dtype=tensor.dtype, count=tensor.numel(), offset=entry.start)
    # Straight from the GPU, without a copy on its way, where the segment is page-locked.
    target.view(tensor.shape).copy_(tensor)


def _copy_large(tensor, target, entry):
    """Copy a tensor into a segment and return the checksum of each MiB, on several processors.

    It is the copy that is summed up: a cell that runs meanwhile may change the tensor.
    """
    copy = target.view[entry.start : entry.start + entry.nbytes]
    source = None
    if tensor.device.type == "cpu" and tensor.is_contiguous():
        source = known.bytes_of(tensor.view(-1))
    else:
        _copy(tensor, target.view, entry)

    def block(offset):
        part = slice(offset, offset + BLOCK_BYTES)
        if source and target.used:
            _bytes(copy[part]).copy_(_bytes(source[part]))
        elif source:
            # Cheaper than a mapping where the pages are fresh, and three times as dear where not.
            target.write(entry.start + offset, source[part])
        return block_checksum(copy[part])

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        return list(threads.map(block, range(0, entry.nbytes, BLOCK_BYTES)))


def _bytes(view):
    return torch.frombuffer(view, dtype=torch.uint8)
