"""Networks that fail, pages that end, edges that are replaced: what becomes of a call."""

import itertools
import json
import os
import shutil
import signal
from contextlib import suppress

import pytest

from harness import firefox
from harness.backends import free_port
from harness.calls import (
    PATIENCE, Caller, Line, begin, check_call, demo, outcome, settings,
)  # fmt: skip
from harness.conditions import eventually
from harness.devtools import Browser, Tab
from harness.edge import Edge
from harness.turn import TurnServer

names = (f"net-{number}" for number in itertools.count(1))
BOTH = ["up", "down"]

# What comes is kept from now on.
RECEIVE = """
(() => {
  const { room } = window.sluiceDemo;
  const traffic = window.traffic = { sent: 0, got: [], failed: [], goes: true };
  room.addEventListener('message', ({ detail }) => traffic.got.push(detail.data.n));
})()
"""

# Numbered messages, evenly, until it is told to stop.
TRAFFIC = """
(async () => {
  const { traffic, sluiceDemo: { room } } = window;
  const answers = [];
  while (traffic.goes) {
    const n = traffic.sent++;
    // As one to the peer, or as one to all: they are numbered together.
    const [peer] = room.peers.keys();
    const sent = n % 2 ? room.send(peer, { n }) : room.broadcast({ n });
    answers.push(sent.catch((error) => traffic.failed.push(`${n}: ${error}`)));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.all(answers);
  return traffic;
})()
"""

COUNT_CANDIDATES = """
(() => {
  window.candidates = 0;
  window.sluiceDemo.room.addEventListener('signal', ({ detail: { kind, data } }) => {
    if (kind === 'candidates') window.candidates += data.filter(Boolean).length;
  });
})()
"""


@pytest.fixture(scope="module")
def edge(enter_for_module, localhost):
    return enter_for_module(Edge(settings(localhost, {"resume_window": "1s"})))


@pytest.fixture(scope="module")
def patient_edge(enter_for_module, localhost):
    """It keeps places for longer than a connection may be away here."""
    return enter_for_module(Edge(settings(localhost, {"resume_window": "60s"})))


@pytest.fixture(scope="module")
def browser(enter_for_module, chromium, localhost):
    return enter_for_module(Browser(chromium, localhost[0]))


@pytest.fixture
def call(enter, browser):
    """`call(port, port)`: Ada and Ben in a call, each by way of a port; Ben in another browser."""

    def run(*ports, other=browser):
        room = next(names)
        people = [
            Caller.open(enter, program, demo(port, room), name)
            for program, port, name in zip((browser, other), ports, ("Ada", "Ben"), strict=True)
        ]
        for each in people:
            each.join()
        check_call(*people)
        return people

    return run


def check_unbroken(callers, generations, goes=()):
    """The RTCPeerConnections are those of before, were never without a connection, and work."""
    check_call(*callers)
    for caller, before in zip(callers, generations, strict=True):
        assert caller.generations() == before, "the connection was made anew"
        assert set(caller.story["links"]) <= {"link", "connecting", "connected"}, caller.story
        assert all(reason in goes for _, reason in caller.story["left"]), caller.story


# MARK: The WebSocket is lost


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_each_message_arrives_once_over_cut_lines(enter, patient_edge, browser, call, kind):
    lines = [enter(Line(patient_edge.port)) for _ in range(2)]
    other = firefox.start(enter) if kind == "firefox" else browser
    callers = call(*(line.port for line in lines), other=other)
    generations = [caller.generations() for caller in callers]
    ids = [caller.id for caller in callers]
    for caller in callers:
        caller.tab.evaluate(RECEIVE)
    for caller in callers:
        begin(caller.tab, TRAFFIC)
    # Of whose line which way fails first: what was sent is lost, or its answer, or both.
    for cuts in ({0: ["up"]}, {1: ["down"]}, {0: ["down"], 1: ["up"]}, {0: BOTH, 1: BOTH}):
        times = [caller.story["states"].count("joined") for caller in callers]
        for number, ways in cuts.items():
            lines[number].silence(*ways)
        for caller in callers:
            sent = caller.tab.evaluate("window.traffic.sent")
            caller.tab.until(f"window.traffic.sent > {sent + 5}", "messages that are lost")
        for number in cuts:
            lines[number].cut()
        for number in cuts:
            joined = "states.filter((each) => each === 'joined').length"
            callers[number].until_story(f"{joined} > {times[number]}", "is back")
        for caller in callers:
            # Both are heard again, and go on.
            before = caller.tab.evaluate("window.traffic.got.length")
            caller.tab.until(f"window.traffic.got.length > {before + 10}", "more messages")
    for caller in callers:
        caller.tab.evaluate("window.traffic.goes = false")
    told = [outcome(caller.tab) for caller in callers]
    for (own, other), caller in zip(((0, 1), (1, 0)), callers, strict=True):
        caller.tab.until(f"window.traffic.got.length >= {told[other]['sent']}", "all messages")
        assert caller.tab.evaluate("window.traffic.got") == list(range(told[other]["sent"]))
        assert not told[own]["failed"]
        assert caller.story["states"].count("reconnecting") >= 2, caller.story
    assert [caller.id for caller in callers] == ids
    check_unbroken(callers, generations)


