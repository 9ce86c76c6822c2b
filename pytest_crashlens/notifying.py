"""Tells others of the run after its end, from the process that judges; it changes nothing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from pytest_crashlens import measure
from pytest_crashlens.judge import Judge
from pytest_crashlens.notify.found import notified_channels
from pytest_crashlens.notify.origin import origin_of
from pytest_crashlens.notify.plan import WHEN, Message, When, messages
from pytest_crashlens.notify.sender import send_all
from pytest_crashlens.policy.config import NOTIFY, Config

NAME = "crashlens-notifying"
_ENDED = frozenset({pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED})


def register(config: pytest.Config, judge: Judge, policies: Config) -> None:
    """Register what sends messages, where that is asked for.

    Raises:
        pytest.UsageError: The ini file says a word that is none.
    """
    dry = bool(config.option.crashlens_notify_dry_run)
    given = config.option.crashlens_notify or config.getini("crashlens_notify")
    when = given or ("always" if dry else "never")
    if when not in WHEN:
        raise pytest.UsageError(f"crashlens_notify = {when}: expected one of {', '.join(WHEN)}")
    if when != "never":
        notifying = Notifying(config, judge, policies, when, dry=dry)
        config.pluginmanager.register(notifying, NAME)


class Notifying:
    """The plugin object that sends messages."""

    def __init__(
        self, config: pytest.Config, judge: Judge, policies: Config, when: When, *, dry: bool
    ) -> None:
        self._config = config
        self._judge = judge
        self._policies = policies
        self._when = when
        self._dry = dry
        self._told: list[str] = []
        self._lines: list[str] = []
        """What was done, and what went wrong."""

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send, once everybody else has ended the run."""
        try:
            # not in the summary, which --no-summary leaves out; and of no interrupted run
            if session.exitstatus in _ENDED:
                self._notify()
        except KeyboardInterrupt:
            self._lines.append("notifications: interrupted")
        except Exception as fault:
            # its text may quote a URL, which is a secret
            self._lines.append(f"notifications: a fault of crashlens: {type(fault).__name__}")

    def _notify(self) -> None:
        run = self._judge.run
        if run is None:
            return
        origin = origin_of(os.environ, self._config.rootpath.name)
        found = [*messages(run, self._policies, origin, self._when)]
        if self._dry:
            self._told += self._shown(found)
        elif found:
            self._send(found)
        elif not self._has_targets():
            self._lines.append(self._nobody())

    def _shown(self, found: list[Message]) -> Iterator[str]:
        for message in found:
            known = "no webhook" if message.variable is None else f"${message.variable}"
            yield f"would notify {message.to} ({known}):"
            yield from message.text().splitlines()
        if not found:
            yield "would notify nobody" if self._has_targets() else self._nobody()

    def _has_targets(self) -> bool:
        policies = self._policies
        return policies.webhook is not None or any(notified_channels(policies))

    def _nobody(self) -> str:
        return f"nobody to notify: crashlens.yml has no webhook and no rule with {NOTIFY}"

    def _send(self, found: list[Message]) -> None:
        to_send: list[tuple[str, str, bytes]] = []
        for message in found:
            url = os.environ.get(message.variable or "", "").strip()
            if message.variable is None:
                self._failed(message.to, "crashlens.yml has no webhook for it (slack: webhooks:)")
            elif not url:
                self._failed(message.to, f"the environment variable {message.variable} is not set")
            else:
                to_send.append((message.to, url, message.content()))
        if not to_send:
            return
        measuring = self._config.pluginmanager.get_plugin(measure.NAME)
        if measuring is not None:
            measuring.recorder.close()  # the run is judged: ours is no call, and not refused
        faults = send_all([(url, content) for _, url, content in to_send])
        sent = []
        for (to, _, _), fault in zip(to_send, faults, strict=True):
            if fault is None:
                sent.append(to)
            else:
                self._failed(to, fault)
        if sent:
            self._told.append(f"notified: {', '.join(sent)}")

    def _failed(self, to: str, why: str) -> None:
        self._lines.append(f"not notified: {to}: {why}")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what was sent, after the judge's summary."""
        # dry output is asked for
        if self._dry or self._config.get_verbosity() >= 0:
            for line in self._told:
                terminalreporter.line(line)
        for line in self._lines:
            terminalreporter.line(line, yellow=True)
