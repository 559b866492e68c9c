"""The MLflow UI on a store of repeats and baselines, in a real browser, used as people use it.

Screenshots are kept in the folder that ``STANCEKIT_SCREENSHOTS`` names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import BROWSER, BROWSERS, METRIC, SEEDS, Shot, Store

if TYPE_CHECKING:
    from mlflow.entities import Run
    from playwright.sync_api import ElementHandle, Locator, Page

pytest.importorskip("playwright", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser: none of {', '.join(BROWSERS)} is found")


def _name(run: Run) -> str:
    return str(run.info.run_name)


def _link(page: Page, run: Run) -> Locator:
    return page.get_by_role("link", name=_name(run), exact=True)


def _expand(page: Page, store: Store) -> None:
    cell = page.get_by_role("gridcell").filter(has=_link(page, store.parent))
    cell.get_by_role("button").click()
    _link(page, store.children[0]).wait_for()


# The cells of a table as the eye finds them: by height, then from left to right.
_CELLS = """cells => cells
    .map(cell => ({...cell.getBoundingClientRect().toJSON(), text: cell.innerText.trim()}))
    .sort((a, b) => a.top - b.top || a.left - b.left)"""


def _shown_scores(page: Page) -> dict[str, float]:
    """Return the run names and the values of METRIC as the table shows them, from its top to its bottom."""
    names, values = _column(page, "Run Name"), _column(page, METRIC)
    # Before a name stands the colour of the run's dot, which nobody sees as text.
    return {names[top].split("\n")[-1]: float(value) for top, value in values.items()}


def _column(page: Page, heading: str) -> dict[float, str]:
    """Return the texts beneath a heading, by height, from top to bottom."""
    box = page.get_by_role("columnheader", name=heading, exact=True).first.bounding_box()
    assert box
    cells = page.get_by_role("gridcell").evaluate_all(_CELLS)
    return {cell["top"]: cell["text"] for cell in cells if abs(cell["left"] - box["x"]) < 2}


def test_when_the_parent_is_expanded_then_its_seeds_and_baselines_are_nested_beneath_it(
    page: Page, store: Store, shot: Shot
) -> None:
    assert len(store.with_role("seed")) == SEEDS and len(store.with_role("baseline")) >= 2
    for child in store.children:
        assert _link(page, child).count() == 0, "children are shown before their parent is expanded"
    shot("1_parent")
    _expand(page, store)
    outer = _link(page, store.parent).bounding_box()
    for child in store.children:
        inner = _link(page, child).bounding_box()
        assert inner and outer and inner["x"] > outer["x"] and inner["y"] > outer["y"]
    shot("1_parent_expanded")


def test_when_runs_are_sorted_by_a_metric_then_the_order_is_that_of_the_metric(
    page: Page, store: Store, shot: Shot
) -> None:
    # Closed, the tree would be sorted as one row; open, all its rows are.
    _expand(page, store)
    page.get_by_role("button", name="Sort:").click()
    page.get_by_placeholder("Search", exact=True).fill(METRIC)
    page.get_by_role("menuitemcheckbox", name=METRIC, exact=True).click()
    heading = page.get_by_role("columnheader", name=METRIC, exact=True).first
    best, worst = max(store.scores().values()), min(store.scores().values())
    assert best > worst
    _until_first(page, best)
    shot("2_best_first")
    found = _shown_scores(page)
    assert found == pytest.approx(store.scores())
    assert list(found.values()) == sorted(found.values(), reverse=True)
    heading.click()
    _until_first(page, worst)
    shot("2_worst_first")
    found = _shown_scores(page)
    assert found == pytest.approx(store.scores())
    assert list(found.values()) == sorted(found.values())


def _until_first(page: Page, value: float) -> None:
    """Wait until the topmost row shows this value of METRIC."""
    first = f"""([metric, value]) => {{
        const cells = [...document.querySelectorAll('[role=gridcell]')];
        const shown = ({_CELLS})(cells.filter(cell => cell.getAttribute('col-id').includes('`' + metric + '`')));
        return shown.length && Math.abs(Number(shown[0].text) - value) < 1e-9;
    }}"""
    page.wait_for_function(first, arg=[METRIC, value])


# Scrolls until the metric is seen and gives the values that stand beside it. Names and values are two lists; that of
# the names follows the other one a step behind, so that the last step is a small one.
_BESIDE = """([values, metric]) => {
    const link = [...document.querySelectorAll('[role=grid] a')].find(link => link.textContent === metric);
    const seen = link && link.getBoundingClientRect().bottom < values.getBoundingClientRect().bottom;
    if (!seen) { values.scrollTop += 50; return null; }
    const top = link.parentElement.getBoundingClientRect().top;
    const level = [...values.querySelectorAll('[role=rowgroup] > *')]
        .filter(cell => Math.abs(cell.getBoundingClientRect().top - top) < 2);
    if (!level.length) { values.scrollTop += 1; return null; }
    return level.map(cell => cell.innerText);
}"""


def test_when_two_runs_are_compared_then_the_metrics_of_both_stand_side_by_side(
    page: Page, store: Store, shot: Shot
) -> None:
    # A baseline of another score, so that exchanged columns would be noticed.
    chosen = [store.with_role("seed")[0], max(store.with_role("baseline"), key=lambda run: run.data.metrics[METRIC])]
    _expand(page, store)
    for run in chosen:
        page.get_by_role("row").filter(has=_link(page, run)).get_by_role("checkbox").first.click()
    shot("3_chosen")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("heading", name="Comparing 2 Runs from 1 Experiment").wait_for()
    names = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Run Name:")).get_by_role("cell")
    for run in chosen:
        names.get_by_text(_name(run), exact=True).wait_for()
    values = page.get_by_role("grid").last
    values.scroll_into_view_if_needed()
    beside = page.wait_for_function(_BESIDE, arg=[_element(values), METRIC], polling=100).json_value()
    shot("3_compared")
    shown = dict(zip(map(str.strip, names.all_inner_texts()), map(float, beside), strict=True))
    # The page rounds to three places.
    assert shown == pytest.approx({_name(run): run.data.metrics[METRIC] for run in chosen}, abs=0.0006)


def _element(locator: Locator) -> ElementHandle:
    found = locator.element_handle()
    assert found is not None
    return found


def test_when_a_run_is_opened_then_its_description_is_rendered_and_its_confusion_matrix_is_a_picture(
    page: Page, store: Store, shot: Shot
) -> None:
    run = store.with_role("seed")[0]
    _expand(page, store)
    _link(page, run).click()
    page.get_by_role("heading", name=_name(run), exact=True).wait_for()
    page.get_by_role("button", name="Expand description").click()
    page.get_by_role("columnheader", name=re.compile("macro-F1")).wait_for()
    shot("4_description")
    written = run.data.tags["mlflow.note.content"]
    assert "|---" in written and "**" in written
    text = page.get_by_role("main").inner_text()
    assert "|---" not in text and "**" not in text, "the description is shown as raw Markdown"
    scored = page.get_by_role("row").filter(has=page.get_by_role("cell", name="test", exact=True))
    assert f"{run.data.metrics[METRIC]:.3f}" in scored.inner_text()

    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("evaluation", exact=True).click()
    page.get_by_text("test_confusion.png", exact=True).click()
    picture = page.get_by_role("img", name="evaluation/test_confusion.png")
    picture.wait_for()
    page.wait_for_function("picture => picture.complete && picture.naturalWidth > 0", arg=_element(picture))
    shot("4_confusion")


def test_when_the_registered_model_is_opened_then_its_best_seed_is_the_champion(
    page: Page, store: Store, shot: Shot
) -> None:
    page.get_by_role("link", name="Model registry").click()
    page.get_by_role("heading", name="Registered Models").wait_for()
    # MLflow greets newcomers here with what is new in its registry.
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.locator("a[href='#/models/stancekit']").click()
    version = page.get_by_role("row").filter(has=page.get_by_role("link", name="Version 1"))
    version.get_by_role("status", name="champion").wait_for()
    shot("5_registered")
    version.get_by_role("link", name="Version 1").click()
    page.get_by_role("heading", name="Version 1").wait_for()
    champion = store.client.get_model_version_by_alias("stancekit", "champion")
    source = next(child for child in store.children if child.info.run_id == champion.run_id)
    best = max(seed.data.metrics["dev/macro_f1"] for seed in store.with_role("seed"))
    assert source in store.with_role("seed") and source.data.metrics["dev/macro_f1"] == best
    _link(page, source).wait_for()
    shot("5_champion")
