-- Give a turn up: that of who waits, or the room that somebody admitted takes.
--
-- ARGV[1] user
--
-- Returns { where the user stood, turn }. A slot comes back only of who was admitted. Whoever
-- leaves and enters again waits at the end.
local user = ARGV[1]
local place = place_of(user)
if place[1] == 1 then
  redis.call('ZREM', LINE, user)
  redis.call('ZREM', SEEN, user)
  redis.call('HINCRBY', ROOM, 'left', 1)
elseif place[1] == 2 then
  redis.call('ZREM', ACTIVE, user)
  redis.call('HDEL', LAST, user)
  redis.call('HINCRBY', ROOM, 'done', 1)
end
if place[1] > 0 then
  say(ENDED, place[2], user)
  keep(UNSAID)
end
return { place[1], place[2] }
