"""plan_replay: never a partial replay that calls itself whole."""

from hypothesis import given
from hypothesis import strategies as st

from phasenb.core.replay import Replay, Snapshot, plan_replay

seqs = st.integers(0, 50)


@given(seqs, st.sampled_from([None, "mine", "other"]), seqs, st.integers(1, 20))
def test_a_replay_is_whole_or_there_is_none(after_seq, epoch, last_seq, maximum):
    plan = plan_replay(after_seq, epoch, "mine", last_seq, maximum)
    if isinstance(plan, Replay):
        assert epoch != "other"
        assert (plan.after_seq, plan.last_seq) == (after_seq, last_seq)
        assert 0 <= plan.last_seq - plan.after_seq <= maximum
    else:
        assert plan == Snapshot(last_seq)
        assert epoch == "other" or after_seq > last_seq or last_seq - after_seq > maximum


def test_up_to_date_and_from_the_start():
    assert plan_replay(7, None, "e", 7, 10) == Replay(7, 7)
    assert plan_replay(0, "e", "e", 7, 10) == Replay(0, 7)
    assert plan_replay(0, "e", "e", 11, 10) == Snapshot(11)
    assert plan_replay(8, "e", "e", 7, 10) == Snapshot(7)
