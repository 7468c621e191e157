"""From a store plan to a running presence engine, behind the privacy mode that the plan names."""

import logging
import os
from typing import TYPE_CHECKING

from edge_sdk.adapters.aes import AesCcm
from edge_sdk.errors import ConfigError
from edge_sdk.plan_file import PRIVACY_MODES, StorePlan
from edge_sdk.presence.floor import SurveyPoint
from edge_sdk.presence.presence import Presence
from edge_sdk.presence.privacy import CONSENTED, guarded
from edge_sdk.presence.pseudonyms import KEY_BYTES
from edge_sdk.presence.radio_map import PathLoss
from edge_sdk.presence.settings import PresenceSettings
from edge_sdk.presence.zone_belief import ZoneBeliefs
from edge_sdk.survey_file import read_survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_sdk.presence.belief import Beliefs
    from edge_sdk.presence.engine import PresenceEngine
    from edge_sdk.presence.radio_map import RadioMap

log = logging.getLogger(__name__)

_EXTRA = "pip install 'edge-sdk[positioning]'"


def store_engine(store: StorePlan, counter: str) -> "PresenceEngine":
    """The engine of a gateway in this store; `counter` names the gateway in its counts.

    With a survey and numpy it knows the store's own radio map, without them it reckons with the
    path loss by distance. With numpy and `positions = true` it follows walkers, else zones alone.
    Which it is, is said in the log. Raises ConfigError: the plan names no privacy mode, its survey
    is faulty, or its positions are on several floors.
    """
    if store.privacy is None:
        raise ConfigError(
            "the plan does not say what a gateway may keep of other people's phones:"
            f' write privacy = "..." ({", ".join(PRIVACY_MODES)}; docs/privacy.md)'
        )
    presence = store.presence
    fresh = unguarded(store)
    return guarded(
        store.privacy,
        fresh,
        tuple(dict.fromkeys(zone.name for zone in store.plan.zones)),
        counter,
        lambda: os.urandom(KEY_BYTES),
        AesCcm().hmac,
        presence.ours,
        presence.count_others,
        presence.least,
        presence.window_ms,
    )


def unguarded(store: StorePlan) -> "Callable[[], Presence]":
    """Makes engines that a store's plan asks for, without a privacy mode around them.

    They share a radio map, and are for one at a time. Raises ConfigError as `store_engine`.
    """
    # What does not leave in the mode of the plan is not made either.
    leaves = store.privacy is None or store.privacy == CONSENTED
    follows = store.presence.positions and leaves
    beliefs = _beliefs(store, follows)
    settings = _settings(store, follows, leaves)
    return lambda: Presence(beliefs, store.plan.receivers, settings)


def _settings(store: StorePlan, follows: bool, leaves: bool) -> PresenceSettings:
    said = dict(store.presence.settings)
    if not follows:
        said["position_every_ms"] = 0
    if not leaves:
        said["window_ms"] = 0
    return PresenceSettings(**said)  # type: ignore[arg-type]


def _beliefs(store: StorePlan, follows: bool) -> "Beliefs":
    points = _surveyed(store)
    floors = {receiver.floor for receiver in store.plan.receivers.values()}
    if follows and len(floors | {zone.floor for zone in store.plan.zones}) > 1:
        raise ConfigError("positions = true is for a store of one floor; leave it out")
    if not follows and not points:
        log.info("presence: zones, by path loss (no survey)")
        return ZoneBeliefs(store.plan, PathLoss(store.plan))
    try:
        from edge_sdk.presence.survey_map import SurveyMap  # noqa: PLC0415  an extra
        from edge_sdk.presence.walkers import WalkerBeliefs  # noqa: PLC0415
    except ImportError:
        wanted = "positions are coarse" if follows else f"a survey of {len(points)} points waits"
        log.warning("presence: zones, by path loss; %s without numpy: %s", wanted, _EXTRA)
        return ZoneBeliefs(store.plan, PathLoss(store.plan))
    radio = SurveyMap(store.plan, points)
    how = f"a survey of {len(points)} points" if points else "path loss (no survey)"
    if follows:
        log.info("presence: zones and positions, by %s", how)
        return WalkerBeliefs(store.plan, radio, floor=min(floors))
    log.info("presence: zones, by %s", how)
    surveyed: RadioMap = radio
    return ZoneBeliefs(store.plan, surveyed)


def _surveyed(store: StorePlan) -> list[SurveyPoint]:
    if store.survey is None:
        return []
    if not store.survey.exists():
        log.warning("presence: the survey %s is not there yet (edge-sdk survey)", store.survey)
        return []
    return read_survey(store.survey, store.plan)
