"""Reasons are what the score is made of, and what is said of changes is what those changes do."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from explaining.telltale import AGENTS, DECIDES, telling, telltale_router
from routing.folders import EMBEDDER, TOPICS, held_out, question, shared_folder, spec, team, trained
from routing.labelled import agents as labelled_agents
from routing.labelled import trained_on_labels

from agentroute.errors import InputError, QueryError
from agentroute.explaining import Explanation, explain
from agentroute.explaining.deleting import DRAWS, named
from agentroute.explaining.explanation import Reason
from agentroute.explaining.words import words_of
from agentroute.knowledge.build import query_text
from agentroute.knowledge.graph import BASE, KNOWS
from agentroute.knowledge.hetero import PackedGraphs
from agentroute.knowledge.record import NEAR
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.calibration import VIEWS
from agentroute.routing.cards import CardRouter
from agentroute.routing.deciding import SHORTLIST
from agentroute.routing.policy import Nucleus, PriceAware, TopK
from agentroute.routing.router import GraphRouter
from agentroute.routing.runtime import NumpyGNN
from agentroute.testing import StaticRouter
from agentroute.types import Extraction, Limits, Message, Price, Query

TEAM = team()
NEWCOMER = spec("new", description="A newcomer.", examples=("Which piston is old?", "Which rhyme?"))
QUERIES = [question(np.random.default_rng(i), list(TOPICS)[i % 4], 1000 + i) for i in range(4)]
NAMED = Query(text="Did Ada Lovelace cross the old river near London in 1815?", task="rivers")


def held_to(router: GraphRouter, policy: object, trust: int = VIEWS - 1) -> GraphRouter:
    """Hold a router to a policy and a view, with a calibration that does something."""
    calibration = replace(router.setting.calibration, trust=trust, scale=0.8, shift=0.3, network=(0.6, 0.1))
    return router.using(replace(router.setting, policy=policy, calibration=calibration))  # type: ignore[arg-type]


def rebuilt(router: GraphRouter, extractor: object) -> GraphRouter:
    """The same router from its parts, with nothing remembered."""
    return GraphRouter(
        embedder=router.embedder,
        extractor=extractor,  # type: ignore[arg-type]
        record=router.record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline=router.baseline,
        manifest=router.manifest,
    )


@pytest.fixture(scope="module")
def router() -> GraphRouter:
    return held_to(trained(), TopK(k=2))


@pytest.fixture(scope="module")
def found(router) -> Explanation:
    return explain(router, NAMED, TEAM)


# ---------------------------------------------------------------------------- parts


@pytest.mark.parametrize("trust", range(VIEWS))
def test_the_parts_sum_to_the_score(trust):
    agents = (*TEAM, NEWCOMER)
    one = held_to(trained(), TopK(k=2), trust)
    for query in (*QUERIES, NAMED):
        scores = dict(zip((a.id for a in agents), one.score([query], agents)[0].tolist(), strict=True))
        for reason in explain(one, query, agents, past=0).reasons:
            assert sum(part.log_odds for part in reason.parts) == pytest.approx(reason.log_odds, abs=1e-5)
            assert reason.log_odds == pytest.approx(scores[reason.agent], abs=1e-5)
            assert reason.chance == pytest.approx(1 / (1 + np.exp(-reason.log_odds)), abs=1e-6)


def test_that_a_query_is_unlike_the_record_is_a_part_of_its_own():
    one = trained_on_labels()
    for text in ("the delta river plain old please", "tax visa invoice"):
        query = Query(text=text)
        graph = one.builder(labelled_agents()).build([query])[0]
        off = float(one.setting.calibration.unlike(graph.suits[0, NEAR]))
        for reason in explain(one, query, labelled_agents(), past=0).reasons:
            assert sum(part.log_odds for part in reason.parts) == pytest.approx(reason.log_odds, abs=1e-5)
            assert {part.name: part.log_odds for part in reason.parts}["nearness"] == pytest.approx(-off)
    assert off > 0.5


@pytest.mark.parametrize("trust", range(VIEWS))
def test_each_part_is_what_it_is_called(trust):
    """The network's part is what its own layers say, not what happens to be left over."""
    agents = (*TEAM, NEWCOMER)
    one = held_to(trained(), TopK(k=5), trust)
    share = (0.0, 0.0, 0.5, 1.0)[trust]
    found = explain(one, NAMED, agents, past=0)
    graph = one.builder(agents).build([NAMED])[0]
    head = NumpyGNN(one.weights).base(PackedGraphs([graph]).batch(kinds=BASE)).expected
    belief = one.weights["belief"].mean(axis=0)  # of the members of a committee
    head = head - graph.suits[:, :4] @ belief
    place = {agent.id: i for i, agent in enumerate(agents)}
    assert {reason.agent for reason in found.reasons} == set(place)
    for reason in found.reasons:
        parts = {part.name: part.log_odds for part in reason.parts}
        suits = graph.suits[place[reason.agent]]
        own = share if reason.known else 1.0
        scale, shift = (0.8, 0.3) if reason.known or trust == VIEWS - 1 else (0.6, 0.1)
        assert parts["network"] == pytest.approx(scale * own * head[place[reason.agent]], abs=1e-5)
        assert parts["calibration"] == shift
        if not reason.known or trust == VIEWS - 1:
            assert parts["neighbours"] == pytest.approx(scale * belief[2] * suits[2], abs=1e-5)
        elif trust < 2:
            assert parts["neighbours"] == 0.0
            assert parts["mean"] == pytest.approx(0.8 * suits[0], abs=1e-5)
            assert parts["words"] == pytest.approx(0.8 * trust * suits[3], abs=1e-5)
    assert np.abs(head).max() > 0.05


