"""Experiments: what is trained, what is kept, and that no experiment sees another."""

import gc
import json
import pathlib

import pandas as pd
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
    lab.RESULTS = folder
    lab.tokenizer = lab.load_tokenizer(sentencepiece_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000, hidden_size=64, intermediate_size=176, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.15,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.float16).save_pretrained(folder / "base")
    lab.base_model = lab.load_base_model(folder / "base")
    pairs, _, _ = lab.keep_pairs(lab.open_sources("generated", [], 1), 64, 256, lab.token_count)
    lab.train_dataset, lab.eval_dataset, _ = lab.split_pairs(pairs, 1)
    return lab


SHORT = dict(learning_rate=1e-2, batch_size=8, gradient_accumulation_steps=1, num_epochs=2, lora_rank=4)


def adapter_folder(lab, name: str) -> pathlib.Path:
    """The folder of the only adapter that was trained under a name."""
    (folder,) = (lab.RESULTS / "adapters").glob(f"{name}-????????")
    return folder


def adapter(lab, name: str) -> dict[str, torch.Tensor]:
    return load_file(adapter_folder(lab, name) / "adapter_model.safetensors")


def history(lab, name: str) -> pd.DataFrame:
    return lab.training_history({"adapter": f"adapters/{adapter_folder(lab, name).name}"})


def perplexity(lab, model) -> float:
    nll, _ = lab.corpus_nll(model, lab.encode_responses(lab.eval_dataset["messages"]))
    return nll.sum()


