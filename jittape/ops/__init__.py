"""The ops, declared by theme.

The modules below are loaded with jittape, in this order; the others with the functions that need
them: numpy.linalg's, numpy.fft's and SciPy's (see tracing.dispatch).
"""

AT_ONCE = (
    "accumulate", "arithmetic", "compare", "complexes", "elementwise", "guards", "index",
    "product", "reduce", "shape", "sort", "stack", "stop", "trigonometric",
)  # fmt: skip
