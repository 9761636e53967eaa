"""From sources to data sets, over local files laid out as UltraData-Math's are."""

import json
import pathlib
import re
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
from conftest import NOTEBOOK, SHARED_DATA

QA, TEXTBOOK, TALK = CONFIGS = [
    f"UltraData-Math-L3-{name}-Synthetic"
    for name in ("QA", "Textbook-Exercise", "Conversation")
]
LAYOUTS = {
    QA: "What is {a} + {b}?\nTo find the sum, we count: {a} + {b} = {c}, so it is {c}.",
    TEXTBOOK: (
        "Sums add. The exercise: Compute {a} plus {b}. The solution: {a} + {b} = "
        "{c}.\n\\section{{Next}}"
    ),
    TALK: (
        "Student: How much are {a} and {b}?\n\nTeacher: Count: {c}.\n\n"
        "S: Is it more?\n\nT: Yes: {c} > {a}."
    ),
}
BAD_ROWS = [
    "",
    None,
    "No question in here.",
    "Problem: 2 + 2?",
    "<problem>2</problem>",
    "\x00",
    "x" * 200_000,
]


def words(messages):
    """A token count that anyone can check by hand: words and nothing else."""
    return sum(len(message["content"].split()) for message in messages)


def write_repository(folder, layouts=LAYOUTS, files=5, rows=120, bad=BAD_ROWS):
    """A folder as the Hub's repository: a README with configurations, parquet files."""
    entries = []
    for number, (config, layout) in enumerate(layouts.items()):
        place = pathlib.Path("data/UltraData-Math-L3") / config.split("L3-")[1]
        (folder / place).mkdir(parents=True)
        for file in range(files):
            first = 100_000 * (file + 1) + 1000 * number
            contents = [
                layout.format(a=first + row, b=row, c=first + 2 * row)
                for row in range(rows)
            ]
            for row, content in enumerate(bad):
                contents.insert(10 * row, content)
            table = pd.DataFrame(
                {
                    "uid": [f"{file}-{row}" for row in range(len(contents))],
                    "content": contents,
                }
            )
            table.to_parquet(
                folder / place / f"part-{file:03}-of-{files:03}.parquet",
                row_group_size=50,
            )
        entries += [f"- config_name: {config}", f"  data_files: {place}/*.parquet"]
    (folder / "README.md").write_text(
        "\n".join(["---", "configs:", *entries, "---", ""])
    )
    return str(folder)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return write_repository(tmp_path_factory.mktemp("UltraData-Math"))


def keep_rows(notebook, sources, size):
    """Pairs of at most 512 words, with no question seen before."""
    rules = dict(seen=set(), max_length=512, token_count=words)
    return notebook.keep_pairs(
        sources, size, notebook.partial(notebook.check_row, **rules)
    )


def keep(notebook, name, size, configs=CONFIGS, seed=1):
    return keep_rows(notebook, notebook.open_sources(str(name), configs, seed), size)


def first_questions(pairs):
    return [pair["messages"][0]["content"] for pair in pairs]


def file_of(pair):
    """The number of a pair's file, which the first number of its question tells."""
    return int(re.search(r"\d{6}", pair["messages"][0]["content"])[0]) // 100_000


def test_equal_shares_of_clean_pairs(notebook, repository, capsys):
    pairs, table, _ = keep(notebook, repository, 90)
    assert pd.Series(
        [pair["source"] for pair in pairs]
    ).value_counts().to_dict() == dict.fromkeys(CONFIGS, 30)
    assert table["kept"].to_dict() == dict.fromkeys(CONFIGS, 30)
    assert (table["read"] == table.drop(columns="read").sum(axis=1)).all()
    assert len(set(first_questions(pairs))) == 90
    assert all(
        len(pair["messages"]) == (4 if pair["source"] == TALK else 2) for pair in pairs
    )
    assert not any(
        mark in json.dumps(pairs) for mark in ("Student", "section", "The exercise")
    )
    assert "given up" not in capsys.readouterr().out


def test_rows_come_from_several_files_in_an_order_drawn_by_the_seed(
    notebook, repository
):
    pairs, _, _ = keep(notebook, repository, 60)
    for config in CONFIGS:
        assert len({file_of(pair) for pair in pairs if pair["source"] == config}) >= 4
    assert keep(notebook, repository, 60)[0] == pairs
    assert keep(notebook, repository, 60, seed=2)[0] != pairs


