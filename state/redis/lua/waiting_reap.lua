-- Give up those of whom nothing was heard: they leave every set, and make room once.
--
-- ARGV[1] most of each kind
-- ARGV[2] ms after which who asks no more is given up    ARGV[3] the same while the room is not open
--
-- Returns { how many waited, user and turn of each who was admitted, room, life of this server where
-- the room was proved of another, else nothing }.
local most, state, gone, stale = tonumber(ARGV[1]), redis.call('HGET', ROOM, 'state'), 0, {}
if not state then
  -- Lost, or being put back: nobody is gone from it.
  return { 0, {}, {}, '' }
end
if not is_audible(tonumber(lets_in() and ARGV[2] or ARGV[3])) then
  here = beat - lag
end
-- The first write: where signs of life cannot be written, neither can this, and nobody is given up.
redis.call('HSET', ROOM, 'beat', text(now), 'lag', text(now - here))
local at = text(here)
if here >= spare then
  stale = redis.call('ZRANGEBYSCORE', SEEN, '-inf', at, 'LIMIT', 0, most)
end
if #stale > 0 then
  local turns, known = redis.call('ZMSCORE', LINE, unpack(stale)), {}
  redis.call('ZREM', SEEN, unpack(stale))
  gone = redis.call('ZREM', LINE, unpack(stale))
  for i, user in ipairs(stale) do
    if turns[i] then
      known[#known + 1], known[#known + 2] = user, below(turns[i])
    end
  end
  if #known > 0 then
    redis.call('HSET', TURNS, unpack(known))
  end
end
local over = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', at, 'LIMIT', 0, most)
local admitted = {}
if #over > 0 then
  local turns = redis.call('HMGET', TURNS, unpack(over))
  redis.call('ZREM', ACTIVE, unpack(over))
  redis.call('HDEL', LAST, unpack(over))
  local said = {}
  for i, user in ipairs(over) do
    local turn = turns[i] or '0'
    admitted[#admitted + 1], admitted[#admitted + 2] = user, turn
    said[#said + 1], said[#said + 2] = ENDED .. turn .. ':' .. user, '0'
  end
  redis.call('HSET', UNSAID, unpack(said))
end
if gone + #over > 0 then
  redis.call('HINCRBY', ROOM, 'expired', gone + #over)
end
-- A room that is looked after does not end, nor does what is in it, unless all is over there.
local room = room_now()
if room[1] and (room[1] ~= 'closed' or room[5] + room[6] > 0) then
  keep(ROOM, LINE, SEEN, ACTIVE, TURNS, LAST, LOG, UNSAID)
end
local lives = life()
return { gone, admitted, room, redis.call('HGET', ROOM, 'life') == lives and '' or lives }
