"""The chat of an executed notebook in a real browser: what a pupil sees and can press."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LONG = "Explain step by step how to solve 3x + 7 = 25 and why each step is right."
WORDS = re.compile(r"\w")
WAIT = 60_000  # milliseconds; a CPU writes slowly
PHONE = {"width": 390, "height": 800}


@pytest.fixture
def open_page(executed_notebook):
    """A function that opens the chat in a new tab; no tab may ask anything of another machine."""
    outside = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)

        def open_page(width=1100, theme="light"):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.set_default_timeout(WAIT)
            page.on("request", lambda sent: None if "://127.0.0.1:" in sent.url else outside.append(sent.url))
            page.goto(f"{executed_notebook.url.rstrip('/')}/?__theme={theme}")
            page.questions, page.answers = page.locator(".user.message"), page.locator(".bot.message:not(.pending)")
            page.remarks, page.box = page.answers.locator("blockquote"), page.get_by_test_id("textbox").first
            page.stop, page.send = page.get_by_test_id("stop-button").first, page.get_by_test_id("submit-button").first
            page.button = lambda name: page.get_by_role("button", name=name).last
            return page

        yield open_page
        browser.close()
    assert [url for url in outside if url.startswith("http")] == []


def send(page, question):
    """Type a question and send it; return its answer's place on the page."""
    answer = page.answers.nth(page.answers.count())
    page.box.fill(question)
    page.box.press("Enter")
    return answer


def ask(page, question):
    """Send a question and wait until words of its answer appear; return the answer's place on the page."""
    answer = send(page, question)
    expect(answer).to_have_text(WORDS, timeout=WAIT)
    expect(answer).not_to_contain_text("broke off")
    return answer


def finish(page):
    """Wait until the answer is complete."""
    expect(page.button("Retry")).to_be_enabled(timeout=3 * WAIT)
    expect(page.answers.last).not_to_contain_text("broke off")


def test_an_answer_grows_formulas_are_drawn_and_markup_is_not(open_page):
    page = open_page()
    answer = ask(
        page,
        LONG + r" Is \(x^2 < 9\) or $\frac{1}{2}$? I have $5 and $7, <b>2*3*4</b>. ![a](http://192.0.2.1/a.png)"
        "`<img src=http://192.0.2.1/b.png>` \\`<img src=http://192.0.2.1/c.png>`",
    )
    expect(answer).not_to_have_text(answer.inner_text(), timeout=WAIT)
    drawn = page.questions.locator(".katex-html").all_inner_texts()
    assert [sorted(re.sub(r"[\s\u200b]", "", formula)) for formula in drawn] == [list("29<x"), list("12")]
    expect(page.questions).to_contain_text("I have $5 and $7, < b>2 * 3 * 4 < /b>.")
    expect(page.questions.locator(".katex-error, b, img")).to_have_count(0)


def test_a_drawing_an_explanation_and_a_line_that_says_what_was_checked(open_page):
    page = open_page()
    expect(send(page, "Plot y = x^2 - 4x + 3").locator("img")).to_be_visible(timeout=WAIT)
    finish(page)
    expect(send(page, "Draw a triangle with sides 1, 2 and 9")).to_contain_text("There is no triangle", timeout=WAIT)
    finish(page)
    ask(page, "What is 2 + 3?")
    finish(page)
    expect(page.remarks.last).to_have_text(re.compile(r"^\s*[✓✗○]"), timeout=WAIT)


def test_a_message_that_is_too_long_is_refused(open_page):
    page = open_page()
    expect(send(page, "3 + " * 1000)).to_contain_text("2,000 characters", timeout=WAIT)
    ask(page, "What is 2 + 3?")


def test_stop_ends_the_answer_and_retry_writes_it_again(open_page):
    page = open_page()
    answer = ask(page, LONG)
    page.stop.click()
    expect(page.send).to_be_visible(timeout=WAIT)
    stopped = answer.inner_text()
    page.wait_for_timeout(1_500)
    assert answer.inner_text() == stopped
    page.button("Retry").click()
    expect(page.stop).to_be_visible(timeout=WAIT)
    finish(page)
    expect(page.answers).to_have_count(1)
    expect(page.answers).to_have_text(WORDS)


def test_a_conversation_goes_on_and_undo_edit_and_clear_change_it(open_page):
    page = open_page()
    ask(page, "What is 2 + 3?")
    finish(page)
    ask(page, "And with 7 instead of 3?")
    finish(page)
    expect(page.questions).to_have_count(2)
    expect(page.answers).to_have_count(2)
    page.button("Undo").click()
    expect(page.questions).to_have_count(1)
    expect(page.box).to_have_value("And with 7 instead of 3?")
    page.button("Edit").click()
    page.questions.locator("textarea").fill("What is 5 + 6?")
    page.button("Submit").click()
    expect(page.questions).to_have_text("What is 5 + 6?")
    expect(page.answers).to_have_text(WORDS, timeout=WAIT)
    finish(page)
    page.button("Clear").click()
    expect(page.questions).to_have_count(0)


