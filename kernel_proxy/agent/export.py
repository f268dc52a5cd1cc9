"""Tensors into shared memory, as safetensors files that the proxy opens.

Injected into the kernel, as agent.py is.
"""

import os
import sys
import time

import _jupyterlite_torch_known as known
import _jupyterlite_torch_safetensors as safetensors
import torch
from _jupyterlite_torch_copying import Copy, copy, file_size, sum_up
from _jupyterlite_torch_pool import Pool

#: Tensors of at most this size come with the reply even beyond `eager`, so many bytes of them.
SMALL_BYTES = 2**16
SMALL_TOGETHER_BYTES = 8 * 2**20
#: A smaller tensor takes less time than a thread and a pipe; several of them go in one file of at most so
#: many bytes, since each file is a segment and a request.
BEHIND_BYTES, TOGETHER_BYTES = 4 * 2**20, 32 * 2**20

#: Segments that the proxy may not have opened yet, and the Filling of each or None, by id.
outgoing = {}
pool = Pool()


def release(identifiers):
    """Take back segments that the proxy has opened."""
    for identifier in list(identifiers):
        used, filling = outgoing.pop(identifier, (None, None))
        if filling:
            filling.end()
        if used:
            pool.give(used)


def forget():
    """Let go of all segments: the proxy that they were for is gone."""
    while outgoing:
        used, filling = outgoing.popitem()[1]
        if filling:
            filling.end()
        used.close()
    pool.clear()


def write(tensors, eager, stay, filling=None):
    """Copy tensors into segments: the small ones, `eager` bytes together, into one; large ones are
    left to `filling`, a Filling, if there is one.

    A large one for which `stay(key)` returns the ID of a handle is not copied. Returns what
    `metadata.torch` says of each tensor, and for the proxy the segments, and the path of the pipe that tells
    of them or None. A tensor that can not be copied is described with an `error`.
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
            "held": None,
        }
        for entry, tensor in zip(entries, tensors, strict=True)
    }
    small, large = _split(entries, eager)
    for entry in large:
        described[entry.key]["held"] = stay(entry.key)
    large = [entry for entry in large if described[entry.key]["held"] is None]
    segments = []
    if sys.platform != "linux":
        # A pipe has no path there.
        filling = None
    for group in ([small] if small else []) + _files(large):
        try:
            segments.append(_write_file(group, tensors, group is small, filling))
        except (OSError, torch.cuda.OutOfMemoryError) as error:
            for entry in group:
                described[entry.key]["error"] = _no_room(error)
    return list(described.values()), segments, filling and filling.start()


def _split(entries, eager):
    """Return the entries whose tensors come with the reply, and the others."""
    small, large, together = [], [], 0
    for entry in sorted(entries, key=lambda entry: entry.nbytes):
        together += entry.nbytes
        bound = SMALL_TOGETHER_BYTES if eager and entry.nbytes <= SMALL_BYTES else eager
        (small if together <= bound else large).append(entry)
    return small, large


def _files(entries):
    """Return entries, of rising size, in groups that go in one file each."""
    files, room = [], 0
    for entry in entries:
        if entry.nbytes >= BEHIND_BYTES or entry.nbytes > room:
            files.append([])
            room = TOGETHER_BYTES
        files[-1].append(entry)
        room -= entry.nbytes
    return files


def _no_room(error):
    if isinstance(error, OSError):
        return f"the server has no shared memory for it: {os.strerror(error.errno)}"
    return f"the GPU has no room for a copy of it: {str(error).splitlines()[0]}"


def _write_file(entries, tensors, eager, filling):
    header, end = safetensors.layout(entries)
    # Those of a reply have no need of checksums.
    length = end if eager else file_size(len(header), end)
    # A GPU writes several times as fast to memory that stays where it is.
    on_gpu = not eager and tensors[int(entries[0].key)].device.type == "cuda"
    target = pool.take(length, pinned=on_gpu)
    number = None

    def plain(entry):
        return tensors[int(entry.key)].detach().resolve_conj().resolve_neg()

    try:
        target.view[: len(header)] = header
        if eager or len(entries) > 1:
            for entry in entries:
                if entry.nbytes:
                    copy(plain(entry), target.view, entry)
            if not eager:
                sum_up(target.view, len(header), end)
        elif entries[0].nbytes:
            whole = Copy(plain(entries[0]), target, entries[0])
            if filling and entries[0].nbytes >= BEHIND_BYTES:
                number = filling.add(whole)
            if number is None:
                whole.run()
    except BaseException:
        pool.give(target)
        raise
    identifier = f"{time.monotonic_ns():x}-{entries[0].key}"
    outgoing[identifier] = target, None if number is None else filling
    keys = [entry.key for entry in entries]
    return {
        "id": identifier, "path": target.path, "size": length, "keys": keys, "eager": eager,
        "filling": number,
    }  # fmt: skip
