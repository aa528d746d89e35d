"""Tells where a model is, who would run it and why, and whether it fits: what ``universal explain`` prints."""

import msgspec

from universal_core.budget import parts
from universal_core.errors import UniversalError
from universal_core.memory import device, readable
from universal_core.models import Claim, ModelInfo
from universal_core.placement import needs
from universal_core.router import Router


class Explanation(msgspec.Struct, frozen=True):
    """Everything that decides how a model is run."""

    name: str
    info: ModelInfo
    claims: tuple[Claim, ...]
    winner: Claim | None
    device: str
    memory_free: int
    advice: str | None = None
    adapter: str | None = None
    base: str | None = None


def explain(router: Router, name: str) -> Explanation:
    """Return why a model is run the way it is. Raises ModelNotFound."""
    found = router.find(name)
    place, winner, advice = device("cpu"), None, None
    try:
        plan = router.choose(found, None)
        winner, place = plan.claim, device(plan.devices[0])
    except UniversalError as error:
        advice = error.message
    return Explanation(
        found.name, found.info, found.claims, winner, place.type, place.free, advice, found.adapter, found.base
    )


def lines(explanation: Explanation) -> list[str]:
    """Return an explanation as lines to print."""
    info = explanation.info
    text = [explanation.name]
    if explanation.adapter:
        text.append(f"  adapter    {explanation.adapter} of {explanation.base}, whose weights and process it shares")
    where = f"not downloaded yet ({readable(info.size_of('*'))} in all)" if info.path is None else info.path
    text.append(f"  found by   {info.source}: {where}")
    if info.revision:
        text.append(f"  revision   {info.revision}")
    if info.architectures:
        text.append(f"  config     {', '.join(info.architectures)}")
    for claim in explanation.claims:
        mark = "winner" if explanation.winner and claim.backend == explanation.winner.backend else "claim"
        text.append(f"  {mark:<10} {claim.backend} (rank {claim.rank}): {claim.reason}")
        text.append(f"  {'':<10} tasks: {', '.join(claim.tasks)}; {claim.slots} at once")
        if info.path is None:
            text.append(f"  {'':<10} downloads {readable(info.size_of(*claim.files))}")
    if explanation.winner is not None:
        text += _memory(explanation, explanation.winner)
    if explanation.advice:
        text.append(f"  {explanation.advice}")
    return text


def _memory(explanation: Explanation, claim: Claim) -> list[str]:
    estimate, free = claim.memory, explanation.memory_free
    verdict = "fits" if needs(estimate, explanation.device)[explanation.device] <= free else "does not fit now"
    text = [
        f"  memory     about {readable(estimate.total)} on {explanation.device} ({parts(estimate)}); "
        f"{readable(free)} free: {verdict}"
    ]
    return text + [f"  {'':<10} {smaller.advice}: {readable(smaller.total)}" for smaller in estimate.smaller]
