-- Move what time alone moves, at most so many of each kind, and tell how the queue stands.
--
-- ARGV[1] most    ARGV[2] retries    ARGV[3] and [4] ms that items are kept that are over, or dead
--
-- Returns { ids of items that this has ended; back, dead, expired now; waiting, waiting for another
-- attempt, worked on, dead; all that were enqueued, completed, expired, cancelled, dead, retried; ms
-- since the first of the line came }.
local most = tonumber(ARGV[1])
local back, dead, expired = 0, 0, 0
if most > 0 then
  back, dead, expired = catch_up(most, tonumber(ARGV[2]), ARGV[3], ARGV[4])
  -- Dead items end by themselves, a month after; so does what names them.
  redis.call('ZREMRANGEBYSCORE', DEAD, '-inf', text(now - tonumber(ARGV[4])))
end
local counts = redis.call('HMGET', COUNTS, 'enqueued', 'completed', 'expired', 'cancelled', 'dead', 'retried')
local first = redis.call('ZRANGE', LINE, 0, 0)[1]
local at = first and redis.call('HGET', ITEM .. first, 'at')
return {
  ended,
  back, dead, expired,
  redis.call('ZCARD', LINE), redis.call('ZCARD', LATER), redis.call('ZCARD', TAKEN), redis.call('ZCARD', DEAD),
  counts[1] or '0', counts[2] or '0', counts[3] or '0', counts[4] or '0', counts[5] or '0', counts[6] or '0',
  at and text(math.max(0, now - tonumber(at))) or '0',
}
