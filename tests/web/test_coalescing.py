"""Properties of what is held back: nothing stale wins, nothing repeats, nothing is lost without being counted."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.coalescing import Coalescer, LogBacklog
from phasenb.dto.events import PhaseLog
from phasenb.dto.phase import LogLine

AT = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL_S = 0.1

moves = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from("ab"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.floats(0, 0.3), st.none()),
        st.tuples(st.just("end"), st.sampled_from("ab"), st.none()),
    ),
    max_size=60,
)


@given(moves)
def test_newest_wins_at_a_bounded_rate_and_only_changes_are_told(steps):
    coalescer: Coalescer[str, int] = Coalescer(INTERVAL_S)
    now = 0.0
    told: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    offered: dict[str, int] = {}
    for move, what, value in steps:
        if move == "wait":
            now += what
            for key, newest in coalescer.due(now):
                assert newest == offered[key]
                told[key].append((now, newest))
        elif move == "offer":
            first = not told[what]
            offered[what] = value
            if coalescer.offer(what, value, now):
                told[what].append((now, value))
            else:
                assert not first
        else:
            held = coalescer.end(what)
            if held is not None:
                told[what].append((now, held))
            if what in offered:  # whatever was offered last has been told by the end
                assert told[what][-1][1] == offered.pop(what)
            told[what] = []
        for key in told:
            times = [at for at, _ in told[key]]
            values = [value for _, value in told[key]]
            assert all(later - earlier > INTERVAL_S - 1e-9 for earlier, later in pairwise(times))
            assert all(one != other for one, other in pairwise(values))


@given(st.lists(st.integers(0, 5), min_size=1))
def test_once_the_interval_is_over_the_newest_has_been_told(values):
    coalescer: Coalescer[str, int] = Coalescer(INTERVAL_S)
    shown = None
    for value in values:
        if coalescer.offer("a", value, 0.0):
            shown = value
    for _, value in coalescer.due(INTERVAL_S):
        shown = value
    assert shown == values[-1]
    assert coalescer.next_due() is None


def test_next_due_is_when_something_is_due():
    coalescer: Coalescer[str, int] = Coalescer(INTERVAL_S)
    assert coalescer.offer("a", 1, 5.0)
    assert coalescer.next_due() is None
    assert not coalescer.offer("a", 2, 5.01)
    assert coalescer.next_due() == 5.1
    assert coalescer.due(5.09) == []
    assert coalescer.due(5.1) == [("a", 2)]


def chunks_of(sizes: list[tuple[int, int, bool]]) -> list[PhaseLog]:
    """(lines, dropped before them, a new attempt?) as log messages numbered as an engine numbers them."""
    logs, attempt, number = [], 1, 0
    for count, dropped, fresh in sizes:
        if fresh:
            attempt, number = attempt + 1, 0
        lines = tuple(LogLine(stream="stdout", text=f"{attempt}:{number + dropped + i}", at=AT) for i in range(count))
        logs.append(
            PhaseLog(
                task_id="t",
                phase="research",
                attempt=attempt,
                first_line=number + dropped + 1,
                dropped=dropped,
                lines=lines,
            )
        )
        number += dropped + count
    return logs


sizes = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2), st.booleans()), max_size=20)


@given(sizes, st.integers(0, 1500))
def test_lines_are_in_order_and_every_one_is_there_or_counted(given_sizes, maximum):
    logs = chunks_of(given_sizes)
    backlog = LogBacklog(maximum)
    for log in logs:
        backlog.add(log)
    taken = backlog.take()
    assert not backlog

    def totals(messages):
        found = {}
        for log in messages:
            found[log.attempt] = found.get(log.attempt, 0) + log.dropped + log.skipped + len(log.lines)
        return {attempt: count for attempt, count in found.items() if count}

    assert totals(taken) == totals(logs)
    expected: dict[int, int] = {}
    for log in taken:
        expected[log.attempt] = expected.get(log.attempt, 0) + log.dropped + log.skipped
        assert log.first_line == expected[log.attempt] + 1
        for line in log.lines:
            assert line.text == f"{log.attempt}:{expected[log.attempt]}"
            expected[log.attempt] += 1
    assert sum(len(line.text) + 64 for log in taken for line in log.lines) <= maximum


@given(sizes)
def test_with_room_nothing_is_dropped(given_sizes):
    logs = chunks_of(given_sizes)
    backlog = LogBacklog(1_000_000)
    for log in logs:
        backlog.add(log)
    lines = [line for log in backlog.take() for line in log.lines]
    assert lines == [line for log in logs for line in log.lines]
