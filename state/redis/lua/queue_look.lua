-- ARGV: ids of items of one event. Returns each as it stands; nothing of one that is not there.
local found = {}
for at, id in ipairs(ARGV) do
  found[at] = item_now(id)
end
return found
