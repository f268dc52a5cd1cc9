"""Tensors into segments: at once, or behind a reply, while the proxy sends what is there.

Injected into the kernel, as agent.py is.
"""

import asyncio
import ctypes
import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import _jupyterlite_torch_known as known
import _jupyterlite_torch_page_checksum as page_checksum
import torch
from _jupyterlite_torch_checksum import BLOCK_BYTES, block_checksums
from _jupyterlite_torch_segment import MARK

#: What a thread copies at a time, in bytes: from the CPU, what is still in its cache when it is summed
#: up; from elsewhere, what is not much longer for each copy being waited for.
CPU_SPAN_BYTES, SPAN_BYTES = 2 * BLOCK_BYTES, 8 * BLOCK_BYTES
#: What a Filling makes at most, and how often it tells about how far it is beside the end of each: all
#: marks fit into the smallest pipe of Linux, a page, so that it never waits for the proxy.
MAX_COPIES, MARKS = 64, 100


class Copy:
    """A tensor without conj and neg bits that goes into the segment `target`, where its `entry` says,
    and behind it the checksum of each MiB. It is the copy that is summed up: a cell that runs
    meanwhile may change the tensor."""

    def __init__(self, tensor, target, entry):
        self._tensor, self._target, self._entry = tensor, target, entry

    @property
    def is_gradual(self):
        """True if the tensor is copied from its first byte to its last."""
        return self._tensor.is_contiguous()

    @property
    def nbytes(self):
        """Of the tensor."""
        return self._entry.nbytes

    @property
    def size(self):
        """Of the file and what is behind it, in bytes."""
        return file_size(self._entry.start, self._entry.start + self._entry.nbytes)

    def run(self, told=lambda count: None):
        """Copy it, on several processors; OSError when the system has no memory for it. `told(count)`
        is called when `count` bytes of the file are there, more each time."""
        entry, view = self._entry, self._target.view
        end = entry.start + entry.nbytes
        copy = view[entry.start : end]
        part = self._part if self.is_gradual else self._whole()
        span = CPU_SPAN_BYTES if self._tensor.device.type == "cpu" else SPAN_BYTES

        def copied(start):
            stop = min(start + span, entry.nbytes)
            part(start, stop)
            return stop, block_checksums(copy[start:stop])

        sums = []
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
            for stop, added in threads.map(copied, range(0, entry.nbytes, span)):
                sums += added
                told(entry.start + stop)
        _write_behind(view, end, sums)

    def _whole(self):
        copy(self._tensor, self._target.view, self._entry)
        return lambda start, stop: None

    def _part(self, start, stop):
        tensor, target, place = self._tensor, self._target, self._entry.start + start
        if tensor.device.type != "cpu":
            size = tensor.element_size()
            numbers = tensor.view(-1)[start // size : stop // size]
            into = torch.frombuffer(
                target.view, dtype=tensor.dtype, count=len(numbers), offset=place
            )
            into.copy_(numbers)
        elif target.used:
            # Not `copy_`, which begins as many threads of OpenMP in each of these.
            ctypes.memmove(_address(target.view, place), tensor.data_ptr() + start, stop - start)
        else:
            # Cheaper than a mapping where the pages are fresh, and three times as dear where not.
            target.write(place, known.bytes_of(tensor.view(-1))[start:stop])


def file_size(start, end):
    """Return the size of a file whose data is from `start` to `end`, with the checksums behind it."""
    return end + page_checksum.packed_size(end - start)


def sum_up(view, start, end):
    """Write the checksum of each MiB of a file's data behind it."""
    _write_behind(view, end, block_checksums(view[start:end]))


def _write_behind(view, end, sums):
    behind = page_checksum.packed(sums)
    view[end : end + len(behind)] = behind


def copy(tensor, view, entry):
    """Copy a tensor of any layout and device to its place in a segment's `view`."""
    target = torch.frombuffer(view, dtype=tensor.dtype, count=tensor.numel(), offset=entry.start)
    # Straight from the GPU, without a copy on its way, where the segment is page-locked.
    target.view(tensor.shape).copy_(tensor)


def _address(view, place):
    return torch.frombuffer(view, dtype=torch.uint8).data_ptr() + place


class Filling:
    """Copies that are made by a thread, one after the other, and a pipe in which the proxy reads
    their MARKs. With `first` they are made before the event loop of the thread that has begun them
    runs anything else, which is once that has sent its reply."""

    def __init__(self, first=False):
        self._first = first
        self._copies = []
        self._reader = self._writer = -1
        self._thread = threading.Thread(target=self._run, daemon=True)

    def add(self, copy):
        """Return the number of a copy that `start` is to make; None for one that it can not."""
        if len(self._copies) == MAX_COPIES or not copy.is_gradual:
            return None
        self._copies.append(copy)
        return len(self._copies) - 1

    def start(self):
        """Begin to copy, and return the path of the pipe; None with nothing to copy."""
        if not self._copies:
            return None
        self._reader, self._writer = os.pipe()
        self._thread.start()
        if self._first:
            asyncio.get_running_loop().call_soon(self._thread.join)
        return f"/proc/{os.getpid()}/fd/{self._reader}"

    def end(self):
        """Return when all are made; to be called when the proxy has opened the pipe, or is gone."""
        if self._reader >= 0:
            self._thread.join()
            os.close(self._reader)
            self._reader = -1

    def _run(self):
        step = sum(copy.nbytes for copy in self._copies) / MARKS
        for number, each in enumerate(self._copies):
            try:
                self._make(number, each, step)
            except Exception as error:
                self._tell(number, -(getattr(error, "errno", None) or errno.EIO))
        # What has been copied is free to go.
        self._copies.clear()
        os.close(self._writer)

    def _make(self, number, each, step):
        said = 0

        def told(count):
            nonlocal said
            if count - said >= step:
                said = count
                self._tell(number, count)

        each.run(told)
        self._tell(number, each.size)

    def _tell(self, number, count):
        os.write(self._writer, MARK.pack(number, count))