def test_what_words_add_sums_to_what_the_regression_expects(router):
    query = replace(QUERIES[0], history=(Message(role="user", text="Which sonnet has a rhyme?"),))
    record = router.record
    text = query_text(query)
    task = np.array([-1])
    expected = record.mean + record.regression([text], EMBEDDER.embed([text]), task)[0]
    for reason in explain(router, query, TEAM).reasons:
        points = reason.points
        total = points.mean + points.words + points.earlier + points.vector + points.task
        assert total == pytest.approx(expected[record.agents.index(reason.agent)], abs=1e-5)
        assert points.words == pytest.approx(sum(word.points for word in reason.words), abs=1e-5)
        assert points.earlier == 0.0 and points.vector != 0.0  # no earlier turn was learned from
        assert "sonnet" not in {word.text for word in reason.words}
        sizes = [abs(word.points) for word in reason.words]
        assert sizes == sorted(sizes, reverse=True)


def test_a_newcomer_is_explained_without_words_of_its_own(router):
    agents = (NEWCOMER, *TEAM)
    found = explain(held_to(router, TopK(k=5)), QUERIES[3], agents)
    (new,) = [reason for reason in found.reasons if reason.agent == "new"]
    assert not new.known and new.points is None and not new.terms
    assert any("new has no record" in note for note in found.notes)
    assert new.example in NEWCOMER.examples
    cosines = EMBEDDER.embed([QUERIES[3].text, *NEWCOMER.examples])
    assert new.example_cosine == pytest.approx(float((cosines[1:] @ cosines[0]).max()), abs=1e-5)
    assert all(reason.points is not None for reason in found.reasons if reason.agent != "new")
    assert all(one.scores["new"] is None for one in found.past)
    alone = explain(router, QUERIES[3], (NEWCOMER,))
    assert alone.reasons[0].words and all(word.log_odds for word in alone.reasons[0].words)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.id)
def test_ties_to_entities_are_those_of_the_graph(router, query):
    found = explain(router, query, TEAM)
    graph = router.builder(TEAM).build([query])[0]
    told = {(r.agent, tie.entity, tie.weight) for r in found.reasons for tie in r.ties}
    ends, weights = graph.edge_index[KNOWS].T.tolist(), graph.edge_weight[KNOWS].tolist()
    drawn = {
        (graph.names["agent"][agent], graph.names["entity"][entity], weight)
        for (agent, entity), weight in zip(ends, weights, strict=True)
    }
    assert told == {tie for tie in drawn if tie[0] in {reason.agent for reason in found.reasons}} and told