def test_a_silent_line_is_replaced(enter, patient_edge, call):
    """Nothing is told of its end: the page asks when the browser says that the network is back."""
    line = enter(Line(patient_edge.port))
    ada, ben = callers = call(line.port, patient_edge.port)
    generations = [caller.generations() for caller in callers]
    line.silence("up", "down")
    begin(ada.tab, f"window.sluiceDemo.room.send('{ben.id}', {{ chat: 'still there?' }})")
    ada.tab.evaluate("dispatchEvent(new Event('online'))")
    ada.until_story("states.includes('reconnecting') && states.at(-1) === 'joined'", "is back")
    assert outcome(ada.tab) == {"delivered": True}
    ben.until_story("toasts.includes('Ada: still there?')", "the message")
    check_unbroken(callers, generations)


def test_ice_is_restarted(call, edge):
    ada, ben = callers = call(edge.port, edge.port)
    generations = [caller.generations() for caller in callers]
    fragment = "window.sluiceDemo.links.list()[0].pc.{}Description.sdp.match(/a=ice-ufrag:(.*)/)[1]"
    fragments = [
        [caller.tab.evaluate(fragment.format(side)) for side in ("local", "remote")]
        for caller in callers
    ]
    for caller in callers:
        caller.tab.evaluate(COUNT_CANDIDATES)
    ada.tab.evaluate("window.sluiceDemo.links.list()[0].pc.restartIce()")
    for caller, (local, remote) in zip(callers, fragments, strict=True):
        caller.tab.until(
            f"{fragment.format('local')} !== {json.dumps(local)}"
            f" && {fragment.format('remote')} !== {json.dumps(remote)}", "new credentials",
        )  # fmt: skip
        caller.tab.until("window.candidates > 0", "candidates to be relayed")
        caller.tab.until("window.sluiceDemo.links.list()[0].state === 'connected'", "the path")
    check_unbroken(callers, generations)


# MARK: Pages end


@pytest.mark.timeout(240)
def test_a_reload_keeps_the_id(call, patient_edge):
    ada, ben = call(patient_edge.port, patient_edge.port)
    ids = ada.id, ben.id
    for caller in (ada, ben, ada):
        caller.reload()
        check_call(ada, ben)
        assert (ada.id, ben.id) == ids
    assert ["Ada", "moved"] in ben.story["left"], ben.story


def duplicate(enter, caller):
    """A copy of the tab, with what is in its storage now."""
    browser = caller.tab.browser
    before = browser.targets()
    caller.tab.evaluate("void window.open(location.href)")
    (target,) = eventually(lambda: browser.targets() - before, "another tab")
    tab = enter(Tab(browser, target))
    tab.until("document.readyState === 'complete'", "the copy")
    return Caller(tab, f"{caller.name}'s copy")


def test_a_duplicated_tab_is_another_peer(enter, call, edge):
    ada, ben = call(edge.port, edge.port)
    ada.tab.evaluate("sessionStorage.setItem('mark', 'copied')")
    identity, generations = ada.id, ada.generations()
    copy = duplicate(enter, ada)
    assert copy.tab.evaluate("sessionStorage.getItem('mark')") == "copied", "nothing was copied"
    copy.join()
    check_call(ada, ben, copy)
    assert ada.id == identity and copy.id not in (ada.id, ben.id)
    assert set(generations) < set(ada.generations()), "the call was made anew"
    for caller in (ada, ben):
        assert not caller.story["left"] and "reconnecting" not in caller.story["states"]


def test_two_that_have_one_secret_do_not_fight(enter, call, edge):
    """A tab that was duplicated in the moment of its reload: one goes on, the other is told."""
    ada, ben = call(edge.port, edge.port)
    identity = ada.id
    ada.tab.evaluate("void dispatchEvent(new Event('pagehide'))")
    copy = duplicate(enter, ada)
    assert copy.tab.evaluate("Object.keys(sessionStorage).length") == 1, "the secret was not copied"
    copy.join()

    def told():
        """Whom the page has told that the other one goes on."""
        return [each for each in (ada, copy) if "another tab" in each.text("#lobby-notice")]

    (loser,) = eventually(told, "one to give way", PATIENCE)
    winner = copy if loser is ada else ada
    winner.check_media(1)
    ben.check_media(1)
    assert winner.id == identity
    assert ben.tab.evaluate("[...window.sluiceDemo.room.peers.keys()]") == [identity]
    assert winner.story["states"].count("joined") <= 3, winner.story


