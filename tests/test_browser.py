"""The chat in a real browser: what a pupil sees and can press.

Most tests serve the page with answers from a script; the last ones use a finished run.
"""

import re
import threading
import time

import pytest
from playwright.sync_api import expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WORDS = re.compile(r"\w")
WAIT = 60_000  # milliseconds; a CPU writes slowly
PHONE = {"width": 390, "height": 800}
SCRIPT = {  # what the tutor answers, by a part of the question
    "5/6": "The sum is 9/12 + 10/12 = 19/12.\nAnswer: 19/12",
    "Explain": "Word after word. " * 300,
    "Solve": "Divide by 3.\nAnswer: x = 5",
    "area": "The radius is 5, so the area is 25 pi.",
    "apples": "7 * 8 = 54.\nAnswer: 54 apples",
}
LONG = "Explain why each step is right."


def write_script(
    model, tokenizer, messages, max_new_tokens, stop, as_base, temperature
):
    """Write an answer of the script word by word, as the model would."""
    question = messages[-1]["content"]
    answer = next(
        (text for part, text in SCRIPT.items() if part in question), "It is 8."
    )
    words = (f"base {answer}" if as_base else answer).split(" ")
    for end in range(1, len(words) + 1):
        if stop.is_set():
            return
        time.sleep(0.02)
        yield " ".join(words[:end])


@pytest.fixture
def url(notebook, monkeypatch):
    """The address of a page whose tutor answers by the script."""
    second = [
        "Subtract 7: 3x = 25 - 7 = 18.\nDivide by 3: x = 18 / 3 = 6.\nAnswer: x = 6"
    ]
    monkeypatch.setattr(notebook, "stream_answer", write_script)
    monkeypatch.setattr(notebook, "write_answers", lambda *_, **__: second)
    yield notebook.launch_chat(notebook.build_chat(None, None, 64, 1), False)
    notebook.gr.close_all(verbose=False)


@pytest.fixture
def browser():
    """A function that opens a page in a new tab; no tab may ask anything elsewhere."""
    outside = []

    def note(request):
        """Keep the address of a request to another machine."""
        if "://127.0.0.1:" not in request.url and request.url.startswith("http"):
            outside.append(request.url)

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=ARGUMENTS
        )

        def open_page(url, width=1100, theme="light"):
            page = chromium.new_page(viewport={"width": width, "height": 800})
            page.set_default_timeout(WAIT)
            page.on("request", note)
            page.goto(f"{url.rstrip('/')}/?__theme={theme}")
            page.questions = page.locator(".user.message")
            page.answers = page.locator(".bot.message:not(.pending)")
            page.remarks = page.answers.locator("blockquote")
            page.box = page.get_by_label("Your question")
            page.stop = page.get_by_test_id("stop-button").first
            page.button = lambda name: page.get_by_role("button", name=name).last
            return page

        yield open_page
        chromium.close()
    assert outside == []


@pytest.fixture
def open_page(browser, url):
    """A function that opens the page with the script."""
    return lambda *more: browser(url, *more)


def send(page, question):
    """Type a question and send it; return its answer's place on the page."""
    answer = page.answers.nth(page.answers.count())
    page.box.fill(question)
    page.box.press("Enter")
    return answer


def ask(page, question):
    """Ask, and wait until words of the answer appear; return its place on the page."""
    answer = send(page, question)
    expect(answer).to_have_text(WORDS, timeout=WAIT)
    expect(answer).not_to_contain_text("broke off")
    return answer


def finish(page):
    """Wait until the answer is complete."""
    expect(page.button("Ask")).to_be_visible(timeout=3 * WAIT)
    expect(page.stop).to_have_count(0)
    expect(page.answers.last).not_to_contain_text("broke off")


def practise(page):
    """Open the tab for practice, and wait for its problem."""
    page.get_by_role("tab", name="Practise").click()
    expect(page.locator("#problem")).to_have_text(WORDS, timeout=WAIT)


def choose(page, number):
    """Choose a topic by mouse."""
    page.get_by_label("Topic").click()
    page.get_by_role("option").nth(number).click()


def check(page, working):
    """Write a working and have it checked; return what is said."""
    page.get_by_label("Your working").fill(working)
    page.button("Check").click()
    return page.locator("#judgement")


