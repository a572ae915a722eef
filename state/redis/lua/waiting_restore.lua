-- Put back where users stand, as it was written down; a room that is not there is made, closed.
-- Not before the last of them is there: who comes meanwhile may show a turn that was used up.
--
-- ARGV[1] ms after which who asks no more is given up    ARGV[2] ms within which who is in shows up
-- ARGV[3] 1 where these are the last    ARGV[4] Unix ms of an opening by lot, or 0
-- ARGV[5] digest of its seed    ARGV[6] 1 where the seed was shown
-- ARGV[7] life of this server when what was told was read to its end, or nothing
-- ARGV[8..] step (1 waits, 2 is in, 3 was), user, turn and last ms of each
--
-- Returns how many were put. Who had a later turn, or has gone as far with this one, stays as it is.
if redis.call('HSETNX', ROOM, 'turn', text(clock[1] * 1048576)) == 1 then
  redis.call(
    'HSET', ROOM, 'cap', '0', 'per_minute', '0', 'message', '',
    'joined', '0', 'left', '0', 'expired', '0', 'done', '0', 'limit', '-1', 'pace', '0'
  )
end
local put, highest = 0, tonumber(redis.call('HGET', ROOM, 'turn'))
for i = 8, #ARGV, 4 do
  local step, user, turn, last = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local place = place_of(user)
  local known, reached = tonumber(place[2]), place[1] == 0 and 3 or place[1]
  highest = math.max(highest, tonumber(turn))
  if known < tonumber(turn) or (known == tonumber(turn) and reached < tonumber(step)) then
    redis.call('HSET', TURNS, user, turn)
    if place[1] > 0 then
      -- This server came back with an old file.
      redis.call('ZREM', LINE, user)
      redis.call('ZREM', SEEN, user)
      redis.call('ZREM', ACTIVE, user)
      redis.call('HDEL', LAST, user)
      redis.call('HINCRBY', ROOM, 'expired', 1)
    end
    if step == '1' then
      redis.call('ZADD', LINE, 'NX', turn, user)
      redis.call('ZADD', SEEN, text(here + tonumber(ARGV[1])), user)
      redis.call('HINCRBY', ROOM, 'joined', 1)
    elseif step == '2' and last > now then
      redis.call('ZADD', ACTIVE, text(math.min(now + tonumber(ARGV[2]), last) - now + here), user)
      redis.call('HSET', LAST, user, text(last))
      redis.call('HINCRBY', ROOM, 'joined', 1)
    end
    put = put + 1
  end
end
if ARGV[4] ~= '0' then
  if redis.call('HEXISTS', ROOM, 'commitment') == 0 then
    redis.call('HSET', ROOM, 'opens', ARGV[4], 'commitment', ARGV[5])
  end
  if ARGV[6] == '1' and redis.call('HGET', ROOM, 'commitment') == ARGV[5] then
    redis.call('HSET', ROOM, 'drawn', text(now), 'shown', '1')
  end
  highest = math.max(highest, first_turn(ARGV[4]))
end
redis.call('HSET', ROOM, 'turn', text(highest))
if ARGV[3] == '1' then
  redis.call('HSETNX', ROOM, 'state', 'closed')
  -- Unless it was started again meanwhile.
  if ARGV[7] == life() then
    redis.call('HSET', ROOM, 'life', ARGV[7])
  end
end
keep(ROOM, LINE, SEEN, ACTIVE, TURNS, LAST)
return put
