"""Does the answer depend on what the picture shows?

Two pictures and two questions ("is there a red square", "… a blue square"): four log-odds of yes against no. If they
are the same for both pictures, to the last digit, no pixel reaches the answer. The interaction (does yes rise where
question and picture agree?) says whether what reaches it is what is asked about; a model may be weak at this without
being broken, so a low one is a suspicion only.
"""

from __future__ import annotations

from dataclasses import dataclass

from fourways.compare.health.asking import Asker
from fourways.compare.health.questions import COLOURS, SEES, square
from fourways.compare.health.sense import YES_WORDS, logsum
from fourways.core.conversation import Conversation

LEAST_CHANGE = 1e-5
"""Nats. Identical input gives identical scores; rounding on a GPU may differ by less."""
LEAST_AGREEMENT = 0.5


@dataclass(frozen=True, slots=True)
class Sight:
    """change: the greatest difference that another picture makes to a score. agreement: the interaction, in nats."""

    change: float
    agreement: float

    @property
    def blind(self) -> bool:
        return self.change < LEAST_CHANGE

    @property
    def weak(self) -> bool:
        return not self.blind and self.agreement < LEAST_AGREEMENT

    def __str__(self) -> str:
        moves = f"another picture moves a score by up to {self.change:.3g} nats"
        return f"{moves}; yes follows the colour by {self.agreement:.2g}"


async def feel_sight(asker: Asker) -> Sight:
    """Four requests. Raises Unanswered and Refused."""
    odds: dict[tuple[str, str], float] = {}
    scores: dict[tuple[str, str], tuple[float, ...]] = {}
    for asked in COLOURS:
        for shown in COLOURS:
            found = await asker.rank(Conversation.ask(SEES.format(asked), square(shown)), YES_WORDS)
            scores[asked, shown] = found
            odds[asked, shown] = logsum((found[0], found[2])) - logsum((found[1], found[3]))
    one, other = COLOURS
    change = max(abs(a - b) for asked in COLOURS for a, b in zip(scores[asked, one], scores[asked, other], strict=True))
    agreement = (odds[one, one] + odds[other, other] - odds[one, other] - odds[other, one]) / 4
    return Sight(change, agreement)
