-- Admit the next of those who wait. The same id again gets the same answer, and moves nobody.
--
-- KEYS[9] answer to this promotion, a list
-- ARGV[1] promotion id    ARGV[2] slots: most that are promoted
-- ARGV[3] most that may be admitted at once, beside the cap; -1 for no such bound
-- ARGV[4] ms within which who is promoted shows up    ARGV[5] ms after which no admission lasts
-- ARGV[6] ms that the answer is kept
--
-- Returns { how many really were promoted, then user and turn of each }, { -1 } where this server
-- has not been proved to know all that was told. Reads the first slots
-- members alone; who cannot be promoted is removed, and takes no slot.
local ANSWER = KEYS[9]
local known = redis.call('LRANGE', ANSWER, 0, -1)
if #known > 0 then
  return known
end

local room = redis.call('HMGET', ROOM, 'state', 'cap', 'per_minute', 'next', 'pace', 'paced', 'life')
if room[1] and room[7] ~= life() then
  return { '-1' }
end
local answer = { '0' }
local count = 0
if lets_in() then
  local limit, most = tonumber(room[2]), tonumber(ARGV[3])
  if most >= 0 then
    limit = math.min(limit, most)
  end
  count = math.min(tonumber(ARGV[2]), limit - redis.call('ZCARD', ACTIVE))
end

-- So many a minute: each takes its share of time, and a second's worth of it may be behind.
local share, due = 0, now
if count > 0 and tonumber(room[3]) > 0 then
  share = 60000 / tonumber(room[3])
  due = math.max(tonumber(room[4] or '') or 0, now - math.max(1000, share))
  count = math.min(count, math.floor((now - due) / share))
end

local users, turn_of = {}, {}
if count > 0 then
  local members = redis.call('ZRANGE', LINE, 0, count - 1, 'WITHSCORES')
  for i = 1, #members, 2 do
    users[#users + 1] = members[i]
    turn_of[members[i]] = text(tonumber(members[i + 1]))
  end
end
local promoted, expired, gone, active, last, said = 0, 0, {}, {}, {}, {}
if #users > 0 then
  -- All at once, for this is what a server's time goes to.
  local seen = redis.call('ZMSCORE', SEEN, unpack(users))
  local known = redis.call('HMGET', TURNS, unpack(users))
  local is_in = redis.call('ZMSCORE', ACTIVE, unpack(users))
  -- The first write: a server without room, where nobody could show up, refuses this one.
  redis.call('HSET', ROOM, 'limit', ARGV[3])
  redis.call('ZREM', LINE, unpack(users))
  redis.call('ZREM', SEEN, unpack(users))
  local shows_up, ends = text(here + tonumber(ARGV[4])), text(now + tonumber(ARGV[5]))
  for i, user in ipairs(users) do
    local turn = turn_of[user]
    if is_in[i] then
      -- In already: whoever is in does not wait as well.
    elseif known[i] ~= turn then
      -- Nobody was given this turn; what is known of the user stays so.
      expired = expired + 1
    elseif tonumber(seen[i] or '0') <= here and here >= spare then
      expired = expired + 1
      gone[#gone + 1], gone[#gone + 2] = user, below(turn)
    else
      promoted = promoted + 1
      answer[#answer + 1], answer[#answer + 2] = user, turn
      active[#active + 1], active[#active + 2] = shows_up, user
      last[#last + 1], last[#last + 2] = user, ends
      said[#said + 1], said[#said + 2] = ADMITTED .. turn .. ':' .. user, ends
      redis.call('XADD', LOG, 'MAXLEN', '~', 20000, '*', 'promotion', ARGV[1], 'user', user, 'turn', turn)
    end
  end
end
if #gone > 0 then
  redis.call('HSET', TURNS, unpack(gone))
end
if promoted > 0 then
  redis.call('ZADD', ACTIVE, unpack(active))
  redis.call('HSET', LAST, unpack(last))
  redis.call('HSET', UNSAID, unpack(said))
end
answer[1] = tostring(promoted)

if room[1] then
  local pace = pace_now(room[5], room[6]) + promoted * 1000 / PACE_MS
  redis.call('HINCRBY', ROOM, 'expired', expired)
  redis.call('HSET', ROOM, 'limit', ARGV[3], 'pace', string.format('%.6f', pace), 'paced', text(now))
  if share > 0 then
    redis.call('HSET', ROOM, 'next', string.format('%.3f', due + promoted * share))
  end
end
redis.call('RPUSH', ANSWER, unpack(answer))
redis.call('PEXPIRE', ANSWER, ARGV[6])
if promoted > 0 then
  keep(ROOM, ACTIVE, LAST, LOG, TURNS, UNSAID)
end
return answer
