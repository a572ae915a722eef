-- Put an item at the end of the line.
--
-- ARGV[1] id       ARGV[2] user    ARGV[3] digest of the request    ARGV[4] the request
-- ARGV[5] most items that are not over    ARGV[6] ms after which its time is over    ARGV[7] ids
--
-- Returns { what came of it, item }, of it: 1 it is new, 2 it is there already, -1 there are too
-- many, -2 another request has this id.
local id, user, digest, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = redis.call('HGET', ITEM .. id, 'digest')
if known then
  return { known == digest and 2 or -2, item_now(id) }
end
local length = redis.call('ZCARD', LINE) + redis.call('ZCARD', LATER) + redis.call('ZCARD', TAKEN)
if length >= tonumber(ARGV[5]) then
  return { -1, {} }
end
local ends = text(now + tonumber(ARGV[6]))
-- The first write: a server without room refuses this one, and nothing has happened.
local number = redis.call('HINCRBY', COUNTS, 'number', 1)
redis.call('HSET', ITEM .. id, 'user', user, 'digest', digest, 'request', request, 'status', 'waiting',
  'number', number, 'at', text(now), 'ends', ends, 'tries', 0, 'round', 0)
if ARGV[7] ~= '' then
  redis.call('HSET', ITEM .. id, 'ids', ARGV[7])
end
redis.call('PEXPIRE', ITEM .. id, KEPT_MS)
redis.call('ZADD', LINE, number, id)
redis.call('ZADD', TIMEOUTS, ends, id)
redis.call('HINCRBY', COUNTS, 'enqueued', 1)
keep(LINE, TIMEOUTS, COUNTS)
return { 1, item_now(id) }
