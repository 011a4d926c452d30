"""`embedded.plan`: when a fault is injected."""

from __future__ import annotations

from monitor.embedded import FaultPlan, parse_fault
from monitor.embedded.faults import FaultStep

CHANNEL = "session:11111111-2222-4333-8444-555555555555"


def plan_of(*specs: str, seed: int = 0) -> tuple[FaultPlan, list[float]]:
    now = [100.0]
    return FaultPlan([parse_fault(spec) for spec in specs], seed=seed, clock=lambda: now[0]), now


def injected(plan: FaultPlan, times: int, **where: str) -> list[bool]:
    return [plan.select(FaultStep.PUSH, **({"channel": CHANNEL} | where)) is not None for _ in range(times)]


def test_skip_and_count_limit_the_injections() -> None:
    plan, _ = plan_of("drop:skip=1,count=2")
    assert injected(plan, 5) == [False, True, True, False, False]


def test_a_fault_is_injected_only_between_after_and_until() -> None:
    plan, now = plan_of("drop:after=10,until=20")
    results = []
    for at in (105.0, 110.0, 119.0, 120.0):
        now[0] = at
        results += injected(plan, 1)
    assert results == [False, True, True, False]


def test_a_fault_is_injected_only_for_its_channel_and_side() -> None:
    plan, _ = plan_of("drop:channel=session,to=wallet,sender=dapp")
    assert injected(plan, 1, to="wallet", sender="dapp") == [True]
    assert injected(plan, 1, to="dapp", sender="wallet") == [False]
    assert injected(plan, 1, to="wallet", sender="dapp", channel="handshake:x") == [False]


def test_the_same_seed_injects_the_same_faults() -> None:
    runs = [injected(plan_of("drop:probability=0.3", seed=seed)[0], 200) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 30 < sum(runs[0]) < 90


def test_one_fault_is_injected_at_a_time() -> None:
    plan, _ = plan_of("drop:count=1", "duplicate")
    kinds = [getattr(plan.select(FaultStep.PUSH, channel=CHANNEL, data='"x"'), "kind", None) for _ in range(2)]
    assert kinds == ["drop", "duplicate"]
    assert [(fault.kind, fault.channel, fault.data) for fault in plan.injected] == [
        ("drop", CHANNEL, '"x"'),
        ("duplicate", CHANNEL, '"x"'),
    ]


def test_faults_can_be_changed_at_run_time() -> None:
    plan, _ = plan_of("drop")
    assert injected(plan, 1) == [True]
    plan.set([])
    assert injected(plan, 1) == [False]
    assert len(plan.injected) == 1
