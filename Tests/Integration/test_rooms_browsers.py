"""Calls in real browsers: Chromium and Firefox at the demo page, with cameras that are not real."""

import itertools

import pytest

from harness import firefox
from harness.calls import Caller, check_call, demo, settings
from harness.devtools import Browser
from harness.edge import Edge

names = (f"call-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def edge(enter_for_module, localhost):
    return enter_for_module(Edge(settings(localhost, {"resume_window": "1s"})))


@pytest.fixture(scope="module")
def browser(enter_for_module, chromium, localhost):
    return enter_for_module(Browser(chromium, localhost[0]))


@pytest.fixture
def url(edge):
    """The page of a room that no other test knows."""
    return demo(edge.port, next(names))


@pytest.fixture
def caller(enter, url):
    """`caller(browser, name)`: somebody in the lobby of this test's room."""
    return lambda browser, name: Caller.open(enter, browser, url, name)


def test_two_see_and_hear_each_other(caller, browser):
    ada, ben = caller(browser, "Ada"), caller(browser, "Ben")
    ada.join()
    ben.join()
    check_call(ada, ben)
    assert ada.text("#count") == ben.text("#count") == "2 people"


@pytest.mark.timeout(240)
def test_five_see_and_hear_each_other(caller, browser):
    people = [caller(browser, name) for name in ("Ada", "Ben", "Cleo", "Dan", "Eve")]
    for each in people:
        each.press_join()
    check_call(*people)


@pytest.mark.timeout(240)
def test_firefox_and_chromium(enter, caller, browser):
    fox = firefox.start(enter)
    ada, ben = caller(fox, "Ada"), caller(browser, "Ben")
    # One offers to the other, or the other to the one, as their ids are.
    ada.join()
    ben.join()
    check_call(ada, ben)
    cleo = caller(fox, "Cleo").join()
    check_call(ada, ben, cleo)
    identity = ada.id
    ada.reload()
    check_call(ada, ben, cleo)
    assert ada.id == identity
