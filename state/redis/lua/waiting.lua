-- What every script of a waiting room begins with, after `lasting.lua`.
--
-- KEYS[1] room:   hash of what the operator has set (state, cap, per_minute, message), of counters
--                 (turn, joined, left, expired, done), of what promotions remember (limit, pace,
--                 paced, next), of the room's clock (beat, lag, heard, spare) and of lots: opens,
--                 Unix ms before which who enters stands by lot; commitment, the digest of the
--                 seed; drawn, once nobody is given a lot any more; shown, once the seed is told.
--                 life: of the server that what lies here was proved of
-- KEYS[2] line:   sorted set of who waits, by their turns
-- KEYS[3] seen:   sorted set of the same, by the ms of the room's clock at which they are given up
-- KEYS[4] active: sorted set of who is admitted, by the ms of that clock at which that ends
-- KEYS[5] turns:  hash of the turn of everybody who waits, is admitted or was; of who was given up
--                 while waiting one below it. A later one than is here counts when it is shown
-- KEYS[6] last:   hash of who is admitted: Unix ms that no sign of life leads beyond
-- KEYS[7] log:    stream of the last promotions
-- KEYS[8] unsaid: hash of the steps that nobody has written down yet: `step:turn:user` to Unix ms
local ROOM, LINE, SEEN, ACTIVE, TURNS, LAST, LOG, UNSAID = unpack(KEYS, 1, 8)
local GIVEN, ADMITTED, ENDED = '1:', '2:', '3:'

local PACE_MS = 60000

-- The room's own clock is Unix time less all that did not count: it goes on from one look of who
-- reaps to the next, by so much at most, and stands while no sign of life arrives. So nobody is given
-- up for a silence that is this server's, that of whoever reaps, or of what lies before the pods.
--
-- beat: Unix ms of the last look of who reaps.  lag: what had not counted then
-- heard: Unix ms of the last sign of life here. spare: ms of the room's clock; nobody who waits is
-- given up before
local BEAT_MS = 3000
local clocks = redis.call('HMGET', ROOM, 'beat', 'lag', 'heard', 'spare')
local beat, lag = tonumber(clocks[1] or '') or now, tonumber(clocks[2] or '') or 0
local heard, spare = tonumber(clocks[3] or ''), tonumber(clocks[4] or '') or 0
local here = beat - lag + math.max(0, math.min(now - beat, BEAT_MS))

-- Note a step that is to be written down before anybody is told of it.
local function say(step, turn, user)
  redis.call('HSET', UNSAID, step .. turn .. ':' .. user, '0')
end

-- What is known of who is given up: the turn counts when it is shown, one that was used up before
-- does not.
local function below(turn)
  return text(tonumber(turn) - 1)
end

-- Say whether signs of life arrive. Who waits asks twice within its patience: where nobody here has
-- asked for half of it, it is not they who are silent.
local function is_audible(patience)
  return heard and math.abs(now - heard) <= patience / 2
end

-- Note a sign of life; was_deaf: others were refused since the last one. Who is let in asks so often
-- that not all of it is refused: or else nobody would make room while more ask than are answered.
local function hear(patience, was_deaf)
  if was_deaf or (heard and not is_audible(patience)) then
    -- All who wait have their whole patience again.
    redis.call('HSET', ROOM, 'spare', text(here + patience))
  end
  redis.call('HSET', ROOM, 'heard', text(now))
end

-- Say whether people are let in: not before the seed of the lots is told.
local function lets_in()
  local room = redis.call('HMGET', ROOM, 'state', 'opens', 'shown')
  return room[1] == 'open' and (not room[2] or room[3] == '1')
end

-- Which start of which server this is: what another knew may be older than what was told since.
local function life()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
end

-- What no turn is below that is given out from an opening on; lots come before it.
local function first_turn(opens)
  return math.floor(tonumber(opens) / 1000) * 1048576
end

-- Promotions per second as they are at this moment: of none that are recent, none.
local function pace_now(pace, paced)
  return (tonumber(pace or '') or 0) * math.exp(math.min(0, (tonumber(paced or '') or now) - now) / PACE_MS)
end

-- Who stands where, and 1 where that is not written down; `rooms.py` makes a Place of it. Times are
-- Unix ms.
local function place_of(user)
  local turn = redis.call('HGET', TURNS, user)
  local rank = redis.call('ZRANK', LINE, user)
  if rank then
    local unsaid = redis.call('HEXISTS', UNSAID, GIVEN .. (turn or '0') .. ':' .. user)
    return { 1, turn or '0', rank, '0', '0', unsaid }
  end
  local ends = redis.call('ZSCORE', ACTIVE, user)
  if ends then
    local unsaid = redis.call('HEXISTS', UNSAID, ADMITTED .. (turn or '0') .. ':' .. user)
    local last = redis.call('HGET', LAST, user) or '0'
    local over = tonumber(ends) + now - here
    if tonumber(last) > 0 then
      over = math.min(over, tonumber(last))
    end
    return { 2, turn or '0', 0, text(over), last, unsaid }
  end
  return { 0, turn or '0', 0, '0', '0', 0 }
end

local FIELDS = {
  'state', 'cap', 'per_minute', 'message', 'joined', 'left', 'expired', 'done', 'limit', 'pace', 'paced',
  'opens', 'commitment', 'shown',
}

-- What `rooms.py` makes a Room of; nothing where there is none.
local function room_now()
  local room = redis.call('HMGET', ROOM, unpack(FIELDS))
  if not room[1] then
    return {}
  end
  local pace = string.format('%.6f', pace_now(room[10], room[11]))
  return {
    room[1], room[2], room[3], room[4], redis.call('ZCARD', LINE), redis.call('ZCARD', ACTIVE),
    room[5], room[6], room[7], room[8], room[9], room[12] or '0', room[13] or '', room[14] or '', pace,
    text(now),
  }
end
