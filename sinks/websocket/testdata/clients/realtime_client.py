"""The realtime package of PyPI, as it is, against a running channelserver.

Usage: realtime_client.py URL TOKEN-OF-ANN TOKEN-OF-BOB
"""

import asyncio
import sys

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates


async def subscribed(channel):
    states = []
    await channel.subscribe(lambda state, error: states.append((state, error)))
    assert states[-1][0] == RealtimeSubscribeStates.SUBSCRIBED, states


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def broadcasts(ann, bob):
    sender, receiver = ann.channel("talk-python"), bob.channel("talk-python")
    got = []
    receiver.on_broadcast("pos", lambda m: got.append(m["payload"]))
    await subscribed(sender)
    await subscribed(receiver)
    want = [{"n": n, "text": "ü 😀"} for n in range(50)]
    for payload in want:
        await sender.send_broadcast("pos", payload)
    await until(lambda: len(got) >= len(want))
    assert got == want, got
    await ann.remove_channel(sender)
    await ann.connect()


async def presence(ann, bob):
    watch = ann.channel("desk-python")
    watch.on_presence_sync(lambda: None)
    await subscribed(watch)
    tracked = bob.channel("desk-python")
    await subscribed(tracked)
    await tracked.track({"dev": "tv"})
    await until(lambda: "bob" in watch.presence_state())
    await tracked.untrack()
    await until(lambda: "bob" not in watch.presence_state())


async def main(url, ann_token, bob_token):
    ann, bob = (AsyncRealtimeClient(url, token=t) for t in (ann_token, bob_token))
    await ann.connect()
    await bob.connect()
    await broadcasts(ann, bob)
    await presence(ann, bob)
    await ann.close()
    await bob.close()


asyncio.run(main(*sys.argv[1:]))