# ---------------------------------------------------------------------------- deleting

TELLING = [telling(1000 + i) for i in range(12)]


@pytest.fixture(scope="module")
def told() -> list[Explanation]:
    return [explain(telltale_router(), query, AGENTS) for query, _ in TELLING]


def test_the_word_that_decides_is_named_first(told):
    for (_, right), found in zip(TELLING, told, strict=True):
        assert found.first == right
        reason = found.reasons[0]
        assert reason.words[0].text == DECIDES[right] and reason.words[0].points > 0.1
        assert found.deletion is not None and found.deletion.words[0] == DECIDES[right]


def test_deleting_what_is_named_lowers_the_score_more_than_deleting_other_words(told):
    for found in told:
        test = found.deletion
        assert test is not None and test.holds
        assert test.drop > test.others_drop + 1.0
        assert set(words_of(test.left)) == set(words_of(found.query)) - set(test.words)


def test_the_word_that_decides_tips_it(told):
    for (_, right), found in zip(TELLING, told, strict=True):
        without = {one.what: one for one in found.changes if one.kind == "word"}
        assert without[DECIDES[right]].moved < -0.5
    assert any(found.tip is not None and found.tip.kind == "word" for found in told)


def test_the_deletion_test_is_really_scored(told):
    router = telltale_router()
    for found in told[:4]:
        test, column = found.deletion, [a.id for a in AGENTS].index(found.first)
        before, after = router.score([Query(text=found.query), Query(text=test.left)], AGENTS)[:, column]
        assert test.drop == pytest.approx(before - after, abs=1e-5)
        assert test.draws == DRAWS


def test_other_words_are_those_that_are_not_named():
    """Of two words one is named, so that every draw of others is the other one."""
    router = telltale_router()
    for word in DECIDES.values():
        asked, other, alone = (Query(text=text) for text in (f"{word} yellow?", f"{word}?", "yellow?"))
        test = explain(router, asked, AGENTS, past=0).deletion
        column = [a.id for a in AGENTS].index(test.agent)
        whole, without_other, without_word = router.score([asked, other, alone], AGENTS)[:, column]
        assert test.words == (word,)
        assert test.drop == pytest.approx(whole - without_word, abs=1e-5)
        assert test.others_drop == pytest.approx(whole - without_other, abs=1e-5)


def test_words_that_speak_against_an_agent_are_not_named_for_it(told):
    reason = told[0].reasons[0]
    up, down = named(reason, 0.5, 99), named(reason, -0.5, 99)
    assert up == tuple(w.text for w in reason.words if w.points > 0 and w.text != "?")
    assert down == tuple(w.text for w in reason.words if w.points < 0 and w.text != "?")
    assert up and down and len(named(reason, 0.5)) <= 3


def test_other_seeds_draw_other_words_and_the_same_seed_the_same(told):
    router, (query, _) = telltale_router(), TELLING[0]
    falls = {explain(router, query, AGENTS, past=0, seed=seed).deletion.others_drop for seed in range(3)}
    assert len(falls) == 3
    assert explain(router, query, AGENTS) == told[0]


def test_words_named_by_a_contrary_regression_fail_the_test():
    """A regression that no view listens to any more names words that do not matter: the test shows it."""
    honest = telltale_router()
    rng = np.random.default_rng(0)
    learned = honest.record.regression
    shuffled = replace(learned, by_term=rng.permutation(learned.by_term), by_vector=learned.by_vector * 0)
    record = replace(honest.record, regression=shuffled)
    # The words have next to no part in this score: what they name is as good as drawn.
    contrary = np.broadcast_to(np.array([1.0, 1.0, 1.0, 1e-4], np.float32), honest.weights["belief"].shape)
    weights = {**honest.weights, "belief": contrary}
    made = GraphRouter(
        embedder=honest.embedder,
        extractor=honest.extractor,
        record=record,
        weights=weights,
        tried=honest.tried,
        setting=honest.setting,
        baseline=honest.baseline,
        manifest=honest.manifest,
    )
    made = held_to(made, TopK(k=1))
    tests = [explain(made, query, AGENTS, past=0).deletion for query, _ in TELLING]
    assert sum(test is not None and not test.holds for test in tests) >= 3


