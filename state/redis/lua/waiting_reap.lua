-- Give up those of whom nothing was heard: they leave every set, and make room once.
--
-- ARGV[1] most of each kind
--
-- Returns { how many waited, user and turn of each who was admitted, room }.
local most, at = tonumber(ARGV[1]), text(now)
local stale = redis.call('ZRANGEBYSCORE', SEEN, '-inf', at, 'LIMIT', 0, most)
local gone = 0
for _, user in ipairs(stale) do
  gone = gone + give_up(user)
end
local over = redis.call('ZRANGEBYSCORE', ACTIVE, '-inf', at, 'LIMIT', 0, most)
local admitted = {}
if #over > 0 then
  local turns = redis.call('HMGET', TURNS, unpack(over))
  redis.call('ZREM', ACTIVE, unpack(over))
  redis.call('HDEL', LAST, unpack(over))
  for i, user in ipairs(over) do
    admitted[#admitted + 1] = user
    admitted[#admitted + 1] = turns[i] or '0'
    say(ENDED, turns[i] or '0', user)
  end
end
if gone + #over > 0 then
  redis.call('HINCRBY', ROOM, 'expired', gone + #over)
end
-- A room that is looked after does not end, nor does what is in it, unless all is over there.
local room = room_now()
if room[1] and (room[1] ~= 'closed' or room[5] + room[6] > 0) then
  keep(ROOM, LINE, SEEN, ACTIVE, TURNS, LAST, LOG, UNSAID)
end
return { gone, admitted, room }
