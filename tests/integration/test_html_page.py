"""--crashlens-report=html: the page, opened and used in a browser."""

from __future__ import annotations

import base64
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pytest_crashlens.cli.main import main
from pytest_crashlens.report.html import html
from pytest_crashlens.report.html_parts import Point
from pytest_crashlens.report.view import RunView
from tests.integration.conftest import Project
from tests.integration.planned import write_tests
from tests.unit.run_views import over, run, spent, view
from tests.unit.test_report_html import SCRIPTS, example
from tests.unit.test_report_markdown import EVIL, everywhere

PHONE, TABLET, LAPTOP, DESKTOP = (390, 844), (768, 1024), (1161, 800), (1280, 900)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium; started once."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # where tests run as root
        "--disable-dev-shm-usage",
        "--disable-gpu",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    started = webdriver.Chrome(options=options, service=service)
    yield started
    started.quit()


class Page:
    """A page in the browser, and short ways to use it."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.browser = browser
        self.path = path

    def open(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False, media: str = "") -> Page:
        self.command(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            ],
        )
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=size[0],
            height=size[1],
            deviceScaleFactor=1,
            mobile=False,
        )
        self.browser.get_log("browser")
        self.browser.get(self.path.as_uri())
        return self

    def command(self, name: str, **given: Any) -> Any:
        return self.browser.execute_cdp_cmd(name, given)

    def run(self, script: str, *given: Any) -> Any:
        return self.browser.execute_script(script, *given)

    def find(self, selector: str) -> Any:
        return self.browser.find_element("css selector", selector)

    def head(self, word: str) -> Any:
        (found,) = (
            one
            for one in self.browser.find_elements("css selector", "#tests thead button")
            if one.text.startswith(word)
        )
        return found

    def keys(self) -> list[str]:
        """The tests that are shown, in their order."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll('#tests tbody th')].map((one) => one.textContent)"
        )
        return found

    def sorted_by(self) -> dict[str, str]:
        found: dict[str, str] = self.run(
            "return Object.fromEntries([...document.querySelectorAll('[aria-sort]')]"
            ".map((one) => [one.textContent, one.getAttribute('aria-sort')]))"
        )
        return found

    @property
    def status(self) -> str:
        return str(self.find("#status").text)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser")]


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    def made(given: RunView, history: tuple[Point, ...] = ()) -> Page:
        path = tmp_path / "page.html"
        path.write_bytes(html(given, history).encode("utf-8", "backslashreplace"))
        return Page(browser, path)

    return made


HISTORY = tuple(
    Point(f"2026-0{n}-01", "1f2e3d4c", 40 + n, Decimal(n), True, "A. Nonymous", "Longer prompts")
    for n in range(1, 9)
)


def test_page_of_a_run_with_a_regression(project: Project, browser: Any) -> None:
    write_tests(project, test_a=1000, test_b=[{"input_tokens": 200}] * 2)
    project.update()
    write_tests(project, test_a=3000, test_b=[{"input_tokens": 200}] * 2)
    wanted = ("--crashlens-report=html:page.html", "--crashlens-report=json:run.json")
    result = project.run(*wanted)
    assert result.ret == 1
    result.stdout.no_fnmatch_line("*incomplete*")
    made = (project.path / "page.html").read_text()
    again = project.path / "again.html"
    saved = str(project.path / "run.json")
    assert main(["report", saved, "--format", "html", "--output", str(again)]) == 0
    assert again.read_text() == made

    opened = Page(browser, project.path / "page.html").open()
    title = opened.find("h1").text
    assert title.startswith("This change costs $0.000")
    assert "more per test run (+" in title
    assert opened.find(".verdict").text == "✖ 1 test over the limit"
    assert opened.keys() == ["test_it.py::test_a", "test_it.py::test_b"]
    assert opened.find("#tests tbody .site").text.startswith("conftest.py:")
    assert opened.run("return document.querySelectorAll('svg').length") == 4
    assert opened.errors() == []
    assert opened.run("return performance.getEntriesByType('resource').length") == 0


