"""From sources to data sets: the full preset's path over local files laid out as UltraData-Math's are."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
from conftest import SHARED_DATA

QA, TEXTBOOK, TALK = CONFIGS = [
    f"UltraData-Math-L3-{name}-Synthetic" for name in ("QA", "Textbook-Exercise", "Conversation")
]
LAYOUTS = {
    QA: "<problem>What is {a} + {b}?</problem>\n<solution>{a} + {b} = {c}, so the sum is {c}.</solution>",
    TEXTBOOK: "Sums add. The exercise: Compute {a} plus {b}. The solution: {a} + {b} = {c}. \\section{{Next}}",
    TALK: "Student: How much are {a} and {b}?\n\nTeacher: Count: {c}.\n\nS: Is it more?\n\nT: Yes: {c} > {a}.",
}
BAD_ROWS = ["", None, "No question in here.", "Problem: 2 + 2?", "<problem>2</problem>", "\x00", "x" * 200_000]


def words(messages):
    """A token count that anyone can check by hand: words and nothing else."""
    return sum(len(message["content"].split()) for message in messages)


def write_repository(folder, layouts=LAYOUTS, files=5, rows=120, bad=BAD_ROWS):
    """A folder as the Hub's repository: a README that names the configurations, parquet files of uid and content."""
    entries = []
    for number, (config, layout) in enumerate(layouts.items()):
        place = pathlib.Path("data/UltraData-Math-L3") / config.split("L3-")[1]
        (folder / place).mkdir(parents=True)
        for file in range(files):
            first = 100_000 * (file + 1) + 1000 * number
            contents = [layout.format(a=first + row, b=row, c=first + 2 * row) for row in range(rows)]
            for row, content in enumerate(bad):
                contents.insert(10 * row, content)
            table = pd.DataFrame({"uid": [f"{file}-{row}" for row in range(len(contents))], "content": contents})
            table.to_parquet(folder / place / f"part-{file:03}-of-{files:03}.parquet", row_group_size=50)
        entries += [f"- config_name: {config}", f"  data_files: {place}/*.parquet"]
    (folder / "README.md").write_text("\n".join(["---", "configs:", *entries, "---", ""]))
    return str(folder)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return write_repository(tmp_path_factory.mktemp("UltraData-Math"))


def keep(notebook, name, size, configs=CONFIGS, seed=1, max_length=512, count=words):
    return notebook.keep_pairs(notebook.open_sources(str(name), configs, seed), size, max_length, count)


def first_questions(pairs):
    return [pair["messages"][0]["content"] for pair in pairs]


def file_of(pair):
    """The number of the file that a pair comes from, which the first number of its question tells."""
    return int(re.search(r"\d{6}", pair["messages"][0]["content"])[0]) // 100_000


def test_equal_shares_of_clean_pairs(notebook, repository, capsys):
    pairs, table = keep(notebook, repository, 90)
    assert pd.Series([pair["source"] for pair in pairs]).value_counts().to_dict() == dict.fromkeys(CONFIGS, 30)
    assert table["kept"].to_dict() == dict.fromkeys(CONFIGS, 30)
    assert (table["read"] == table.drop(columns="read").sum(axis=1)).all()
    assert len(set(first_questions(pairs))) == 90
    assert all(len(pair["messages"]) == (4 if pair["source"] == TALK else 2) for pair in pairs)
    assert not any(mark in json.dumps(pairs) for mark in ("Student", "<problem>", "section", "The exercise"))
    assert "left out" not in capsys.readouterr().out


def test_rows_come_from_several_files_in_an_order_drawn_by_the_seed(notebook, repository):
    pairs, _ = keep(notebook, repository, 60)
    for config in CONFIGS:
        assert len({file_of(pair) for pair in pairs if pair["source"] == config}) >= 4
    assert keep(notebook, repository, 60)[0] == pairs
    assert keep(notebook, repository, 60, seed=2)[0] != pairs


def test_a_stream_reads_no_more_than_it_needs(notebook):
    read = [0, 0]

    def rows(source):
        for number in range(10**9):
            read[source] += 1
            yield {"question": f"What is {number} + {source}?", "answer": str(number + source)}

    pairs, table = notebook.keep_pairs({"a": rows(0), "b": rows(1)}, 501, 512, words)
    assert len(pairs) == 501
    assert read == table["read"].to_list() == [251, 250]


def test_all_rows_are_read_when_more_is_asked_for(notebook, repository, capsys):
    pairs, table = keep(notebook, repository, 10_000)
    assert table["kept"].to_dict() == dict.fromkeys(CONFIGS, 5 * 120)
    assert (table["no question and answer"] == 5 * (len(BAD_ROWS) - 1)).all() and (table["too long"] == 5).all()
    assert capsys.readouterr().out.count("600 of them kept") == 3


