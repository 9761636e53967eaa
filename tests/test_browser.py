"""The chat of an executed notebook in a real browser: what a pupil sees and can press."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

SWITCHES = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
LONG = "Explain step by step how to solve 3x + 7 = 25 and why each step is right."
WAIT = 60_000  # milliseconds; a CPU writes slowly


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        arguments = [f"--{switch}" for switch in [*SWITCHES.split(), "disable-sync"]]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, executed_notebook):
    page = chromium.new_page(viewport={"width": 1100, "height": 800})
    page.outside = []  # requests that leave this machine
    page.on("request", lambda sent: re.match(r"http(?!://127\.0\.0\.1:)", sent.url) and page.outside.append(sent.url))
    page.goto(executed_notebook.url)
    page.questions, page.answers = page.locator(".user.message"), page.locator(".bot.message:not(.pending)")
    page.stop, page.send = page.get_by_test_id("stop-button"), page.get_by_test_id("submit-button")
    yield page
    assert page.outside == []
    page.close()


def ask(page, question):
    """Type a question and send it; return its answer's place on the page once words appear there."""
    answer = page.answers.nth(page.answers.count())
    page.get_by_test_id("textbox").fill(question)
    page.keyboard.press("Enter")
    expect(answer).to_have_text(re.compile(r"\w"), timeout=WAIT)
    return answer


def finished(page):
    """Wait until the answer is complete."""
    expect(page.get_by_role("button", name="Retry").last).to_be_enabled(timeout=3 * WAIT)


def test_an_answer_grows_and_formulas_are_drawn(page):
    answer = ask(page, LONG + r" Is \(x^2 < 9\) or $\frac{1}{2}$? I have $5 and $7, <b>2*3*4</b>.")
    first = answer.inner_text()
    expect(answer).not_to_have_text(first, timeout=WAIT)
    expect(page.questions.locator(".katex-html")).to_have_count(2)
    expect(page.questions).to_contain_text("I have $5 and $7, < b>2 * 3 * 4 < /b>.")
    expect(page.questions.locator(".katex-error, b")).to_have_count(0)


def test_stop_ends_the_answer_and_retry_writes_it_again(page):
    answer = ask(page, LONG)
    page.stop.click()
    expect(page.send).to_be_visible(timeout=5_000)
    stopped = answer.inner_text()
    page.wait_for_timeout(1_500)
    assert answer.inner_text() == stopped
    page.get_by_role("button", name="Retry").click()
    expect(page.stop).to_be_visible(timeout=WAIT)
    finished(page)
    expect(page.questions).to_have_count(1)
    assert len(answer.inner_text()) > len(stopped)


def test_a_conversation_goes_on_and_undo_and_clear_take_it_back(page):
    ask(page, "What is 2 + 3?")
    finished(page)
    ask(page, "And with 7 instead of 3?")
    finished(page)
    expect(page.questions).to_have_count(2)
    expect(page.answers).to_have_count(2)
    page.get_by_role("button", name="Undo").last.click()
    expect(page.questions).to_have_count(1)
    expect(page.get_by_test_id("textbox")).to_have_value("And with 7 instead of 3?")
    page.get_by_role("button", name="Clear").click()
    expect(page.questions).to_have_count(0)


def test_a_question_can_be_edited(page):
    ask(page, "What is 2 + 3?")
    finished(page)
    page.get_by_role("button", name="Edit").click()
    page.locator(".user.message textarea").fill("What is 5 + 6?")
    page.get_by_role("button", name="Submit").click()
    expect(page.questions).to_have_text("What is 5 + 6?")
    expect(page.answers).to_have_text(re.compile(r"\w"), timeout=WAIT)
    finished(page)


def test_a_closed_tab_frees_the_model_for_the_next_pupil(page, chromium, executed_notebook):
    other = chromium.new_page()
    other.goto(executed_notebook.url)
    other.get_by_test_id("textbox").fill(LONG)
    other.keyboard.press("Enter")
    expect(other.locator(".bot.message:not(.pending)")).to_have_text(re.compile(r"\w"), timeout=WAIT)
    other.close()
    ask(page, "What is 2 + 3?")


def test_examples_can_be_clicked_and_a_phone_need_not_scroll_sideways(page):
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("button.example")).to_have_count(5)
    page.get_by_text("Find the derivative of").click()
    expect(page.answers).to_have_text(re.compile(r"\w"), timeout=WAIT)
    expect(page.questions.locator(".katex-html")).to_have_count(1)
    finished(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
