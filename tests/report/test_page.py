"""The page in a real browser: the slider moves, zoom shows pixels, keys work, no network."""

from __future__ import annotations

import base64
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

import vsr
from vsr.evaluation.options import CompareOptions
from vsr.evaluation.result import Comparison
from vsr.evaluation.session import decoded
from vsr.report.page import to_html

pytestmark = pytest.mark.extended
SAMPLE = Path(__file__).parent.parent.parent / "samples" / "harbour.mkv"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    options = CompareOptions(metrics=("psnr", "ssim"), device="cpu", shrink=True, frames=9, shown=3)
    return vsr.compare(SAMPLE, (), options, models=("bicubic", "nearest"))


@pytest.fixture(scope="module")
def file(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(to_html(comparison), encoding="utf-8")
    return path


class Page:
    """The report as a person uses it."""

    def __init__(self, chromium: Chrome, file: Path) -> None:
        self.browser = chromium
        chromium.get(file.as_uri())
        WebDriverWait(chromium, 20).until(
            lambda _: self.run("return document.documentElement.dataset.ready") == "yes"
        )
        WebDriverWait(chromium, 20).until(
            lambda _: self.run("return [...document.images].every((i) => i.complete)")
        )

    def run(self, script: str, *arguments: object) -> Any:
        return cast(Any, self.browser).execute_script(script, *arguments)

    def at(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def keys(self, text: str) -> None:
        self.at("view").send_keys(text)

    @property
    def split(self) -> float:
        """Where the divider is, 0..1, as the clip of the picture on top says."""
        clip = self.run("return document.querySelectorAll('.layer')[1].style.clipPath")
        return float(clip.removesuffix("%)").split()[-1]) / 100

    @property
    def transforms(self) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll('.layer img')].map((i) => i.style.transform)"
        )

    @property
    def scale(self) -> float:
        return float(self.run("return document.getElementById('view').dataset.scale"))

    def errors(self) -> list[Any]:
        return cast(Any, self.browser).get_log("browser")


@pytest.fixture
def page(chromium: Chrome, file: Path) -> Page:
    emulate(chromium, 1280, 900)
    return Page(chromium, file)


def emulate(
    browser: Any, width: int, height: int, *, phone: bool = False, dark: bool = False
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
    )
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})


