-- Say that somebody is at a cycle, or take over one that nobody is at any more.
--
-- KEYS[1] cycles: sorted set of those under way, by the Unix ms until which somebody is at them
-- ARGV[1] ms from now on    ARGV[2] ms that the set lasts    ARGV[3] cycle; nothing to take one over
--
-- Returns the cycle; nothing where all are in somebody's hands.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local cycle = ARGV[3]
if not cycle then
  cycle = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1)[1]
end
if not cycle then
  return false
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[1])), cycle)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return cycle
