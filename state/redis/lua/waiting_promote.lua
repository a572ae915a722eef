-- Admit the next of those who wait. The same id again gets the same answer, and moves nobody.
--
-- KEYS[9] answer to this promotion, a list
-- ARGV[1] promotion id    ARGV[2] slots: most that are promoted
-- ARGV[3] most that may be admitted at once, beside the cap; -1 for no such bound
-- ARGV[4] ms within which who is promoted shows up    ARGV[5] ms after which no admission lasts
-- ARGV[6] ms that the answer is kept
--
-- Returns { how many really were promoted, then user and turn of each }. Reads the first slots
-- members alone; who cannot be promoted is removed, and takes no slot.
local ANSWER = KEYS[9]
local known = redis.call('LRANGE', ANSWER, 0, -1)
if #known > 0 then
  return known
end

local room = redis.call('HMGET', ROOM, 'state', 'cap', 'per_minute', 'next', 'pace', 'paced')
local answer = { '0' }
local count = 0
if room[1] == 'open' then
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

local members = {}
if count > 0 then
  members = redis.call('ZRANGE', LINE, 0, count - 1, 'WITHSCORES')
end
local promoted, expired = 0, 0
for i = 1, #members, 2 do
  local user, turn = members[i], text(tonumber(members[i + 1]))
  local seen = tonumber(redis.call('ZSCORE', SEEN, user) or '0')
  local known = redis.call('HGET', TURNS, user)
  -- The first write takes memory from nobody, so that a server without room goes on to promote.
  if redis.call('ZSCORE', ACTIVE, user) then
    -- In already: whoever is in does not wait as well.
    redis.call('ZREM', LINE, user)
    redis.call('ZREM', SEEN, user)
  elseif known == turn and seen <= now then
    expired = expired + give_up(user)
  elseif known ~= turn then
    -- Nobody was given this turn; what is known of the user stays so.
    redis.call('ZREM', LINE, user)
    redis.call('ZREM', SEEN, user)
    expired = expired + 1
  else
    redis.call('ZREM', LINE, user)
    redis.call('ZREM', SEEN, user)
    redis.call('ZADD', ACTIVE, text(now + tonumber(ARGV[4])), user)
    redis.call('HSET', LAST, user, text(now + tonumber(ARGV[5])))
    say(ADMITTED, turn, user, text(now + tonumber(ARGV[5])))
    promoted = promoted + 1
    answer[#answer + 1] = user
    answer[#answer + 1] = turn
    redis.call('XADD', LOG, 'MAXLEN', '~', 20000, '*', 'promotion', ARGV[1], 'user', user, 'turn', turn)
  end
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
  keep(ROOM, ACTIVE, LAST, LOG, TURNS)
end
return answer
