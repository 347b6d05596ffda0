"""The log-likelihood of given continuations of one prompt, whose keys and values they share."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fourways.core.errors import UserError
from fourways.core.request import Rank
from fourways.engines.local.kv import KVStore
from fourways.engines.local.runner import Runner
from fourways.engines.local.sequence import Sequence
from fourways.families.contract import Family


def continuation_ids(tokenizer: PreTrainedTokenizerBase, wanted: Rank) -> list[list[int]]:
    """Token ids of each continuation, control tokens written in it encoded as text. Raises UserError for an empty
    one."""
    if not wanted.continuations:
        raise UserError("Rank needs at least one continuation")
    plain, found = _without_control(tokenizer), []
    for text in wanted.continuations:
        ids = plain.encode(text, add_special_tokens=False).ids
        if not ids:
            raise UserError(f"the continuation {text!r} has no tokens")
        found.append([int(token) for token in ids])
    return found


_plain: WeakKeyDictionary[PreTrainedTokenizerBase, Tokenizer] = WeakKeyDictionary()


def _without_control(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """A copy that takes control tokens for text. Not a switch on the tokenizer itself: another thread that writes a
    prompt at that moment would get its control tokens as text."""
    copy = _plain.get(tokenizer)
    if copy is None:
        copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        copy.encode_special_tokens = True
        _plain[tokenizer] = copy
    return copy


def rank(
    family: Family, runner: Runner, store: KVStore, sequence: Sequence, logits: Tensor, room: int
) -> tuple[float, ...]:
    """Summed natural-log probability of each continuation. logits (vocab,): after the prompt's last token, whose row is
    filled. At most `room` rows are used at a time, behind the rows in use."""
    assert isinstance(sequence.request.output, Rank)
    ids = [torch.tensor(i) for i in continuation_ids(family.tokenizer, sequence.request.output)]
    begins = logits.float().log_softmax(dim=-1)
    sums = [float(begins[i[0]]) for i in ids]
    longer = [n for n, i in enumerate(ids) if len(i) > 1]
    for at in range(0, len(longer), room):
        part = longer[at : at + room]
        for n, value in zip(part, _tails(family, runner, store, sequence, [ids[n] for n in part]), strict=True):
            sums[n] += value
    return tuple(sums)


def _tails(family: Family, runner: Runner, store: KVStore, sequence: Sequence, ids: list[Tensor]) -> list[float]:
    """Log-probability of each continuation after its first token."""
    longest = max(len(i) for i in ids)
    first = store.add(len(ids), sequence.length + longest)
    try:
        store.fork(sequence.row, sequence.length, first, len(ids))
        hidden = runner.extend(first, sequence, [i[:-1] for i in ids])
        if not all(bool(states.isfinite().all()) for states in hidden):
            for row in range(first, first + len(ids)):
                store.clean(row)
    finally:
        store.drop_last(len(ids))
    sums = []
    for states, tokens in zip(hidden, ids, strict=True):
        scores = family.logits(states).float().log_softmax(dim=-1)
        targets = tokens[1:].to(scores.device)
        sums.append(float(scores.gather(1, targets[:, None]).double().sum()))
    return sums
