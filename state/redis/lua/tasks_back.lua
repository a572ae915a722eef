-- Give tasks back that were taken: one, or all of them.
--
-- KEYS[1] tasks    KEYS[2] taken    ARGV[1] ms that a list lasts that is made by this
-- ARGV[2] task; nothing for all that were taken
--
-- Returns how many there are to take. A task that is not among the taken ones stays where it is.
local given = ARGV[2] and { ARGV[2] } or redis.call('LRANGE', KEYS[2], 0, -1)
for _, task in ipairs(given) do
  if redis.call('LREM', KEYS[2], 1, task) > 0 then
    redis.call('RPUSH', KEYS[1], task)
  end
end
if redis.call('PTTL', KEYS[1]) == -1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return redis.call('LLEN', KEYS[1])
