"""Experiments: what is trained, what is kept, and that no experiment sees another."""

import gc
import json

import pytest
import torch
from conftest import load_notebook
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="module")
def lab(sentencepiece_folder, tmp_path_factory):
    """The notebook's definitions around a tiny base of TinyLlama's kind and 64 of the notebook's own problems."""
    folder = tmp_path_factory.mktemp("lab")
    lab = load_notebook("lab", RESULTS_DIR=str(folder), EVAL_STEPS=4, LOGGING_STEPS=2, LORA_DROPOUT=0.1)
    lab.LORA_TARGET_MODULES = "all-linear"
    lab.RESULTS, lab.curves = folder, {}
    lab.tokenizer = lab.load_tokenizer(sentencepiece_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.15,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.float16).save_pretrained(folder / "base")
    lab.base_model = lab.load_base_model(folder / "base")
    pairs, _ = lab.keep_pairs(lab.open_sources("generated", [], 1), 64, 256, lab.token_count)
    lab.train_dataset, lab.eval_dataset, _ = lab.split_pairs(pairs, 1)
    return lab


SHORT = dict(learning_rate=1e-2, batch_size=8, gradient_accumulation_steps=1, num_epochs=2, lora_rank=4)


def adapter(lab, name: str) -> dict[str, torch.Tensor]:
    return load_file(lab.RESULTS / "adapters" / name / "adapter_model.safetensors")


def perplexity(lab, model) -> float:
    nll, _ = lab.corpus_nll(model, lab.encode_responses(lab.eval_dataset["messages"]))
    return nll.sum()


def test_an_experiment_reports_what_it_did(lab):
    row = lab.run_experiment("reported", notes="a note", **SHORT)
    assert row["experiment"] == "reported" and row["notes"] == "a note" and row["lora_rank"] == 4
    assert row["trainable_parameters"] == sum(weight.numel() for weight in adapter(lab, "reported").values())
    steps = 2 * -(-len(lab.train_dataset) // 8)
    history = lab.curves["reported"]
    evaluated = history.dropna(subset="eval_loss")["step"].tolist()
    assert evaluated[-1] == steps and len(evaluated) >= 3, "at EVAL_STEPS (fewer in a short run) and at the end"
    assert row["best_validation_loss"] == pytest.approx(history["eval_loss"].min())
    assert row["tokens_per_second"] > 0 and row["training_minutes"] > 0
    assert row["final_train_loss"] < history["loss"].dropna().iloc[0]


def test_the_result_does_not_depend_on_what_ran_before(lab):
    base_before = perplexity(lab, lab.base_model)
    first = lab.run_experiment("alone", **SHORT)
    lab.run_experiment("between", **SHORT | {"learning_rate": 2e-2, "lora_rank": 8})
    again = lab.run_experiment("after_another", **SHORT)
    assert first["best_validation_loss"] == again["best_validation_loss"]
    alone, after = adapter(lab, "alone"), adapter(lab, "after_another")
    assert all(torch.equal(alone[name], after[name]) for name in alone)
    assert perplexity(lab, lab.base_model) == base_before, "the base must be what it was"


def test_the_base_is_left_without_adapter_and_memory_does_not_grow(lab):
    def count_tensors() -> int:
        gc.collect()
        return sum(isinstance(item, torch.Tensor) for item in gc.get_objects())

    lab.run_experiment("first", **SHORT)
    before = count_tensors()
    lab.run_experiment("second", **SHORT)
    lab.run_experiment("third", **SHORT)
    assert not [name for name, _ in lab.base_model.named_parameters() if "lora" in name]
    assert not hasattr(lab.base_model, "peft_config")
    assert count_tensors() <= before + 5


def test_an_adapter_that_an_earlier_cell_left_on_the_base_does_not_count(lab):
    """Running section 7 again after section 8, where the tutor's adapter is still on the base."""
    first = lab.run_experiment("before", **SHORT)
    lab.PeftModel.from_pretrained(lab.base_model, lab.RESULTS / "adapters" / "before")
    again = lab.run_experiment("rerun", **SHORT)
    assert again["best_validation_loss"] == first["best_validation_loss"]
    assert again["trainable_parameters"] == first["trainable_parameters"]


def test_the_checkpoint_with_the_lowest_validation_loss_is_what_remains(lab, monkeypatch):
    """Two pairs learned by heart for long, validated with texts of another kind: the loss falls and rises again."""
    monkeypatch.setattr(lab, "train_dataset", lab.train_dataset.select(range(2, 4)))
    refusals, _ = lab.keep_pairs({"off-topic": lab.make_off_topic(1)}, 8, 256, lab.token_count)
    monkeypatch.setattr(lab, "eval_dataset", lab.Dataset.from_list(refusals))
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    row = lab.run_experiment("by_heart", **SHORT | {"learning_rate": 3e-2, "num_epochs": 30, "lora_rank": 16})
    losses = lab.curves["by_heart"].dropna(subset="eval_loss").set_index("step")["eval_loss"]
    assert losses.iloc[-1] > losses.min() * 1.02, "this run must overfit, or it shows nothing"
    assert row["best_step"] == losses.idxmin() < losses.index[-1]
    model = lab.PeftModel.from_pretrained(lab.base_model, lab.RESULTS / "adapters" / "by_heart").eval()
    nll, tokens = lab.corpus_nll(model, [lab.encode(m, lab.tokenizer) for m in lab.eval_dataset["messages"]])
    lab.detach_adapter(lab.base_model)
    assert nll.sum() / tokens.sum() == pytest.approx(losses.min(), rel=1e-4)


def test_accumulated_batches_give_the_loss_of_one_large_batch(lab, monkeypatch):
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    whole = lab.run_experiment("whole", **SHORT)
    parts = lab.run_experiment("parts", **SHORT | {"batch_size": 2, "gradient_accumulation_steps": 4})
    first, second = (lab.curves[name].dropna(subset="loss")["loss"].iloc[0] for name in ("whole", "parts"))
    assert first == pytest.approx(second, rel=0.02)
    assert whole["best_validation_loss"] == pytest.approx(parts["best_validation_loss"], rel=0.03)


def test_an_adapter_folder_can_be_loaded_elsewhere(lab):
    lab.run_experiment("portable", **SHORT)
    folder = lab.RESULTS / "adapters" / "portable"
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 4
    reloaded = lab.load_tokenizer(folder)
    assert reloaded.chat_template == lab.CHAT_TEMPLATE
    assert not list((lab.RESULTS / "checkpoints").glob("portable*"))
