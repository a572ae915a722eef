-- Give up those of these locks that an owner has.
--
-- KEYS[..]  locks, hashes as `acquire.lua` writes them
-- ARGV[1]   owner        ARGV[2] token, or nothing for whatever token the owner has
--
-- Returns how many there were. One that another has, or nobody, stays as it is: to release twice,
-- late, or what was never taken is no fault.
local released = 0
for _, key in ipairs(KEYS) do
  local lock = redis.pcall('HMGET', key, 'o', 't')
  if not lock.err and lock[1] == ARGV[1] and (ARGV[2] == '' or lock[2] == ARGV[2]) then
    released = released + redis.call('DEL', key)
  end
end
return released
