-- Sends signed requests of a file in turn and prints what came of it as one line of JSON: wrk -s requests.lua URL -- FILE BYTES [once]
-- The body of a PUT has so many bytes, of which every 256 KiB begin with another number: stores that keep equal blocks once
-- shall not have it easier. With `once` the load ends when as many answers have come as there are requests, as Ctrl-C
-- ends it.

local ffi = require("ffi")
ffi.cdef("int kill(int, int); int getpid();")
local requests, at, number, answered, once = {}, 0, 0, 0, false

function init(args)
   for line in io.lines(args[1]) do
      local method, path = line:match("^(%S+) (%S+)$")
      requests[#requests + 1] = { method, path }
   end
   math.randomseed(os.time())
   number = math.random(1, 2 ^ 30)
   local size = tonumber(args[2])
   block = string.rep("x", math.min(math.max(size - 16, 0), 256 * 1024 - 16))
   blocks = math.max(1, math.floor(size / (256 * 1024)))
   once = args[3] == "once"
end

local function fresh()
   local parts = {}
   for part = 1, blocks do
      number = number + 1
      parts[part] = string.format("%016d", number) .. block
   end
   return table.concat(parts)
end

function request()
   at = at % #requests + 1
   local method, path = requests[at][1], requests[at][2]
   if method == "PUT" then
      return wrk.format(method, path, nil, fresh())
   end
   return wrk.format(method, path)
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
