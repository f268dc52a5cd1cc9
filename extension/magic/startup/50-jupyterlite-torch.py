"""Loads %%torch when a kernel starts. A failure is told, and the kernel starts all the same."""


def _load_jupyterlite_torch():
    import sys

    from IPython import get_ipython

    shell = get_ipython()
    try:
        import jupyterlite_torch

        jupyterlite_torch.load_ipython_extension(shell)
    except Exception as error:
        reason = f"%%torch could not be loaded: {type(error).__name__}: {error}"
        print(f"Warning: {reason}", file=sys.stderr)

        # The kernel starts before the first cell, so that line is in the log only.
        def torch(line, cell=None):
            raise ImportError(reason)

        shell.register_magic_function(torch, "line_cell", "torch")


_load_jupyterlite_torch()
del _load_jupyterlite_torch
