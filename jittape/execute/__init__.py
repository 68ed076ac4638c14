"""Execution of Programs. Numba is imported only where code has to be compiled (see library).

run        links a Program to this process, and sweeps it
entry      the entry from Python: one call of a built-in function
loop       a Program swept again and again
blocks     the same, what many steps can do at once apart
library, address, choose    the compiled code of this process; addresses of NumPy's loops and others
Compiled, all into one object file:
    sweep, threaded, row_values, inner    the sweeps, written with primitives
    parts                 calls whole, or cut for several threads
    kernels, lines, moves, joins, strips, products, tiles, factors     what they call
    maths, vector         exp and tanh, and libmvec
    recurrence, block_loop      x <- A x + b, and all blocks of a loop
Threads:
    threads               how many, and from which size on
    pool, workers         jittape's own; parallel: Numba's, on other platforms
"""

from jittape.execute.run import GuardFailure, IndexFailure, run

__all__ = ["GuardFailure", "IndexFailure", "run"]
