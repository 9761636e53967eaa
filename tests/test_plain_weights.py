"""Plain weights in place of 4-bit ones: the same model, and nothing left behind."""

import contextlib
import pathlib

import pytest
import torch
from conftest import load_notebook
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="module")
def lab(sentencepiece_folder, tmp_path_factory):
    """The definitions around a tiny 4-bit base with an adapter on some layers."""
    folder: pathlib.Path = tmp_path_factory.mktemp("plain")
    lab = load_notebook("plain_lab", MAX_NEW_TOKENS=6)
    lab.tokenizer = lab.load_tokenizer(sentencepiece_folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32000,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.15,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    # In float32, so that rounding hides nothing.
    base = lab.load_base_model(folder, lab.tokenizer, "float32")
    lab.model = lab.attach_adapter(base, 4, 2.0, 0.0, ["q_proj", "down_proj"]).eval()
    for name, weight in lab.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    return lab


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(3, 40)[None]).logits


def test_plain_weights_compute_the_same_with_and_without_the_adapter(lab):
    adapted = logits(lab.model)
    with lab.model.disable_adapter():
        base = logits(lab.model)
        with lab.plain_weights(lab.model):
            torch.testing.assert_close(logits(lab.model), base, rtol=1e-3, atol=1e-3)
    assert (adapted - base).abs().max() > 0.1, (
        "this adapter must change something, or the test shows nothing"
    )
    with lab.plain_weights(lab.model):
        torch.testing.assert_close(logits(lab.model), adapted, rtol=1e-3, atol=1e-3)
        assert not torch.equal(logits(lab.model), adapted), (
            "the layers must compute in another way"
        )
    assert torch.equal(logits(lab.model), adapted)


def test_plain_weights_come_off_when_answering_fails(lab, monkeypatch):
    before = logits(lab.model)
    monkeypatch.setattr(lab, "repeats_itself", lambda answer: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prompt = "### Instruction:\n1 + 1?\n\n### Response:\n"
        lab.generate_answers(lab.model, lab.tokenizer, [prompt], 8)
    assert torch.equal(logits(lab.model), before)
    lab.model.train()
    lab.model(
        torch.arange(3, 40)[None], labels=torch.arange(3, 40)[None]
    ).loss.backward()
    lab.model.eval()
    assert all(
        weight.grad.abs().sum() > 0
        for name, weight in lab.model.named_parameters()
        if "lora_B" in name
    )


@pytest.mark.parametrize("as_base", [False, True])
def test_the_chat_writes_what_the_evaluation_would_and_leaves_no_plain_weights(
    lab, as_base
):
    question, before = (
        [{"role": "user", "content": "What is 1 + 1?"}],
        logits(lab.model),
    )
    lab.tokenizer.base_chat_template = lab.tokenizer.chat_template
    with lab.model.disable_adapter() if as_base else contextlib.nullcontext():
        prompt = lab.render(question, lab.tokenizer)
        answers = lab.generate_answers(lab.model, lab.tokenizer, [prompt], 6)
        expected = answers[0]["answer"]
    written = list(
        lab.stream_answer(
            lab.model, lab.tokenizer, question, lab.MAX_NEW_TOKENS, as_base=as_base
        )
    )
    assert written[-1].strip() == expected
    writing = lab.stream_answer(
        lab.model, lab.tokenizer, question, 200, as_base=as_base
    )
    next(writing)
    assert not torch.equal(logits(lab.model), before)
    writing.close()  # the reader leaves
    assert torch.equal(logits(lab.model), before)
