"""The bench's report as people see it: from a file, in both themes, on a phone, without scripts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from gateway.bench import report
from gateway.bench.contender import recipe
from tests import bench_field
from tests.browser.conftest import Open

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    record = bench_field.record_of(bench_field.field(homes=24))
    found = report.report(record, recipe("weibull"), recipe("rated"), product="Range hood", count=4)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(found.as_html())
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_report_is_readable(
    written: Path, open_page: Open, accessible: Callable[[Page], list[str]], shots: Path, width: int, *, dark: bool
) -> None:
    """axe-core finds nothing serious, nothing but tables scrolls sideways, and nobody else is asked for anything."""
    page = open_page(written.as_uri(), width=width, dark=dark)
    assert [] == accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [written.as_uri()] == page.asked  # type: ignore[attr-defined]  # noted on the page itself
    page.screenshot(path=shots / f"bench-report-{width}-{'dark' if dark else 'light'}.png", full_page=True)


def test_each_table_can_be_opened_without_a_script(written: Path, open_page: Open) -> None:
    """The twin of a chart opens where nothing runs."""
    page = open_page(written.as_uri(), script=False)
    page.get_by_text("The same as a table").first.click()
    assert page.locator("details[open] tbody tr").count() > 3
