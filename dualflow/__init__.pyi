"""What editors and type checkers see of the package root, whose attributes are loaded lazily."""

from . import data as data
from . import interop as interop
from . import nn as nn
from . import optim as optim
from .api import *  # noqa: F403
from .autograd.control import cond as cond
from .autograd.control import map as map
from .autograd.control import scan as scan
from .autograd.control import while_loop as while_loop
from .autograd.custom import custom_gradient as custom_gradient
from .autograd.custom import stop_gradient as stop_gradient
from .autograd.forward import hvp as hvp
from .autograd.forward import jvp as jvp
from .autograd.forward import linearize as linearize
from .autograd.jacobians import hessian as hessian
from .autograd.jacobians import jacfwd as jacfwd
from .autograd.jacobians import jacobian as jacobian
from .autograd.jacobians import jacrev as jacrev
from .autograd.mapping import vmap as vmap
from .autograd.recompute import checkpoint as checkpoint
from .capture import compile as compile
from .capture import pure as pure
from .inspect.compare import compare as compare
from .interop.files import load as load
from .interop.files import save as save
from .ops.functions import fft as fft
from .ops.functions import linalg as linalg
from .ops.functions.information import __array_namespace_info__ as __array_namespace_info__
from .ops.functions.information import can_cast as can_cast
from .ops.functions.information import finfo as finfo
from .ops.functions.information import iinfo as iinfo
from .ops.functions.information import isdtype as isdtype
from .ops.functions.information import result_type as result_type
from .ops.functions.linalg import cross as cross
from .ops.functions.linalg import diagonal as diagonal
from .ops.functions.linalg import trace as trace
from .ops.functions.statistics import average as average
from .ops.functions.statistics import bincount as bincount
from .ops.functions.statistics import corrcoef as corrcoef
from .ops.functions.statistics import cov as cov
from .ops.functions.statistics import digitize as digitize
from .ops.functions.statistics import histogram as histogram
from .ops.functions.statistics import median as median
from .ops.functions.statistics import nanmax as nanmax
from .ops.functions.statistics import nanmean as nanmean
from .ops.functions.statistics import nanmin as nanmin
from .ops.functions.statistics import nanstd as nanstd
from .ops.functions.statistics import nansum as nansum
from .ops.functions.statistics import nanvar as nanvar
from .ops.functions.statistics import percentile as percentile
from .ops.functions.statistics import ptp as ptp
from .ops.functions.statistics import quantile as quantile

__version__: str
__array_api_version__: str