def test_history_of_the_baseline_in_git(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    project.pytester.run("git", "init", "-q")
    for tokens, why in ((1000, "First prompt"), (3000, "Longer <b>prompt</b>")):
        write_tests(project, test_a=tokens)
        project.update("--crashlens-report=json:run.json")
        project.pytester.run("git", "add", "crashlens-baseline.json")
        assert project.pytester.run(*git, "commit", "-qm", why).ret == 0
    monkeypatch.chdir(project.path)
    given = ["report", "run.json", "--format", "html"]
    assert main([*given, "--history", "--output", "page.html"]) == 0
    text = Path("page.html").read_text()
    first, second = text.index("Longer &lt;b&gt;prompt"), text.index("First prompt")
    assert first < second
    assert "chart-history" in text
    capsys.readouterr()
    assert main(given) == 0
    assert "History of the baseline" not in capsys.readouterr().out
    assert main(["report", "run.json", "--history"]) == 2
    assert "--history is for --format html" in capsys.readouterr().err


def test_without_the_extra_no_test_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tests(project, test_a=1000)
    assert project.run("--crashlens-report=json:run.json").ret == 0
    monkeypatch.setitem(sys.modules, "pygal", None)
    result = project.run("--crashlens-report=html:page.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --crashlens-report=html:page.html: *pip install 'pytest-crashlens*html*'"]
    )
    result.stdout.no_fnmatch_line("*test_it.py*")
    saved = str(project.path / "run.json")
    assert main(["report", saved, "--format", "html", "--output", "page.html"]) == 2
    assert "pip install 'pytest-crashlens[html]'" in capsys.readouterr().err


def named(key: str, before: str | None, now: str | None, state: str = "moved") -> Any:
    return view(key, before, now, state, spending=(spent(f"app/{key}.py:1 f"),))


def test_sort(page: Any) -> None:
    dear, cheap, new = named("a10", "1", "3"), named("a9", "2", "1"), named("b", None, "2", "new")
    opened = page(run(dear, cheap, named("c", "5", "5", "same"), new)).open()
    assert opened.sorted_by() == {}
    opened.head("now").click()
    assert opened.sorted_by() == {"now": "descending"}
    assert opened.keys() == ["c", "a10", "b", "a9"]
    opened.head("now").click()
    assert opened.sorted_by() == {"now": "ascending"}
    assert opened.keys() == ["a9", "b", "a10", "c"]
    # what is not known comes last both ways
    for expected in (["a10", "c", "a9", "b"], ["a9", "c", "a10", "b"]):
        opened.head("change").click()
        assert opened.keys() == expected
    # numbers in names by their value; with the keyboard
    opened.head("test").send_keys("\n")
    assert opened.sorted_by() == {"test": "ascending"}
    assert opened.keys() == ["a9", "a10", "b", "c"]
    opened.head("state").click()
    assert opened.keys() == ["a10", "b", "a9", "c"]


def test_search_and_toggle(page: Any) -> None:
    tests = (named("Planner", "1", "3"), named("search", "2", "2", "same"), over("refund"))
    opened = page(run(*tests)).open()
    assert opened.status == "3 tests"
    search = opened.find("#search")
    search.send_keys("plann APP/")
    assert (opened.keys(), opened.status) == (["Planner"], "1 test (3 in all)")
    search.send_keys(" nothing")
    assert (opened.keys(), opened.status) == ([], "no test matches (3 in all)")
    search.clear()
    search.send_keys("changed")
    assert opened.keys() == ["Planner", "search"]
    toggle = opened.find("#changed")
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "true"
    assert opened.keys() == ["Planner"]
    search.clear()
    search.send_keys(" ")
    assert opened.keys() == ["refund", "Planner"]
    toggle.click()
    assert opened.keys() == ["refund", "Planner", "search"]
    opened.find("summary").click()
    assert opened.run("return document.querySelector('details').open")
    assert opened.errors() == []


def test_keyboard(page: Any) -> None:
    opened = page(example()).open()
    opened.find("body").send_keys("\t")
    skip = opened.browser.switch_to.active_element
    assert skip.text == "Skip to the content"
    outline = "return getComputedStyle(document.activeElement).outlineWidth"
    assert opened.run(outline) == "3px"
    assert opened.run("return document.activeElement.getBoundingClientRect().left") >= 0
    skip.send_keys("\n")
    assert opened.run("return document.activeElement.id") == "content"


@pytest.fixture(scope="module")
def thousands() -> RunView:
    return run(
        *(over(f"test_{n:04}", "0.01", str(Decimal(3 + n) / 100)) for n in range(150)),
        *(named(f"test_{n:04}", "0.01", "0.01", "same") for n in range(150, 5000)),
    )


