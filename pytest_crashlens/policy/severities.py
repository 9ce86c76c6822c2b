"""Reads what states and detections mean: ``error``, ``warn`` or ``ignore``."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_crashlens.detect.detection import DetectionKind
from pytest_crashlens.policy.config import (
    DETECTIONS,
    DETECTORS,
    SEVERITIES,
    STATES,
    Severity,
    State,
)
from pytest_crashlens.policy.field import Field


def read_severities(given: Mapping[str, Field]) -> dict[State, Severity]:
    """Those of the states among the top level's keys; what is wrong with them is noted."""
    found: dict[State, Severity] = {}
    for state in STATES:
        severity = given[state].choice(SEVERITIES) if state in given else None
        if severity is not None:
            found[state] = severity
    return found


def read_detectors(given: Field) -> dict[DetectionKind, Severity]:
    """Those of every kind of detection; what is wrong with them is noted."""
    fields = given.fields(DETECTIONS)
    found = dict(DETECTORS)
    for kind in DETECTIONS:
        severity = fields[kind].choice(SEVERITIES) if kind in fields else None
        if severity is not None:
            found[kind] = severity
    return found
