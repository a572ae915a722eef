-- Wait: one turn for one user, who keeps it however often this is asked.
--
-- ARGV[1] user    ARGV[2] turn that the user has proved to have had, or 0
-- ARGV[3] ms after which who asks no more is given up    ARGV[4] the same while the room is not open
-- ARGV[5] the last turn that there is    ARGV[6] 1 where signs of life were refused
-- ARGV[7] commitment that the asker has the seed of, or nothing    ARGV[8] the user's turn by that lot
-- ARGV[9] how far the turn that stands for an unknown lot is below the opening
--
-- Returns { what came of it, place, room }, of it: 1 a new turn, 2 waits already, 3 is admitted
-- already, 4 the turn that was proved, -1 no such room, -2 nobody enters now, -3 no turn is left,
-- -4 the lot of the user is needed, and was not told or is of another seed.
local user, proved, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
local room = redis.call('HMGET', ROOM, 'state', 'turn', 'opens', 'commitment', 'drawn')
if not room[1] then
  return { -1, place_of(user), {} }
end
local opens, lot = tonumber(room[3] or ''), 0
if opens then
  local is_proved = proved == first_turn(opens) - tonumber(ARGV[9])
  if is_proved or (now < opens and not room[5]) then
    if not room[4] then
      -- Not committed to: nobody enters before the seed can no more be another.
      return { -2, place_of(user), room_now() }
    end
    if room[4] ~= ARGV[7] then
      return { -4, place_of(user), room_now() }
    end
    lot = tonumber(ARGV[8])
    proved = is_proved and lot or proved
  end
end
local patience = tonumber(lets_in() and ARGV[3] or ARGV[4])
-- The first write: a server without room refuses this one, and nothing has happened.
hear(patience, ARGV[6] == '1')
local place = place_of(user)
if place[1] == 2 and tonumber(place[4]) <= now then
  -- Over, though nobody has looked since: who comes back waits at the end.
  redis.call('ZREM', ACTIVE, user)
  redis.call('HDEL', LAST, user)
  redis.call('HINCRBY', ROOM, 'expired', 1)
  say(ENDED, place[2], user)
  place = place_of(user)
end
local came = place[1] > 0 and place[1] + 1 or 1
if came == 1 then
  -- A turn that we know of was used up; one that we do not know of was lost, and is good still.
  local is_lost = proved > tonumber(place[2]) and proved <= most
  if room[1] == 'closed' and not is_lost then
    return { -2, place, room_now() }
  end
  local turn = proved
  if is_lost then
    came = 4
    redis.call('HSET', ROOM, 'turn', text(math.max(tonumber(room[2]), proved)))
    redis.call('HINCRBY', ROOM, 'joined', 1)
  elseif lot > tonumber(place[2]) then
    -- Once: who has given it up waits behind all lots.
    turn = lot
    redis.call('HINCRBY', ROOM, 'joined', 1)
  else
    if tonumber(room[2]) >= most then
      return { -3, place, room_now() }
    end
    -- Never behind the second that it is: what a server gave out whose last second we lack comes
    -- before. A clock that goes back, or runs ahead of all turns there are, changes nothing.
    local floor = clock[1] * 1048576
    local step = floor <= most and math.max(1, floor - tonumber(room[2])) or 1
    turn = redis.call('HINCRBY', ROOM, 'turn', text(step))
    redis.call('HINCRBY', ROOM, 'joined', 1)
  end
  redis.call('HSET', TURNS, user, text(turn))
  say(GIVEN, text(turn), user)
  redis.call('ZADD', LINE, 'NX', text(turn), user)
  redis.call('ZADD', SEEN, text(here + patience), user)
  keep(LINE, SEEN, TURNS, UNSAID)
  place = place_of(user)
elseif came == 2 then
  redis.call('ZADD', SEEN, 'XX', text(here + patience), user)
end
return { came, place, room_now() }
