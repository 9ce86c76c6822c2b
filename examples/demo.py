"""A cost regression, caught: the support assistant's tests before and after three careless changes.

Exit code 0 only if the first run passes and the second fails exactly the tests that became dearer.
"""
# ruff: noqa: T201 - a script that talks to whoever runs it

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

PROJECT = Path(__file__).resolve().parent / "support_assistant"
COMMAND = ["-m", "pytest", "--crashlens", "-p", "no:cacheprovider"]
DEARER = {
    "test_reply_is_streamed",
    "test_reply_says_when_the_refund_arrives",
    "test_summary_names_what_is_open",
    "test_triage_names_category_and_article",
}


def run(variant: str) -> tuple[int, set[str]]:
    """The exit code of the suite with ``variant`` of the assistant, and the tests that failed."""
    # Options and annotations meant for the run around this one are not meant for this one.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "GITHUB_"))}
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / f"{variant}.xml"
        command = [*COMMAND, f"--junit-xml={results}"]
        print(f"$ cd {os.path.relpath(PROJECT)}")
        print(f"$ ASSISTANT_VARIANT={variant} python {shlex.join(command)}\n", flush=True)
        done = subprocess.run(
            [sys.executable, *command],
            cwd=PROJECT,
            env={**env, "ASSISTANT_VARIANT": variant},
            check=False,
        )
        return done.returncode, failed_tests(results) if results.exists() else set()


def failed_tests(results: Path) -> set[str]:
    """The tests that failed, from pytest's own JUnit file; any that failed for another reason than
    its cost says so in its name."""
    failed = set()
    for case in ElementTree.parse(results).iter("testcase"):
        for fault in (*case.iter("failure"), *case.iter("error")):
            for_cost = fault.get("message", "").startswith("LLM cost")
            failed.add(case.attrib["name"] + ("" if for_cost else " (not for its cost)"))
    return failed


def main() -> int:
    """Run both halves and say whether they went as they should."""
    print("1. The assistant as its baseline was taken: every test passes, nothing costs more.\n")
    before, failed_before = run("careful")
    print("\n2. The same tests after three careless changes: right answers, four dearer tests.\n")
    after, failed_after = run("careless")
    if (before, failed_before) == (0, set()) and (after, failed_after) == (1, DEARER):
        print("\nAs expected: green before, and exactly the four dearer tests red after.")
        return 0
    print(
        "\nNot as expected."
        f"\n   before: exit code {before} (expected 0), failed {sorted(failed_before)}"
        f"\n   after:  exit code {after} (expected 1), failed {sorted(failed_after)}"
        f"\n   expected to fail after: {sorted(DEARER)}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
