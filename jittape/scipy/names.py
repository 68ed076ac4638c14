"""What of SciPy records while a trace is open, and which part of jittape.scipy records it.

This is the one list of these names. A part is imported when one of its names first meets a tracer
(see scipy.patches), since importing all of them takes longer than a first gradient; so the list is
not in the parts, and they take from it what they need to know.
"""

from __future__ import annotations

from typing import NamedTuple


class Functions(NamedTuple):
    """Functions of a SciPy module, recorded by what a part has by the same names.

    part: a module of jittape.scipy, or another module by its full name. inside: further modules of
    SciPy, whose own Python code calls the functions by these names. listed: whether the op
    reference names them.
    """

    module: str
    part: str
    names: tuple[str, ...]
    inside: tuple[str, ...] = ()
    listed: bool = True


class Methods(NamedTuple):
    """Methods of a class of SciPy, recorded by functions of a part.

    owner: the class, or an object of it, as an attribute of the module; what is replaced is the
    method of the class that defines it, and with subclasses=True those of its subclasses, too.
    names: method -> function of the part. holding: the attributes in which an object may hold a
    tracer, so that it records with plain arguments, too. needs: (module, name) that the version of
    SciPy must have. listed: what the op reference names because of this.
    """

    module: str
    part: str
    owner: str
    names: dict[str, str]
    holding: tuple[str, ...] = ()
    subclasses: bool = False
    needs: tuple[str, str] | None = None
    listed: tuple[str, ...] = ()


def _same(names: str) -> dict[str, str]:
    return {name: name for name in names.split()}


_SPECIAL = """
logsumexp softmax log_softmax multigammaln polygamma softplus factorial comb perm lambertw
sph_harm_y
"""
_LINALG = """
cho_factor cho_solve cholesky det eigh eigvalsh expm inv norm pinv qr solve solve_triangular svd
svdvals
"""
_LINALG_FACTORS = "eig eigvals lstsq lu lu_factor lu_solve orth pinvh polar"
_LINALG_FUNCTIONS = """
sqrtm logm signm fractional_matrix_power expm_frechet cosm sinm tanm coshm sinhm tanhm
solve_sylvester solve_continuous_lyapunov solve_discrete_lyapunov toeplitz hankel circulant
convolution_matrix solve_toeplitz matmul_toeplitz solve_banded solveh_banded
"""
_FFT = """
fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn fftshift ifftshift
"""
_SIGNAL = "convolve correlate convolve2d correlate2d lfilter sosfilt upfirdn savgol_filter medfilt"
_IN_SIGNAL = ("scipy.signal._signaltools", "scipy.signal._savitzky_golay")
_NDIMAGE = """
correlate1d convolve1d gaussian_filter1d gaussian_filter uniform_filter1d uniform_filter correlate
convolve sobel prewitt laplace gaussian_laplace gaussian_gradient_magnitude map_coordinates
maximum_filter minimum_filter median_filter
"""


def _functions(module: str, part: str, names: str, inside: tuple[str, ...] = ()) -> Functions:
    return Functions(module, part, tuple(names.split()), inside)


FUNCTIONS = (
    _functions("scipy.special", "special", _SPECIAL),
    _functions("scipy.linalg", "linalg", _LINALG),
    _functions("scipy.linalg", "linalg_factors", _LINALG_FACTORS),
    _functions("scipy.linalg", "linalg_functions", _LINALG_FUNCTIONS),
    # (what SciPy's array-API code calls: NumPy's function by parts that take arrays only; the
    # second one since SciPy 1.18)
    *(
        Functions(
            f"scipy.{part}.array_api_compat.numpy.linalg", "numpy.linalg", ("solve",), (), False
        )
        for part in ("_lib", "_external")
    ),
    _functions("scipy.fft", "fft", _FFT),
    _functions("scipy.fft", "dct", "dct idct dst idst dctn idctn dstn idstn"),
    _functions("scipy.integrate", "integrate", "simpson"),
    _functions("scipy.spatial.distance", "spatial", "cdist pdist squareform"),
    _functions("scipy.signal", "signal", _SIGNAL, _IN_SIGNAL),
    _functions("scipy.ndimage", "ndimage", _NDIMAGE),
    _functions("scipy.sparse.linalg", "sparse_linalg", "spsolve"),
    _functions("scipy.interpolate", "interpolate", "make_interp_spline splev"),
)

