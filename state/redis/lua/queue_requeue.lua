-- Have a dead item tried anew at the end of the line, or forget it for good.
--
-- ARGV[1] id    ARGV[2] ms after which its time is over; 0 to forget it
--
-- Returns 1, or 0 where it is not dead.
local id = ARGV[1]
if redis.call('HGET', ITEM .. id, 'status') ~= 'dead' then
  return 0
end
-- The first write needs no memory; what follows is not refused.
redis.call('ZREM', DEAD, id)
if ARGV[2] == '0' then
  redis.call('DEL', ITEM .. id)
  return 1
end
local ends = text(now + tonumber(ARGV[2]))
local number = redis.call('HINCRBY', COUNTS, 'number', 1)
redis.call('HSET', ITEM .. id, 'status', 'waiting', 'number', number, 'ends', ends, 'tries', 0, 'at', text(now))
redis.call('HINCRBY', ITEM .. id, 'round', 1)
redis.call('HDEL', ITEM .. id, 'reason', 'last')
redis.call('PEXPIRE', ITEM .. id, KEPT_MS)
redis.call('ZADD', LINE, number, id)
redis.call('ZADD', TIMEOUTS, ends, id)
keep(LINE, TIMEOUTS, COUNTS)
return 1
