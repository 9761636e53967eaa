"""Bases worth a try on a T4, and the memory that each needs, as a table in Markdown.

    python tests/benchmarks/bases.py > bases.md

Nothing is downloaded and nothing is measured. The sizes below are those of each
model's `config.json`; an empty model of these sizes tells the number of parameters.
"""

import contextlib
import pathlib
import sys
from collections.abc import Iterable

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from conftest import load_notebook  # noqa: E402

QWEN3 = dict(
    vocab_size=151936,
    num_hidden_layers=28,
    num_attention_heads=16,
    num_key_value_heads=8,
    head_dim=128,
    tie_word_embeddings=True,
)
BASES = {  # name on the Hub: licence, architecture, sizes
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": ("Apache 2.0", "llama", common.TINYLLAMA),
    "Qwen/Qwen3-0.6B": (
        "Apache 2.0",
        "qwen3",
        QWEN3 | dict(hidden_size=1024, intermediate_size=3072),
    ),
    "Qwen/Qwen3-1.7B": (
        "Apache 2.0",
        "qwen3",
        QWEN3 | dict(hidden_size=2048, intermediate_size=6144),
    ),
    "HuggingFaceTB/SmolLM2-1.7B-Instruct": (
        "Apache 2.0",
        "llama",
        dict(
            vocab_size=49152,
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=24,
            num_attention_heads=32,
            num_key_value_heads=32,
            tie_word_embeddings=True,
        ),
    ),
    "meta-llama/Llama-3.2-1B-Instruct": (
        "Llama 3.2 (gated)",
        "llama",
        dict(
            vocab_size=128256,
            hidden_size=2048,
            intermediate_size=8192,
            num_hidden_layers=16,
            num_attention_heads=32,
            num_key_value_heads=8,
            tie_word_embeddings=True,
        ),
    ),
    "google/gemma-3-1b-it": (
        "Gemma (gated)",
        "gemma3_text",
        dict(
            vocab_size=262144,
            hidden_size=1152,
            intermediate_size=6912,
            num_hidden_layers=26,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=256,
            tie_word_embeddings=True,
        ),
    ),
    "microsoft/phi-2": (
        "MIT",
        "phi",
        dict(
            vocab_size=51200,
            hidden_size=2560,
            intermediate_size=10240,
            num_hidden_layers=32,
            num_attention_heads=32,
            num_key_value_heads=32,
            tie_word_embeddings=False,
        ),
    ),
}
ROWS, TOKENS = 4, 512  # of the cache
BYTES_IN_16_BITS = 2
# NF4 with double quantization: half a byte, a factor of 8 bits for 64 weights, and one
# of 32 bits for 256 of those factors
BYTES_IN_4_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
BYTES_TRAINED = 4 * 4  # in float32: weight, gradient and Adam's two moments


def empty_model(name: str) -> PreTrainedModel:
    """The architecture of a base; its parameters have shapes, but no values."""
    _, architecture, sizes = BASES[name]
    config = AutoConfig.for_model(architecture, **sizes)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def count(parameters: Iterable[nn.Parameter]) -> int:
    """How many numbers these parameters are."""
    return sum(parameter.numel() for parameter in parameters)


def weight_bytes(model: PreTrainedModel) -> float:
    """Linear layers except the head in 4 bits; everything else in 16."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    head = model.get_output_embeddings()
    packed = count(layer.weight for layer in layers if layer is not head)
    rest = count(model.parameters()) - packed
    return BYTES_IN_4_BITS * packed + BYTES_IN_16_BITS * rest


def trained_parameters(model: PreTrainedModel) -> int:
    """Parameters of the adapter that the notebook puts on this model."""
    lab = load_notebook("bases")
    settings = common.ADAPTER
    with contextlib.redirect_stdout(sys.stderr):  # the table is all that is printed
        adapted = lab.attach_adapter(
            model,
            settings["LORA_RANK"],
            lab.LORA_ALPHA_RATIO,
            lab.LORA_DROPOUT,
            settings["LORA_TARGET_MODULES"],
        )
    return count(weight for weight in adapted.parameters() if weight.requires_grad)


def cache_bytes(model: PreTrainedModel) -> int:
    """Keys and values of every layer."""
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    width = getattr(config, "head_dim", None) or width
    vectors = ROWS * TOKENS * config.num_hidden_layers * config.num_key_value_heads * 2
    return vectors * width * BYTES_IN_16_BITS


def describe(name: str) -> list[str]:
    """A row of the table, with memory in GB."""
    model = empty_model(name)
    parameters = count(model.parameters())
    weights, cache = weight_bytes(model), cache_bytes(model)
    trained = BYTES_TRAINED * trained_parameters(model)
    memory = [weights, trained, cache, weights + trained + cache]
    in_gigabytes = [f"{amount / 1e9:.2f}" for amount in memory]
    return [name, BASES[name][0], f"{parameters:,}", *in_gigabytes]


def main() -> None:
    """Print the table."""
    rank = common.ADAPTER["LORA_RANK"]
    print(
        "Computed, not measured. Memory in GB: weights in 4 bits (embeddings, head and "
        f"norms in 16), an adapter of rank {rank} on the attention layers with its "
        "gradients and two moments in float32, keys and values of "
        f"{ROWS} x {TOKENS} tokens in 16 bits. Activations and logits come on top.\n"
    )
    head = ["name on the Hub", "licence", "parameters"]
    head += ["weights", "adapter and optimizer", "cache", "sum"]
    for cells in (head, ["---"] * 2 + ["---:"] * 5, *map(describe, BASES)):
        print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
