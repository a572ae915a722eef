-- Take all of these locks for one owner, or none.
--
-- KEYS[1]   hash with the fence, which outlives the locks: `next` is the highest that was given
--           out. One for all names: a name costs nothing once its lock is gone
-- KEYS[2..] locks: hashes of o (owner), t (token), f (fence), u (Unix ms at which it ends at the
--           latest, however often it is extended)
-- ARGV[1]   owner        ARGV[2] token       ARGV[3] ms that the locks last
-- ARGV[4]   fence, or 0 for the next one     ARGV[5] ms after which no extension lets it last
-- ARGV[6]   ms that the fence lasts beyond the locks
--
-- Returns { 1, fence }; { 0, ms until they are free unless they are extended, index of each that
-- another has }; or { -1, least fence } where the caller's is lower.
-- The same call again (the same token) gets the same fence: a client may send it twice.
local owner, token = ARGV[1], ARGV[2]
local ttl, fence = tonumber(ARGV[3]), tonumber(ARGV[4])
local count = #KEYS - 1

local conflicts, wait, again, known = {}, 0, true, 0
for i = 1, count do
  local lock = redis.pcall('HMGET', KEYS[i + 1], 'o', 't', 'f')
  if lock.err or (lock[1] ~= owner and redis.call('EXISTS', KEYS[i + 1]) == 1) then
    -- Another's, or of a form that we do not know: then it is somebody's as well.
    conflicts[#conflicts + 1] = i
    wait = math.max(wait, redis.call('PTTL', KEYS[i + 1]))
  else
    again = again and lock[2] == token
    known = math.max(known, tonumber(lock[3]) or 0)
  end
end
if #conflicts > 0 then
  return { 0, wait, unpack(conflicts) }
end

local counted = redis.pcall('HGET', KEYS[1], 'next')
if type(counted) == 'table' then
  -- No fence of ours: what somebody put in its place guards nothing.
  redis.call('DEL', KEYS[1])
  counted = false
end
local highest = tonumber(counted or '') or 0
-- Who has them still is ahead of nobody but itself: others of the section may have counted on.
local least = again and known or highest
if fence == 0 then
  fence = again and known or highest + 1
end
if fence < least then
  return { -1, least }
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text, ends = string.format('%.0f', fence), string.format('%.0f', now + tonumber(ARGV[5]))
-- The first write: a server without room refuses this one, and what follows it no more.
redis.call('HSET', KEYS[1], 'next', string.format('%.0f', math.max(fence, highest)))
-- Never sooner than after a lock that was taken before: an earlier one may last longer.
local last = ttl + tonumber(ARGV[6])
if redis.call('PTTL', KEYS[1]) < last then
  redis.call('PEXPIRE', KEYS[1], last)
end
for i = 1, count do
  redis.call('DEL', KEYS[i + 1])
  redis.call('HSET', KEYS[i + 1], 'o', owner, 't', token, 'f', text, 'u', ends)
  redis.call('PEXPIRE', KEYS[i + 1], ttl)
end
return { 1, fence }
