"""The HTML report in a real Chromium: what people do with it, and what it must never do."""

from __future__ import annotations

import itertools
import re

import pytest
from playwright.sync_api import expect

from tests.browser import pixels
from tests.lab import axe

PHONE = {"width": 360, "height": 740}
WIDE = {"width": 1200, "height": 900}


def sideways(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_it_asks_for_nothing_and_draws_every_chart(watched, pages):
    page = watched.open(pages["full"])
    watched.draw_all()
    assert watched.requests == [pages["full"]]
    assert watched.complaints == []
    assert page.locator("canvas").count() == page.locator("figure").count() == 4
    assert page.evaluate("document.documentElement.dataset.drawn") == "4"
    verdict = "accuracy fell below its gate; the gate of f1.macro is waived"
    assert page.locator("h1").inner_text().endswith(verdict)
    assert page.locator(".verdict").bounding_box()["y"] < 120  # the verdict comes first
    assert sideways(page) <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_nothing_keeps_anybody_from_using_it(chromium, pages, scheme, size):
    context = chromium.new_context(viewport=size, color_scheme=scheme)
    context.set_default_timeout(90_000)
    page = context.new_page()
    page.goto(pages["many" if size is WIDE else "full"])
    page.wait_for_selector("html[data-ready=true]")
    page.locator("figure").first.scroll_into_view_if_needed()
    page.locator("figure .plot.drawn").first.wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert sideways(page) <= 0
    page.evaluate(axe.source())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations', 'passes']})")
    said = [
        f"{item['impact']}: {item['id']}: {node['html'][:200]}"
        for item in found["violations"]
        for node in item["nodes"]
    ]
    assert said == []
    checked = {item["id"] for item in found["passes"]}
    assert {"color-contrast", "label", "button-name", "landmark-unique"} <= checked
    context.close()


def test_a_table_is_sorted_with_the_keyboard_and_says_so(watched, pages):
    page = watched.open(pages["full"])
    header = page.locator("#metrics thead th", has_text="Head")
    rows = page.locator("#metrics tbody tr")
    before = rows.all_inner_texts()

    def values() -> list[float]:
        cells = (
            "[...document.querySelectorAll('#metrics tbody tr')].map((r) => +r.cells[3].dataset.v)"
        )
        return page.evaluate(cells)

    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True)
    page.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())
    assert page.locator("#said").inner_text() == "Sorted by Head, ascending"
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "none"
    assert rows.all_inner_texts() == before
    page.locator("#metrics thead th", has_text="Metric").locator("button").click()
    names = page.locator("#metrics tbody th").all_inner_texts()
    assert names == sorted(names)


def test_metrics_and_curves_are_found(watched, pages):
    page = watched.open(pages["many"])
    rows = page.locator("#metrics tbody tr")
    everything = rows.count()
    page.get_by_label("Find a metric").fill("Recall.A")
    assert page.locator("#metrics tbody tr:visible th").all_inner_texts() == ["recall.a"]
    assert page.locator("#metrics output").inner_text() == f"1 of {everything} shown"
    page.get_by_label("Find a metric").fill("")
    page.get_by_label("only what changed").check()
    shown = page.locator("#metrics tbody tr:visible")
    assert 0 < shown.count() < everything
    assert "unchanged" not in " ".join(shown.all_inner_texts())
    page.get_by_label("Find a curve").fill("loss13")
    assert page.locator("#curves figure:visible").count() == 1
    page.locator("#curves figure:visible .plot.drawn").wait_for()


def test_a_chart_is_read_and_zoomed_with_the_keyboard(watched, pages):
    page = watched.open(pages["full"])
    figure = page.locator("figure").first
    plot = figure.locator(".plot")
    plot.scroll_into_view_if_needed()
    figure.locator(".plot.drawn").wait_for()
    plot.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    readout = figure.locator(".readout")
    before = readout.inner_text()
    match = re.fullmatch(r"step (\d+): base ([\d.]+), head ([\d.]+)", before)
    assert match
    from tests.browser.reports import losses

    at = int(match[1])
    assert float(match[2]) == pytest.approx(losses(500, 0.0, 0)[at], rel=1e-4)
    assert float(match[3]) == pytest.approx(losses(500, 0.1, 1000)[at], rel=1e-4)
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    assert readout.inner_text() != before
    steps = [int(readout.inner_text().split()[1].rstrip(":"))]
    for _ in range(5):
        page.keyboard.press("ArrowRight")
        steps.append(int(readout.inner_text().split()[1].rstrip(":")))
    assert max(b - a for a, b in itertools.pairwise(steps)) < 5  # zoomed in: finer steps
    page.keyboard.press("0")
    head = figure.get_by_role("button", name="head")
    head.press("Enter")
    assert head.get_attribute("aria-pressed") == "false"


