"""What other plugins and conftest files may add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_crashlens.providers.reading import WireFormat


@pytest.hookspec
def pytest_crashlens_wire_formats(config: pytest.Config) -> Sequence[WireFormat]:
    """Readers of wire formats that crashlens does not know: a gateway's or a provider's own.

    Asked once in every process that runs tests, before the first of them. A reader is any object
    with the members of ``pytest_crashlens.providers.reading.WireFormat``; it is asked before the
    readers that crashlens brings, so ``matches`` must be narrow, and it is asked for every
    request, so it must be cheap.
    """
    raise NotImplementedError
