"""Where benches play: cores, figures of /health, and the ways in which a bench ends."""

import os
import signal

import pytest

from benches._stage import BenchFailedError, divided, figure, guarded, pinned


def test_a_failure_is_told_and_is_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise BenchFailedError("3 batches were lost")

    assert guarded("some", work) == 1
    assert capsys.readouterr().err == "some: failed: 3 batches were lost\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    ended: list[str] = []
    before = signal.getsignal(signal.SIGTERM)

    def work() -> int:
        try:
            os.kill(os.getpid(), number)
            return 0
        finally:
            ended.append("all of it")

    assert guarded("some", work) == 130
    assert ended == ["all of it"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_figure_is_found_wherever_it_stands() -> None:
    report = {"lag_ms": 3, "lanes": {"live": {"dropped": 1}, "bulk": {"dropped": 2}}}
    assert figure(report, "lag_ms") == 3
    assert figure(report, "dropped") == 3
    assert figure({**report, "tenants": {"acme": report}}, "dropped") == 3
    assert figure(report, "none of them") is None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no cores to choose from")
def test_a_thread_is_pinned_for_a_while() -> None:
    before = os.sched_getaffinity(0)
    one, others = divided()
    assert len(one) == 1
    assert one | others == before
    with pinned(one):
        assert os.sched_getaffinity(0) == one
    assert os.sched_getaffinity(0) == before
