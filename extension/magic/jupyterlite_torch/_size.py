"""Sizes as people read them.

Pure standard library: this source runs in the page, in the proxy and, injected by it, in the kernel.
"""


def human_size(nbytes):
    """Return a number of bytes as a person reads it."""
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} GiB"
