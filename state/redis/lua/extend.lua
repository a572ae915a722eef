-- Let all of these locks last longer, or none.
--
-- KEYS[1]   hash with the fence, which outlives the locks however often they are extended
-- KEYS[2..] locks, hashes as `acquire.lua` writes them
-- ARGV[1]   owner        ARGV[2] token, or nothing for whatever token the owner has
-- ARGV[3]   ms that they last from now on     ARGV[4] ms that the fence lasts beyond them
--
-- Returns the ms that all of them last; 0 where one has ended, or is another's. None lasts longer
-- than it said when it was taken, and none is cut short.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lasts = {}
for i = 2, #KEYS do
  local lock = redis.pcall('HMGET', KEYS[i], 'o', 't', 'u')
  local left = redis.call('PTTL', KEYS[i])
  local is_theirs = not lock.err and lock[1] == ARGV[1] and (ARGV[2] == '' or lock[2] == ARGV[2])
  if not is_theirs or left <= 0 then
    return 0
  end
  lasts[i] = math.max(left, math.min(tonumber(ARGV[3]), (tonumber(lock[3] or '') or 0) - now))
end
local shortest, longest = lasts[2], lasts[2]
for i = 2, #KEYS do
  redis.call('PEXPIRE', KEYS[i], lasts[i])
  shortest, longest = math.min(shortest, lasts[i]), math.max(longest, lasts[i])
end
if redis.call('PTTL', KEYS[1]) < longest + tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[1], longest + tonumber(ARGV[4]))
end
return shortest
