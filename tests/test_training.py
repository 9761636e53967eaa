"""Experiments: what is trained, what is kept, and that no experiment sees another."""

import gc
import json
import pathlib
from functools import partial

import pandas as pd
import pytest
import torch
from conftest import load_notebook
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM


def check(lab):
    """The checks of a row, with no question seen before."""
    rules = dict(seen=set(), max_length=256, token_count=lab.token_count)
    return partial(lab.check_row, **rules)


@pytest.fixture(scope="module")
def lab(sentencepiece_folder, tmp_path_factory):
    """The definitions around a tiny base of TinyLlama's kind and 64 problems."""
    folder = tmp_path_factory.mktemp("lab")
    lab = load_notebook(
        "lab", RESULTS_DIR=str(folder), EVAL_STEPS=4, LOGGING_STEPS=2, LORA_DROPOUT=0.1
    )
    lab.LORA_TARGET_MODULES = "all-linear"
    lab.RESULTS = folder
    lab.tokenizer = lab.load_tokenizer(sentencepiece_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=64,
        intermediate_size=176,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.15,
    )
    LlamaForCausalLM(config).to(torch.float16).save_pretrained(folder / "base")
    lab.base_model = lab.load_base_model(folder / "base", lab.tokenizer, "float32")
    lab.token_count = partial(lab.templated_length, tokenizer=lab.tokenizer)
    pairs, _, _ = lab.keep_pairs(lab.open_sources("generated", [], 1), 64, check(lab))
    lab.train_dataset, lab.eval_dataset, _ = lab.split_pairs(pairs, 1)
    return lab


SHORT = dict(
    learning_rate=1e-2,
    batch_size=8,
    gradient_accumulation_steps=1,
    num_epochs=2,
    lora_rank=4,
)


def setup_of(lab):
    """What all experiments share, as the notebook makes it of its settings."""
    lora = dict(
        alpha_ratio=lab.LORA_ALPHA_RATIO,
        dropout=lab.LORA_DROPOUT,
        target_modules=lab.LORA_TARGET_MODULES,
    )
    return lab.TrainingSetup(
        base_model=lab.base_model,
        tokenizer=lab.tokenizer,
        train_dataset=lab.train_dataset,
        eval_dataset=lab.eval_dataset,
        results=lab.RESULTS,
        lora=lora,
        logging_steps=lab.LOGGING_STEPS,
        eval_steps=lab.EVAL_STEPS,
        seed=lab.SEED,
    )


def run(lab, name: str, **line) -> dict:
    """The row of results of one experiment."""
    experiment = lab.Experiment(experiment_name=name, **line)
    return lab.run_experiment(setup_of(lab), experiment)


def adapter_folder(lab, name: str) -> pathlib.Path:
    """The folder of the only adapter that was trained under a name."""
    (folder,) = (lab.RESULTS / "adapters").glob(f"{name}-????????")
    return folder


def adapter(lab, name: str) -> dict[str, torch.Tensor]:
    return load_file(adapter_folder(lab, name) / "adapter_model.safetensors")


def history(lab, name: str) -> pd.DataFrame:
    row = {"adapter": f"adapters/{adapter_folder(lab, name).name}"}
    return lab.training_history(lab.RESULTS, row)


def perplexity(lab, model) -> float:
    rows = lab.encode_responses(lab.eval_dataset["messages"], lab.tokenizer)
    return lab.corpus_nll(model, lab.tokenizer, rows)[0].sum()


def validation_loss(lab, model) -> float:
    """The loss that the Trainer should have found on the validation rows."""
    rows = [lab.encode(row, lab.tokenizer) for row in lab.eval_dataset["messages"]]
    nll, tokens = lab.corpus_nll(model, lab.tokenizer, rows)
    return nll.sum() / tokens.sum()


