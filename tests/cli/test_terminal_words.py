"""What others wrote is printed, and steers nothing."""

from __future__ import annotations

import pytest

from fourways.cli.terminal import err, notes, results

STEERING = "the server said \x1b]0;owned\x07\x1b[2J\x9b31m [bold]no[/bold]"
PLAIN = "the server said [U+001B]]0;owned[U+0007][U+001B][2J[U+009B]31m [bold]no[/bold]"


def test_words_of_others_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    results().print(STEERING, soft_wrap=True)
    notes().print(STEERING, soft_wrap=True)
    err(STEERING, STEERING)
    printed = capsys.readouterr()
    assert printed.out == f"{PLAIN}\n"
    assert printed.err == f"{PLAIN}\nerror: {PLAIN}\nhint: {PLAIN}\n"


def test_a_key_with_colons_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("open:smile: all of choice:b:", soft_wrap=True)
    assert capsys.readouterr().out == "open:smile: all of choice:b:\n"