@pytest.mark.parametrize("ending", ["crash", "close", "leave"])
def test_a_page_that_ends_is_missed(call, edge, ending):
    ada, ben = call(edge.port, edge.port)
    if ending == "crash":
        ada.tab.crash()
    elif ending == "close":
        ada.tab.close()
    else:
        ada.tab.evaluate("document.querySelector('#leave').click()")
        ada.tab.until("document.querySelector('#lobby').checkVisibility()", "the lobby")
        assert not ada.tab.evaluate("document.querySelector('#lobby-notice').checkVisibility()")
    words = "Ada left" if ending == "leave" else "Ada lost the connection"
    ben.until_story(f"toasts.includes('{words}')", words)
    assert ben.story["left"] == [["Ada", "closed" if ending == "leave" else "timeout"]]
    ben.until_text("#alone", "Nobody else is here yet.")
    assert ben.names() == ["Ben (you)"] and ben.text("#count") == "Only you"


# MARK: The edge is replaced


@pytest.fixture
def succeed(request):
    """`succeed(edge)`: has a new process take over, which ends with the test."""

    def end(number):
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)

    def run(edge):
        edge.process.send_signal(signal.SIGUSR2)
        number = int(edge.wait_for("ready", count=2)["pid"])
        request.addfinalizer(lambda: end(number))
        edge.is_stopped = True

    return run


@pytest.mark.timeout(240)
@pytest.mark.parametrize("window, grace", [("30s", "3s"), ("1s", "6s")])
def test_a_handover(enter, localhost, call, succeed, window, grace):
    edge = enter(Edge(settings(localhost, {"resume_window": window}, shutdown_grace=grace)))
    callers = call(edge.port, edge.port)
    ids = [caller.id for caller in callers]
    generations = [caller.generations() for caller in callers]
    alone = [caller.story["alone"] for caller in callers]
    succeed(edge)
    assert edge.process.wait(30) == 0
    for caller, other in zip(callers, reversed(ids), strict=True):
        caller.tab.until("window.sluiceDemo.room.state === 'joined'", "to be back")
        caller.tab.until(f"window.sluiceDemo.room.peers.has({json.dumps(other)})", "the other")
    assert [caller.id for caller in callers] == ids
    # Who comes first finds nobody there, and neither hangs up nor says that nobody is here.
    assert any(["Ada", "absent"] in each.story["left"] or ["Ben", "absent"] in each.story["left"]
               for each in callers)  # fmt: skip
    assert [caller.story["alone"] for caller in callers] == alone
    for caller in callers:
        assert all(reason == "absent" for _, reason in caller.story["left"]), caller.story
        assert not any("lost" in toast for toast in caller.story["toasts"]), caller.story
    check_unbroken(callers, generations, goes=("absent",))
    # Offers go by way of the new process.
    callers[0].tab.evaluate("window.sluiceDemo.links.list()[0].reset()")
    check_call(*callers)
    assert [caller.generations() for caller in callers] != generations


@pytest.mark.timeout(240)
def test_a_restart(enter, localhost, call):
    """Nothing is handed on: the pages come back, under whatever ids, and call each other again."""
    settled = settings(localhost, {"resume_window": "30s"})
    port = free_port()
    settled["listeners"][0]["address"] = f"127.0.0.1:{port}"
    edge = enter(Edge(settled))
    callers = call(port, port)
    edge.is_stopped = True
    edge.process.kill()
    for caller in callers:
        caller.until_text("#bar", "The call goes on; reconnecting")
    enter(Edge(settled))
    for caller in callers:
        caller.until_story("states.at(-1) === 'joined'", "is back")
        caller.tab.until("!document.querySelector('#bar').checkVisibility()", "the bar to go")
    check_call(*callers)
    for caller, other in (callers, reversed(callers)):
        caller.tab.until(f"window.sluiceDemo.room.peers.has({json.dumps(other.id)})", "the other")
        assert caller.text("#count") == "2 people"


# MARK: Through a relay


@pytest.mark.parametrize("kind", ["chromium", "firefox"])
def test_by_turn_alone(enter, browser, localhost, kind):
    if not shutil.which("turnserver"):
        pytest.skip("no coturn in the path: install Debian's `coturn`")
    other = firefox.start(enter) if kind == "firefox" else browser
    secret = "a-secret-of-turn-servers-that-browsers-never-see"
    turn = enter(TurnServer(secret))
    rooms = {"turn": {"urls": [f"turn:{turn.address}"], "secrets": [secret]}}
    edge = enter(Edge(settings(localhost, rooms)))
    only = "({ links }) => { links.options.configuration = { iceTransportPolicy: 'relay' }; }"
    room = next(names)
    ada = Caller.open(enter, browser, demo(edge.port, room), "Ada").join(begin=only)
    ben = Caller.open(enter, other, demo(edge.port, room), "Ben").join(begin=only)
    check_call(ada, ben)
    for caller in (ada, ben):
        ((local, remote),) = caller.tab.evaluate("window.probe.paths()")
        # A check that overtakes the candidate it comes from makes the other's one "prflx" here
        # (RFC 8445 section 7.3.1.3); what it is called at the other end does not depend on time.
        assert local == "relay" and remote in ("relay", "prflx"), (local, remote)
