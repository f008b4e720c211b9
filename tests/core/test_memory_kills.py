"""What the figures of a killed process prove."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.memory_kills import MemoryFigures, held, out_of_memory

GB = 10**9
count = st.none() | st.integers(0, 64 * GB)


@pytest.mark.parametrize(
    ("figures", "proven"),
    [
        (MemoryFigures(1, 7 * GB, 8 * GB), True),
        (MemoryFigures(1, 3 * GB, 8 * GB), True),  # others had the rest
        (MemoryFigures(2, None, 8 * GB), True),  # its guardian was gone
        (MemoryFigures(0, 8 * GB, 8 * GB), False),  # the kernel counts, and counted none
        (MemoryFigures(1, GB // 10, 64 * GB), False),  # another process of its cgroup
        (MemoryFigures(None, 7.5 * GB, 8 * GB), True),
        (MemoryFigures(None, 6 * GB, 8 * GB), False),
        (MemoryFigures(None, None, None), False),
    ],
)
def test_only_a_count_or_a_peak_proves_it(figures, proven):
    assert out_of_memory(figures) is proven


@given(st.none() | st.integers(0, 9), count, count)
def test_without_a_kill_of_the_kernel_or_a_peak_nothing_is_proven(kills, peak_bytes, limit_bytes):
    figures = MemoryFigures(kills, peak_bytes, limit_bytes)
    if kills == 0 or (not kills and not (peak_bytes and limit_bytes)):
        assert not out_of_memory(figures)
    assert bool(held(figures)) is (peak_bytes is not None)


def test_what_it_held_is_said_in_its_own_size():
    assert held(MemoryFigures(1, 7_200_000_000, 8 * GB)) == "it held 7.2 GB of 8.0 GB at most"
    assert held(MemoryFigures(1, 120_000_000)) == "it held 120 MB at most"
