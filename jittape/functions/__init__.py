"""NumPy's functions as compositions of ops; each module registers its own when it is loaded."""

from importlib import import_module
from pkgutil import iter_modules

from jittape.tracing.dispatch import LATE

# dispatch and the Tracer's methods are complete only when all but the late ones are loaded
for _module in iter_modules(__path__):
    _name = f"{__name__}.{_module.name}"
    if _name not in LATE.values():
        import_module(_name)

from jittape.tracing import boundary, lists, numba_functions, patches  # noqa: E402, F401

boundary.install()
lists.install()
patches.install()
