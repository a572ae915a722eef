-- Record how an attempt has ended. Only the worker that has the item records; its lease may be over,
-- as long as nobody has looked at the queue since.
--
-- ARGV[1] id    ARGV[2] token    ARGV[3] completed, or failed    ARGV[4] outcome, or reason of death
-- ARGV[5] and [6] ms that items are kept that are over, or dead    ARGV[7] .. pauses before retries;
-- none where no attempt helps
--
-- Returns { 1 where it is recorded, now or by a former call, status }.
local id, token = ARGV[1], ARGV[2]
local status, held, last, tries = unpack(redis.call('HMGET', ITEM .. id, 'status', 'token', 'last', 'tries'))
if not status then
  return { 0, '' }
end
if held ~= token then
  return { last == token and 1 or 0, status }
end
-- Ends or moves the item: the first write needs no memory.
if ARGV[3] == 'completed' then
  over(id, 'completed', ARGV[5])
  redis.call('HSET', ITEM .. id, 'outcome', ARGV[4])
else
  local pause = ARGV[6 + tonumber(tries)]
  if pause then
    redis.call('ZREM', TAKEN, id)
    redis.call('HDEL', LEASES, token)
    redis.call('HDEL', ITEM .. id, 'token')
    redis.call('ZADD', LATER, text(now + tonumber(pause)), id)
    -- It was left out while it was worked on.
    redis.call('ZADD', TIMEOUTS, redis.call('HGET', ITEM .. id, 'ends'), id)
    redis.call('HSET', ITEM .. id, 'status', 'waiting')
    redis.call('HINCRBY', COUNTS, 'retried', 1)
    keep(LATER, TIMEOUTS, COUNTS)
  else
    over(id, 'dead', ARGV[6])
    redis.call('HSET', ITEM .. id, 'reason', ARGV[4])
  end
end
redis.call('HSET', ITEM .. id, 'last', token)
return { 1, redis.call('HGET', ITEM .. id, 'status') }