def test_an_experiment_reports_what_it_did(lab):
    row = lab.run_experiment("reported", notes="a note", **SHORT)
    assert row["experiment"] == "reported" and row["notes"] == "a note" and row["lora_rank"] == 4
    assert row["trainable_parameters"] == sum(weight.numel() for weight in adapter(lab, "reported").values())
    steps = 2 * -(-len(lab.train_dataset) // 8)
    logged = history(lab, "reported")
    evaluated = logged.dropna(subset="eval_loss")["step"].tolist()
    assert evaluated[-1] == steps and len(evaluated) >= 3, "at EVAL_STEPS (fewer in a short run) and at the end"
    assert row["best_validation_loss"] == pytest.approx(logged["eval_loss"].min())
    assert row["tokens_per_second"] > 0 and row["training_minutes"] > 0
    assert row["final_train_loss"] < logged["loss"].dropna().iloc[0]


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
    lab.PeftModel.from_pretrained(lab.base_model, adapter_folder(lab, "before"))
    again = lab.run_experiment("rerun", **SHORT)
    assert again["best_validation_loss"] == first["best_validation_loss"]
    assert again["trainable_parameters"] == first["trainable_parameters"]


def test_the_checkpoint_with_the_lowest_validation_loss_is_what_remains(lab, monkeypatch):
    """Two pairs learned by heart for long, validated with texts of another kind: the loss falls and rises again."""
    monkeypatch.setattr(lab, "train_dataset", lab.train_dataset.select(range(2, 4)))
    refusals, _, _ = lab.keep_pairs({"off-topic": lab.make_off_topic(1)}, 8, 256, lab.token_count)
    monkeypatch.setattr(lab, "eval_dataset", lab.Dataset.from_list(refusals))
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    row = lab.run_experiment("by_heart", **SHORT | {"learning_rate": 3e-2, "num_epochs": 60, "lora_rank": 16})
    losses = history(lab, "by_heart").dropna(subset="eval_loss").set_index("step")["eval_loss"]
    assert losses.iloc[-1] > losses.min() * 1.02, "this run must overfit, or it shows nothing"
    assert row["best_step"] == losses.idxmin() < losses.index[-1]
    model = lab.PeftModel.from_pretrained(lab.base_model, adapter_folder(lab, "by_heart")).eval()
    nll, tokens = lab.corpus_nll(model, [lab.encode(m, lab.tokenizer) for m in lab.eval_dataset["messages"]])
    lab.detach_adapter(lab.base_model)
    assert nll.sum() / tokens.sum() == pytest.approx(losses.min(), rel=1e-4)


def test_accumulated_batches_give_the_loss_of_one_large_batch(lab, monkeypatch):
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    whole = lab.run_experiment("whole", **SHORT)
    parts = lab.run_experiment("parts", **SHORT | {"batch_size": 2, "gradient_accumulation_steps": 4})
    first, second = (history(lab, name).dropna(subset="loss")["loss"].iloc[0] for name in ("whole", "parts"))
    assert first == pytest.approx(second, rel=0.02)
    assert whole["best_validation_loss"] == pytest.approx(parts["best_validation_loss"], rel=0.03)


def test_a_run_of_one_optimizer_step_learns(lab, monkeypatch):
    monkeypatch.setattr(lab, "train_dataset", lab.train_dataset.select(range(12)))
    row = lab.run_experiment(
        "one_step", learning_rate=1e-2, batch_size=2, gradient_accumulation_steps=8, num_epochs=1, lora_rank=4
    )
    assert history(lab, "one_step")["step"].max() == 1
    moved = [weight for name, weight in adapter(lab, "one_step").items() if "lora_B" in name]
    assert moved and all(weight.abs().max() > 0 for weight in moved)
    assert row["best_validation_loss"] > 0


def test_an_experiment_in_a_cell_of_its_own_leaves_the_tutor_as_it_was(lab):
    row = lab.run_experiment("tutors", **SHORT)
    tutor = lab.PeftModel.from_pretrained(lab.base_model, lab.RESULTS / row["adapter"]).eval()
    prompts = [lab.render(messages[:1]) for messages in lab.eval_dataset["messages"][:3]]
    probe = torch.tensor([lab.encode(lab.eval_dataset["messages"][0], lab.tokenizer)["input_ids"]])

    def scores() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad(), tutor.disable_adapter():
            base = tutor(probe).logits
        with torch.no_grad():
            return tutor(probe).logits, base

    (tuned, base), answers = scores(), lab.generate_answers(tutor, prompts)
    later = lab.run_experiment("later", **SHORT | {"lora_rank": 8})
    alone = lab.run_experiment("later_again", **SHORT | {"lora_rank": 8})
    assert torch.equal(scores()[0], tuned) and torch.equal(scores()[1], base)
    assert not torch.equal(tuned, base) and lab.generate_answers(tutor, prompts) == answers
    assert later["best_validation_loss"] == alone["best_validation_loss"]
    lab.detach_adapter(lab.base_model)


def test_the_chat_waits_while_another_cell_uses_the_model(lab, monkeypatch):
    monkeypatch.setattr(lab, "MAX_NEW_TOKENS", 4)
    question = [{"role": "user", "content": "What is 2 + 3?"}]
    with lab.without_adapter(lab.base_model), pytest.raises(RuntimeError, match="at work in another cell"):
        next(lab.stream_answer(lab.base_model, lab.tokenizer, question, 4))
    assert "".join(lab.stream_answer(lab.base_model, lab.tokenizer, question, 4)) is not None
    assert not lab.MODEL_IN_USE.locked()


@pytest.mark.parametrize(
    ("lines", "because"),
    [
        ([{"experiment_name": "a"}, {"experiment_name": "a", "lora_rank": 8}], "line 2: the name 'a' is taken"),
        (
            [{"experiment_name": "a", "lora_dropout": 0.1}],
            "line 1: there is no 'lora_dropout'. Choose from experiment_name",
        ),
        (
            [{"experiment_name": "a"}, {"experiment_name": "b", "learning_rate": 2}],
            "line 2: learning_rate = 2 should be",
        ),
        ([{"experiment_name": "a", "batch_size": 2.5}], "line 1: batch_size = 2.5 should be a whole number"),
        ([{"experiment_name": "../a"}], "line 1: experiment_name = '../a' should be letters"),
        ([{"lora_rank": 8}], "line 1: experiment_name = None"),
    ],
)
def test_a_list_that_cannot_be_run_is_refused_before_anything_is_trained(lab, lines, because):
    with pytest.raises(ValueError, match="EXPERIMENTS") as refusal:
        lab.check_experiments(lines)
    assert because in str(refusal.value)


def test_what_is_not_given_is_the_baselines(lab, monkeypatch):
    for name, value in {
        "LEARNING_RATE": 1e-2,
        "BATCH_SIZE": 8,
        "GRADIENT_ACCUMULATION_STEPS": 1,
        "NUM_EPOCHS": 1,
    }.items():
        monkeypatch.setattr(lab, name, value)
    monkeypatch.setattr(lab, "LORA_RANK", 4)
    row = lab.run_experiment("defaults", lora_rank=2)
    assert (row["learning_rate"], row["batch_size"], row["num_epochs"], row["lora_rank"]) == (1e-2, 8, 1, 2)


def test_training_leaves_the_models_attention_as_it_was(lab):
    """Fused attention writes answers faster, single steps train faster on a CPU; both give the same loss."""
    before = lab.base_model.config._attn_implementation
    seen, loss = set(), lab.ResponseTrainer.compute_loss

    def watched(self, model, *args, **kwargs):
        seen.add(model.config._attn_implementation)
        return loss(self, model, *args, **kwargs)

    with pytest.MonkeyPatch.context() as changed:
        changed.setattr(lab.ResponseTrainer, "compute_loss", watched)
        row = lab.run_experiment("attending", **SHORT)
    assert lab.base_model.config._attn_implementation == before == "sdpa" and seen == {"eager"}
    model = lab.PeftModel.from_pretrained(lab.base_model, lab.RESULTS / row["adapter"]).eval()
    nll, tokens = lab.corpus_nll(model, [lab.encode(m, lab.tokenizer) for m in lab.eval_dataset["messages"]])
    lab.detach_adapter(lab.base_model)
    assert nll.sum() / tokens.sum() == pytest.approx(row["best_validation_loss"], rel=1e-4)


def test_an_adapter_folder_can_be_loaded_elsewhere(lab):
    lab.run_experiment("portable", **SHORT)
    folder = adapter_folder(lab, "portable")
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 4
    reloaded = lab.load_tokenizer(folder)
    assert reloaded.chat_template == lab.CHAT_TEMPLATE
    assert not list((lab.RESULTS / "checkpoints").glob("portable*"))