def test_a_stream_reads_no_more_than_it_needs(notebook):
    read = [0, 0]

    def rows(source):
        for number in range(10**9):
            read[source] += 1
            yield {
                "question": f"What is {number} + {source}?",
                "answer": str(number + source),
            }

    pairs, table, _ = keep_rows(notebook, {"a": rows(0), "b": rows(1)}, 501)
    assert len(pairs) == 501
    assert read == table["read"].to_list() == [251, 250]


def test_all_rows_are_read_when_more_is_asked_for(notebook, repository, capsys):
    pairs, table, _ = keep(notebook, repository, 10_000)
    assert table["kept"].to_dict() == dict.fromkeys(CONFIGS, 5 * 120)
    assert (table["no question and answer"] == 5 * len(BAD_ROWS)).all()
    assert "hold only 1800 of the 10000 pairs" in capsys.readouterr().out


def test_a_bad_configuration_is_left_out_with_its_line(notebook, tmp_path, capsys):
    layouts = {
        **LAYOUTS,
        TEXTBOOK: "Here is prose about {a} and {b}, which has no question.",
    }
    _, table, skipped = keep(notebook, write_repository(tmp_path, layouts), 60)
    given_up = f"{TEXTBOOK} is given up: 500 rows in a row gave no pair"
    assert given_up in capsys.readouterr().out
    assert list(skipped.query("source == @TEXTBOOK")["reason"]) == [
        "no question and answer"
    ]
    assert table["kept"].to_dict() == {QA: 30, TEXTBOOK: 0, TALK: 30}
    assert (
        table.loc[TEXTBOOK, "read"]
        == table.loc[TEXTBOOK, "no question and answer"]
        == 500
    )


def test_only_bad_configurations_are_an_error_that_names_the_setting(
    notebook, tmp_path
):
    folder = write_repository(
        tmp_path, dict.fromkeys(CONFIGS, "Prose about {a}."), files=1
    )
    with pytest.raises(ValueError, match="DATASET_NAME.*DATASET_CONFIGS"):
        keep(notebook, folder, 10)


def test_a_configuration_that_does_not_exist_names_the_setting(notebook, repository):
    with pytest.raises(
        RuntimeError, match="(?s)DATASET_NAME.*DATASET_CONFIGS.*PRESET = 'embedded'"
    ):
        keep(notebook, repository, 10, ["No-Such-Part"])


def test_a_file_that_breaks_in_the_middle_is_reported(notebook, tmp_path):
    folder = pathlib.Path(write_repository(tmp_path, {QA: LAYOUTS[QA]}))
    for path in folder.rglob("*.parquet"):
        content = bytearray(path.read_bytes())
        content[len(content) // 3 : len(content) // 2] = bytes(
            len(content) // 2 - len(content) // 3
        )
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
        rules = dict(seen=set(), max_length=512, token_count=lambda messages: 1)
        check = notebook.partial(notebook.check_row, **rules)
        pairs, _, _ = notebook.keep_pairs(sources, 20, check)
        print(len(pairs), "kept")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "20 kept" in done.stdout, done.stderr


TEACHERS_ROWS = [
    {"Question": f"What is {n} * 7?", "Answer": f"It is {7 * n}", "topic": "tables"}
    for n in range(300)
]


@pytest.mark.parametrize(
    ("name", "content", "because"),
    [
        ("missing.csv", None, "missing.csv cannot be read. FileNotFoundError"),
        ("damaged.parquet", b"PAR1 and nothing else", "damaged.parquet cannot be read"),
        ("empty.csv", b"", "no pair could be kept"),
        ("empty.jsonl", b"\n\n", "no pair could be kept"),
        ("header.csv", b"question,answer\n", "no pair could be kept"),
        ("stray.csv", b'question,answer\n3 + 3?,"6" is it\n', "line 2"),
        ("open.csv", b'question,answer\n3 + 3?,"6\n4 + 4?,8\n', "line 3"),
        ("columns.csv", b"title,body\na,b\nc,d\n", "no pair could be kept"),
    ],
)
def test_a_file_without_pairs_is_refused_in_words(
    notebook, tmp_path, name, content, because
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="DATASET_NAME") as refusal:
        keep(notebook, tmp_path / name, 9)
    assert because in str(refusal.value)
    if name == "columns.csv":
        assert "'title': " in str(refusal.value)


