-- What the scripts of waiting rooms and of booking queues begin with: the time, and how long keys last.
local KEPT_MS = 7 * 86400000

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Numbers of 14 digits and more, as they are written.
local function text(number)
  return string.format('%.0f', number)
end

-- A key that was written ends a week after its last use at the latest.
local function keep(...)
  for _, key in ipairs({ ... }) do
    if redis.call('PTTL', key) < KEPT_MS / 2 then
      redis.call('PEXPIRE', key, KEPT_MS)
    end
  end
end
