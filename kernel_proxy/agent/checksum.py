"""Checksums of a tensor's bytes, as the page computes them.

Injected into the kernel, as agent.py is.
"""

import functools

import _jupyterlite_torch_page_checksum as page_checksum
import torch

BLOCK_BYTES = page_checksum.BLOCK_BYTES


@functools.cache
def _factors():
    return torch.frombuffer(bytearray(page_checksum.factors()), dtype=torch.int64)


def _dot(words):
    if not words:
        return 0
    # Signed, which is the same modulo 2**64.
    numbers = torch.frombuffer(words, dtype=torch.int64)
    return torch.dot(numbers, _factors()[: len(numbers)]).item()


def _combined(words):
    return page_checksum.combined(words, _dot)


def block_checksums(data):
    """Return the checksum of each block of a writable memoryview. Other threads run meanwhile."""
    return page_checksum.block_checksums(data, _combined)
