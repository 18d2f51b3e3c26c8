"""What a reader sees without scrolling, and how the controls look."""

import pytest


@pytest.fixture(scope="module", params=["light", "dark"])
def page(request, browser, report_file):
    """The page on a small laptop's screen."""
    page = browser.new_page(
        viewport={"width": 1280, "height": 720}, color_scheme=request.param, reduced_motion="reduce"
    )
    page.goto(report_file.as_uri())
    yield page
    page.close()


def test_verdict_and_hallucination_score_are_there_at_once(page):
    for place in (0, 1):
        box = page.locator("p.verdict").nth(place).bounding_box()
        assert box["y"] + box["height"] < 720
        assert box["x"] + box["width"] <= 1280
    assert "The hallucination score is 0.05 to" in page.locator("p.verdict").nth(1).inner_text()


def test_passed_and_failed_differ_in_shape_and_colour(page):
    looks = {}
    for verdict in ("pass", "fail", "not applicable"):
        mark = page.locator(f"#controls td .mark[aria-label='{verdict}']").first
        looks[verdict] = (
            mark.inner_text(),
            mark.evaluate("mark => getComputedStyle(mark).color"),
        )
    assert len({text for text, _ in looks.values()}) == 3
    assert len({colour for _, colour in looks.values()}) == 3


def test_the_highest_score_stands_first_and_leads_to_its_article(page):
    rows = page.locator("#controls tbody tr")
    names = [row.locator("th").inner_text() for row in rows.all()]
    assert names == ["EMD-9", "EMD-100", "EMD-10"]
    rows.first.locator("a").click()
    page.wait_for_function(
        "() => { const article = document.querySelector(location.hash);"
        " const { top } = article.getBoundingClientRect();"
        " return article.textContent.includes('EMD-9 with 5PTI') && top > -50 && top < 400; }"
    )


def test_no_table_of_the_verdict_is_wider_than_the_page(page):
    for name in ("controls", "leakage"):
        frame = page.locator(f".scroll:has(#{name})")
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth")


def test_residues_are_drawn(page):
    chart = page.locator("figure.residues svg").first
    assert "chain A" in chart.get_attribute("aria-label")
    box = chart.evaluate("chart => chart.getBoundingClientRect().toJSON()")
    assert box["width"] > 400
    assert box["height"] > 80