def test_an_experiment_reports_what_it_did(lab):
    row = run(lab, "reported", notes="a note", **SHORT)
    assert (
        row["experiment"] == "reported"
        and row["notes"] == "a note"
        and row["lora_rank"] == 4
    )
    assert row["trainable_parameters"] == sum(
        weight.numel() for weight in adapter(lab, "reported").values()
    )
    steps = 2 * -(-len(lab.train_dataset) // 8)
    logged = history(lab, "reported")
    evaluated = logged.dropna(subset="eval_loss")["step"].tolist()
    assert evaluated[-1] == steps and len(evaluated) >= 3, (
        "at EVAL_STEPS (fewer in a short run) and at the end"
    )
    assert row["best_validation_loss"] == pytest.approx(logged["eval_loss"].min())
    assert row["training_minutes"] > 0
    assert row["final_train_loss"] < logged["loss"].dropna().iloc[0]


def test_the_result_does_not_depend_on_what_ran_before(lab):
    base_before = perplexity(lab, lab.base_model)
    first = run(lab, "alone", **SHORT)
    run(lab, "between", **SHORT | {"learning_rate": 2e-2, "lora_rank": 8})
    again = run(lab, "after_another", **SHORT)
    assert first["best_validation_loss"] == again["best_validation_loss"]
    alone, after = adapter(lab, "alone"), adapter(lab, "after_another")
    assert all(torch.equal(alone[name], after[name]) for name in alone)
    assert perplexity(lab, lab.base_model) == base_before, (
        "the base must be what it was"
    )


def test_the_base_is_left_without_adapter_and_memory_does_not_grow(lab):
    def count_tensors() -> int:
        gc.collect()
        return sum(isinstance(item, torch.Tensor) for item in gc.get_objects())

    run(lab, "first", **SHORT)
    before = count_tensors()
    run(lab, "second", **SHORT)
    run(lab, "third", **SHORT)
    assert not [name for name, _ in lab.base_model.named_parameters() if "lora" in name]
    assert not hasattr(lab.base_model, "peft_config")
    assert count_tensors() <= before + 5


def test_an_adapter_that_an_earlier_cell_left_on_the_base_does_not_count(lab):
    """Section 7 again after section 8, where the tutor's adapter is on the base."""
    first = run(lab, "before", **SHORT)
    lab.PeftModel.from_pretrained(lab.base_model, adapter_folder(lab, "before"))
    again = run(lab, "rerun", **SHORT)
    assert again["best_validation_loss"] == first["best_validation_loss"]
    assert again["trainable_parameters"] == first["trainable_parameters"]


def test_the_checkpoint_with_the_lowest_validation_loss_is_what_remains(
    lab, monkeypatch
):
    """Two pairs learned by heart, other texts to validate: the loss falls and rises."""
    monkeypatch.setattr(lab, "train_dataset", lab.train_dataset.select(range(2, 4)))
    refusals, _, _ = lab.keep_pairs({"off-topic": lab.make_off_topic(1)}, 8, check(lab))
    monkeypatch.setattr(lab, "eval_dataset", lab.Dataset.from_list(refusals))
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    row = run(
        lab,
        "by_heart",
        **SHORT | {"learning_rate": 3e-2, "num_epochs": 60, "lora_rank": 16},
    )
    losses = (
        history(lab, "by_heart")
        .dropna(subset="eval_loss")
        .set_index("step")["eval_loss"]
    )
    assert losses.iloc[-1] > losses.min() * 1.02, (
        "this run must overfit, or it shows nothing"
    )
    assert row["best_step"] == losses.idxmin() < losses.index[-1]
    model = lab.PeftModel.from_pretrained(
        lab.base_model, adapter_folder(lab, "by_heart")
    ).eval()
    found = validation_loss(lab, model)
    lab.detach_adapter(lab.base_model)
    assert found == pytest.approx(losses.min(), rel=1e-4)


def test_accumulated_batches_give_the_loss_of_one_large_batch(lab, monkeypatch):
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    whole = run(lab, "whole", **SHORT)
    parts = run(
        lab, "parts", **SHORT | {"batch_size": 2, "gradient_accumulation_steps": 4}
    )
    first, second = (
        history(lab, name).dropna(subset="loss")["loss"].iloc[0]
        for name in ("whole", "parts")
    )
    assert first == pytest.approx(second, rel=0.02)
    assert whole["best_validation_loss"] == pytest.approx(
        parts["best_validation_loss"], rel=0.03
    )


def test_a_run_of_one_optimizer_step_learns(lab, monkeypatch):
    monkeypatch.setattr(lab, "train_dataset", lab.train_dataset.select(range(12)))
    row = run(
        lab,
        "one_step",
        learning_rate=1e-2,
        batch_size=2,
        gradient_accumulation_steps=8,
        num_epochs=1,
        lora_rank=4,
    )
    assert history(lab, "one_step")["step"].max() == 1
    moved = [
        weight for name, weight in adapter(lab, "one_step").items() if "lora_B" in name
    ]
    assert moved and all(weight.abs().max() > 0 for weight in moved)
    assert row["best_validation_loss"] > 0


def test_an_experiment_in_a_cell_of_its_own_leaves_the_tutor_as_it_was(lab):
    row = run(lab, "tutors", **SHORT)
    tutor = lab.PeftModel.from_pretrained(
        lab.base_model, lab.RESULTS / row["adapter"]
    ).eval()
    asked = [messages[:1] for messages in lab.eval_dataset["messages"][:3]]
    prompts = [lab.render(messages, lab.tokenizer) for messages in asked]
    probe = torch.tensor(
        [lab.encode(lab.eval_dataset["messages"][0], lab.tokenizer)["input_ids"]]
    )

    def scores() -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad(), tutor.disable_adapter():
            base = tutor(probe).logits
        with torch.no_grad():
            return tutor(probe).logits, base

    (tuned, base), answers = (
        scores(),
        lab.generate_answers(tutor, lab.tokenizer, prompts, 12),
    )
    later = run(lab, "later", **SHORT | {"lora_rank": 8})
    alone = run(lab, "later_again", **SHORT | {"lora_rank": 8})
    assert torch.equal(scores()[0], tuned) and torch.equal(scores()[1], base)
    assert (
        not torch.equal(tuned, base)
        and lab.generate_answers(tutor, lab.tokenizer, prompts, 12) == answers
    )
    assert later["best_validation_loss"] == alone["best_validation_loss"]
    lab.detach_adapter(lab.base_model)


def test_the_chat_waits_while_another_cell_uses_the_model(lab, monkeypatch):
    question = [{"role": "user", "content": "What is 2 + 3?"}]
    with (
        lab.without_adapter(lab.base_model),
        pytest.raises(RuntimeError, match="at work in another cell"),
    ):
        next(lab.stream_answer(lab.base_model, lab.tokenizer, question, 4))
    assert (
        "".join(lab.stream_answer(lab.base_model, lab.tokenizer, question, 4))
        is not None
    )
    assert not lab.MODEL_IN_USE.locked()


@pytest.mark.parametrize(
    ("wrong", "because"),
    [
        ({"lora_dropout": 0.1}, "lora_dropout\n  Extra inputs are not permitted"),
        ({"learning_rate": 2}, "learning_rate\n  Input should be less than or equal"),
        ({"batch_size": 2.5}, "batch_size\n  Input should be a valid integer"),
        ({"num_epochs": 0}, "num_epochs\n  Input should be greater than 0"),
        ({"experiment_name": "../a"}, "experiment_name\n  String should match pattern"),
        (
            {"experiment_name": None},
            "experiment_name\n  Input should be a valid string",
        ),
    ],
)
def test_a_list_that_cannot_be_run_is_refused_before_anything_is_trained(
    lab, wrong, because
):
    lines = [SHORT | {"experiment_name": "a"}, SHORT | {"experiment_name": "b"} | wrong]
    with pytest.raises(ValueError) as refusal:
        lab.check_experiments(lines)
    assert because in str(refusal.value)


def test_two_experiments_of_one_name_and_a_number_that_is_missing_are_refused(lab):
    line = SHORT | {"experiment_name": "a"}
    assert lab.check_experiments([line])[0].hyperparameters == SHORT
    with pytest.raises(ValueError, match="EXPERIMENTS: each needs an experiment_name"):
        lab.check_experiments([line, line | {"lora_rank": 8}])
    del line["lora_rank"]
    with pytest.raises(ValueError, match="lora_rank\n  Field required"):
        lab.check_experiments([line])


def test_an_adapter_folder_can_be_loaded_elsewhere(lab):
    run(lab, "portable", **SHORT)
    folder = adapter_folder(lab, "portable")
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 4
    reloaded = lab.load_tokenizer(folder)
    assert reloaded.chat_template == lab.CHAT_TEMPLATE
    assert not list((lab.RESULTS / "checkpoints").glob("portable*"))
