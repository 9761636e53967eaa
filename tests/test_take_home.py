"""What one takes home works without the notebook: a fresh process has only the folder."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pandas as pd
import pytest
import test_training
from conftest import ROOT
from fake_hub import TOKEN, FakeHub

lab = test_training.lab
FRESH = """
import json, pathlib
code, questions = json.loads(pathlib.Path("task.json").read_text())
exec(code)
print(json.dumps({question: answer(question) for question in questions}))
"""


def answers_of_a_fresh_process(zip_file, folder) -> tuple[dict, dict]:
    """Unpack, run the README's first lines of code, ask the example questions; answers then and now."""
    with zipfile.ZipFile(zip_file) as archive:
        archive.extractall(folder)
    code = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    examples = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    (folder / "task.json").write_text(json.dumps([code, list(examples)]))
    command = [sys.executable, "-c", FRESH]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return examples, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def taken(lab):
    """The tiny model, trained for a moment and taken home."""
    lab.MODEL_PATH, lab.PINNED, lab.MAX_NEW_TOKENS = lab.RESULTS / "base", {"model": None}, 24
    lab.run_experiment("best", **test_training.SHORT)
    return take_home(lab, "the card")


def perplexity(lab, model) -> float:
    nll, tokens = lab.corpus_nll(model.eval(), lab.encode_responses(lab.eval_dataset["messages"]))
    return math.exp(nll.sum() / tokens.sum())


def take_home(lab, card: str):
    adapter, rows = test_training.adapter_folder(lab, "best"), lab.encode_responses(lab.eval_dataset["messages"])
    measured = perplexity(lab, lab.PeftModel.from_pretrained(lab.detach_adapter(lab.base_model), adapter))
    return lab.take_home(adapter, ["What is 2 + 3?", "Solve x + 1 = 4."], rows, measured, card)


def test_a_fresh_process_that_has_only_the_folder_answers_the_same(lab, taken, tmp_path):
    before, now = answers_of_a_fresh_process(taken, tmp_path)
    assert before == now and all(before.values())
    assert not list((lab.RESULTS).glob("take_home.part*")), "nothing half made is left"


def test_the_merged_model_is_the_tutor_on_its_base_of_4_bits_and_not_the_base(lab, taken):
    load = lab.AutoModelForCausalLM.from_pretrained
    tutor = lab.PeftModel.from_pretrained(lab.detach_adapter(lab.base_model), test_training.adapter_folder(lab, "best"))
    tuned, merged = perplexity(lab, tutor), perplexity(lab, load(lab.RESULTS / "take_home" / "merged"))
    assert merged == pytest.approx(tuned, rel=1e-3), "nothing but the rounding to float16"
    with tutor.disable_adapter():
        assert perplexity(lab, tutor) > 1.1 * merged
    lab.detach_adapter(lab.base_model)


def test_the_lines_that_load_the_adapter_give_the_tutor_of_section_8(lab, taken, monkeypatch):
    monkeypatch.chdir(lab.RESULTS / "take_home")
    monkeypatch.setattr(lab, "MODEL_NAME", str(lab.MODEL_PATH))
    there = {}
    exec(re.search(r"```python\n(.*)print\(", lab.how_to_load("adapter"), re.DOTALL)[1], there)
    for layer in there["model"].modules():
        layer.support_avx512bf16_for_cpu = False  # a layer of 176 is too odd for bitsandbytes' packed form
    tutor = lab.PeftModel.from_pretrained(lab.detach_adapter(lab.base_model), test_training.adapter_folder(lab, "best"))
    assert perplexity(lab, there["model"]) == pytest.approx(perplexity(lab, tutor), rel=1e-3)
    assert there["answer"]("What is 2 + 3?")
    lab.detach_adapter(lab.base_model)


def test_the_adapter_can_be_loaded_from_the_folder_and_names_no_place_of_this_machine(lab, taken):
    folder = lab.RESULTS / "take_home" / "adapter"
    assert lab.PeftModel.from_pretrained(lab.base_model, folder).peft_config["default"].r == 4
    lab.detach_adapter(lab.base_model)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == lab.MODEL_NAME
    assert (folder / "README.md").read_text() == "the card"


def test_a_merge_that_changes_the_model_is_noticed(lab, taken, monkeypatch):
    """A fault while the merged model is written: its last layer is lost."""
    original = lab.LlamaForCausalLM.save_pretrained

    def lossy(self, *args, **kwargs):
        self.model.layers[-1].mlp.down_proj.weight.data.zero_()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(lab.LlamaForCausalLM, "save_pretrained", lossy)
    with pytest.raises(AssertionError, match="merging changed the perplexity"):
        take_home(lab, "")
    assert (lab.RESULTS / "take_home" / "README.md").exists(), "what was there before still is"
    shutil.rmtree(lab.RESULTS / "take_home.part")


def test_the_embedded_run_s_tutor_answers_the_example_questions_elsewhere(executed_notebook, tmp_path):
    results = executed_notebook.results
    before, now = answers_of_a_fresh_process(results / "take_home.zip", tmp_path)
    assert before == now and len(before) == 8
    run, metrics = (json.loads((results / f"{name}.json").read_text()) for name in ("run", "metrics"))
    card = (tmp_path / "adapter" / "README.md").read_text(encoding="utf-8")
    assert run["best_experiment"] in card and metrics["verdict"] in card and run["revisions"]["model"] in card
    row = pd.read_csv(results / "experiments.csv").set_index("experiment").loc[run["best_experiment"]]
    assert f"- lora_rank: `{row['lora_rank']}`" in card and "LORA_RANK" not in card and "apache-2.0" in card
    assert str(results) not in card, "no folder of this machine is told"


PUSH = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[1])
from conftest import load_notebook
del os.environ["HF_HUB_OFFLINE"]  # which the line above set
notebook = load_notebook("notebook")
print(notebook.publish(pathlib.Path(sys.argv[2]), "you/math-tutor"))
"""


@pytest.mark.parametrize("token", [TOKEN, "hf_of_nobody"])
def test_the_adapter_is_pushed_as_it_is_taken_home_or_the_login_is_named(lab, taken, tmp_path, token):
    hub, folder = FakeHub(tmp_path), lab.RESULTS / "take_home" / "adapter"
    command = [sys.executable, "-c", PUSH, str(ROOT / "tests"), str(folder)]
    env = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env)
    files = {f"you/math-tutor/{file.name}": file.read_bytes() for file in folder.iterdir()}
    if token == TOKEN:
        assert done.stdout.splitlines()[-1] == f"{hub.url}/you/math-tutor", done.stderr[-2000:]
        assert hub.pushed == files
    else:
        assert "PUSH_TO_HUB: the Hub does not know you. Run huggingface_hub.login()" in done.stderr
        assert not hub.pushed
