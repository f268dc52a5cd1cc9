"""Content coding of tensors on their way down: zstd, when a sample says that it pays on this link."""

import time

import zstandard

#: The fastest level that still finds zeros and narrow integers.
LEVEL = 1
#: So much is tried in so many places, in bytes; less is not worth a try.
SAMPLE_BYTES = 2**18
SAMPLES = 3
#: What has to be left of the time.
WORTH = 0.8


def worthwhile(view: memoryview, rate: float) -> float | None:
    """Return the ratio that zstd reaches on a sample of `view`, None if it would not pay.

    `rate`: bytes per second that the link carries.
    """
    if len(view) < SAMPLES * SAMPLE_BYTES:
        return None
    before = after = 0
    began = time.perf_counter()
    for number in range(SAMPLES):
        start = (len(view) - SAMPLE_BYTES) * number // (SAMPLES - 1)
        before += SAMPLE_BYTES
        after += len(zstandard.compress(view[start : start + SAMPLE_BYTES], LEVEL))
    seconds, ratio = (time.perf_counter() - began) / before, after / before
    # Coding goes on while the line is busy; the slower of both counts.
    return ratio if max(seconds, ratio / rate) < WORTH / rate else None


class Coder:
    """A zstd stream, of which each part can be read as soon as it is there."""

    def __init__(self) -> None:
        self._coder = zstandard.ZstdCompressor(LEVEL).compressobj()

    def code(self, part: memoryview) -> bytes:
        """Return the bytes that stand for one more part."""
        return self._coder.compress(part) + self._coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        """Return what ends the stream."""
        return self._coder.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)
