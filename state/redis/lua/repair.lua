-- Remove a key that is none of ours, if it still is what was found.
--
-- KEYS[1]   the key
-- ARGV[1..3] `o`, `t` and `f` of the hash that was found; nothing for those that it lacked, all
--           three where it was no hash
-- ARGV[4]   `endless` where it was a whole lock without an end, `fence` where it should be one
--
-- Returns how many were removed. What somebody has put there meanwhile stays.
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'hash' then
  if ARGV[4] == 'fence' then
    return 0
  end
  local now = redis.call('HMGET', KEYS[1], 'o', 't', 'f')
  for i = 1, 3 do
    if (now[i] or '') ~= ARGV[i] then
      return 0
    end
  end
  if ARGV[4] == 'endless' and redis.call('PTTL', KEYS[1]) ~= -1 then
    return 0
  end
end
return redis.call('DEL', KEYS[1])
