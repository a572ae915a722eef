"""What lies in Redis is noted at each look, also what has ended at the next one."""

import json
from pathlib import Path

import pytest
from redis import Redis

from infra.stack.redis_server import RedisServer
from scripts.auditing.locks.keys_seen import KeysSeen
from scripts.auditing.topics import CannotRead


@pytest.mark.redis
def test_keys_of_every_look_are_written_with_type_and_end(
    server: RedisServer, tmp_path: Path
) -> None:
    out = tmp_path / "keys.json"
    seen = KeysSeen(server.url, out)
    with Redis.from_url(server.url) as redis:
        redis.set("first", 1, px=600_000)
        redis.rpush("endless", "x")
        seen.look()
        redis.delete("first")
        redis.hset(b"odd-\xff", "f", "v")
        seen.look()
    written = json.loads(out.read_text(encoding="utf-8"))
    kind, left_ms = written.pop("first")
    assert (kind, 0 < left_ms <= 600_000) == ("string", True)
    assert written == {"endless": ["list", -1], "odd-\\xff": ["hash", -1]}
    with pytest.raises(CannotRead):
        KeysSeen("redis://127.0.0.1:1/0", out).look()
    KeysSeen("redis://127.0.0.1:1/0", None).look()