# ---------------------------------------------------------------------------- changes


class Overlooking:
    """The extractor of a router, but for one name."""

    def __init__(self, inner, name):
        self.inner, self.name = inner, name

    def extract(self, query):
        found = self.inner.extract(query)
        return Extraction(
            entities=tuple(e for e in found.entities if e.name != self.name),
            relations=tuple(r for r in found.relations if self.name not in (r.head, r.tail)),
        )


def decided(router, change, query, agents, first):
    """Route with one change, by a router that remembers nothing of the explanation."""
    fresh = rebuilt(router, router.extractor)
    if change.kind == "entity":
        return rebuilt(router, Overlooking(router.extractor, change.what)).route(query, agents)
    if change.kind == "task":
        return fresh.route(replace(query, task=None), agents)
    if change.kind == "word":
        tokens = query.text.replace("?", " ?").split()
        text = " ".join(t for t in tokens if t.casefold() != change.what).replace(" ?", "?")
        return fresh.route(replace(query, text=text), agents)
    if change.kind == "example":
        kept = [
            replace(a, examples=tuple(e for e in a.examples if e != change.what)) if a.id == first else a
            for a in agents
        ]
        return fresh.route(query, kept)
    if change.kind == "agent":
        return fresh.route(query, [a for a in agents if a.id != change.what])
    return fresh.route(query, agents, budget_left_usd=float(change.what))


def same(change, decision, first):
    assert change.selected == tuple(decision.weights)
    assert change.first == (decision.selected[0][0] if decision.selected else None)
    chances = {place.agent: place.score for place in decision.ranking}
    if first in chances:
        logit = np.log(chances[first]) - np.log1p(-chances[first])
        assert change.log_odds == pytest.approx(logit, abs=1e-4)
    else:
        assert change.log_odds is None and change.moved is None


@pytest.mark.parametrize(
    "policy", [TopK(k=1), TopK(k=3), Nucleus(p=0.9), PriceAware(price_weight=0.2)], ids=lambda p: p.name
)
@pytest.mark.parametrize("query", [NAMED, QUERIES[1]], ids=["named", "plain"])
def test_every_change_is_what_routing_with_it_decides(policy, query):
    agents = (replace(TEAM[0], examples=("Which river is old?", "A delta?")), *TEAM[1:], NEWCOMER)
    one = held_to(trained(), policy)
    found = explain(one, query, agents)
    assert found.decision == one.route(query, agents)
    for change in found.changes:
        same(change, decided(one, change, query, agents, found.first), found.first)
        assert change.tips == (change.first != found.first)
        if change.moved is not None:
            assert change.moved == pytest.approx(change.log_odds - found.reasons[0].log_odds, abs=1e-4)


def test_everything_that_can_be_left_out_is(found):
    by_kind: dict[str, list[str]] = {}
    for change in found.changes:
        by_kind.setdefault(change.kind, []).append(change.what)
    entities = [entity.name for entity in trained().extractor.extract(NAMED).entities]
    assert by_kind["entity"] == entities and {"Ada Lovelace", "London", "1815"} <= set(entities)
    assert by_kind["task"] == ["rivers"]
    assert by_kind["agent"] == [agent for agent, _ in found.decision.selected]
    speak = [word.text for word in found.reasons[0].words if word.points > 0 and word.text.isalnum()]
    assert by_kind["word"] == speak[:3] and len(by_kind["budget"]) == 1
    assert float(by_kind["budget"][0]) == pytest.approx(found.decision.expected_cost_usd / 2, rel=1e-4)


def test_the_tip_is_the_smallest_change_that_tips():
    size = {"entity": 0, "word": 0, "task": 0, "example": 0, "budget": 1, "agent": 2}
    tipped = 0
    for query in (*QUERIES, NAMED):
        for policy in (TopK(k=1), PriceAware(price_weight=0.3)):
            found = explain(held_to(trained(), policy), query, TEAM)
            tips = [c for c in found.changes if c.tips and (c.kind, c.what) != ("agent", found.first)]
            if found.tip is None:
                assert not tips
                continue
            tipped += 1
            assert found.tip in tips
            assert all((size[found.tip.kind], 0) <= (size[c.kind], 0) for c in tips)
            alike = [abs(c.moved) for c in tips if size[c.kind] == size[found.tip.kind]]
            assert abs(found.tip.moved) == min(alike)
    assert tipped