def test_what_is_posed_is_what_is_judged(open_page, notebook, monkeypatch):
    """Choosing a topic by mouse poses twice at the same moment."""

    def numbered(rng):
        """A problem that shows which one it is."""
        number = str(rng.randrange(10**9))
        return f"Problem {number}", f"Answer: {number}", number

    monkeypatch.setattr(notebook, "TOPICS", dict.fromkeys(notebook.TOPICS, numbered))
    page = open_page()
    practise(page)
    for turn in range(80):
        choose(page, 1 + turn % 2)
        page.wait_for_timeout(100)
        page.button("Show the solution").click()
        expect(page.locator("#solution")).to_contain_text("Answer:")
        posed, solved = (
            re.search(r"\d+", page.locator(f"#{part}").inner_text())[0]
            for part in ("problem", "solution")
        )
        assert posed == solved


def test_a_full_line_keeps_the_question_and_works_again(
    open_page, notebook, monkeypatch
):
    monkeypatch.setattr(notebook, "LONGEST_LINE", 1)
    first, second = open_page(), open_page()
    ask(first, LONG)
    send(second, "What is 3/4 + 5/6?")
    expect(second.get_by_text("The line is full")).to_be_visible()
    expect(second.box).to_have_value("What is 3/4 + 5/6?")
    expect(second.questions).to_have_count(0)
    practise(second)
    expect(check(second, "987654")).to_contain_text("✗")
    first.stop.click()
    finish(first)
    second.get_by_role("tab", name="Ask").click()
    second.box.press("Enter")
    expect(second.answers.last).to_contain_text("19/12")
    expect(second.questions).to_have_count(1)
    expect(second.box).to_have_value("")


def test_whoever_waits_sees_it_and_a_closed_tab_frees_the_model(open_page):
    first, second = open_page(), open_page()
    ask(first, LONG)
    answer = send(second, "What is 3/4 + 5/6?")
    expect(answer).to_contain_text("Questions before yours: 1", timeout=WAIT)
    first.close()
    expect(answer).to_contain_text("19/12", timeout=20_000)


def test_a_wrong_answer_is_folded_and_a_second_one_follows(open_page):
    page = open_page()
    answer = ask(page, "Solve 3x + 7 = 25.")
    expect(page.remarks.last).to_contain_text("This is a second one")
    expect(page.remarks.last).to_have_attribute("data-verdict", "right")
    expect(answer).to_contain_text("18 / 3 = 6")
    expect(page.get_by_text("Answer: x = 5")).to_have_count(0)
    page.get_by_text("My first attempt", exact=True).click()
    expect(page.get_by_text("Answer: x = 5")).to_be_visible()


def test_a_way_by_rule_or_the_result_alone_replaces_a_wrong_answer(
    open_page, notebook, monkeypatch
):
    monkeypatch.setattr(notebook, "worked_by_rule", lambda question: "By a rule: x = 2")
    page = open_page()
    expect(ask(page, "Solve x + 5 = 7.")).to_contain_text("By a rule", timeout=WAIT)
    finish(page)
    monkeypatch.setattr(notebook, "worked_by_rule", lambda question: None)
    ask(page, "Solve x + 5 = 8.")
    expect(page.remarks.last).to_contain_text("found no way", timeout=WAIT)
    expect(page.answers.last.locator(".katex-html")).to_have_text(re.compile("x.*3"))


def test_a_verdict_is_first_and_a_false_step_is_named(open_page):
    page = open_page()
    for question, verdict in {
        "What is 3/4 + 5/6?": "right",
        "How many apples?": "open",
    }.items():
        answer = ask(page, question)
        finish(page)
        remark = answer.locator("blockquote").first
        expect(remark).to_have_attribute("data-verdict", verdict)
        assert answer.inner_text().strip().removeprefix("Tutor").strip()[0] in "✓○"
    expect(page.remarks.last).to_contain_text("Look again at 7 * 8 = 54")


def test_focus_stays_what_is_typed_is_kept_and_escape_stops(open_page):
    page = open_page()
    answer = ask(page, LONG)
    page.keyboard.type("and 2 + 2?")
    page.keyboard.press("Escape")
    expect(answer).to_contain_text("Stopped.")
    finish(page)
    stopped = answer.inner_text()
    page.wait_for_timeout(500)
    assert answer.inner_text() == stopped
    expect(page.box).to_be_focused()
    expect(page.box).to_have_value("and 2 + 2?")
    assert page.box.get_attribute("placeholder")
    page.button("Retry").click()
    expect(page.stop).to_be_visible()
    page.stop.click()
    finish(page)
    expect(page.answers).to_have_count(1)


