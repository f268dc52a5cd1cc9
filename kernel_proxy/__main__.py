"""`python -m kernel_proxy` is `jupyter torch-proxy`."""

from kernel_proxy.app import main

main()
