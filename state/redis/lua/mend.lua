-- Remove what lies in the place of a lock and is none.
--
-- KEYS     of locks
-- ARGV[1]  ms that no such lock lasts longer than
--
-- Returns how many were removed: what has another form, has no end, or lasts longer.
local removed = 0
for _, key in ipairs(KEYS) do
  local lock = redis.pcall('HMGET', key, 'o', 't', 'f')
  local is_whole = not lock.err and lock[1] and lock[2] and lock[3]
  local left = redis.call('PTTL', key)
  if left ~= -2 and (not is_whole or left == -1 or left > tonumber(ARGV[1])) then
    removed = removed + redis.call('DEL', key)
  end
end
return removed