def test_undo_gives_back_what_was_typed_and_clear_stops(open_page):
    page = open_page()
    ask(page, "What is 3/4 + 5/6?")
    finish(page)
    typed = "Is $x^3$ even, and a<b </s>?"
    ask(page, typed)
    finish(page)
    expect(page.questions).to_have_count(2)
    page.button("Undo").click()
    expect(page.questions).to_have_count(1)
    expect(page.box).to_have_value(typed)
    for moment in (0, 700):  # milliseconds: the answer may not have begun yet
        send(page, LONG)
        expect(page.questions.last).to_contain_text("Explain")
        page.wait_for_timeout(moment)
        page.button("Clear").click()
        finish_clear = page.locator(".message")
        expect(finish_clear).to_have_count(0)
        page.wait_for_timeout(1_000)
        expect(finish_clear).to_have_count(0)
    ask(page, "What is 3/4 + 5/6?")
    expect(page.questions).to_have_count(1)


def test_the_browser_keeps_the_conversation_until_it_is_told_to_forget(open_page):
    page = open_page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "What is 3/4 + 5/6?")
    finish(page)
    ask(page, "Draw a circle of radius 5 cm and find its area.")
    finish(page)
    page.button("Copy the conversation").click()
    page.wait_for_timeout(500)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert (
        copied.startswith("What is 3/4 + 5/6?\n\n> ✓ **Right**") and "25 pi" in copied
    )
    page.reload()
    expect(page.questions).to_have_count(2)
    expect(page.answers.last.locator("img")).to_be_visible()
    ask(page, "and with 7 apples?")
    finish(page)
    page.button("Clear").click()
    expect(page.questions).to_have_count(0)
    page.reload()
    expect(page.get_by_text("What do you want to work out?")).to_be_visible()
    expect(page.questions).to_have_count(0)


def test_a_screen_reader_hears_who_speaks_and_what_is_drawn_and_judged(open_page):
    page = open_page()
    expect(page.get_by_role("textbox", name="Your question")).to_be_visible()
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()
    send(page, "Plot y = x^2 - 4x + 3")
    picture = page.get_by_role("log").get_by_role("img", name="The drawing")
    expect(picture).to_be_visible(timeout=WAIT)
    finish(page)
    for who, messages in {"You": page.questions, "Tutor": page.answers}.items():
        style = "part => getComputedStyle(part, '::before').content"
        assert who in messages.first.evaluate(style)
    ask(page, LONG)
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    practise(page)
    for part in ("problem", "judgement", "solution"):
        expect(page.locator(f"#{part}")).to_have_attribute("aria-live", "polite")


def test_keys_write_where_the_cursor_was(open_page):
    page = open_page()
    page.box.fill("2")
    page.get_by_role("button", name="π", exact=True).click()
    expect(page.box).to_have_value("2π")
    expect(page.box).to_be_focused()
    practise(page)
    working = page.get_by_label("Your working")
    working.fill("3")
    page.get_by_role("button", name="²", exact=True).last.click()
    expect(working).to_have_value("3²")


def test_practice_poses_hints_judges_counts_and_asks_the_tutor(open_page, notebook):
    page = open_page()
    practise(page)
    problem, solution, score = (
        page.locator(f"#{part}") for part in ("problem", "solution", "score")
    )
    choose(page, notebook.COMPUTABLE.index("fractions"))
    expect(problem).to_contain_text(re.compile(r"\d/\d|frac"), timeout=WAIT)
    expect(check(page, "987654")).to_contain_text("Not right yet")
    expect(score).to_have_text("fractions: 0 of 1 problems right")
    page.button("Hint").click()
    expect(solution).to_have_text(WORDS)
    assert "Answer:" not in solution.inner_text()
    page.button("Show the solution").click()
    expect(solution).to_contain_text("Answer:", timeout=WAIT)
    judgement = check(page, solution.inner_text().rpartition("Answer:")[2].strip())
    expect(judgement).to_have_attribute("data-verdict", "right")
    expect(score).to_have_text("fractions: 1 of 1 problems right")
    expect(check(page, "2 * 4 = 9.\n3")).to_contain_text("Look again at 2 * 4 = 9")
    before = problem.inner_text()
    page.button("New problem").click()
    expect(problem).not_to_have_text(before, timeout=WAIT)
    expect(solution).to_have_text("")
    expect(judgement).to_have_text("")
    page.button("Ask the tutor").click()
    expect(page.box).to_be_visible()
    expect(page.box).to_have_value(WORDS)


