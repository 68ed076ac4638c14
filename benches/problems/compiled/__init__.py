"""Numba code in modules of its own, so that no peer's process pays for importing Numba."""
