"""Fixed questions for timing: the same for every candidate, with no picture twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fourways.core.conversation import Conversation, Image
from fourways.core.errors import UserError
from fourways.core.request import Generate, Plan, Request, derive_seed
from fourways.media import read_image

DESCRIBE_32 = "describe-32"
_TOKENS = 32
_PROMPT = "Describe the image."


@dataclass(frozen=True, slots=True)
class Workload:
    """One question about each of `images`. `warmed_by` are other pictures of the same kind, asked before and not timed.

    Pictures are decoded here, once: the timed path begins with a decoded part, so its stages leave media_decode out.
    """

    name: str
    prompt: str
    output: Generate
    images: tuple[Image, ...]
    warmed_by: tuple[Image, ...]

    def request(self, image: Image, plan: Plan, *, id: str, seed: int = 0) -> Request:
        """The request about one picture. id: unique within the engine's life. seed: the run's."""
        output = Generate(
            self.output.max_tokens,
            min_tokens=self.output.min_tokens,
            ignore_eos=self.output.ignore_eos,
            seed=derive_seed(seed, image.source_sha256),
        )
        return Request(id, Conversation.ask(self.prompt, image), plan, output)


def describe_32(sources: Iterable[bytes], *, count: int = 80, warm_up: int = 8) -> Workload:
    """`describe-32`: `count` distinct pictures, a description of exactly 32 new tokens each (EOS ignored), greedy.

    sources: files of pictures; as many as needed are taken, the warm-up's first. One whose pixels have come before is
    passed over. Raises UserError if they run out, MediaError for one that cannot be read.
    """
    wanted, seen = count + warm_up, dict[str, Image]()
    for index, source in enumerate(sources):
        image = read_image(source, name=f"{DESCRIBE_32}, picture {index}")
        seen.setdefault(image.content_hash, image)
        if len(seen) == wanted:
            break
    if len(seen) < wanted:
        raise UserError(f"{DESCRIBE_32} needs {wanted} distinct pictures, got {len(seen)}")
    images = tuple(seen.values())
    output = Generate(_TOKENS, min_tokens=_TOKENS, ignore_eos=True)
    return Workload(DESCRIBE_32, _PROMPT, output, images[warm_up:], images[:warm_up])
