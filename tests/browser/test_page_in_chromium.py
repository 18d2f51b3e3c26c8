"""What a reader does with the page, done in a real browser."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

FIRST, SECOND, THIRD = "EMD-10 with 1UBI", "EMD-100 with 1UBI", "EMD-9 with 5PTI"
READY = "figure.viewer[data-state=shown]"
TO_TOP = "figure => figure.scrollIntoView({ behavior: 'instant' })"


@pytest.fixture
def page(opened):
    return opened[0]


@pytest.fixture
def figure(page):
    """The first entry's view, as it is at first."""
    figure = view_of(page, FIRST)
    figure.locator(".again").click()
    figure.evaluate(TO_TOP)
    settle(page)
    return figure


def view_of(page, heading):
    article = page.locator("article.entry").filter(has=page.get_by_role("heading", name=heading))
    figure = article.locator("figure.viewer")
    figure.evaluate(TO_TOP)
    figure.locator(".stage canvas").nth(1).wait_for(timeout=30_000)
    article.locator(READY).wait_for(timeout=30_000)
    return figure


def settle(page):
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")


def pixels(figure, side):
    """What a stage's canvas shows, int [h, w, 3]."""
    return decoded(figure.locator(".stage").nth(side).locator("canvas"))


def decoded(canvas):
    address = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    png = base64.b64decode(address.partition(",")[2])
    with Image.open(io.BytesIO(png)) as image:
        flat = Image.new("RGBA", image.size, "white")
        flat.alpha_composite(image.convert("RGBA"))
        return np.asarray(flat.convert("RGB")).astype(int)


def share_drawn(figure, side):
    """Share of the stage that is not background."""
    return (np.abs(pixels(figure, side) - 255).max(axis=2) > 12).mean()


def move(figure, name, value):
    slider = figure.locator(name)
    slider.evaluate(
        "(slider, value) => { slider.value = value; "
        "slider.dispatchEvent(new Event('input', {bubbles: true})); }",
        str(value),
    )
    settle(figure.page)


def changed(before, after):
    return (np.abs(before - after).max(axis=2) > 12).mean()


def hue_share(picture, colour):
    """Share of pixels of one colour, however it is lit: red, green and blue in proportion."""
    colour = np.array(colour) / np.linalg.norm(colour)
    strength = np.linalg.norm(picture, axis=2)
    alike = (picture @ colour) / np.maximum(strength, 1)
    return ((alike > 0.995) & (np.ptp(picture, axis=2) > 10)).mean()


