-- The time of the server in microseconds, exact until the year 2255.
local function micros()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
