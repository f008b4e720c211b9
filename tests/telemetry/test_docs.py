"""docs/observability.md names what is measured, and nothing else."""

import re
from pathlib import Path

from phasenb.server.state_events import SCHEMA_ID
from phasenb.telemetry.metrics import COUNTERS, GAUGES, Metrics

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


def test_the_page_lists_every_metric_with_its_type():
    told = re.findall(r"^\| `(phasenb_\w+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    metrics = Metrics(lambda: dict.fromkeys([*GAUGES, *COUNTERS], 0))
    suffix = {"counter": "_total"}
    assert sorted(told) == sorted((each.name + suffix.get(each.type, ""), each.type) for each in metrics.collect())


def test_the_page_names_the_event_schema():
    assert SCHEMA_ID in PAGE.read_text()
