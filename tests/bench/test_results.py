"""Results for machines: kept by lines, compared beyond noise, drawn."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.compare import Comparison, compare, main
from tests.bench.credit_goals import Goal
from tests.bench.plots import IMAGES, draw, draw_all
from tests.bench.results import Figure, of_goals, read, record
from tests.serving import ROOT


def test_further_runs_of_a_part_are_read_together(tmp_path: Path) -> None:
    for runs in ((1.0, 2.0), (3.0,)):
        path = record("part", [Figure("a request", "ms", runs, 10)], tmp_path)
    found = read(path)["a request", 10]
    assert (found.runs, found.median, found.unit) == ((1.0, 2.0, 3.0), 2.0, "ms")
    assert '"load"' in path.read_text()


def test_what_is_printed_becomes_a_figure_where_it_is_a_number() -> None:
    goals = [Goal("rate", "1,234/s"), Goal("time", "4.5 ms"), Goal("statuses", "none")]
    assert [(each.name, each.unit, each.median) for each in of_goals(goals)] == [
        ("rate", "/s", 1234.0),
        ("time", "ms", 4.5),
    ]


@pytest.mark.parametrize(
    ("unit", "before", "after", "verdict"),
    [
        ("ms", (1.0, 1.1, 1.2), (2.0, 2.1, 2.2), "worse"),
        ("ms", (2.0, 2.1, 2.2), (1.0, 1.1, 1.2), "better"),
        ("/s", (100, 110, 120), (200, 210, 220), "better"),
        ("/s", (200, 210, 220), (100, 110, 120), "worse"),
        ("ms", (1.0, 1.1, 2.0), (1.9, 2.1, 2.2), "within noise"),
        ("ms", (1.0, 1.01, 1.02), (1.03, 1.04, 1.05), "within noise"),
        ("ms", (1.0, 1.1), (2.0, 2.1, 2.2), "too few runs"),
    ],
)
def test_a_verdict_needs_every_run_of_one_beyond_every_run_of_the_other(
    unit: str, before: tuple[float, ...], after: tuple[float, ...], verdict: str
) -> None:
    found = Comparison(Figure("a", unit, before), Figure("a", unit, after))
    assert found.verdict == verdict
    assert verdict in str(found)


def test_only_what_was_measured_on_both_sides_is_compared(tmp_path: Path) -> None:
    before = record("before", [Figure("a", "ms", (1,), 10), Figure("a", "ms", (1,), 100)], tmp_path)
    after = record("after", [Figure("a", "ms", (2,), 100), Figure("b", "ms", (2,), 100)], tmp_path)
    assert [(each.after.size, each.ratio) for each in compare(before, after)] == [(100, 2.0)]


def test_a_plot_has_a_line_for_each_name_and_its_points_at_their_sizes() -> None:
    figures = [Figure("one", "ms", (size / 10, size / 5), size) for size in (10, 100, 1000)]
    drawn = draw("Growth", "rows", [*figures, Figure("<two>", "ms", (1.0,), 1000)])
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own words
    lines = root.findall("{*}polyline")
    across = [float(place.split(",")[0]) for place in lines[0].attrib["points"].split()]
    assert len(lines) == 2
    assert across[1] - across[0] == pytest.approx(across[2] - across[1]), "each tenfold is as far as the last"
    assert "● <two>" in [each.text for each in root.findall("{*}text")]


def test_the_plots_of_the_documentation_are_those_of_the_committed_results() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    for name, drawn in draw_all().items():
        assert f"images/{name}.svg" in text
        assert (IMAGES / f"{name}.svg").read_text() == drawn, "draw them again: python -m tests.bench.plots"


def test_figures_in_other_units_are_not_compared(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, unit in ((before, "ms"), (after, "s")):
        record("part", [Figure("a request", unit, (1.0, 2.0, 3.0))], folder)
    assert compare(before / "part.jsonl", after / "part.jsonl") == []
    assert len(compare(before / "part.jsonl", before / "part.jsonl")) == 1


def test_whoever_measured_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.bench.compare.BUILD", tmp_path)
    assert main() == 0
    assert "`make bench` measures" in capsys.readouterr().out
