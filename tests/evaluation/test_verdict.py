from __future__ import annotations

from agentroute.evaluation.verdict import PolicyScore, decide, priced_in_usd


def policy(
    score: float, calls: float = 1.0, usd: float | None = None, gain: tuple[float, float] = (-0.01, 0.01)
) -> PolicyScore:
    return PolicyScore(
        score=score,
        score_low=score - 0.01,
        score_high=score + 0.01,
        cost_usd=usd,
        calls=calls,
        latency_s=None,
        gain=sum(gain) / 2,
        gain_low=gain[0],
        gain_high=gain[1],
    )


SINGLE, VOTE = policy(0.50), policy(0.60, calls=7)


def verdict(own: PolicyScore, **baselines: PolicyScore | None) -> str:
    return decide({"best_single": SINGLE, "oracle": policy(0.9), **baselines, "agentroute": own})[0]


def test_a_sure_gain_that_nothing_as_cheap_matches_is_deployed() -> None:
    assert verdict(policy(0.55, gain=(0.02, 0.08))) == "deploy"
    assert verdict(policy(0.55, calls=2, gain=(0.02, 0.08)), weighted_vote=VOTE) == "deploy"


def test_a_gain_that_may_be_chance_is_not() -> None:
    assert verdict(policy(0.51, gain=(-0.01, 0.03))) == "no gain: keep best_single"


def test_a_sure_gain_that_something_as_cheap_also_has_is_not() -> None:
    sure = policy(0.55, gain=(0.02, 0.08))
    assert verdict(sure, knn=policy(0.55)) == "no gain: keep knn"
    assert verdict(policy(0.55, calls=7, gain=(0.02, 0.08)), majority=VOTE) == "no gain: keep majority"


def test_as_good_as_the_best_for_less_is_a_saving() -> None:
    assert verdict(policy(0.60, calls=2), weighted_vote=VOTE) == "deploy"
    assert verdict(policy(0.59, calls=2), weighted_vote=VOTE) == "no gain: keep weighted_vote"
    assert verdict(policy(0.60, calls=7), weighted_vote=VOTE) == "no gain: keep weighted_vote"


def test_dollars_decide_where_they_are_known_and_not_all_zero() -> None:
    cheap = policy(0.50, calls=3, usd=0.001)
    dear = {"best_single": policy(0.50, usd=0.01), "agentroute": cheap}
    assert priced_in_usd(dear) and decide(dear)[0] == "deploy"
    unknown = {**dear, "majority": policy(0.4, calls=7, usd=None)}
    assert not priced_in_usd(unknown) and decide(unknown)[0] == "no gain: keep best_single"
    free = {name: policy(0.5, calls, usd=0.0) for name, calls in (("best_single", 1), ("agentroute", 3))}
    assert not priced_in_usd(free) and decide(free)[0] == "no gain: keep best_single"


def test_the_oracle_and_what_could_not_be_computed_do_not_count() -> None:
    assert verdict(policy(0.55, gain=(0.02, 0.08)), cheapest=None) == "deploy"
