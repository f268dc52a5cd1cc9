"""Large arrays of which only the blocks that have changed are sent."""

import collections
import itertools
import json
import math

import numpy as np

from . import _values
from ._checksum import BLOCK_BYTES

#: A smaller array goes whole, in bytes.
MIN_BYTES = 4 * 2**20
#: So does one of which this part or more has changed.
MOST = 0.75


class Patch:
    """What turns the array that both sides had into that of now: the `numbers` of the blocks that
    differ, of `nbytes` in all."""

    def __init__(self, dtype, shape, numbers, nbytes, sums):
        self.numbers, self.nbytes = numbers, nbytes
        self._facts = [dtype, shape], [numbers, sums]

    def tree(self, blocks):
        """Return its tree, `blocks` being that of the blocks' bytes."""
        before, after = self._facts
        return {"patch": [*before, blocks, *after]}


def between(agreed, fingerprint):
    """Return the Patch from one fingerprint of the ledger to another; None where the array goes
    whole, or is none by itself."""
    old, new = _facts(agreed), _facts(fingerprint)
    if old is None or new is None or old[:2] != new[:2]:
        return None
    dtype, shape, sums = np.dtype(new[0]), *new[1:]
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < MIN_BYTES or not dtype.isnative:
        return None
    # Checksums that begin with a dtype are not of the array's own bytes.
    if not all(type(each[2][0]) is int for each in (old, new)):
        return None
    numbers = [n for n, pair in enumerate(zip(old[2], sums, strict=True)) if pair[0] != pair[1]]
    changed = sum(min(BLOCK_BYTES, nbytes - number * BLOCK_BYTES) for number in numbers)
    if changed >= MOST * nbytes:
        return None
    return Patch(dtype.name, shape, numbers, changed, sums)


def _facts(fingerprint):
    """Return [dtype, shape, checksums] of the fingerprint of an array; None for any other."""
    if isinstance(fingerprint, str) and fingerprint.startswith('{"tensor": '):
        return json.loads(fingerprint)["tensor"]
    return None


def apply(push, agreed):
    """Have a Push carry patches where it can; return the names for which it does. `agreed` are the
    fingerprints of what the server has, by name.

    An array that is in the push more than once goes whole: there it shall be one tensor, too.
    """
    pairs = ((name, agreed.get(name), new) for name, new in push.fingerprints.items())
    patches = {name: patch for name, old, new in pairs if (patch := between(old, new))}
    if not patches:
        return ()
    uses = collections.Counter(_values.contents(list(push.values.values()), "tensor"))
    patched = [name for name in patches if uses[push.values[name].get("tensor")] == 1]
    for name in patched:
        tree = push.values[name]
        push.arrays.patches[tree["tensor"]] = patches[name]
        push.values[name] = patches[name].tree(tree)
    return patched


def runs(numbers):
    """Yield (first, after the last) of the numbers that follow each other."""
    for _, run in itertools.groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in run]
        yield run[0], run[-1] + 1