def test_the_margin_is_the_lead_over_the_runner_up(router, found):
    scores = dict(zip((a.id for a in TEAM), router.score([NAMED], TEAM)[0].tolist(), strict=True))
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    assert [reason.agent for reason in found.reasons] == order[:3]
    assert found.first == order[0] and found.runner_up == order[2]
    assert found.margin == pytest.approx(scores[order[0]] - scores[order[2]], abs=1e-5)
    assert [reason.role for reason in found.reasons] == ["selected", "selected", "runner-up"]
    assert {r.agent: r.weight for r in found.reasons[:2]} == found.decision.weights
    everybody = explain(held_to(trained(), TopK(k=4)), NAMED, TEAM)
    assert everybody.runner_up == order[1] and len(everybody.reasons) == 4


def test_a_budget_that_is_not_known_is_not_halved(router):
    unpriced = tuple(replace(agent, id=f"x-{agent.id}", price=None) for agent in TEAM)
    found = explain(router, QUERIES[0], unpriced)
    assert not [change for change in found.changes if change.kind == "budget"]
    assert any("price" in note for note in found.notes)
    free = tuple(replace(agent, id=f"x-{agent.id}", price=Price(call=0.0)) for agent in TEAM)
    found = explain(router, QUERIES[0], free)
    assert not [change for change in found.changes if change.kind == "budget"]
    assert not any("price" in note for note in found.notes)


def test_limits_are_those_of_the_run(router):
    limits = Limits(max_cost_usd=0.0025, max_agents=1)
    found = explain(router, QUERIES[3], TEAM, limits=limits)
    assert found.decision == router.route(QUERIES[3], TEAM, limits=limits, budget_left_usd=0.0025)
    assert "costs more than is left" in {place.reason for place in found.decision.ranking}
    assert all(len(change.selected) <= 1 for change in found.changes)


def test_the_router_is_left_as_it_was():
    one = rebuilt(held_to(trained(), TopK(k=2)), trained().extractor)
    before, builder = one.route(NAMED, TEAM), one.builder(TEAM)
    explain(one, NAMED, TEAM)
    explain(one, QUERIES[0], TEAM)
    assert one.builder(TEAM) is builder and one.extractor is trained().extractor
    assert one.route(NAMED, TEAM) == before


# ---------------------------------------------------------------------------- past


def test_past_questions_are_the_nearest_of_the_record(router):
    table = OutcomeFolder.open(shared_folder()).table()
    rows = {row.query.id: (row.query.text, table.score[i]) for i, row in enumerate(table.queries)}
    texts = {name: text for name, (text, _) in rows.items()}
    found = explain(router, QUERIES[2], TEAM, past=7, texts=texts)
    cosines = np.sort(router.record.vectors @ EMBEDDER.embed([QUERIES[2].text])[0])[::-1]
    np.testing.assert_allclose([one.cosine for one in found.past], cosines[:7], atol=1e-5)
    place = {agent.id: i for i, agent in enumerate(table.agents)}
    held = {row.query.id for row in held_out(router).queries}
    for one in found.past:
        text, scores = rows[one.id]
        assert one.text == text and one.id not in held
        assert one.scores == {r.agent: scores[place[r.agent]] for r in found.reasons}
        assert 0 < one.weight < 1
    assert explain(router, QUERIES[2], TEAM).past[0].text is None
    assert not explain(router, QUERIES[2], TEAM, past=0).past
    assert len(explain(router, QUERIES[2], TEAM, past=10_000).past) <= 48


