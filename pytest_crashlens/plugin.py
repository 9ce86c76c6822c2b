"""The entry point: options, marker, fixture. Everything else is loaded only when it is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_crashlens.fixture import CrashlensFixture

MARKER = (
    "crashlens(*, max_cost=..., max_total_tokens=..., max_input_tokens=..., "
    "max_output_tokens=..., max_calls=..., max_retries=..., max_increase=..., min_increase=..., "
    "on_exceed=..., task=..., tags=..., key=..., ignore=...): limits and labels for the LLM calls "
    "of a test; of several markers the closest wins, key by key; tags add up."
)
NEEDS_CRASHLENS = {
    "crashlens_config": "--crashlens-config",
    "crashlens_baseline": "--crashlens-baseline",
    "crashlens_no_fail": "--crashlens-no-fail",
    "crashlens_report": "--crashlens-report",
    "crashlens_sdk_mocks": "--crashlens-sdk-mocks",
    "crashlens_block_live": "--crashlens-block-live",
    "crashlens_allow_host": "--crashlens-allow-host",
    "crashlens_subprocesses": "--crashlens-subprocesses",
    "crashlens_confirm": "--crashlens-confirm",
    "crashlens_base": "--crashlens-base",
    "crashlens_max_cost": "--crashlens-max-cost",
    "crashlens_notify": "--crashlens-notify",
    "crashlens_notify_dry_run": "--crashlens-notify-dry-run",
}
NEEDS_UPDATE = {
    "crashlens_prune": "--crashlens-prune",
    "crashlens_reason": "--crashlens-reason",
    "crashlens_repeat": "--crashlens-repeat",
}
OFF = (None, False)
WITHOUT_TESTS = ("collectonly", "help", "markers", "showfixtures", "show_fixtures_per_test")
"""Options with which no test runs: a broken file of ours is then no reason to stop."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    # also when off: else pytest calls the hooks of a user's conftest unknown
    from pytest_crashlens import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crashlens", "LLM cost regression tests")
    group.addoption(
        "--crashlens",
        action="store_true",
        default=None,
        help="Capture, price and judge the LLM calls of each test",
    )
    group.addoption(
        "--no-crashlens",
        action="store_true",
        default=False,
        help="Turn crashlens off, whatever the ini file or addopts say",
    )
    group.addoption(
        "--crashlens-config",
        metavar="PATH",
        help="Policies and limits. Default: crashlens.yml or .github/crashlens.yml in rootdir.",
    )
    group.addoption(
        "--crashlens-baseline",
        metavar="PATH",
        help="The committed snapshot. Default: crashlens-baseline.json in the project root.",
    )
    group.addoption(
        "--crashlens-update-baseline",
        action="store_true",
        default=False,
        help=(
            "Write what the passing tests of this run used to the baseline (implies --crashlens). "
            "Absolute limits and policies still fail."
        ),
    )
    group.addoption(
        "--crashlens-update-baseline-new-only",
        action="store_true",
        default=False,
        help="Write only tests without an entry, compare all others (implies --crashlens)",
    )
    group.addoption(
        "--crashlens-prune",
        action="store_true",
        default=False,
        help="With an update: delete the entries of tests that are gone, if every test ran",
    )
    group.addoption(
        "--crashlens-reason",
        metavar="TEXT",
        help="With an update: why the rises and new tests are accepted, kept in their entries",
    )
    group.addoption(
        "--crashlens-repeat",
        metavar="N",
        type=int,
        help="With an update: run each test with live calls N times, so that its noise is known",
    )
    group.addoption(
        "--crashlens-confirm",
        metavar="N",
        type=int,
        help=(
            "When comparing: run a live test N times more whose output looks too long, and decide "
            "on all runs. 4 is a good number. Default: 0"
        ),
    )
    group.addoption(
        "--crashlens-no-fail",
        action="store_true",
        default=None,
        help="Compare and report, but never fail a test or the run",
    )
    group.addoption(
        "--crashlens-block-live",
        action="store_true",
        default=None,
        help="Refuse LLM calls that no replay or mock answers, before anything is sent or paid",
    )
    group.addoption(
        "--crashlens-allow-host",
        action="append",
        metavar="HOST",
        help="Host (or glob) that --crashlens-block-live lets through. Repeatable.",
    )
    group.addoption(
        "--crashlens-subprocesses",
        action="store_true",
        default=None,
        help="Measure the Python processes that tests start too, through their PYTHONPATH",
    )
    group.addoption(
        "--crashlens-report",
        action="append",
        metavar="TYPE[:PATH]",
        help=(
            "Write a report of the run. TYPE: json, markdown, markdown-append (to a summary), "
            "github (annotations; without PATH printed), html (a page), junit (properties in the "
            "file of --junitxml). Repeatable."
        ),
    )
    group.addoption(
        "--crashlens-base",
        metavar="REV",
        help=(
            "Commit whose baseline the reports hold the whole change against, as HEAD^1 in a pull "
            "request: also what was accepted in it is then told. Limits stay those of the baseline"
        ),
    )
    group.addoption(
        "--crashlens-sdk-mocks",
        action="store_true",
        default=None,
        help="Measure what mocks of SDK classes and frameworks' fake models answer, as simulated",
    )
    group.addoption(
        "--crashlens-max-cost",
        metavar="USD",
        help=(
            "Spend cap: live calls that would take the run over this amount are refused before "
            "they are sent, and fail their test"
        ),
    )
    group.addoption(
        "--crashlens-notify",
        choices=("never", "on-failure", "always"),
        help=(
            "Send messages to the webhooks that crashlens.yml names: when something was found for "
            "them, or always. Default: never"
        ),
    )
    group.addoption(
        "--crashlens-notify-dry-run",
        action="store_true",
        default=None,
        help="Print the messages (without --crashlens-notify: all) instead of sending them",
    )
    parser.addini("crashlens", "Same as --crashlens", type="bool", default=False)
    parser.addini("crashlens_config", "Same as --crashlens-config")
    parser.addini("crashlens_baseline", "Same as --crashlens-baseline")
    parser.addini("crashlens_no_fail", "Same as --crashlens-no-fail", type="bool", default=False)
    parser.addini(
        "crashlens_block_live", "Same as --crashlens-block-live", type="bool", default=False
    )
    parser.addini("crashlens_allow_hosts", "Same as --crashlens-allow-host", type="linelist")
    parser.addini(
        "crashlens_subprocesses", "Same as --crashlens-subprocesses", type="bool", default=False
    )
    parser.addini("crashlens_confirm", "Same as --crashlens-confirm")
    parser.addini("crashlens_max_cost", "Same as --crashlens-max-cost")
    parser.addini("crashlens_notify", "Same as --crashlens-notify")
    parser.addini("crashlens_report", "Same as --crashlens-report", type="linelist")
    parser.addini("crashlens_base", "Same as --crashlens-base")
    parser.addini(
        "crashlens_sdk_mocks", "Same as --crashlens-sdk-mocks", type="bool", default=False
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    if _is_on(config):
        from pytest_crashlens.session import register

        register(config)


def _is_on(config: pytest.Config) -> bool:
    option = config.option
    if option.no_crashlens:
        return False
    updating = option.crashlens_update_baseline or option.crashlens_update_baseline_new_only
    if not updating:
        given = [flag for name, flag in NEEDS_UPDATE.items() if getattr(option, name) not in OFF]
        if given:
            flag = "--crashlens-update-baseline"
            raise pytest.UsageError(f"{', '.join(given)} without {flag}: add {flag}")
    if not (option.crashlens or updating or config.getini("crashlens") is True):
        given = [flag for name, flag in NEEDS_CRASHLENS.items() if getattr(option, name)]
        if given:
            raise pytest.UsageError(f"{', '.join(given)} without --crashlens: add --crashlens")
        return False
    return not any(getattr(option, name, False) for name in WITHOUT_TESTS)


@pytest.fixture
def crashlens(request: pytest.FixtureRequest) -> CrashlensFixture:
    """The test's LLM usage so far; record(...) adds calls that cannot be seen."""
    measure = request.config.pluginmanager.get_plugin("crashlens-measure")
    if measure is None:
        from pytest_crashlens.fixture import detached

        return detached()
    fixture: CrashlensFixture = measure.fixture(request.node)
    return fixture
