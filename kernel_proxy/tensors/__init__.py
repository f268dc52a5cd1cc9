"""Tensors between kernel and page."""
