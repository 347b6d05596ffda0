"""What can be wrong with a model: one small value for each kind of fault, with a code that stays.

A fault found inside a checkpoint carries its code from where it was found (`CheckpointError.fault`); the others are
found by the probes of this package. docs/check.md says of each how it is seen and what it cannot see.
"""

from __future__ import annotations

from dataclasses import dataclass

from fourways.core.health import Finding, Grade


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. hint: what to do where the finding has nothing better."""

    code: str
    grade: Grade
    title: str
    hint: str


_FETCH = "copy or download the file again"
_SAME = "take all files from one published checkpoint"
_TEMPLATE = "use the chat template that the model was published with"
_ANSWERS = "look at its answers: `fourways compare`"
_OURS = "please report it: this is ours to mend"
_SERVER = "look into the server's log; is it the right URL and model?"

KINDS = (
    # -- files: seen without loading anything
    Kind("folder.missing", "broken", "the registered folder is gone", "register it anew where it lies now"),
    Kind("files.changed", "broken", "files differ from the manifest", _FETCH),
    Kind("manifest.invalid", "broken", "the manifest beside the weights is none", "fourways models manifest"),
    Kind("files.missing", "broken", "files of the manifest are not there", _FETCH),
    Kind("config.missing", "broken", "no config.json", _FETCH),
    Kind("config.invalid", "broken", "config.json cannot be used", _FETCH),
    Kind("config.layers", "suspect", "config.json leaves layers of the weights unused", _SAME),
    Kind("architecture.unknown", "broken", "no family loads this architecture", "use a layout that a family loads"),
    Kind("weights.missing", "broken", "no weights", "finish the download"),
    Kind("weights.missing-shard", "broken", "a weight file is missing", _FETCH),
    Kind("weights.truncated", "broken", "a weight file is cut short", _FETCH),
    Kind("weights.damaged", "broken", "a weight file is no safetensors file", _FETCH),
    Kind("index.lies", "broken", "the weight index names what is not there", _FETCH),
    Kind("lfs-pointer", "broken", "a Git LFS pointer in place of the weights", "run `git lfs pull`"),
    Kind("pickle-only", "broken", "weights only as pickles, which can run code", "convert them to safetensors"),
    Kind("weights.nan", "broken", "weights that are not finite", _FETCH),
    Kind("weights.hole", "suspect", "a long run of zero rows inside a matrix", "a download that was cut may leave it"),
    Kind(
        "weights.zeros", "broken", "whole matrices of zeros", "a download that was cut leaves such holes: fetch again"
    ),
    Kind("weights.untrained", "broken", "weights as they are before any training", "use the trained checkpoint"),
    Kind("weights.shape", "broken", "tensors have other shapes than config.json says", _SAME),
    Kind("weights.missing-tensor", "broken", "tensors of the architecture are missing", _SAME),
    Kind("tokenizer.missing", "broken", "no tokenizer", "copy the tokenizer files of the original model"),
    Kind("tokenizer.damaged", "broken", "the tokenizer cannot be read", _FETCH),
    Kind("tokenizer.vocabulary", "broken", "the tokenizer says ids that the model has no rows for", _SAME),
    Kind("template.missing", "broken", "no chat template", _TEMPLATE),
    Kind("template.wrong", "broken", "the chat template loses what it is given", _TEMPLATE),
    Kind("image-token.wrong", "broken", "config.json and template disagree on the image token", _SAME),
    Kind("preprocessor.invalid", "broken", "the image preprocessing cannot be used", _FETCH),
    Kind("ending.missing", "broken", "nothing says which token ends a reply", _SAME),
    Kind("ending.wrong", "broken", "the token that ends a reply is none of the tokenizer's control tokens", _SAME),
    Kind("ending.unlike", "suspect", "a turn ends with another token than generation_config.json names", _SAME),
    Kind("load.failed", "broken", "it cannot be loaded", "FOURWAYS_DEBUG=1 shows the traceback"),
    Kind("load.no-room", "unanswered", "this machine has no room for it", "a smaller --dtype, or a larger device"),
    Kind("load.unsupported", "unanswered", "nothing here loads this quantisation", "serve it, and check its --url"),
    # -- behaviour of a model in this process
    Kind(
        "weights.garbage",
        "broken",
        "the tokenizer fits, and the weights make no sense of it",
        "fetch it again; are config.json (rope, norms, activation) and chat template those it was published with?",
    ),
    Kind("tokenizer.wrong", "broken", "trained weights under a tokenizer that is not theirs", _SAME),
    Kind("vision.blind", "broken", "the answer does not depend on the picture at all", _SAME),
    Kind("vision.weak", "suspect", "the answer hardly depends on what the picture shows", _ANSWERS),
    Kind("answer.unexpected", "suspect", "it does not answer with the words it was asked for", _ANSWERS),
    Kind("scores.not-finite", "broken", "scores are not finite though the weights are", _FETCH),
    Kind("request.failed", "broken", "a request failed", "FOURWAYS_DEBUG=1 shows the traceback"),
    Kind("reply.format", "broken", "the stream breaks the engine's contract", _OURS),
    Kind(
        "answer.unsteady",
        "suspect",
        "the same question at temperature 0 got other answers",
        "rounding may do this; a seed cannot help",
    ),
    Kind("adapter.refused", "broken", "the adapter cannot be used with this model", "which base was it trained on?"),
    Kind("adapter.idle", "broken", "the adapter changes nothing", "were its weights trained and saved?"),
    Kind("adapter.leaks", "broken", "answers without the adapter changed after it was used", _OURS),
    # -- a server
    Kind("server.unreachable", "broken", "the server cannot be reached, or serves no such model", _SERVER),
    Kind("server.busy", "unanswered", "the server takes no more requests now", "wait, and check it again"),
    Kind("server.refused", "broken", "the server refused a plain question", _SERVER),
    Kind("image.refused", "broken", "the server refused a picture", "is the served model one that sees?"),
    Kind("images.refused", "suspect", "the server refused two pictures in one request", "vLLM: --limit-mm-per-prompt"),
    Kind("plain.format", "broken", "a reply in one piece is no chat completion", _SERVER),
    Kind("stream.format", "broken", "a streamed reply is no stream of chat completion chunks", _SERVER),
    Kind("stream.unfinished", "broken", "a stream without its end", "does a proxy buffer or cut long replies?"),
    Kind(
        "stream.differs",
        "suspect",
        "the streamed text is not the text in one piece",
        "temperature 0 does not make every server repeatable",
    ),
    Kind("usage.missing", "suspect", "replies do not say how many tokens they cost", "turn on usage in the server"),
    Kind("usage.wrong", "broken", "token counts do not add up", _SERVER),
    Kind(
        "answer.senseless",
        "suspect",
        "replies have nothing to do with the questions",
        "check the served folder itself: from outside, garbage weights and a wrong tokenizer look alike",
    ),
    Kind("vision.unmoved", "suspect", "replies do not depend on the picture", "check the served folder itself"),
    Kind(
        "adapter.unmoved",
        "suspect",
        "replies under the adapter are those of its base",
        "was it loaded? is its tower part supported?",
    ),
    # -- time
    Kind(
        "unanswered",
        "unanswered",
        "no reply in the time that was given",
        "slow or stuck: raise --timeout, or look at the machine",
    ),
    Kind("check.failed", "unanswered", "a probe of the check itself failed", _OURS),
    Kind("slow", "slow", "slower than the limits", "it works; --slow-first and --slow-token set the limits"),
)
CATALOGUE = {kind.code: kind for kind in KINDS}


def finding(code: str, message: str, hint: str | None = None) -> Finding:
    """A fault of the catalogue. Raises KeyError for a code that is not in it."""
    kind = CATALOGUE[code]
    return Finding(code, kind.grade, message, hint or kind.hint)
