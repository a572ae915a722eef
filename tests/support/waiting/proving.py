"""Rooms that let people in at once: known to be new, without a topic to be compared with."""

from typing import Any

from redis.asyncio import Redis

from state.domain.waiting.admission import TURNS_PER_S, Room
from state.redis.keys import waiting_room
from state.redis.waiting.rooms import WaitingRooms


async def prove(rooms: WaitingRooms, event: int) -> None:
    """Have a room let people in, as once its promoter has read what was told."""
    await rooms.restore_all(event, (), life=await rooms.life(event))


async def set_up(rooms: WaitingRooms, event: int, **changes: Any) -> Room:
    """Set a room up that lets people in."""
    room = await rooms.configure(event, **changes)
    await prove(rooms, event)
    return room


async def a_second_after(client: Redis, event: int, turn: int) -> None:
    """Have a room be opened a second after a turn was given out, as it certainly was."""
    later = turn - turn % TURNS_PER_S + TURNS_PER_S
    await client.hset(waiting_room(event)[0], "turn", str(later))
