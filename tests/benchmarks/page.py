"""What a pupil gets: the replies of the page to questions whose answers are known.

    python tests/benchmarks/page.py ADAPTER [--questions N] [--json FILE]

ADAPTER is a folder of an embedded run. Asks the decidable questions of the tests and
the hand-written ones of the notebook, each alone, through the page's own replies.
Prints how many first answers and how many replies are right, what replaced a wrong
answer, and how long that took. The baseline is the model's first answer. Writes all
replies to FILE, so that the second tries can be read.
"""

import argparse
import pathlib
import re
import sys
import tempfile
import threading
import time

import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from test_check import DECIDABLE  # noqa: E402


def questions_of(notebook) -> pd.DataFrame:
    """Questions with a reference: the tests' decidable ones, and those on the topic."""
    decidable = [line.split(" :: ")[:2] for line in DECIDABLE.strip().splitlines()]
    decidable = [[text.replace("⏎", "\n") for text in row] for row in decidable]
    by_hand = [
        (question, f"Answer: {answer}")
        for question, answer in notebook.ON_TOPIC_ANSWERS.items()
    ]
    rows = [("decidable", *row) for row in decidable]
    rows += [("by hand", *row) for row in by_hand]
    return pd.DataFrame(rows, columns=["set", "question", "reference"])


def source_of(notebook, text: str) -> str:
    """Where a reply comes from: the first answer, or what replaced it."""
    remarks = {
        "second try": notebook.SECOND_TRY,
        "by rule": notebook.BY_RULE,
        "result alone": notebook.NO_WAY,
    }
    return next((name for name, it in remarks.items() if it in text), "first answer")


def ask(notebook, tutor, question: str) -> dict:
    """One question, asked of the page's own reply: texts, source, seconds."""
    reply = notebook.Reply(tutor, notebook.tokenizer, question, [])
    began, first, replaced, text = time.time(), "", None, ""
    for parts in reply.write(threading.Event()):
        attempts = [part for part in parts if notebook.FIRST_ATTEMPT in part]
        text = "\n\n".join(part for part in parts if part not in attempts)
        if attempts and replaced is None:
            replaced = time.time()
            first = re.sub("(?m)^> ?", "", attempts[0].split("\n", 1)[1])
    ended = time.time()
    return {
        "first answer": first or text,
        "reply": text,
        "source": source_of(notebook, text),
        "seconds to the first answer": (replaced or ended) - began,
        "seconds to replace it": ended - replaced if replaced else None,
    }


def judge(notebook, rows: pd.DataFrame) -> pd.DataFrame:
    """Each row with the verdicts by its reference, and whether its working holds."""
    questions, references = rows["question"].tolist(), rows["reference"].tolist()
    for name in ("first answer", "reply"):
        verdicts = notebook.judge_answers(references, rows[name].tolist(), questions)
        rows[f"{name}: verdict"] = verdicts
    rows["called right"] = rows["reply"].str.contains("✓")
    rows["false step"] = [notebook.first_false_step(text) for text in rows["reply"]]
    is_right = rows["reply: verdict"] == "right"
    worked = (rows["source"] != "result alone") & rows["false step"].isna()
    rows["right with a working"] = is_right & worked
    return rows


def summary(rows: pd.DataFrame) -> dict:
    """What the table shows of one set."""
    right = {
        f"{name} right": float((rows[f"{name}: verdict"] == "right").mean())
        for name in ("first answer", "reply")
    }
    wrong = rows["called right"] & (rows["reply: verdict"] == "wrong")
    return {
        "questions": len(rows),
        **right,
        "ratio to the first answer": right["reply right"]
        / max(right["first answer right"], 1 / len(rows)),
        "right with a working": float(rows["right with a working"].mean()),
        "wrong but called right": int(wrong.sum()),
        **{f"from {name}": n for name, n in rows["source"].value_counts().items()},
        "seconds to the first answer, median": rows[
            "seconds to the first answer"
        ].median(),
        "seconds to replace it, median": rows["seconds to replace it"].median(),
    }


def main() -> None:
    """Ask all questions; print a table for each set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("adapter", type=pathlib.Path)
    parser.add_argument("--questions", type=int, help="of each set at most")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        notebook = common.open_notebook("embedded", "auto", folder)
    tokenizer, dtype = notebook.tokenizer, notebook.COMPUTE_DTYPE
    base = notebook.load_base_model(notebook.MODEL_PATH, tokenizer, dtype)
    tutor = notebook.PeftModel.from_pretrained(base, options.adapter).eval()

    rows = questions_of(notebook).groupby("set").head(options.questions or 10**6)
    told = [ask(notebook, tutor, question) for question in rows["question"]]
    rows = judge(notebook, rows.reset_index(drop=True).join(pd.DataFrame(told)))
    table = {name: summary(group) for name, group in rows.groupby("set", sort=False)}
    print(pd.DataFrame(table).round(2).to_string())
    missed = rows[(rows["reply: verdict"] != "right")]
    print("\nNot right at the end:", *missed["question"], sep="\n")
    if options.json:
        replies = rows.to_dict("records")
        common.save(options.json, {"summary": table, "replies": replies})


if __name__ == "__main__":
    main()
