"""What a server would not take is refused here, and not sent again and again."""

import asyncio

import pytest

from phasenb.client.channel import Channel
from phasenb.errors import TooLarge
from phasenb.web.message_protocol import Limits, Ok, Welcome


class Backend:
    """A server whose answer to ``ping`` is ``ok``, and to nothing else; each connection takes ``limits`` in turn."""

    embedded, url = False, "http://test/"

    def __init__(self, *limits):
        self._limits = iter(limits)
        self.sent, self.lost = [], None

    async def connect(self, receive, lost):
        self.lost = lambda: lost("cut", None)
        limits = Limits(
            max_message_bytes=next(self._limits), max_frame_bytes=10**9, commands_per_second=1, updates_per_second=1,
            replay_max_events=1,
        )  # fmt: skip
        welcome = Welcome(reply_to="hello", epoch="e", server="s", session="s", owner="ada", limits=limits)
        backend = self

        class Link:
            note = None

            async def send(self, command):
                if '"hello"' in command:
                    receive(welcome.wire)
                    return
                backend.sent.append(command)
                if '"ping"' in command:
                    receive(Ok(reply_to=command.partition('"id":"')[2].partition('"')[0]).wire)

            async def close(self):
                pass

        return Link()


def channel_to(backend):
    noted = {"take": lambda message: None, "back": lambda: None, "ended": print, "notice": print}
    return Channel(backend, "s", **noted)


def test_a_command_that_is_too_large_is_refused_before_it_is_sent():
    async def main():
        backend = Backend(1000)
        channel = channel_to(backend)
        await channel.open()
        with pytest.raises(TooLarge, match="upload large values as objects"):
            await channel.ask("approve", Ok, edit="é" * 500)  # bytes count, not characters
        assert backend.sent == []
        await channel.ask("ping", Ok)
        await channel.close()

    asyncio.run(main())


def test_what_waits_is_refused_where_the_next_server_takes_less_and_the_rest_goes_on():
    async def main():
        backend = Backend(1000, 100)
        channel = channel_to(backend)
        await channel.open()
        large = asyncio.ensure_future(channel.ask("approve", Ok, edit="x" * 500))
        while not backend.sent:
            await asyncio.sleep(0)
        backend.lost()
        with pytest.raises(TooLarge):
            await large
        await channel.ask("ping", Ok)
        assert len(backend.sent) == 2
        await channel.close()

    asyncio.run(main())