def test_runs_of_one_question_are_joined_and_unknown_names_stay_unknown(router):
    record = router.record
    rows = np.array([0, 0, 0, *range(1, 40)])
    twice = replace(record.take(rows), regression=record.regression)
    twice.score[:3] = [[1, 0, np.nan, 0], [0, 0, np.nan, 1], [0, 1, np.nan, 1]]
    made = rebuilt(router, router.extractor)
    made = GraphRouter(**{**{k: getattr(made, k) for k in PARTS}, "record": twice})
    asked = OutcomeFolder.open(shared_folder()).table()
    texts = {row.query.id: row.query.text for row in asked.queries}
    query = Query(text=texts[router.manifest["record_ids"][0]])
    found = explain(held_to(made, TopK(k=4)), query, TEAM)
    assert found.past[0].cosine == pytest.approx(1.0, abs=1e-5)
    expected = dict(zip(record.agents, [1 / 3, 1 / 3, None, 2 / 3], strict=True))
    assert found.past[0].scores == pytest.approx(expected)
    assert [one.id for one in found.past] == [None] * 5
    assert len({one.row for one in found.past}) == 5


PARTS = ("embedder", "extractor", "record", "weights", "tried", "setting", "baseline", "manifest")

# ---------------------------------------------------------------------------- routers and queries


def test_a_router_without_training_is_explained_by_likeness():
    cards = CardRouter(EMBEDDER)
    found = explain(cards, QUERIES[0], TEAM)
    assert found.decision == cards.route(QUERIES[0], TEAM)
    assert any("no trained router" in note for note in found.notes)
    assert not found.past
    for reason in found.reasons:
        parts = {part.name: part.log_odds for part in reason.parts}
        assert parts.keys() == {"likeness", "calibration"}
        likeness = max(reason.card, -1.0 if reason.example_cosine is None else reason.example_cosine)
        assert parts["likeness"] == pytest.approx(4.0 * likeness, abs=1e-5)
        assert sum(parts.values()) == pytest.approx(reason.log_odds, abs=1e-6)
        assert not reason.known and reason.points is None
    words = found.reasons[0].words
    column = [agent.id for agent in TEAM].index(found.first)
    for word in words[:4]:
        left = Query(text=QUERIES[0].text.replace(word.text, "").replace("  ", " "))
        if words_of(left.text) == [w for w in words_of(QUERIES[0].text) if w != word.text]:
            fall = cards.score([QUERIES[0], left], TEAM)[:, column]
            assert word.log_odds == pytest.approx(fall[0] - fall[1], abs=0.05)


def test_a_question_that_fits_nobody_is_explained_by_who_comes_nearest():
    router, agents = trained_on_labels(), labelled_agents()
    found = explain(router, "the tax visa invoice dentist please", agents)
    assert found.decision.abstained and found.first is None and found.margin is None
    assert found.runner_up == found.decision.ranking[0].agent
    assert [reason.role for reason in found.reasons] == ["runner-up"]
    assert found.deletion is None
    assert all(change.tips == (change.first is not None) for change in found.changes)
    words = [change for change in found.changes if change.kind == "word"]
    points = {word.text: word.points for word in found.reasons[0].words}
    assert len(words) == 3 and all(points[change.what] < 0 for change in words)
    assert str(found).splitlines()[1].startswith("Nobody would be asked: no agent fits")


def test_one_agent_alone(router):
    found = explain(router, NAMED, TEAM[:1])
    assert found.first == "rivers" and found.runner_up is None and found.margin is None
    assert len(found.reasons) == 1
    assert not [change for change in found.changes if change.kind == "agent"]
    assert any("one agent only" in note for note in found.notes)


@pytest.mark.parametrize("text", ["Hm?", "river", "?", "三", "river " * 50_000])
def test_short_and_long_questions(router, text):
    found = explain(router, text, TEAM)
    distinct = len(set(words_of(text)))
    assert (found.deletion is None) == (distinct < 2)
    if found.deletion is None:
        assert any("deletion test" in note for note in found.notes)
    assert Explanation.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_cannot_be_explained_is_refused(router):
    for text in ("", " \n"):
        with pytest.raises(QueryError, match="empty"):
            explain(router, text, TEAM)
    with pytest.raises(InputError, match="no agents"):
        explain(router, "a river", ())
    with pytest.raises(InputError, match="past is -1"):
        explain(router, "a river", TEAM, past=-1)
    with pytest.raises(InputError, match=r"StaticRouter.*no scores to take apart"):
        explain(StaticRouter(["rivers"]), "a river", TEAM)


