#!lua
-- Takes a lock that is free. If it is not, puts the caller's process in the line of those to be woken.
--
-- A token names one attempt, so a late copy of an attempt that was given up takes nothing away from a later one. A
-- caller who got no answer tries again with a new token and names the previous one: if that holds the lock, the
-- new one takes its place.
--
-- KEYS[1]  the lock: the token of its holder. Expires.
-- KEYS[2]  its fence: the greatest that was given out, in microseconds. Never expires.
-- KEYS[3]  its line: the channels of the processes that wait, each once. Expires.
-- ARGV[1]  token of this attempt
-- ARGV[2]  token of the attempt before it that got no answer, or ''
-- ARGV[3]  ttl, milliseconds
-- ARGV[4]  channel of the process if it waits, or ''
--
-- Returns {1, fence}      taken; the fence as text, in full
--         {0, remaining}  held by somebody else, for so many milliseconds unless it is renewed

-- Longer than any ttl; who waits comes back when the ttl is over, and is put in line again if need be.
local LINE_MS = 2 * 3600000

local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then
  if ARGV[4] ~= '' then
    if not redis.call('LPOS', KEYS[3], ARGV[4]) then redis.call('RPUSH', KEYS[3], ARGV[4]) end
    redis.call('PEXPIRE', KEYS[3], LINE_MS)
  end
  return {0, redis.call('PTTL', KEYS[1])}
end

-- The time of the server, so that fences go on growing if the key was lost; microseconds stay exact until the year 2255.
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence <= last then fence = last + 1 end
fence = string.format('%.0f', fence)
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if ARGV[4] ~= '' then redis.call('LREM', KEYS[3], 0, ARGV[4]) end
return {1, fence}
