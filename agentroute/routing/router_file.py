"""A trained router's file: what is written of it, and what is checked when it is read."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import AgentRouteError, InputError, RouterFileError
from agentroute.knowledge import files
from agentroute.knowledge.build import SUITS_DIM, dims
from agentroute.knowledge.extract import make_extractor
from agentroute.knowledge.foresight import TunedForesight
from agentroute.knowledge.grow import ANSWER_EXTRA
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.record import TrackRecord
from agentroute.routing import sets  # noqa: F401  # a router's file may name the policy of sets
from agentroute.routing.choose import Setting
from agentroute.routing.trial import OneLevel
from agentroute.types import Embedder, Extractor

if TYPE_CHECKING:
    from agentroute.routing.router import GraphRouter

ENCODER_FOLDER = "encoder"
"""Where a router's folder holds its encoder, when it was trained with ``--bundle-encoder``."""

FORESIGHT_FOLDER = "foresight-"
"""How the name of a folder with an encoder tuned on scores begins; its fingerprint's hash follows."""

HASH_LENGTH = 12
"""Digits of that hash."""


def save(router: GraphRouter, folder: str | os.PathLike[str]) -> None:
    """Write a router into a folder; see ``GraphRouter.save``."""
    record = router.record
    manifest = {
        **router.manifest,
        "written_by": metadata.version("agentroute-graph"),
        "embedder": {"fingerprint": router.embedder.fingerprint, "dim": router.embedder.dim},
        "setting": router.setting.plain(),
        "tried": [setting.plain() for setting in router.tried],
        "one_level": [one.plain() for one in router.one_level],
        "record": record.names(),
    }
    tensors = {f"record.{name}": value for name, value in record.arrays().items()}
    tensors |= {f"gnn.{name}": np.asarray(value) for name, value in router.weights.items()}
    tensors |= {f"baseline.{name}": np.asarray(value) for name, value in router.baseline.items()}
    home, foresight = files.home_of(folder), router.foresight
    manifest["foresight"] = None
    if foresight is not None:
        manifest["foresight"] = foresight.encoder.fingerprint
        # In a folder of its own, so that an older router keeps its own until the file is replaced.
        foresight.encoder.bundle(_foresight_folder(home, foresight.encoder.fingerprint))
        tensors |= {f"foresight.{name}": value for name, value in foresight.arrays().items()}
    files.save(home, manifest, tensors)
    for other in home.glob(f"{FORESIGHT_FOLDER}{'[0-9a-f]' * HASH_LENGTH}"):
        if foresight is None or other != _foresight_folder(home, foresight.encoder.fingerprint):
            shutil.rmtree(other, ignore_errors=True)  # of the router that was there before


def _foresight_folder(home: Path, fingerprint: str) -> Path:
    return home / f"{FORESIGHT_FOLDER}{hashlib.sha256(fingerprint.encode()).hexdigest()[:HASH_LENGTH]}"


def _foresight(fingerprint: str | None, home: Path, arrays: Mapping[str, Any]) -> TunedForesight | None:
    """Open the encoder that was tuned for a router, now: another router may be saved in its place."""
    if fingerprint is None:
        return None
    try:
        encoder = MiniLMEmbedder(_foresight_folder(home, fingerprint))
        encoder.open()
    except InputError as error:
        raise RouterFileError(
            f"{home} lacks the encoder that was tuned for it ({error}); copy the router's whole folder, or "
            "train it again"
        ) from None
    if encoder.fingerprint != fingerprint:
        raise RouterFileError(
            f"{home}: tuned with the encoder {fingerprint}, the one there is {encoder.fingerprint}; copy the "
            "router's whole folder, or train it again"
        )
    return TunedForesight(encoder, arrays["weight"], arrays["bias"])


