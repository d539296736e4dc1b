"""Processors and random tiny models of the three families, made without the network, to see what a model is given.

    processor("qwen3-vl"), model("qwen3-vl")  # keys of medvidbench_hf.video.FAMILIES

The sizes of patches, the defaults and the classes are those of the released models; the tokenizer (bytes, one token
each), the chat template and the weights are our own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

END, START_TURN, END_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")

CHAT_TEMPLATE = """\
{%- macro shown(content) -%}
{%- if content is string -%}{{ content }}
{%- else -%}
{%- for part in content -%}
{%- if part.type == 'video' -%}<|vision_start|><|video_pad|><|vision_end|>
{%- elif part.type == 'image' -%}<|vision_start|><|image_pad|><|vision_end|>
{%- else -%}{{ part.text }}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' -%}
{%- generation -%}{{ shown(message.content) + '<|im_end|>' }}{%- endgeneration -%}
{%- else -%}{{ shown(message.content) + '<|im_end|>' }}
{%- endif -%}
{{ '\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
"""


@lru_cache(maxsize=1)
def tokenizer() -> Any:
    """A token a byte, and the special tokens that the processors look for."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {symbol: k for k, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END_TURN,
        pad_token=END,
        additional_special_tokens=[START_TURN, *VISION],
        padding_side="left",
    )


@lru_cache(maxsize=3)
def processor(family: str) -> Any:
    """The family's own processor class, with its own defaults, on our tokenizer."""
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    kind, video_kind, patch_px = {
        "qwen2.5-vl": (Qwen2_5_VLProcessor, Qwen2VLVideoProcessor, 14),
        "qwen3-vl": (Qwen3VLProcessor, Qwen3VLVideoProcessor, 16),
        "qwen3.5": (Qwen3VLProcessor, Qwen3VLVideoProcessor, 16),
    }[family]
    video_processor = video_kind()
    video_processor.cap_pixels_per_frame = False  # inert where frames come at their size; unset, it warns
    return kind(
        image_processor=Qwen2VLImageProcessor(patch_size=patch_px),
        tokenizer=tokenizer(),
        video_processor=video_processor,
        chat_template=CHAT_TEMPLATE,
    )


@lru_cache(maxsize=3)
def model(family: str) -> Any:
    """A random model of about 0.2 M parameters, on the CPU, the same at every call of a process."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen3_5Config,
        Qwen3_5ForConditionalGeneration,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
    )

    words = tokenizer()
    ids = {
        f"{name}_token_id": words.convert_tokens_to_ids(f"<|{text}|>")
        for name, text in (
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
            ("image", "image_pad"),
            ("video", "video_pad"),
        )
    }
    text = {
        "vocab_size": len(words),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": None,
    }
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}
    torch.manual_seed(0)
    if family == "qwen2.5-vl":
        vision |= {"patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56, "tokens_per_second": 2}
        config = Qwen2_5_VLConfig(text_config={**text, "rope_parameters": rope}, vision_config=vision, **ids)
        return Qwen2_5_VLForConditionalGeneration(config).eval()
    vision |= {"patch_size": 16, "num_position_embeddings": 64}
    text |= {"head_dim": 16, "rope_parameters": {**rope, "mrope_interleaved": True}}
    if family == "qwen3-vl":
        vision |= {"deepstack_visual_indexes": [0]}
        config = Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
        return Qwen3VLForConditionalGeneration(config).eval()
    text |= {
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "layer_types": ["linear_attention", "full_attention"],
        "rope_parameters": {**text["rope_parameters"], "partial_rotary_factor": 1.0},
    }
    config = Qwen3_5Config(text_config=text, vision_config=vision, **ids)
    return Qwen3_5ForConditionalGeneration(config).eval()
