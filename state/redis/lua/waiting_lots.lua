-- Lots of who enters before a room opens: commit to their seed, end the giving out, show the seed.
--
-- ARGV[1] which of them
--   prepare: nobody enters until there is a commitment.
--            ARGV[2] Unix ms at which the room opens    ARGV[3] ms that this is ahead at most
--   commit:  ARGV[2] the same    ARGV[3] digest of the seed
--   draw:    nobody is given a lot any more, once it is time
--   show:    whoever asks is told the place, and people are let in
--
-- Returns { 1 it is so now, 2 it was so before, 0 it is not, -1 no such time, room }.
local step = ARGV[1]
local room = redis.call('HMGET', ROOM, 'state', 'joined', 'opens', 'commitment', 'drawn', 'shown')
local is_same, done = room[3] == ARGV[2], 0
if not room[1] then
  done = 0
elseif step == 'prepare' then
  if is_same and room[4] then
    done = 2
  elseif tonumber(ARGV[2]) <= now or tonumber(ARGV[2]) > now + tonumber(ARGV[3]) then
    done = -1
  elseif tonumber(room[2]) == 0 and not room[5] then
    redis.call('HSET', ROOM, 'opens', ARGV[2])
    redis.call('HDEL', ROOM, 'commitment')
    done = 1
  end
elseif step == 'commit' then
  if is_same and (not room[4] or room[4] == ARGV[3]) then
    local turn = math.max(tonumber(redis.call('HGET', ROOM, 'turn')), first_turn(room[3]))
    redis.call('HSET', ROOM, 'commitment', ARGV[3], 'turn', text(turn))
    done = 1
  end
elseif step == 'draw' then
  if room[5] then
    done = 2
  elseif room[4] and now >= tonumber(room[3]) then
    redis.call('HSET', ROOM, 'drawn', text(now))
    done = 1
  end
elseif step == 'show' and room[5] then
  done = redis.call('HSET', ROOM, 'shown', '1') == 1 and 1 or 2
end
return { done, room_now() }
