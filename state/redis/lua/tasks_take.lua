-- Take the next task. It is kept among the taken ones until it is done, whatever becomes of us.
--
-- KEYS[1] tasks    KEYS[2] taken    ARGV[1] ms that the list of taken tasks lasts
local task = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
if task and redis.call('PTTL', KEYS[2]) < 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return task
