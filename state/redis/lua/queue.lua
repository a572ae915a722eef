-- What every script of the booking queue begins with, after `lasting.lua`.
--
-- KEYS[1] line:     sorted set of the items that wait for their turn, by their numbers
-- KEYS[2] later:    sorted set of those that wait for their next attempt, by the ms at which it is due
-- KEYS[3] taken:    sorted set of those that a worker has, by the ms at which its lease ends
-- KEYS[4] timeouts: sorted set of all of these, by the ms at which their time is over
-- KEYS[5] leases:   hash of the item that each token has taken
-- KEYS[6] dead:     sorted set of those that wait for an operator, by the ms of their death
-- KEYS[7] counts:   hash of the last number, and of how many items ended in which way
-- KEYS[8] item:     what the key of an item begins with; its id follows
--
-- An item is a hash: user, digest, request, status, number, at, ends, tries, round, token, last (the
-- token that moved it last), outcome, reason, ids (of the request that put it there). All lie on one
-- node, since all have one hash tag.
local LINE, LATER, TAKEN, TIMEOUTS, LEASES, DEAD, COUNTS, ITEM = unpack(KEYS, 1, 8)

-- Which place an item has that waits; one that waits for its next attempt stands where it came from.
local function place_of(id, number)
  local rank = redis.call('ZRANK', LINE, id)
  if rank then
    return rank + 1
  end
  return redis.call('ZCOUNT', LINE, '-inf', '(' .. number) + 1
end

local FIELDS = { 'user', 'status', 'tries', 'round', 'at', 'ends', 'request', 'outcome', 'reason', 'number', 'ids' }

-- What `queue.py` makes an Item of; nothing where there is none.
local function item_now(id)
  local item = redis.call('HMGET', ITEM .. id, unpack(FIELDS))
  if not item[2] then
    return {}
  end
  local place = item[2] == 'waiting' and place_of(id, item[10]) or 0
  return {
    item[1], item[2], place, item[3], item[4], item[5], item[6], item[7] or '', item[8] or '',
    item[9] or '', item[11] or '',
  }
end

-- Take an item out of wherever it waits or is worked on. The first write of whoever ends one: it
-- needs no memory, so a full server does not refuse it, nor what follows in the same script.
local function take_out(id)
  redis.call('ZREM', LINE, id)
  redis.call('ZREM', LATER, id)
  redis.call('ZREM', TAKEN, id)
  redis.call('ZREM', TIMEOUTS, id)
  local token = redis.call('HGET', ITEM .. id, 'token')
  if token then
    redis.call('HDEL', LEASES, token)
    redis.call('HDEL', ITEM .. id, 'token')
  end
end

-- End an item; kept: ms for which it can still be asked for.
local function over(id, status, kept)
  take_out(id)
  if redis.call('EXISTS', ITEM .. id) == 0 then
    return
  end
  if status == 'dead' then
    redis.call('ZADD', DEAD, text(now), id)
    keep(DEAD)
    -- As long as what it names.
    redis.call('PEXPIRE', DEAD, math.max(redis.call('PTTL', DEAD), kept))
  else
    redis.call('HDEL', ITEM .. id, 'request')
  end
  redis.call('HSET', ITEM .. id, 'status', status)
  redis.call('PEXPIRE', ITEM .. id, kept)
  redis.call('HINCRBY', COUNTS, status, 1)
  keep(COUNTS)
end

-- Put an item back to its own place in the line.
local function to_line(id)
  redis.call('ZREM', TAKEN, id)
  redis.call('ZREM', LATER, id)
  local number, ends = unpack(redis.call('HMGET', ITEM .. id, 'number', 'ends'))
  if number then
    redis.call('ZADD', LINE, number, id)
    -- It may have been left out while a worker had it.
    redis.call('ZADD', TIMEOUTS, ends, id)
    keep(LINE, TIMEOUTS, COUNTS)
  end
end

-- Ids of the items that time has ended in this script.
local ended = {}

-- What time alone brings about, for `most` items of each kind. Returns how many went back to the
-- line because their worker is silent, how many of these are dead, and how many expired.
local function catch_up(most, retries, kept, dead_kept)
  local back, dead, expired = 0, 0, 0
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', TAKEN, '-inf', text(now), 'LIMIT', 0, most)) do
    local token, tries = unpack(redis.call('HMGET', ITEM .. id, 'token', 'tries'))
    if not tries then
      take_out(id)
    elseif tonumber(tries) > retries then
      over(id, 'dead', dead_kept)
      redis.call('HSET', ITEM .. id, 'reason', 'timeout')
      ended[#ended + 1] = id
      dead = dead + 1
    else
      to_line(id)
      redis.call('HDEL', LEASES, token or '')
      redis.call('HDEL', ITEM .. id, 'token')
      redis.call('HSET', ITEM .. id, 'status', 'waiting')
      back = back + 1
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LATER, '-inf', text(now), 'LIMIT', 0, most)) do
    to_line(id)
  end
  -- Who is worked on does not expire: first in the order of time, they would hide all others.
  local waiting = redis.call('ZRANGEBYSCORE', TIMEOUTS, '-inf', text(now), 'LIMIT', 0, most)
  for _, id in ipairs(waiting) do
    if redis.call('HGET', ITEM .. id, 'status') == 'processing' then
      -- Its time is looked at again when it comes back.
      redis.call('ZREM', TIMEOUTS, id)
    else
      over(id, 'expired', kept)
      ended[#ended + 1] = id
      expired = expired + 1
    end
  end
  return back, dead, expired
end
