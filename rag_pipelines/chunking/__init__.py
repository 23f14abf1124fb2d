"""Blocks to chunks: one module per strategy. Import the concrete submodules."""
