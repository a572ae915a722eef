-- Let all of these locks last longer, or none.
--
-- KEYS[..]  locks, hashes as `acquire.lua` writes them
-- ARGV[1]   owner        ARGV[2] token, or nothing for whatever token the owner has
-- ARGV[3]   ms that they last from now on
--
-- Returns the ms that all of them last; 0 where one has ended, or is another's. None lasts longer
-- than it said when it was taken, and none is cut short.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lasts = {}
for i, key in ipairs(KEYS) do
  local lock = redis.pcall('HMGET', key, 'o', 't', 'u')
  local left = redis.call('PTTL', key)
  local is_theirs = not lock.err and lock[1] == ARGV[1] and (ARGV[2] == '' or lock[2] == ARGV[2])
  if not is_theirs or left <= 0 then
    return 0
  end
  lasts[i] = math.max(left, math.min(tonumber(ARGV[3]), (tonumber(lock[3] or '') or 0) - now))
end
local shortest = lasts[1]
for i, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, lasts[i])
  shortest = math.min(shortest, lasts[i])
end
return shortest
