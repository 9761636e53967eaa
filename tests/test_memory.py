"""Where memory runs out, the same experiment in smaller parts: same result, one line, and the row tells."""

import pytest
import torch
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


def test_where_nothing_is_left_to_save_the_error_is_told(lab, small_memory):  # noqa: F811
    small_memory(0)
    with pytest.raises(RuntimeError, match="MAX_LENGTH: memory does not suffice"):
        lab.run_experiment("hopeless", **EXACT)
    lab.base_model.gradient_checkpointing_disable()
