"""The layout on the wire, held against the format's own reader."""

import json
import struct

import numpy as np
import pytest
import safetensors.numpy

from jupyterlite_torch import _safetensors
from jupyterlite_torch._arrays import Outgoing


def file_of(*arrays):
    outgoing = Outgoing()
    for array in arrays:
        outgoing.leaf(array)
    pieces, size = outgoing.file()
    data = b"".join(pieces)
    assert len(data) == size
    return data


def test_the_reference_reader_reads_it():
    arrays = [np.arange(5, dtype="i1"), np.ones((2, 3)), np.zeros((0, 4), "f4"), np.array(True)]
    read = safetensors.numpy.load(file_of(*arrays))
    for key, array in enumerate(arrays):
        assert read[str(key)].dtype == array.dtype and read[str(key)].shape == array.shape
        assert read[str(key)].tobytes() == array.tobytes()


def test_tensors_are_aligned():
    data = file_of(np.ones(3, "u1"), np.ones(3, "f8"), np.ones(3, "f2"), np.ones(1, "c16"))
    start = _safetensors.header_size(data[:8])
    assert start % _safetensors.ALIGNMENT == 0
    for entry in _safetensors.parse(data[:start], len(data)).values():
        assert entry.start % _safetensors.ITEM_SIZES[entry.code] == 0


def header(table):
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "table",
    [
        {"a": {**GOOD, "shape": [3]}},
        {"a": {**GOOD, "shape": [-2]}},
        {"a": {**GOOD, "shape": [2.0]}},
        {"a": {**GOOD, "shape": "ab"}},
        {"a": {**GOOD, "dtype": "F99"}},
        {"a": {**GOOD, "data_offsets": [8, 16]}},
        {"a": {**GOOD, "data_offsets": [0]}},
        {"a": {**GOOD, "data_offsets": [0.0, 8.0]}},
        {"a": {**GOOD, "data_offsets": [0, 8, 8]}},
        {"a": {**GOOD, "shape": [True, 2]}},
        {"a": {**GOOD, "shape": [2**64, 2]}},
        {"a": {**GOOD, "shape": [9] * 10**6}},
        {"a": {**GOOD, "data_offsets": [8, 0]}},
        {"a": GOOD, "b": GOOD},
        {"a": [1]},
        [1],
        {"a": {**GOOD, "shape": [2**62, 4]}},
    ],
)
def test_headers_that_lie_are_refused(table):
    head = header(table)
    with pytest.raises(ValueError, match=r"safetensors|tensor 'a'|tensor 'b'"):
        _safetensors.parse(head, len(head) + 8)


def test_absurd_header_length_is_refused():
    with pytest.raises(ValueError, match="is over"):
        _safetensors.header_size(struct.pack("<Q", 2**63))
