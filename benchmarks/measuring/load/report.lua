-- What every script tells at its end: one line of JSON.

local report = {}

function report.print(summary, latency, status_counts)
  local parts = {}
  for status, count in pairs(status_counts) do
    parts[#parts + 1] = string.format('"%s":%d', status, count)
  end
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"bytes":%d,"bad":%d,"statuses":{%s},"latency_us":'
      .. '{"p50":%d,"p90":%d,"p99":%d,"p999":%d,"max":%d}}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status,
    table.concat(parts, ","),
    latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency:percentile(99.9), latency.max))
end

return report