def test_five_thousand_tests(page: Any, thousands: RunView) -> None:
    opened = page(thousands).open()
    assert opened.status == "100 of 5,000 tests"
    assert opened.keys() == [f"test_{n:04}" for n in range(149, 49, -1)]
    opened.find("#search").send_keys("test_499")
    assert opened.keys() == [f"test_499{n}" for n in range(10)]
    opened.find("#search").clear()
    opened.find("#changed").click()
    assert opened.status == "100 of 150 tests (5,000 in all)"
    opened.find("#more").click()
    assert len(opened.keys()) == 150
    assert (
        opened.run("return document.activeElement.querySelector('th').textContent") == "test_0049"
    )
    opened.find("#changed").click()
    opened.head("test").click()
    opened.head("test").click()
    assert opened.keys() == [f"test_{n:04}" for n in range(4999, 4899, -1)]
    opened.find("#more").click()
    assert len(opened.keys()) == 1000
    opened.find("#more").click()
    assert len(opened.keys()) == 5000


CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const seen = new Map();
const rgb = (color) => {
  if (!seen.has(color)) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    seen.set(color, [...canvas.getImageData(0, 0, 1, 1).data]);
  }
  return seen.get(color);
};
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const color = rgb(getComputedStyle(at).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255, 255];
};
const low = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let texts = 0;
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || node.closest('script, style')) continue;
  texts += 1;
  const style = getComputedStyle(node);
  const ink = light(rgb(node.closest('svg') ? style.fill : style.color));
  const back = light(behind(node));
  const ratio = (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
  if (ratio < 4.5) low.push([walker.currentNode.data, ratio]);
}
return [texts, low];
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_and_can_be_read(page: Any, dark: bool) -> None:
    telling = replace(example(), notices=("told",), session=(over("x").findings[0],))
    long = over("tests/" + "long_name_" * 30, headline="LLM cost: " + "word " * 30)
    made = page(replace(telling, tests=(*telling.tests, long)), HISTORY)
    for size in (PHONE, TABLET, LAPTOP, DESKTOP):
        opened = made.open(size, dark=dark)
        opened.run("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        assert opened.run("return document.documentElement.scrollWidth") <= size[0]
        texts, low = opened.run(CONTRAST)
        assert texts > 100
        assert low == []
        opened.find("#changed").click()
        assert opened.run(CONTRAST)[1] == []
        assert opened.errors() == []
    back = opened.run("return getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def test_print(page: Any) -> None:
    opened = page(example(), HISTORY).open(dark=True, media="print")
    assert opened.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not opened.find("#search").is_displayed()
    assert not opened.find("#changed").is_displayed()
    assert opened.find("#status").is_displayed(), "how many tests there are"
    assert opened.run(CONTRAST)[1] == []
    closed = "return document.querySelectorAll('details:not([open])').length"
    assert opened.run(closed) > 0
    opened.run("dispatchEvent(new Event('beforeprint'))")
    assert opened.run(closed) == 0
    opened.run("dispatchEvent(new Event('afterprint'))")
    assert opened.run(closed) > 0
    printed = base64.b64decode(opened.command("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF-")


def test_every_row_is_printed(page: Any, thousands: RunView) -> None:
    opened = page(thousands).open(media="print")
    rows = "return document.querySelectorAll('#tests tbody tr').length"
    assert opened.run(rows) == 100
    opened.run("dispatchEvent(new Event('beforeprint'))")
    assert opened.run(rows) == len(thousands.tests)
    opened.run("dispatchEvent(new Event('afterprint'))")
    assert opened.run(rows) == 100


def test_without_scripts_everything_is_there(page: Any, thousands: RunView) -> None:
    made = page(replace(thousands, tests=thousands.tests[:300]))
    made.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        opened = made.open()
        rows = opened.browser.find_elements("css selector", "#tests tbody tr")
        assert len(rows) == 300
        assert rows[-1].is_displayed()
        assert not opened.find(".controls").is_displayed()
        assert not opened.find("#more").is_displayed()
    finally:
        made.command("Emulation.setScriptExecutionDisabled", value=False)


def test_nothing_of_others_runs(page: Any) -> None:
    tests = [test for evil in (*EVIL, *SCRIPTS) for test in everywhere(evil).tests]
    evil = "".join(SCRIPTS)
    point = Point(evil, evil, 1, Decimal(1), True, evil, evil)
    opened = page(replace(everywhere(evil), tests=tuple(tests)), (point, point)).open()
    # an alert would make every command fail
    assert opened.run("return window.broken") is None
    # the page's own policy would tell of scripts and pictures that it stopped
    assert opened.errors() == []
    assert opened.run("return document.scripts.length") == 2
    assert opened.run("return document.images.length") == 0
    opened.find("#search").send_keys("<script>")
    assert opened.keys()
    opened.head("test").click()
    assert opened.errors() == []
    assert opened.run("return window.broken") is None
