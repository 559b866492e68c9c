from __future__ import annotations

import io
import re
import subprocess
import sys
import threading

import pytest

from stancekit.prediction.progress import Progress, duration, speed


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_when_there_is_no_terminal_then_a_line_a_minute_says_rows_rate_and_time_left() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(1_000_000, "predict", clock=clock, stream=stream) as progress:
        for _ in range(150):
            clock.now += 1
            progress.update(1020)
    assert stream.getvalue().splitlines() == [
        # 938,800 rows at 1,020 a second are 920 seconds; 877,600 are 860.
        "predict: 61,200 of 1,000,000 rows, 1,020 a second, 15 min left",
        "predict: 122,400 of 1,000,000 rows, 1,020 a second, 14 min left",
    ]


def test_when_a_run_without_a_terminal_takes_less_than_a_minute_then_it_says_nothing() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(100, "predict", clock=clock, stream=stream) as progress:
        for _ in range(100):
            clock.now += 0.599
            progress.update(1)
    assert stream.getvalue() == ""


def test_when_loading_took_a_while_before_the_block_then_that_is_not_counted() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(None, "predict", clock=clock, stream=stream)
    clock.now += 300
    with progress:
        clock.now += 50
        progress.update(500)
        assert stream.getvalue() == ""
        clock.now += 10
        progress.update(100)
    assert stream.getvalue() == "predict: 600 rows, 10 a second\n"


def test_when_some_rows_were_done_before_then_they_count_as_done_but_not_for_the_speed() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(10_000, "predict", done=8_000, clock=clock, stream=stream) as progress:
        clock.now += 60
        progress.update(1_200)
    assert stream.getvalue() == "predict: 9,200 of 10,000 rows, 20 a second, 40 s left\n"


def test_when_nothing_was_done_in_a_minute_or_more_than_expected_then_no_time_is_made_up() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(10, "predict", clock=clock, stream=stream) as progress:
        clock.now += 60
        progress.update(0)
        clock.now += 60
        progress.update(24)
    assert stream.getvalue().splitlines() == [
        "predict: 0 of 10 rows, 0.0 a second",
        "predict: 24 of 10 rows, 0.2 a second, 0 s left",
    ]


def test_when_a_thread_counts_while_another_does_then_no_row_is_lost() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress(None, "predict", clock=clock, stream=stream) as progress:
        other = threading.Thread(target=lambda: progress.update(500))

        class Interrupted(int):
            """A number in whose addition another thread comes in between, unless it has to wait."""

            def __radd__(self, before: int) -> int:
                other.start()
                other.join(timeout=0.1)
                return before + int(self)

        progress.update(Interrupted(1000))
        other.join()
        clock.now += 75
        progress.update(0)
    assert stream.getvalue() == "predict: 1,500 rows, 20 a second\n"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def shown(terminal: Terminal) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())


def test_when_there_is_a_terminal_then_a_bar_says_rows_rate_and_time_left(terminal: Terminal) -> None:
    clock = Clock()
    with Progress(3_000, "predict", done=1_000, clock=clock, stream=terminal) as progress:
        progress.update(1_000)
        clock.now += 10
        progress.update(500)
    last = shown(terminal).replace("\r", "\n").strip().splitlines()[-1]
    # 1,500 rows of this run in 10 seconds.
    assert re.search(r"predict ━+\S*━* 2,500 of 3,000 rows, 150 a second, 3 s left$", last.strip()), last


def test_when_the_total_is_unknown_then_the_bar_says_rows_and_rate(terminal: Terminal) -> None:
    clock = Clock()
    with Progress(None, "predict", clock=clock, stream=terminal) as progress:
        clock.now += 2
        progress.update(2_500)
    last = shown(terminal).replace("\r", "\n").strip().splitlines()[-1]
    assert re.search(r" 2,500 rows, 1,250 a second$", last), last


def test_when_the_bar_is_drawn_then_rows_on_standard_output_do_not_go_to_the_terminal(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(2, "predict", stream=terminal) as progress:
        print('{"stance": "supports"}')
        progress.update(1)
        print('{"stance": "rules_out"}')
    assert capsys.readouterr().out == '{"stance": "supports"}\n{"stance": "rules_out"}\n'
    assert "stance" not in shown(terminal)


def test_when_a_run_fails_then_the_bar_is_stopped(terminal: Terminal) -> None:
    with pytest.raises(ValueError, match="broken"), Progress(2, "predict", stream=terminal):
        raise ValueError("broken")
    assert terminal.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


def test_when_there_is_no_terminal_then_what_draws_a_bar_is_not_imported() -> None:
    code = (
        "import io, sys; from stancekit.prediction.progress import Progress\n"
        "with Progress(5, 'x', stream=io.StringIO()) as progress: progress.update(5)\n"
        "print([name for name in ('rich', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (12 * 60 + 29, "12 min"),
        (59 * 60 + 45, "1 h 0 min"),
        (3 * 3600 + 5 * 60, "3 h 5 min"),
        (23 * 3600 + 3590, "1 d 0 h"),
        (52 * 3600, "2 d 4 h"),
    ],
)
def test_when_a_time_is_told_then_it_is_in_units_that_people_use(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("rate", "said"),
    [(0.04, "0.0 a second"), (0.44, "0.4 a second"), (9.6, "9.6 a second"), (1020.4, "1,020 a second")],
)
def test_when_a_speed_is_told_then_a_slow_one_has_a_digit_more(rate: float, said: str) -> None:
    assert speed(rate) == said
