-- May a request pass all its limits? If so it is counted by each, if not by none.
--
-- KEYS[i]  list of the last accepted requests' times in ms, newest at the end
-- ARGV[1]  now in Unix ms, or 0 for the server's clock, which is the same for every pod
-- ARGV[2i], ARGV[2i + 1]  count and window in ms of KEYS[i]
--
-- Returns 0, or { i, ms until KEYS[i] may pass again } of the limit that frees up last.
-- Exact: no window of that length, wherever it begins, has more than count accepted requests.
-- Constant work for each key, whatever its count.
local now = tonumber(ARGV[1])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local worst, wait = 0, 0
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  -- Refused while the request that lies count back is still inside the window.
  local oldest = redis.pcall('LINDEX', key, -count)
  if oldest and not tonumber(oldest) then
    -- What somebody else has put here counts nothing, and must not open the limit.
    redis.call('DEL', key)
  elseif oldest then
    -- A clock that was set back must not lock anybody out for longer than a window.
    local left = math.min(tonumber(oldest) + window - now, window)
    if left > wait then
      worst, wait = i, left
    end
  end
end
if worst > 0 then
  return { worst, wait }
end

for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  redis.call('RPUSH', key, string.format('%d', now))
  redis.call('LTRIM', key, -count, -1)
  redis.call('PEXPIRE', key, window)
end
return 0
