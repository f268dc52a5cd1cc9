"""`python -m kernel_proxy` is `jupyter torch-proxy`."""

from kernel_proxy.command import main

main()
