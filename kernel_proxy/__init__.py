"""The proxy: a Jupyter Server extension that lets static pages run `%%torch` cells beside a GPU."""

from ._version import __version__

__all__ = ["__version__"]


def _jupyter_server_extension_points() -> list[dict]:
    from .app import KernelProxy

    return [{"module": "kernel_proxy", "app": KernelProxy}]