def test_dragging_over_a_chart_zooms_in(watched, pages):
    page = watched.open(pages["full"])
    figure = page.locator("figure").first
    figure.scroll_into_view_if_needed()
    figure.locator(".plot.drawn").wait_for()
    box = figure.locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2

    def step_at(share: float) -> int:
        page.mouse.move(box["x"] + share * box["width"], middle)
        expect(figure.locator(".readout")).not_to_be_empty()
        return int(figure.locator(".readout").inner_text().split()[1].rstrip(":"))

    wide = step_at(0.95) - step_at(0.05)
    page.mouse.move(box["x"] + 0.4 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
    page.mouse.up()
    narrow = step_at(0.95) - step_at(0.05)
    assert 0 < narrow < wide / 3


@pytest.mark.context(color_scheme="dark")
def test_the_theme_is_the_systems_until_it_is_chosen(watched, pages):
    page = watched.open(pages["full"])

    def back() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    toggle = page.get_by_role("button", name="Dark theme")
    dark = back()
    assert toggle.get_attribute("aria-pressed") == "true"
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "false"
    assert back() == "rgb(255, 255, 255)" != dark
    page.reload()
    page.wait_for_selector("html[data-ready=true]")
    assert back() == "rgb(255, 255, 255)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_show_both_curves_and_the_shades_of_a_matrix(chromium, pages, scheme):
    context = chromium.new_context(viewport=WIDE, color_scheme=scheme, reduced_motion="reduce")
    context.set_default_timeout(90_000)
    page = context.new_page()
    page.goto(pages["full"])
    page.wait_for_selector("html[data-ready=true]")
    figure = page.locator("figure").first
    figure.scroll_into_view_if_needed()
    plot = figure.locator(".plot.drawn .u-over")
    plot.wait_for()

    def drawn() -> dict[str, int]:
        seen = pixels.colours(plot.screenshot())
        return {name: pixels.near(seen, colour(name)) for name in ("page", "head", "base")}

    def colour(name: str) -> pixels.Colour:
        value = page.evaluate(f"getComputedStyle(document.body).getPropertyValue('--{name}')")
        return tuple(bytes.fromhex(value.strip().removeprefix("#")))

    both = drawn()
    assert both["head"] > 200 < both["base"]
    assert both["page"] > 10 * (both["head"] + both["base"])
    figure.get_by_role("button", name="head").click()
    page.mouse.move(0, 0)
    one = drawn()
    assert one["head"] < both["head"] / 10
    assert one["base"] > both["base"] / 2

    # an example is mostly taken for what it is: the diagonal has the strongest colour
    def back(cell) -> pixels.Colour:
        return pixels.colours(cell.screenshot()).most_common(1)[0][0]

    def away(cell) -> int:
        return sum(abs(a - b) for a, b in zip(back(cell), colour("page"), strict=True))

    first, second, third = page.locator("table.matrix tbody tr").first.locator("td").all()
    assert away(first) > away(second) + 100
    assert away(third) <= away(second)
    context.close()


@pytest.mark.context(viewport=PHONE)
def test_on_a_phone_each_metric_is_read_without_scrolling_sideways(watched, pages):
    page = watched.open(pages["full"])
    assert sideways(page) <= 0
    for cell in page.locator("#metrics tbody tr").first.locator("td, th").all():
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
    touch = page.get_by_role("button", name="Dark theme").bounding_box()
    assert min(touch["width"], touch["height"]) >= 24


def test_hostile_names_are_text(watched, pages):
    page = watched.open(pages["hostile"])
    watched.draw_all()
    for button in page.locator("th button").all():
        button.click()
    assert page.title().count("broken") <= page.evaluate(
        "document.title.split('broken').length - 1"
    )
    assert page.title() != "broken"
    assert watched.requests == [pages["hostile"]]
    assert watched.complaints == []
    scripts = page.locator("script")
    assert [scripts.nth(i).get_attribute("type") for i in range(scripts.count())] == [
        "application/json", None, None,
    ]  # fmt: skip
    outside = "a:not([href^='#'])"
    assert page.locator(outside).count() == 0
    assert page.locator("img, iframe, object, embed, form, base, link").count() == 0
    assert "<img src=x" in page.locator("main").inner_text()


def test_paper_has_still_images_and_no_controls(watched, pages):
    page = watched.open(pages["full"])
    watched.draw_all()
    page.emulate_media(media="print")
    assert page.locator("canvas").first.is_hidden()
    assert page.locator("figure svg").first.is_visible()
    assert page.locator("nav").is_hidden()
    assert page.locator("#theme").is_hidden()
    document = page.pdf(format="A4")
    assert document.startswith(b"%PDF-")
    # nothing is cut off at the right of the sheet
    page.set_viewport_size({"width": 720, "height": 1000})
    assert sideways(page) <= 0


@pytest.mark.context(java_script_enabled=False)
def test_without_javascript_everything_can_be_read(watched, pages):
    page = watched.page
    page.goto(pages["full"])
    assert page.locator("figure svg").first.is_visible()
    assert page.locator("figure .still").first.inner_text().startswith("head: from ")
    for section in ("gates", "metrics", "changed", "curves", "classes", "matrices", "slices",
                    "costs", "artifacts", "lineage", "warnings"):  # fmt: skip
        assert page.locator(f"#{section}").is_visible()
    assert page.locator("th button, .tools:visible button").count() == 0
    assert watched.complaints == []
