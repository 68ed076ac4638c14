"""NumPy's functions as compositions of ops; each module registers its own when it is loaded."""

# dispatch and the Tracer's methods are complete when these are loaded, and what dispatch.LATE names
from jittape.functions import (  # noqa: F401
    accumulations,
    creation,
    edit,
    flat,
    gather,
    helpers,
    index,
    inplace,
    join,
    keys,
    math,
    padding,
    products,
    reductions,
    select,
    shape,
    sorting,
    strided,
    ufuncs,
)
from jittape.tracing import boundary, lists, numba_functions, patches  # noqa: F401

boundary.install()
lists.install()
patches.install()
