"""Tiny random models of many architectures go the whole way: from 4 bits to merging."""

import types

import bitsandbytes
import numpy as np
import pytest
import torch
from conftest import load_notebook
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

SIZES = dict(
    vocab_size=32000,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=2,
    initializer_range=0.15,  # so that different prompts get different answers
)
EXPERTS = dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64)
LINEAR_ATTENTION = dict(  # as in Qwen3-Next and Qwen3.5: every second layer here
    layer_types=["linear_attention", "full_attention"],
    head_dim=16,
    linear_key_head_dim=16,
    linear_value_head_dim=16,
    linear_num_key_heads=2,
    linear_num_value_heads=4,
)
GEMMA = dict(
    head_dim=16,
    query_pre_attn_scalar=16,
    sliding_window=16,
    tie_word_embeddings=False,  # tied and random, these only repeat their last token
)
MAMBA = dict(mamba_n_heads=8, mamba_d_head=16, mamba_d_state=16, mamba_n_groups=1)
GRANITE_4 = MAMBA | dict(layer_types=["mamba", "attention"], num_local_experts=0)
# What tells a tiny model of this kind from one of the others
ARCHITECTURES = {
    "llama": {},
    "mistral": dict(sliding_window=16),
    "qwen2": {},
    "qwen3": dict(head_dim=16),
    "qwen3_moe": dict(head_dim=16) | EXPERTS,
    "gemma": dict(head_dim=16),
    "gemma2": GEMMA,
    "gemma3_text": GEMMA,
    "phi": {},
    "phi3": {},
    "smollm3": dict(no_rope_layers=[1, 0]),
    "olmo2": {},
    "granite": {},
    "stablelm": {},
    "gpt_neox": {},
    "lfm2": dict(layer_types=["conv", "full_attention"], conv_L_cache=3),
    "qwen3_next": LINEAR_ATTENTION | EXPERTS | dict(shared_expert_intermediate_size=64),
    "qwen3_5_text": LINEAR_ATTENTION,
    "granitemoehybrid": GRANITE_4,
    "falcon_h1": MAMBA | dict(head_dim=16, mamba_d_ssm=128),
}
QUESTIONS = [
    "1 + 1?",
    "What is the sum of 12 and 30?",
    "Why is the sum of two odd numbers even? Explain it in a few steps.",
]


@pytest.fixture(scope="module")
def lab(sentencepiece_folder) -> types.ModuleType:
    """The notebook's definitions in float32, so that rounding decides no tie."""
    lab = load_notebook("architectures_lab", MAX_NEW_TOKENS=20, LORA_DROPOUT=0.0)
    lab.COMPUTE_DTYPE = "float32"  # for `merge_adapter`
    lab.PINNED = {"model": None}
    lab.tokenizer = lab.load_tokenizer(sentencepiece_folder)
    answer = {"role": "assistant", "content": "Answer: 2"}
    asked = [[{"role": "user", "content": question}] for question in QUESTIONS]
    lab.prompts = [lab.render(messages, lab.tokenizer) for messages in asked]
    answered = [[*messages, answer] for messages in asked]
    lab.rows = lab.encode_responses(answered, lab.tokenizer)
    return lab


def load_tiny(lab, name: str, **details) -> PreTrainedModel:
    """A tiny random model of this architecture in 4 bits, from `MODEL_PATH`."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(name, **SIZES | details)
    AutoModelForCausalLM.from_config(config).save_pretrained(lab.MODEL_PATH)
    return lab.load_base_model(lab.MODEL_PATH, lab.tokenizer, "float32")


def written_alone(lab, model: PreTrainedModel, prompt: str) -> list[int]:
    """Tokens of the answer as transformers' own loop writes it."""
    encoded = lab.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    written = model.generate(**encoded, max_new_tokens=lab.MAX_NEW_TOKENS)
    return written[0, encoded["input_ids"].shape[1] :].tolist()


def end_early(lab, model: PreTrainedModel) -> None:
    """Let an early token that only the first prompt's answer has end answers."""
    first, *others = [written_alone(lab, model, prompt) for prompt in lab.prompts]
    early, others = first[:8], sum(others, [])
    ends = [token for token in early if token not in others]
    model.generation_config.eos_token_id = [lab.tokenizer.eos_token_id, ends[-1]]


def nll_of_rows(lab, model: PreTrainedModel) -> np.ndarray:
    return lab.corpus_nll(model.eval(), lab.tokenizer, lab.rows)[0]


def answers_of(lab, model: PreTrainedModel, *prompts: str) -> list[dict]:
    return lab.generate_answers(model, lab.tokenizer, list(prompts), lab.MAX_NEW_TOKENS)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_goes_the_whole_way(lab, tmp_path, name):
    lab.MODEL_PATH = tmp_path / "base"
    base = load_tiny(lab, name, **ARCHITECTURES[name])
    kinds = [type(module) for module in base.modules()]
    assert kinds.count(bitsandbytes.nn.Linear4bit) >= 8, "four in each layer, at least"

    wanted = ["q_proj", "k_proj", "v_proj", "o_proj"]
    model = lab.attach_adapter(base, 4, 2.0, 0.0, wanted).train()
    named = dict(model.named_parameters())
    added = {weight: named[weight] for weight in named if "lora_B" in weight}
    batch = lab.DataCollatorForSeq2Seq(lab.tokenizer)(lab.rows)
    nll, tokens = lab.response_nll(model, batch)
    (nll.sum() / tokens.sum()).backward()
    assert added
    assert [weight for weight in added if not added[weight].grad.abs().sum() > 0] == []

    for weight in added.values():
        torch.nn.init.normal_(weight, std=0.3)
    model.eval()
    end_early(lab, model)
    together = answers_of(lab, model, *lab.prompts)
    alone = [answers_of(lab, model, prompt) for prompt in lab.prompts]
    assert together == sum(alone, [])
    lengths = [answer["answer_tokens"] for answer in together]
    assert lengths[0] <= 8 < min(lengths[1:]), "one ends before the others"
    assert len({answer["answer"] for answer in together}) == len(together)

    model.save_pretrained(tmp_path / "adapter")
    adapted = nll_of_rows(lab, model)
    base = lab.load_base_model(lab.MODEL_PATH, lab.tokenizer, lab.COMPUTE_DTYPE)
    folder = tmp_path / "merged"
    lab.merge_adapter(base, lab.tokenizer, tmp_path / "adapter", folder)
    merged = lab.AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert nll_of_rows(lab, merged.eval()) == pytest.approx(adapted, rel=1e-3)
    with model.disable_adapter():
        assert nll_of_rows(lab, model) != pytest.approx(adapted, rel=5e-3)
