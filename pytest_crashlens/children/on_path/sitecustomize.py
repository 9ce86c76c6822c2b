"""Starts the recorder in a new process, then runs the ``sitecustomize`` this one stands before."""

import contextlib
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

_HERE = str(Path(__file__).parent)

with contextlib.suppress(Exception):  # a process must start, whatever is wrong with us
    from pytest_crashlens.children.child import start

    start()

_spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if path != _HERE])
if _spec is not None and _spec.loader is not None:
    _module = module_from_spec(_spec)
    sys.modules["sitecustomize"] = _module
    _spec.loader.exec_module(_module)
