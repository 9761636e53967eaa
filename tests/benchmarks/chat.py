"""Eight browsers ask in turn: is everybody answered, or told to wait?

    python tests/benchmarks/chat.py
        [--seconds 120] [--adapter FOLDER | --url URL] [--json FILE]

Is nothing mixed up, and nothing leaked? Serves the page itself with the embedded model
(and a fresh adapter, where no trained one is given). Under each answer it repeats the
code words of its prompt, which shows whose history the model read. Of a page served
elsewhere (--url) histories, threads and memory cannot be seen. Then one user alone:
first words, and closed tabs.
"""

import argparse
import ctypes
import os
import pathlib
import random
import re
import sys
import threading
import time

import pandas as pd
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import common  # noqa: E402
from conftest import load_notebook  # noqa: E402
from test_browser import ARGUMENTS  # noqa: E402

BROWSERS, TURNS, ALONE, HALF_MINUTE = 8, 3, 10, 30
TOKENS = 24  # of an answer at most: the page is measured, not the model
PATIENCE = 300  # seconds; after them a question counts as never answered
ANSWER = ".bot.message:not(.pending)"
WAITS = "Questions before yours"  # the remark of who waits
# Of what is not there, \w would find "undefined".
FIRST_WORDS = f"() => /\\w/.test(document.querySelector('{ANSWER}')?.innerText ?? '')"


def serve(adapter: pathlib.Path | None) -> str:
    """The embedded model's chat; under each answer stand its prompt's code words."""
    notebook = load_notebook("notebook")
    folder = notebook.unpack_embedded_model(
        pathlib.Path.home() / ".cache" / "math_education_assistant"
    )
    notebook.tokenizer = notebook.load_tokenizer(folder)
    model = notebook.load_base_model(folder, notebook.tokenizer, "float32")
    tutor = (
        notebook.PeftModel.from_pretrained(model, adapter)
        if adapter
        else notebook.attach_adapter(model, 8, 2.0, 0.0, "all-linear")
    )
    stream_answer = notebook.stream_answer

    def with_code_words(model, tokenizer, messages: list[dict], *rest, **how):
        """The model's own answer, then all code words of its prompt."""
        for answer in stream_answer(model, tokenizer, messages, *rest, **how):
            yield answer
        yield f"{answer} {' '.join(re.findall(r'code[0-9]+x[0-9]+', str(messages)))}"

    notebook.stream_answer = with_code_words
    return notebook.launch_chat(
        notebook.build_chat(tutor.eval(), notebook.tokenizer, TOKENS), False
    )


def held() -> dict[str, int]:
    """What this process holds, the server with it and the browsers without;

    Memory that was freed does not count.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # or the C library keeps some of it for later
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    writing = [thread.name.startswith("tutor") for thread in threading.enumerate()]
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") // 10**6
    return {
        "megabytes": megabytes,
        "threads": len(writing),
        "threads that write": sum(writing),
    }


def open_page(browser: Browser, url: str) -> Page:
    """The chat in a browser profile of its own."""
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(url)
    page.box, page.turn, page.sent = page.get_by_label("Your question"), 0, None
    return page


def send(page: Page, question: str) -> None:
    """Ask, and note when."""
    page.box.fill(question)
    page.box.press("Enter")
    page.turn, page.sent, page.told = page.turn + 1, time.monotonic(), False


def soak(pages: list[Page], seconds: float) -> tuple[dict, dict, list[int]]:
    """Let all pages ask for some seconds and read until the last is answered.

    Returns counts of what was seen, times, and the memory in megabytes now and after
    every half minute.
    """
    rng, begun_at = random.Random(0), time.monotonic()
    end, megabytes = begun_at + seconds, []
    seen, times = (
        {"answered": 0, "told to wait": 0, "mixed up": 0},
        {"until answered": [], "without a sign": []},
    )
    while time.monotonic() < end or any(page.sent for page in pages):
        if time.monotonic() >= begun_at + HALF_MINUTE * len(megabytes):
            megabytes.append(held()["megabytes"])
        for number, page in enumerate(pages):
            if page.sent is None and time.monotonic() < end:
                if page.turn == TURNS:  # a new conversation
                    page.reload()
                    page.turn = 0
                task = f"{rng.randrange(99)} + {rng.randrange(99)}"
                code = f"code{number}x{rng.randrange(10**6)}"
                send(page, f"What is {task}? {code}")
            elif page.sent:
                queue, answers = page.get_by_text(WAITS).count(), page.locator(ANSWER)
                waited, begun = (
                    time.monotonic() - page.sent,
                    answers.count() == page.turn and not queue,
                )
                assert waited < PATIENCE, f"browser {number} was not answered"
                if not page.told and (queue or begun):
                    page.told = True
                    times["without a sign"].append(waited)
                    seen["told to wait"] += queue > 0
                if begun and not page.get_by_test_id("stop-button").count():
                    whose = {
                        code.split("x")[0]
                        for code in re.findall(r"code\d+x", answers.last.inner_text())
                    }
                    seen["mixed up"] += whose != {f"code{number}"}
                    seen["answered"] += 1
                    times["until answered"].append(waited)
                    page.sent = None
        time.sleep(0.05)
    return seen, times, megabytes


def ask_alone(browser: Browser, url: str) -> dict[str, list[float]]:
    """Seconds until a lone user sees first words, and until a closed tab has freed
    the model."""
    first, freed = [], []
    for number in range(ALONE):
        page = open_page(browser, url)
        send(page, f"What is {number + 3}/4 + 5/6?")
        page.wait_for_function(FIRST_WORDS, polling=20)
        first.append(time.monotonic() - page.sent)
        closed = time.monotonic()
        page.context.close()
        while held()["threads that write"]:
            time.sleep(0.01)
        freed.append(time.monotonic() - closed)
    return {"alone, until first words": first, "closed tab, until freed": freed}


def main() -> None:
    """Serve, soak, ask alone, print; all times are seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120)
    for name, kind in {
        "--url": str,
        "--adapter": pathlib.Path,
        "--json": pathlib.Path,
    }.items():
        parser.add_argument(name, type=kind)
    given = parser.parse_args()
    url = given.url or serve(given.adapter)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGUMENTS
        )
        pages = [open_page(browser, url) for _ in range(BROWSERS)]
        soak(pages, 1)  # what first answers load stays in memory
        before, (seen, times, megabytes) = held(), soak(pages, given.seconds)
        for page in pages:
            page.context.close()
        times |= ask_alone(browser, url)
    for name, seconds in times.items():
        seen |= {
            f"{name}, median": pd.Series(seconds).median(),
            f"{name}, most": max(seconds),
        }
    for name, number in held().items():
        seen |= {f"{name}, before": before[name], f"{name}, after": number}
    if given.url:  # what this process cannot see
        seen = {
            name: value
            for name, value in seen.items()
            if not name.startswith((*before, "mixed", "closed"))
        }
    print(pd.Series(seen).round(2).to_string())
    print("megabytes after every half minute:", *([] if given.url else megabytes))
    if given.json:
        rounded = {name: round(float(number), 3) for name, number in seen.items()}
        common.save(
            given.json,
            {"seen": rounded, "megabytes after every half minute": megabytes},
        )


if __name__ == "__main__":
    main()
