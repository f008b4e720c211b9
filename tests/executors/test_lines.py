"""An attempt's text as lines, and its lines within their bound: what is not kept is counted, and the log says so."""

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from phasenb.dto.events import PhaseLog
from phasenb.executors.lines import LINE_CHARACTERS, LineFolder, LogBound
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


def folded(text, size=None):
    """(the lines, what is unfinished, what comes at the end) of a text that comes in pieces of ``size``."""
    folder, lines = LineFolder(), []
    for start in range(0, len(text), size or max(1, len(text))):
        lines += folder.feed(text[start : start + (size or len(text))])
    return lines, folder.unfinished(), folder.end()


@pytest.mark.parametrize(
    ("text", "lines", "unfinished", "end"),
    [
        ("a\nb\r\nc", ["a", "b"], "c", ["c"]),
        ("10%\r20%\r30%\ndone\n", ["30%", "done"], "", []),
        ("\r10%\r20%", [], "20%", ["20%"]),
        ("\r10%\r   \rnext\n", [], "next", ["next"]),  # may be drawn anew still
        ("100%\r  9%  \n", [], "  9%", ["  9%"]),  # padded with blanks
        ("abc\r", [], "abc", ["abc"]),  # may be half of \r\n
        ("\n\r\n \n", ["", "", " "], "", []),
        ("Loading ... ", [], "Loading ...", ["Loading ... "]),
        ("one\ntwo\n\x1b[2A\rONE\n", ["one", "two"], "ONE", ["ONE"]),  # what is a line stays one
        ("\x1b[?25l\r\x1b[2K50%\r\x1b[2K\x1b[1A\x1b[?25h", [], "", []),
        ("\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"], "", []),
    ],
)
@pytest.mark.parametrize("size", [None, 1, 3])
def test_text_becomes_lines_as_a_terminal_shows_it(text, lines, unfinished, end, size):
    assert folded(text, size) == (lines, unfinished, end)


def nested(leave):
    """What tqdm itself draws: a bar with one inside, and a line between."""
    file = io.StringIO()
    for _ in tqdm(range(3), desc="outer", file=file, mininterval=0):
        for _ in tqdm(range(40), desc="inner", file=file, leave=leave, mininterval=0):
            pass
        tqdm.write("an epoch", file=file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("leave", "wanted"),
    [
        (False, ["an epoch", "an epoch", "an epoch", "outer: 100%"]),
        (True, ["inner: 100%", "an epoch", "inner: 100%", "an epoch", "inner: 100%", "an epoch", "outer: 100%"]),
    ],
)
def test_nested_bars_of_tqdm_leave_their_last_states(leave, wanted):
    text = nested(leave)
    assert text.count("inner:") > 100
    for size in (None, 1, 100):
        lines, _, end = folded(text, size)
        assert [line.split("|")[0] for line in (*lines, *end)] == wanted


@given(st.text("ab \r\n\x1b[A2K", max_size=60), st.integers(1, 5))
def test_it_makes_no_difference_in_which_pieces_a_text_comes(text, size):
    lines, unfinished, end = folded(text)
    assert folded(text, size) == (lines, unfinished, end)
    assert not any("\n" in line for line in (*lines, *end))


def test_a_bar_that_nobody_draws_any_more_becomes_a_line_while_the_next_one_is_drawn():
    folder = LineFolder()
    assert folder.feed("\r100%\n\r1%") == []
    assert folder.settle() == []
    assert folder.feed("\r2%") == []
    assert folder.settle() == ["100%"]
    assert folder.unfinished() == "2%"


def test_a_line_without_end_is_cut():
    lines, unfinished, _ = folded("x" * (2 * LINE_CHARACTERS + 5), 1000)
    assert [*map(len, lines), len(unfinished)] == [LINE_CHARACTERS, LINE_CHARACTERS, 5]
