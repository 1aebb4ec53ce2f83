"""Random numbers from a counter: the same bits eager and compiled, on every machine.

Comes in: parameters, a shape, a generator (or none: the process's, see `seed`). Goes out: tensors.
Bits come from Philox4x32-10; distributions use bit-exact operations only: integers, + - * /, sqrt.

Distributions that have no required parameter take the shape first; the others take it after their
parameters, and by default it is the parameters' common shape.
"""

from ..draws import (
    bits,
    default,
    get_state,
    integers,
    normal,
    permutation,
    seed,
    set_state,
    uniform,
)
from ..generator import Generator
from .continuous import (
    cauchy,
    exponential,
    gumbel,
    laplace,
    logistic,
    lognormal,
    multivariate_normal,
    pareto,
    rayleigh,
    triangular,
    truncated_normal,
    weibull,
)
from .discrete import (
    bernoulli,
    binomial,
    categorical,
    choice,
    geometric,
    multinomial,
    poisson,
    rademacher,
    shuffle,
)
from .gammas import beta, chisquare, dirichlet, gamma, standard_t

__all__ = [
    "Generator",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "default",
    "dirichlet",
    "exponential",
    "gamma",
    "geometric",
    "get_state",
    "gumbel",
    "integers",
    "laplace",
    "logistic",
    "lognormal",
    "multinomial",
    "multivariate_normal",
    "normal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "rayleigh",
    "seed",
    "set_state",
    "shuffle",
    "standard_t",
    "triangular",
    "truncated_normal",
    "uniform",
    "weibull",
]
