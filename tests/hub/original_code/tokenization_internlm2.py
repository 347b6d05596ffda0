"""Encodes by SentencePiece, each part between control tokens for itself: the tests' own stand-in."""

import os
from typing import ClassVar

import sentencepiece
from transformers import PreTrainedTokenizer


class InternLM2Tokenizer(PreTrainedTokenizer):
    vocab_files_names: ClassVar = {"vocab_file": "tokenizer.model"}
    model_input_names: ClassVar = ["input_ids", "attention_mask"]

    def __init__(self, vocab_file, add_bos_token=True, **settings):
        self.sp_model = sentencepiece.SentencePieceProcessor(model_file=os.fspath(vocab_file))
        self.add_bos_token = add_bos_token
        super().__init__(add_bos_token=add_bos_token, **settings)

    @property
    def vocab_size(self):
        return self.sp_model.get_piece_size()

    def get_vocab(self):
        own = {self.convert_ids_to_tokens(index): index for index in range(self.vocab_size)}
        return {**own, **self.added_tokens_encoder}

    def _tokenize(self, text, **_):
        return self.sp_model.encode(text, out_type=str)

    def _convert_token_to_id(self, token):
        return self.sp_model.piece_to_id(token)

    def _convert_id_to_token(self, index):
        return self.sp_model.id_to_piece(index)

    def convert_tokens_to_string(self, tokens):
        return self.sp_model.decode([token for token in tokens if token not in self.all_special_tokens])

    def build_inputs_with_special_tokens(self, token_ids_0, token_ids_1=None):
        return ([self.bos_token_id] if self.add_bos_token else []) + token_ids_0 + (token_ids_1 or [])

    def save_vocabulary(self, save_directory, filename_prefix=None):
        return ()
