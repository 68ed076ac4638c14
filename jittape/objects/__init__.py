"""Machine code of jittape's own loops: compiled by Numba once per installation, kept on disk as
object files, loaded without Numba.

Numba's own disk cache was not chosen: it sees edits of the one file that defines a function, and
none in the modules that the function calls; and to load from it, all of Numba has to be imported,
0.5 s and 80 MB where an object takes 0.05 s (nearly all of it llvmlite's import) and 50 MB.
"""

from jittape.objects.load import Loaded
from jittape.objects.store import Unit, get, is_kept, is_loaded

__all__ = ["Loaded", "Unit", "get", "is_kept", "is_loaded"]