def load(
    make: type[GraphRouter],
    folder: str | os.PathLike[str],
    embedder: Embedder | None,
    extractor: Extractor | None,
) -> GraphRouter:
    """Read a router; see ``GraphRouter.load``."""
    manifest, tensors = files.load(folder)
    if "kind" in manifest:  # a router of agents has none
        raise RouterFileError(
            f"{folder} holds a router of {manifest['kind']}, not of agents: give it as effort=..., or "
            "make one with 'agentroute train FOLDER --out ROUTER'"
        )

    def part(prefix: str) -> dict[str, npt.NDArray[Any]]:
        return {k[len(prefix) :]: value for k, value in tensors.items() if k.startswith(prefix)}

    try:
        trained = manifest["embedder"]
        dim, fingerprint = int(trained["dim"]), str(trained["fingerprint"])
        if not isinstance(manifest["record"]["agents"], list):
            raise TypeError("agents")
        embedder = embedder or _named_embedder(manifest["embedder_name"], trained, Path(folder))
        router = make(
            embedder=embedder,
            extractor=extractor or _named_extractor(manifest.get("extractor", "rules"), folder),
            record=TrackRecord.restore(manifest["record"], part("record.")),
            weights=part("gnn."),
            tried=[Setting.from_plain(setting) for setting in manifest["tried"]],
            setting=Setting.from_plain(manifest["setting"]),
            baseline=part("baseline."),
            manifest=manifest,
            foresight=_foresight(manifest.get("foresight"), Path(folder), part("foresight.")),
        )
        router.one_level = tuple(map(OneLevel.from_plain, manifest.get("one_level", ())))
        _ = router.call_price, router.reads_answers  # what is asked for later is there as well
    except KeyError as error:
        raise RouterFileError(f"{folder}: the router file lacks {error}; train it again") from None
    except (TypeError, AttributeError, ValueError, IndexError) as error:
        raise RouterFileError(
            f"{folder}: not a router file that agentroute wrote ({type(error).__name__}); train it again"
        ) from None
    if embedder.dim != dim:
        raise RouterFileError(
            f"{folder}: trained on vectors of {dim} numbers, this embedder gives "
            f"{embedder.dim}; use the embedder {fingerprint} or train again"
        )
    if embedder.fingerprint != fingerprint:
        raise RouterFileError(
            f"{folder}: trained with the embedder {fingerprint}, this one is "
            f"{embedder.fingerprint}; use that one or train again"
        )
    if found := _misfits(router):
        raise RouterFileError(f"{folder}: its network does not fit these graphs ({found}); train it again")
    return router


def _misfits(router: GraphRouter) -> str:
    """Name a parameter that is missing or of another shape than this version's graphs need, if any."""
    sizes = {f"lin.{kind}.weight": size for kind, size in dims(router.embedder.dim).items()}
    sizes["lin.answer.weight"] -= ANSWER_EXTRA
    sizes["plain.weight"] = ANSWER_EXTRA
    sizes["suits.weight"] = SUITS_DIM
    if (foresight := router.foresight) is not None:
        agents = router.record.settled
        shapes = foresight.weight.shape, foresight.bias.shape
        if shapes != ((foresight.encoder.dim, agents), (agents,)):
            return f"foresight has shapes {shapes} for {agents} agents"
    for name in router.network.needs():
        if name not in router.weights:
            return f"{name} is missing"
        if name in sizes and router.weights[name].shape[-1] != sizes[name]:
            return f"{name} takes {router.weights[name].shape[-1]}, not {sizes[name]}"
    return ""


def _named_extractor(name: str | None, folder: str | os.PathLike[str]) -> Extractor:
    if name is None:
        raise RouterFileError(f"{folder}: trained with an extractor of your own; give it as extractor=...")
    try:
        return make_extractor(name)
    except AgentRouteError as error:
        raise RouterFileError(f"{folder}: trained with the extractor {name}: {error}") from None


def _named_embedder(name: str | None, trained: Mapping[str, Any], folder: Path) -> Embedder:
    """Prefer the encoder that lies beside the router, unless it is an older router's."""
    from agentroute.knowledge.embed import default_embedder, make_embedder

    if name is None:
        raise RouterFileError(f"{folder}: trained with an embedder of your own; give it as embedder=...")
    beside = folder / ENCODER_FOLDER
    if name == "minilm" and beside.is_dir():
        found = default_embedder(beside)
        if found.fingerprint == trained["fingerprint"]:
            return found
    return make_embedder(name)
