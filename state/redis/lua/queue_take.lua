-- Give the first of the line to a worker, for as long as its lease lasts.
--
-- ARGV[1] token of this try; the same again gets the same item    ARGV[2] ms of the lease
-- ARGV[3] most items moved by time    ARGV[4] retries    ARGV[5] and [6] ms that items are kept
--
-- Returns { 1, ended, id, item }, { 0, ended } where nobody waits, or { 2, ended } where there is more to
-- be moved first; ended: ids of items that this has ended.
local token, most = ARGV[1], tonumber(ARGV[3])
local former = redis.call('HGET', LEASES, token)
if former then
  return { 1, {}, former, item_now(former) }
end
local back, dead, expired = catch_up(most, tonumber(ARGV[4]), ARGV[5], ARGV[6])
for _ = 1, most do
  local id = redis.call('ZRANGE', LINE, 0, 0)[1]
  if not id then
    return { (back >= most or dead >= most or expired >= most) and 2 or 0, ended }
  end
  local ends = redis.call('HGET', ITEM .. id, 'ends')
  if not ends then
    -- None of ours, or one that nobody looked at for a week.
    take_out(id)
  elseif tonumber(ends) <= now then
    over(id, 'expired', ARGV[5])
    ended[#ended + 1] = id
  else
    redis.call('ZREM', LINE, id)
    redis.call('ZADD', TAKEN, text(now + tonumber(ARGV[2])), id)
    redis.call('HSET', LEASES, token, id)
    redis.call('HSET', ITEM .. id, 'status', 'processing', 'token', token)
    redis.call('HINCRBY', ITEM .. id, 'tries', 1)
    keep(TAKEN, LEASES)
    return { 1, ended, id, item_now(id) }
  end
end
return { 2, ended }
