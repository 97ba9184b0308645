-- Posts the lines of a file in turn and prints what came of it as one line of JSON: wrk -s requests.lua URL -- FILE [versions]
-- With `versions` it counts the answers of each version of the model.

local requests, at = {}, 0
local thread

function setup(started)
   thread = started
end

function init(args)
   for line in io.lines(args[1]) do
      requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, line)
   end
   versions = {}
   if args[2] == "versions" then
      function response(status, headers)
         local version = headers["x-model-version"] or "none"
         versions[version] = (versions[version] or 0) + 1
      end
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency)
   local errors = summary.errors
   local counts = {}
   for version, count in pairs(thread:get("versions")) do
      counts[#counts + 1] = string.format('"%s":%d', version, count)
   end
   print(string.format(
      '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"broken":%d,"refused":%d,"versions":{%s}}',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.timeout, errors.status, table.concat(counts, ",")))
end