class TestSurfaces:
    def test_they_are_drawn_in_both_views_and_follow_the_slider(self, figure):
        figure.locator(".model").uncheck()
        move(figure, ".opacity", 100)
        last = int(figure.locator(".volume").get_attribute("max"))
        shares = {}
        for stop in (0, last // 2, last):
            move(figure, ".volume", stop)
            shares[stop] = [share_drawn(figure, side) for side in (0, 1)]
        for side in (0, 1):
            least, middle, most = (shares[stop][side] for stop in (0, last // 2, last))
            assert 0.01 < least < 0.8 * middle
            assert 0.15 < middle < 0.95 * most
            assert most < 0.9
        # Grey-blue of the deposited and teal of the enhanced map, as in the pictures.
        for side, colour in enumerate([(0.60, 0.67, 0.76), (0.16, 0.60, 0.64)]):
            assert hue_share(pixels(figure, side), colour) > 0.1
        figure.locator(".model").check()

    def test_both_enclose_the_same_volume_at_every_stop(self, page, figure):
        counts = page.evaluate(
            "() => { const { data } = pairs.find((pair) => pair.entry.state === 'shown').entry;"
            " return data.shares.map((_, stop) => data.maps.map((map) =>"
            " map.values.reduce((sum, value) => sum + (value >= map.contours[stop]), 0))); }"
        )
        counts = np.array(counts)
        assert len(counts) > 20
        assert (np.diff(counts, axis=0) > 0).all()
        # 256 grey levels: within one of them.
        assert np.abs(counts[:, 0] / counts[:, 1] - 1).max() < 0.05

    def test_the_numbers_beside_the_slider(self, figure):
        move(figure, ".volume", 0)
        assert figure.locator(".enclosed").inner_text().startswith("5 % of the molecule, ")
        high = [float(t.split()[1]) for t in figure.locator(".panel output").all_inner_texts()[:2]]
        move(figure, ".volume", 14)
        assert figure.locator(".enclosed").inner_text().startswith("40 % of the molecule, ")
        low = [float(t.split()[1]) for t in figure.locator(".panel output").all_inner_texts()[:2]]
        assert all(a > b > 0 for a, b in zip(high, low, strict=True))

    def test_the_model_is_drawn_and_can_be_hidden(self, page, figure):
        move(figure, ".opacity", 5)
        with_model = [pixels(figure, side) for side in (0, 1)]
        figure.locator(".model").uncheck()
        settle(page)
        for side in (0, 1):
            # The first chain's colour, a strong blue.
            assert hue_share(with_model[side], (0.24, 0.47, 0.75)) > 0.02
            assert hue_share(pixels(figure, side), (0.24, 0.47, 0.75)) < 0.005
        figure.locator(".model").check()


class TestCameras:
    def test_turning_one_map_turns_the_other(self, page, figure):
        before = [pixels(figure, side) for side in (0, 1)]
        box = figure.locator(".stage").first.bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 90)
        page.mouse.down()
        page.mouse.move(box["x"] + 190, box["y"] + 120, steps=3)
        page.mouse.up()
        settle(page)
        for side in (0, 1):
            assert changed(before[side], pixels(figure, side)) > 0.05
        assert self.views(page)[0] == self.views(page)[1]

    def test_so_do_the_keys_from_the_other_side(self, page, figure):
        before = [pixels(figure, side) for side in (0, 1)]
        figure.locator(".stage").nth(1).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("+")
        settle(page)
        for side in (0, 1):
            assert changed(before[side], pixels(figure, side)) > 0.05
        assert self.views(page)[0] == self.views(page)[1]

    def test_reset_brings_the_first_view_back(self, page, figure):
        before = pixels(figure, 0)
        figure.locator(".stage").first.focus()
        page.keyboard.press("ArrowUp")
        move(figure, ".volume", 3)
        assert changed(before, pixels(figure, 0)) > 0.05
        figure.locator(".again").click()
        settle(page)
        assert changed(before, pixels(figure, 0)) < 0.001

    def test_the_wheel_scrolls_the_page_until_a_map_is_clicked(self, page, figure):
        stage = figure.locator(".stage").first
        box = stage.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 100)
        views, top = self.views(page), page.evaluate("scrollY")
        page.mouse.wheel(0, 40)
        page.wait_for_function("top => scrollY > top", arg=top)
        assert self.views(page) == views
        stage.click()
        page.mouse.wheel(0, 40)
        settle(page)
        assert self.views(page) != views
        assert self.views(page)[0] == self.views(page)[1]

    @staticmethod
    def views(page):
        return page.evaluate(
            "() => pairs.find((pair) => pair.entry.figure.dataset.state === 'shown')"
            ".sides.map(({ viewer }) => viewer.getView().map((x) => Math.round(1e4 * x)))"
        )


class TestSlices:
    def cuts(self, figure):
        canvases = figure.locator(".cuts canvas")
        return [decoded(canvases.nth(place)) for place in range(3)]

    def test_the_slider_moves_the_plane_in_all_three(self, figure):
        figure.locator(".atoms").uncheck()
        before = self.cuts(figure)
        where = figure.locator(".cuts output").inner_text()
        move(figure, ".cuts input[type=range]", 30)
        assert figure.locator(".cuts output").inner_text() != where
        for old, new in zip(before, self.cuts(figure), strict=True):
            assert changed(old, new) > 0.03
        figure.locator(".atoms").check()

    def test_there_is_density_and_the_difference_has_both_signs(self, figure):
        figure.locator(".cuts select").select_option("x")
        deposited, enhanced, difference = self.cuts(figure)
        for grey in (deposited, enhanced):
            assert grey.max() > 220
            assert (grey.max(axis=2) < 90).mean() > 0.2
        blueness = difference[..., 2] - difference[..., 0]
        assert blueness.max() > 15
        assert blueness.min() < -15


class TestPage:
    def test_tables_sort_by_click_and_by_key(self, page):
        # Marks and dashes stay; missing values are last in either order.
        table = page.locator("#comparisons")
        header = table.get_by_role("columnheader", name="CC_mask")
        column = header.evaluate("cell => cell.cellIndex")
        for order, press in (("ascending", "click"), ("descending", "Enter")):
            button = header.get_by_role("button")
            button.click() if press == "click" else button.press(press)
            assert header.get_attribute("aria-sort") == order
            values = table.locator("tbody tr").evaluate_all(
                "(rows, column) => rows.map((row) => row.cells[column].dataset.value ?? null)",
                column,
            )
            known = [float(value) for value in values if value is not None]
            assert known == sorted(known, reverse=order == "descending")
            assert values[len(known) :] == [None] * (len(values) - len(known))
            assert None in values
        entries = table.get_by_role("columnheader", name="Entry")
        entries.get_by_role("button").click()
        names = table.locator("tbody th").all_inner_texts()
        assert list(dict.fromkeys(names)) == ["EMD-9", "EMD-10", "EMD-100"]
        assert header.get_attribute("aria-sort") is None

    def test_few_views_live_and_the_others_come_back_as_they_were(self, page, figure):
        figure.locator(".stage").first.focus()
        page.keyboard.press("ArrowUp")
        settle(page)
        turned = pixels(figure, 0)
        for heading in (SECOND, THIRD):
            view_of(page, heading)
        assert page.evaluate("() => pairs.length") == 2
        assert page.locator(".stage canvas").count() == 4
        stills = figure.locator(".stage img")
        assert stills.count() == 2
        assert stills.first.get_attribute("alt")
        again = view_of(page, FIRST)
        settle(page)
        assert changed(turned, pixels(again, 0)) < 0.01

    def test_dark_and_light(self, page, figure):
        page.emulate_media(color_scheme="dark")
        settle(page)
        assert pixels(figure, 0)[:8, :8].max() < 60
        page.emulate_media(color_scheme="light")
        settle(page)
        assert pixels(figure, 0)[:8, :8].min() > 240

    def test_nothing_may_be_asked_of_a_network(self, browser, report_file):
        page = browser.new_page()
        page.goto(report_file.as_uri())
        refused = page.evaluate(
            "() => fetch('http://127.0.0.1:9/').then(() => 'went', (error) => error.name)"
        )
        assert refused == "TypeError"
        words = page.evaluate("() => { try { return eval('1'); } catch (e) { return e.name; } }")
        assert words in ("EvalError", 1)
        page.close()


def test_the_page_was_silent_and_asked_for_nothing(opened, report_file):
    """Last: over all that the tests above did."""
    _, heard = opened
    assert [line for line in heard if not line.startswith("request: data:image/")] == [
        f"request: {report_file.as_uri()}"
    ]
