"""`python -m kernel_proxy` is `jupyter torch-proxy`."""

from .command import main

main()
