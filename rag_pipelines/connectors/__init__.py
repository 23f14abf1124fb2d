"""One module per system that documents come from; the contract in `base`, the names in `registry`."""
