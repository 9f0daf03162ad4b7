-- Resolves passports with wrk: wrk -s resolve.lua http://127.0.0.1:7400 -- IDS zipf|uniform [QUERY]
--
-- IDS is the file that dcann bench fill wrote, mapped into memory so that any of ten million identifiers
-- is as near as the first. zipf asks for the first 10,000 by Zipf's law, uniform for all alike. The same
-- script drives the node and its reference, so that what it costs, it costs both. QUERY is for all of them, such
-- as consistency=linearizable.
local ffi = require("ffi")

ffi.cdef [[
int open(const char *path, int flags);
long lseek(int fd, long offset, int whence);
void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);
]]

local line, hot, draws = 70, 10000, 2 ^ 19
local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("worker", threads)
end

function init(args)
  local fd = ffi.C.open(args[1], 0)
  local size = tonumber(ffi.C.lseek(fd, 0, 2))
  assert(fd >= 0 and size > 0 and size % line == 0, "no file of identifiers: " .. tostring(args[1]))
  ids = ffi.cast("const char *", ffi.C.mmap(nil, size, 1, 1, fd, 0))
  count = size / line
  math.randomseed(os.time() * 16 + worker)
  local query = args[3] and "?" .. args[3] or ""
  head, tail = "GET /1.0/identifiers/", query .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
  if args[2] == "zipf" then
    zipf(math.min(hot, count))
  else
    assert(args[2] == "uniform", "expected zipf or uniform")
    request = uniform
  end
end

-- zipf draws half a million times beforehand: a look-up in a table is then all that a request costs.
function zipf(n)
  local sums, sum = {}, 0
  for i = 1, n do
    sum = sum + 1 / i
    sums[i] = sum
  end
  drawn, turn = ffi.new("int[?]", draws), 0
  for d = 0, draws - 1 do
    local at, low, high = math.random() * sum, 1, n
    while low < high do
      local middle = math.floor((low + high) / 2)
      if sums[middle] < at then low = middle + 1 else high = middle end
    end
    drawn[d] = low - 1
  end
  request = popular
end

function popular()
  local i = drawn[turn]
  turn = turn + 1
  if turn == draws then turn = 0 end
  return head .. ffi.string(ids + i * line, line - 1) .. tail
end

function uniform()
  return head .. ffi.string(ids + math.random(0, count - 1) * line, line - 1) .. tail
end

-- One line for the script that started this: answered, seconds, refused or broken, p50 and p99 in µs.
function done(summary, latency)
  local e = summary.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("RESULT %d %.6f %d %d %d\n", summary.requests - e.status, summary.duration / 1e6, bad,
    latency:percentile(50), latency:percentile(99)))
end