def test_formulas_are_drawn_and_markup_is_not(open_page):
    page = open_page()
    ask(
        page,
        r"Is \(x^2 < 9\) or $\frac{1}{2}$? I have $5 and $7, <b>2*3*4</b>. "
        "![a](http://192.0.2.1/a.png)`<img src=http://192.0.2.1/b.png>` "
        r"\`<img src=http://192.0.2.1/c.png>` [a](http://192.0.2.1/) "
        r"\(\rule{5000px}{5000px}\)",
    )
    drawn = page.questions.locator(".katex-html:visible").all_inner_texts()
    formulas = [sorted(re.sub(r"[\s\u200b]", "", formula)) for formula in drawn]
    assert formulas == [list("29<x"), list("12")]
    expect(page.questions).to_contain_text("I have $5 and $7, < b>2*3*4< /b>.")
    expect(page.questions.locator(".katex-error, b, img, a[href*='/)']")).to_have_count(
        0
    )


def test_a_drawing_an_explanation_or_a_drawing_with_an_answer(open_page):
    page = open_page()
    expect(send(page, "Plot y = x^2 - 4x + 3").locator("img")).to_be_visible(
        timeout=WAIT
    )
    finish(page)
    impossible = send(page, "Draw a triangle with sides 1, 2 and 9")
    expect(impossible).to_contain_text("There is no triangle", timeout=WAIT)
    finish(page)
    answer = send(page, "Draw a circle of radius 5 cm and find its area.")
    expect(answer.locator("img")).to_be_visible(timeout=WAIT)
    expect(answer).to_contain_text("25 pi", timeout=WAIT)
    expect(page.questions.last).to_be_in_viewport()


def test_distress_and_greetings_are_answered_and_long_messages_refused(open_page):
    page = open_page()
    expect(ask(page, "I feel sad and want to hurt myself")).to_contain_text("trust")
    finish(page)
    expect(ask(page, "Hello!")).to_contain_text("Practise")
    finish(page)
    expect(ask(page, "3 + " * 1000)).to_contain_text("2,000 characters")
    finish(page)
    expect(ask(page, "What is 3/4 + 5/6?")).to_contain_text("19/12", timeout=WAIT)


def test_both_models_answer(open_page):
    page = open_page()
    page.get_by_text("For teachers and developers").click()
    page.get_by_label("both").check()
    answer = ask(page, "What is 3/4 + 5/6?")
    finish(page)
    text = answer.inner_text()
    assert (
        text.index("Fine-tuned model")
        < text.index("Base model")
        < text.index("base The")
    )
    assert [remark[0] for remark in page.remarks.all_inner_texts()] == [
        "F",
        "✓",
        "B",
        "✓",
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_need_not_scroll_sideways_and_a_keyboard_is_enough(open_page, theme):
    page = open_page(PHONE["width"], theme)
    expect(page.locator("button.example")).to_have_count(6)
    page.get_by_text("Solve 3x + 7").click()
    expect(page.answers).to_contain_text("second one", timeout=WAIT)
    finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("tab", name="Ask").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.box.evaluate("box => box === document.activeElement"):
            break
    page.keyboard.type("What is 3/4 + 5/6?")
    page.keyboard.press("Enter")
    expect(page.questions).to_have_count(2)
    finish(page)
    practise(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_eight_browsers_get_their_own_answers(open_page):
    pages = [open_page() for _ in range(8)]
    for number, page in enumerate(pages):
        page.box.fill(f"What is {number + 10} apples?")
        page.box.press("Enter")
    for number, page in enumerate(pages):
        expect(page.answers).to_contain_text("54 apples", timeout=WAIT)
        expect(page.questions).to_contain_text(f"{number + 10}")
    assert not [one for one in threading.enumerate() if one.name.startswith("tutor")]


def test_a_finished_run_answers_and_its_models_differ(browser, executed_notebook):
    page = browser(executed_notebook.url)
    answers = {}
    for model in ("fine-tuned", "base"):
        page.get_by_text("For teachers and developers").click()
        page.get_by_role("radio", name=model).check()
        answer = ask(page, "Solve 2x + 5 = 17.")
        finish(page)
        answers[model] = answer.inner_text()
        page.button("Clear").click()
        expect(page.questions).to_have_count(0)
        page.get_by_text("For teachers and developers").click()
    assert answers["base"] != answers["fine-tuned"]
