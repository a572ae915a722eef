-- Asks for the availability of events, one after another, each as often as the others.
-- Arguments: file with a token in its first line, number of events.

local requests = {}
local nth = 0

function init(args)
  local token = io.lines(args[1])()
  local headers = { Authorization = "Bearer " .. token }
  for event = 1, tonumber(args[2]) do
    requests[event] = wrk.format("GET", "/v1/events/" .. event .. "/availability", headers)
  end
  -- Neighbours in time are not neighbours by number; the order is the same in every run.
  math.randomseed(1)
  for place = #requests, 2, -1 do
    local other = math.random(place)
    requests[place], requests[other] = requests[other], requests[place]
  end
end

function request()
  nth = nth % #requests + 1
  return requests[nth]
end

function done(summary, latency)
  package.path = wrk.folder .. "/?.lua;" .. package.path
  require("report").print(summary, latency, {})
end

wrk.folder = debug.getinfo(1, "S").source:match("@(.*)/")
