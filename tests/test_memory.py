"""Where memory runs out, the same work with fewer rows at once, and one line tells."""

import pytest
import torch
from test_measuring import tiny, tokenizer  # noqa: F401
from test_training import SHORT, adapter, lab, run, setup_of  # noqa: F401


def run_out(*_) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. (injected)")


@pytest.fixture
def small_memory(lab, monkeypatch):  # noqa: F811
    """A function that lets passes of more than so many rows run out of memory.

    With `later`, only passes with a gradient do, and only after so many of them.
    """
    monkeypatch.setattr(lab, "LORA_DROPOUT", 0.0)
    hooks = []

    def limit(rows: int, later: int = 0) -> None:
        seen = []

        def refuse(module, arguments):
            seen.extend([1] * arguments[0].requires_grad)
            if len(arguments[0]) > rows and len(seen) >= later:
                run_out()

        layer = lab.base_model.model.layers[1]
        hooks.append(layer.register_forward_pre_hook(refuse))

    yield limit
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(("later", "step"), [(0, None), (6, 4)])
def test_fewer_rows_at_once_give_the_same_result(
    lab, small_memory, later, step, capsys  # noqa: F811
):  # fmt: skip
    """From the start, or from the last checkpoint."""
    whole = run(lab, "undisturbed", **SHORT)
    assert whole["rows_at_once"] == 8
    small_memory(3, later)
    name = f"in_parts_{later}"
    parts = run(lab, name, **SHORT)
    shown = capsys.readouterr().out
    assert shown.count("Memory ran out: ") == 2
    assert "Memory ran out: 2 rows at once" in shown and parts["rows_at_once"] == 2
    assert ("Training goes on from step 4." in shown) == bool(step)
    for loss in ("best_validation_loss", "final_train_loss"):
        assert parts[loss] == pytest.approx(whole[loss], rel=5e-3)
    ours, theirs = adapter(lab, name), adapter(lab, "undisturbed")
    for weight in ours:
        both = ours[weight].flatten(), theirs[weight].flatten()
        assert torch.nn.functional.cosine_similarity(*both, dim=0) > 0.99, weight


def test_a_step_sees_as_many_rows_whatever_the_numbers(lab):  # noqa: F811
    for batch_size, accumulation in ((3, 4), (6, 1), (5, 2), (7, 3)):
        line = SHORT | dict(
            batch_size=batch_size, gradient_accumulation_steps=accumulation
        )
        experiment = lab.Experiment(experiment_name="a", **line)
        rows = []

        def note(setup, experiment, folder, at_once, rows=rows):
            rows.append(at_once)
            if at_once > 1:
                run_out()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab, "train_adapter", note)
            lab.train_in_memory(setup_of(lab), experiment, None)
        assert rows[0] == batch_size and rows[-1] == 1
        assert all(experiment.rows_per_step % number == 0 for number in rows)
        assert all(after <= before / 2 for before, after in zip(rows, rows[1:]))


def test_references_are_read_in_fewer_rows(lab, small_memory, capsys):  # noqa: F811
    rows = lab.encode_responses(lab.eval_dataset["messages"], lab.tokenizer)
    whole, tokens = lab.corpus_nll(lab.base_model, lab.tokenizer, rows)
    small_memory(3)
    parts, same_tokens = lab.corpus_nll(lab.base_model, lab.tokenizer, rows)
    assert parts == pytest.approx(whole, rel=2e-2)
    assert parts.sum() == pytest.approx(whole.sum(), rel=1e-3)
    assert same_tokens.tolist() == tokens.tolist()
    assert "memory ran out, 3 at a time from here on." in capsys.readouterr().out


@pytest.fixture
def small_cache(tiny):  # noqa: F811
    """A function that lets a cache of more than so many rows and tokens be too much."""
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
def prompts(notebook, tiny, tokenizer, monkeypatch):  # noqa: F811
    """Four prompts; the answer to the shortest one ends with its fifth token."""
    questions = [
        "1 + 1?",
        "What is 2 + 3?",
        "Solve 2x + 5 = 15.",
        "Why is 9 not prime?",
    ]
    asked = [[{"role": "user", "content": question}] for question in questions]
    rendered = [notebook.render(messages, tokenizer) for messages in asked]
    form = dict(add_special_tokens=False, return_tensors="pt")
    encoded = tokenizer(rendered[0], **form)
    end = tiny.generate(**encoded, max_new_tokens=5, do_sample=False)[0, -1].item()
    monkeypatch.setattr(tiny.generation_config, "eos_token_id", [2, end])
    return rendered


def test_answers_are_written_in_smaller_batches(
    notebook, tiny, tokenizer, prompts, small_cache, capsys  # noqa: F811
):  # fmt: skip
    whole = notebook.generate_answers(tiny, tokenizer, prompts, 20)
    assert [answer["answer_tokens"] for answer in whole] == [5, 20, 20, 20]
    longest = max(len(tokenizer(prompt)["input_ids"]) for prompt in prompts)
    small_cache(rows=1, tokens=longest + 10)
    assert notebook.generate_answers(tiny, tokenizer, prompts, 20) == whole
    assert capsys.readouterr().out.splitlines() == [
        "Answering: memory ran out, 2 at a time from here on.",
        "Answering: memory ran out, 1 at a time from here on.",
    ]


def test_one_answer_that_is_too_much_is_an_error(
    notebook, tiny, tokenizer, prompts, small_cache  # noqa: F811
):  # fmt: skip
    small_cache(rows=0, tokens=0)
    with pytest.raises(torch.OutOfMemoryError):
        notebook.generate_answers(tiny, tokenizer, prompts, 20)


def test_where_one_row_is_too_much_the_error_tells(lab, small_memory):  # noqa: F811
    small_memory(0)
    with pytest.raises(RuntimeError, match="MAX_LENGTH: memory does not suffice"):
        run(lab, "hopeless", **SHORT)
