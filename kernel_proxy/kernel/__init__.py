"""Kernels, and what is put into them."""