SUMS = [
    {"question": f"What is {n} + {n}?", "answer": f"It is {2 * n}."} for n in range(60)
]
JSON_LINES = "".join(json.dumps(row) + "\n" for row in SUMS)


def table_of(separator: str) -> str:
    return "".join(
        separator.join(row) + "\n"
        for row in [("question", "answer"), *(row.values() for row in SUMS)]
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.json", JSON_LINES.encode()),
        ("list.jsonl", json.dumps(SUMS).encode()),
        ("mark.jsonl", JSON_LINES.encode("utf-8-sig")),
        ("windows.jsonl", JSON_LINES.replace("\n", "\r\n").encode()),
        ("semicolon.csv", table_of(";").encode("utf-8-sig")),
        ("tab.csv", table_of("\t").encode()),
        ("quoted.csv", "".join(f'"{row["question"]}","{row["answer"]}"\r\n' for row in [
            {"question": "question", "answer": "answer"}, *SUMS]).encode()),
    ],
)  # fmt: skip
def test_files_as_people_save_them(notebook, tmp_path, name, content):
    (tmp_path / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )
    pairs, table, _ = keep(notebook, tmp_path / name, 99)
    expected = sorted((row["question"], row["answer"]) for row in SUMS)
    assert (
        sorted(tuple(m["content"] for m in pair["messages"]) for pair in pairs)
        == expected
    )
    assert table.loc[name, ["read", "kept"]].tolist() == [60, 60]


@pytest.mark.parametrize(
    ("name", "content", "bad"),
    [
        ("broken.jsonl", JSON_LINES + '{"question": "What is 9", "ans\n', 1),
        (
            "eaten.jsonl",
            JSON_LINES + '{"question": "What is $\\alpha$?", "answer": "A letter."}\n',
            1,
        ),
        ("comma.csv", table_of(",") + "Put 3, 7 and 2 in order.,It is 2 3 7\n", 1),
        ("short.csv", table_of(",") + "What is 1?\n", 1),
        ("numbers.jsonl", JSON_LINES + "17\n", 1),
    ],
)
def test_one_bad_line_costs_one_row(notebook, tmp_path, name, content, bad):
    (tmp_path / name).write_text(content)
    pairs, table, skipped = keep(notebook, tmp_path / name, 99)
    assert (
        table.loc[name, "unreadable"] == bad
        and table.loc[name, "kept"] == len(pairs) >= 60
    )
    known = {row["question"]: row["answer"] for row in SUMS}
    assert all(
        known[pair["messages"][0]["content"]] == pair["messages"][1]["content"]
        for pair in pairs
    )
    (example,) = skipped.query("reason == 'unreadable'")["first row skipped"]
    assert example[-9:].strip("[]'}: None") in " ".join(content.split())


def test_a_table_that_is_shifted_throughout_is_left_out(notebook, tmp_path):
    lines = "".join(f"Put {n}, 7 and 2 in order.,It is sorted now\n" for n in range(40))
    (tmp_path / "shifted.csv").write_text("question,answer\n" + lines)
    with pytest.raises(ValueError, match="no pair could be kept"):
        keep(notebook, tmp_path / "shifted.csv", 9)


@pytest.mark.parametrize(
    "command", ["frac{3}{7}", "beta", "times 2", "neq 3", "rho", r"text{book}"]
)
def test_latex_that_json_took_for_an_escape_is_left_out(notebook, command):
    row = json.loads(f'{{"question": "What is $3 \\{command}$?", "answer": "Five."}}')
    rules = dict(seen=set(), max_length=512, token_count=words)
    assert notebook.check_row(row, **rules) == ([], "broken characters")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\v", "\f", "\x85"])
def test_words_around_an_unusual_line_break_are_not_glued(notebook, mark):
    (question, _) = notebook.parse_record(
        {
            "question": f"A train leaves at 5.{mark}How long does it run?",
            "answer": "5 h",
        }
    )
    assert question["content"] == "A train leaves at 5.\nHow long does it run?"


