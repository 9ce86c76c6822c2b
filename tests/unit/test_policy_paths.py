from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_crashlens.policy.paths import matches_key

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How fast a machine is proves nothing here."""

KEY = "tests/live/deep/test_x.py::TestA::test_y[a/b-1]"


@pytest.mark.parametrize(
    "pattern",
    [
        "tests/live/deep/test_x.py",
        "/tests/live/deep/test_x.py",
        "./tests/**",
        "tests/**",
        "tests/**/test_*.py",
        "tests/live/**/test_x.py",
        "tests/live/deep/**/test_x.py",
        "**/test_x.py",
        "**/deep/*",
        "**",
        "**/**/*.py",
        "tests/*/deep/test_?.py",
        "tests/live/deep/test_[xyz].py",
        "tests/live/deep/test_x.py::*",
        "tests/**::TestA::*",
        "tests/live/deep/test_x.py::TestA::test_y[a/b-1]",
        "**::*test_y*",
    ],
)
def test_matching_patterns(pattern):
    assert matches_key(pattern, KEY)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "tests",
        "tests/live",
        "tests/*",
        "tests/*/test_x.py",
        "*.py",
        "test_x.py",
        "tests/live/deep/test_x",
        "tests/live/deep/test_[!x].py",
        "TESTS/**",
        "live/**",
        "**/other/*",
        "tests/live/deep/test_x.py::test_y",
        "tests/live/deep/test_x.py::TestA::test_y[a]",
        "tests/live/deep/test_x.py::TestA",
        "other/**::*",
    ],
)
def test_other_patterns(pattern):
    assert not matches_key(pattern, KEY)


def test_brackets_behind_the_colons_are_pytests():
    assert matches_key("t.py::test[a]", "t.py::test[a]")
    assert not matches_key("t.py::test[a]", "t.py::testa")


def test_a_fixtures_spend_goes_by_its_file():
    key = "fixture:tests/live/conftest.py::client"
    assert matches_key("tests/live/**", key)
    assert matches_key("fixture:tests/**::client", key)
    assert not matches_key("tests/unit/**", key)


def test_many_wildcards_are_no_trap():
    assert not matches_key("**/" * 40 + "y", "a/" * 200 + "x::t")
    assert not matches_key("*a" * 30 + "b", "a" * 300 + "::t")


@relaxed
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_gets_an_answer(pattern, key):
    assert matches_key(pattern, key) in (True, False)
