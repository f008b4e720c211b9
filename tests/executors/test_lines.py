"""An attempt's lines within their bound: what is not kept is counted, and the stored log says so."""

from datetime import UTC, datetime

from phasenb.dto.events import PhaseLog
from phasenb.executors.lines import LogBound
from phasenb.store.rows import log_values

AT = datetime(2026, 1, 1, tzinfo=UTC)


def stored(bound):
    """(line, text) of each row."""
    rows, line = [], 0
    for chunk in bound.end():
        first = line + chunk.dropped + 1
        line = first + len(chunk.lines) - 1
        told = PhaseLog(task_id="t", phase="fit", attempt=1, first_line=first, dropped=chunk.dropped, lines=chunk.lines)
        rows += [(row["line"], row["text"]) for row in log_values(told)]
    return rows


def test_the_first_lines_are_kept_and_the_newest_with_the_number_of_those_between():
    bound = LogBound(1000)
    for number in range(50):
        bound.add("stdout", f"line {number}", AT)
    rows = stored(bound)
    kept = [text for _, text in rows if text.startswith("line")]
    assert kept == [f"line {number}" for number in (*range(10), 47, 48, 49)]
    assert rows[-4][1] == "[37 lines before this one were not kept]"
    assert rows[-1] == (51, "line 49")  # one more: the line that says that only the last ones are kept


def test_a_last_line_that_is_longer_than_what_is_kept_is_told():
    bound = LogBound(1000)
    bound.add("stdout", "begin", AT)
    bound.add("stdout", "x" * 2000, AT)
    bound.add("stdout", "y" * 2000, AT)
    (_, begin), _, (_, dropped), (line, told) = stored(bound)
    assert begin == "begin"
    assert dropped == "[2 lines before this one were not kept]"
    assert (line, told) == (5, "the last line of this attempt is too long to be kept (limits.log_bytes)")
