"""The page: what stands on it, that names cannot break it, and that it loads nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import perf_reports
import pytest

from perf.errors import PerfError, PerfUsageError
from perf.machine.node_profile import BlockTimes
from perf.machine.peaks import Peaks
from perf.presentation.html import Figure, Quality, write_page, write_plot
from perf.presentation.html.finding import Finding, findings
from perf.presentation.html.plots.drawing import WIDTH_IN, style
from perf.presentation.html.plots.roofline import HEIGHT_IN, draw_roofline, reached
from perf.presentation.html.quality.tradeoff import Point, pareto_front
from perf.presentation.html.series import all_series
from perf.presentation.html.tables import closest
from perf.presentation.html.theme import COLOURS
from perf.results.report import Failure, Report
from perf.results.report_file import read_report
from perf.statistics import Ratio

HOSTILE = '<b>m</b> & $x$ [1] "q" \''
BLOCK_MS = {"embeddings": 1.0, "attention": 20.0, "FFN": 30.0, "rest": 0.5}


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    VOID = ("meta", "br", "link", "img", "path", "rect", "line", "polygon", "use", "wbr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.is_broken = False
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.is_broken = tag == "wbr"
        self.references += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            if self.is_broken:  # at a place where a line may break within a word
                data = self.words.pop() + data
            self.words.append(data)
        self.is_broken = False


def full(second: str = "fused.onnx") -> Report:
    """A report with every field that the page knows."""
    base = perf_reports.report(second)
    subjects = tuple(
        replace(
            subject,
            precision=precision,
            macs={128: 2_000_000_000},
            blocks=tuple(BlockTimes(128, threads, BLOCK_MS) for threads in (1, 2)),
        )
        for subject, precision in zip(base.subjects, ("", "int8"), strict=True)
    )
    return replace(
        base,
        subjects=subjects,
        failures=(Failure("third.onnx", "it has an <If> that nobody takes"),),
        peaks=(Peaks(1, {"float32": 60.0, "int8": 230.0}, 12.0),),
        command=("mbert-onnx", "bench", "base.onnx", "a b.onnx"),
        interrupted=True,
    )


def page_of(tmp_path: Path, *reports: Report, **asked: object) -> str:
    path = tmp_path / "page.html"
    names = [f"r{number}.json" for number in range(len(reports))]
    write_page(reports, path, **{"names": names, **asked})  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


def qualities(metric: str, values: dict[str, float]) -> list[Quality]:
    return [Quality(metric, {name: Figure(value) for name, value in values.items()})]


def svgs(text: str) -> list[str]:
    return re.findall(r'<div class="(?:narrow|wide)">(<svg.*?</svg>)\s*</div>', text, re.DOTALL)


def test_everything_is_there(tmp_path: Path) -> None:
    shown = qualities("accuracy", {"base.onnx": 0.81, "fused.onnx": 0.8})
    page = Page(page_of(tmp_path, full(), qualities=shown, command="mbert-onnx report r.json"))
    assert page.open == []  # every tag is closed
    headings = (
        "Latency against length",
        "Times",
        "Latency against accuracy",
        "Time by block",
        "Roofline: share of the machine's peak",
        "Files",
    )
    places = [page.text.index(heading) for heading in (*headings, "How this was measured")]
    assert places == sorted(places)
    for told in (
        "With 1 thread, fused.onnx is the fastest: 1.17 times as fast as base.onnx (95 % interval 1.15–1.19) at 128 "
        "tokens.",
        "With 2 threads, no model is significantly faster than base.onnx at 128 tokens.",
        "the [b]moon[/b] was full",
        "the benchmark was interrupted before all repetitions were done",
        "61.71 ± 0.62",
        "1.17× (1.15–1.19)",
        "no significant difference",
        "third.onnx not timed: it has an <If> that nobody takes",
        "Some CPU",
        "2025-01-02T03:04:05+00:00",
        "mbert-onnx bench base.onnx 'a b.onnx'",
        "mbert-onnx report r.json",
    ):
        assert told in page.text, told


def test_what_there_is_no_data_for_is_left_out(tmp_path: Path) -> None:
    text = page_of(tmp_path, replace(perf_reports.report(), warnings=()))
    for heading in ("<h2>Warnings", "Latency against quality", "Time by block", "Roofline", "not timed"):
        assert heading not in text
    assert len(svgs(text)) == 2


def test_a_report_of_failures_alone_says_why(tmp_path: Path) -> None:
    empty = replace(full(), subjects=(), cells=(), peaks=())
    page = Page(page_of(tmp_path, empty))
    assert "not timed: it has an <If> that nobody takes" in page.text
    assert "Latency against length" not in page.text


def test_names_are_text_everywhere(tmp_path: Path) -> None:
    report = full(HOSTILE)
    text = page_of(tmp_path, report, qualities=qualities("<i>F1</i>", {HOSTILE: 0.5}), command="<u>")
    page = Page(text)
    assert not {"b", "i", "u", "if"} & set(page.tags)
    assert page.text.count(HOSTILE) > 4
    drawn = svgs(text)
    assert len(drawn) == 2 + 2 + 2 + 2  # the only roofline is drawn twice, for a phone and for a large screen
    # As XML, too: a browser forgives, a strict reader does not. The bars carry the names.
    told = [" ".join(ElementTree.fromstring(svg).itertext()) for svg in drawn]
    assert sum(HOSTILE in words for words in told) == 2
    assert sum("<i>F1</i>" in words for words in told) == 2


def test_it_loads_nothing(tmp_path: Path) -> None:
    text = page_of(tmp_path, full(), qualities=qualities("F1", {"base.onnx": 1.0}))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert all(reference.startswith("#") for reference in page.references)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_names_inside_one_chart_do_not_reach_into_another(tmp_path: Path) -> None:
    found = [set(re.findall(r' id="([^"]+)"', svg)) for svg in svgs(page_of(tmp_path, full()))]
    assert sum(map(len, found)) == len(set().union(*found)) > 0


def test_the_same_reports_make_the_same_page(tmp_path: Path) -> None:
    assert page_of(tmp_path, full()) == page_of(tmp_path, full())


def test_a_report_that_was_written_and_read_makes_the_same_page(tmp_path: Path) -> None:
    full().write_json(tmp_path / "r.json")
    assert page_of(tmp_path, read_report(tmp_path / "r.json")) == page_of(tmp_path, full())


def test_a_chart_is_as_wide_as_a_phone_shows(tmp_path: Path) -> None:
    widths = [float(re.search(r'width="([\d.]+)pt"', svg)[1]) for svg in svgs(page_of(tmp_path, full()))]  # type: ignore[index]
    pixels = [round(width * 96 / 72) for width in widths]
    assert sorted(pixels) == [360] * 5 + [768]  # the only roofline is drawn for a large screen, too


def test_fifteen_models_all_look_different() -> None:
    base = perf_reports.report()
    many = replace(base, subjects=tuple(replace(base.subjects[0], name=f"m{number}") for number in range(15)))
    assert len({item.look for item in all_series([many], ["r"])}) == 15


def test_series_are_called_by_what_tells_them_apart() -> None:
    cpu = perf_reports.report()
    web = replace(cpu, arguments=replace(cpu.arguments, provider="webgpu"))
    phone = replace(cpu, arguments=replace(cpu.arguments, device="ssh://pi"))

    def labels(*reports: Report) -> list[str]:
        return [item.label for item in all_series(reports, ["a.json", "b.json"][: len(reports)])][::2]

    assert labels(cpu) == ["base.onnx"]
    assert labels(cpu, web) == ["base.onnx · cpu", "base.onnx · webgpu"]
    assert labels(cpu, phone) == ["base.onnx · local", "base.onnx · ssh://pi"]
    assert labels(cpu, cpu) == ["base.onnx · a.json", "base.onnx · b.json"]


def test_a_model_that_says_nothing_is_no_finding() -> None:
    base = perf_reports.report("lost.onnx")
    lost = replace(base, subjects=(base.subjects[0], replace(base.subjects[1], error=1.5)))
    assert findings(lost)[0].text == "With 1 thread, no model is significantly faster than base.onnx at 128 tokens."


def test_a_model_with_outputs_that_are_not_finite_is_no_finding() -> None:
    base = perf_reports.report("broken.onnx")
    first, second = (replace(subject, non_finite={"logits": (128,)}) for subject in base.subjects)
    found = findings(replace(base, subjects=(base.subjects[0], second)))
    assert found[0].text == "With 1 thread, no model is significantly faster than base.onnx at 128 tokens."
    (found_alone,) = findings(replace(base, subjects=(first, base.subjects[1])))
    assert not found_alone.is_headline
    assert found_alone.text.startswith("base.onnx is not usable: its output logits is NaN or infinite at 128 tokens;")


def test_a_slower_model_is_no_finding() -> None:
    base = perf_reports.report()
    slower = perf_reports.with_measurements(base, speedup=Ratio(0.5, 0.4, 0.6, True))
    assert "no model is significantly faster" in findings(slower)[0].text


def test_too_few_repetitions_are_no_finding() -> None:
    ended = perf_reports.with_measurements(perf_reports.report(), speedup=None)
    text = "With 1 thread, models are not compared: too few repetitions were done."
    assert findings(ended)[0] == Finding(text, is_headline=False)


def test_a_model_alone_has_its_times() -> None:
    base = perf_reports.report()
    cells = tuple(replace(cell, measurements=cell.measurements[:1]) for cell in base.cells)
    alone = replace(base, subjects=base.subjects[:1], cells=cells)
    assert findings(alone) == [
        Finding("With 1 thread, base.onnx takes 61.7 ms (95 % interval 61.1–62.3) at 128 tokens."),
        Finding("With 2 threads, base.onnx takes 8.4 ms (95 % interval 8.32–8.48) at 128 tokens."),
    ]
    unstable = perf_reports.with_measurements(alone, stable=False)
    text = "With 1 thread, at 128 tokens times are unstable (intervals wider than ±2.0%)."
    assert findings(unstable)[0] == Finding(text, is_headline=False)


@pytest.mark.parametrize(
    ("first", "best", "other", "is_headline"),
    [
        ({}, {}, {}, True),
        ({"stable": False}, {}, {}, False),
        ({}, {"stable": False}, {}, False),
        ({}, {}, {"stable": False, "low_ms": 40.0}, False),  # the other one may be faster
        ({}, {}, {"stable": False, "low_ms": 60.0}, True),
    ],
)
def test_unstable_times_are_no_headline(
    first: dict[str, Any], best: dict[str, Any], other: dict[str, Any], is_headline: bool, tmp_path: Path
) -> None:
    base = perf_reports.report("fused.onnx")
    items = [*base.cells[0].measurements, perf_reports.measurement("other.onnx", 70.0, None)]
    cell = replace(
        base.cells[0],
        measurements=tuple(replace(item, **new) for item, new in zip(items, (first, best, other), strict=True)),
    )
    report = replace(base, cells=(cell,))
    (found,) = findings(report)
    assert found.is_headline == is_headline
    assert ("1.17 times as fast as base.onnx (95 % interval 1.15–1.19)" in found.text) == is_headline
    unstable = "at 128 tokens times are unstable (intervals wider than ±2.0%)"
    assert (unstable in found.text) != is_headline
    assert ('<p class="finding">' in page_of(tmp_path, report)) == is_headline


def test_the_front_has_whom_nobody_beats() -> None:
    (series, *_) = all_series([perf_reports.report()], ["r"])
    pairs = [(10, 0.8), (20, 0.9), (15, 0.7), (20, 0.85), (5, 0.5), (5, 0.5), (30, 0.9)]
    front = pareto_front([Point(series, ms, Figure(quality)) for ms, quality in pairs])
    assert [(point.cost, point.quality) for point in front] == [(5, 0.5), (5, 0.5), (10, 0.8), (20, 0.9)]


def test_a_roof_is_of_the_models_precision() -> None:
    series = all_series([full()], ["r"])
    base, fused = reached(series, full().peaks[0])
    size = 25_100_000
    assert base.precision == "float32"  # where it is not known
    assert (base.roof, base.bound) == (60.0, "arithmetic")
    assert base.gmacs == pytest.approx(2e9 / 61.712e-3 / 1e9)
    assert base.intensity == pytest.approx(2e9 / size)
    assert fused.roof == 230.0
    (low, _) = reached(series, Peaks(1, {"float32": 60.0, "int8": 230.0}, 0.5))
    assert (low.roof, low.bound) == (pytest.approx(0.5 * 2e9 / size), "memory")
    assert closest([base]) == ["base.onnx (float32) reaches 54% of its roof"]


def test_a_share_above_the_roof_is_explained(tmp_path: Path) -> None:
    report, series = full(), all_series([full()], ["r"])
    slow = reached(series, Peaks(1, {"float32": 20.0, "int8": 230.0}, 12.0))
    assert closest(slow)[0] == (
        "base.onnx (float32) reaches 162% of its roof; above 100 %: its kernels are faster than onnxruntime's product "
        "of two large matrices"
    )
    assert "above" not in closest(slow)[1]
    narrow = reached(series, Peaks(1, {"float32": 60.0, "int8": 230.0}, 0.1))
    assert "above 100 %: weights that stay in a cache are read faster than memory" in closest(narrow)[0]
    page = Page(page_of(tmp_path, replace(report, peaks=(Peaks(1, {"float32": 20.0, "int8": 230.0}, 12.0),))))
    assert "above 100 %: its kernels are faster" in page.text


def test_half_precision_is_called_fp16(tmp_path: Path) -> None:
    base = full()
    half = replace(base, subjects=(base.subjects[0], replace(base.subjects[1], precision="fp16")))
    (_, fused) = reached(all_series([half], ["r"]), half.peaks[0])
    assert (fused.precision, fused.roof) == ("fp16", 60.0)  # float32's roof, where fp16 has none of its own
    known = Peaks(1, {"float32": 60.0, "fp16": 90.0, "int8": 230.0}, 12.0)
    (_, fused) = reached(all_series([half], ["r"]), known)
    assert fused.roof == 90.0
    text = page_of(tmp_path, replace(half, peaks=(known,)))
    assert "fused.onnx (fp16) reaches" in Page(text).text
    assert any("fp16 90" in "".join(ElementTree.fromstring(svg).itertext()) for svg in svgs(text))


def test_names_break_at_slashes(tmp_path: Path) -> None:
    name = "ort-dynamic:folder/of/models/model.onnx"
    text = page_of(tmp_path, replace(full(name), warnings=(f"{name} is slow",)))
    broken = name.replace("/", "/<wbr>")
    for start, end in (('<td class="text">', "</td>"), ("<span>", "</span>"), ("<li>", " is slow</li>")):
        assert f"{start}{broken}{end}" in text
    assert name in Page(text).text


def test_the_page_has_a_dark_mode(tmp_path: Path) -> None:
    text = page_of(tmp_path, full())
    light, dark = re.findall(r":root {(.*?)}", text)
    assert "@media screen and (prefers-color-scheme: dark)" in text
    names = [set(re.findall(r"--([\w-]+):", declared)) for declared in (light, dark)]
    assert names[0] == names[1] == set(COLOURS)
    rest = text.replace(light, "").replace(dark, "")
    assert set(re.findall(r"var\(--([\w-]+)\)", rest)) <= names[0]
    # Every colour is one of the two modes', in charts and swatches, too; black is what an SVG leaves out.
    assert re.findall(r"#[0-9a-fA-F]{6}\b", rest) == []
    assert all("var(--ink)" in svg and "var(--paper)" in svg for svg in svgs(text))


def test_a_name_that_looks_like_a_colour_stays(tmp_path: Path) -> None:
    text = page_of(tmp_path, full("#0072b2"))
    assert "#0072b2" in Page(text).text
    assert any("#0072b2" in "".join(ElementTree.fromstring(svg).itertext()) for svg in svgs(text))


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"cannot write .*page\.html"):
        page_of(tmp_path / "none", full())
    with pytest.raises(PerfError, match=r"cannot write .*p\.png"):
        write_plot(full(), tmp_path / "none" / "p.png")
    assert list(tmp_path.iterdir()) == []


def test_a_page_needs_reports_and_their_names(tmp_path: Path) -> None:
    for reports, names in (([], []), ([full()], ["a", "b"])):
        with pytest.raises(PerfUsageError, match="expected a name for each"):
            write_page(reports, tmp_path / "page.html", names=names)


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_picture_is_drawn(tmp_path: Path, suffix: str, start: bytes) -> None:
    path = tmp_path / f"plot{suffix}"
    write_plot(full(HOSTILE), path)
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]
    if suffix == ".svg":
        assert HOSTILE in "".join(ElementTree.parse(path).getroot().itertext())


def test_a_picture_needs_a_known_ending_and_something_to_draw(tmp_path: Path) -> None:
    with pytest.raises(PerfUsageError, match=r"ends in \.gif; expected a file name that ends in"):
        write_plot(full(), tmp_path / "p.gif")
    with pytest.raises(PerfUsageError, match="no measurement"):
        write_plot(replace(full(), cells=()), tmp_path / "p.png")


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_without_the_extra_it_is_one_line(tmp_path: Path, missing: str) -> None:
    program = f"""
