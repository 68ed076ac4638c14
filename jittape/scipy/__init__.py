"""Functions of SciPy that NumPy's protocols cannot reach: those that SciPy writes in Python."""
