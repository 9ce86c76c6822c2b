"""What the markers of a test say."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.limits import Limits, limits_from_marker


def marker_settings(item: pytest.Item) -> dict[str, Any]:
    """Settings of the test's crashlens markers, the closest one winning key by key."""
    limits = Limits()
    settings: dict[str, Any] = {}
    fault = ""
    for marker in item.iter_markers("crashlens"):
        try:
            if marker.args:
                given = ", ".join(repr(value) for value in marker.args)
                raise ConfigError(
                    f"@pytest.mark.crashlens takes keyword arguments only, got {given}"
                )
            closer = limits_from_marker(marker.kwargs)
        except ConfigError as error:
            fault = f"{item.nodeid}: {error}"
        if fault:  # here, as in the except clause both errors would be shown
            pytest.fail(fault, pytrace=False)
        limits = limits.over(closer.limits)
        for name in ("task", "key", "ignore"):
            if name in marker.kwargs:
                settings.setdefault(name, getattr(closer, name))
        if closer.tags:  # a test can only gain them: its class's budget holds for it too
            known = settings.get("tags", [])
            settings["tags"] = list(dict.fromkeys((*known, *closer.tags)))
    return settings | {"limits": limits.to_dict()}
