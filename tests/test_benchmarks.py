"""The benchmarks' own code on a few rows: the same work for every recipe, and losses
that are right."""

import math
import pathlib
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent / "benchmarks"))
import bases  # noqa: E402
import common  # noqa: E402
import training  # noqa: E402

SMALL = dict(
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)


@pytest.fixture(scope="module")
def small_tinyllama(tmp_path_factory) -> pathlib.Path:
    """A folder with a tiny model of TinyLlama's kind, made by the benchmark's own
    function."""
    pytest.importorskip("mistral_common")
    common.CACHE = tmp_path_factory.mktemp("cache")
    return common.tinyllama_folder(**SMALL)


@pytest.fixture
def options(small_tinyllama):
    words = [
        "--model",
        str(small_tinyllama),
        "--steps",
        "2",
        "--batch",
        "2",
        "--accumulation",
        "1",
        "--eval-rows",
        "4",
    ]
    return training.parse(words)


def full_logits_perplexity(lab, model, rows: list[list[dict]]) -> float:
    """Perplexity of responses from all logits of one row at a time."""
    nll = tokens = 0
    model.eval()
    for row in rows:
        encoded = lab.encode(row, lab.tokenizer)
        labels = torch.tensor(encoded["labels"])[1:]
        with torch.no_grad():
            scores = (
                model(torch.tensor([encoded["input_ids"]]))
                .logits[0, :-1]
                .float()
                .log_softmax(-1)
            )
        graded = labels != -100
        nll -= scores[graded, labels[graded]].sum().item()
        tokens += graded.sum().item()
    return math.exp(nll / tokens)


@pytest.mark.parametrize("name", ["published", "trl", "notebook"])
def test_a_recipe_trains_and_its_perplexity_is_that_of_all_logits(
    options, name, tmp_path
):
    if name == "trl":
        pytest.importorskip("trl")
    run = training.Run(options, str(tmp_path))
    trainer = getattr(training, name)(run)
    found = run.result(trainer.model)
    assert trainer.state.global_step == 2
    assert found["real tokens"] == sum(map(run.lab.token_count, run.train_rows))
    assert found["validation perplexity"] == pytest.approx(
        full_logits_perplexity(run.lab, trainer.model, run.eval_rows), rel=0.02
    )
    moved = [
        weight
        for weight_name, weight in trainer.model.named_parameters()
        if "lora_B" in weight_name
    ]
    assert any(weight.abs().sum() > 0 for weight in moved)


def test_undoing_a_trick_does_not_change_what_is_learned(options):
    found = {name: measured(options) for name, measured in training.ALONE.items()}
    perplexity = found["notebook"]["validation perplexity"]
    assert all(
        run["validation perplexity"] == pytest.approx(perplexity, rel=0.02)
        for run in found.values()
    ), found


def test_medians_are_taken_of_each_number():
    runs = [
        {"rate": 1.0, "GB": 3.0},
        {"rate": 9.0, "GB": 1.0},
        {"rate": 2.0, "GB": 2.0},
    ]
    assert common.medians({"one": runs}) == {"one": {"rate": 2.0, "GB": 2.0}}


def test_the_parameters_of_bases_are_the_published_ones():
    published = {  # on the Hub, tied heads counted once
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0": 1_100_048_384,
        "Qwen/Qwen3-0.6B": 596_049_920,
        "Qwen/Qwen3-1.7B": 1_720_574_976,
        "HuggingFaceTB/SmolLM2-1.7B-Instruct": 1_711_376_384,
        "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
        "google/gemma-3-1b-it": 999_885_952,
        "microsoft/phi-2": 2_779_683_840,
    }
    models = {name: bases.empty_model(name) for name in bases.BASES}
    assert {
        name: bases.count(models[name].parameters()) for name in models
    } == published
    tinyllama = models["TinyLlama/TinyLlama-1.1B-Chat-v1.0"]
    assert bases.trained_parameters(tinyllama) == 4_505_600


def test_the_cache_of_phi_2_takes_about_thirteen_gigabytes_at_128_rows(monkeypatch):
    monkeypatch.setattr(bases, "ROWS", 128)
    monkeypatch.setattr(bases, "TOKENS", 300)
    assert 12e9 < bases.cache_bytes(bases.empty_model("microsoft/phi-2")) < 13e9