def test_a_folder_of_files_and_a_home_folders_name(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.csv").write_text(table_of(","))
    (tmp_path / "mine" / "test.csv").write_text(
        "question,answer\nWhat is held back?,This.\n"
    )
    for name in ("~/mine", "~/mine/train.csv"):
        pairs, table, _ = keep(notebook, name, 99, configs=[])
        assert len(pairs) == 60 and "What is held back?" not in first_questions(pairs)
    wanted = {"DATASET_NAME": "~/mine", "DATASET_REVISION": ""}
    assert notebook.look_up("dataset", wanted) == "local"


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_a_teachers_own_file(notebook, tmp_path, suffix, capsys):
    path, table = tmp_path / f"problems.{suffix}", pd.DataFrame(TEACHERS_ROWS)
    {
        "jsonl": lambda: table.to_json(path, orient="records", lines=True),
        "json": lambda: table.to_json(path, orient="records"),
        "csv": lambda: table.to_csv(path, index=False, encoding="utf-8-sig"),
        "parquet": lambda: table.to_parquet(path),
    }[suffix]()
    pairs, counts, _ = keep(notebook, path, 1000)
    assert sorted(first_questions(pairs)) == sorted(
        row["Question"] for row in TEACHERS_ROWS
    )
    assert {(pair["source"], pair["topic"]) for pair in pairs} == {
        (path.name, "tables")
    }
    assert "hold only 300 of the 1000 pairs" in capsys.readouterr().out
    fifty = first_questions(keep(notebook, path, 50)[0])
    assert fifty == first_questions(pairs)[:50] and fifty != [
        row["Question"] for row in TEACHERS_ROWS[:50]
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_numbers_are_written_as_one_writes_them(notebook, tmp_path, suffix):
    path = tmp_path / f"numbers.{suffix}"
    table = pd.DataFrame(
        {"question": ["Twice 1356.5?", "Half of 5?"], "answer": [2713.0, 2.5]}
    )
    table.to_parquet(path) if suffix == "parquet" else table.to_json(
        path, orient="records", lines=True
    )
    assert sorted(
        pair["messages"][1]["content"] for pair in keep(notebook, path, 9)[0]
    ) == ["2.5", "2713"]


def test_numbers_in_a_csv_are_text(notebook, tmp_path):
    (tmp_path / "sums.csv").write_text(
        "question,answer\nWhat is 2 + 3?,5\nWhat is 1/2 of 1?,0.50\n"
    )
    pairs, _, _ = keep(notebook, tmp_path / "sums.csv", 9)
    assert sorted(pair["messages"][1]["content"] for pair in pairs) == ["0.50", "5"]


def test_chats_in_a_parquet_file(notebook, tmp_path):
    chat = [
        {"role": "user", "content": "What is 2 + 3?"},
        {"role": "assistant", "content": "5"},
    ]
    pd.DataFrame({"messages": [chat]}).to_parquet(tmp_path / "chats.parquet")
    assert keep(notebook, tmp_path / "chats.parquet", 9)[0][0]["messages"] == chat


def test_a_file_in_another_encoding_names_the_setting(notebook, tmp_path):
    (tmp_path / "sums.csv").write_bytes(
        "question,answer\nÄpfel?,fünf\n".encode("latin-1")
    )
    with pytest.raises(ValueError, match="DATASET_NAME(?s:.*)broken characters +1"):
        keep(notebook, tmp_path / "sums.csv", 9)


def test_gsm8k_as_a_teachers_file(notebook):
    path = SHARED_DATA / "gsm8k_train.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    pairs, table, _ = keep(notebook, path, 2000)
    assert len(pairs) == 2000
    assert table.loc[path.name, "kept"] >= 0.98 * table.loc[path.name, "read"]


def check(notebook, question, answer, seen=(), max_length=512):
    return notebook.check_row(
        {"question": question, "answer": answer}, set(seen), max_length, words
    )[1]


@pytest.mark.parametrize(
    ("question", "answer", "outcome"),
    [
        (r"Compute $\int_0^1 \alpha x^2\,dx$.", r"$\frac{\alpha}{3}$", "kept"),
        ("2 + 3 = ?", "5", "kept"),
        ("计算二加三等于多少?", "答案是五。", "not English"),
        (
            "¿Cuál es la suma de dos y tres?",
            "Sumamos los dos números y el resultado es cinco.",
            "not English",
        ),
        (
            "Wie viel ist zwei plus drei?",
            "Wir addieren die beiden Zahlen und das Ergebnis ist fünf.",
            "not English",
        ),
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
    assert (
        check(
            notebook,
            question,
            answer,
            seen={notebook.normalise_question("What is 2 + 3?")},
        )
        == outcome
    )


GERMAN = """Wie viel ist 3 + 4?|Es ist 7.
Berechne 12 - 5.|7
Was ist 5 mal 6?|Das ist 30.
Wie viele Ecken hat ein Dreieck?|Drei.
Vereinfache 2x + 3x.|5x
Bestimme die Lösung von x + 2 = 5.|x = 3""".splitlines()
FOREIGN = """Ile wynosi 3 + 4?|7
Bereken 3 + 4.|7
Combien font deux et trois?|Cinq.
Calculez 3 + 4.|7
Quelle est la somme de 5 et 6?|11
Calcula 3 + 4.|Es igual a 7.
Quanto fa 2 + 3?|Fa 5, che risposta!
Quanto é 2 + 3?|É 5.
Hoeveel is het dubbele van 4?|8""".splitlines()
SHORT_ENGLISH = """Expand (a+b)²|a² + 2ab + b²
Find α + β if α = 1, β = 2|3
Solve 2x = 8.|x = 4
2 + 3 = ?|5
Simplify $3a + 2a$.|$5a$
Tom has 3 pens and buys 4. How many now?|7 pens
Find gcd(12, 18).|6
Expand (x+1)^2|x^2 + 2x + 1
Sarah bakes 24 muffins, sells 20, eats 2. Muffins left?|24 - 20 - 2 = 2 muffins remain.
Factor x^2 - 49.|(x - 7)(x + 7)
What did Poincaré prove?|Many theorems.
Differentiate sin x.|cos x""".splitlines()


@pytest.mark.parametrize("row", GERMAN + FOREIGN)
def test_short_rows_in_other_languages_are_left_out_unless_they_are_wanted(
    notebook, row
):
    question, answer = row.split("|")
    assert check(notebook, question, answer) == "not English"
    wanted = notebook.check_row(
        {"question": question, "answer": answer}, set(), 512, words, english_only=False
    )
    assert wanted[1] == "kept"


@pytest.mark.parametrize("row", SHORT_ENGLISH)
def test_short_rows_in_english_are_kept(notebook, row):
    assert check(notebook, *row.split("|")) == "kept"


def test_a_row_with_a_false_step_is_left_out(notebook):
    wrong = check(notebook, "What is it?", "He has 12 + 7 = 20 apples.")
    right = check(notebook, "What is it?", "He has 12 + 7 = 19 apples.")
    assert (wrong, right) == ("wrong arithmetic", "kept")


def test_of_each_reason_the_first_row_can_be_looked_at(notebook):
    pairs = """What is 2?|2
What is 3 + 3?|3 + 3 = 7
What is 2?|again
Was ist das?|Das ist der Hund.
What is 5?|5""".splitlines()
    rows = [dict(zip(("question", "answer"), pair.split("|"))) for pair in pairs]
    rows.append("{half")
    _, table, skipped = keep_rows(notebook, {"rows": iter_rows(rows)}, 9)
    found = dict(zip(skipped["reason"], skipped["first row skipped"]))
    assert set(found) == {
        "wrong arithmetic",
        "unreadable",
        "seen before",
        "not English",
    }
    assert "3 + 3 = 7" in found["wrong arithmetic"] and "again" in found["seen before"]
    assert table.loc["rows", list(found)].tolist() == [1, 1, 1, 1]


def iter_rows(rows):
    yield from rows


def test_the_same_question_is_kept_once_whatever_its_answer(notebook):
    rows = (
        {"question": f"What is {n % 40} + 1?", "answer": f"{n}"} for n in range(100)
    )
    pairs, table, _ = keep_rows(notebook, {"x": rows}, 99)
    assert (len(pairs), table.loc["x", "seen before"]) == (40, 60)


def test_a_source_without_anything_to_keep_is_given_up(notebook, capsys):
    rows = (
        {"question": "What is 2 + 3?", "answer": "5"} for _ in iter(int, 1)
    )  # the same row for ever
    pairs, table, _ = keep_rows(notebook, {"echo": rows}, 9)
    assert len(pairs) == 1 and "echo is given up" in capsys.readouterr().out


@pytest.fixture(scope="module")
def sentencepiece_count(notebook, sentencepiece_folder):
    """Tokens by a real tokenizer of TinyLlama's kind, under the notebook's template."""
    tokenizer = notebook.load_tokenizer(sentencepiece_folder)
    return lambda messages: len(
        tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]
    )


@pytest.mark.parametrize("max_length", [60, 100, 200, 512])
def test_a_dialogue_is_cut_after_its_last_whole_answer_that_fits(
    notebook, sentencepiece_count, max_length
):
    turns = [
        f"{('Student', 'Teacher')[n % 2]}: {'How can you find it? ' * (1 + n % 3)}"
        for n in range(40)
    ]
    whole = notebook.parse_record({"content": "\n\n".join(turns)})
    cut, outcome = notebook.check_row(
        {"content": "\n\n".join(turns)}, set(), max_length, sentencepiece_count
    )
    assert outcome == "kept" and cut == whole[: len(cut)] and len(cut) % 2 == 0
    assert sentencepiece_count(cut) <= max_length
    assert (
        len(cut) == len(whole)
        or sentencepiece_count(whole[: len(cut) + 2]) > max_length
    )


def test_a_single_answer_is_never_cut(notebook, sentencepiece_count):
    row = {"question": "What is 2 + 3?", "answer": "Count on from the first. " * 50}
    length = sentencepiece_count(notebook.parse_record(row))
    assert notebook.check_row(row, set(), length, sentencepiece_count)[1] == "kept"
    assert notebook.check_row(row, set(), length - 1, sentencepiece_count) == (
        [],
        "too long",
    )


def test_splits_are_seeded_disjoint_and_a_tenth_each(notebook, repository):
    pairs, _, _ = keep(notebook, repository, 300)
    parts = notebook.split_pairs(pairs, seed=5)
    assert [len(part) for part in parts] == [240, 30, 30]
    assert {"messages", "source", "topic"} == set(parts[0].column_names)
    questions = [notebook.bare_questions(part) for part in parts]
    assert sum(map(len, questions)) == len(set.union(*questions)) == 300
    assert set(parts[1]["source"]) == set(parts[2]["source"]) == set(CONFIGS)
    again, other = (
        notebook.split_pairs(pairs, seed=5),
        notebook.split_pairs(pairs, seed=6),
    )
    for part in (1, 2):
        assert (
            again[part]["messages"]
            == parts[part]["messages"]
            != other[part]["messages"]
        )


def test_too_few_pairs_to_split_name_the_setting(notebook):
    with pytest.raises(ValueError, match="DATASET_SIZE"):
        notebook.split_pairs([], seed=1)


def test_own_problems_and_refusals_pass_every_check(notebook):
    for sources in (
        notebook.open_sources("generated", CONFIGS, 3),
        {"off-topic": notebook.make_off_topic(3)},
    ):
        pairs, table, _ = keep_rows(notebook, sources, 120)
        assert len(pairs) == 120 and all(pair["topic"] for pair in pairs)
        assert table.drop(columns=["read", "kept", "seen before"]).to_numpy().sum() == 0


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_own_problems_are_mixed_into_another_dataset(notebook, tmp_path, share):
    """The notebook's cell itself, on a teacher's file of 40 pairs."""
    file = tmp_path / "sums.csv"
    rows = [(f"What is {n} + 1?", f"{n} + 1 = {n + 1}") for n in range(500, 540)]
    pd.DataFrame(rows, columns=["question", "answer"]).to_csv(file, index=False)
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    (source,) = ("".join(cell["source"]) for cell in cells if cell["id"] == "load-10")
    settings = dict(DATASET_NAME=str(file), DATASET_CONFIGS=[], DATASET_SIZE=100)
    settings |= dict(GENERATED_SHARE=share, OFF_TOPIC_SHARE=0.2, ENGLISH_ONLY=False)
    ready = dict(PINNED={"dataset": None}, reserved=set(), token_count=words)
    cell = vars(notebook) | settings | ready
    exec(compile(source, "load-10", "exec"), cell)
    assert (len(cell["pairs"]), len(cell["problems"])) == (40, round(40 * share))
    assert len(cell["refusals"]) == 10
    sizes = [len(cell[f"{part}_dataset"]) for part in ("train", "eval", "test")]
    assert sum(sizes) == 50 + len(cell["problems"])
