"""Where memory runs out, the same experiment in smaller parts: same result, one line, and the row tells."""

import pytest
import torch
from test_measuring import tiny  # noqa: F401
from test_training import SHORT, adapter, lab  # noqa: F401

EXACT = SHORT | {"num_epochs": 1}


@pytest.fixture
def small_memory(lab, monkeypatch):  # noqa: F811
    """A function that lets forward passes of more than so many rows run out of memory, in training and evaluation."""
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    kept = []

    def limit(rows: int, after_backward: bool = False, without_recomputing: bool = True) -> None:
        layers = lab.base_model.model.layers

        def refuse(module, arguments, keywords=None):
            recomputes = any(getattr(layer, "gradient_checkpointing", False) for layer in layers)
            hidden = arguments[0]
            too_much = len(hidden) > rows or not (without_recomputing or recomputes or not hidden.requires_grad)
            if too_much and after_backward and hidden.requires_grad:
                hidden.register_hook(run_out)  # the gradients of later layers are there by then
            elif too_much:
                run_out()

        kept.append(layers[1].register_forward_pre_hook(refuse))

    yield limit
    for hook in kept:
        hook.remove()


def run_out(*_) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. (injected)")


@pytest.mark.parametrize("after_backward", [False, True])
def test_smaller_parts_give_the_same_result(lab, small_memory, after_backward, capsys):  # noqa: F811
    whole = lab.run_experiment("undisturbed", **EXACT)
    assert whole["rows_at_once"] == 8 and not whole["recomputed_activations"]
    small_memory(3, after_backward)
    name = f"in_parts_{after_backward}"
    parts = lab.run_experiment(name, **EXACT)
    assert parts["rows_at_once"] == 2 and not parts["recomputed_activations"]
    assert capsys.readouterr().out.count("Memory ran out: 2 rows at once") == 1
    assert parts["best_validation_loss"] == pytest.approx(whole["best_validation_loss"], rel=5e-3)
    assert parts["final_train_loss"] == pytest.approx(whole["final_train_loss"], rel=5e-3)
    ours, theirs = adapter(lab, name), adapter(lab, "undisturbed")
    for weight in ours:
        assert torch.nn.functional.cosine_similarity(ours[weight].flatten(), theirs[weight].flatten(), dim=0) > 0.99, (
            weight
        )


def test_at_one_row_activations_are_recomputed_and_the_next_experiment_keeps_them(lab, small_memory):  # noqa: F811
    whole = lab.run_experiment("kept", **EXACT)
    small_memory(1, without_recomputing=False)
    row = lab.run_experiment("recomputed", **EXACT)
    assert row["rows_at_once"] == 1 and row["recomputed_activations"]
    assert row["best_validation_loss"] == pytest.approx(whole["best_validation_loss"], rel=5e-3)
    assert not lab.base_model.is_gradient_checkpointing


def test_references_are_read_in_smaller_batches(lab, small_memory, capsys):  # noqa: F811
    rows = lab.encode_responses(lab.eval_dataset["messages"])
    whole, tokens = lab.corpus_nll(lab.base_model, rows)
    small_memory(2)
    parts, same_tokens = lab.corpus_nll(lab.base_model, rows)
    assert parts == pytest.approx(whole, rel=2e-2) and parts.sum() == pytest.approx(whole.sum(), rel=1e-3)
    assert same_tokens.tolist() == tokens.tolist()
    assert "references are read 2 at a time" in capsys.readouterr().out


@pytest.fixture
def small_cache(tiny):  # noqa: F811
    """A function that lets a cache run out of memory beyond so many rows and tokens."""
    hooks = []

    def limit(rows: int, tokens: int) -> None:
        def refuse(layer, arguments, keywords):
            in_cache = keywords["past_key_values"].get_seq_length()
            if len(arguments[0]) > rows and in_cache > tokens:
                run_out()

        first = tiny.model.layers[0]
        hooks.append(first.register_forward_pre_hook(refuse, with_kwargs=True))

    yield limit
    for hook in hooks:
        hook.remove()


@pytest.fixture
def asked(notebook, tiny, monkeypatch):  # noqa: F811
    """The prompts of each batch that answers were written to, in order."""
    batches, answer_batch = [], notebook.answer_batch

    def answer_and_note(model, prompts, calculator):
        batches.append(prompts)
        return answer_batch(model, prompts, calculator)

    monkeypatch.setattr(notebook, "answer_batch", answer_and_note)
    return batches


@pytest.fixture
def prompts(notebook, tiny, monkeypatch):  # noqa: F811
    """Four prompts; the answer to the shortest one ends with its fifth token."""
    notebook.MAX_NEW_TOKENS = 20
    questions = ["1 + 1?", "What is 2 + 3?", "Solve 2x + 5 = 15.", "Why is 9 not prime?"]
    asked = [[{"role": "user", "content": question}] for question in questions]
    rendered = [notebook.render(messages) for messages in asked]
    encoded = notebook.tokenizer(
        rendered[0],
        add_special_tokens=False,
        return_tensors="pt",
    )
    end = tiny.generate(**encoded, max_new_tokens=5, do_sample=False)[0, -1].item()
    monkeypatch.setattr(tiny.generation_config, "eos_token_id", [2, end])
    return rendered


def test_answers_are_written_in_smaller_batches(
    notebook, tiny, prompts, small_cache, asked, capsys  # noqa: F811
):  # fmt: skip
    whole = notebook.generate_answers(tiny, prompts)
    assert [answer["answer_tokens"] for answer in whole] == [5, 20, 20, 20]
    asked.clear()
    longest = max(len(notebook.tokenizer(prompt)["input_ids"]) for prompt in prompts)
    small_cache(rows=1, tokens=longest + 10)  # one is finished by then, three are not
    assert notebook.generate_answers(tiny, prompts) == whole
    assert [len(batch) for batch in asked] == [4, 2, 1, 1, 1]
    assert [batch.count(prompts[0]) for batch in asked] == [1, 0, 0, 0, 0]
    assert capsys.readouterr().out.splitlines() == [
        "Memory ran out: answers are written 2 at a time.",
        "Memory ran out: answers are written 1 at a time.",
    ]


def test_one_answer_that_is_too_much_is_an_error(notebook, tiny, prompts, small_cache):  # noqa: F811
    small_cache(rows=0, tokens=0)
    with pytest.raises(torch.OutOfMemoryError):
        notebook.generate_answers(tiny, prompts)


def test_where_nothing_is_left_to_save_the_error_is_told(lab, small_memory):  # noqa: F811
    small_memory(0)
    with pytest.raises(RuntimeError, match="MAX_LENGTH: memory does not suffice"):
        lab.run_experiment("hopeless", **EXACT)
    lab.base_model.gradient_checkpointing_disable()