def test_clear_stops_an_answer_that_is_being_written(open_page):
    page = open_page()
    for moment in (0, 700):  # milliseconds: the answer may not have begun yet
        send(page, LONG)
        expect(page.questions).to_have_count(1)
        page.wait_for_timeout(moment)
        page.button("Clear").click()
        expect(page.box).to_be_enabled(timeout=WAIT)
        expect(page.send).to_be_visible(timeout=WAIT)
        page.wait_for_timeout(1_000)
        expect(page.questions).to_have_count(0)
        expect(page.answers).to_have_count(0)
    expect(ask(page, "What is 2 + 3?")).to_be_visible()
    expect(page.questions).to_have_count(1)


def test_whoever_waits_sees_it_and_a_closed_tab_frees_the_model(open_page):
    first, second = open_page(), open_page()
    first.get_by_text("Model and temperature").click()
    first.get_by_role("radio", name="base").check()  # the one that does not stop by itself
    ask(first, LONG)
    answer = send(second, "What is 2 + 3?")
    expect(second.get_by_text("queue: 1/1").first).to_be_visible(timeout=WAIT)
    first.close()
    expect(answer).to_have_text(WORDS, timeout=WAIT)


def test_both_models_answer_side_by_side_and_on_a_phone_one_below_the_other(open_page):
    page = open_page()
    page.get_by_text("Model and temperature").click()
    page.get_by_label("both").check()
    ask(page, "What is 3/4 + 5/6?")
    finish(page)
    assert [text.split()[0] for text in page.remarks.all_inner_texts() if "model" in text] == ["Fine-tuned", "Base"]
    parts = page.answers.get_by_test_id("bot")
    left, right = (parts.nth(number).bounding_box() for number in (0, 1))
    assert left["x"] + left["width"] <= right["x"] and left["y"] == right["y"]
    page.set_viewport_size(PHONE)
    upper, lower = (parts.nth(number).bounding_box() for number in (0, 1))
    assert upper["x"] == lower["x"] and upper["y"] + upper["height"] <= lower["y"]


def test_the_model_is_switched_inside_a_conversation(open_page):
    answers = {}
    for model in ("fine-tuned", "base"):
        page = open_page()
        ask(page, "What is 2 + 3?")
        finish(page)
        page.get_by_text("Model and temperature").click()
        page.get_by_role("radio", name=model).check()
        ask(page, "Solve 2x + 5 = 17.")
        finish(page)
        answers[model] = page.answers.all_inner_texts()
    assert answers["base"][0] == answers["fine-tuned"][0]
    assert answers["base"][1] != answers["fine-tuned"][1]


def test_practice_poses_judges_and_solves(open_page):
    page = open_page()
    page.get_by_role("tab", name="Practise").click()
    problem, judgement, solution = (page.locator(f"#{name}") for name in ("problem", "judgement", "solution"))
    expect(problem).to_have_text(WORDS, timeout=WAIT)
    page.get_by_label("Topic").click()
    page.get_by_role("option", name="fractions").click()
    expect(problem).to_contain_text(re.compile(r"\d/\d|frac"), timeout=WAIT)
    result = page.get_by_label("Your result")
    result.fill("987654")
    result.press("Enter")
    expect(judgement).to_contain_text("✗", timeout=WAIT)
    page.button("Show the solution").click()
    expect(solution).to_contain_text("Answer:", timeout=WAIT)
    result.fill(solution.inner_text().rpartition("Answer:")[2])
    result.press("Enter")
    expect(judgement).to_contain_text("✓", timeout=WAIT)
    before = problem.inner_text()
    page.button("New problem").click()
    expect(problem).not_to_have_text(before, timeout=WAIT)
    expect(solution).to_have_text("")
    expect(judgement).to_have_text("")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_need_not_scroll_sideways_and_a_keyboard_is_enough(open_page, theme):
    page = open_page(PHONE["width"], theme)
    expect(page.locator("button.example")).to_have_count(6)
    page.get_by_text("Find the derivative of").click()
    expect(page.answers).to_have_text(WORDS, timeout=WAIT)
    expect(page.questions.locator(".katex-html")).to_have_count(1)
    finish(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("tab", name="Ask").focus()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.box.evaluate("box => box === document.activeElement"):
            break
    page.keyboard.type("What is 2 + 3?")
    page.keyboard.press("Enter")
    expect(page.questions).to_have_count(2)
    finish(page)
    page.get_by_role("tab", name="Practise").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
