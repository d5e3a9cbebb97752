"""``run``: commands of a project, their lines in the development format, and the live page of them."""

import asyncio
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext

from ..errors import UsageError
from ..page.children import Child, Keyboard, name_of
from ..page.live import Live
from ..page.screen import Screen
from ..page.serve import listen, serving
from ..query import Query

__all__ = ["run", "split_commands"]

#: What reaches the commands as it reaches us.
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
#: After so many Ctrl-C nothing is asked any more.
_ENOUGH = 3


def run(query: Query, commands: Sequence[Sequence[str]], *, port: int = 0, show: bool = False, stay: bool = False) -> int:
    """Run *commands* until they end, or until Ctrl-C, and return the exit code of the first that failed.

    Args:
        query: its filters choose the lines that count on the page.
        commands: each with its arguments.
        port: where the page listens. 0 for a port that is free.
        show: open the page in the browser.
        stay: keep the page when the commands have ended, until Ctrl-C.

    Raises:
        UsageError: there is no command, one cannot be started, or the port cannot be had.
    """
    if not commands:
        raise UsageError("name a command behind --: dtx-telemetry run -- python manage.py runserver")
    with listen(port, sys.stderr, "dtx-telemetry: the page is ", show=show) as listener:

        async def work() -> int:
            names = list(_names(commands))
            live = Live(query.filters, about=", ".join(names))
            screen = Screen(names, live.take)
            live.count(screen)
            async with serving(live, listener):
                return await _Running(screen).run(dict(zip(names, commands, strict=True)), stay=stay)

        return asyncio.run(work())


def split_commands(words: Iterable[str]) -> list[list[str]]:
    """Return the commands that stand in *words*, with ``--`` between them."""
    commands: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def _names(commands: Iterable[Sequence[str]]) -> Iterator[str]:
    """Return what each command is called, with a number if another one is called so."""
    taken: set[str] = set()
    for command in commands:
        name, number = name_of(command), 2
        while name in taken:
            name, number = f"{name_of(command)}-{number}", number + 1
        taken.add(name)
        yield name


class _Running:
    """The commands while they run."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._children: list[Child] = []
        self._interrupts = 0
        self._is_unread = False
        self._is_over = asyncio.Event()

    async def run(self, commands: dict[str, Sequence[str]], *, stay: bool) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGWINCH, self._fit)
        for number in _PASSED_ON:
            loop.add_signal_handler(number, self._pass_on, number)
        try:
            for name, words in commands.items():
                self._children.append(await Child.start(words, name, has_keyboard=not self._children))
        except UsageError:
            self._pass_on(signal.SIGTERM)
            await self._wait(alone=True)
            raise
        code = await self._wait(alone=len(commands) == 1)
        if stay and not self._is_over.is_set():
            self._screen.say("all commands have ended; the page stays until Ctrl-C")
            await self._is_over.wait()
        return code

    async def _wait(self, *, alone: bool) -> int:
        """Return the exit code of the first command that failed, once all have ended."""
        first = 0
        with Keyboard.given_to(self._children[0]) if self._children else nullcontext():
            for done in asyncio.as_completed([self._end(child, alone=alone) for child in self._children]):
                code = await done
                first = first or code
        return first

    async def _end(self, child: Child, *, alone: bool) -> int:
        code = await child.wait(self._show)
        self._show(child, None)
        if not alone and not self._is_over.is_set():
            self._screen.say(f"{child.name} ended with exit code {code}")
        return code

    def _show(self, child: Child, piece: bytes | None) -> None:
        """Show what *child* wrote, ``None`` for its end. End all commands once nobody reads that any more."""
        try:
            if piece is None:
                self._screen.end(child.name)
            else:
                self._screen.show(child.name, piece)
        except OSError:
            if not self._is_unread:
                self._is_unread = True
                self._pass_on(signal.SIGTERM)

    def _fit(self) -> None:
        for child in self._children:
            child.fit()

    def _interrupt(self) -> None:
        self._interrupts += 1
        self._is_over.set()
        for child in self._children:
            child.send_all(signal.SIGINT if self._interrupts < _ENOUGH else signal.SIGKILL)

    def _pass_on(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGHUP):
            self._is_over.set()
        for child in self._children:
            child.send(number)
