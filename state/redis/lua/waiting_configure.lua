-- Open a room, or change how it is run.
--
-- ARGV: name and value of each field that changes; only of those that an operator sets
--
-- Returns the room. Whoever opens it twice finds what is there: turns go on where they were. Nobody is
-- let into a new one before it is known that users were told nothing of it: it may have been lost.
if redis.call('HSETNX', ROOM, 'turn', text(clock[1] * 1048576)) == 1 then
  redis.call(
    'HSET', ROOM, 'state', 'paused', 'cap', '0', 'per_minute', '0', 'message', '',
    'joined', '0', 'left', '0', 'expired', '0', 'done', '0', 'limit', '-1', 'pace', '0'
  )
end
-- Of a line that was put back by half there is no state yet.
redis.call('HSETNX', ROOM, 'state', 'paused')
if #ARGV > 0 then
  redis.call('HSET', ROOM, unpack(ARGV))
end
keep(ROOM)
return room_now()
