"""What ``crashlens init`` sees in a project, and what it makes of the files that are there."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pytest_crashlens.cli.init_files import (
    attributes,
    github_tests,
    gitlab_job,
    install,
    interval,
    obstacle,
    plan,
    write,
)
from pytest_crashlens.cli.init_found import SDKS, Found, look

LINE = attributes("crashlens-baseline.json")
CASSETTE = "interactions:\n- request: {method: GET, uri: 'http://a'}\n"
SETTINGS = "version: 1\nlimits: {max_calls: 1}\n"
UPDATE = "  - {package-ecosystem: llm-prompts, directory: /, schedule: {interval: %s}}\n"


def looked(folder: Path, **files: str) -> Found:
    return look(put(folder, files))


def put(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "pyproject.toml",
            "[project]\ndependencies = ['OpenAI[realtime]>=1 ; python_version>\"3\"']",
        ),
        ("pyproject.toml", "[project.optional-dependencies]\nllm = ['openai']"),
        ("pyproject.toml", "[dependency-groups]\nllm = [{include-group = 'x'}, 'openai~=2.0']"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nopenai = '^1'"),
        ("pyproject.toml", "[tool.poetry.group.llm.dependencies]\nopenai = {version = '^1'}"),
        ("pyproject.toml", "[tool.uv]\ndev-dependencies = ['openai']"),
        ("pyproject.toml", "[tool.pdm.dev-dependencies]\nllm = ['openai']"),
        ("requirements.txt", "# models\n-r other.txt\nhttpx\nopenai==3.1  # pinned\n"),
        ("requirements/prod.txt", "openai\n"),
        ("setup.cfg", "[options]\ninstall_requires =\n  httpx\n  openai>=1\n"),
        ("uv.lock", "[[package]]\nname = 'openai'\nversion = '3.1'\n"),
        ("poetry.lock", "[[package]]\nname = 'openai'\nversion = '3.1'\n"),
    ],
)
def test_sdks_by_dependencies(tmp_path: Path, name: str, text: str) -> None:
    assert looked(tmp_path, **{name: text}).sdks == {"openai": name}


@pytest.mark.parametrize(
    ("line", "sdk"),
    [
        ("import openai", "openai"),
        ("    import anthropic as a  # in a function", "anthropic"),
        ("from openai.types import chat", "openai"),
        ("from google import genai", "google-genai"),
        ("import google.genai.types", "google-genai"),
        ("from langchain_openai import ChatOpenAI", "LangChain"),
        ("from llama_index.llms.openai import OpenAI", "LlamaIndex"),
        ("from google import auth", None),
        ("import openai_helpers", None),
        ("# import openai", None),
        ("from .openai import x", None),
        ("from agents import mine", None),
    ],
)
def test_sdks_by_imports(tmp_path: Path, line: str, sdk: str | None) -> None:
    found = looked(tmp_path, **{"app/deep/models.py": f"x = 1\n{line}\n"}).sdks
    assert found == ({sdk: "imported by app/deep/models.py"} if sdk else {})


def test_the_packages_of_others_are_not_looked_at(tmp_path: Path) -> None:
    text = "import openai\n"
    found = looked(
        tmp_path,
        **{
            "env/pyvenv.cfg": "",
            "env/lib/a.py": text,
            ".hidden/a.py": text,
            "notes.txt": text,
            "node_modules/a.py": text,
            "requirements.txt": "boto3\nopenai-whisper\nnot-openai\n",
        },
    )
    assert found.sdks == {}


def test_no_sdk_is_named_twice() -> None:
    for part in (0, 1):
        names = [name for sdk in SDKS.values() for name in sdk[part]]
        assert len(names) == len(set(names))


def test_recordings_by_folder(tmp_path: Path) -> None:
    found = looked(
        tmp_path,
        **{
            "tests/cassettes/a.yaml": CASSETTE,
            "tests/cassettes/b.yaml": CASSETTE,
            "tests/other/c.yaml": CASSETTE,
            "tests/other/d.yaml": "a: 1\n",
            "log.jsonl": '{"method": "POST", "url": "http://a"}\n',
        },
    )
    assert found.recordings == {"tests/cassettes": 2, "tests/other": 1}


@pytest.mark.parametrize(
    ("files", "ci"),
    [
        ({".github/workflows/ci.yaml": "on: push\n"}, ("github",)),
        ({".gitlab-ci.yml": "a: 1\n"}, ("gitlab",)),
        ({".github/workflows/ci.yml": "", ".gitlab-ci.yml": ""}, ("github", "gitlab")),
        ({".git/config": '[remote "a"]\n\turl = git@github.com:a/b.git\n'}, ("github",)),
        ({".git/config": "[r]\n\turl = https://me@gitlab.acme.test/a/b\n"}, ("gitlab",)),
        ({".git/config": "[r]\n\turl = https://git.acme.test/github/b\n"}, ()),
        ({".github/crashlens.yml": SETTINGS}, ()),
        ({}, ()),
    ],
)
def test_ci(tmp_path: Path, files: dict[str, str], ci: tuple[str, ...]) -> None:
    assert looked(tmp_path, **files).ci == ci


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = '-q'"),
        ("tox.ini", "[pytest]\n"),
        ("setup.cfg", "[tool:pytest]\n"),
    ],
)
def test_pytest_settings(tmp_path: Path, name: str, text: str) -> None:
    assert looked(tmp_path).pytest_settings is None
    assert looked(tmp_path, **{name: text}).pytest_settings == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project\n"),
        ("uv.lock", "\udc00"),
        ("crashlens.yml", "version: 1\nlimit: {}\n"),
    ],
)
def test_files_that_cannot_be_understood(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    (fault,) = look(tmp_path).faults
    assert fault.startswith(name)


@pytest.mark.parametrize(
    "text",
    [
        "project = 1",
        "[project]\ndependencies = 'openai'",
        "[tool]\npoetry = [1]",
        "[[project]]\na=1",
    ],
)
def test_odd_tables_are_no_fault(tmp_path: Path, text: str) -> None:
    assert looked(tmp_path, **{"pyproject.toml": text}).sdks == {}


# Installing


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({}, ["python -m pip install pytest-crashlens"]),
        ({"requirements.txt": ""}, ["python -m pip install -r requirements.txt pytest-crashlens"]),
        (
            {"requirements.txt": "", "pyproject.toml": "[project]\nname = 'a'\n"},
            ["python -m pip install -r requirements.txt -e . pytest-crashlens"],
        ),
        (
            {
                "pyproject.toml": "[project.optional-dependencies]\ntest = []\ndocs = []\n"
                "[dependency-groups]\ndev = []\nlint = []\n"
            },
            ['python -m pip install -e ".[test]" --group dev pytest-crashlens'],
        ),
        (
            {"uv.lock": ""},
            [
                "python -m pip install uv",
                "uv sync --all-extras --all-groups",
                "uv pip install pytest-crashlens",
                "PATH=$PWD/.venv",
            ],
        ),
        (
            {"poetry.lock": "[[package]]\nname = 'pytest_crashlens'\n"},
            [
                "python -m pip install poetry",
                "poetry install --all-extras --all-groups",
                "PATH=$(poetry env info --path)",
            ],
        ),
        (
            {"requirements/test.txt": "", "requirements/base.txt": "", "requirements/b;c.txt": ""},
            [
                "python -m pip install -r requirements/base.txt -r requirements/test.txt "
                "pytest-crashlens"
            ],
        ),
        (
            {"a;b requirements.txt": ""},
            ["python -m pip install pytest-crashlens"],
        ),
    ],
)
def test_install(tmp_path: Path, files: dict[str, str], commands: list[str]) -> None:
    assert install(looked(tmp_path, **files), "PATH={}") == commands


def jobs(found: Found) -> tuple[str, str]:
    """The jobs of both services; comments in them leave them whole."""
    written = (github_tests(found), gitlab_job(found))
    for text in written:
        yaml.safe_load(text)
    return written


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"Pipfile": "[packages]\nopenai = '*'\n", "app.py": "import openai\n"}, True),
        ({"environment.yml": "dependencies: [openai]\n", "app.py": "import openai\n"}, True),
        ({"app.py": "import openai\n"}, True),
        ({"app.py": "import httpx\n"}, False),
        ({"app.py": "import openai\n", "requirements/all.txt": "openai\n"}, False),
        ({"app.py": "import openai\n", "setup.py": ""}, False),
    ],
)
def test_what_installs_the_sdks_is_asked_for(
    tmp_path: Path, files: dict[str, str], told: bool
) -> None:
    found = looked(tmp_path, **files)
    github, gitlab = jobs(found)
    assert ("        run: |\n          # add what your tests need: " in github) is told
    assert ("  script:\n    # add what your tests need: " in gitlab) is told
    steps = yaml.safe_load(github)["jobs"]["tests"]["steps"]
    (lines,) = [step["run"].splitlines() for step in steps if step.get("name") == "Install"]
    assert len(lines) == 1 + told
    assert yaml.safe_load(gitlab)["llm-cost"]["script"][0] == lines[-1]


@pytest.mark.parametrize(
    ("files", "key"),
    [
        ({"requirements.txt": "openai\n"}, "OPENAI_API_KEY"),
        ({"requirements.txt": "ollama\nanthropic\n"}, "ANTHROPIC_API_KEY"),
        ({"requirements.txt": "litellm\n"}, "OPENAI_API_KEY"),
        ({"requirements.txt": "openai\n", "cassettes/a.yaml": CASSETTE}, None),
        ({"requirements.txt": "httpx\n"}, None),
    ],
)
def test_where_the_key_goes(tmp_path: Path, files: dict[str, str], key: str | None) -> None:
    github, gitlab = jobs(looked(tmp_path, **files))
    assert ("_API_KEY" in github, "_API_KEY" in gitlab) == (bool(key), bool(key))
    if key:
        assert f"(Settings, CI/CD, Variables): {key}\n" in gitlab
        # as it says it, taken in
        steps = yaml.safe_load(github.replace("# env:", "env:"))["jobs"]["tests"]["steps"]
        (step,) = [step for step in steps if step.get("name") == "Run the tests"]
        assert step["env"] == {key: "${{ secrets.KEY }}".replace("KEY", key)}


PROJECT = "[project]\nname = 'a'\nrequires-python = '%s'\n"
POETRY = "[tool.poetry.dependencies]\npython = '%s'\n"


@pytest.mark.parametrize(
    ("name", "text", "version"),
    [
        ("pyproject.toml", "", "3.13"),
        ("pyproject.toml", PROJECT % ">=3.9", "3.13"),
        ("pyproject.toml", PROJECT % ">=3.9,<3.12", "3.11"),
        ("pyproject.toml", PROJECT % "<=3.12", "3.11"),
        ("pyproject.toml", PROJECT % ">=3.11,!=3.13.*", "3.12"),
        ("pyproject.toml", PROJECT % ">=3.11.4,<3.12", "3.11"),
        ("pyproject.toml", PROJECT % "==3.12.4", "3.12.4"),
        ("pyproject.toml", PROJECT % ">=3.14", "3.14"),
        ("pyproject.toml", PROJECT % "three", "3.13"),
        ("pyproject.toml", "[project]\nrequires-python = [3]\n", "3.13"),
        ("pyproject.toml", POETRY % "^3.9", "3.13"),
        ("pyproject.toml", POETRY % "~3.12", "3.12"),
        ("pyproject.toml", POETRY % ">=3.10,<3.13", "3.12"),
        ("setup.cfg", "[options]\npython_requires = >=3.8, <3.12\n", "3.11"),
    ],
)
def test_the_python_of_the_job(tmp_path: Path, name: str, text: str, version: str) -> None:
    found = looked(tmp_path, **{name: text})
    assert found.faults == ()
    github, gitlab = jobs(found)
    assert f'          python-version: "{version}"\n' in github
    assert f"  image: python:{version}\n" in gitlab


def test_no_python_that_both_run_on(tmp_path: Path) -> None:
    found = looked(tmp_path, **{"pyproject.toml": PROJECT % ">=3.8,<3.11"})
    (fault,) = found.faults
    assert (
        fault == "No Python is in >=3.8,<3.11 that pytest-crashlens runs on: it needs 3.11 or later"
    )
    assert found.python == "3.13"


@pytest.mark.parametrize("text", ["a: [", "jobs: {}\n"])
def test_templates_are_whole(tmp_path: Path, text: str) -> None:
    found = looked(tmp_path, **{"uv.lock": "", ".github/workflows/other.yml": text})
    for written in (github_tests(found), gitlab_job(found)):
        assert "# INSTALL" not in written
        assert "SECRET" not in written
        assert "SCHEDULE" not in written
        assert "uv sync --all-extras --all-groups\n" in written
        yaml.safe_load(written)


@pytest.mark.parametrize(
    ("intervals", "shortest", "cron"),
    [
        ((), None, None),
        (("monthly",), "monthly", "23 5 1 * *"),
        (("monthly", "weekly"), "weekly", "23 5 * * 1"),
        (("weekly", "daily"), "daily", "23 5 * * *"),
    ],
)
def test_cron(
    tmp_path: Path, intervals: tuple[str, ...], shortest: str | None, cron: str | None
) -> None:
    updates = "".join(UPDATE % each for each in intervals)
    text = SETTINGS + (f"updates:\n{updates}" if updates else "")
    found = looked(tmp_path, **{"crashlens.yml": text})
    assert interval(found) == shortest
    # "on" is a truth value in YAML 1.1
    on = yaml.safe_load(github_tests(found))[True]
    assert on.get("schedule") == ([{"cron": cron}] if cron else None)


# Files that are there


def outcome(folder: Path, name: str) -> str:
    """How the plan deals with the file ``name``; does it."""
    (planned,) = [one for one in plan(look(folder), ()) if one.path == name]
    if planned.way != "left":
        assert obstacle(folder, planned) is None
        assert write(folder, planned) is None
    return planned.way


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", LINE),
        (b"*.png binary\n", "*.png binary\n" + LINE),
        (b"*.png binary", "*.png binary\n" + LINE),
        (b"*.png binary\r\n", "*.png binary\r\n" + LINE.replace("\n", "\r\n")),
        (b"a b\r\n*.png binary", "a b\r\n*.png binary\r\n" + LINE.replace("\n", "\r\n")),
        (b"# crashlens-baseline.json\n", "# crashlens-baseline.json\n" + LINE),
        (b"crashlens-baseline.json5 text\n", "crashlens-baseline.json5 text\n" + LINE),
        (b"\xff\xfe text\n", b"\xff\xfe text\n" + LINE.encode()),
    ],
)
def test_a_missing_line_is_appended(tmp_path: Path, before: bytes, after: str | bytes) -> None:
    path = tmp_path / ".gitattributes"
    path.write_bytes(before)
    assert outcome(tmp_path, path.name) == "append"
    assert path.read_bytes() == (after if isinstance(after, bytes) else after.encode())
    assert outcome(tmp_path, path.name) == "left"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".gitattributes", "crashlens-baseline.json merge=ours\n"),
        (".gitattributes", "\ufeff/crashlens-baseline.json text"),
        (".gitattributes", '"crashlens-baseline.json" -text\r\n'),
        (".gitignore", ".crashlens\n"),
        (".gitignore", "a\n/.crashlens/\n"),
        (".gitignore", "**/.crashlens/\r\n"),
        (".gitignore", "!.crashlens/\n"),
    ],
)
def test_a_line_that_is_there_is_left(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert outcome(tmp_path, name) == "left"
    assert (tmp_path / name).read_bytes() == text.encode()


def test_the_baseline_of_the_settings(tmp_path: Path) -> None:
    put(tmp_path, {"crashlens.yml": SETTINGS + "baseline: 'tests/my costs.json'\n"})
    assert outcome(tmp_path, ".gitattributes") == "new"
    text = (tmp_path / ".gitattributes").read_text()
    assert '\n"tests/my costs.json" text eol=lf' in text
    assert outcome(tmp_path, ".gitattributes") == "left"


def test_no_baseline_no_line(tmp_path: Path) -> None:
    found = looked(tmp_path, **{"crashlens.yml": SETTINGS + "baseline: off\n"})
    assert [one.path for one in plan(found, ())] == ["crashlens.yml", ".gitignore"]


def test_what_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    for planned in plan(look(tmp_path), ("github",)):
        path = tmp_path / planned.path
        if planned.way == "new":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("mine")
            fault = write(tmp_path, planned)
            assert fault == f"{planned.path}: cannot be written: File exists"
            assert path.read_text() == "mine"


def test_links_are_files(tmp_path: Path) -> None:
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    link = tmp_path / ".github" / "workflows" / "crashlens.yml"
    link.symlink_to(tmp_path / "nowhere")
    ways = {one.path: one.way for one in plan(look(tmp_path), ("github",))}
    assert ways[".github/workflows/crashlens.yml"] == "left"


@pytest.mark.parametrize(
    ("files", "ci", "left"),
    [
        ({".github/workflows/a.yml": "run: pytest --crashlens\n"}, "github", "a.yml names"),
        ({".github/workflows/a.yml": "run: crashlens-of-mine\n"}, "github", None),
        ({".gitlab/a.yml": "run: pytest --crashlens\n"}, "gitlab", "a.yml names"),
        ({".gitlab/a.yml": "run: pytest --crashlens\n"}, "github", None),
        ({"../.git/config": ""}, "github", "above this folder"),
    ],
)
def test_ci_that_is_set_up_elsewhere(
    tmp_path: Path, files: dict[str, str], ci: str, left: str | None
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    planned = plan(looked(folder, **files), (ci,))[3:]
    assert len(planned) == 2
    for one in planned:
        assert one.way == ("left" if left else "new")
        assert left is None or left in one.why