def test_a_bad_configuration_is_left_out_with_its_line(notebook, tmp_path, capsys):
    layouts = {**LAYOUTS, TEXTBOOK: "Here is prose about {a} and {b}, which has no question."}
    pairs, table = keep(notebook, write_repository(tmp_path, layouts), 60)
    output = capsys.readouterr().out
    assert f"{TEXTBOOK} is left out: 200 of its first 200" in output and "Here is prose about" in output
    assert table["kept"].to_dict() == {QA: 30, TEXTBOOK: 0, TALK: 30}
    assert table.loc[TEXTBOOK, "read"] == table.loc[TEXTBOOK, "no question and answer"] == 200


def test_only_bad_configurations_are_an_error_that_names_the_setting(notebook, tmp_path):
    folder = write_repository(tmp_path, dict.fromkeys(CONFIGS, "Prose about {a}."), files=1)
    with pytest.raises(ValueError, match="DATASET_NAME.*DATASET_CONFIGS"):
        keep(notebook, folder, 10)


@pytest.mark.parametrize(("name", "configs"), [("{}", ["No-Such-Part"]), ("{}/missing", [QA]), ("{}/missing.csv", [])])
def test_what_cannot_be_read_names_the_setting(notebook, repository, name, configs):
    with pytest.raises(RuntimeError, match="(?s)DATASET_NAME.*DATASET_CONFIGS.*PRESET = 'embedded'"):
        keep(notebook, name.format(repository), 10, configs)


def test_a_file_that_breaks_in_the_middle_is_reported(notebook, tmp_path):
    folder = pathlib.Path(write_repository(tmp_path, {QA: LAYOUTS[QA]}))
    for path in folder.rglob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
        path.write_bytes(content)
    with pytest.raises(RuntimeError, match="DATASET_NAME"):
        keep(notebook, folder, 10_000, [QA])


