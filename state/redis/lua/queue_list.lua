-- Note that an event has items; or forget one that nobody has enqueued for in a while.
--
-- KEYS[1] events: sorted set of events by the ms of their last item
-- ARGV[1] event    ARGV[2] ms after which it may be forgotten; 0 to note it    ARGV[3] ms it is kept
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if ARGV[2] == '0' then
  redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', now), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
if last and tonumber(last) < now - tonumber(ARGV[2]) then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
