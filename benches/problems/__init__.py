"""The problems by name. A module is imported only when one of its problems is asked for."""

import importlib

from ..problem import Problem

PLACES = {
    "call": ("call", "PROBLEM"),
    "chain": ("chain", "PROBLEM"),
    "chain_trig": ("chain", "TRIG"),
    "net": ("net", "PROBLEM"),
    "nbody": ("nbody", "PROBLEM"),
    "gmm": ("gmm", "PROBLEM"),
    "lstm": ("lstm", "PROBLEM"),
    "kmeans": ("kmeans", "PROBLEM"),
    "det": ("det", "PROBLEM"),
    "lse": ("lse", "PROBLEM"),
    "ba": ("ba", "PROBLEM"),
    "hvp": ("net", "HVP"),
    "rosenbrock": ("rosenbrock", "PROBLEM"),
    "dense": ("dense", "PROBLEM"),
    "lanes": ("lanes", "PROBLEM"),
    "ode": ("ode", "PROBLEM"),
    "rnn": ("rnn", "PROBLEM"),
    "gp": ("gp", "PROBLEM"),
}


def load(name: str) -> Problem:
    module, attribute = PLACES[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