def test_python_exits_after_reading_a_part_of_the_files(repository):
    script = f"""
        import sys
        sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
        from conftest import load_notebook
        notebook = load_notebook("notebook")
        sources = notebook.open_sources({repository!r}, {CONFIGS!r}, 1)
        pairs, _ = notebook.keep_pairs(sources, 20, 512, lambda messages: 1)
        print(len(pairs), "kept")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "20 kept" in done.stdout, done.stderr


TEACHERS_ROWS = [{"Question": f"What is {n} * 7?", "Answer": f"It is {7 * n}", "topic": "tables"} for n in range(300)]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_a_teachers_own_file(notebook, tmp_path, suffix, capsys):
    path, table = tmp_path / f"problems.{suffix}", pd.DataFrame(TEACHERS_ROWS)
    {
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
        "json": lambda: table.to_json(path, orient="records"),
        "csv": lambda: table.to_csv(path, index=False, encoding="utf-8-sig"),
        "parquet": lambda: table.to_parquet(path),
    }[suffix]()
    pairs, counts = keep(notebook, path, 1000)
    assert sorted(first_questions(pairs)) == sorted(row["Question"] for row in TEACHERS_ROWS)
    assert {(pair["source"], pair["topic"]) for pair in pairs} == {(path.name, "tables")}
    assert f"{path.name} ends after 300 rows, 300 of them kept" in capsys.readouterr().out
    fifty = first_questions(keep(notebook, path, 50)[0])
    assert fifty == first_questions(pairs)[:50] and fifty != [row["Question"] for row in TEACHERS_ROWS[:50]]


def test_numbers_in_a_csv_are_text(notebook, tmp_path):
    (tmp_path / "sums.csv").write_text("question,answer\nWhat is 2 + 3?,5\nWhat is 1/2 of 1?,0.50\n")
    pairs, _ = keep(notebook, tmp_path / "sums.csv", 9)
    assert sorted(pair["messages"][1]["content"] for pair in pairs) == ["0.50", "5"]


def test_chats_in_a_parquet_file(notebook, tmp_path):
    chat = [{"role": "user", "content": "What is 2 + 3?"}, {"role": "assistant", "content": "5"}]
    pd.DataFrame({"messages": [chat]}).to_parquet(tmp_path / "chats.parquet")
    assert keep(notebook, tmp_path / "chats.parquet", 9)[0][0]["messages"] == chat


def test_a_file_in_another_encoding_names_the_setting(notebook, tmp_path):
    (tmp_path / "sums.csv").write_bytes("question,answer\nÄpfel?,fünf\n".encode("latin-1"))
    with pytest.raises(ValueError, match="DATASET_NAME(?s:.*)broken characters +1"):
        keep(notebook, tmp_path / "sums.csv", 9)


def test_gsm8k_as_a_teachers_file(notebook):
    path = SHARED_DATA / "gsm8k_train.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    pairs, table = keep(notebook, path, 2000)
    assert len(pairs) == 2000
    assert table.loc[path.name, "kept"] >= 0.98 * table.loc[path.name, "read"]


def check(notebook, question, answer, seen=(), max_length=512):
    return notebook.check_row({"question": question, "answer": answer}, set(seen), max_length, words)[1]


@pytest.mark.parametrize(
    ("question", "answer", "outcome"),
    [
        (r"Compute $\int_0^1 \alpha x^2\,dx$.", r"$\frac{\alpha}{3}$", "kept"),
        ("2 + 3 = ?", "5", "kept"),
        ("计算二加三等于多少?", "答案是五。", "not English"),
        ("¿Cuál es la suma de dos y tres?", "Sumamos los dos números y el resultado es cinco.", "not English"),
        ("Wie viel ist zwei plus drei?", "Wir addieren die beiden Zahlen und das Ergebnis ist fünf.", "not English"),
        ("What is 2 + 3?", "5</s> and more", "prompt marks inside"),
        ("What is 2 + 3?", "5\n### Response:\n6", "prompt marks inside"),
        ("### Instruction: What is 2 + 3?", "5", "prompt marks inside"),
        ("What is 2 + 3?", "<|im_end|> 5", "prompt marks inside"),
        ("Is $a < s$ and $b > s$?", "Yes: $a<s$ and $b>s$.", "kept"),
        ("What is 2 + 3?", "that is five " * 200, "too long"),
        ("what is  $2+3$", "It is 5.", "seen before"),
        ("What is 2 - 3?", "-1", "kept"),
        ("What is 2.3?", "2.3", "kept"),
    ],
)
def test_outcomes(notebook, question, answer, outcome):
    assert check(notebook, question, answer, seen={notebook.normalise_question("What is 2 + 3?")}) == outcome


def test_the_same_question_is_kept_once_whatever_its_answer(notebook):
    rows = ({"question": f"What is {n % 40} + 1?", "answer": f"{n}"} for n in range(100))
    pairs, table = notebook.keep_pairs({"x": rows}, 99, 512, words)
    assert (len(pairs), table.loc["x", "seen before"]) == (40, 60)


def test_a_source_without_anything_to_keep_is_given_up(notebook, capsys):
    rows = ({"question": "What is 2 + 3?", "answer": "5"} for _ in iter(int, 1))  # the same row for ever
    pairs, table = notebook.keep_pairs({"echo": rows}, 9, 512, words)
    assert len(pairs) == 1 and "echo ends after" in capsys.readouterr().out


@pytest.fixture(scope="module")
def sentencepiece_count(notebook, sentencepiece_folder):
    """Tokens by a real tokenizer of TinyLlama's kind, under the notebook's template."""
    tokenizer = notebook.load_tokenizer(sentencepiece_folder)
    return lambda messages: len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])


@pytest.mark.parametrize("max_length", [60, 100, 200, 512])
def test_a_dialogue_is_cut_after_its_last_whole_answer_that_fits(notebook, sentencepiece_count, max_length):
    turns = [f"{'Student' if n % 2 == 0 else 'Teacher'}: {'How can you find that? ' * (1 + n % 3)}" for n in range(40)]
    whole = notebook.parse_record({"content": "\n\n".join(turns)})
    cut, outcome = notebook.check_row({"content": "\n\n".join(turns)}, set(), max_length, sentencepiece_count)
    assert outcome == "kept" and cut == whole[: len(cut)] and len(cut) % 2 == 0
    assert sentencepiece_count(cut) <= max_length
    assert len(cut) == len(whole) or sentencepiece_count(whole[: len(cut) + 2]) > max_length


def test_a_single_answer_is_never_cut(notebook, sentencepiece_count):
    row = {"question": "What is 2 + 3?", "answer": "Count on from the first. " * 50}
    length = sentencepiece_count(notebook.parse_record(row))
    assert notebook.check_row(row, set(), length, sentencepiece_count)[1] == "kept"
    assert notebook.check_row(row, set(), length - 1, sentencepiece_count) == ([], "too long")


def test_splits_are_seeded_disjoint_and_a_tenth_each(notebook, repository):
    pairs, _ = keep(notebook, repository, 300)
    parts = notebook.split_pairs(pairs, seed=5)
    assert [len(part) for part in parts] == [240, 30, 30]
    assert {"messages", "source", "topic"} == set(parts[0].column_names)
    questions = [notebook.bare_questions(part) for part in parts]
    assert sum(map(len, questions)) == len(set.union(*questions)) == 300
    assert set(parts[1]["source"]) == set(parts[2]["source"]) == set(CONFIGS)
    again, other = notebook.split_pairs(pairs, seed=5), notebook.split_pairs(pairs, seed=6)
    for part in (1, 2):
        assert again[part]["messages"] == parts[part]["messages"] != other[part]["messages"]


def test_too_few_pairs_to_split_name_the_setting(notebook):
    with pytest.raises(ValueError, match="DATASET_SIZE"):
        notebook.split_pairs([], seed=1)


def test_own_problems_and_refusals_pass_every_check(notebook):
    for sources in ({"generated": notebook.read_rows("generated", None, 3)}, {"off-topic": notebook.make_off_topic(3)}):
        pairs, table = notebook.keep_pairs(sources, 120, 512, words)
        assert len(pairs) == 120 and all(pair["topic"] for pair in pairs)
        assert table.drop(columns=["read", "kept", "seen before"]).to_numpy().sum() == 0
    assert notebook.open_sources("generated", CONFIGS, 3).keys() == {"generated"}
