"""Reads a config.json of class InternVLChatModel: the tests' own stand-in for the file that checkpoints bring."""

from transformers import AutoConfig, PretrainedConfig


class InternLM2Config(PretrainedConfig):
    model_type = "internlm2"


class InternVLChatConfig(PretrainedConfig):
    model_type = "internvl_chat"
    is_composition = True

    def __init__(self, vision_config=None, llm_config=None, **settings):
        language = dict(llm_config or {})
        kind = language.pop("model_type", "llama")
        own = kind == "internlm2"
        self.llm_config = InternLM2Config(**language) if own else AutoConfig.for_model(kind, **language)
        self.vision_config = PretrainedConfig(**(vision_config or {}))
        super().__init__(**settings)

    def get_text_config(self, *args, **kwargs):
        return self.llm_config
