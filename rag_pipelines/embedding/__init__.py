"""Texts to vectors: one module per kind of model, one way to run any of them. Import the submodules."""
