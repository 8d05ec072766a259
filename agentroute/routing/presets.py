"""The known methods as settings of one mechanism, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agentroute.errors import InputError
from agentroute.routing.choose import Setting, best
from agentroute.routing.policy import Nucleus, Policy, PriceAware, TopK
from agentroute.routing.rounds import Agreement, Cascade, Growing

PRESETS: Mapping[str, Callable[[Policy, int], bool]] = {
    "growing": lambda policy, agents: isinstance(policy, Growing),
    "top1": lambda policy, agents: policy == TopK(k=1),
    "one_round": lambda policy, agents: (
        not policy.looks and isinstance(policy, (TopK, Nucleus, PriceAware)) and policy != TopK(k=1)
    ),
    "acar": lambda policy, agents: isinstance(policy, Agreement),
    "cascade": lambda policy, agents: isinstance(policy, Cascade),
    "all": lambda policy, agents: isinstance(policy, TopK) and policy.k == agents and not policy.judged,
}
"""Which policies belong to each, for so many agents."""


def preset_of(name: str, tried: Sequence[Setting], call_price: float, agents: int, settled: int) -> Setting:
    """Choose the setting of one preset that is worth most on validation.

    Args:
        name: One of ``PRESETS``.
        tried: The settings that validation judged.
        call_price: Score (0 to 1) that one more call must bring.
        agents: How many agents there are.
        settled: How many there were when the settings were tried.

    Returns:
        The setting.

    Raises:
        InputError: There is no such preset, or no setting of that kind.
    """
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; choose {', '.join(PRESETS)}")
    fits = [setting for setting in tried if PRESETS[name](setting.policy, settled)]
    if not fits and name == "one_round":
        fits = [setting for setting in tried if PRESETS["top1"](setting.policy, settled)]
    chosen = best(fits, call_price)
    if chosen is None:
        raise InputError(
            f"this router has no setting for {name!r}: it was trained on too few agents, or on outcomes "
            "without the answers' texts"
        )
    if name == "all":
        return replace(chosen, policy=replace(chosen.policy, k=agents))  # type: ignore[call-arg]
    return chosen