def test_a_large_team_is_explained_by_those_looked_at_closely(router):
    many = (*TEAM, *(spec(f"extra-{i}", description=f"Knows about topic {i}.") for i in range(300)))
    found = explain(router, QUERIES[0], many)
    assert found.decision == router.route(QUERIES[0], many)
    assert any(f"of 304 agents, {SHORTLIST}" in note for note in found.notes)
    for reason in found.reasons:
        assert sum(part.log_odds for part in reason.parts) == pytest.approx(reason.log_odds, abs=1e-5)
    for change in found.changes:
        if change.kind != "example":
            same(change, decided(router, change, QUERIES[0], many, found.first), found.first)


# ---------------------------------------------------------------------------- shown


def test_json_holds_all_of_it(found):
    again = Explanation.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found and again.lines() == found.lines()
    assert "graph" not in found.to_json()
    with pytest.raises(InputError, match="explain again"):
        again.picture("x.svg")


def test_the_sentences_tell_every_figure_that_counts(found):
    text = str(found)
    for reason in found.reasons:
        assert f"{reason.log_odds:+.2f} in log-odds" in text
        assert f'"{reason.words[0].text}" {100 * reason.words[0].points:+.1f}' in text
    assert f"leads by {found.margin:.2f}" in text
    test = found.deletion
    assert f"falls by {test.drop:.2f}" in text and f"by {test.others_drop:.2f} (mean of" in text
    assert text.count("without the entity") >= 3 and "with half the budget, $" in text
    for one in found.past:
        assert f"{one.id} (cosine {one.cosine:.2f}" in text


def test_sentences_say_when_the_test_fails(found):
    worse = replace(found, deletion=replace(found.deletion, drop=0.1, others_drop=0.4))
    assert not worse.deletion.holds and "MATTER NO MORE THAN OTHERS" in str(worse)
    rises = replace(found.deletion, drop=-0.1, others_drop=-0.4)
    assert not rises.holds
    assert "matter more" in str(replace(found, deletion=replace(found.deletion, drop=1.0, others_drop=0.4)))


def test_rich_shows_the_same_and_reads_no_markup(router):
    from io import StringIO

    from rich.console import Console

    found = explain(router, "Which [bold]river[/bold] is [red]old?", TEAM)
    console = Console(file=StringIO(), width=400, color_system=None)
    console.print(found)
    assert console.file.getvalue().splitlines() == list(found.lines())
    assert "[bold]river[/bold] is [red]old" in found.lines()[0]


def test_the_picture_shows_the_graph_with_who_is_asked(router, found, tmp_path):
    path = found.picture(tmp_path / "why.svg")
    shown = path.read_text(encoding="utf-8")
    for name in (*(agent.id for agent in TEAM), "Ada Lovelace", "London", "asked next"):
        assert f">{name}<" in shown
    asked = ", ".join(f"{agent} {weight:.2f}" for agent, weight in found.decision.selected)
    assert f"asked: {asked}" in shown
    for place in found.decision.ranking:
        assert f">{100 * place.score:.1f}<" in shown
    with pytest.raises(InputError, match="ending decides"):
        found.picture(tmp_path / "why.txt")


def test_the_picture_of_a_large_team_shows_the_best_of_it(router, tmp_path):
    many = (*TEAM, *(spec(f"extra-{i}", description=f"Knows about topic {i}.") for i in range(40)))
    found = explain(router, QUERIES[0], many)
    shown = found.picture(tmp_path / "why.svg").read_text(encoding="utf-8")
    ranked = [place.agent for place in found.decision.ranking]
    here = {name for name in ranked if f">{name}<" in shown}
    assert here == set(ranked[:12])


def test_reasons_are_plain_data(found):
    def walk(value):
        if isinstance(value, dict):
            for part in value.values():
                walk(part)
        elif isinstance(value, (list, tuple)):
            for part in value:
                walk(part)
        else:
            assert value is None or type(value) in (str, int, float, bool), type(value)

    walk(found.to_json())
    assert all(isinstance(reason, Reason) for reason in found.reasons)
    assert all(type(part.log_odds) is float for reason in found.reasons for part in reason.parts)
