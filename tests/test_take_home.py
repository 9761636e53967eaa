"""What one takes home works without the notebook, in a process of its own."""

import json
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
ASKED = "What is 3/4 + 5/6?"


def lines_of_code(folder) -> list[str]:
    """The README's lines of Python: for the merged model and for the adapter."""
    readme = (folder / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", readme, re.DOTALL)


def answer_of_a_fresh_process(zip_file, folder, question: str) -> str:
    """Unpack, run the README's first lines of code with a question of ours."""
    with zipfile.ZipFile(zip_file) as archive:
        archive.extractall(folder)
    code = lines_of_code(folder)[0]
    assert ASKED in code
    command = [sys.executable, "-c", code.replace(ASKED, question)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def taken(lab):
    """The tiny model, trained for a moment and taken home."""
    lab.COMPUTE_DTYPE = "float32"
    lab.MODEL_PATH, lab.PINNED = lab.RESULTS / "base", {"model": None}
    lab.MAX_NEW_TOKENS = 24
    test_training.run(lab, "best", **test_training.SHORT)
    return take_home(lab, "the card")


def perplexity(lab, model) -> float:
    rows = lab.encode_responses(lab.eval_dataset["messages"], lab.tokenizer)
    return lab.perplexity(*lab.corpus_nll(model.eval(), lab.tokenizer, rows))


def tutor_of(lab):
    """The base in 4 bits with the adapter on it, as in section 8."""
    adapter = test_training.adapter_folder(lab, "best")
    base = lab.detach_adapter(lab.base_model)
    return lab.PeftModel.from_pretrained(base, adapter)


def take_home(lab, card: str):
    """What the notebook's cell does; returns the archive."""
    folder = lab.RESULTS / "take_home"
    adapter = test_training.adapter_folder(lab, "best")
    base = lab.load_base_model(lab.MODEL_PATH, lab.tokenizer, lab.COMPUTE_DTYPE)
    lab.take_home(folder, base, lab.MODEL_NAME, lab.tokenizer, adapter, card, 24)
    rows = lab.encode_responses(lab.eval_dataset["messages"], lab.tokenizer)
    measured = perplexity(lab, tutor_of(lab))
    lab.check_merged(folder / "merged", lab.tokenizer, rows, measured)
    return shutil.make_archive(str(folder), "zip", folder)


@pytest.mark.parametrize("question", ["What is 2 + 3?", "Solve x + 1 = 4."])
def test_a_fresh_process_that_has_only_the_folder_answers_as_the_notebook_does(
    lab, taken, tmp_path, question
):
    there = answer_of_a_fresh_process(taken, tmp_path, question)
    folder = lab.RESULTS / "take_home" / "merged"
    merged = lab.AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()
    prompt = lab.render([{"role": "user", "content": question}], lab.tokenizer)
    (here,) = lab.generate_answers(merged, lab.tokenizer, [prompt], 24)
    assert there and there == here["answer"]


def test_the_merged_model_is_the_tutor_on_its_base_of_4_bits_and_not_the_base(
    lab, taken
):
    folder = lab.RESULTS / "take_home" / "merged"
    tutor = tutor_of(lab)
    tuned = perplexity(lab, tutor)
    merged = perplexity(lab, lab.AutoModelForCausalLM.from_pretrained(folder))
    assert merged == pytest.approx(tuned, rel=1e-3), "only the rounding to float16"
    with tutor.disable_adapter():
        assert perplexity(lab, tutor) > 1.1 * merged
    lab.detach_adapter(lab.base_model)


def test_the_lines_that_load_the_adapter_give_the_tutor_of_section_8(
    lab, taken, tmp_path, monkeypatch
):
    folder = shutil.copytree(lab.RESULTS / "take_home", tmp_path / "taken")
    lab.edit_json(
        folder / "adapter" / "adapter_config.json",
        base_model_name_or_path=str(lab.MODEL_PATH),  # here in place of the Hub
    )
    monkeypatch.chdir(folder)
    there = {}
    exec(lines_of_code(folder)[1], there)
    model = there["tutor"].model
    assert there["tutor"].tokenizer.chat_template == lab.CHAT_TEMPLATE
    for layer in model.modules():
        layer.support_avx512bf16_for_cpu = (
            False  # a layer of 176 is too odd for bitsandbytes' packed form
        )
    tuned = perplexity(lab, tutor_of(lab))
    assert perplexity(lab, model) == pytest.approx(tuned, rel=1e-3)
    lab.detach_adapter(lab.base_model)


def test_the_adapter_can_be_loaded_from_the_folder_and_names_no_place_of_this_machine(
    lab, taken
):
    folder = lab.RESULTS / "take_home" / "adapter"
    loaded = lab.PeftModel.from_pretrained(lab.base_model, folder)
    assert loaded.peft_config["default"].r == 4
    lab.detach_adapter(lab.base_model)
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == lab.MODEL_NAME
    assert (folder / "README.md").read_text() == "the card"


def go_template(template: str, messages: list[dict]) -> str:
    """A template in Go's syntax, rendered: one `range`, `if`, `else if`, `eq`, fields.

    `{{ range $i, $m := .Messages }}` sets the dot to each message and $i to its place.
    """
    head, loop = template.split("{{ range $i, $message := .Messages }}")
    pieces = re.split(r"\{\{ (.*?) \}\}", loop)
    body, depth = [], 1
    while depth:  # up to the `end` that belongs to the `range`
        text, action = pieces.pop(0), pieces.pop(0)
        depth += action.startswith("if ") - (action == "end")
        body.append((text, action))
    assert len(pieces) == 1, "nothing but text stands behind the loop"

    def holds(condition: str, place: int, message: dict) -> bool:
        if condition == "$i":
            return place != 0
        role = re.fullmatch(r'eq \.Role "(\w+)"', condition)[1]
        return message["role"] == role

    written = head
    for place, message in enumerate(messages):
        open_ifs = []  # of each `if`: whether a branch was taken, whether this one is
        for text, action in body:
            if all(taken for _, taken in open_ifs):
                written += text
            if action == ".Content":
                if all(taken for _, taken in open_ifs):
                    written += message["content"]
            elif action.startswith("if "):
                taken = holds(action[3:], place, message)
                open_ifs.append((taken, taken))
            elif action.startswith("else if "):
                before, _ = open_ifs.pop()
                taken = not before and holds(action[8:], place, message)
                open_ifs.append((before or taken, taken))
            elif open_ifs:
                assert action == "end"
                open_ifs.pop()
    return written + pieces[0]


DIALOGUE = [
    {"role": "user", "content": "What is 2 + 3?"},
    {"role": "assistant", "content": "2 + 3 = 5.\nAnswer: 5"},
    {"role": "user", "content": "And 5 + 4?"},
    {"role": "assistant", "content": "Answer: 9"},
    {"role": "user", "content": "Thanks!"},
]


@pytest.mark.parametrize("model", ["smollm2_folder", "sentencepiece_folder"])
def test_ollama_s_template_writes_what_the_notebook_s_does(notebook, request, model):
    tokenizer = notebook.load_tokenizer(request.getfixturevalue(model))
    text = notebook.modelfile(tokenizer, 144)
    template = re.search('TEMPLATE """(.*?)"""', text, re.DOTALL)[1]
    system = {"role": "system", "content": "Be brief."}
    for messages in (DIALOGUE[:1], DIALOGUE[:3], DIALOGUE, [system, *DIALOGUE]):
        ours = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        assert go_template(template, messages) == ours
    lines = text.splitlines()
    assert lines[0] == "FROM ." and f'PARAMETER stop "{tokenizer.eos_token}"' in lines
    assert {"PARAMETER temperature 0", "PARAMETER num_predict 144"} <= set(lines)


def test_the_merged_folder_is_what_ollama_reads(lab, taken):
    """Weights, tokenizer, and no second token at the beginning of a text."""
    folder = lab.RESULTS / "take_home" / "merged"
    names = {file.name for file in folder.iterdir()}
    assert {"Modelfile", "config.json", "model.safetensors"} <= names
    assert "tokenizer.model" in names, "a SentencePiece vocabulary"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["add_bos_token"] is False, "the template writes it"


def test_a_merge_that_changes_the_model_is_noticed(lab, taken, monkeypatch):
    """A fault while the merged model is written: its last layer is lost."""
    original = lab.LlamaForCausalLM.save_pretrained

    def lossy(self, *args, **kwargs):
        self.model.layers[-1].mlp.down_proj.weight.data.zero_()
        return original(self, *args, **kwargs)

    monkeypatch.setattr(lab.LlamaForCausalLM, "save_pretrained", lossy)
    with pytest.raises(AssertionError, match="merging changed the perplexity"):
        take_home(lab, "")
    lab.detach_adapter(lab.base_model)


def test_the_embedded_run_s_tutor_answers_elsewhere(executed_notebook, tmp_path):
    results = executed_notebook.results
    assert answer_of_a_fresh_process(results / "take_home.zip", tmp_path, ASKED)
    run, metrics = (
        json.loads((results / f"{name}.json").read_text())
        for name in ("run", "metrics")
    )
    card = (tmp_path / "adapter" / "README.md").read_text(encoding="utf-8")
    assert (
        run["best_experiment"] in card
        and metrics["verdict"] in card
        and run["revisions"]["model"] in card
    )
    table = pd.read_csv(results / "experiments.csv").set_index("experiment")
    rank = table.loc[run["best_experiment"], "lora_rank"]
    assert re.search(rf"\| lora_rank .*\| {rank} +\|", card)
    assert "license: apache-2.0" in card
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
def test_the_adapter_is_pushed_as_it_is_taken_home_or_the_login_is_named(
    lab, taken, tmp_path, token
):
    hub, folder = FakeHub(tmp_path), lab.RESULTS / "take_home" / "adapter"
    command = [sys.executable, "-c", PUSH, str(ROOT / "tests"), str(folder)]
    env = os.environ | {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=env)
    files = {
        f"you/math-tutor/{file.name}": file.read_bytes() for file in folder.iterdir()
    }
    if token == TOKEN:
        assert done.stdout.splitlines()[-1] == f"{hub.url}/you/math-tutor", done.stderr[
            -2000:
        ]
        assert hub.pushed == files
    else:
        assert (
            "PUSH_TO_HUB: the Hub does not know you. Run huggingface_hub.login()"
            in done.stderr
        )
        assert not hub.pushed
