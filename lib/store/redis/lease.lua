-- Gives the right to load an entry to one at a time, unless somebody has stored it, holds that right, or failed at it.
--
-- A token names one attempt, so a late copy of an attempt that was given up cannot bring back a lease that was voided.
-- A caller who got no answer tries again with a new token and names the previous one: if that has the lease, the new one
-- takes its place.
--
-- A record that was loaded in another history of this server is doubtful: an invalidation of it may have been lost. It
-- is neither fresh nor stale, and may only be served by who accepts something stale after loading has failed.
--
-- Without `#!lua` on purpose: a server that takes nothing still answers who needs nothing of it.
--
-- KEYS[1]  the record. Expires.
-- KEYS[2]  the lease. Expires.
-- ARGV[1]  token of this attempt, 22 characters
-- ARGV[2]  token of the attempt before it that got no answer, or ''
-- ARGV[3]  how long the lease is for, milliseconds
-- ARGV[4]  how long past its soft expiry a record is acceptable, milliseconds
-- ARGV[5]  the same after loading has failed
-- ARGV[6]  records loaded up to this time are not acceptable, milliseconds
-- ARGV[7]  channel of the process if it can be woken, or ''
--
-- `now` is the time of the server in microseconds; `stale` the record if it is acceptable, or ''; `history` the present
-- one.
--
-- Returns {0, now, history, record}             fresh
--         {1, now, history, stale}              granted
--         {2, now, history, stale, remaining}   held by somebody else for so many milliseconds at most
--         {3, now, history, record, remaining}  loading has failed, and is not to be tried for so many milliseconds
--         {4, now}                              refused: this server takes nothing

-- include _time
-- include _history
-- include _record
-- include _try-set

-- Some 60 processes; the others come by themselves when the lease would have ended.
local MOST_BYTES_OF_A_LEASE = 4096

local token, previous, lease_ms, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[7]
local now = micros()
local record = redis.call('GET', KEYS[1])
local header = header_of(record)
local history = history_of_server()
local is_doubtful = header and history ~= NO_HISTORY and header.history ~= history

local function acceptable_for(ms)
  return header and header.loaded_at > tonumber(ARGV[6])
    and now / 1000 < header.soft_expiry + tonumber(ms)
end

if not is_doubtful and acceptable_for(0) then return {0, now, history, record} end
local stale = not is_doubtful and acceptable_for(ARGV[4]) and record or ''

local set = try_set(KEYS[2], token, 'NX', 'PX', lease_ms)
if set == nil then return {4, now} end
if set then return {1, now, history, stale} end

local lease = redis.call('GET', KEYS[2])
local remaining = redis.call('PTTL', KEYS[2])
if previous ~= '' and string.sub(lease, 1, #previous) == previous then
  redis.call('SET', KEYS[2], token .. string.sub(lease, #previous + 1), 'PX', lease_ms)
  return {1, now, history, stale}
end
if lease == '!' then
  local bears = not is_doubtful or tonumber(ARGV[5]) > 0
  if bears and acceptable_for(ARGV[5]) then return {3, now, history, record, remaining} end
  redis.call('SET', KEYS[2], token, 'PX', lease_ms)
  return {1, now, history, stale}
end
-- Who has something to serve does not wait.
if channel ~= '' and stale == '' and #lease < MOST_BYTES_OF_A_LEASE
  and not string.find(lease, ' ' .. channel, 1, true) then
  redis.call('APPEND', KEYS[2], ' ' .. channel)
end
return {2, now, history, stale, remaining}