import sys
sys.modules[{missing!r}] = None
sys.path[:0] = {[str(Path(perf_reports.__file__).parent), str(Path(__file__).parents[3])]!r}
import perf_reports
from pathlib import Path
from perf.errors import PerfError
from perf.presentation.html import read_quality, write_page
try:
    write_page([perf_reports.report()], Path({str(tmp_path / "page.html")!r}), names=["r"])
except PerfError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("pip install 'mbert-onnx[report]'")
    assert list(tmp_path.iterdir()) == []


def test_charts_fill_the_width_and_tables_show_where_they_go_on(tmp_path: Path) -> None:
    text = page_of(tmp_path, full(), full("other.onnx"))
    rules = dict(reversed(re.findall(r"^ *([^{}@\n]+?) {([^{}]*)}", text, re.MULTILINE)))  # not those for print
    assert "minmax(min(100%, 340px), 1fr)" in rules[".charts"]  # two beside each other on a tablet of 768 pixels
    assert "width" not in rules["figure"]
    assert "width: 100%" in rules["figure svg"]
    shadows = re.findall(r"linear-gradient\(to (left|right), var\(--(\w+)\)[^)]*\).*?(local|scroll)", rules[".scroll"])
    # The covers move with the table, and hide the shades at its ends.
    covers, shades = ("paper", "local"), ("shade", "scroll")
    assert [(side, (colour, moves)) for side, colour, moves in shadows] == [
        ("right", covers),
        ("left", covers),
        ("right", shades),
        ("left", shades),
    ]
    assert text.count('<div class="scroll"') == text.count("<table>") > 0
    # A single chart is drawn in two widths, of which a screen shows one; several are side by side.
    assert text.count('<div class="wide">') == 0
    assert page_of(tmp_path, full()).count('<div class="wide">') == 1


