-- Sends signed requests without bodies of a file in turn and prints what came of it as one line of JSON:
-- wrk -s requests.lua URL -- FILE [once]. With `once` the load ends when as many answers have come as there are requests, as
-- Ctrl-C ends it.

local ffi = require("ffi")
ffi.cdef("int kill(int, int); int getpid();")
local requests, at, answered, once = {}, 0, 0, false

function init(args)
   for line in io.lines(args[1]) do
      local method, path = line:match("^(%S+) (%S+)$")
      requests[#requests + 1] = { method, path }
   end
   once = args[2] == "once"
end

function request()
   at = at % #requests + 1
   return wrk.format(requests[at][1], requests[at][2])
end

function response()
   answered = answered + 1
   if once and answered >= #requests then
      ffi.C.kill(ffi.C.getpid(), 2)
   end
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"requests":%d,"microseconds":%d,"bytes":%d,"p50":%d,"p99":%d,"failed":%d}',
      summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
