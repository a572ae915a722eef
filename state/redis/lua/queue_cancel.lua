-- Take an item back that waits.
--
-- ARGV[1] id    ARGV[2] its owner    ARGV[3] ms that it is kept
--
-- Returns the item as it stands afterwards; nothing for one of another user.
local id = ARGV[1]
local user, status = unpack(redis.call('HMGET', ITEM .. id, 'user', 'status'))
if user ~= ARGV[2] then
  return {}
end
if status == 'waiting' then
  over(id, 'cancelled', ARGV[3])
end
return item_now(id)
