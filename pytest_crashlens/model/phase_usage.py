"""What a test used, phase by phase, and how that crosses process borders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from pytest_crashlens.model.call import Call

SET_UP = " #"
"""Between a fixture's key and the number of its set-up in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseUsage:
    """What happened in one phase (setup, call, teardown) of one test.

    It travels as the attribute ``crashlens`` of the test report, as a dict of exact builtin types:
    any other type in it would abort a distributed run.
    """

    ATTRIBUTE: ClassVar[str] = "crashlens"

    worker: str = "main"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The marker's settings as plain data (limits, task, key, ignore)."""
    calls: tuple[Call, ...] = ()
    """Calls of the test itself."""
    fixtures: Mapping[str, tuple[Call, ...]] = field(default_factory=dict)
    """Calls of fixtures that outlive one test, by ``fixture:path::name #number``."""
    set_up: tuple[str, ...] = ()
    """Fixtures that outlive one test and were set up well, each told once."""
    late: tuple[Call, ...] = ()
    """Calls sent after their test had finished, or outside any test."""
    uncaptured: tuple[str, ...] = ()
    """Provider hosts that the test looked up without any request that was seen."""
    refused: tuple[str, ...] = ()
    """Live calls of the test that were refused, or answered although they should have been."""
    uncaptured_elsewhere: tuple[str, ...] = ()
    """The same of fixtures that outlive one test, and of what belongs to no test."""
    refused_elsewhere: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    """Mocked SDK calls of the test that were not measured, by name."""
    again: bool = False
    """Whether the test is run once more in this session, so that this is not its last word."""
    faults: tuple[str, ...] = ()
    """Faults of our own: the run is incomplete."""
    libraries: tuple[str, ...] = ()
    """HTTP libraries and SDKs loaded by the process (told once, at its end)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the report."""
        return {
            "worker": self.worker,
            "settings": dict(self.settings),
            "calls": [call.to_dict() for call in self.calls],
            "fixtures": {
                name: [call.to_dict() for call in calls] for name, calls in self.fixtures.items()
            },
            "late": [call.to_dict() for call in self.late],
            "again": self.again,
            **{name: list(getattr(self, name)) for name in _NAMES},
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        return cls(
            worker=plain["worker"],
            settings=plain["settings"],
            calls=_calls(plain["calls"]),
            fixtures={name: _calls(calls) for name, calls in plain["fixtures"].items()},
            late=_calls(plain["late"]),
            again=plain["again"],
            **{name: tuple(plain[name]) for name in _NAMES},
        )


_NAMES = (
    "set_up",
    "uncaptured",
    "refused",
    "uncaptured_elsewhere",
    "refused_elsewhere",
    "unseen",
    "faults",
    "libraries",
)
"""Fields that hold names or sentences."""


def fixture_node(key: str) -> str:
    """``path::name`` of a key ``fixture:path::name #number``."""
    return key.partition(":")[2].rpartition(SET_UP)[0]


def _calls(plain: list[dict[str, Any]]) -> tuple[Call, ...]:
    return tuple(Call.from_dict(call) for call in plain)
