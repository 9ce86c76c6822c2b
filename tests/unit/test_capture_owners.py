"""Who a request belongs to."""

from __future__ import annotations

import contextvars
import threading

from pytest_crashlens.capture.owners import Owner, Owners


def in_thread(owners: Owners) -> Owner:
    found: list[Owner] = []
    thread = threading.Thread(target=lambda: found.append(owners.of_request()))
    thread.start()
    thread.join()
    return found[0]


def test_nobody_at_work_means_late() -> None:
    owners = Owners()
    assert owners.of_request() is owners.late
    assert in_thread(owners) is owners.late


def test_innermost_owner_here_and_in_threads() -> None:
    owners, test, fixture = Owners(), Owner("test"), Owner("fixture")
    with owners.at_work(test):
        with owners.at_work(fixture):
            assert owners.of_request() is fixture
            assert in_thread(owners) is fixture
        assert owners.of_request() is test
        assert in_thread(owners) is test
    assert owners.running is None


def test_context_goes_before_what_runs() -> None:
    owners, first, second = Owners(), Owner("first"), Owner("second")
    with owners.at_work(first):
        context = contextvars.copy_context()
    with owners.at_work(second):
        assert context.run(owners.of_request) is first
        first.finished = True
        assert context.run(owners.of_request) is owners.late, "never charged to the next test"
        context.run(owners.enter_context_of, second)
        assert context.run(owners.of_request) is second


def test_left_in_another_context_than_entered() -> None:
    owners, owner = Owners(), Owner("fixture")
    work = owners.at_work(owner)
    contextvars.copy_context().run(work.__enter__)
    assert owners.running is owner
    work.__exit__(None, None, None)
    assert owners.running is None
    assert owners.of_request() is owners.late
