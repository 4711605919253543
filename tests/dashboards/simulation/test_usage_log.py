"""A usage log is read row by row; what can't be used is named by its line, and too much of it stops the run."""

from pathlib import Path

import pytest

from credits_engine.engines.amounts import Amounts
from dashboards.simulation.usage_log import LogError, UsageLogError, UsageRow, read, scan

HEADER = "operation_id,occurred_at,user_id,signed_up_at,plan,kind,credits"
GOOD = "op-1,2026-01-01T08:00:00Z,u1,2026-01-01T08:00:00Z,pro,analysis,3"


def log(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "usage.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_row_becomes_an_operation(tmp_path: Path) -> None:
    (row,) = read(log(tmp_path, GOOD))
    assert isinstance(row, UsageRow)
    assert (row.line, row.operation_id, row.user_id, row.plan) == (2, "op-1", "u1", "pro")
    assert row.amounts == Amounts(analysis=3)
    assert row.occurred_at.isoformat() == "2026-01-01T08:00:00+00:00"


def test_unknown_columns_are_ignored_and_missing_ones_named(tmp_path: Path) -> None:
    (row,) = read(log(tmp_path, f"{GOOD},x", header=f"{HEADER},note"))
    assert isinstance(row, UsageRow)
    with pytest.raises(UsageLogError, match="lacks the columns kind, credits"):
        list(read(log(tmp_path, "op-1", header="operation_id,occurred_at,user_id,signed_up_at,plan")))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,analysis,0", "credits is '0'"),
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,analysis,-3", "credits is '-3'"),
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,analysis,1.5", "credits is '1.5'"),
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,analysis,٣", "credits is"),
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,analysis,9999999", "from 1 to 1000000"),
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,analysis", "credits is None"),
        ("op-2,2026-01-01T08:00:00Z,u1,,gold,analysis,3", "gold"),
        ("op-2,2026-01-01T08:00:00Z,u1,,pro,video,3", "kind is 'video'"),
        ("op-2,yesterday,u1,,pro,analysis,3", "occurred_at is 'yesterday'"),
        ("op-2,2026-01-01T08:00:00Z,,,pro,analysis,3", "user id"),
        (",2026-01-01T08:00:00Z,u1,,pro,analysis,3", "operation_id is empty"),
        ("op-2,2025-12-31T08:00:00Z,u1,,pro,analysis,3", "before the row above"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path: Path, row: str, sentence: str) -> None:
    good, bad = read(log(tmp_path, GOOD, row))
    assert isinstance(good, UsageRow)
    assert isinstance(bad, LogError)
    assert bad.line == 3
    assert sentence in str(bad)


def test_a_hundredth_of_unusable_rows_is_reported_and_more_stops_the_run(tmp_path: Path) -> None:
    rows = [GOOD.replace("op-1", f"op-{number}") for number in range(99)]
    found = scan(log(tmp_path, *rows, "broken"), users=8)
    assert (found.usable, found.unusable, found.mistakes[0].line) == (99, 1, 101)
    with pytest.raises(UsageLogError, match=r"2 of 101 rows \(2.0%\)"):
        scan(log(tmp_path, *rows, "broken", "broken"), users=8)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", HEADER.encode()])
def test_a_file_that_is_no_log_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "usage.csv"
    path.write_bytes(content)
    with pytest.raises(UsageLogError):
        scan(path, users=8)
    with pytest.raises(UsageLogError, match="can't be read"):
        scan(tmp_path / "missing.csv", users=8)
