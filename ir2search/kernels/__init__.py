"""Compiled kernels: sources, build and bindings."""
