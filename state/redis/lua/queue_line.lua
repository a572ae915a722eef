-- ARGV[1] and [2] the first and the last of the line that is told, from 0. Returns { id, user, tries,
-- round, ids } of each, in their order.
local told = {}
for place, id in ipairs(redis.call('ZRANGE', LINE, ARGV[1], ARGV[2])) do
  local item = redis.call('HMGET', ITEM .. id, 'user', 'tries', 'round', 'ids')
  told[place] = { id, item[1] or '', item[2] or '0', item[3] or '0', item[4] or '' }
end
return told