_KDE = {"logpdf": "kde_log", "pdf": "kde", "evaluate": "kde", "__call__": "kde"}
_PRODUCTS = {"_matmul_dispatch": "left", "_rmatmul_dispatch": "right", **_same("multiply dot")}
_COEFFICIENTS = ("_c", "c")  # the one or the other, by the version of SciPy


def _stats(owner: str, names: dict[str, str], needs: tuple[str, str] | None = None) -> Methods:
    return Methods("scipy.stats", "stats", owner, names, needs=needs)


def _interpolant(
    owner: str,
    init: str | None = None,
    call: str | None = None,
    holding: tuple[str, ...] = (),
    listed: tuple[str, ...] = (),
    part: str = "interpolate",
) -> list[Methods]:
    """A class of scipy.interpolate that is made by `init` and called by `call`."""
    made = [("__init__", init, ()), ("__call__", call, holding)]
    return [
        Methods("scipy.interpolate", part, owner, {m: f}, h, listed=(owner, *listed))
        for m, f, h in made
        if f is not None
    ]


METHODS = (
    _stats("rv_continuous", _same("logpdf pdf cdf logcdf sf logsf")),
    _stats("rv_discrete", _same("logpmf pmf")),
    Methods(
        "scipy.stats", "stats", "gaussian_kde", _KDE, holding=("dataset", "covariance", "_weights")
    ),
    _stats("skewnorm", {"_cdf": "skewnorm_cdf"}, needs=("scipy.special._ufuncs", "_skewnorm_cdf")),
    Methods("scipy.sparse", "sparse", "_base._spbase", _PRODUCTS, subclasses=True),
    *_interpolant(
        "PPoly", call="polynomial_call", holding=_COEFFICIENTS, listed=("Akima1DInterpolator",)
    ),
    # (to refuse it: SciPy 1.18 no longer has its call in common with PPoly)
    Methods("scipy.interpolate", "interpolate", "BPoly", {"__call__": "polynomial_call"}),
    *_interpolant("CubicSpline", init="cubic_spline"),
    *_interpolant("CubicHermiteSpline", init="hermite"),
    *_interpolant("PchipInterpolator", init="pchip"),
    *_interpolant("BSpline", call="spline_call", holding=_COEFFICIENTS),
    *_interpolant("interp1d", init="interp1d_init", call="interp1d_call", holding=("_y",)),
    *_interpolant(
        "RegularGridInterpolator",
        call="grid_call",
        holding=("_values",),
        listed=("interpn",),
        part="grids",
    ),
)

# SciPy's own code runs on tracers in statistics, and where a method was bound before a trace opened
# (`N = norm.cdf`): what NumPy's functions make there must see the traced values that are written to
# it. module -> (the modules of that code, NumPy's functions as it has them)
FILLED = {
    "scipy.stats": (
        tuple(
            f"scipy.stats.{m}" for m in "_distn_infrastructure _stats_py _morestats _kde".split()
        ),
        ("zeros", "ones", "empty", "array", "asarray"),
    )
}

_ALL: tuple[Functions | Methods, ...] = (*FUNCTIONS, *METHODS)
MODULES = tuple(dict.fromkeys([row.module for row in _ALL]))


def home(part: str) -> str:
    """The full name of a part."""
    return part if "." in part else f"jittape.scipy.{part}"


PARTS = tuple(dict.fromkeys([home(row.part) for row in _ALL]))


def functions_of(*parts: str) -> list[str]:
    """The names of the functions that these parts record."""
    return [name for row in FUNCTIONS if row.part in parts for name in row.names]


def listed(module: str) -> list[str]:
    """What the op reference names of a SciPy module, whether or not this version has it."""
    found = [n for row in FUNCTIONS if row.module == module and row.listed for n in row.names]
    found += [n for row in METHODS if row.module == module for n in row.listed]
    return list(dict.fromkeys(found))
