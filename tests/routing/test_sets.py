"""Laws of sets that are decided query by query, of saying that nobody fits, and of how both are chosen."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from routing.folders import EMBEDDER, table_of
from routing.labelled import agents, trained_on_labels
from routing.test_policy import MANY, tables

from agentroute.errors import InputError
from agentroute.routing.calibration import VIEWS
from agentroute.routing.choose import best
from agentroute.routing.policy import View, make_policy
from agentroute.routing.router import GraphRouter
from agentroute.routing.sets import (
    AGENT_PRICE,
    MOST,
    REFUSED,
    REFUSED_BLINDLY,
    Fitting,
    best_chance,
    set_settings,
)
from agentroute.types import Answer, Limits, Query

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0)


@st.composite
def fittings(draw):
    return Fitting(
        coverage=draw(st.floats(0.01, 1)),
        most=draw(st.integers(1, 6)),
        least=draw(st.floats(0, 1)),
        temperature=draw(st.sampled_from([0.25, 1.0, 4.0])),
    )


def view_of(logits, free=None, asked=None, spoke=None):
    nobody = np.zeros(logits.shape, bool)
    return View(
        agents=tuple(f"agent-{i}" for i in range(logits.shape[1])),
        expected=logits,
        cost=np.zeros(logits.shape[1]),
        free=~nobody if free is None else free,
        asked=nobody if asked is None else asked,
        spoke=nobody if spoke is None else spoke,
        agree=np.zeros(len(logits)),
    )


# ---------------------------------------------------------------------------- whom a set holds


@MANY
@given(tables(), st.integers(1, 5), st.sampled_from([0.25, 1.0, 3.0]))
def test_sets_grow_with_the_coverage_up_to_their_most(table, most, temperature):
    logits, cost, free = table
    before = np.zeros_like(free)
    for coverage in LEVELS:
        policy = Fitting(coverage=coverage, most=most, temperature=temperature)
        chosen = policy.select(logits, cost, free)
        assert (before <= chosen).all()
        assert chosen.sum(axis=1).max() <= most
        before = chosen


@MANY
@given(fittings(), tables())
def test_a_set_is_never_empty_and_holds_the_best_who_is_free(policy, table):
    logits, cost, free = table
    chosen = policy.select(logits, cost, free)
    assert not (chosen & ~free).any()
    for scores, mine, may in zip(logits, chosen, free, strict=True):
        if may.any():
            assert mine[np.flatnonzero(may)[scores[may].argmax()]]
            assert not (may & ~mine).any() or scores[mine].min() >= scores[may & ~mine].max()
        else:
            assert not mine.any()


@MANY
@given(tables(), st.floats(0.01, 1), st.sampled_from([0.25, 1.0, 3.0]))
def test_a_set_is_the_smallest_that_has_the_coverage(table, coverage, temperature):
    logits, cost, free = table
    chosen = Fitting(coverage=coverage, most=99, temperature=temperature).select(logits, cost, free)
    for scores, mine, may in zip(logits, chosen, free, strict=True):
        if not may.any():
            continue
        share = np.exp(scores[may].astype(np.float64) / temperature)
        share = np.sort(share / share.sum())[::-1]
        size = int(mine.sum())
        assert share[:size].sum() >= coverage - 1e-8
        assert size == 1 or share[: size - 1].sum() < coverage


@MANY
@given(fittings(), st.integers(0, 10_000))
def test_permuting_agents_permutes_the_set(policy, seed):
    rng = np.random.default_rng(seed)
    logits, free = rng.normal(size=(4, 6)), rng.random((4, 6)) < 0.8
    order, cost = rng.permutation(6), np.zeros(6)
    chosen = policy.select(logits, cost, free)
    assert np.array_equal(policy.select(logits[:, order], cost, free[:, order]), chosen[:, order])


@MANY
@given(fittings(), tables())
def test_a_query_is_refused_just_when_the_best_is_too_unlikely_to_fit(policy, table):
    logits, cost, _ = table
    wave = policy.wave(view_of(logits))
    refused = ~wave.any(axis=1)
    chance = 1.0 / (1.0 + np.exp(-logits.max(axis=1).astype(np.float64)))
    clear = np.abs(chance - policy.least) > 1e-9
    assert (refused == (chance < policy.least))[clear].all()
    everyone = np.ones(logits.shape, bool)
    assert np.array_equal(wave[~refused], policy.select(logits, cost, everyone)[~refused])


@MANY
@given(fittings(), tables())
def test_nobody_is_refused_once_somebody_was_asked(policy, table):
    """Who was asked and failed is replaced, however unlikely the others are; an answer is enough."""
    logits, cost, asked = table
    if not asked.any():
        asked[0, 0] = True
    wave = policy.wave(view_of(logits, free=~asked, asked=asked))
    some = asked.any(axis=1)
    assert np.array_equal(wave[some], policy.select(logits, cost, ~asked)[some])
    assert not policy.wave(view_of(logits, free=~asked, asked=asked, spoke=asked))[some].any()


@pytest.mark.parametrize(
    "bad",
    [
        *({"coverage": value} for value in (0.0, -0.1, 1.1, float("nan"))),
        *({"least": value} for value in (-0.1, 1.1, float("nan"))),
        {"most": 0},
        {"temperature": 0.0},
    ],
)
def test_bad_settings_are_refused_with_their_value(bad):
    with pytest.raises(InputError) as caught:
        Fitting(**bad)
    assert str(*bad.values()) in str(caught.value) and next(iter(bad)) in str(caught.value)


@MANY
@given(fittings())
def test_plain_data_makes_the_same_policy_again(policy):
    assert make_policy(policy.plain()) == policy


@MANY
@given(npst.arrays(np.float32, (3, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_chances_of_any_scores_are_chances(logits):
    chance = best_chance(logits)
    assert ((chance >= 0) & (chance <= 1)).all()
    assert (np.diff(chance[np.argsort(logits.max(axis=1))]) >= 0).all()


# ---------------------------------------------------------------------------- what is said of it


@MANY
@given(fittings(), tables())
def test_a_remark_names_just_those_who_may_fit(policy, table):
    logits, _, _ = table
    for i in range(len(logits)):
        view = view_of(logits[i : i + 1])
        wave = policy.wave(view)
        remark = policy.remark(view, wave)
        names = [name for name, mine in zip(view.agents, wave[0], strict=True) if mine]
        if not names:
            assert remark is not None and remark.startswith("no agent fits: the best, agent-")
            said, bar = re.findall(r"chance of (\S+), is below (\S+)$", remark)[0]
            assert float(said) < float(bar)
        elif len(names) == 1:
            assert remark is None
        else:
            assert remark is not None and remark.startswith(f"{len(names)} agents may fit: ")
            assert sorted(remark.partition(": ")[2].replace(" and ", ", ").split(", ")) == sorted(names)


def test_the_words_of_a_remark():
    policy = Fitting(coverage=0.9, least=0.31, most=3)
    unlikely = view_of(np.array([[-3.0, -2.0, -4.0]]))
    said = "no agent fits: the best, agent-1, with a chance of 0.12, is below 0.31"
    assert policy.remark(unlikely, policy.wave(unlikely)) == said
    nearly = Fitting(least=0.120)
    close = view_of(np.log([[0.1196 / (1 - 0.1196)]]))
    assert "a chance of 0.1196, is below 0.1200" in str(nearly.remark(close, nearly.wave(close)))
    alike = view_of(np.array([[1.0, 1.2, -9.0]]))
    assert policy.remark(alike, policy.wave(alike)) == "2 agents may fit: agent-1 and agent-0"
    three = view_of(np.array([[1.0, 1.2, 1.1]]))
    assert policy.remark(three, policy.wave(three)) == "3 agents may fit: agent-1, agent-2 and agent-0"
    asked = np.array([[True, False, False]])
    again = view_of(np.array([[-3.0, -2.0, -4.0]]), free=~asked, asked=asked)
    assert policy.remark(again, policy.wave(again)) is None


# ---------------------------------------------------------------------------- how validation chooses


def drawn(seed, queries=400, width=12, oos=0.1):
    """Log-odds that know the labels better from view to view, too sure by a factor; and the labels.

    Those that nobody fits are farther from what is on record than most of the others.
    """
    rng = np.random.default_rng(seed)
    fits = np.zeros((queries, width))
    fits[np.arange(queries), rng.integers(0, width, queries)] = 1.0
    fits[rng.random(queries) < oos] = 0.0
    noise = rng.normal(size=(VIEWS, queries, width))
    sharp = np.array([0.5, 1.0, 4.0, 2.0])[:, None, None]
    near = rng.normal(size=(1, queries, 1)) - 3.0 * (fits.sum(axis=1)[None, :, None] == 0)
    layers = np.concatenate([3.0 * (sharp * fits + noise) - 4.0, np.repeat(near, width, axis=2)])
    return layers.astype(np.float32), fits


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_settings_say_what_their_sets_are(seed):
    views, fits = drawn(seed)
    table = table_of(fits, [[None] * fits.shape[1]] * len(fits))
    known = fits.any(axis=1)
    tried = set_settings(views, table)
    assert tried[0].calls == 1.0 and tried[0].policy.most == 1
    for setting in tried:
        chosen = setting.policy.wave(view_of(setting.calibration(views)))
        hits = [bool((mine & (right > 0)).any()) for mine, right in zip(chosen, fits, strict=True)]
        assert setting.score == pytest.approx(np.mean(np.array(hits)[known]))
        bold = replace(setting.policy, least=0.0)
        sizes = bold.wave(view_of(setting.calibration(views))).sum(axis=1)
        assert setting.calls == pytest.approx(np.mean(sizes)) == pytest.approx(setting.price)
        assert max(sizes) <= setting.policy.most <= max(MOST)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_saying_that_none_fits_costs_no_more_than_was_allowed(seed):
    views, fits = drawn(seed)
    table = table_of(fits, [[None] * fits.shape[1]] * len(fits))
    known, alone = fits.any(axis=1), set_settings(views, table)[0]
    logits = alone.calibration(views)
    refused = best_chance(logits) < alone.policy.least
    right = fits[np.arange(len(fits)), logits.argmax(axis=1)] > 0
    assert (refused & right)[known].sum() <= REFUSED * known.sum()
    # Of those that nobody fits, more are refused than of the others.
    assert refused[~known].mean() > refused[known].mean() + 0.1
    assert alone.score == pytest.approx((right & ~refused)[known].mean())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_how_near_a_query_is_tells_more_of_those_that_nobody_fits(seed):
    views, fits = drawn(seed, queries=2_000)
    table = table_of(fits, [[None] * fits.shape[1]] * len(fits))
    alike = views.copy()
    alike[VIEWS] = 0.5
    shares = []
    for seen in (alike, views):
        alone = set_settings(seen, table)[0]
        shares.append((best_chance(alone.calibration(seen)) < alone.policy.least)[~fits.any(axis=1)].mean())
    assert shares[1] > shares[0] + 0.1


def test_what_is_lost_on_other_queries_too_keeps_what_was_allowed():
    # Drawn with replacement from the validation queries, as a bootstrap does: nearly all draws keep it.
    views, fits = drawn(5, queries=2_000)
    known = fits.any(axis=1)
    alone = set_settings(views, table_of(fits, [[None] * fits.shape[1]] * len(fits)))[0]
    logits = alone.calibration(views)
    right = fits[np.arange(len(fits)), logits.argmax(axis=1)] > 0
    lost = ((best_chance(logits) < alone.policy.least) & right)[known]
    draw = np.random.default_rng(0)
    other = [lost[draw.integers(len(lost), size=len(lost))].mean() for _ in range(400)]
    assert 0.25 * REFUSED < lost.mean() and np.mean(np.array(other) <= REFUSED) > 0.9


def test_without_examples_of_none_fits_refusing_costs_less():
    views, fits = drawn(3, queries=2_000, oos=0.0)
    alone = set_settings(views, table_of(fits, [[None] * fits.shape[1]] * len(fits)))[0]
    refused = best_chance(alone.calibration(views)) < alone.policy.least
    right = fits[np.arange(len(fits)), alone.calibration(views).argmax(axis=1)] > 0
    assert 0 < (refused & right).sum() <= REFUSED_BLINDLY * len(fits) < REFUSED * len(fits)


def test_the_view_that_knows_most_is_taken_and_its_chances_hold():
    views, fits = drawn(4, queries=2_000)
    tried = set_settings(views, table_of(fits, [[None] * fits.shape[1]] * len(fits)))
    assert {setting.calibration.trust for setting in tried} == {2}
    known = fits.any(axis=1)
    for setting in tried:
        if setting.policy.most == max(MOST) and 0.6 < setting.policy.coverage < 0.97:
            # Drawn with the same noise everywhere, so that the chances of a set are what it comes to.
            policy = Fitting(
                coverage=setting.policy.coverage, most=99, temperature=setting.policy.temperature
            )
            chosen = policy.select(setting.calibration(views), np.zeros(12), np.ones(fits.shape, bool))
            hit = (chosen & (fits > 0)).any(axis=1)[known].mean()
            assert hit > setting.policy.coverage - 0.03


def test_a_larger_set_must_bring_its_price():
    views, fits = drawn(5)
    tried = set_settings(views, table_of(fits, [[None] * fits.shape[1]] * len(fits)))
    chosen = best(tried, AGENT_PRICE)
    assert chosen is not None
    for other in tried:
        assert chosen.worth(AGENT_PRICE) >= other.worth(AGENT_PRICE)
    for bound in (1.0, 1.2, 1.37, 2.0):
        within = best(tried, AGENT_PRICE, max_calls=bound)
        assert within is not None and within.calls <= bound
    assert best(tried, 10.0).calls == 1.0


def test_labels_that_fit_nobody_teach_nothing():
    views, fits = drawn(6)
    with pytest.raises(InputError, match="no validation query has an agent that fits"):
        set_settings(views, table_of(np.zeros_like(fits), [[None] * fits.shape[1]] * len(fits)))


# ---------------------------------------------------------------------------- a router of sets


@pytest.fixture(scope="module")
def router():
    return trained_on_labels()


def test_a_trained_router_finds_who_fits(router):
    for topic, text in (
        ("rivers", "the delta river plain old"),
        ("poems", "the sonnet stanza small old please"),
    ):
        decision = router.route(Query(text=text), agents())
        assert decision.ranking[0].agent == topic and not decision.abstained
        assert sum(decision.weights.values()) == pytest.approx(1.0)
        assert topic in decision.weights


def test_a_text_in_another_style_is_still_ranked_right_though_it_may_be_refused(router):
    # All recorded texts end with "please, ...": this one is unlike them, and only that can speak against it.
    query = Query(text="a sonnet stanza small old")
    calibration = router.setting.calibration
    deaf = router.using(replace(router.setting, calibration=replace(calibration, nearness=(0.0, 0.0, 0.0))))
    for one in (router, deaf):
        assert one.route(query, agents()).ranking[0].agent == "poems"
    assert not deaf.route(query, agents()).abstained


def test_where_nobody_fits_nobody_is_asked_and_the_reason_says_so(router):
    decision = router.route(Query(text="the tax visa invoice dentist please"), agents())
    best_ = decision.ranking[0]
    assert decision.abstained and not decision.selected and not decision.stop
    assert decision.reason.startswith(f"no agent fits: the best, {best_.agent}, with a chance of 0.")
    assert f"{best_.score:.2f}" in decision.reason
    assert {ranked.reason for ranked in decision.ranking} == {"does not fit"}
    assert decision.expected_score is None


def test_a_conflict_is_told_and_also_where_only_one_may_be_asked(router):
    wide = router.using(max(router.tried, key=lambda setting: setting.calls))
    query = Query(text="the river prime old plain please")
    decision = wide.route(query, agents())
    names = [name for name, _ in decision.selected]
    assert len(names) > 1
    assert decision.reason.startswith(f"{len(names)} agents may fit: {names[0]}")
    one = wide.route(query, agents(), limits=Limits(max_agents=1))
    assert one.reason == decision.reason and [name for name, _ in one.selected] == names[:1]
    failed = [Answer(agent=name, status="failed", error="down") for name in names]
    again = wide.route(query, agents(), answers=failed, round=2)
    assert again.reason == "nobody has answered yet, so others are asked"
    spoke = wide.route(query, agents(), answers=[Answer(agent=names[0], text="42")], round=2)
    assert spoke.stop and spoke.reason == "there is an answer, and this policy asks for no more"


def test_a_price_above_the_budget_is_not_called_a_misfit(router):
    query = Query(text="the river delta old plain please")
    decision = router.route(query, agents(price=0.5), budget_left_usd=0.1)
    assert decision.abstained and decision.reason == "nobody who is left fits the budget"
    assert {ranked.reason for ranked in decision.ranking} == {"costs more than is left"}


def test_the_file_gives_the_same_router_again_in_a_fresh_process(router, tmp_path):
    router.save(tmp_path)
    texts = ["the river delta old", "the tax visa invoice", "the river prime old"]
    again = GraphRouter.load(tmp_path, embedder=EMBEDDER)
    assert again.setting.plain() == router.setting.plain()
    assert [setting.policy for setting in again.tried] == [setting.policy for setting in router.tried]
    script = (
        "import sys\n"
        "from agentroute.knowledge.hashing import HashingEmbedder\n"
        "from agentroute.registry import AgentRegistry\n"
        "from agentroute.routing.router import GraphRouter\n"
        "from agentroute.types import Query\n"
        "router = GraphRouter.load(sys.argv[1], embedder=HashingEmbedder(48))\n"
        "agents = AgentRegistry.from_yaml(sys.argv[2]).agents\n"
        "for text in sys.argv[3:]: print(router.route(Query(text=text), agents).reason)\n"
        "print('torch' in sys.modules)"
    )
    from agentroute.registry import AgentRegistry

    (tmp_path / "team.yaml").write_text(AgentRegistry.from_specs(agents()).to_yaml())
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path, tmp_path / "team.yaml", *texts],
        capture_output=True,
        text=True,
        timeout=60,
    )
    mine = [router.route(Query(text=text), agents()).reason for text in texts]
    assert done.stdout.splitlines() == [*mine, "False"], done.stderr
