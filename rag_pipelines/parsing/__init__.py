"""Bytes to blocks: one module per format, a registry that finds the parser by content, and the worker pool.

Import the concrete submodules; nothing is imported here.
"""
