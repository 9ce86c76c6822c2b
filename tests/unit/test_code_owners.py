from __future__ import annotations

from pathlib import Path

import pytest

from pytest_crashlens.errors import ConfigError
from pytest_crashlens.policy.owners import read_code_owners

FILE = """
# who owns what; the last match holds
*                    @acme/all   # everybody
*.py                 @python
/tests/search/       @acme/search @ann
tests/**/test_slow.py slow@acme.example
docs\\ old/           @writers
/nobody/
/lib/*               @libs

[Section]
^[Optional][2] @acme/section
"""


def write(root: Path, text: str = FILE, place: str = ".github/CODEOWNERS") -> None:
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("README.md", ("@acme/all",)),
        ("app/llm.py", ("@python",)),
        ("tests/search/test_a.py", ("@acme/search", "@ann")),
        ("deep/tests/search/test_a.py", ("@python",)),
        ("tests/a/b/test_slow.py", ("slow@acme.example",)),
        ("docs old/a.md", ("@writers",)),
        ("nobody/test_a.py", ()),
        ("lib/a.txt", ("@libs",)),
        ("lib/deep/a.txt", ("@acme/all",)),
    ],
)
def test_the_last_pattern_that_matches_names_the_owners(
    tmp_path: Path, path: str, owners: tuple[str, ...]
) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path)
    found = read_code_owners(tmp_path)
    assert found is not None
    assert found.of(path) == owners


def test_a_project_below_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    write(tmp_path, place="CODEOWNERS")
    project = tmp_path / "tests" / "search"
    project.mkdir(parents=True)
    found = read_code_owners(project)
    assert found is not None
    assert found.of("test_a.py") == ("@acme/search", "@ann")
    assert found.everyone >= {"@acme/search", "@writers"}
    assert "@acme/section" not in found.everyone


def test_no_file_and_one_that_cannot_be_read(tmp_path: Path) -> None:
    assert read_code_owners(tmp_path) is None
    (tmp_path / "CODEOWNERS").write_bytes(b"\xff\xfe* @a")
    with pytest.raises(ConfigError, match="CODEOWNERS: error: cannot be read"):
        read_code_owners(tmp_path)