def test_what_is_ours_is_small_and_the_page_needs_no_network(page: Page, file: Path) -> None:
    own = [resources.files("vsr.report").joinpath(f"page.{end}") for end in ("html", "css", "js")]
    assert sum(len(part.read_bytes()) for part in own) < 60_000
    text = file.read_text(encoding="utf-8")
    assert "{{" not in text
    assert "//" not in "".join(
        part.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
        for part in text.split('"')
        if part.startswith(("http", "//"))
    )
    fetched = page.run("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    assert page.errors() == []


def test_the_slider_moves_by_keys_mouse_and_its_own_range(page: Page) -> None:
    assert page.split == pytest.approx(0.5)
    page.at("split").send_keys(Keys.ARROW_LEFT * 10)
    assert page.split == pytest.approx(0.49)
    page.keys(Keys.ARROW_RIGHT * 3)
    assert page.split == pytest.approx(0.55)
    view = page.at("view")
    ActionChains(page.browser).move_to_element_with_offset(
        view, 0, 50
    ).click_and_hold().move_by_offset(
        -page.run("return arguments[0].offsetWidth", view) // 4, 0
    ).release().perform()
    assert page.split == pytest.approx(0.25, abs=0.01)
    page.keys("f")
    assert page.split == 1
    page.keys("f")
    assert page.split == 0
    assert page.errors() == []


def test_zoom_shows_the_very_pixels_on_both_sides(page: Page, comparison: Comparison) -> None:
    fit = page.scale
    page.keys("1")
    assert page.scale == 1
    page.keys("+++++")
    assert page.scale == pytest.approx(1.5**5)
    assert len(set(page.transforms)) == 1
    page.keys("0")
    assert page.scale == pytest.approx(fit)
    ActionChains(page.browser).double_click(page.at("view")).perform()
    assert page.scale == 4
    before = page.transforms
    page.keys(Keys.ARROW_UP + Keys.ARROW_LEFT)
    assert page.transforms != before
    assert len(set(page.transforms)) == 1
    x, y = (float(page.run(f"return document.getElementById('view').dataset.{n}")) for n in "xy")
    shot = cv2.imdecode(
        np.frombuffer(base64.b64decode(page.at("view").screenshot_as_base64), np.uint8),
        cv2.IMREAD_COLOR_RGB,
    )
    assert shot is not None
    height, width = shot.shape[:2]
    films = [Select(page.at(side)).all_selected_options[0].text for side in ("before", "after")]
    for name, column in zip(films, (width // 4, width * 3 // 4), strict=True):
        picture = decoded(comparison.shown[0].pictures[comparison.films.index(name)])
        for row in (height // 4, height // 2 + 40):
            place = int((row - height / 2) / 4 + y), int((column - width / 2) / 4 + x)
            near = picture[place[0] - 1 : place[0] + 2, place[1] - 1 : place[1] + 2].reshape(-1, 3)
            # A screen pixel may lie on the edge of two picture pixels, but never between them.
            assert shot[row, column].tolist() in near.tolist()
    assert page.errors() == []


def test_wheel_and_drag_keep_what_is_below_the_mouse(page: Page) -> None:
    view = page.at("view")
    ActionChains(page.browser).move_to_element(view).perform()
    page.run(
        "const v = document.querySelector('.pane'), b = v.getBoundingClientRect();"
        "for (let i = 0; i < 5; i++) v.dispatchEvent(new WheelEvent('wheel', {deltaY: -400,"
        " clientX: b.left + b.width / 4, clientY: b.top + b.height / 2, bubbles: true,"
        " cancelable: true}))"
    )
    assert page.scale > 10
    x = float(page.run("return document.getElementById('view').dataset.x"))
    width = page.run("return document.querySelector('.layer img').naturalWidth")
    assert x < width / 2  # towards the mouse
    ActionChains(page.browser).move_to_element_with_offset(
        view, 200, 0
    ).click_and_hold().move_by_offset(80, 0).release().perform()
    moved = float(page.run("return document.getElementById('view').dataset.x"))
    assert moved == pytest.approx(x - 80 / page.scale, abs=0.2)
    assert "R G B" in page.at("readout").text or page.at("readout").text == ""


def test_frames_and_films_are_chosen(page: Page, comparison: Comparison) -> None:
    labels = page.browser.find_elements(By.CSS_SELECTOR, "#strip button")
    assert len(labels) == len(comparison.shown) == 3
    scores = [float(label.text.split("PSNR ")[1]) for label in labels]
    assert scores == sorted(scores)  # the worst first
    assert page.at("which").text == "1 / 3"
    page.keys("]")
    assert page.at("which").text == "2 / 3"
    labels[2].click()
    assert page.at("which").text == "3 / 3"
    source = page.run("return document.querySelector('.layer img').src")
    expected = base64.b64encode(comparison.shown[2].pictures[0]).decode()
    assert source == f"data:image/png;base64,{expected}"
    Select(page.at("before")).select_by_visible_text("nearest")
    Select(page.at("after")).select_by_visible_text("bicubic")
    names = [node.text for node in page.browser.find_elements(By.CSS_SELECTOR, ".name")]
    assert [name.split(" ")[0] for name in names] == ["nearest", "bicubic"]
    assert "dB" in names[0]
    page.keys("x")
    assert page.browser.find_element(By.CSS_SELECTOR, ".name").text.startswith("bicubic")
    page.keys("s")
    assert len(page.browser.find_elements(By.CSS_SELECTOR, ".pane")) == 3
    page.keys("1++")
    assert len(set(page.transforms)) == 1
    assert len(page.transforms) == 3
    assert page.errors() == []


def test_plots_and_table_hold_the_numbers(page: Page, comparison: Comparison) -> None:
    lines = page.browser.find_elements(By.CSS_SELECTOR, "#plots figure")
    assert len(lines) == 2
    assert len(lines[0].find_elements(By.CSS_SELECTOR, "circle")) == 2 * comparison.frames
    summary = comparison.tracks[0].summary("psnr")
    assert summary is not None
    text = page.browser.find_element(By.TAG_NAME, "table").text
    assert f"{summary.mean:.2f}" in text
    page.run(
        "arguments[0].dispatchEvent(new MouseEvent('click'))",
        lines[0].find_element(By.TAG_NAME, "svg"),
    )
    assert page.errors() == []


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_reads_in_light_and_dark(
    chromium: Chrome, file: Path, dark: bool
) -> None:
    emulate(chromium, 390, 844, phone=True, dark=dark)
    page = Page(chromium, file)
    assert page.run("return document.documentElement.scrollWidth") <= 390
    for name in ("swap", "in", "next", "mode"):
        sides = page.run(
            "const e = arguments[0]; return [e.offsetWidth, e.offsetHeight]", page.at(name)
        )
        assert min(sides) >= 36  # a finger
    for tag in ("h1", "dd", "dt", "td"):
        ink, paper = page.run(
            "const s = (e) => getComputedStyle(e); return [s(document.querySelector(arguments[0]))"
            ".color, s(document.body).backgroundColor]",
            tag,
        )
        assert contrast(ink, paper) >= 4.5, (tag, ink, paper)  # WCAG 2, AA
    touch(page, [(100, 80), (300, 80)])
    assert page.split > 0.6
    pinch(page)
    assert page.scale > 1.5 * 390 / 320
    assert page.errors() == []


def touch(page: Page, path: list[tuple[int, int]]) -> None:
    """One finger along a path, from the view's top left corner."""
    box = page.run(
        "const b = document.getElementById('view').getBoundingClientRect(); return [b.left, b.top]"
    )
    for kind, (x, y) in zip(("touchStart", "touchMove"), path, strict=True):
        points = [{"x": box[0] + x, "y": box[1] + y}]
        cast(Any, page.browser).execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )
    cast(Any, page.browser).execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
    )


def pinch(page: Page) -> None:
    """Two fingers that part."""
    box = page.run(
        "const b = document.getElementById('view').getBoundingClientRect(); return [b.left, b.top]"
    )
    for kind, apart in (("touchStart", 30), ("touchMove", 60), ("touchMove", 90), ("touchEnd", 0)):
        points = [
            {"x": box[0] + 190 + sign * apart, "y": box[1] + 100, "id": place}
            for place, sign in enumerate((-1, 1))
        ]
        cast(Any, page.browser).execute_cdp_cmd(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": points if kind != "touchEnd" else []},
        )


def contrast(one: str, two: str) -> float:
    """The contrast of two CSS colours, 1..21 (WCAG 2.2)."""

    def luminance(color: str) -> float:
        levels = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_names_of_files_cannot_break_out(comparison: Comparison) -> None:
    bad = "</script><script>alert(1)</script>&\"'"
    track = replace(comparison.tracks[0], name=bad)
    text = to_html(replace(comparison, tracks=(track, *comparison.tracks[1:]), notes=(bad,)))
    assert "<script>alert" not in text
    assert text.count("<script") == 2


def test_too_many_pictures_become_jpegs(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsr.report.page.PICTURE_BUDGET", 1000)
    text = to_html(comparison)
    assert "data:image/png" not in text
    assert "JPEG, quality 95" in text
    assert len(text) < len(to_html(comparison)) + 1
