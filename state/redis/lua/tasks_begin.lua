-- Write a list of tasks that ends by itself, in one step: none is ever there without its end.
--
-- KEYS[1] tasks
-- ARGV[1] ms that the list lasts    ARGV[2..] tasks, of which this call appends at most 5,000
redis.call('RPUSH', KEYS[1], unpack(ARGV, 2))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('LLEN', KEYS[1])
