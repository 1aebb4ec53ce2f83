"""The page of names: every name of dualflow's on it exists, and every public function is on it."""

import re
from operator import attrgetter
from pathlib import Path

import pytest

import dualflow as df
from dualflow import api
from dualflow.base.synonyms import INSTEAD

PAGE = (Path(__file__).parent.parent / "tutorials" / "names.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(df(?:\.\w+)+)", PAGE)))
METHODS = sorted(set(re.findall(r"`t\.(\w+)", PAGE)))
DTYPES = re.compile(r"bool_|u?int\d+|float\d+|complex\d+")
CONSTANTS = {"Tensor", "bool", "e", "errors", "inf", "nan", "pi", "random"}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_exists(name: str):
    found = df
    for part in name.split(".")[1:]:
        found = getattr(found, part)


@pytest.mark.parametrize("name", METHODS)
def test_the_method_exists(name: str):
    assert name in dir(df.Tensor)


def test_every_public_function_is_on_the_page():
    public = {f"df.{name}" for name in api.__all__
              if name not in CONSTANTS and not DTYPES.fullmatch(name)}  # fmt: skip
    for room in ("fft", "linalg"):
        module = getattr(df, room)
        public |= {f"df.{room}.{name}" for name, value in vars(module).items()
                   if getattr(value, "__module__", "") == module.__name__
                   and callable(value) and not isinstance(value, type)
                   and not name.startswith("_")}  # fmt: skip
    public |= {f"df.random.{name}" for name in df.random.__all__ if name != "default"}
    assert sorted(public - set(NAMES)) == []


@pytest.mark.parametrize("name", INSTEAD)
def test_names_of_other_libraries_lead_to_ours(name: str):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; write ") as caught:
        getattr(df, name)
    for ours in re.findall(r"df\.([\w.]+)", str(caught.value)):
        assert attrgetter(ours)(df) is not None
