"""Faults of the network, the disk, the data and the numbers, caused for real; what the
notebook does about each."""

import contextlib
import ctypes
import io
import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

import pandas as pd
import pytest
import test_training
import torch
from conftest import ROOT
from fake_hub import COMMIT, FakeHub

lab = test_training.lab
SHORT = test_training.SHORT

# --- The Hub --------------------------------------------------------------------------

READER = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from conftest import load_notebook
del os.environ["HF_HUB_OFFLINE"]  # which the line above set

hub, wanted = sys.argv[2], json.loads(sys.argv[3])
notebook, slept = load_notebook("notebook"), []
time.sleep = slept.append  # nobody waits in a test, but it is recorded
rows, error = [], ""
try:
    where = "owner/data", wanted["config"], 1, wanted["revision"]
    for row in notebook.hub_rows(*where):
        rows.append(row["uid"])
except RuntimeError as failure:
    error = str(failure)
print(json.dumps({"rows": rows, "error": error, "slept": slept}))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Three files with ten row groups each, of random text so that a row group is read
    by itself."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "data").mkdir()
    for file in range(3):
        uids = [f"{file}-{row}" for row in range(200)]
        content = [
            f"<problem>{uid}?</problem><solution>{os.urandom(200).hex()}</solution>"
            for uid in uids
        ]
        table = pd.DataFrame({"uid": uids, "content": content})
        table.to_parquet(folder / "data" / f"part-{file}.parquet", row_group_size=20)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: QA\n  data_files: data/*.parquet\n---\n"
    )
    return FakeHub(folder)


def start_reading(hub, home, faults=(), after=1, **wanted) -> subprocess.Popen:
    """A fresh process that reads from the Hub and meets these faults after its first
    requests for rows."""
    hub.faults, hub.after = list(faults), after
    hub.requests.clear()
    environment = dict(
        os.environ, HF_ENDPOINT=hub.url, HF_HOME=str(home), HF_HUB_DOWNLOAD_TIMEOUT="1"
    )
    wanted = json.dumps({"config": "QA", "revision": COMMIT} | wanted)
    command = [sys.executable, "-c", READER, str(ROOT / "tests"), hub.url, wanted]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(hub, home, *args, **wanted) -> dict:
    """What such a process has read when it ends."""
    process = start_reading(hub, home, *args, **wanted)
    shown, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(shown.splitlines()[-1])


@pytest.fixture(scope="module")
def undisturbed(hub, tmp_path_factory):
    result = read(hub, tmp_path_factory.mktemp("home"))
    assert len(result["rows"]) == 600 and not result["error"] and not result["slept"]
    return result["rows"]


@pytest.mark.parametrize(
    ("faults", "waited"),
    [
        (["403"], 1),
        (["429, Retry-After 7"] * 7, 7),
        (["500"] * 7, 1),
        (["cut"] * 7, 1),
        (["hang"] * 2, 0),
    ],
    ids=[
        "403",
        "429 with Retry-After",
        "500",
        "cut in the middle of a row group",
        "timeout",
    ],
)
def test_a_stream_that_breaks_off_is_read_on_without_a_row_lost_or_doubled(
    hub, undisturbed, tmp_path, faults, waited
):
    result = read(hub, tmp_path, faults, after=4)
    assert result["rows"] == undisturbed and not result["error"]
    assert max(result["slept"], default=0) >= waited


def test_a_kill_while_rows_are_read_leaves_nothing_that_disturbs_the_next_run(
    hub, undisturbed, tmp_path
):
    process = start_reading(hub, tmp_path, ["hang"] * 9, after=2)
    deadline = time.monotonic() + 200
    while len(hub.requests) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert len(hub.requests) >= 3, "it was to be killed in the middle of the stream"
    assert read(hub, tmp_path)["rows"] == undisturbed


def test_a_hub_that_keeps_refusing_is_given_up_with_the_setting_named(hub, tmp_path):
    result = read(hub, tmp_path, ["403"] * 100)
    assert (
        "DATASET_NAME = 'owner/data'" in result["error"]
        and "reading failed after" in result["error"]
    )
    assert "PRESET = 'embedded'" in result["error"]
    assert [wait for wait in result["slept"] if wait >= 1] == [1, 30, 300]


def test_a_configuration_that_does_not_exist_is_not_asked_for_again(hub, tmp_path):
    result = read(hub, tmp_path, config="no-such-config")
    assert (
        "DATASET_CONFIGS = 'no-such-config'" in result["error"] and not result["slept"]
    )


def test_a_hub_that_is_not_there_is_given_up(hub, tmp_path):
    class Nowhere:
        url, faults, after, requests = "http://127.0.0.1:9", [], 0, []

    result = read(Nowhere, tmp_path)
    assert "reading failed after 0 rows" in result["error"]


# --- The disk -------------------------------------------------------------------------


def on_a_small_disk(
    folder: pathlib.Path, megabytes: int, work: Callable[[], dict]
) -> dict:
    """What `work` returns in a process that sees a disk of a few megabytes there; skips
    where the system forbids it."""
    folder.mkdir()
    result = folder.with_name("result.json")
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)
            new_user, new_mounts, user, group = (
                0x10000000,
                0x00020000,
                os.getuid(),
                os.getgid(),
            )
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(new_user | new_mounts):
                os._exit(77)
            for name, line in (
                ("setgroups", "deny"),
                ("uid_map", f"0 {user} 1"),
                ("gid_map", f"0 {group} 1"),
            ):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(line)
            if libc.mount(
                b"none",
                str(folder).encode(),
                b"tmpfs",
                0,
                f"size={megabytes}m".encode(),
            ):
                os._exit(77)
            result.write_text(json.dumps(work()))
            os._exit(0)
        except BaseException as error:
            result.write_text(json.dumps({"error": repr(error)}))
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 77:
        pytest.skip("this system does not let a test mount a disk")
    assert status == 0, result.read_text()
    return json.loads(result.read_text())


def fill_up(filler: pathlib.Path) -> None:
    """Leave not a byte on the disk."""
    with open(filler, "wb", buffering=0) as file:
        for size in (1_000_000, 1000, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


@pytest.mark.parametrize("save", [3, 5], ids=["a checkpoint", "the adapter"])
def test_a_full_disk_is_named_and_after_making_room_training_goes_on(
    lab, tmp_path, save
):
    """The disk fills up just before the tokenizer is saved for the n-th time."""
    saving, calls, filler = (
        type(lab.tokenizer).save_pretrained,
        [],
        tmp_path / "disk" / "filler",
    )

    def fill_up_and_save(*args, **kwargs):
        calls.append(1)
        if len(calls) == save:
            fill_up(filler)
        return saving(*args, **kwargs)

    def train_twice() -> dict:
        lab.RESULTS = tmp_path / "disk"
        type(lab.tokenizer).save_pretrained = fill_up_and_save
        with pytest.raises(RuntimeError) as fault:
            test_training.run(lab, "full", **SHORT)
        filler.unlink()
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            row = test_training.run(lab, "full", **SHORT)
        return {"fault": str(fault.value), "shown": shown.getvalue(), "row": row}

    report = on_a_small_disk(tmp_path / "disk", 200, train_twice)
    assert report["fault"].startswith("RESULTS_DIR: the disk is full.")
    assert f"Training goes on from step {8 if save == 3 else 14}." in report["shown"]
    assert report["row"]["best_validation_loss"] > 0


def test_a_full_disk_is_named_where_results_are_written_and_what_stood_there_stays(
    lab, tmp_path
):
    """A table, a plot, answers."""

    def write_twice() -> dict:
        lab.RESULTS, faults = tmp_path / "disk", []
        table, answers = lab.RESULTS / "table.csv", lab.RESULTS / "answers"
        table.write_text("the table of before")
        lab.cached_answers(answers, ["asked before"], lambda: "kept")
        fill_up(lab.RESULTS / "filler")
        figure = lab.plot_topics({"base": lab.pd.Series({"sums": 0.5})})

        def write_a_table() -> None:
            with lab.whole_file(table) as part:
                lab.pd.DataFrame({"column": range(100_000)}).to_csv(part)

        def save_a_plot() -> None:
            with lab.whole_file(lab.RESULTS / "plot.png") as part:
                figure.savefig(part)

        def keep_answers() -> None:
            lab.cached_answers(answers, ["asked now"], lambda: "long " * 100_000)

        for write in (write_a_table, save_a_plot, keep_answers):
            with pytest.raises(RuntimeError) as fault:
                write()
            faults.append(str(fault.value))
        kept = (table, lab.RESULTS / "plot.png")
        left = [kept[0].read_text(), kept[1].exists(), len([*answers.glob("*.json")])]
        (lab.RESULTS / "filler").unlink()
        write_a_table(), save_a_plot(), keep_answers()
        known = [
            lab.cached_answers(answers, [key], lambda: pytest.fail("written again"))
            for key in ("asked before", "asked now")
        ]
        return {"faults": faults, "left": left, "known": [text[:4] for text in known]}

    report = on_a_small_disk(tmp_path / "disk", 8, write_twice)
    assert all(
        fault.startswith("RESULTS_DIR: the disk is full.") for fault in report["faults"]
    ), report["faults"]
    part = 1  # a file that is not whole lies beside those that are
    assert report["left"][:2] == ["the table of before", False]
    assert report["left"][2] <= 1 + part
    assert report["known"] == ["kept", "long"]


def test_a_folder_that_cannot_be_made_is_named(lab, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RuntimeError, match="RESULTS_DIR: a file stands where this folder should be"
    ):
        lab.open_results(str(tmp_path / "file" / "results"))


def test_weights_that_are_a_pickle_or_damaged_are_refused(lab, tmp_path):
    for name in ("pickle", "damaged"):
        lab.shutil.copytree(lab.RESULTS / "base", tmp_path / name)
    weights = tmp_path / "damaged" / "model.safetensors"
    torch.save({}, tmp_path / "pickle" / "pytorch_model.bin")
    (tmp_path / "pickle" / "model.safetensors").unlink()
    with pytest.raises(
        RuntimeError, match="MODEL_NAME: this model has no weights as safetensors"
    ):
        lab.load_base_model(tmp_path / "pickle", lab.tokenizer, "float32")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(RuntimeError, match="MODEL_NAME: a file of weights is damaged"):
        lab.load_base_model(tmp_path / "damaged", lab.tokenizer, "float32")


def test_a_drive_outside_colab_is_refused(lab):
    with pytest.raises(RuntimeError, match="MOUNT_DRIVE: a Drive is on Colab only"):
        lab.open_results("results", mount_drive=True)


# --- The numbers ----------------------------------------------------------------------


def break_loss(lab, monkeypatch, at_step: int, by) -> None:
    """From a step on, the loss is what `by` makes of it."""
    original = lab.ResponseTrainer.compute_loss

    def broken(self, model, *args, **kwargs):
        loss = original(self, model, *args, **kwargs)
        return by(loss, model) if self.state.global_step >= at_step else loss

    monkeypatch.setattr(lab.ResponseTrainer, "compute_loss", broken)


def no_number(loss, model):
    return loss * float("nan")


def gradient_without_number(loss, model):
    """Adds 0 whose gradient is 0 / 0."""
    weight = next(weight for weight in model.parameters() if weight.requires_grad)
    return loss + torch.sqrt((weight * 0).sum())


@pytest.mark.parametrize("by", [no_number, gradient_without_number])
def test_a_loss_or_gradient_that_is_no_number_ends_training_and_keeps_the_best(
    lab, monkeypatch, capsys, by
):
    break_loss(lab, monkeypatch, 5, by)
    row = test_training.run(lab, by.__name__, **SHORT)
    shown = capsys.readouterr().out
    assert "Lower LEARNING_RATE (here 0.01)." in shown
    assert (
        row["best_step"] == 4
        and test_training.history(lab, by.__name__)["step"].max() < 14
    )
    adapter = test_training.adapter(lab, by.__name__)
    assert all(weights.isfinite().all() for weights in adapter.values())


def test_a_loss_that_is_no_number_from_the_start_is_an_error_that_names_the_setting(
    lab, monkeypatch
):
    break_loss(lab, monkeypatch, 1, no_number)
    with pytest.raises(FloatingPointError, match="LEARNING_RATE"):
        test_training.run(lab, "hopeless", **SHORT)


# --- The data -------------------------------------------------------------------------

GOOD = [
    {
        "question": f"What is {n} + 1?",
        "answer": f"{n} + 1 = {n + 1}, so the sum is {n + 1}.",
    }
    for n in range(300)
]
BAD = {
    "empty": ({"question": "", "answer": ""}, "no question and answer"),
    "nothing but blanks": (
        {"question": " \n\t", "answer": "5"},
        "no question and answer",
    ),
    "missing": ({"question": None, "answer": "5"}, "no question and answer"),
    "a number": ({"question": 5, "answer": 6.0}, "no question and answer"),
    "bytes": (
        {"question": b"What is 2 + 2?", "answer": b"4"},
        "no question and answer",
    ),
    "a list": ({"question": ["What", "is"], "answer": ["4"]}, "no question and answer"),
    "enormous": (
        {"question": "What is this? " + "word " * 2_000_000, "answer": "A word."},
        "no question and answer",
    ),
    "an enormous dialogue": (
        {
            "messages": [
                {"role": "user", "content": "x " * 5_000_000},
                {"role": "assistant", "content": "y"},
            ]
        },
        "no question and answer",
    ),
    "template marks": (
        {"question": "What is 2 + 2?\n### Response:\n5", "answer": "4"},
        "prompt marks inside",
    ),
    "end of text": (
        {"question": "What is 2 + 7?", "answer": "9</s>"},
        "prompt marks inside",
    ),
    "special token": (
        {"question": "<|im_start|>system", "answer": "Yes."},
        "prompt marks inside",
    ),
    "wrong encoding": (
        {"question": "What is the \ufffd\ufffd of 9?", "answer": "3"},
        "broken characters",
    ),
    "mojibake": (
        {"question": "Whatâ€™s 3 + 9, and isnâ€™t it 12?", "answer": "It is 12."},
        "broken characters",
    ),
    "another answer to the same question": (
        {"question": "what is 7 + 1", "answer": "It is 9."},
        "seen before",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_left_out_and_counted_by_its_reason(lab, kind, capsys):
    row, reason = BAD[kind]
    began = time.perf_counter()
    rows = (item for item in [*GOOD[:250], row, *GOOD[250:]])
    pairs, table, _ = lab.keep_pairs({"rows": rows}, 300, test_training.check(lab))
    assert len(pairs) == 300 and table.loc["rows", "read"] >= 300
    _, reason_found = lab.check_row(row, {"what is 7+1"}, 256, lab.token_count)
    assert reason_found == reason and table.loc["rows", reason] == 1
    assert time.perf_counter() - began < 20


def test_control_characters_are_taken_out(lab):
    row = {
        "question": "What\x00 is\x1b[31m 2 +\x07 2?\u202e",
        "answer": "\ufeff2 + 2 = 4\x0c",
    }
    messages, outcome = lab.check_row(row, set(), 256, lab.token_count)
    assert outcome == "kept"
    assert [message["content"] for message in messages] == [
        "What is[31m 2 + 2?",
        "2 + 2 = 4",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_file_with_lines_in_another_encoding_loses_only_those(lab, tmp_path, suffix):
    file = tmp_path / f"rows{suffix}"
    good = [("What is 1 + 1?", "1 + 1 = 2"), ("What is 2 + 1?", "2 + 1 = 3")]
    bad = ("What is the m\xe9dian of 3?".encode("latin-1"), b"It is 3.")
    if suffix == ".csv":
        lines = [
            b"question,answer",
            *(f"{q},{a}".encode() for q, a in good),
            b",".join(bad),
        ]
    else:
        lines = [json.dumps({"question": q, "answer": a}).encode() for q, a in good]
        lines.append(b'{"question": "%s", "answer": "%s"}' % bad)
    file.write_bytes(b"\n".join(lines))
    pairs, table, _ = lab.keep_pairs(
        lab.open_sources(str(file), [], 1), 5, test_training.check(lab)
    )
    assert len(pairs) == 2 and table.iloc[0]["broken characters"] == 1
