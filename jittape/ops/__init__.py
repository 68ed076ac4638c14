"""The ops, declared by theme. All modules but those of `NEED_SCIPY` are loaded with jittape."""

# loaded when the first of SciPy's ufuncs meets a tracer, or with jittape.scipy.special
NEED_SCIPY = frozenset({"special", "gamma", "bessel"})
