"""What editors and type checkers see of the package root, whose attributes are loaded lazily."""

from . import data as data
from . import nn as nn
from . import optim as optim
from .api import *  # noqa: F403
from .capture import compile as compile
from .capture import pure as pure
from .inspect.compare import compare as compare

__version__: str
