-- Say where users stand; to ask is a sign of life.
--
-- ARGV[1] ms after which who asks no more is given up    ARGV[2] the same while the room is not open
-- ARGV[3] ms that who is admitted is kept from now on    ARGV[4] 1 where signs of life were refused
-- ARGV[5] ms that who asks is kept at least    ARGV[6..] users
--
-- Returns { room, place of each }.
local room = room_now()
local patience = tonumber(lets_in() and ARGV[1] or ARGV[2])
local places = {}
-- A server that refuses to be written to, full or a mere copy, tells nobody to stand nowhere.
if room[1] and #ARGV > 5 then
  hear(patience, ARGV[4] == '1')
end
for i = 6, #ARGV do
  local user = ARGV[i]
  local place = place_of(user)
  if place[1] == 1 then
    redis.call('ZADD', SEEN, 'XX', text(here + math.max(patience, tonumber(ARGV[5]))), user)
  elseif place[1] == 2 then
    -- Who has gone beyond the time is given up at the next look of who reaps: not anew from here.
    local ends = math.min(now + tonumber(ARGV[3]), tonumber(place[5]))
    if tonumber(place[4]) > now and ends > tonumber(place[4]) then
      redis.call('ZADD', ACTIVE, 'XX', text(ends - now + here), user)
      place[4] = text(ends)
    end
    if tonumber(place[4]) <= now then
      place = { 0, place[2], 0, '0', '0', 0 }
    end
  end
  places[#places + 1] = place
end
return { room, places }
