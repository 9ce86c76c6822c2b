"""Runs tests of the inner project several times in this one process, each time with other adapters.

A run is the names of the patches that are taken out and the tests; reports are numbered.
"""

import gc
import json
import os
import sys
from pathlib import Path

import pytest

for number, (taken_out, tests) in enumerate(json.loads(Path(sys.argv[1]).read_text())):
    os.environ["TAKEN_OUT"] = " ".join(taken_out)
    report = f"--crashlens-report=json:report{number}.json"
    result = pytest.main(
        ["-q", "--crashlens", "-p", "no:cacheprovider", report, *sys.argv[2:], *tests]
    )
    if result != 0:
        sys.exit(f"without {taken_out or 'nothing'}: pytest said {result!r}")
    gc.freeze()  # the SDKs stay: nobody has to look through them again
