-- Reserves best seats, each with an idempotency key of its own, and counts answers by status.
-- Arguments: file with one token a line, prefix of the keys, number of sections, event id.

local tokens = {}
local names = {}
local statuses = {}
local prefix, path
local nth = 0
local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init(args)
  for token in io.lines(args[1]) do
    tokens[#tokens + 1] = "Bearer " .. token
  end
  prefix = args[2]
  for number = 0, tonumber(args[3]) - 1 do
    names[#names + 1] = string.format("S%04d", number)
  end
  path = "/v1/events/" .. args[4] .. "/reservations"
  math.randomseed(1)
end

function request()
  nth = nth + 1
  return wrk.format("POST", path, {
    ["Authorization"] = tokens[nth % #tokens + 1],
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = prefix .. "-" .. nth,
  }, string.format('{"section":"%s","quantity":%d}', names[math.random(#names)], math.random(4)))
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
  -- Only strings and numbers can be read from outside of a thread.
  local parts = {}
  for known, count in pairs(statuses) do
    parts[#parts + 1] = known .. "=" .. count
  end
  counted = table.concat(parts, " ")
end

function done(summary, latency)
  local counts = {}
  for _, thread in ipairs(threads) do
    for status, count in (thread:get("counted") or ""):gmatch("(%d+)=(%d+)") do
      counts[status] = (counts[status] or 0) + tonumber(count)
    end
  end
  package.path = wrk.folder .. "/?.lua;" .. package.path
  require("report").print(summary, latency, counts)
end

wrk.folder = debug.getinfo(1, "S").source:match("@(.*)/")