def test_on_a_phone_a_long_name_leaves_room_for_numbers(tmp_path: Path) -> None:
    text = page_of(tmp_path, full("a/long/path/" + "n" * 200))
    (phone,) = re.findall(r"@media \(max-width: 600px\) {\n(.*?)\n}", text, re.DOTALL)
    (names,) = re.findall(r"td\.text, th\.text {(.*?)}", phone)
    assert int(re.search(r"max-width: (\d+)vw", names)[1]) < 50  # type: ignore[index]
    assert "overflow-wrap: anywhere" in names  # else a word without a slash is as wide as it is long


def test_texts_of_charts_are_legible_on_a_phone(tmp_path: Path) -> None:
    """In pixels of a phone of 390, whose page is 362 wide, or of two charts beside each other, 340 wide."""
    drawn = svgs(page_of(tmp_path, full(), qualities=qualities("F1", {"base.onnx": 0.5, "fused.onnx": 0.6})))
    narrow = [svg for svg in drawn if 'width="270pt"' in svg]  # a width of 360 pixels
    assert len(narrow) == len(drawn) - 1
    sizes = [float(size) for svg in narrow for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    # The coordinates of a chart are points, of which 270 fill its width.
    assert min(sizes) * 340 / 270 >= 10


@pytest.mark.parametrize(
    "peaks",
    [
        {"float32": 60.0, "fp16": 70.0, "int8": 230.0},
        {"float32": 60.0, "fp16": 50.0, "int8": 230.0},
        {"float32": 60.0, "fp16": 60.0, "int8": 60.0},
        {"float32": 60.0, "fp16": 70.0, "int8": 80.0},
        {"float32": 60.0, "fp16": 230.0, "int8": 500.0},
    ],
)
def test_labels_of_roofs_are_apart(peaks: dict[str, float]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    base = full()
    half = replace(base, subjects=(base.subjects[0], replace(base.subjects[1], precision="fp16")))
    known = Peaks(1, peaks, 12.0)
    with style():
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        draw_roofline(axes, reached(all_series([half], ["r"]), known), known)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(peaks)
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
